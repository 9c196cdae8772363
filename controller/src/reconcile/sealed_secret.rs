//! SealedSecrets become Secrets and stay so.
//!
//! Flow of one object, within the [frame](crate::frame): its values are opened on the threads of the pool with the key that
//! opened it last time, the target is read, [`plan`] says what to do, [`secret_target`] does it, and [`report`] says what the
//! users see of it.

mod plan;
mod proof;
mod report;

pub(crate) use self::proof::APPLIED;
pub(super) use self::report::COMPONENT;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_crypto::sealing::Fingerprint;
use sealwright_resources::drift::Drift;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::sealed_secret::{
    KIND, SealedSecret, SealedSecretStatus, UnsealOptions, Unsealed, open,
};

use self::proof::Claim;
use self::report::Problem;
use crate::action;
use crate::api::ApiError;
use crate::frame::event::Event;
use crate::frame::kind::{Attempt, Frame, Kind, LookedAt, SecretUse, Shared, Trouble, Watching};
use crate::frame::object::{Key, Version};
use crate::frame::queue::Urgency;
use crate::frame::read::Read;
use crate::frame::secret_target::{self, Cause, Judgement};
use crate::frame::tracked::{Compared, Digest, Target, Tracked, fingerprint};
use crate::frame::verdict;
use crate::keys::SealingKeys;
use crate::metrics::{Failure, Metrics};

/// What decides how SealedSecrets are treated.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// All namespaces, or these.
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) label_selector: String,
    pub(crate) accept_deprecated_data: bool,
    pub(crate) update_status: bool,
    pub(crate) skip_recreate: bool,
    pub(crate) delete_ourselves: bool,
    pub(crate) quick_retries: u32,
    pub(crate) workers: usize,
}

/// The reconciler of SealedSecrets.
pub(crate) struct SealedSecrets {
    settings: Settings,
    frame: Frame<Self>,
    keys: Arc<SealingKeys>,
    metrics: Arc<Metrics>,
}

/// An object that needs more private-key operations than this is opened in the slow lane: each value costs one with every key
/// that it does not open with.
const MANY_OPERATIONS: usize = 64;

/// What is remembered of a SealedSecret beside what is remembered of every object.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    /// The label that the metric shows.
    instance: String,
    /// The key that opened it last time.
    opened_by: Option<String>,
    /// An attempt with this digest and this set of keys failed and would fail again, and how.
    hopeless: Option<(Digest, u64, String)>,
    /// What its status claims, until that is checked.
    claim: Option<Claim>,
}

/// What came of one attempt.
pub(crate) struct Outcome {
    /// The text of a [claim](Claim), or a problem.
    result: Result<Option<String>, Problem>,
    /// The set of keys when it began.
    keys: u64,
}

impl SealedSecrets {
    pub(crate) fn new(settings: Settings, shared: Shared, keys: Arc<SealingKeys>) -> Self {
        let metrics = Arc::clone(&shared.metrics);
        let scopes = match &settings.namespaces {
            None => vec![None],
            Some(names) => names.iter().cloned().map(Some).collect(),
        };
        let watching = Watching {
            scopes,
            label_selector: settings.label_selector.clone(),
            secrets: match settings.skip_recreate {
                true => SecretUse::None,
                false => SecretUse::Writes,
            },
            statuses: settings.update_status,
            workers: settings.workers,
        };
        Self {
            settings,
            frame: Frame::new(shared, watching),
            keys,
            metrics,
        }
    }

    /// Shows the condition of an object in the metrics.
    fn show(&self, key: &Key, instance: &str, synced: bool) {
        let values = vec![("Synced".to_owned(), if synced { 1 } else { -1 })];
        self.metrics
            .show_conditions(&key.namespace, &key.name, instance, values);
    }

    /// Makes the target what the object asks for; returns its version and the key that opened the values.
    async fn apply(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        sealed: &Arc<SealedSecret>,
        digest: Digest,
    ) -> Result<(Version, Option<String>), (Problem, LookedAt)> {
        if let Some(version) = self.still_applied(key, known, digest).await {
            return Ok((version, known.extra.opened_by.clone()));
        }
        let tolerated = known.is_applied(digest);
        let (wanted, opened_by) = self
            .open(key, known, sealed, digest)
            .await
            .map_err(|problem| (problem, LookedAt::default()))?;
        let uid = known.uid();
        let look = !matches!(known.target(), Target::Absent { .. });
        // What came from this very spec and is something else now was changed by another writer.
        let only_reports = tolerated && Drift::of(&sealed.metadata) == Drift::Report;
        let judge = |there: Option<&PlainSecret>| match plan::plan(&wanted, uid, there, tolerated) {
            Judgement::Replace(_) if only_reports => Judgement::Leave,
            judgement => judgement,
        };
        let written = secret_target::write(self.frame.api(), key, look, judge)
            .await
            .map_err(|failed| {
                let problem = match failed.cause {
                    Cause::Refused => Problem::unmanaged(&key.name),
                    Cause::Drifted => {
                        self.metrics.drifted(KIND, &key.namespace, Drift::Report);
                        Problem::drifted()
                    }
                    Cause::Api(error) => Problem::write(&key.to_string(), &error),
                };
                (problem, LookedAt(failed.looked_at))
            })?;
        if written.replaced && tolerated {
            self.metrics.drifted(KIND, &key.namespace, Drift::Revert);
            self.frame
                .index
                .update(key, uid, |known| known.edits().put_back());
        }
        // A Secret that may not be written again is not one that is kept in step (T4).
        if !plan::is_ours(&written.metadata, uid) {
            let looked_at = LookedAt(Some(Some(written.version)));
            return Err((Problem::unmanaged(&key.name), looked_at));
        }
        Ok((written.version, opened_by))
    }

    /// The version of the target if it is known, without unsealing, to be what the object asks for.
    async fn still_applied(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        digest: Digest,
    ) -> Option<Version> {
        let applied = known.applied(digest)?;
        let same = match known.compare_target(applied) {
            Compared::Same => true,
            Compared::Gone { .. } | Compared::Other => false,
            Compared::Unknown => {
                let read = secret_target::read_version(self.frame.api(), key).await;
                read.ok()?.as_ref() == Some(applied)
            }
        };
        same.then(|| applied.clone())
    }

    /// Opens the values on the threads of the pool.
    async fn open(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        sealed: &Arc<SealedSecret>,
        digest: Digest,
    ) -> Result<(PlainSecret, Option<String>), Problem> {
        let version = self.keys.changes().version;
        if let Some((failed, keys, text)) = &known.extra.hopeless
            && (*failed, *keys) == (digest, version)
        {
            return Err(Problem::unseal(text.clone()));
        }
        let allowance = self.frame.allowance(key);
        let operations = (!allowance.is_slow).then_some(MANY_OPERATIONS);
        // What cannot do with so many need not try.
        if operations.is_some_and(|most| sealed.spec.encrypted_data.len() > most) {
            return Err(self.too_slow(key));
        }
        let (keys, object) = (Arc::clone(&self.keys), Arc::clone(sealed));
        let accept_deprecated_data = self.settings.accept_deprecated_data;
        let remembered = known.extra.opened_by.clone();
        let opened = self
            .frame
            .compute(key, &allowance, move || {
                let opened = keys.with(|ring| {
                    let remembered: Option<&Fingerprint> = remembered
                        .and_then(|fingerprint| ring.find(&fingerprint))
                        .map(|key| key.fingerprint());
                    let options = UnsealOptions {
                        accept_deprecated_data,
                        remembered,
                        operations,
                        failures: None,
                    };
                    open(&object, ring, &options)
                });
                opened
                    .and_then(|opened| opened.fill(&object, allowance.limits))
                    .map_err(|error| (error.exceeds_budget(), error.to_string()))
            })
            .await;
        match opened {
            Ok(Ok(Unsealed {
                mut secret,
                opened_by,
            })) => {
                strip(&mut secret.metadata);
                Ok((secret, opened_by.map(|key| key.as_str().to_owned())))
            }
            Ok(Err((true, _))) if !allowance.is_slow => Err(self.too_slow(key)),
            Ok(Err((exceeds_budget, text))) => {
                // A template may say something else another time, but one that needs too much does not get better.
                if exceeds_budget || sealed.spec.template.data.is_empty() {
                    self.frame.index.update(key, known.uid(), |known| {
                        known.extra.hopeless = Some((digest, version, text.clone()));
                    });
                }
                Err(Problem::unseal(text))
            }
            Err(panicked) => Err(Problem::internal(panicked.to_string())),
        }
    }

    /// Sends an object to the slow lane.
    fn too_slow(&self, key: &Key) -> Problem {
        self.frame.queue.slow_down(key);
        Problem::internal("it is worked on in the slow lane".to_owned())
    }

    fn outcome(&self, result: Result<Option<String>, Problem>) -> Outcome {
        Outcome {
            result,
            keys: self.keys.changes().version,
        }
    }
}

impl Kind for SealedSecrets {
    const NAME: &'static str = KIND;
    const PLURAL: &'static str = "SealedSecrets";

    type Object = SealedSecret;
    type Status = SealedSecretStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, sealed: &SealedSecret) -> Digest {
        proof::digest(sealed, self.settings.accept_deprecated_data)
    }

    fn status(sealed: &SealedSecret) -> Option<&SealedSecretStatus> {
        sealed.status.as_ref()
    }

    /// The times are left out.
    fn fingerprint(status: Option<&SealedSecretStatus>) -> u64 {
        let said = status.map(|status| {
            let conditions = status.conditions.iter();
            let conditions: Vec<_> = conditions
                .map(|condition| {
                    (
                        &condition.kind,
                        &condition.status,
                        &condition.reason,
                        &condition.message,
                    )
                })
                .collect();
            (status.observed_generation, conditions)
        });
        fingerprint(said)
    }

    fn target<'a>(&self, sealed: &'a SealedSecret) -> Option<&'a str> {
        sealed.metadata.name.as_deref()
    }

    fn note(&self, read: &Read<SealedSecret>, extra: &mut Extra, changed: bool) {
        extra.instance = instance(read.meta());
        if changed {
            let sealed = read.0.as_ref().ok();
            extra.claim = sealed
                .and_then(|sealed| Claim::read(sealed.status.as_ref(), sealed.metadata.generation));
        }
    }

    fn reclaims(&self, secret: &ObjectMeta, uid: &str) -> bool {
        plan::is_reclaimed(secret, uid)
    }

    fn makes_room(&self, secret: &ObjectMeta, uid: &str) -> bool {
        plan::makes_room(secret, uid)
    }

    /// Without keys every object would fail, and then be tried again.
    async fn ready(&self) {
        // It fails only when the process ends.
        let _ = self.keys.watch().wait_for(|changes| changes.loaded).await;
    }

    /// A key that was added, restored or relabelled may open what failed (P11).
    async fn beside(&self) {
        let mut changes = self.keys.watch();
        while changes.changed().await.is_ok() {
            for key in self.frame.index.failing() {
                self.frame.queue.add(key, Urgency::Backlog);
            }
        }
    }

    fn prove(&self, known: &mut Tracked<Extra>, targets_known: bool) -> bool {
        let digest = known.observed().digest;
        let claim = known.extra.claim.take();
        let checked = claim.and_then(|claim| self.keys.with(|ring| claim.check(ring, digest)));
        let Some((version, opened_by)) = checked else {
            return false;
        };
        known.extra.opened_by = Some(opened_by);
        match targets_known {
            true => known.settle_as_observed(version),
            // The target has still to be looked at.
            false => known.remember_applied(digest, version),
        }
        targets_known
    }

    fn proved(&self, key: &Key, extra: &Extra) {
        self.metrics.unseal_skipped();
        self.show(key, &extra.instance, true);
    }

    fn begins(&self, key: &Key) {
        self.metrics.unseal_requested();
        tracing::info!(key = %key, "Updating");
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        sealed: &Arc<SealedSecret>,
    ) -> Attempt<Outcome> {
        let keys = self.keys.changes().version;
        let digest = self.digest(sealed);
        let (ended, result) = match self.apply(key, known, sealed, digest).await {
            Ok((version, opened_by)) => {
                let claim = self
                    .keys
                    .with(|ring| Claim::make(ring, opened_by.as_deref(), digest, &version));
                self.frame.index.update(key, known.uid(), |known| {
                    known.extra.opened_by = opened_by;
                    known.extra.hopeless = None;
                });
                (Ok(Some(version)), Ok(claim.map(|claim| claim.text())))
            }
            Err((problem, looked_at)) => (Err(looked_at), Err(problem)),
        };
        Attempt {
            ended,
            outcome: Outcome { result, keys },
        }
    }

    fn unreadable(&self, fault: String) -> Outcome {
        self.outcome(Err(Problem::unreadable(fault)))
    }

    fn contested(&self) -> Outcome {
        self.outcome(Err(Problem::contested()))
    }

    fn report(
        &self,
        metadata: &ObjectMeta,
        status: Option<&SealedSecretStatus>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<SealedSecretStatus> {
        report::status(metadata.generation, status, &outcome.result, now)
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let event = report::event(metadata, &outcome.result);
        tracing::info!(
            "Event(v1.ObjectReference{{Kind:\"SealedSecret\", Namespace:{:?}, Name:{:?}, UID:{:?}, APIVersion:\"bitnami.com/v1alpha1\", ResourceVersion:{:?}, FieldPath:\"\"}}): type: '{}' reason: '{}' {}",
            event.namespace,
            event.name,
            event.uid,
            metadata.resource_version.as_deref().unwrap_or_default(),
            if event.warning { "Warning" } else { "Normal" },
            event.reason,
            event.message,
        );
        vec![event]
    }

    fn ends(&self, key: &Key, metadata: &ObjectMeta, outcome: &Outcome) {
        self.show(key, &instance(metadata), outcome.result.is_ok());
        if let Err(problem) = &outcome.result {
            self.metrics.unseal_failed(problem.failure, &key.namespace);
        }
    }

    fn again(&self, key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        let problem = outcome.result.as_ref().err()?;
        let quick = self.settings.quick_retries;
        let message = match failures > quick {
            false => "Error updating, will retry",
            true => "Error updating, will retry slowly",
        };
        tracing::error!(key = %key, error = problem.text, "{message}");
        Some(match self.keys.changes().version == outcome.keys {
            true => verdict::pause(problem.verdict, failures, quick),
            // The key that came while this attempt was under way may open it.
            false => Duration::ZERO,
        })
    }

    fn trouble(&self, key: &Key, trouble: Trouble, error: &ApiError) {
        match trouble {
            Trouble::Fetch => {
                tracing::error!(key = %key, error = %error, "Error fetching object");
                self.metrics.unseal_failed(Failure::Fetch, "");
            }
            Trouble::Status => {
                tracing::error!("sealed-secret" = %key, error = %error, "Error updating SealedSecret status");
                self.metrics.unseal_failed(Failure::Status, &key.namespace);
            }
        }
    }

    /// The garbage collector takes the Secret away, unless we are asked to (C55).
    async fn gone(&self, key: &Key) -> Option<Duration> {
        self.metrics.forget_conditions(&key.namespace, &key.name);
        if !self.settings.delete_ourselves {
            return None;
        }
        tracing::info!("sealed-secret" = %key, "SealedSecret has gone, deleting Secret");
        match action::delete_secret(self.frame.api(), &key.namespace, &key.name).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(key = %key, error = %error, "Error updating, will retry");
                Some(Duration::from_secs(10))
            }
        }
    }
}

/// The label that the metric shows.
fn instance(metadata: &ObjectMeta) -> String {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("app.kubernetes.io/instance"))
        .cloned()
        .unwrap_or_default()
}

/// Removes what only the API server may set, as it comes into templates made from live objects (T44).
fn strip(metadata: &mut ObjectMeta) {
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.generation = None;
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.managed_fields = None;
    metadata.self_link = None;
    metadata.generate_name = None;
}

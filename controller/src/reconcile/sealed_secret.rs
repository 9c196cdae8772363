//! SealedSecrets become Secrets and stay so.
//!
//! Flow of one object: it is read, its values are opened on the threads of the pool with the key
//! that opened it last time, the target is read, [`plan`] says what to do, [`action`] does it, and
//! [`report`] says what the users are told. Guarantees:
//!
//! - A Secret is written under the version that was looked at; if somebody else was faster, it is
//!   looked at again.
//! - Nothing is written when nothing changed: neither Secret nor status.
//! - What fails is tried again for ever, slower and slower, and at once when the object, its
//!   target or the set of keys changes.

mod backlog;
mod index;
mod plan;
mod proof;
mod report;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::sealing::Fingerprint;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::sealed_secret::{SealedSecret, UnsealOptions, Unsealed, open};
use sealwright_template::Limits;
use serde::Deserialize;

use self::backlog::Bodies;
use self::index::{Index, Key, Known, Target, Wanted};
use self::plan::Plan;
use self::proof::{Claim, Digest};
use self::report::{Outcome, Problem};
use super::Reconciler;
use crate::action::{self, Version};
use crate::api::{Api, ApiError, jitter};
use crate::event::Recorder;
use crate::keys::SealingKeys;
use crate::metrics::{Failure, Metrics};
use crate::pool::Pool;
use crate::queue::Queue;

/// How often one attempt looks again because somebody else wrote in between.
const LOOKS: u32 = 4;

/// When a status that could not be written is tried again.
const UNTOLD: Duration = Duration::from_secs(10);

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
}

/// The reconciler of SealedSecrets.
pub(crate) struct SealedSecrets {
    settings: Settings,
    api: Arc<Api>,
    keys: Arc<SealingKeys>,
    pool: Arc<Pool>,
    metrics: Arc<Metrics>,
    recorder: Arc<Recorder>,
    queue: Queue<Key>,
    index: Index,
    bodies: Bodies,
}

/// A Secret that is as it should be.
struct Applied {
    version: Version,
    reclaimed: bool,
    opened_by: Option<String>,
}

/// Why an attempt ended.
enum Stop {
    /// The object is gone or going.
    Gone,
    /// It cannot be read at all.
    Fetch(ApiError),
}

impl SealedSecrets {
    pub(crate) fn new(
        settings: Settings,
        api: Arc<Api>,
        keys: Arc<SealingKeys>,
        pool: Arc<Pool>,
        metrics: Arc<Metrics>,
        recorder: Arc<Recorder>,
    ) -> Self {
        let index = Index::new(settings.accept_deprecated_data);
        Self {
            settings,
            api,
            keys,
            pool,
            metrics,
            recorder,
            queue: Queue::new(),
            index,
            bodies: Bodies::default(),
        }
    }

    fn want(&self, key: Key, wanted: Wanted) {
        match wanted {
            Wanted::No => {}
            Wanted::Yes(urgency) => self.queue.add(key, urgency),
            Wanted::After(delay) => self.queue.add_after(key, delay),
        }
    }

    /// Hands out everything that is not proved to be as it should be.
    fn work_to_start(&self, namespace: Option<&str>) -> Vec<Key> {
        let watched = !self.settings.skip_recreate;
        let (work, settled) = self.keys.with(|ring| {
            self.index.unsettled(namespace, watched, |claim, digest| {
                claim.check(ring, digest)
            })
        });
        tracing::debug!(
            unchanged = settled.len(),
            to_do = work.len(),
            "SealedSecrets listed"
        );
        for (key, instance) in settled {
            self.metrics.unseal_skipped();
            self.show(&key, &instance, true);
        }
        work
    }

    /// Tells whether there is something to do about an object.
    fn is_unsettled(&self, key: &Key) -> bool {
        let watched = !self.settings.skip_recreate;
        let known = self.index.get(key);
        known.is_some_and(|known| !known.is_settled(watched))
    }

    fn show(&self, key: &Key, instance: &str, synced: bool) {
        let values = vec![("Synced".to_owned(), if synced { 1 } else { -1 })];
        self.metrics
            .show_conditions(&key.namespace, &key.name, instance, values);
    }

    /// C55: the garbage collector takes the Secret away, unless we are asked to.
    async fn gone(&self, key: &Key) -> Option<Duration> {
        self.metrics.forget_conditions(&key.namespace, &key.name);
        if !self.settings.delete_ourselves {
            return None;
        }
        tracing::info!("sealed-secret" = %key, "SealedSecret has gone, deleting Secret");
        match action::delete_secret(&self.api, &key.namespace, &key.name).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(key = %key, error = %error, "Error updating, will retry");
                Some(Duration::from_secs(10))
            }
        }
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Known,
        body: Option<SealedSecret>,
    ) -> Result<(SealedSecret, Outcome), Stop> {
        // What was read ahead will do if it is what the watch showed last.
        let body = body.filter(|sealed| known.is_last_seen(sealed));
        let sealed = match body {
            Some(sealed) => sealed,
            None => {
                let path = action::sealed_secret(&key.namespace, &key.name);
                let read = self.api.get(&path).await;
                match read.and_then(|answer| action::read(&answer)) {
                    Ok(sealed) => sealed,
                    Err(error) if error.is_not_found() => return Err(Stop::Gone),
                    Err(error) => return Err(Stop::Fetch(error)),
                }
            }
        };
        if sealed.metadata.deletion_timestamp.is_some()
            || sealed.metadata.uid.as_ref() != Some(&known.uid)
        {
            return Err(Stop::Gone);
        }
        let digest = Digest::of(&sealed, self.settings.accept_deprecated_data);
        let sealed = Arc::new(sealed);
        let outcome = self.apply(key, known, &sealed, digest).await;
        let outcome = outcome.map(|applied| {
            let claim = self.keys.with(|ring| {
                Claim::make(ring, applied.opened_by.as_deref(), digest, &applied.version)
            });
            self.index.update(key, &known.uid, |known| {
                known.digest = digest;
                known.applied = Some((digest, applied.version.clone()));
                known.target = Target::Present {
                    version: applied.version,
                    reclaimed: applied.reclaimed,
                };
                known.opened_by = applied.opened_by;
                known.hopeless = None;
                known.failures = 0;
            });
            claim.map(|claim| claim.text())
        });
        let sealed = Arc::try_unwrap(sealed).unwrap_or_else(|shared| (*shared).clone());
        Ok((sealed, outcome))
    }

    /// Makes the target what the object asks for.
    async fn apply(
        &self,
        key: &Key,
        known: &Known,
        sealed: &Arc<SealedSecret>,
        digest: Digest,
    ) -> Result<Applied, Problem> {
        let tolerated = known.is_applied() && known.digest == digest;
        if tolerated && let Some(applied) = self.still_applied(key, known, sealed).await {
            return Ok(applied);
        }
        let (wanted, opened_by) = self.open(key, known, sealed, digest).await?;
        let uid = &known.uid;
        let mut look = !matches!(known.target, Target::Absent);
        for _ in 0..LOOKS {
            let target = match look {
                true => self
                    .read_target(key)
                    .await
                    .map_err(|error| Problem::write(&key.to_string(), &error))?,
                false => None,
            };
            look = true;
            let plan = plan::plan(&wanted, uid, target.as_ref(), tolerated);
            let (written, metadata) = match &plan {
                Plan::Keep => {
                    let target = target.expect("only what is there is kept");
                    (Ok(Version::of(&target.metadata)), target.metadata)
                }
                Plan::Create => (
                    action::create_secret(&self.api, &wanted).await,
                    wanted.metadata.clone(),
                ),
                Plan::Replace(new) => (
                    action::replace_secret(&self.api, new).await,
                    new.metadata.clone(),
                ),
                Plan::Refuse => return Err(Problem::unmanaged(&key.name)),
            };
            match written {
                // T4: a Secret that may not be written again is not one that is kept in step.
                Ok(_) if !plan::is_ours(&metadata, uid) => {
                    return Err(Problem::unmanaged(&key.name));
                }
                Ok(version) => {
                    return Ok(Applied {
                        version,
                        reclaimed: plan::is_reclaimed(&metadata, uid),
                        opened_by,
                    });
                }
                Err(error) if error.is_conflict() || error.is_not_found() => {
                    tracing::debug!(key = %key, "somebody else wrote the Secret, looking again");
                }
                Err(error) => return Err(Problem::write(&key.to_string(), &error)),
            }
        }
        Err(Problem::write(
            &key.to_string(),
            &ApiError::Unreachable("the Secret keeps changing".to_owned()),
        ))
    }

    /// Tells without unsealing whether the target is the version that was written.
    async fn still_applied(
        &self,
        key: &Key,
        known: &Known,
        sealed: &SealedSecret,
    ) -> Option<Applied> {
        let (_, applied) = known.applied.as_ref()?;
        let (version, reclaimed) = match &known.target {
            Target::Present { version, reclaimed } => (version.clone(), *reclaimed),
            Target::Absent => return None,
            Target::Unknown => {
                #[derive(Deserialize)]
                struct Object {
                    metadata: ObjectMeta,
                }
                let path = format!("{}/{}", action::secrets(&key.namespace), key.name);
                let answer = self.api.get_metadata(&path).await.ok()?;
                let metadata = action::read::<Object>(&answer).ok()?.metadata;
                let uid = sealed.metadata.uid.as_deref().unwrap_or_default();
                let reclaimed = plan::is_reclaimed(&metadata, uid);
                (Version::of(&metadata), reclaimed)
            }
        };
        (version == *applied).then(|| Applied {
            version,
            reclaimed,
            opened_by: known.opened_by.clone(),
        })
    }

    /// Opens the values on the threads of the pool.
    async fn open(
        &self,
        key: &Key,
        known: &Known,
        sealed: &Arc<SealedSecret>,
        digest: Digest,
    ) -> Result<(PlainSecret, Option<String>), Problem> {
        let version = self.keys.changes().version;
        if let Some((failed, keys, text)) = &known.hopeless
            && (*failed, *keys) == (digest, version)
        {
            return Err(Problem::unseal(text.clone()));
        }
        let (keys, object) = (Arc::clone(&self.keys), Arc::clone(sealed));
        let accept_deprecated_data = self.settings.accept_deprecated_data;
        let remembered = known.opened_by.clone();
        let opened = self
            .pool
            .run(move || {
                // Templates run without the lock on the keys: they take as long as their author wants.
                let opened = keys.with(|ring| {
                    let remembered: Option<&Fingerprint> = remembered
                        .and_then(|fingerprint| ring.find(&fingerprint))
                        .map(|key| key.fingerprint());
                    let options = UnsealOptions {
                        accept_deprecated_data,
                        remembered,
                    };
                    open(&object, ring, &options)
                });
                opened
                    .and_then(|opened| opened.fill(&object, Limits::default()))
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
            Ok(Err((exceeds_budget, text))) => {
                // A template may say something else another time, but one that needs too much does not get better.
                if exceeds_budget || sealed.spec.template.data.is_empty() {
                    self.index.update(key, &known.uid, |known| {
                        known.hopeless = Some((digest, version, text.clone()));
                    });
                }
                Err(Problem::unseal(text))
            }
            Err(panicked) => Err(Problem::internal(panicked.to_string())),
        }
    }

    async fn read_target(&self, key: &Key) -> Result<Option<PlainSecret>, ApiError> {
        let path = format!("{}/{}", action::secrets(&key.namespace), key.name);
        match self.api.get(&path).await {
            Ok(answer) => PlainSecret::from_json(answer.expose())
                .map(Some)
                .map_err(|_| ApiError::Unreadable),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the status where it is not true already; tells whether that is dealt with.
    async fn tell(&self, key: &Key, mut sealed: SealedSecret, outcome: &Outcome) -> bool {
        if !self.settings.update_status {
            return true;
        }
        let uid = sealed.metadata.uid.clone().unwrap_or_default();
        for _ in 0..LOOKS {
            let Some(status) = report::status(&sealed, outcome, Timestamp::now()) else {
                let status = sealed.status.unwrap_or_default();
                self.index.state(key, &uid, &status);
                return true;
            };
            self.index.state(key, &uid, &status);
            let error = match action::set_status(&self.api, &sealed, &status).await {
                Ok(_) => return true,
                Err(error) => error,
            };
            // Somebody changed the object: if that concerns us, it comes again anyway.
            if error.is_conflict()
                && let Some(fresh) = self.unchanged(key, &sealed).await
            {
                sealed = fresh;
                continue;
            }
            if error.is_conflict() || error.is_not_found() {
                return true;
            }
            tracing::error!("sealed-secret" = %key, error = %error, "Error updating SealedSecret status");
            self.metrics.unseal_failed(Failure::Status, &key.namespace);
            break;
        }
        self.index.update(key, &uid, |known| known.misstated = true);
        false
    }

    /// Reads the object again and hands it out if what decides is still the same.
    async fn unchanged(&self, key: &Key, before: &SealedSecret) -> Option<SealedSecret> {
        let path = action::sealed_secret(&key.namespace, &key.name);
        let answer = self.api.get(&path).await.ok()?;
        let fresh: SealedSecret = action::read(&answer).ok()?;
        let digest = |sealed| Digest::of(sealed, self.settings.accept_deprecated_data);
        (digest(&fresh) == digest(before)).then_some(fresh)
    }
}

impl Reconciler for SealedSecrets {
    type Key = Key;

    fn queue(&self) -> &Queue<Key> {
        &self.queue
    }

    fn watch(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        watch::watch(self)
    }

    async fn reconcile(&self, key: &Key) -> Option<Duration> {
        let body = self.bodies.take(key);
        let Some(known) = self.index.get(key) else {
            self.metrics.unseal_requested();
            return self.gone(key).await;
        };
        // Two changes that came together were dealt with together.
        if known.is_settled(!self.settings.skip_recreate) {
            return None;
        }
        self.metrics.unseal_requested();
        tracing::info!(key = %key, "Updating");
        let keys = self.keys.changes().version;
        let (sealed, outcome) = match self.attempt(key, &known, body).await {
            Ok(result) => result,
            Err(Stop::Gone) => return None,
            Err(Stop::Fetch(error)) => {
                tracing::error!(key = %key, error = %error, "Error fetching object");
                self.metrics.unseal_failed(Failure::Fetch, "");
                let failures = self.count_failure(key, &known);
                return Some(self.pause(report::Verdict::TryAgain, failures));
            }
        };
        let happening = report::happening(&sealed, &outcome);
        tracing::info!(
            "Event(v1.ObjectReference{{Kind:\"SealedSecret\", Namespace:{:?}, Name:{:?}, UID:{:?}, APIVersion:\"bitnami.com/v1alpha1\", ResourceVersion:{:?}, FieldPath:\"\"}}): type: '{}' reason: '{}' {}",
            key.namespace,
            key.name,
            known.uid,
            sealed
                .metadata
                .resource_version
                .as_deref()
                .unwrap_or_default(),
            if happening.warning {
                "Warning"
            } else {
                "Normal"
            },
            happening.reason,
            happening.message,
        );
        let instance = index::instance(&sealed);
        // Counted before it is told: a key that comes from now on finds the object among those that fail.
        let failures = outcome
            .as_ref()
            .err()
            .map(|_| self.count_failure(key, &known));
        let ((), told) = tokio::join!(
            action::emit(&self.api, &self.recorder, &happening),
            self.tell(key, sealed, &outcome),
        );
        self.show(key, &instance, outcome.is_ok());
        let Err(problem) = outcome else {
            return (!told).then(|| UNTOLD + jitter(UNTOLD));
        };
        self.metrics.unseal_failed(problem.failure, &key.namespace);
        let failures = failures.unwrap_or_default();
        let wait = match self.keys.changes().version == keys {
            true => self.pause(problem.verdict, failures),
            // The one that came while this attempt was under way may open it.
            false => Duration::ZERO,
        };
        let message = match failures > self.settings.quick_retries {
            false => "Error updating, will retry",
            true => "Error updating, will retry slowly",
        };
        tracing::error!(key = %key, error = problem.text, "{message}");
        Some(wait)
    }

    fn forget(&self) {
        self.queue.clear();
        self.index.clear();
        self.bodies.clear();
    }
}

impl SealedSecrets {
    fn count_failure(&self, key: &Key, known: &Known) -> u32 {
        let failures = known.failures.saturating_add(1);
        self.index
            .update(key, &known.uid, |known| known.failures = failures);
        failures
    }

    fn pause(&self, verdict: report::Verdict, failures: u32) -> Duration {
        let wait = report::again(verdict, failures, self.settings.quick_retries);
        wait + jitter(wait)
    }
}

/// T44: what only the API server may set, as it comes into templates made from live objects.
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

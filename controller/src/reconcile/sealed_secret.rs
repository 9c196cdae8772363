//! SealedSecrets become Secrets and stay so.
//!
//! Flow of one object: it is read, its values are opened on the threads of the pool with the key
//! that opened it last time, the target is read, [`plan`] says what to do, [`action`] does it, and
//! [`report`] says what the users are told. Guarantees:
//!
//! - The newest version of an object is dealt with, whatever happens while an older one is (see
//!   [`tracked`](crate::frame::tracked)).
//! - A Secret is written under the version that was looked at; if another writer was faster, it is
//!   looked at again.
//! - Nothing is written when nothing changed: neither Secret nor status.
//! - What fails is tried again for ever, slower and slower, and at once when the object, its
//!   target or the set of keys changes.

mod backlog;
mod plan;
mod proof;
mod report;
mod subject;
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
use self::plan::Plan;
use self::proof::Claim;
use self::report::{Outcome, Problem};
use self::subject::{Subject, status_fingerprint};
use super::Reconciler;
use crate::action::{self, Version};
use crate::api::{Api, ApiError, jitter};
use crate::event::Recorder;
use crate::frame::index::{Index, Key};
use crate::frame::read::Read;
use crate::frame::tracked::{Compared, Digest, Ended, State, Target, Tracked};
use crate::keys::SealingKeys;
use crate::metrics::{Failure, Metrics};
use crate::pool::Pool;
use crate::queue::Queue;

/// How often one attempt looks again because another writer was faster.
const LOOKS: u32 = 4;

/// When a status that could not be written is tried again.
const UNTOLD: Duration = Duration::from_secs(10);

/// When an object is worked on again that has changed under the worker's hands. The watch usually says so before.
const OVERTAKEN: Duration = Duration::from_millis(100);

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
    index: Index<Extra>,
    bodies: Bodies,
}

/// What is remembered of a SealedSecret beside what is remembered of every object.
#[derive(Clone, Default)]
struct Extra {
    /// The label that the metric shows.
    instance: String,
    /// The key that opened it last time.
    opened_by: Option<String>,
    /// An attempt with this digest and this set of keys failed and would fail again, and how.
    hopeless: Option<(Digest, u64, String)>,
    /// What its status claims, until that is checked.
    claim: Option<Claim>,
    /// How often it could not be read from the API server.
    unread: u32,
}

type Known = Tracked<Extra>;

/// A Secret that is as it should be.
struct Applied {
    version: Version,
    opened_by: Option<String>,
}

/// A problem, and the target that plays a part in it: its version, or that there is none.
struct Failed {
    problem: Problem,
    looked_at: Option<Option<Version>>,
}

impl From<Problem> for Failed {
    /// The target plays no part.
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            looked_at: None,
        }
    }
}

/// Whether the status of an object is true now.
enum Told {
    Yes,
    /// The object has changed meanwhile.
    Overtaken,
    No,
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
        let index = Index::new(settings.update_status);
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

    /// Takes note of an object that a watch shows; returns true if that asks for work.
    fn see(&self, key: &Key, read: &Read<SealedSecret>) -> bool {
        let seen = subject::seen(read, self.settings.accept_deprecated_data);
        let metadata = kube::Resource::meta(read);
        let uid = metadata.uid.as_deref().unwrap_or_default();
        self.index.see(key, uid, seen, |extra, changed| {
            extra.instance = subject::instance(metadata);
            if changed {
                extra.claim = subject::claim(read);
            }
        })
    }

    /// Hands out everything that is not proved to be as it should be.
    fn work_to_start(&self, namespace: Option<&str>) -> Vec<Key> {
        let watched = !self.settings.skip_recreate;
        let statuses = self.settings.update_status;
        let (mut work, mut proved) = (Vec::new(), Vec::new());
        let (mut listed, mut unchanged) = (0, 0);
        self.keys.with(|ring| {
            self.index.for_each(namespace, |key, known| {
                listed += 1;
                let claim = known.extra.claim.take();
                let digest = known.observed().digest;
                let checked = claim
                    .filter(|_| known.done().is_none())
                    .and_then(|claim| claim.check(ring, digest));
                let is_proved = checked.is_some();
                if let Some((version, opened_by)) = checked {
                    known.extra.opened_by = Some(opened_by);
                    match watched {
                        true => known.settle_as_observed(version),
                        // Without a watch of Secrets the target has not been looked at yet.
                        false => known.remember_applied(digest, version),
                    }
                }
                let state = known.state(statuses);
                if state.is_work() {
                    work.push(key.clone());
                }
                if state == State::Settled {
                    unchanged += 1;
                    if is_proved {
                        proved.push((key.clone(), known.extra.instance.clone()));
                    }
                }
            });
        });
        tracing::info!(
            namespace = namespace.unwrap_or_default(),
            "{listed} SealedSecrets listed, {unchanged} unchanged"
        );
        for (key, instance) in proved {
            self.metrics.unseal_skipped();
            self.show(&key, &instance, true);
        }
        work
    }

    /// Returns true if there is something to do about an object.
    fn is_unsettled(&self, key: &Key) -> bool {
        let known = self.index.get(key);
        known.is_some_and(|known| known.state(self.settings.update_status).is_work())
    }

    fn show(&self, key: &Key, instance: &str, synced: bool) {
        let values = vec![("Synced".to_owned(), if synced { 1 } else { -1 })];
        self.metrics
            .show_conditions(&key.namespace, &key.name, instance, values);
    }

    /// The garbage collector takes the Secret away, unless we are asked to (C55).
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

    /// Reads an object, if it is still the one that is known; what was read ahead will do if it is what the watch showed last.
    async fn read(
        &self,
        key: &Key,
        known: &Known,
        body: Option<Read<SealedSecret>>,
    ) -> Result<Subject, Stop> {
        let version = |read: &Read<SealedSecret>| {
            known.is_last_seen(kube::Resource::meta(read).resource_version.as_deref())
        };
        let read = match body.filter(version) {
            Some(read) => read,
            None => match self.fetch(key).await {
                Ok(read) => read,
                Err(error) if error.is_not_found() => return Err(Stop::Gone),
                Err(error) => return Err(Stop::Fetch(error)),
            },
        };
        let metadata = kube::Resource::meta(&read);
        if metadata.deletion_timestamp.is_some()
            || metadata.uid.as_deref().unwrap_or_default() != known.uid()
        {
            return Err(Stop::Gone);
        }
        Ok(Subject::of(read, self.settings.accept_deprecated_data))
    }

    async fn fetch(&self, key: &Key) -> Result<Read<SealedSecret>, ApiError> {
        let path = action::sealed_secret(&key.namespace, &key.name);
        action::read(&self.api.get(&path).await?)
    }

    /// Makes the cluster what an object asks for, and records what came of it.
    async fn attempt(&self, key: &Key, known: &Known, subject: Subject) -> (SealedSecret, Outcome) {
        let Subject {
            sealed,
            fault,
            seen,
        } = subject;
        let digest = seen.digest;
        let sealed = Arc::new(sealed);
        let applied = match fault {
            Some(text) => Err(Problem::unreadable(text).into()),
            None => self.apply(key, known, &sealed, digest).await,
        };
        let (ended, outcome) = match applied {
            Ok(Applied { version, opened_by }) => {
                let claim = self
                    .keys
                    .with(|ring| Claim::make(ring, opened_by.as_deref(), digest, &version));
                self.index.update(key, known.uid(), |known| {
                    known.extra.opened_by = opened_by;
                    known.extra.hopeless = None;
                });
                let text = claim.map(|claim| claim.text());
                (Ended::Applied(Some(version)), Ok(text))
            }
            Err(Failed { problem, looked_at }) => {
                let count = known.next_failure(digest);
                (Ended::Failed { count, looked_at }, Err(problem))
            }
        };
        self.index
            .update(key, known.uid(), |known| known.finish(seen, ended));
        let sealed = Arc::try_unwrap(sealed).unwrap_or_else(|shared| (*shared).clone());
        (sealed, outcome)
    }

    /// Makes the target what the object asks for.
    async fn apply(
        &self,
        key: &Key,
        known: &Known,
        sealed: &Arc<SealedSecret>,
        digest: Digest,
    ) -> Result<Applied, Failed> {
        if let Some(version) = self.still_applied(key, known, digest).await {
            return Ok(Applied {
                version,
                opened_by: known.extra.opened_by.clone(),
            });
        }
        let tolerated = known.is_applied(digest);
        let (wanted, opened_by) = self.open(key, known, sealed, digest).await?;
        let uid = known.uid();
        let mut look = !matches!(known.target(), Target::Absent { .. });
        for _ in 0..LOOKS {
            let target = match look {
                true => self
                    .read_target(key)
                    .await
                    .map_err(|error| Problem::write(&key.to_string(), &error))?,
                false => None,
            };
            look = true;
            let there = target.as_ref().map(|target| Version::of(&target.metadata));
            let failed = |problem, looked_at| {
                Err(Failed {
                    problem,
                    looked_at: Some(looked_at),
                })
            };
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
                Plan::Replace(new) => {
                    if tolerated {
                        self.index
                            .update(key, uid, |known| known.edits().put_back());
                    }
                    (
                        action::replace_secret(&self.api, new).await,
                        new.metadata.clone(),
                    )
                }
                Plan::Refuse => return failed(Problem::unmanaged(&key.name), there),
            };
            match written {
                // A Secret that may not be written again is not one that is kept in step (T4).
                Ok(version) if !plan::is_ours(&metadata, uid) => {
                    return failed(Problem::unmanaged(&key.name), Some(version));
                }
                Ok(version) => return Ok(Applied { version, opened_by }),
                Err(error) if error.is_conflict() || error.is_not_found() => {
                    tracing::debug!(key = %key, "another writer was faster, reading the Secret again");
                }
                Err(error) => return failed(Problem::write(&key.to_string(), &error), there),
            }
        }
        let error = ApiError::Unreachable("the Secret keeps changing".to_owned());
        Err(Problem::write(&key.to_string(), &error).into())
    }

    /// The version of the target if it is known, without unsealing, to be what the object asks for.
    async fn still_applied(&self, key: &Key, known: &Known, digest: Digest) -> Option<Version> {
        let applied = known.applied(digest)?;
        let same = match known.compare_target(applied) {
            Compared::Same => true,
            Compared::Gone { .. } | Compared::Other => false,
            Compared::Unknown => {
                #[derive(Deserialize)]
                struct Object {
                    metadata: ObjectMeta,
                }
                let path = format!("{}/{}", action::secrets(&key.namespace), key.name);
                let answer = self.api.get_metadata(&path).await.ok()?;
                let metadata = action::read::<Object>(&answer).ok()?.metadata;
                Version::of(&metadata) == *applied
            }
        };
        same.then(|| applied.clone())
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
        if let Some((failed, keys, text)) = &known.extra.hopeless
            && (*failed, *keys) == (digest, version)
        {
            return Err(Problem::unseal(text.clone()));
        }
        let (keys, object) = (Arc::clone(&self.keys), Arc::clone(sealed));
        let accept_deprecated_data = self.settings.accept_deprecated_data;
        let remembered = known.extra.opened_by.clone();
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
                    self.index.update(key, known.uid(), |known| {
                        known.extra.hopeless = Some((digest, version, text.clone()));
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

    /// Writes the status where it is not true already.
    async fn tell(&self, key: &Key, mut sealed: SealedSecret, outcome: &Outcome) -> Told {
        if !self.settings.update_status {
            return Told::Yes;
        }
        let uid = sealed.metadata.uid.clone().unwrap_or_default();
        let is_true = |status: u64, version: &str| {
            self.index
                .update(key, &uid, |known| known.state_written(status, version));
            Told::Yes
        };
        let mut told = Told::No;
        for _ in 0..LOOKS {
            let Some(status) = report::status(&sealed, outcome, Timestamp::now()) else {
                let version = sealed.metadata.resource_version.unwrap_or_default();
                return is_true(status_fingerprint(sealed.status.as_ref()), &version);
            };
            let error = match action::set_status(&self.api, &sealed, &status).await {
                Ok(version) => {
                    return is_true(status_fingerprint(Some(&status)), &version.resource_version);
                }
                Err(error) => error,
            };
            if error.is_not_found() {
                told = Told::Overtaken;
                break;
            }
            if error.is_conflict() {
                match self.unchanged(key, &sealed).await {
                    Ok(Some(fresh)) => {
                        sealed = fresh;
                        continue;
                    }
                    Ok(None) => {
                        told = Told::Overtaken;
                        break;
                    }
                    Err(_) => {}
                }
            }
            tracing::error!("sealed-secret" = %key, error = %error, "Error updating SealedSecret status");
            self.metrics.unseal_failed(Failure::Status, &key.namespace);
            break;
        }
        self.index
            .update(key, &uid, |known| known.state_not_written());
        told
    }

    /// Reads the object again and returns it if what decides is still the same.
    async fn unchanged(
        &self,
        key: &Key,
        before: &SealedSecret,
    ) -> Result<Option<SealedSecret>, ApiError> {
        let read = match self.fetch(key).await {
            Ok(read) => read,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let accept = self.settings.accept_deprecated_data;
        let before = proof::digest(before, accept);
        let fresh = read.0.ok();
        Ok(fresh.filter(|fresh| proof::digest(fresh, accept) == before))
    }

    /// How long an edited target has to wait for being put back; zero means that the worker goes on.
    fn brake(&self, key: &Key, known: &Known) -> (Duration, bool) {
        let now = tokio::time::Instant::now();
        let brake = |known: &mut Known| {
            let edits = known.edits();
            let wait = edits.wait(now);
            if wait.is_zero() {
                edits.note(now);
            }
            (wait, edits.is_war())
        };
        self.index
            .update(key, known.uid(), brake)
            .unwrap_or_default()
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
        let mut contested = None;
        match known.state(self.settings.update_status) {
            // Two changes that came together were dealt with together.
            State::Settled => return None,
            State::TargetEdited => {
                let (wait, war) = self.brake(key, &known);
                if !wait.is_zero() {
                    // The Secret is not what the object asks for while it waits, and the status says so.
                    if !war || known.is_failing() {
                        return Some(wait);
                    }
                    contested = Some(wait);
                }
            }
            State::Failed | State::Changed | State::TargetGone => {}
        }
        self.metrics.unseal_requested();
        tracing::info!(key = %key, "Updating");
        let keys = self.keys.changes().version;
        let subject = match self.read(key, &known, body).await {
            Ok(subject) => subject,
            Err(Stop::Gone) => return None,
            Err(Stop::Fetch(error)) => {
                tracing::error!(key = %key, error = %error, "Error fetching object");
                self.metrics.unseal_failed(Failure::Fetch, "");
                let unread = known.extra.unread.saturating_add(1);
                self.index
                    .update(key, known.uid(), |known| known.extra.unread = unread);
                return Some(self.pause(report::Verdict::TryAgain, unread));
            }
        };
        let (sealed, outcome) = match contested {
            None => self.attempt(key, &known, subject).await,
            Some(_) => self.contest(key, &known, subject),
        };
        let failures = self
            .index
            .update(key, known.uid(), |known| {
                known.extra.unread = 0;
                known.failures()
            })
            .unwrap_or_default();
        let happening = report::happening(&sealed, &outcome);
        tracing::info!(
            "Event(v1.ObjectReference{{Kind:\"SealedSecret\", Namespace:{:?}, Name:{:?}, UID:{:?}, APIVersion:\"bitnami.com/v1alpha1\", ResourceVersion:{:?}, FieldPath:\"\"}}): type: '{}' reason: '{}' {}",
            key.namespace,
            key.name,
            known.uid(),
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
        let instance = subject::instance(&sealed.metadata);
        let ((), told) = tokio::join!(
            action::emit(&self.api, &self.recorder, &happening),
            self.tell(key, sealed, &outcome),
        );
        self.show(key, &instance, outcome.is_ok());
        if let Err(problem) = &outcome {
            self.metrics.unseal_failed(problem.failure, &key.namespace);
        }
        match told {
            Told::Overtaken => return Some(OVERTAKEN),
            Told::No if outcome.is_ok() => return Some(UNTOLD + jitter(UNTOLD)),
            // What came meanwhile has queued the key too; this makes sure.
            Told::Yes if self.is_unsettled(key) => return Some(Duration::ZERO),
            Told::Yes | Told::No => {}
        }
        let wait = match &outcome {
            Ok(_) => return None,
            Err(_) if contested.is_some() => return contested,
            Err(problem) if self.keys.changes().version == keys => {
                self.pause(problem.verdict, failures)
            }
            // The key that came while this attempt was under way may open it.
            Err(_) => Duration::ZERO,
        };
        if let Err(problem) = outcome {
            let message = match failures > self.settings.quick_retries {
                false => "Error updating, will retry",
                true => "Error updating, will retry slowly",
            };
            tracing::error!(key = %key, error = problem.text, "{message}");
        }
        Some(wait)
    }

    fn forget(&self) {
        self.queue.clear();
        self.index.clear();
        self.bodies.clear();
    }
}

impl SealedSecrets {
    /// Ends an attempt before it begins, because another writer keeps changing the target.
    fn contest(&self, key: &Key, known: &Known, subject: Subject) -> (SealedSecret, Outcome) {
        let target = match known.target() {
            Target::Present { version, .. } => Some(version.clone()),
            Target::Unknown | Target::Absent { .. } => None,
        };
        let ended = Ended::Failed {
            count: 1,
            looked_at: Some(target),
        };
        self.index.update(key, known.uid(), |known| {
            known.finish(subject.seen, ended);
        });
        (subject.sealed, Err(Problem::contested()))
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

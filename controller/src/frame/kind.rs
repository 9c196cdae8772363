//! What a reconciler implements for its kind of resource, and what the frame keeps for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_template::Limits;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use super::bodies::{Ahead, Bodies};
use super::dependents::{Dependents, Need};
use super::event::{Event, Recorder};
use super::index::Index;
use super::object::{Key, Version};
use super::queue::Queue;
use super::read::Read;
use super::tracked::{Digest, Seen, Tracked, fingerprint};
use crate::action;
use crate::api::{Api, ApiError};
use crate::metrics::watches::Watches;
use crate::metrics::{Metrics, SyncedKind};
use crate::pool::{self, Panicked, Pool};

/// The reconciler of one kind of resource. [`frame`](super) explains how to add one.
pub(crate) trait Kind: Sized + Send + Sync + 'static {
    /// The name of the kind, as in manifests.
    const NAME: &'static str;

    /// The plural of the kind, for messages.
    const PLURAL: &'static str;

    /// Upstream's metrics of the kind, if it has any.
    const METRICS: Option<SyncedKind> = None;

    /// Which other objects are read, besides Secrets and our own kinds.
    const NEIGHBOURS: &'static [Neighbours] = &[];

    /// The resource.
    type Object: Resource<DynamicType = ()>
        + Clone
        + fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static;
    /// Its status.
    type Status: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// State of this kind that is tracked per object, in addition to the common state.
    type Extra: Clone + Default + Send + Sync + 'static;
    /// The result of one attempt.
    type Outcome: Send + Sync;

    /// The state that the frame keeps for this kind.
    fn frame(&self) -> &Frame<Self>;

    /// Digests everything that determines the desired state: the spec, and the metadata that matters.
    fn digest(&self, object: &Self::Object) -> Digest;

    /// Returns the status of an object.
    fn status(object: &Self::Object) -> Option<&Self::Status>;

    /// Returns the types of the conditions in a status, and whether each is True, for the metrics of the kind.
    fn conditions(_status: &Self::Status) -> Vec<(&str, bool)> {
        Vec::new()
    }

    /// Hashes a status without the fields that are not worth a write on their own, such as times.
    fn fingerprint(status: Option<&Self::Status>) -> u64 {
        fingerprint(status.and_then(|status| serde_json::to_string(status).ok()))
    }

    /// Returns the name of the Secret that the object writes, in its own namespace.
    fn target<'a>(&self, _object: &'a Self::Object) -> Option<&'a str> {
        None
    }

    /// Which of [`NEIGHBOURS`](Self::NEIGHBOURS) are read with the flags that this controller was started with.
    fn neighbours(&self) -> &'static [Neighbours] {
        Self::NEIGHBOURS
    }

    /// Returns what the object reads. A change of any of it enqueues the object.
    fn needs(&self, _object: &Self::Object) -> Vec<Need> {
        Vec::new()
    }

    /// Updates the tracked state of an object that was observed. `changed` says whether it is new or its digest changed.
    fn note(&self, _read: &Read<Self::Object>, _extra: &mut Self::Extra, _changed: bool) {}

    /// Returns true if a Secret with this metadata is recreated when it is deleted; `uid` is that of the object.
    fn reclaims(&self, _secret: &ObjectMeta, _uid: &str) -> bool {
        false
    }

    /// Returns false if an edit that leaves the target with this metadata can wait until the object is due.
    fn is_watched(&self, _secret: &ObjectMeta) -> bool {
        true
    }

    /// Called with the metadata of every Secret that the watch delivers.
    fn sees_secret(&self, _secret: &ObjectMeta) {}

    /// Called when a Secret was deleted.
    fn loses_secret(&self, _secret: &ObjectMeta) {}

    /// Returns true if deleting a Secret with this metadata enqueues the object whose target it is.
    fn makes_room(&self, secret: &ObjectMeta, uid: &str) -> bool {
        self.reclaims(secret, uid)
    }

    /// Waits until objects can be reconciled at all.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Runs next to the watches, for other events that may enqueue objects.
    fn beside(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Called after a start. Settles the object and returns true if it is proved to be up to date without an attempt.
    ///
    /// The state of its target is known only if `targets_known`.
    fn prove(&self, _known: &mut Tracked<Self::Extra>, _targets_known: bool) -> bool {
        false
    }

    /// Called when an object was proved to be up to date.
    fn proved(&self, _key: &Key, _extra: &Self::Extra) {}

    /// Returns the delay until an unchanged object is reconciled again, or `None` for never.
    fn due(&self, _known: &Tracked<Self::Extra>) -> Option<Duration> {
        None
    }

    /// Returns how long an attempt has to wait because something it depends on is overloaded.
    fn deferred(&self, _object: &Self::Object) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }

    /// Called before an attempt.
    fn begins(&self, _key: &Key) {}

    /// Brings the cluster to the state that the object asks for.
    ///
    /// `known` is the tracked state from before the attempt. Work that takes much processor time or memory belongs in the slow
    /// lane (see [`Frame::allowance`]).
    fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Self::Extra>,
        object: &Arc<Self::Object>,
    ) -> impl Future<Output = Attempt<Self::Outcome>> + Send;

    /// Returns the outcome for an object that cannot be parsed; `fault` names the field and quotes no value.
    fn unreadable(&self, fault: String) -> Self::Outcome;

    /// Returns the outcome for an object whose target another writer keeps changing.
    fn contested(&self) -> Self::Outcome {
        self.unreadable("another writer keeps changing the Secret".to_owned())
    }

    /// Returns the status to write after `outcome`, or `None` if the object already has it.
    fn report(
        &self,
        metadata: &ObjectMeta,
        status: Option<&Self::Status>,
        outcome: &Self::Outcome,
        now: Timestamp,
    ) -> Option<Self::Status>;

    /// Returns the events that report `outcome` to users.
    fn events(&self, _metadata: &ObjectMeta, _outcome: &Self::Outcome) -> Vec<Event> {
        Vec::new()
    }

    /// Called with the outcome of an attempt, for metrics and the log.
    fn ends(&self, _key: &Key, _metadata: &ObjectMeta, _outcome: &Self::Outcome) {}

    /// Returns the delay until the next refresh, or until the retry after `failures` consecutive failures.
    fn again(&self, key: &Key, outcome: &Self::Outcome, failures: u32) -> Option<Duration>;

    /// Called when an object could not be read from the API server, or its status could not be written.
    fn trouble(&self, key: &Key, trouble: Trouble, error: &ApiError) {
        tracing::warn!(kind = Self::NAME, key = %key, error = %error, "the API server refuses ({trouble:?})");
    }

    /// Cleans up after an object that is being deleted, and removes its finalizers.
    fn finalize(
        &self,
        _key: &Key,
        _object: &Self::Object,
    ) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }

    /// Discards all state about objects that is kept outside of the frame. Another replica may lead from now on, and the watches
    /// have ended.
    fn forgets(&self) {}

    /// Called when an object is gone.
    fn gone(&self, _key: &Key) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }
}

/// The result of one attempt.
pub(crate) struct Attempt<O> {
    /// The version of the target after the attempt; after a failure, the target that was involved in it.
    pub(crate) ended: Result<Option<Version>, LookedAt>,
    pub(crate) outcome: O,
}

/// The target that was involved in a failure, if any: its version, or the fact that it did not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LookedAt(pub(crate) Option<Option<Version>>);

/// A request of the frame itself that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Reading the object.
    Fetch,
    /// Writing the status.
    Status,
}

/// How the objects of a kind use Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretUse {
    /// They use none that have to be watched.
    None,
    /// They read those that [`Kind::needs`] names.
    Reads,
    /// They write a [target](Kind::target), and may read others.
    Writes,
}

/// How the objects of a kind are watched.
#[derive(Debug, Clone)]
pub(crate) struct Watching {
    /// Each namespace to watch, or one `None` for all of them.
    pub(crate) scopes: Vec<Option<String>>,
    /// Only objects with these labels.
    pub(crate) label_selector: String,
    pub(crate) secrets: SecretUse,
    /// Whether an outdated status alone enqueues an object.
    pub(crate) statuses: bool,
    /// The most objects reconciled at a time, not counting those that wait for an external answer.
    pub(crate) workers: usize,
}

/// What all kinds share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) api: Arc<Api>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) dependents: Arc<Dependents>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) metrics: Arc<Metrics>,
    /// What the templates of one object may use.
    pub(crate) limits: Limits,
    /// The threads for processor-bound work, and the one for slow work.
    pub(crate) pool: Arc<Pool>,
    pub(crate) slow_pool: Arc<Pool>,
    /// The budget for reading ahead, for all kinds together.
    pub(crate) ahead: Arc<Ahead>,
    /// How many objects may be rendered at a time.
    pub(crate) rendering: Arc<Semaphore>,
}

impl Shared {
    /// Templates and rewrites are bound by processor time and memory, so running many at once gains nothing. With a few at a
    /// time, their memory stays a fraction of what the shipped Deployment allows.
    const RENDERED_AT_ONCE: usize = 4;

    /// The permits of [`Shared::rendering`].
    pub(crate) fn rendering() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(Self::RENDERED_AT_ONCE))
    }

    /// Waits for a permit and renders on a low-priority thread, so that other tasks of the runtime do not wait for it. `plain`
    /// work has no template and no rewrite, and is not worth a thread.
    pub(crate) async fn render<T: Send>(&self, plain: bool, work: impl FnOnce() -> T + Send) -> T {
        if plain {
            return work();
        }
        let _turn = self.rendering.acquire().await;
        tokio::task::block_in_place(|| pool::aside(work))
    }
}

/// What the templates of an object may use in one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) limits: Limits,
    /// Whether the slow lane allows more than this.
    pub(crate) is_partial: bool,
    /// Whether the attempt runs in the slow lane.
    pub(crate) is_slow: bool,
}

impl Allowance {
    /// The limits of an attempt outside of the slow lane. Ordinary templates use a hundredth of them, and one attempt per thread
    /// of the pool fits in the memory of the process.
    const QUICK: Limits = Limits {
        time: Duration::from_millis(50),
        memory: 4 * 1024 * 1024,
    };

    /// Grants a `slow` attempt the full `limits`; no attempt gets more.
    fn new(limits: Limits, slow: bool) -> Self {
        let quick = Limits {
            time: limits.time.min(Self::QUICK.time),
            memory: limits.memory.min(Self::QUICK.memory),
        };
        Self {
            limits: if slow { limits } else { quick },
            is_partial: !slow && quick != limits,
            is_slow: slow,
        }
    }
}

/// Other objects that may be read, besides Secrets and our own kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Neighbours {
    ConfigMaps,
    /// All Namespaces, whatever the scope.
    Namespaces,
}

impl Neighbours {
    /// Returns the name of the kind, as in [`Need`].
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::ConfigMaps => "ConfigMap",
            Self::Namespaces => "Namespace",
        }
    }
}

/// The state that the frame keeps for one kind.
pub(crate) struct Frame<K: Kind> {
    pub(crate) watching: Watching,
    pub(crate) shared: Shared,
    pub(crate) queue: Queue<Key>,
    pub(crate) index: Index<K::Extra>,
    pub(super) bodies: Bodies<K::Object>,
    /// The progress of the watches, per scope.
    pub(super) progress: Vec<Progress>,
}

/// How far the watches of one scope have got.
pub(super) struct Progress {
    pub(super) scope: Option<String>,
    pub(super) objects: watch::Sender<Listing>,
    pub(super) targets: watch::Sender<Targets>,
}

/// Whether the objects of a scope have been listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Pending,
    /// Not at present, because the API server refuses.
    Stalled,
    /// There are none, because the CustomResourceDefinition is not installed.
    LeftOut,
    Listed,
}

/// Whether the Secrets of a scope have been listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    Pending,
    /// Not for this kind: it was added too late, or watching Secrets is forbidden.
    Unknown,
    /// This many times.
    Listed(u64),
}

impl<K: Kind> Frame<K> {
    pub(crate) fn new(shared: Shared, watching: Watching) -> Self {
        let progress = watching
            .scopes
            .iter()
            .map(|scope| Progress {
                scope: scope.clone(),
                objects: watch::channel(Listing::Pending).0,
                targets: watch::channel(Targets::Pending).0,
            })
            .collect();
        Self {
            index: Index::new(watching.statuses),
            queue: Queue::new(watching.workers),
            bodies: Bodies::new(Arc::clone(&shared.ahead)),
            watching,
            shared,
            progress,
        }
    }

    /// Returns the limits for the templates of an object. An attempt that exceeds a partial allowance is
    /// [slowed down](Queue::slow_down): its result is discarded, and it is repeated in the slow lane.
    pub(crate) fn allowance(&self, key: &Key) -> Allowance {
        Allowance::new(self.shared.limits, self.queue.is_slow(key))
    }

    /// Runs processor-bound work, such as templates, outside of the runtime's threads: on the pool for short work, or on the
    /// single thread of the slow lane, where namespaces take turns.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        key: &Key,
        allowance: &Allowance,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let pool = match allowance.is_slow {
            true => &self.shared.slow_pool,
            false => &self.shared.pool,
        };
        pool.run_for(&key.namespace, work).await
    }

    /// The API server.
    pub(crate) fn api(&self) -> &Api {
        &self.shared.api
    }

    /// Returns true if an object has to be reconciled now.
    pub(crate) fn is_unsettled(&self, key: &Key) -> bool {
        let known = self.index.get(key);
        known.is_some_and(|known| known.state(self.watching.statuses).is_work())
    }

    /// Forgets everything, because another replica may take over.
    pub(super) fn forget(&self) {
        self.queue.clear();
        self.index.clear();
        self.bodies.clear();
        for progress in &self.progress {
            progress.objects.send_replace(Listing::Pending);
            progress.targets.send_replace(Targets::Pending);
        }
    }
}

/// Converts an observed object to its tracked form.
pub(super) fn seen<K: Kind>(kind: &K, read: &Read<K::Object>) -> Seen {
    let (digest, status) = match &read.0 {
        Ok(object) => (kind.digest(object), K::fingerprint(K::status(object))),
        Err(fault) => {
            let status: Option<K::Status> = fault.status();
            (fault.digest, K::fingerprint(status.as_ref()))
        }
    };
    let metadata = read.meta();
    Seen {
        resource_version: metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
            .into(),
        digest,
        generation: metadata.generation,
        status,
        surroundings: 0,
    }
}

/// Reads one object.
pub(super) async fn fetch<K: Kind>(api: &Api, key: &Key) -> Result<Read<K::Object>, ApiError> {
    action::object::<K::Object, _>(api, key).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_gets_a_part_of_the_limits_and_a_slow_one_all_of_them() {
        let limits = Limits::default();
        let quick = Allowance::new(limits, false);
        assert!(quick.is_partial && quick.limits == Allowance::QUICK);
        let slow = Allowance::new(limits, true);
        assert!(!slow.is_partial && slow.limits == limits);
        // Limits this small leave no larger allowance for another attempt.
        let small = Limits {
            time: Duration::from_millis(20),
            memory: 1024,
        };
        for slow in [false, true] {
            let all = Allowance::new(small, slow);
            assert!(!all.is_partial && all.limits == small);
        }
    }
}

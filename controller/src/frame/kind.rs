//! What a kind of resource brings, and what the frame keeps for it.

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

/// A kind of resource. [`frame`](super) shows how one joins.
pub(crate) trait Kind: Sized + Send + Sync + 'static {
    /// The kind, as objects carry it.
    const NAME: &'static str;

    /// Several of them, as people write it.
    const PLURAL: &'static str;

    /// Upstream's metrics of the kind, if it has any.
    const METRICS: Option<SyncedKind> = None;

    /// What objects read beside Secrets and objects of kinds of ours.
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
    /// What is remembered of an object beside what is remembered of every object.
    type Extra: Clone + Default + Send + Sync + 'static;
    /// What came of one attempt.
    type Outcome: Send + Sync;

    /// What the frame keeps for this kind.
    fn frame(&self) -> &Frame<Self>;

    /// Digests everything that decides what the object asks for: its spec, and the metadata that counts.
    fn digest(&self, object: &Self::Object) -> Digest;

    /// The status of an object.
    fn status(object: &Self::Object) -> Option<&Self::Status>;

    /// The conditions of a status, for the metrics of the kind: their types, and whether they are True.
    fn conditions(_status: &Self::Status) -> Vec<(&str, bool)> {
        Vec::new()
    }

    /// A short name for what a status says; what may change without a reason to write, such as times, is left out.
    fn fingerprint(status: Option<&Self::Status>) -> u64 {
        fingerprint(status.and_then(|status| serde_json::to_string(status).ok()))
    }

    /// The name of the Secret that the object writes, in its own namespace.
    fn target<'a>(&self, _object: &'a Self::Object) -> Option<&'a str> {
        None
    }

    /// What objects read beside Secrets and objects of kinds of ours, as this controller was started.
    fn neighbours(&self) -> &'static [Neighbours] {
        Self::NEIGHBOURS
    }

    /// What the object reads: a change of it enqueues the object.
    fn needs(&self, _object: &Self::Object) -> Vec<Need> {
        Vec::new()
    }

    /// Completes what is remembered of an object, which is new or has `changed` in what decides, or has not.
    fn note(&self, _read: &Read<Self::Object>, _extra: &mut Self::Extra, _changed: bool) {}

    /// Returns true if a Secret with this metadata comes back when it is deleted; `uid` is that of the object.
    fn reclaims(&self, _secret: &ObjectMeta, _uid: &str) -> bool {
        false
    }

    /// Returns false if an edit that leaves a target with this metadata is no work before the object is due.
    fn is_watched(&self, _secret: &ObjectMeta) -> bool {
        true
    }

    /// Takes note of the metadata of any Secret that the watch shows.
    fn sees_secret(&self, _secret: &ObjectMeta) {}

    /// Takes note that a Secret was deleted.
    fn loses_secret(&self, _secret: &ObjectMeta) {}

    /// Returns true if the deletion of a Secret with this metadata is work for the object that has it as its target.
    fn makes_room(&self, secret: &ObjectMeta, uid: &str) -> bool {
        self.reclaims(secret, uid)
    }

    /// Waits until objects can be worked on at all.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Runs beside the watches, for what else may wake objects.
    fn beside(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// After a start: settles an object that is proved to be as it should be, and returns true if it is.
    ///
    /// Only if `targets_known` its target has been listed.
    fn prove(&self, _known: &mut Tracked<Self::Extra>, _targets_known: bool) -> bool {
        false
    }

    /// Takes note that an object was proved to be as it should be.
    fn proved(&self, _key: &Key, _extra: &Self::Extra) {}

    /// When an object that has not changed is to be worked on all the same: at once, after a while, or never.
    fn due(&self, _known: &Tracked<Self::Extra>) -> Option<Duration> {
        None
    }

    /// Returns how long an object has to wait before an attempt, because what it needs is overloaded.
    fn deferred(&self, _object: &Self::Object) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }

    /// Takes note that work on an object begins.
    fn begins(&self, _key: &Key) {}

    /// Makes the cluster what the object asks for.
    ///
    /// `known` is what was known when work began. What takes a lot of processor time or memory belongs into the slow lane
    /// (see [`Frame::allowance`]).
    fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Self::Extra>,
        object: &Arc<Self::Object>,
    ) -> impl Future<Output = Attempt<Self::Outcome>> + Send;

    /// The outcome for an object that cannot be read; `fault` names the field and no value.
    fn unreadable(&self, fault: String) -> Self::Outcome;

    /// The outcome for an object whose target another writer keeps changing.
    fn contested(&self) -> Self::Outcome {
        self.unreadable("another writer keeps changing the Secret".to_owned())
    }

    /// The status that is true after `outcome`, or nothing if the object has it already.
    fn report(
        &self,
        metadata: &ObjectMeta,
        status: Option<&Self::Status>,
        outcome: &Self::Outcome,
        now: Timestamp,
    ) -> Option<Self::Status>;

    /// The events that tell users about `outcome`.
    fn events(&self, _metadata: &ObjectMeta, _outcome: &Self::Outcome) -> Vec<Event> {
        Vec::new()
    }

    /// Takes note of what came of an attempt, for metrics and the log.
    fn ends(&self, _key: &Key, _metadata: &ObjectMeta, _outcome: &Self::Outcome) {}

    /// When an object is to be worked on again although nothing changes: a refresh, or a retry after `failures` in a row.
    fn again(&self, key: &Key, outcome: &Self::Outcome, failures: u32) -> Option<Duration>;

    /// Takes note that an object could not be read from the API server, or that its status could not be written.
    fn trouble(&self, key: &Key, trouble: Trouble, error: &ApiError) {
        tracing::warn!(kind = Self::NAME, key = %key, error = %error, "the API server refuses ({trouble:?})");
    }

    /// Ends what the object stands for, because it is being deleted; finalizers are removed here.
    fn finalize(
        &self,
        _key: &Key,
        _object: &Self::Object,
    ) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }

    /// Forgets what it has noted of objects beside what the frame keeps: from now on another replica may look after them, and no
    /// watch tells what becomes of them.
    fn forgets(&self) {}

    /// Deals with an object that is gone.
    fn gone(&self, _key: &Key) -> impl Future<Output = Option<Duration>> + Send {
        std::future::ready(None)
    }
}

/// What came of one attempt.
pub(crate) struct Attempt<O> {
    /// The target as it is now; or, after a failure, the target that plays a part in it.
    pub(crate) ended: Result<Option<Version>, LookedAt>,
    pub(crate) outcome: O,
}

/// The target that plays a part in a failure: nothing if none does, else its version, or that there was none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LookedAt(pub(crate) Option<Option<Version>>);

/// What the frame could not do for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Reading it.
    Fetch,
    /// Writing its status.
    Status,
}

/// What the objects of a kind have to do with Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretUse {
    /// Nothing that would have to be watched.
    None,
    /// They read some, and say which in [`Kind::needs`].
    Reads,
    /// They have a [target](Kind::target), and may read others.
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
    /// A status that is not true is something to do.
    pub(crate) statuses: bool,
    /// Objects that are worked on at a time; those that wait for an answer from outside do not count.
    pub(crate) workers: usize,
}

/// What kinds share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) api: Arc<Api>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) dependents: Arc<Dependents>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) metrics: Arc<Metrics>,
    /// What the templates of one object may use.
    pub(crate) limits: Limits,
    /// The threads for what takes a processor, and the one for what takes long.
    pub(crate) pool: Arc<Pool>,
    pub(crate) slow_pool: Arc<Pool>,
    /// What is read ahead of all kinds together.
    pub(crate) ahead: Arc<Ahead>,
    /// How many objects may be rendered at a time.
    pub(crate) rendering: Arc<Semaphore>,
}

impl Shared {
    /// Templates and rewrites take processor time and memory, and gain nothing from being many at a time. So few of them run at
    /// once, and what all together take stays a fraction of the memory that the shipped Deployment allows.
    const RENDERED_AT_ONCE: usize = 4;

    /// The permits of [`Shared::rendering`].
    pub(crate) fn rendering() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(Self::RENDERED_AT_ONCE))
    }

    /// Waits for a turn and renders, on a thread to which the system prefers those that serve everyone; other tasks of the
    /// runtime do not wait for it. Without a template or a rewrite the work is `plain`, and not worth a thread.
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
    /// There is more in the slow lane.
    pub(crate) is_partial: bool,
    /// The attempt is made in the slow lane.
    pub(crate) is_slow: bool,
}

impl Allowance {
    /// What an attempt may use among others: ordinary templates take a hundredth of it. As many attempts at once as there are
    /// threads in the pool fit in the memory of the process.
    const QUICK: Limits = Limits {
        time: Duration::from_millis(50),
        memory: 4 * 1024 * 1024,
    };

    /// Leaves an attempt `limits` if it is `slow`, and never more than that.
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

/// What objects may read beside Secrets and objects of kinds of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Neighbours {
    ConfigMaps,
    /// All of them, whatever the scope.
    Namespaces,
}

impl Neighbours {
    /// The kind, as [`Need`] has it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::ConfigMaps => "ConfigMap",
            Self::Namespaces => "Namespace",
        }
    }
}

/// What the frame keeps for one kind.
pub(crate) struct Frame<K: Kind> {
    pub(crate) watching: Watching,
    pub(crate) shared: Shared,
    pub(crate) queue: Queue<Key>,
    pub(crate) index: Index<K::Extra>,
    pub(super) bodies: Bodies<K::Object>,
    /// Of each scope.
    pub(super) progress: Vec<Progress>,
}

/// How far the watches of one scope are.
pub(super) struct Progress {
    pub(super) scope: Option<String>,
    pub(super) objects: watch::Sender<Listing>,
    pub(super) targets: watch::Sender<Targets>,
}

/// Whether the objects of a scope have been listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Pending,
    /// Not now: the API server refuses.
    Stalled,
    /// There are none: the kind is not installed.
    LeftOut,
    Listed,
}

/// Whether the Secrets of a scope have been listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    Pending,
    /// Not for this kind: it came too late, or Secrets may not be watched.
    Unknown,
    /// So many times.
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

    /// What the templates of an object may use. One that would need more than a partial allowance is
    /// [slowed down](Queue::slow_down): the attempt counts for nothing then, and is made again in the slow lane.
    pub(crate) fn allowance(&self, key: &Key) -> Allowance {
        Allowance::new(self.shared.limits, self.queue.is_slow(key))
    }

    /// Runs what takes a processor, such as templates, beside the threads that serve everyone: on those for the work of an
    /// instant, or in the slow lane on the only one for what takes long. Namespaces take turns there.
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

    /// Returns true if there is work to do at once about an object.
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

/// What an observation of an object says.
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
        // Limits that are no larger leave nothing for another attempt.
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

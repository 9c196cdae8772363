//! What every kind of resource is reconciled with.
//!
//! A kind says what its objects ask for and makes it so; everything else happens here, once: watching and paging, the queue,
//! what is remembered of each object, back-off, edit wars, statuses, events, wake-ups, leadership. The guarantees for every kind:
//!
//! - **No change is lost.** The state of an object is kept in two halves that never write each other: what the watches
//!   observed, and what a worker has done. An object is settled only if what was done covers the newest observation (see
//!   [`tracked`]).
//! - One object is never worked on twice at the same time, and a burst of changes is one piece of work ([`queue`]).
//! - Nothing is written when nothing has changed, and after a restart what is proved to be as it should be is not worked on.
//! - An object that cannot be read costs the others nothing, and says so in its own status ([`read`]).
//! - An object that waits for an answer from outside of the cluster makes no other wait ([`worker`]).
//! - An object that is expensive to work on makes only others of that sort wait, in a slow lane with one worker and one thread
//!   for all kinds, to which the system prefers every other ([`Frame::compute`](kind::Frame::compute)).
//! - Namespaces take turns, and none of them has all workers, so many objects at once make those of their own namespace wait
//!   ([`queue`]).
//! - A target Secret that is deleted or edited comes back at once; only an edit war is slowed down. Another writer's change is
//!   never overwritten unseen ([`secret_target`]).
//! - A kind whose CustomResourceDefinition is not installed is left out, and joins when it appears ([`watch`]).
//!
//! # How a kind joins
//!
//! A type holds a [`Frame`](kind::Frame) and what else it works with, implements [`Kind`], and is put in the list in
//! [`program`](crate::program). For a resource `Widget` that writes one Secret:
//!
//! ```text
//! pub(crate) struct Widgets { frame: Frame<Self>, vault: Arc<Vault> }
//!
//! impl Kind for Widgets {
//!     const NAME: &'static str = "Widget";
//!     const PLURAL: &'static str = "Widgets";
//!     type Object = Widget;
//!     type Status = WidgetStatus;
//!     type Extra = ();                     // remembered per object: keep it small, and no values
//!     type Outcome = Result<Timestamp, Problem>;
//!
//!     fn frame(&self) -> &Frame<Self> { &self.frame }
//!     fn digest(&self, widget: &Widget) -> Digest { Digest::of_json(&[&widget.spec, &widget.metadata.annotations]) }
//!     fn status(widget: &Widget) -> Option<&WidgetStatus> { widget.status.as_ref() }
//!     fn target<'a>(&self, widget: &'a Widget) -> Option<&'a str> { Some(&widget.spec.secret) }
//!     fn reclaims(&self, secret: &ObjectMeta, uid: &str) -> bool { /* is the Secret ours? */ }
//!     // A change of the store, or of a Secret that the object reads, wakes it.
//!     fn needs(&self, widget: &Widget) -> Vec<Need> { vec![Need::one("WidgetStore", namespace, &widget.spec.store)] }
//!
//!     async fn attempt(&self, key: &Key, known: &Tracked<()>, widget: &Arc<Widget>) -> Attempt<Self::Outcome> {
//!         let value = match self.vault.get(&widget.spec.path).await { … };
//!         // Read the Secret, judge it, write it under the version that was read, again if another writer was faster.
//!         match secret_target::write(self.frame.api(), key, true, |there| plan(&value, there)).await {
//!             Ok(written) => Attempt { ended: Ok(Some(written.version)), outcome: Ok(Timestamp::now()) },
//!             Err(failed) => Attempt { ended: Err(LookedAt(failed.looked_at)), outcome: Err(…) },
//!         }
//!     }
//!     // Pure: the status that is true after an outcome, or nothing if the object has it already.
//!     fn report(&self, metadata: &ObjectMeta, status: Option<&WidgetStatus>, outcome: &Self::Outcome, now: Timestamp) -> Option<WidgetStatus> { … }
//!     fn again(&self, key: &Key, outcome: &Self::Outcome, failures: u32) -> Option<Duration> {
//!         match outcome {
//!             Ok(_) => Some(self.refresh_interval),
//!             Err(problem) => Some(verdict::pause(problem.verdict, failures, 5)),
//!         }
//!     }
//!     // …
//! }
//! ```
//!
//! An object that has not changed is worked on only if [`Kind::due`] says so: a kind with refreshes keeps the time of the next
//! one in its `Extra` (the worker writes it with `frame.index.update`) and answers from that.

#[cfg(test)]
mod api_server;
pub(crate) mod backlog;
pub(crate) mod backoff;
pub(crate) mod bodies;
pub(crate) mod dependents;
pub(crate) mod event;
pub(crate) mod follow;
pub(crate) mod index;
pub(crate) mod kind;
pub(crate) mod object;
pub(crate) mod pages;
#[cfg(test)]
pub(crate) mod plain;
pub(crate) mod queue;
pub(crate) mod read;
pub(crate) mod secret_target;
pub(crate) mod secrets;
pub(crate) mod status;
pub(crate) mod tracked;
pub(crate) mod turns;
pub(crate) mod verdict;
pub(crate) mod watch;
pub(crate) mod watch_log;
pub(crate) mod work;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use self::dependents::Wake;
use self::kind::{Kind, Listing, Neighbours, Progress, SecretUse, Shared, Targets};
use self::object::{Key, Version, key_of};
use self::queue::{Lane, Urgency};
use crate::metrics::QueueDepth;

/// How long the watches rest after one of them has panicked.
const AFTER_PANIC: Duration = Duration::from_secs(5);
/// Running work gets this long to end when the process stops.
const GRACE: Duration = Duration::from_secs(10);

/// A kind, whatever its types.
pub(crate) trait AnyKind: Wake + 'static {
    /// Its name, as objects carry it.
    fn name(&self) -> &'static str;

    /// The namespaces it watches, or one `None` for all.
    fn scopes(&self) -> Vec<Option<String>>;

    /// What its objects have to do with Secrets.
    fn secret_use(&self) -> SecretUse;

    /// What else its objects read.
    fn neighbours(&self) -> &'static [Neighbours];

    /// How many objects are worked on at a time.
    fn workers(&self) -> usize;

    /// How many objects wait to be worked on, and where.
    fn depth(&self) -> QueueDepth;

    /// Watches its objects; ends only when it is dropped. `number` is its number among the dependents.
    fn watch(self: Arc<Self>, number: usize) -> BoxFuture<'static, ()>;

    /// Works on the objects of a lane until `halt` turns true.
    fn work(self: Arc<Self>, lane: Lane, halt: signal::Receiver<bool>) -> BoxFuture<'static, ()>;

    /// Forgets what was seen, because another replica may take over.
    fn forget(&self);

    /// Waits until the objects of a scope are listed, or cannot be listed now.
    fn listed_or_stalled(&self, scope: Option<&str>) -> BoxFuture<'_, ()>;

    /// Waits until the objects of a scope are listed, which never happens while the kind is left out.
    fn listed(&self, scope: Option<&str>) -> BoxFuture<'_, ()>;

    /// Waits until the objects of a scope are listed, or there can be none because the kind is left out.
    fn listed_or_left_out(&self, scope: Option<&str>) -> BoxFuture<'_, ()>;

    /// Begins a listing of Secrets; returns nothing if the objects of the scope are not known yet.
    fn begin_listing_targets(&self, scope: Option<&str>) -> Option<u64>;

    /// Takes note of a Secret.
    fn see_target(&self, scope: Option<&str>, secret: &ObjectMeta);

    /// Takes note that a Secret was deleted.
    fn lose_target(&self, secret: &ObjectMeta);

    /// Ends a listing of Secrets that this kind took part in, or not.
    fn targets_listed(&self, scope: Option<&str>, began: Option<u64>);
}

impl<K: Kind> Wake for K {
    fn wake(&self, key: &Key, urgency: Urgency) {
        let frame = self.frame();
        match frame.index.disturb(key, tokio::time::Instant::now()) {
            Some(Duration::ZERO) => frame.queue.add(key.clone(), urgency),
            Some(wait) => frame.queue.add_after(key.clone(), wait),
            None => {}
        }
    }

    fn may_have_missed(&self, key: &Key, version: Option<&str>) -> bool {
        self.frame().index.may_have_missed(key, version)
    }
}

impl<K: Kind> AnyKind for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn scopes(&self) -> Vec<Option<String>> {
        self.frame().watching.scopes.clone()
    }

    fn secret_use(&self) -> SecretUse {
        self.frame().watching.secrets
    }

    fn neighbours(&self) -> &'static [Neighbours] {
        Kind::neighbours(self)
    }

    fn workers(&self) -> usize {
        self.frame().watching.workers
    }

    fn depth(&self) -> QueueDepth {
        self.frame().queue.depth()
    }

    fn watch(self: Arc<Self>, number: usize) -> BoxFuture<'static, ()> {
        watch::watch(self, number).boxed()
    }

    fn work(self: Arc<Self>, lane: Lane, halt: signal::Receiver<bool>) -> BoxFuture<'static, ()> {
        work::work(self, lane, halt).boxed()
    }

    fn forget(&self) {
        self.frame().forget();
        self.forgets();
    }

    fn listed_or_stalled(&self, scope: Option<&str>) -> BoxFuture<'_, ()> {
        wait_for_listing(self, scope, |listing| *listing != Listing::Pending)
    }

    fn listed(&self, scope: Option<&str>) -> BoxFuture<'_, ()> {
        wait_for_listing(self, scope, |listing| *listing == Listing::Listed)
    }

    fn listed_or_left_out(&self, scope: Option<&str>) -> BoxFuture<'_, ()> {
        wait_for_listing(self, scope, |listing| {
            matches!(listing, Listing::Listed | Listing::LeftOut)
        })
    }

    fn begin_listing_targets(&self, scope: Option<&str>) -> Option<u64> {
        let is_listed = *progress(self, scope)?.objects.borrow() == Listing::Listed;
        is_listed.then(|| self.frame().index.begin_listing_targets())
    }

    fn see_target(&self, scope: Option<&str>, secret: &ObjectMeta) {
        let frame = self.frame();
        if frame.watching.secrets != SecretUse::Writes {
            return;
        }
        self.sees_secret(secret);
        let version = Version::of(secret);
        let reclaimed = |uid: &str| self.reclaims(secret, uid);
        let woken = frame.index.see_target(&key_of(secret), &version, reclaimed);
        // The first listing is judged as a whole.
        if !woken.is_empty()
            && self.is_watched(secret)
            && progress(self, scope)
                .is_some_and(|progress| *progress.targets.borrow() != Targets::Pending)
        {
            for key in woken {
                frame.queue.add(key, Urgency::Now);
            }
        }
    }

    fn lose_target(&self, secret: &ObjectMeta) {
        let frame = self.frame();
        if frame.watching.secrets != SecretUse::Writes {
            return;
        }
        self.loses_secret(secret);
        let version = Version::of(secret);
        let makes_room = |uid: &str| self.makes_room(secret, uid);
        for key in frame
            .index
            .lose_target(&key_of(secret), &version, makes_room)
        {
            frame.queue.add(key, Urgency::Now);
        }
    }

    fn targets_listed(&self, scope: Option<&str>, began: Option<u64>) {
        let Some(progress) = progress(self, scope) else {
            return;
        };
        if let Some(began) = began {
            self.frame().index.end_listing_targets(began, scope);
        }
        progress.targets.send_modify(|targets| {
            *targets = match (began, *targets) {
                (Some(_), Targets::Listed(count)) => Targets::Listed(count + 1),
                (Some(_), _) => Targets::Listed(1),
                (None, _) => Targets::Unknown,
            };
        });
    }
}

fn wait_for_listing<'a, K: Kind>(
    kind: &'a K,
    scope: Option<&str>,
    enough: impl FnMut(&Listing) -> bool + Send + 'a,
) -> BoxFuture<'a, ()> {
    let listing = progress(kind, scope).map(|progress| progress.objects.subscribe());
    async move {
        match listing {
            // It fails only when the process ends.
            Some(mut listing) => drop(listing.wait_for(enough).await),
            None => std::future::pending().await,
        }
    }
    .boxed()
}

fn progress<'a, K: Kind>(kind: &'a K, scope: Option<&str>) -> Option<&'a Progress> {
    let mut all = kind.frame().progress.iter();
    all.find(|progress| progress.scope.as_deref() == scope)
}

/// Reconciles all kinds whenever this replica leads, until `stop` turns true.
pub(crate) async fn run(
    kinds: Vec<Arc<dyn AnyKind>>,
    shared: Shared,
    mut leading: signal::Receiver<bool>,
    mut stop: signal::Receiver<bool>,
) {
    let numbers: Vec<usize> = kinds
        .iter()
        .map(|kind| {
            let kind: Arc<dyn Wake> = Arc::clone(kind) as _;
            shared.dependents.join(Arc::downgrade(&kind))
        })
        .collect();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            led = leading.wait_for(|leading| *leading) => if led.is_err() { return },
        }
        let (halt, _) = signal::channel(false);
        let (mut watching, mut working) = (JoinSet::new(), JoinSet::new());
        for (kind, number) in kinds.iter().zip(&numbers) {
            watching.spawn(Arc::clone(kind).watch(*number));
            working.spawn(Arc::clone(kind).work(Lane::Quick, halt.subscribe()));
            working.spawn(Arc::clone(kind).work(Lane::Slow, halt.subscribe()));
        }
        watch_shared(&kinds, &shared, &mut watching);
        let has_panicked = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => false,
            _ = leading.wait_for(|leading| !*leading) => false,
            () = panics(&mut watching) => true,
        };
        watching.shutdown().await;
        halt.send_replace(true);
        let all = async { while working.join_next().await.is_some() {} };
        // What does not end in time is dropped; it can be dropped at any point.
        let _ = tokio::time::timeout(GRACE, all).await;
        drop(working);
        for (kind, number) in kinds.iter().zip(&numbers) {
            kind.forget();
            shared.dependents.clear(*number);
        }
        if has_panicked {
            tracing::error!(
                "a watch has panicked, which is a fault of this program; all begin again"
            );
            let stops = stop.wait_for(|stop| *stop);
            let _ = tokio::time::timeout(AFTER_PANIC, stops).await;
        }
    }
}

/// Waits until one of the watches panics: without it, the objects of a kind would not be looked after any more.
async fn panics(watching: &mut JoinSet<()>) {
    loop {
        match watching.join_next().await {
            Some(Err(error)) if error.is_panic() => return,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Starts the watches that kinds share.
fn watch_shared(kinds: &[Arc<dyn AnyKind>], shared: &Shared, watching: &mut JoinSet<()>) {
    let mut secrets: BTreeMap<Option<String>, Vec<Arc<dyn AnyKind>>> = BTreeMap::new();
    let mut neighbours: BTreeMap<(Neighbours, Option<String>), Vec<secrets::Reader>> =
        BTreeMap::new();
    for kind in kinds {
        for scope in kind.scopes() {
            if kind.secret_use() != SecretUse::None {
                secrets
                    .entry(scope.clone())
                    .or_default()
                    .push(Arc::clone(kind));
            }
            for what in kind.neighbours() {
                let watched = match what {
                    Neighbours::Namespaces => None,
                    Neighbours::ConfigMaps => scope.clone(),
                };
                let readers = neighbours.entry((*what, watched)).or_default();
                readers.push((Arc::clone(kind), scope.clone()));
            }
        }
    }
    let shares = || {
        let Shared {
            api,
            watches,
            dependents,
            ..
        } = shared.clone();
        (api, watches, dependents)
    };
    for (scope, kinds) in secrets {
        let (api, watches, dependents) = shares();
        watching.spawn(secrets::watch(api, watches, dependents, scope, kinds));
    }
    for ((what, scope), readers) in neighbours {
        let (api, watches, dependents) = shares();
        watching.spawn(what.watch(api, watches, dependents, scope, readers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_panics_is_noticed() {
        let mut watching = JoinSet::new();
        watching.spawn(async {});
        watching.spawn(std::future::pending());
        let second = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(second, panics(&mut watching))
                .await
                .is_err()
        );
        watching.spawn(async { panic!("a fault") });
        assert!(
            tokio::time::timeout(second, panics(&mut watching))
                .await
                .is_ok()
        );
    }
}

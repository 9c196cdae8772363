//! The frame every kind of resource is reconciled in: watches feed a queue, workers empty it, all
//! of it only while this replica leads.
//!
//! A kind observes (reads), plans (purely: what was seen, to what is to be done) and lets
//! [`action`](crate::action) do it.

pub(crate) mod sealed_secret;
pub(crate) mod sealing_key;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::queue::Queue;

/// Running work gets this long to end when the process stops.
const GRACE: Duration = Duration::from_secs(10);

/// One kind of resource.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// What names one object.
    type Key: Clone + Eq + Hash + fmt::Display + Send + Sync;

    /// What waits to be worked on.
    fn queue(&self) -> &Queue<Self::Key>;

    /// Watches the cluster and fills the queue; ends only when it is dropped.
    fn watch(self: Arc<Self>) -> impl Future<Output = ()> + Send;

    /// Works on one object; a duration means that it is to come again.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Option<Duration>> + Send;

    /// Forgets what was seen, because another replica may have taken over.
    fn forget(&self);
}

/// Reconciles one kind whenever this replica leads, until `stop` turns true.
pub(crate) async fn run<R: Reconciler>(
    reconciler: Arc<R>,
    workers: usize,
    mut leading: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            led = leading.wait_for(|leading| *leading) => if led.is_err() { return },
        }
        let (halt, _) = watch::channel(false);
        let watching = tokio::spawn(Arc::clone(&reconciler).watch());
        let mut working = JoinSet::new();
        for _ in 0..workers {
            working.spawn(work(Arc::clone(&reconciler), halt.subscribe()));
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            _ = leading.wait_for(|leading| !*leading) => {}
        }
        watching.abort();
        halt.send_replace(true);
        let all = async { while working.join_next().await.is_some() {} };
        // What does not end in time is dropped; it can be dropped at any point.
        let _ = tokio::time::timeout(GRACE, all).await;
        drop(working);
        reconciler.forget();
    }
}

async fn work<R: Reconciler>(reconciler: Arc<R>, mut halt: watch::Receiver<bool>) {
    loop {
        let key = tokio::select! {
            biased;
            _ = halt.wait_for(|halt| *halt) => return,
            key = reconciler.queue().next() => key,
        };
        let again = reconciler.reconcile(&key).await;
        reconciler.queue().done(&key, again);
    }
}

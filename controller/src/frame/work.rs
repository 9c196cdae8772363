//! The work on one object: from a key of the queue to its new status.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::kind::{Attempt, Kind, LookedAt, Trouble, fetch, seen};
use super::object::Key;
use super::queue::{Lane, Queue};
use super::read::Read;
use super::status::{Told, tell};
use super::tracked::{Ended, Seen, State, Target, Tracked};
use super::verdict::{self, Verdict};
use super::worker::{Worker, Workers};
use crate::action;
use crate::api::{ApiError, jitter};
use crate::metrics::{MetricObject, SyncedKind};

/// When a status that could not be written is tried again.
const UNTOLD: Duration = Duration::from_secs(10);

/// When an object is worked on again that has changed under the worker's hands. The watch usually says so before.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// An object that is as it should be is not worked on sooner again.
const SOONEST: Duration = Duration::from_secs(1);

/// When an object is worked on again whose work has panicked.
const PANICKED: Duration = Duration::from_secs(60);

/// How often an object is read in vain at short intervals.
const QUICK_READS: u32 = 5;

/// An object as it was read.
struct Subject<K: Kind> {
    metadata: ObjectMeta,
    seen: Seen,
    object: Result<Arc<K::Object>, Faulty<K::Status>>,
}

/// An object that cannot be read.
struct Faulty<S> {
    /// Which field, and no value.
    fault: String,
    status: Option<S>,
}

/// Works on what the queue hands out in a lane until `halt` turns true.
pub(super) async fn work<K: Kind>(kind: Arc<K>, lane: Lane, mut halt: watch::Receiver<bool>) {
    let workers = Workers::new(match lane {
        Lane::Quick => kind.frame().watching.workers,
        Lane::Slow => 1,
    });
    let mut working = JoinSet::new();
    loop {
        let (worker, key) = tokio::select! {
            biased;
            _ = halt.wait_for(|halt| *halt) => break,
            found = next(&workers, &kind.frame().queue, lane) => found,
        };
        while working.try_join_next().is_some() {}
        let worker = worker.telling({
            let (kind, key) = (Arc::clone(&kind), key.clone());
            move |aside| kind.frame().queue.set_aside(&key, aside)
        });
        let kind = Arc::clone(&kind);
        working.spawn(worker.does(async move {
            let again = AssertUnwindSafe(reconcile(&*kind, &key))
                .catch_unwind()
                .await;
            let again = again.unwrap_or_else(|_| {
                tracing::error!(key = %key, kind = K::NAME, "the work on this object has panicked, which is a fault of this program");
                Some(PANICKED)
            });
            kind.frame().queue.done(&key, again);
        }));
    }
    // What has begun is ended, unless the caller that waits for it drops it.
    while working.join_next().await.is_some() {}
}

/// Waits for a key of a lane, and for a worker that is free for it.
async fn next(workers: &Workers, queue: &Queue<Key>, lane: Lane) -> (Worker, Key) {
    loop {
        let worker = workers.free().await;
        let due = match queue.take(lane) {
            Ok(key) => return (worker, key),
            Err(due) => due,
        };
        // While there is no key, an attempt that was set aside and has its answer may have the worker.
        drop(worker);
        queue.filled(lane, due).await;
    }
}

/// Works on one object; a duration means that it is to come again.
async fn reconcile<K: Kind>(kind: &K, key: &Key) -> Option<Duration> {
    let frame = kind.frame();
    let body = frame.bodies.take(key);
    let Some(known) = frame.index.get(key) else {
        kind.begins(key);
        if let Some(metrics) = K::METRICS {
            let shown = &frame.shared.metrics;
            shown.forget_synced(metrics, &key.namespace, &key.name);
        }
        return kind.gone(key).await;
    };
    let began = tokio::time::Instant::now();
    let mut contested = None;
    match known.state(frame.watching.statuses) {
        // Two changes that came together were dealt with together.
        State::Settled => match kind.due(&known) {
            Some(due) if due.is_zero() => {}
            due => return due,
        },
        State::TargetEdited => {
            let (wait, war) = brake(kind, key, &known);
            if !wait.is_zero() {
                tracing::info!(
                    key = %key,
                    seconds = wait.as_secs_f32(),
                    "the Secret was edited several times: it is put back after a pause"
                );
                // The Secret is not what the object asks for while it waits, and the status says so.
                if !war || known.is_failing() {
                    return Some(wait);
                }
                contested = Some(wait);
            }
        }
        State::Failed | State::Changed | State::TargetGone => {}
    }
    if !frame.queue.is_continued(key) {
        kind.begins(key);
    }
    let newest = frame.api().newest().get();
    frame
        .index
        .update(key, known.uid(), |known| known.looks(newest));
    let subject = match read(kind, key, &known, body).await {
        Ok(Some(subject)) => subject,
        Ok(None) => return None,
        Err(error) => {
            kind.trouble(key, Trouble::Fetch, &error);
            let unread = frame
                .index
                .update(key, known.uid(), Tracked::count_unread)
                .unwrap_or(1);
            return Some(verdict::pause(Verdict::TryAgain, unread, QUICK_READS));
        }
    };
    // One that cannot be read cannot be ended either, and says why it does not go.
    if subject.metadata.deletion_timestamp.is_some()
        && let Ok(object) = &subject.object
    {
        return kind.finalize(key, object).await;
    }
    if let (Ok(object), None) = (&subject.object, contested)
        && let Some(wait) = kind.deferred(object).await
    {
        return Some(wait);
    }
    let Attempt { ended, outcome } = match (&subject.object, contested) {
        (_, Some(_)) => Attempt {
            ended: Err(LookedAt(Some(match known.target() {
                Target::Present { version, .. } => Some(version.clone()),
                Target::Unknown | Target::Absent { .. } => None,
            }))),
            outcome: kind.contested(),
        },
        (Ok(object), None) => kind.attempt(key, &known, object).await,
        (Err(faulty), None) => Attempt {
            ended: Err(LookedAt::default()),
            outcome: kind.unreadable(faulty.fault.clone()),
        },
    };
    if frame.queue.was_slowed_down(key) {
        // What came of the attempt says only that it was not allowed to go on.
        tracing::debug!(key = %key, kind = K::NAME, "it takes long, and is worked on in the slow lane");
        return Some(Duration::ZERO);
    }
    let digest = subject.seen.digest;
    let ended = match ended {
        Ok(version) => Ended::Applied(version),
        Err(LookedAt(looked_at)) => Ended::Failed {
            count: known.next_failure(digest),
            looked_at,
        },
    };
    let succeeded = matches!(ended, Ended::Applied(_));
    let failures = frame
        .index
        .update(key, known.uid(), |now| {
            now.finish(subject.seen, ended);
            now.failures()
        })
        .unwrap_or_default();
    let metadata = subject.metadata;
    let status = match subject.object {
        Ok(object) => K::status(&object).cloned(),
        Err(faulty) => faulty.status,
    };
    let reported = kind.report(&metadata, status.as_ref(), &outcome, Timestamp::now());
    let true_status = reported.or_else(|| status.clone());
    let emitted = async {
        for event in kind.events(&metadata, &outcome) {
            action::emit(frame.api(), &frame.shared.recorder, &event).await;
        }
    };
    let ((), told) = tokio::join!(
        emitted,
        tell(kind, key, digest, metadata.clone(), status, &outcome)
    );
    kind.ends(key, &metadata, &outcome);
    show(
        kind,
        &metadata,
        true_status.as_ref(),
        succeeded,
        began.elapsed(),
    );
    match told {
        Told::Overtaken => return Some(OVERTAKEN),
        Told::No if succeeded => return Some(UNTOLD + jitter(UNTOLD)),
        // What came meanwhile has queued the key too; this makes sure.
        Told::Yes if frame.is_unsettled(key) => {
            let known = frame.index.get(key);
            return known.map(|known| known.pause(tokio::time::Instant::now()));
        }
        Told::Yes | Told::No => {}
    }
    let again = kind.again(key, &outcome, failures);
    // An interval of a millisecond is no reason to do nothing else.
    let again = again.map(|again| match succeeded {
        true => again.max(SOONEST),
        false => again,
    });
    contested.or(again)
}

/// Shows in upstream's metrics what came of the work on an object.
fn show<K: Kind>(
    kind: &K,
    metadata: &ObjectMeta,
    status: Option<&K::Status>,
    succeeded: bool,
    took: Duration,
) {
    let metrics = &kind.frame().shared.metrics;
    metrics.reconciled(K::NAME, succeeded, took);
    let Some(synced) = K::METRICS else { return };
    let object = MetricObject {
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: metadata.name.as_deref().unwrap_or_default(),
        labels: metadata.labels.as_ref(),
    };
    if let Some(status) = status {
        metrics.show_sync_conditions(synced, object, &K::conditions(status));
    }
    metrics.show_reconcile_duration(synced, object, took);
    if synced == SyncedKind::ExternalSecret {
        metrics.sync_called(object, !succeeded);
    }
}

/// How long an edited target has to wait for being put back, and whether the edits so far had to be undone. Zero means that the
/// worker goes on.
fn brake<K: Kind>(kind: &K, key: &Key, known: &Tracked<K::Extra>) -> (Duration, bool) {
    let now = tokio::time::Instant::now();
    let brake = |known: &mut Tracked<K::Extra>| {
        let edits = known.edits();
        let wait = edits.wait(now);
        if wait.is_zero() {
            edits.note(now);
        }
        (wait, edits.is_war())
    };
    let index = &kind.frame().index;
    index.update(key, known.uid(), brake).unwrap_or_default()
}

/// Reads an object, if it is still the one that is known; what was read ahead will do if it is what the watch showed last.
async fn read<K: Kind>(
    kind: &K,
    key: &Key,
    known: &Tracked<K::Extra>,
    body: Option<Read<K::Object>>,
) -> Result<Option<Subject<K>>, ApiError> {
    let body = body.filter(|read| known.is_last_seen(read.meta().resource_version.as_deref()));
    let read = match body {
        Some(read) => read,
        None => match fetch::<K>(kind.frame().api(), key).await {
            Ok(read) => read,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    let metadata = read.meta();
    if metadata.uid.as_deref().unwrap_or_default() != known.uid() {
        return Ok(None);
    }
    let mut seen = seen(kind, &read);
    // What came later is not what this attempt is about.
    seen.surroundings = known.observed().surroundings;
    Ok(Some(Subject {
        metadata: metadata.clone(),
        seen,
        object: match read.0 {
            Ok(object) => Ok(Arc::new(object)),
            Err(fault) => Err(Faulty {
                fault: fault.to_string(),
                status: fault.status(),
            }),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::super::queue::Urgency;
    use super::super::worker::aside;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_without_keys_keeps_no_worker_from_an_attempt_that_has_its_answer() {
        // As many workers as the slow lane has.
        let (workers, queue) = (Workers::new(1), Queue::new(1));
        let minute = Duration::from_secs(60);
        queue.add(Key::new("ns", "a"), Urgency::Now);
        let (worker, key) = next(&workers, &queue, Lane::Quick).await;
        assert_eq!(key, Key::new("ns", "a"));
        let attempt = worker.does(aside(tokio::time::sleep(minute)));
        tokio::select! {
            ended = tokio::time::timeout(2 * minute, attempt) => assert!(ended.is_ok()),
            _ = next(&workers, &queue, Lane::Quick) => panic!("there is no other key"),
        }
    }
}

//! The watch of one kind: it notes what it sees, wakes what there is work for, and feeds the backlog at start.
//!
//! Flow for each scope, which is a namespace or all of them: wait until the API server serves the kind, list its objects, wait
//! until the Secrets are listed too (see [`secrets`](super::secrets)), and then work only on what is not proved to be as it
//! should be. From then on every event that asks for work enqueues its object at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use kube::Resource;
use kube::core::DynamicResourceScope;
use kube::runtime::watcher;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::backlog;
use super::backoff::patiently;
use super::follow::follow;
use super::kind::{Kind, Listing, Progress, SecretUse, Targets, seen};
use super::object::{Key, key_of};
use super::pages::listed;
use super::queue::Urgency;
use super::read::Read;
use super::tracked::State;
use super::watch_log::WatchLog;
use crate::action;
use crate::api::Api;

/// How often the API server is asked whether it serves a kind by now: soon at first, then more and more seldom.
const NOT_INSTALLED: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// Watches every scope until it is dropped. `number` is the kind's number among the dependents.
pub(super) async fn watch<K: Kind>(kind: Arc<K>, number: usize) {
    let mut all: FuturesUnordered<_> = kind
        .frame()
        .progress
        .iter()
        .map(|progress| watch_scope(&*kind, progress, number))
        .collect();
    tokio::select! {
        () = async { while all.next().await.is_some() {} } => {}
        () = kind.beside() => {}
    }
}

async fn watch_scope<K: Kind>(kind: &K, progress: &Progress, number: usize) {
    let scope = progress.scope.as_deref();
    let (start, mut started) = mpsc::unbounded_channel();
    let objects = async {
        loop {
            if is_served::<K>(kind.frame().api()).await == Some(false) {
                leave_out(kind, progress).await;
            }
            kind.ready().await;
            tracing::info!(
                namespace = scope.unwrap_or_default(),
                kind = &*K::Object::kind(&()),
                "Starting informer"
            );
            // It ends when the kind is served no longer.
            watch_objects(kind, progress, number).await;
        }
    };
    let begin = async {
        let mut listed = progress.objects.subscribe();
        let mut targets = progress.targets.subscribe();
        loop {
            if listed
                .wait_for(|listing| *listing == Listing::Listed)
                .await
                .is_err()
            {
                return;
            }
            let known = match kind.frame().watching.secrets {
                SecretUse::None | SecretUse::Reads => Targets::Unknown,
                SecretUse::Writes => match targets
                    .wait_for(|targets| *targets != Targets::Pending)
                    .await
                {
                    Ok(targets) => *targets,
                    Err(_) => return,
                },
            };
            let known = matches!(known, Targets::Listed(_));
            let _ = start.send(work_to_start(kind, scope, known));
            tokio::select! {
                // Another listing of the Secrets is another start.
                changed = targets.changed() => if changed.is_err() { return },
                gone = listed.wait_for(|listing| *listing != Listing::Listed) => if gone.is_err() { return },
            }
        }
    };
    // Beside the watch: what it shows is seen while a backlog is worked on.
    let feed = async {
        while let Some(work) = started.recv().await {
            backlog::feed(kind, scope, work).await;
        }
    };
    tokio::join!(objects, begin, feed);
}

/// Returns everything that is not proved to be as it should be.
fn work_to_start<K: Kind>(kind: &K, scope: Option<&str>, targets_known: bool) -> Vec<Key> {
    let frame = kind.frame();
    let (mut work, mut proved) = (Vec::new(), Vec::new());
    let (mut listed, mut unchanged) = (0, 0);
    frame.index.for_each(scope, |key, known| {
        listed += 1;
        let is_proved = known.done().is_none() && kind.prove(known, targets_known);
        let state = known.state(frame.watching.statuses);
        if state.is_work() {
            work.push(key.clone());
        }
        if state == State::Settled {
            unchanged += 1;
            if is_proved {
                proved.push((key.clone(), known.extra.clone()));
            }
        }
    });
    tracing::info!(
        namespace = scope.unwrap_or_default(),
        "{listed} {} listed, {unchanged} unchanged",
        K::PLURAL
    );
    for (key, extra) in proved {
        kind.proved(&key, &extra);
        // What is settled may be due all the same.
        if let Some(due) = frame.index.get(&key).and_then(|known| kind.due(&known)) {
            frame.queue.add_after(key, due);
        }
    }
    work
}

/// Waits until the API server serves the kind; its objects, if there were any, are gone.
async fn leave_out<K: Kind>(kind: &K, progress: &Progress) {
    let name = K::Object::kind(&());
    progress.objects.send_replace(Listing::LeftOut);
    // The Secrets will have been listed without it.
    progress.targets.send_if_modified(|targets| match targets {
        Targets::Listed(_) => {
            *targets = Targets::Unknown;
            true
        }
        Targets::Pending | Targets::Unknown => false,
    });
    tracing::info!(
        kind = &*name,
        "the API server does not serve this kind: it is left out until its CustomResourceDefinition is installed"
    );
    let [mut pause, longest] = NOT_INSTALLED;
    // An API server that does not answer serves nothing new.
    while is_served::<K>(kind.frame().api()).await != Some(true) {
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(longest);
    }
    tracing::info!(kind = &*name, "the API server serves this kind now");
    progress.objects.send_replace(Listing::Pending);
}

/// Asks the API server whether it serves the kind; nothing means that it does not answer that.
async fn is_served<K: Kind>(api: &Api) -> Option<bool> {
    #[derive(Deserialize)]
    struct Resources {
        resources: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let (group, version) = (K::Object::group(&()), K::Object::version(&()));
    let path = match &*group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    let plural = K::Object::plural(&());
    match api.get(&path).await {
        Ok(answer) => {
            let all = action::read::<Resources>(&answer).ok()?;
            Some(all.resources.iter().any(|named| named.name == *plural))
        }
        Err(error) if error.is_not_found() => Some(false),
        Err(_) => None,
    }
}

/// Watches until the API server does not serve the kind any more.
async fn watch_objects<K: Kind>(kind: &K, progress: &Progress, number: usize) {
    let frame = kind.frame();
    let scope = progress.scope.as_deref();
    let name: &'static str = K::NAME;
    let selector = &frame.watching.label_selector;
    let mut log = WatchLog::new(K::PLURAL, &frame.shared.watches);
    let mut events = stream::<Read<K::Object>>(frame.api(), scope, selector, &log);
    let dependents = &frame.shared.dependents;
    let note = |read: &Read<K::Object>| {
        let key = key_of(read.meta());
        let needs = match &read.0 {
            Ok(object) => kind.needs(object),
            Err(_) => Vec::new(),
        };
        dependents.set(number, &key, needs);
        let is_known = frame
            .index
            .has_seen(&key, read.meta().resource_version.as_deref());
        let wakes = see(kind, &key, read);
        (key, is_known, wakes)
    };
    let gone = |key: Key| {
        dependents.set(number, &key, Vec::new());
        dependents.changed(name, &key);
        frame.queue.quicken(&key);
        frame.queue.add(key, Urgency::Now);
    };
    let mut began = 0;
    while let Some(event) = events.next().await {
        if let Ok(event) = &event {
            log.sees(event);
        }
        let listed = || *progress.objects.borrow() == Listing::Listed;
        match event {
            Err(error) => {
                if is_not_found(&error) && is_served::<K>(frame.api()).await == Some(false) {
                    break;
                }
                log.fails(&error);
                if !listed() {
                    progress.objects.send_replace(Listing::Stalled);
                }
            }
            Ok(watcher::Event::Init) => began = frame.index.begin_listing(),
            Ok(watcher::Event::InitApply(read)) => {
                let (key, is_known, wakes) = note(&read);
                // The first listing is judged as a whole when the Secrets are known too.
                if listed() {
                    // Others may wait for what is no work for the object itself, such as its status.
                    if !is_known {
                        dependents.changed(name, &key);
                    }
                    if wakes {
                        frame.queue.add(key, Urgency::Now);
                    }
                } else {
                    let version = read.meta().resource_version.as_deref();
                    dependents.missed(name, &key, version.unwrap_or_default());
                }
            }
            Ok(watcher::Event::InitDone) => {
                for key in frame.index.end_listing(began, scope) {
                    gone(key);
                }
                progress.objects.send_if_modified(|listing| {
                    std::mem::replace(listing, Listing::Listed) != Listing::Listed
                });
            }
            Ok(watcher::Event::Apply(read)) => {
                let (key, _, wakes) = note(&read);
                dependents.changed(name, &key);
                if wakes {
                    frame.bodies.keep(&key, read);
                    frame.queue.add(key, Urgency::Now);
                } else {
                    tracing::debug!(
                        kind = name,
                        key = %key,
                        "update suppressed, no changes in spec"
                    );
                }
            }
            Ok(watcher::Event::Delete(read)) => {
                let key = key_of(read.meta());
                if frame.index.remove(&key) {
                    gone(key);
                }
            }
        }
    }
    // All of them went with their kind.
    let began = frame.index.begin_listing();
    for key in frame.index.end_listing(began, scope) {
        gone(key);
    }
}

/// Takes note of an object; returns true if that asks for work.
fn see<K: Kind>(kind: &K, key: &Key, read: &Read<K::Object>) -> bool {
    let uid = read.meta().uid.as_deref().unwrap_or_default();
    let target = match &read.0 {
        Ok(object) => kind.target(object),
        Err(_) => None,
    };
    let seen = seen(kind, read);
    let frame = kind.frame();
    frame.index.see(key, uid, seen, target, |extra, changed| {
        if changed {
            // What it asks for now may take no time.
            frame.queue.quicken(key);
        }
        kind.note(read, extra, changed);
    })
}

fn is_not_found(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 404,
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code == 404)
        }
        _ => false,
    }
}

/// The events of a watch, which begins again with a growing pause when it fails.
pub(super) fn stream<T>(
    api: &Api,
    namespace: Option<&str>,
    label_selector: &str,
    log: &WatchLog,
) -> impl Stream<Item = watcher::Result<watcher::Event<T>>> + Send + Unpin + use<T>
where
    T: Resource<Scope = DynamicResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + fmt::Debug
        + Send
        + 'static,
{
    let listed = listed::<T>(api, namespace, label_selector);
    Box::pin(patiently(follow(listed, log.alive())))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Mutex, Weak};

    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::super::dependents::{Need, Wake};
    use super::super::plain::Plain;
    use super::super::tracked::Ended;
    use super::*;

    /// Notes what is woken.
    #[derive(Default)]
    struct Woken(Mutex<Vec<String>>);

    impl Wake for Woken {
        fn wake(&self, key: &Key, _: Urgency) {
            self.0.lock().unwrap().push(key.to_string());
        }

        fn may_have_missed(&self, _: &Key, _: Option<&str>) -> bool {
            false
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_while_a_watch_was_broken_wakes_what_reads_it() {
        // The status of one has changed.
        let service = tower::service_fn(|request: Request<Body>| async move {
            let query = request.uri().query().unwrap_or_default();
            if query.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let items = [
                Plain::object("changed", "u", "6"),
                Plain::object("same", "u", "5"),
            ];
            let list = json!({"metadata": {"resourceVersion": "9"}, "items": items});
            let body = Body::from(list.to_string().into_bytes());
            Ok::<_, Infallible>(Response::new(body))
        });
        let kind = Plain::new(Client::new(service, "ns"));
        let frame = kind.frame();
        let dependents = &frame.shared.dependents;
        let woken = Arc::new(Woken::default());
        let readers = dependents.join(Arc::downgrade(&woken) as Weak<dyn Wake>);
        for name in ["changed", "same"] {
            let object = Plain::object(name, "u", "5").to_string();
            let key = Key::new("ns", name);
            see(&kind, &key, &Read::from_json(&object).unwrap());
            frame.index.update(&key, "u", |known| {
                let seen = known.observed().clone();
                let status = seen.status;
                known.finish(seen, Ended::Applied(None));
                known.state_written(status, "5");
            });
            assert!(!frame.is_unsettled(&key));
            let reader = Key::new("ns", &format!("reader of {name}"));
            dependents.set(readers, &reader, vec![Need::one(Plain::NAME, "ns", name)]);
        }
        let progress = &frame.progress[0];
        progress.objects.send_replace(Listing::Listed);
        let watching = watch_objects(&kind, progress, readers + 1);
        let watching = tokio::time::timeout(Duration::from_secs(5), watching);
        assert!(watching.await.is_err());
        assert_eq!(*woken.0.lock().unwrap(), ["ns/reader of changed"]);
        assert!(!frame.is_unsettled(&Key::new("ns", "changed")));
    }
}

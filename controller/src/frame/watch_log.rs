//! Reports once that a watch does not work, and once that it works again.
//!
//! A watch has proved to work when it has shown something or has stayed open. That its objects can be listed proves nothing once
//! it has failed: a proxy may let listings through and end every watch with an error.

use std::sync::{Arc, Mutex};

use kube::runtime::watcher;

use super::follow::Alive;
use crate::metrics::watches::{WatchHealth, Watches};

const UNPOISONED: &str = "no holder panics";

/// The state of one watch.
pub(crate) struct WatchLog {
    what: &'static str,
    health: Arc<WatchHealth>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The trouble that was reported.
    told: Option<String>,
    /// It has proved to work since the last listing.
    proved: bool,
    /// It has failed, beside its listings, and not proved to work since.
    fails: bool,
}

impl WatchLog {
    pub(crate) fn new(what: &'static str, watches: &Arc<Watches>) -> Self {
        Self {
            what,
            health: Arc::new(watches.start(what)),
            state: Arc::default(),
        }
    }

    /// For a watch that works and has nothing to show.
    pub(crate) fn alive(&self) -> Alive {
        let what = self.what;
        let (health, state) = (Arc::clone(&self.health), Arc::clone(&self.state));
        Box::new(move || state.lock().expect(UNPOISONED).prove(what, &health))
    }

    /// Something arrived. That a listing begins proves nothing: the watcher says so before it asks.
    pub(crate) fn sees<K>(&mut self, event: &watcher::Event<K>) {
        let mut state = self.state.lock().expect(UNPOISONED);
        match event {
            watcher::Event::Init => return,
            watcher::Event::InitApply(_) => {}
            watcher::Event::InitDone => state.proved = false,
            watcher::Event::Apply(_) | watcher::Event::Delete(_) => {
                state.prove(self.what, &self.health);
            }
        }
        if !state.fails {
            state.works(self.what, &self.health);
        }
    }

    /// Something went wrong. That a watch expires is the ordinary course of things, unless it does so after every listing.
    pub(crate) fn fails(&mut self, error: &watcher::Error) {
        let mut state = self.state.lock().expect(UNPOISONED);
        let text = match error {
            error if is_expired(error) && state.proved => {
                tracing::debug!(what = self.what, "the watch has expired, listing again");
                return;
            }
            error if is_expired(error) => {
                "the API server answers a watch of what it has just listed with 410 (Gone)"
                    .to_owned()
            }
            watcher::Error::WatchError(status) if status.message.is_empty() => refusal(status.code),
            watcher::Error::WatchError(status) => status.message.clone(),
            // The answer's text may quote an object.
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => match error {
                kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
                kube::Error::Api(status) => refusal(status.code),
                kube::Error::SerdeError(error) => unreadable(error),
                error => crate::error_text(error),
            },
            error => error.to_string(),
        };
        self.health.fails();
        state.fails |= !matches!(error, watcher::Error::InitialListFailed(_));
        if state.told.as_ref() != Some(&text) {
            tracing::warn!(what = self.what, error = text, "cannot watch, trying again");
            state.told = Some(text);
        }
    }
}

impl State {
    fn prove(&mut self, what: &'static str, health: &WatchHealth) {
        (self.proved, self.fails) = (true, false);
        self.works(what, health);
    }

    /// The watch works, and says so if it did not before.
    fn works(&mut self, what: &'static str, health: &WatchHealth) {
        health.works();
        if self.told.take().is_some() {
            tracing::info!(what, "watching again");
        }
    }
}

/// The API server does not know any more where the watch was.
fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

/// The text of a refusal that has none of its own.
fn refusal(code: u16) -> String {
    match code {
        0 => "the API server sent a line that is neither a watch event nor a status".to_owned(),
        code => format!("the API server answered {code}"),
    }
}

/// Where an answer cannot be read; the library's text may quote a value.
fn unreadable(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("the API server sent an answer that cannot be read at line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use futures::StreamExt;
    use http_body_util::{BodyExt, Full, StreamBody};
    use hyper::body::{Bytes, Frame};
    use hyper::{Request, Response};
    use k8s_openapi::api::core::v1::Secret;
    use kube::Client;
    use kube::client::Body;
    use kube::core::PartialObjectMeta;
    use serde_json::json;

    use super::super::read::Read;
    use super::super::watch::stream;
    use super::*;
    use crate::api::Api;

    #[tokio::test]
    async fn a_watch_that_has_begun_again_tells_its_next_trouble() {
        let mut log = WatchLog::new("Secrets", &Arc::new(Watches::default()));
        let alive = log.alive();
        let is_told = |log: &WatchLog| log.state.lock().unwrap().told.is_some();
        for _ in 0..2 {
            log.fails(&watcher::Error::NoResourceVersion);
            assert!(is_told(&log));
            // Nothing has happened that it could show.
            alive();
            assert!(!is_told(&log));
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// Whether a watch counts as dead, each minute of ten, and how many requests it has made. The listings of its API server
    /// work; each watch is open for a while, and then ends with an error of this code.
    async fn watched(open: Duration, code: u16) -> ([bool; 10], usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn({
            let asked = Arc::clone(&asked);
            move |request: Request<Body>| {
                asked.fetch_add(1, Relaxed);
                let query = request.uri().query().unwrap_or_default();
                let body = match query.contains("watch=true") {
                    false => {
                        let list = json!({"metadata": {"resourceVersion": "9"}, "items": []});
                        Full::new(Bytes::from(list.to_string())).boxed_unsync()
                    }
                    true => {
                        let status = json!({"kind": "Status", "code": code, "message": "no"});
                        let event = json!({"type": "ERROR", "object": status});
                        let frame = async move {
                            tokio::time::sleep(open).await;
                            let line = Bytes::from(format!("{event}\n"));
                            Ok::<_, Infallible>(Frame::data(line))
                        };
                        StreamBody::new(futures::stream::once(frame)).boxed_unsync()
                    }
                };
                async move { Ok::<_, Infallible>(Response::new(body)) }
            }
        });
        let api = Api::new(Client::new(service, "ns"), None, 1);
        let watches = Arc::new(Watches::default());
        let watching = async {
            let mut log = WatchLog::new("Secrets", &watches);
            let mut events = stream::<Read<PartialObjectMeta<Secret>>>(&api, None, "", &log);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => log.sees(&event),
                    Err(error) => log.fails(&error),
                }
            }
        };
        let mut watching = std::pin::pin!(watching);
        let mut dead = [false; 10];
        for dead in &mut dead {
            assert!(
                tokio::time::timeout(MINUTE, watching.as_mut())
                    .await
                    .is_err()
            );
            *dead = watches.dead(MINUTE).is_some();
        }
        (dead, asked.load(Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_with_an_error_each_time_is_dead_though_objects_can_be_listed() {
        for code in [410, 500] {
            let (dead, asked) = watched(Duration::ZERO, code).await;
            assert!(dead[1..].iter().all(|dead| *dead), "{code}: {dead:?}");
            assert!((40..=60).contains(&asked), "{code}: {asked}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_expires_now_and_then_is_not_dead() {
        for open in [10, 100].map(Duration::from_secs) {
            let (dead, _) = watched(open, 410).await;
            assert_eq!(dead, [false; 10], "{open:?}");
        }
    }
}

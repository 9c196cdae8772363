//! Reports once that a watch does not work, and once that it works again.

use std::sync::{Arc, Mutex};

use kube::runtime::watcher;

use super::follow::Alive;
use crate::metrics::watches::{WatchHealth, Watches};

const UNPOISONED: &str = "no holder panics";

/// The state of one watch.
pub(crate) struct WatchLog {
    what: &'static str,
    health: Arc<WatchHealth>,
    told: Arc<Mutex<Option<String>>>,
}

impl WatchLog {
    pub(crate) fn new(what: &'static str, watches: &Arc<Watches>) -> Self {
        Self {
            what,
            health: Arc::new(watches.start(what)),
            told: Arc::default(),
        }
    }

    /// For a watch that works and has nothing to show.
    pub(crate) fn alive(&self) -> Alive {
        let what = self.what;
        let (health, told) = (Arc::clone(&self.health), Arc::clone(&self.told));
        Box::new(move || works(what, &health, &told))
    }

    /// Something arrived. That a listing begins proves nothing: the watcher says so before it asks.
    pub(crate) fn sees<K>(&mut self, event: &watcher::Event<K>) {
        if matches!(event, watcher::Event::Init) {
            return;
        }
        works(self.what, &self.health, &self.told);
    }

    /// Something went wrong; an expired watch is the ordinary course of things.
    pub(crate) fn fails(&mut self, error: &watcher::Error) {
        let text = match error {
            watcher::Error::WatchError(status) if status.code == 410 => {
                tracing::debug!(what = self.what, "the watch has expired, listing again");
                return;
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
        let mut told = self.told.lock().expect(UNPOISONED);
        if told.as_ref() != Some(&text) {
            tracing::warn!(what = self.what, error = text, "cannot watch, trying again");
            *told = Some(text);
        }
    }
}

/// The watch works, and says so if it did not before.
fn works(what: &'static str, health: &WatchHealth, told: &Mutex<Option<String>>) {
    health.works();
    if told.lock().expect(UNPOISONED).take().is_some() {
        tracing::info!(what, "watching again");
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
    use super::*;

    #[tokio::test]
    async fn a_watch_that_has_begun_again_tells_its_next_trouble() {
        let mut log = WatchLog::new("Secrets", &Arc::new(Watches::default()));
        let alive = log.alive();
        for _ in 0..2 {
            log.fails(&watcher::Error::NoResourceVersion);
            assert!(log.told.lock().unwrap().is_some());
            // Nothing has happened that it could show.
            alive();
            assert!(log.told.lock().unwrap().is_none());
        }
    }
}

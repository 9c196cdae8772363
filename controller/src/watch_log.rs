//! Reports once that a watch does not work, and once that it works again.

use std::sync::Arc;

use kube::runtime::watcher;

use crate::metrics::watches::{WatchHealth, Watches};

/// The state of one watch.
pub(crate) struct WatchLog {
    what: &'static str,
    health: WatchHealth,
    told: Option<String>,
}

impl WatchLog {
    pub(crate) fn new(what: &'static str, watches: &Arc<Watches>) -> Self {
        Self {
            what,
            health: watches.start(what),
            told: None,
        }
    }

    /// Something arrived. That a listing begins proves nothing: the watcher says so before it asks.
    pub(crate) fn sees<K>(&mut self, event: &watcher::Event<K>) {
        if matches!(event, watcher::Event::Init) {
            return;
        }
        self.health.works();
        if self.told.take().is_some() {
            tracing::info!(what = self.what, "watching again");
        }
    }

    /// Something went wrong; an expired watch is the ordinary course of things.
    pub(crate) fn fails(&mut self, error: &watcher::Error) {
        let text = match error {
            watcher::Error::WatchError(status) if status.code == 410 => {
                tracing::debug!(what = self.what, "the watch has expired, listing again");
                return;
            }
            // The answer's text may quote an object.
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => match error {
                kube::Error::Api(status) => status.message.clone(),
                kube::Error::SerdeError(_) => "an answer that cannot be read".to_owned(),
                error => crate::error_text(error),
            },
            error => error.to_string(),
        };
        self.health.fails();
        if self.told.as_ref() != Some(&text) {
            tracing::warn!(what = self.what, error = text, "cannot watch, trying again");
            self.told = Some(text);
        }
    }
}

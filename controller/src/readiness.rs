//! Whether this process is ready to do its work.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::metrics::watches::Watches;

/// A watch that has not worked for this long makes the process unready.
const DEAD_WATCH: Duration = Duration::from_secs(60);

/// What the process waits for, and its watches.
pub(crate) struct Readiness {
    waiting: Mutex<BTreeSet<&'static str>>,
    watches: Arc<Watches>,
}

impl Readiness {
    /// Is ready while the watches work.
    pub(crate) fn new(watches: Arc<Watches>) -> Self {
        Self {
            waiting: Mutex::default(),
            watches,
        }
    }

    /// Makes the process unready until [`reached`](Self::reached) is called for the same.
    pub(crate) fn wait_for(&self, what: &'static str) {
        self.waiting.lock().expect("no holder panics").insert(what);
    }

    /// What was waited for is there.
    pub(crate) fn reached(&self, what: &'static str) {
        self.waiting.lock().expect("no holder panics").remove(what);
    }

    /// Returns the answer to a readiness probe if the process is not ready.
    pub(crate) fn unready(&self) -> Option<String> {
        if !self.waiting.lock().expect("no holder panics").is_empty() {
            // Upstream's answer (C81).
            return Some("not ready\n".to_owned());
        }
        let watch = self.watches.dead(DEAD_WATCH)?;
        Some(format!("not ready: the watch of {watch} does not work\n"))
    }
}

//! Which watches of the API server work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use super::collected::{Collected, Kind, family};

const UNPOISONED: &str = "no holder panics";

/// The watches of this process.
pub(crate) struct Watches {
    state: Mutex<State>,
    errors: IntCounterVec,
}

#[derive(Default)]
struct State {
    next: u64,
    watches: BTreeMap<u64, Watch>,
}

struct Watch {
    what: &'static str,
    /// Since when it has not worked; a new watch has to prove itself.
    broken_since: Option<Instant>,
}

/// One watch; it is forgotten when this is dropped.
pub(crate) struct WatchHealth {
    watches: Arc<Watches>,
    id: u64,
}

impl Default for Watches {
    fn default() -> Self {
        let errors = Opts::new(
            "sealwright_watch_errors_total",
            "Failures of watches of the API server, expired ones aside.",
        );
        Self {
            state: Mutex::default(),
            errors: IntCounterVec::new(errors, &["watch"]).expect(super::NAMES),
        }
    }
}

impl Watches {
    pub(super) fn register(self: &Arc<Self>, registry: &Registry) {
        const NAME: &str = "sealwright_watch_up";
        super::register(registry, self.errors.clone());
        let watches = Arc::clone(self);
        let collect = move || {
            let samples = watches.up().into_iter().map(|(what, up)| {
                let labels = vec![("watch", what.to_owned())];
                (labels, f64::from(u8::from(up)))
            });
            let help = "Whether every watch of these objects works (1) or one does not (0).";
            vec![family(NAME, Kind::Gauge, help, samples.collect())]
        };
        super::register(registry, Collected::new(NAME, collect));
    }

    /// Registers a watch of `what`; there may be several of the same, for several namespaces.
    pub(crate) fn start(self: &Arc<Self>, what: &'static str) -> WatchHealth {
        let mut state = self.state.lock().expect(UNPOISONED);
        let id = state.next;
        state.next += 1;
        let broken_since = Some(Instant::now());
        let watch = Watch { what, broken_since };
        state.watches.insert(id, watch);
        WatchHealth {
            watches: Arc::clone(self),
            id,
        }
    }

    /// Returns what one of the watches is of that have not worked for `patience`.
    pub(crate) fn dead(&self, patience: Duration) -> Option<&'static str> {
        let state = self.state.lock().expect(UNPOISONED);
        let mut watches = state.watches.values();
        let dead = watches.find(|watch| {
            watch
                .broken_since
                .is_some_and(|since| since.elapsed() >= patience)
        });
        dead.map(|watch| watch.what)
    }

    fn up(&self) -> BTreeMap<&'static str, bool> {
        let state = self.state.lock().expect(UNPOISONED);
        let mut up = BTreeMap::new();
        for watch in state.watches.values() {
            *up.entry(watch.what).or_insert(true) &= watch.broken_since.is_none();
        }
        up
    }
}

impl WatchHealth {
    /// The API server has sent something, or the watch has stayed open.
    pub(crate) fn works(&self) {
        self.change(|watch| watch.broken_since = None);
    }

    /// The watch has failed and is tried again.
    pub(crate) fn fails(&self) {
        let mut what = "";
        self.change(|watch| {
            watch.broken_since.get_or_insert_with(Instant::now);
            what = watch.what;
        });
        self.watches.errors.with_label_values(&[what]).inc();
    }

    fn change(&self, change: impl FnOnce(&mut Watch)) {
        let mut state = self.watches.state.lock().expect(UNPOISONED);
        change(state.watches.get_mut(&self.id).expect("gone when dropped"));
    }
}

impl Drop for WatchHealth {
    fn drop(&mut self) {
        let mut state = self.watches.state.lock().expect(UNPOISONED);
        state.watches.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_dead_when_it_has_not_worked_for_long() {
        let watches = Arc::new(Watches::default());
        let minute = Duration::from_secs(60);
        let secrets = watches.start("Secrets");
        let keys = [watches.start("sealing keys"), watches.start("sealing keys")];
        keys[0].works();
        keys[1].works();
        tokio::time::advance(minute / 2).await;
        assert_eq!(watches.dead(minute), None);
        keys[1].fails();
        tokio::time::advance(minute / 2).await;
        assert_eq!(watches.dead(minute), Some("Secrets"), "it never began");
        secrets.works();
        assert_eq!(watches.dead(minute), None);
        let up = [("Secrets", true), ("sealing keys", false)];
        assert_eq!(watches.up(), up.into());
        keys[1].fails();
        tokio::time::advance(minute / 2).await;
        assert_eq!(watches.dead(minute), Some("sealing keys"));
        tokio::time::advance(minute).await;
        assert_eq!(
            watches.dead(minute),
            Some("sealing keys"),
            "as long as it takes"
        );
        keys[1].works();
        assert_eq!(watches.dead(minute), None, "it has begun again");
        keys[1].fails();
        assert_eq!(watches.dead(minute), None, "a new trouble");
        assert!(!watches.up()["sealing keys"]);
        drop(keys);
        assert_eq!(watches.up(), [("Secrets", true)].into());
    }
}

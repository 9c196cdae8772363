//! Stores that do not answer, and the wait for their return.
//!
//! An object that cannot be read for is tried again less and less often. When its vault is back after an hour, it would stay
//! as it is for minutes. So a store that has failed is asked by one small call every other second, and when it answers, what
//! waits for it is worked on at once; reads of one key are joined, so that is one call for each key.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::stores::StoreId;

/// How often a store is asked whether it is back.
const PROBE: Duration = Duration::from_secs(2);
/// A store that answers, and still fails for those that read from it, is believed less and less often.
const LONGEST: Duration = Duration::from_secs(300);
/// A store about which there are no complaints for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// The stores that have failed.
#[derive(Default)]
pub(crate) struct Outages {
    stores: Mutex<HashMap<StoreId, Outage>>,
    reported: Notify,
}

struct Outage {
    /// A namespace whose objects read from it.
    consumer: String,
    /// When it is asked next; nothing while it is believed to be back.
    probe_at: Option<Instant>,
    /// How often it came back.
    returns: u32,
    seen: Instant,
}

impl Outages {
    /// Takes note that a store does not answer.
    pub(crate) fn report(&self, store: &StoreId, consumer: &str, now: Instant) {
        let mut stores = self.stores.lock().expect("no holder panics");
        stores.retain(|_, outage| now.duration_since(outage.seen) < FORGOTTEN);
        let outage = stores.entry(store.clone()).or_insert_with(|| Outage {
            consumer: consumer.to_owned(),
            probe_at: None,
            returns: 0,
            seen: now,
        });
        outage.seen = now;
        if outage.probe_at.is_none() {
            let wait = (PROBE * (1 << outage.returns.min(10))).min(LONGEST);
            outage.probe_at = Some(now + wait);
            self.reported.notify_one();
        }
    }

    /// Waits until a store is to be asked; returns it, and a namespace whose objects read from it.
    pub(crate) async fn next(&self) -> (StoreId, String) {
        loop {
            let first = {
                let stores = self.stores.lock().expect("no holder panics");
                let waiting = stores.iter();
                let waiting = waiting.filter_map(|(store, outage)| {
                    Some((outage.probe_at?, store.clone(), outage.consumer.clone()))
                });
                waiting.min_by_key(|(at, ..)| *at)
            };
            let Some((at, store, consumer)) = first else {
                self.reported.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(at) => return (store, consumer),
                () = self.reported.notified() => {}
            }
        }
    }

    /// Takes note of what a store answered: it is back, or it is asked again.
    pub(crate) fn asked(&self, store: &StoreId, is_back: bool, now: Instant) {
        let mut stores = self.stores.lock().expect("no holder panics");
        let Some(outage) = stores.get_mut(store) else {
            return;
        };
        if is_back {
            outage.returns += 1;
            outage.probe_at = None;
        } else {
            outage.seen = now;
            outage.probe_at = Some(now + PROBE);
        }
    }

    /// Forgets a store that is gone.
    pub(crate) fn forget(&self, store: &StoreId) {
        self.stores.lock().expect("no holder panics").remove(store);
    }
}

#[cfg(test)]
mod tests {
    use sealwright_resources::external_secret::StoreKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_is_asked_until_it_is_back_and_believed_less_each_time() {
        let outages = Outages::default();
        let store = StoreId {
            kind: StoreKind::SecretStore,
            namespace: "ns".to_owned(),
            name: "vault".to_owned(),
        };
        let start = Instant::now();
        let passed = || Instant::now().duration_since(start).as_secs();
        outages.report(&store, "ns", Instant::now());
        // Many complaints are one.
        outages.report(&store, "ns", Instant::now());
        for at in [2, 4] {
            assert_eq!(outages.next().await, (store.clone(), "ns".to_owned()));
            assert_eq!(passed(), at);
            outages.asked(&store, false, Instant::now());
        }
        outages.next().await;
        assert_eq!(passed(), 6);
        outages.asked(&store, true, Instant::now());
        // It fails all the same.
        outages.report(&store, "ns", Instant::now());
        outages.next().await;
        assert_eq!(passed(), 10);
        outages.asked(&store, true, Instant::now());
        outages.report(&store, "ns", Instant::now());
        outages.next().await;
        assert_eq!(passed(), 18);
        outages.forget(&store);
        let nothing = tokio::time::timeout(Duration::from_secs(3600), outages.next());
        assert!(nothing.await.is_err());
    }
}

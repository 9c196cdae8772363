//! Stores that do not answer, and the wait for their return.
//!
//! An object that cannot be read for is tried again less and less often. When its vault is back after an hour, it would stay
//! as it is for minutes. So a store that has failed is asked by one small call every other second, and when it answers, what
//! waits for it is worked on at once; reads of one key are joined, so that is one call for each key.
//!
//! A store that does not answer the small call either is silent. What reads from it fails at once then, instead of waiting for
//! minutes each, and only now and then an object may try: a store that answers that one is back too.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::stores::StoreId;

/// How often a store is asked whether it is back.
const PROBE: Duration = Duration::from_secs(2);
/// How much more seldom, for each store of its namespace that is asked: one author may have thousands that are dead.
const FOR_EACH: Duration = Duration::from_millis(20);
/// A store that answers, and still fails for those that read from it, is believed less and less often.
const LONGEST: Duration = Duration::from_secs(300);
/// How often an object may try to read from a silent store.
const TRIAL: Duration = Duration::from_secs(20);
/// A store about which there are no complaints for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// The stores that have failed.
#[derive(Default)]
pub(crate) struct Outages {
    stores: Mutex<HashMap<StoreId, Outage>>,
    reported: Notify,
    /// Some store has become silent.
    fell_silent: Notify,
}

struct Outage {
    /// A namespace whose objects read from it.
    consumer: String,
    /// When it is asked next; nothing while it is believed to be back.
    probe_at: Option<Instant>,
    /// How often it came back.
    returns: u32,
    seen: Instant,
    /// Since when it does not answer the small call, and when an object may try next.
    silent: Option<Silence>,
    /// When it answered last.
    returned: Option<Instant>,
    /// Nothing has failed yet; it only takes long.
    suspected: bool,
}

#[derive(Clone, Copy)]
struct Silence {
    since: Instant,
    trial_at: Instant,
}

impl Outages {
    /// Takes note that a store does not answer.
    pub(crate) fn report(&self, store: &StoreId, consumer: &str, now: Instant) {
        let mut stores = self.stores.lock().expect("no holder panics");
        stores.retain(|_, outage| now.duration_since(outage.seen) < FORGOTTEN);
        let outage = stores
            .entry(store.clone())
            .or_insert_with(|| Outage::new(consumer, now));
        outage.seen = now;
        outage.suspected = false;
        if outage.probe_at.is_none() {
            let wait = (PROBE * (1 << outage.returns.min(10))).min(LONGEST);
            outage.probe_at = Some(now + wait);
            self.reported.notify_one();
        }
    }

    /// Takes note that an answer of a store takes long; it is asked at once whether it is there at all.
    pub(crate) fn suspect(&self, store: &StoreId, consumer: &str, now: Instant) {
        let mut stores = self.stores.lock().expect("no holder panics");
        let outage = stores
            .entry(store.clone())
            .or_insert_with(|| Outage::new(consumer, now));
        if outage.probe_at.is_none() {
            (outage.suspected, outage.probe_at) = (true, Some(now));
            self.reported.notify_one();
        }
    }

    /// Returns true if a store has failed, or takes long.
    pub(crate) fn is_in_doubt(&self, store: &StoreId) -> bool {
        let stores = self.stores.lock().expect("no holder panics");
        let outage = stores.get(store);
        outage.is_some_and(|outage| outage.probe_at.is_some())
    }

    /// Returns true if an object may read from a store: it is not silent, or this is a trial.
    pub(crate) fn admits(&self, store: &StoreId, now: Instant) -> bool {
        let mut stores = self.stores.lock().expect("no holder panics");
        let outage = stores.get_mut(store);
        let Some(silence) = outage.and_then(|outage| outage.silent.as_mut()) else {
            return true;
        };
        let admitted = now >= silence.trial_at;
        if admitted {
            silence.trial_at = now + TRIAL;
        }
        admitted
    }

    /// Waits until one of these stores falls silent, and returns it.
    pub(crate) async fn silence(&self, among: &[StoreId]) -> StoreId {
        let start = Instant::now();
        loop {
            let notified = self.fell_silent.notified();
            {
                let stores = self.stores.lock().expect("no holder panics");
                let fallen = among.iter().find(|store| {
                    let silence = stores.get(store).and_then(|outage| outage.silent);
                    silence.is_some_and(|silence| silence.since >= start)
                });
                if let Some(store) = fallen {
                    return store.clone();
                }
            }
            notified.await;
        }
    }

    /// Takes note that a store has answered an object; returns true if that is news.
    pub(crate) fn answered(&self, store: &StoreId, now: Instant) -> bool {
        let mut stores = self.stores.lock().expect("no holder panics");
        let outage = stores.get_mut(store);
        let Some(outage) = outage.filter(|outage| outage.silent.is_some()) else {
            return false;
        };
        outage.returns_at(now);
        true
    }

    /// Waits until a store is to be asked; returns it, and a namespace whose objects read from it.
    pub(crate) async fn next(&self) -> (StoreId, String) {
        loop {
            let first = {
                let stores = self.stores.lock().expect("no holder panics");
                let waiting = stores.iter();
                let waiting =
                    waiting.filter_map(|(store, outage)| Some((outage.probe_at?, store, outage)));
                let first = waiting.min_by_key(|(at, ..)| *at);
                first.map(|(at, store, outage)| (at, store.clone(), outage.consumer.clone()))
            };
            let Some((at, store, consumer)) = first else {
                self.reported.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    let mut stores = self.stores.lock().expect("no holder panics");
                    let pause = pause(&stores, &store);
                    if let Some(outage) = stores.get_mut(&store) {
                        // A question that hangs does not keep one from asking again.
                        outage.probe_at = Some(at.max(Instant::now()) + pause);
                    }
                    return (store, consumer);
                }
                () = self.reported.notified() => {}
            }
        }
    }

    /// Takes note of what a store answered to a question: it is back, or it is asked again.
    pub(crate) fn asked(&self, store: &StoreId, is_back: bool, began: Instant, now: Instant) {
        let mut stores = self.stores.lock().expect("no holder panics");
        let pause = pause(&stores, store);
        let Some(outage) = stores.get_mut(store) else {
            return;
        };
        if is_back && outage.suspected && outage.returns == 0 {
            stores.remove(store);
        } else if is_back && outage.suspected {
            (outage.suspected, outage.probe_at) = (false, None);
        } else if is_back {
            outage.returns_at(now);
        } else if outage.returned.is_none_or(|returned| returned < began) {
            outage.seen = now;
            outage.suspected = false;
            outage.probe_at = Some(now + pause);
            if outage.silent.is_none() {
                outage.silent = Some(Silence {
                    since: now,
                    trial_at: now + TRIAL,
                });
                self.fell_silent.notify_waiters();
            }
        }
    }

    /// Forgets a store that is gone.
    pub(crate) fn forget(&self, store: &StoreId) {
        self.stores.lock().expect("no holder panics").remove(store);
    }
}

/// How long a store that does not answer is left alone.
fn pause(stores: &HashMap<StoreId, Outage>, store: &StoreId) -> Duration {
    let beside = stores
        .iter()
        .filter(|(other, outage)| other.namespace == store.namespace && outage.probe_at.is_some());
    let count = u32::try_from(beside.count()).unwrap_or(u32::MAX);
    PROBE.max(FOR_EACH.saturating_mul(count))
}

impl Outage {
    fn new(consumer: &str, now: Instant) -> Self {
        Self {
            consumer: consumer.to_owned(),
            probe_at: None,
            returns: 0,
            seen: now,
            silent: None,
            returned: None,
            suspected: false,
        }
    }

    fn returns_at(&mut self, now: Instant) {
        self.returned = Some(now);
        self.returns += 1;
        self.probe_at = None;
        self.silent = None;
        self.suspected = false;
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
            outages.asked(&store, false, Instant::now(), Instant::now());
        }
        outages.next().await;
        assert_eq!(passed(), 6);
        outages.asked(&store, true, Instant::now(), Instant::now());
        // It fails all the same.
        outages.report(&store, "ns", Instant::now());
        outages.next().await;
        assert_eq!(passed(), 10);
        outages.asked(&store, true, Instant::now(), Instant::now());
        outages.report(&store, "ns", Instant::now());
        outages.next().await;
        assert_eq!(passed(), 18);
        outages.forget(&store);
        let nothing = tokio::time::timeout(Duration::from_secs(3600), outages.next());
        assert!(nothing.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_great_many_dead_stores_of_one_namespace_are_asked_more_seldom_and_others_are_not() {
        let outages = Outages::default();
        let store = |namespace: &str, number: usize| StoreId {
            kind: StoreKind::SecretStore,
            namespace: namespace.to_owned(),
            name: format!("vault-{number}"),
        };
        for number in 0..1000 {
            outages.report(&store("many", number), "many", Instant::now());
        }
        outages.report(&store("one", 0), "one", Instant::now());
        let (mut of_many, mut of_one) = (0, 0);
        let asking = async {
            loop {
                let (store, _) = outages.next().await;
                match store.namespace.as_str() {
                    "many" => of_many += 1,
                    _ => of_one += 1,
                }
                outages.asked(&store, false, Instant::now(), Instant::now());
            }
        };
        let asking: Result<(), _> = tokio::time::timeout(Duration::from_secs(60), asking).await;
        assert!(asking.is_err());
        assert!((28..=30).contains(&of_one), "{of_one}");
        assert!((2000..=4000).contains(&of_many), "{of_many}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_store_fails_at_once_but_for_a_trial() {
        let outages = Outages::default();
        let store = StoreId {
            kind: StoreKind::SecretStore,
            namespace: "ns".to_owned(),
            name: "vault".to_owned(),
        };
        let now = Instant::now;
        let among = [store.clone()];
        // One that only takes long is as it was.
        outages.suspect(&store, "ns", now());
        assert!(outages.is_in_doubt(&store) && outages.admits(&store, now()));
        outages.next().await;
        outages.asked(&store, true, now(), now());
        assert!(!outages.is_in_doubt(&store));
        // One that does not answer at all ends the wait of others.
        outages.suspect(&store, "ns", now());
        outages.next().await;
        let (fallen, ()) = tokio::join!(outages.silence(&among), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            outages.asked(&store, false, now(), now());
        });
        assert_eq!(fallen, store);
        assert!(!outages.admits(&store, now()));
        tokio::time::advance(TRIAL).await;
        assert!(outages.admits(&store, now()) && !outages.admits(&store, now()));
        // What is silent already is no news for a trial.
        let nothing = tokio::time::timeout(Duration::from_secs(60), outages.silence(&among));
        assert!(nothing.await.is_err());
        assert!(outages.answered(&store, now()) && !outages.answered(&store, now()));
        // A question that was asked before says nothing any more.
        outages.asked(&store, false, now() - Duration::from_secs(9), now());
        assert!(outages.admits(&store, now()));
    }
}

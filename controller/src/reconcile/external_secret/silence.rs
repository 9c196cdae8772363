//! Objects that wait for stores: for an answer, or for the return of a store that does not answer.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt};
use sealwright_resources::external_secret::ExternalSecret;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ExternalSecrets;
use crate::api::jitter;
use crate::frame::queue::Urgency;
use crate::frame::worker::aside;
use crate::stores::StoreId;

/// How many objects wait for answers of one store at a time; the others would only take memory.
const MOST_WAITING: usize = 64;
/// How long a worker waits for a place among them.
const FOR_A_PLACE: Duration = Duration::from_secs(1);
/// An answer that takes so long makes one ask whether the store is there.
const LONG: Duration = Duration::from_secs(3);

/// How many objects wait for an answer, by store.
#[derive(Default)]
pub(super) struct Crowds {
    waiting: Mutex<HashMap<StoreId, usize>>,
    left: Notify,
}

/// A place in the crowds of some stores.
struct InCrowds<'a> {
    crowds: &'a Crowds,
    stores: &'a [StoreId],
}

impl Crowds {
    fn enter<'a>(&'a self, stores: &'a [StoreId]) -> InCrowds<'a> {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        for store in stores {
            *waiting.entry(store.clone()).or_default() += 1;
        }
        InCrowds {
            crowds: self,
            stores,
        }
    }

    fn is_full(&self, store: &StoreId) -> bool {
        let waiting = self.waiting.lock().expect("no holder panics");
        waiting
            .get(store)
            .is_some_and(|count| *count >= MOST_WAITING)
    }
}

impl Drop for InCrowds<'_> {
    fn drop(&mut self) {
        let mut waiting = self.crowds.waiting.lock().expect("no holder panics");
        for store in self.stores {
            if let Some(count) = waiting.get_mut(store) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(store);
                }
            }
        }
        drop(waiting);
        self.crowds.left.notify_waiters();
    }
}

/// The stores of an object, each of them once.
pub(super) fn stores_of(object: &ExternalSecret) -> Vec<StoreId> {
    let mut stores: Vec<StoreId> = Vec::new();
    for reference in object.stores() {
        let id = StoreId::of(&reference, object.namespace());
        if !stores.contains(&id) {
            stores.push(id);
        }
    }
    stores
}

impl ExternalSecrets {
    /// Returns how long an object has to wait because too many wait for one of its stores already.
    pub(super) async fn wait_in_crowd(&self, object: &ExternalSecret) -> Option<Duration> {
        let stores = stores_of(object);
        let deadline = Instant::now() + FOR_A_PLACE;
        loop {
            let left = self.crowds.left.notified();
            let full = stores.iter().find(|store| self.crowds.is_full(store))?;
            // Behind those that wait for a store that may be gone there is nothing to wait for.
            let doubtful = self.outages.is_in_doubt(full);
            if doubtful || tokio::time::timeout_at(deadline, left).await.is_err() {
                let wait = FOR_A_PLACE * if doubtful { 5 } else { 2 };
                return Some(wait + jitter(wait * 5));
            }
        }
    }

    /// Waits for what the stores of an object are asked for, without a worker; returns a store that has fallen silent instead.
    pub(super) async fn patiently<T>(
        &self,
        object: &ExternalSecret,
        answers: impl Future<Output = T>,
    ) -> Result<T, StoreId> {
        let stores = stores_of(object);
        let _place = self.crowds.enter(&stores);
        // What a generator has made already has to be recorded or taken back.
        let generates = object.generators().next().is_some();
        let silence = async {
            if generates {
                return std::future::pending::<StoreId>().await;
            }
            let fallen = self.outages.silence(&stores);
            let suspicion = async {
                tokio::time::sleep(LONG).await;
                for store in &stores {
                    self.outages
                        .suspect(store, object.namespace(), Instant::now());
                }
                std::future::pending::<StoreId>().await
            };
            tokio::select! {
                store = fallen => store,
                never = suspicion => never,
            }
        };
        aside(async {
            tokio::select! {
                biased;
                answers = answers => Ok(answers),
                store = silence => Err(store),
            }
        })
        .await
    }

    /// Takes note of a store that does not answer an object, and of those that do.
    pub(super) fn note_silence(
        &self,
        object: &ExternalSecret,
        silent: Option<&StoreId>,
        answered: &[StoreId],
    ) {
        for store in answered {
            if self.outages.answered(store, Instant::now()) {
                self.resume(store);
            }
        }
        if let Some(store) = silent {
            self.outages
                .report(store, object.namespace(), Instant::now());
        }
    }

    /// Asks stores that do not answer for signs of life, for all objects that wait for them.
    pub(super) async fn ask_silent_stores(&self) {
        let mut asking = FuturesUnordered::new();
        loop {
            let (store, is_back, began) = tokio::select! {
                (store, consumer) = self.outages.next() => {
                    let began = Instant::now();
                    asking.push(async move {
                        let answers = self.stores.answers(&store, &consumer);
                        // A panic would end the watch of all ExternalSecrets.
                        let is_back = AssertUnwindSafe(answers).catch_unwind().await;
                        let is_back = is_back.unwrap_or(Some(false));
                        (store, is_back, began)
                    });
                    continue;
                }
                Some(answer) = asking.next() => answer,
            };
            match is_back {
                None => self.outages.forget(&store),
                Some(is_back) => self.outages.asked(&store, is_back, began, Instant::now()),
            }
            if is_back == Some(true) {
                self.resume(&store);
            }
        }
    }

    /// Works on what has failed because a store did not answer.
    fn resume(&self, store: &StoreId) {
        let mut waiting = Vec::new();
        self.frame.index.for_each(None, |key, known| {
            if known.extra.waits_for.as_ref() == Some(store) {
                known.extra.waits_for = None;
                waiting.push(key.clone());
            }
        });
        for key in waiting {
            self.frame.queue.add(key, Urgency::Now);
        }
    }
}

//! Answers that are kept for those who may have one that is a little old.
//!
//! One budget in bytes holds for all stores together, so that many stores do not take the memory of the program, and a
//! smaller one for each, so that a store with much to say does not push out what the others have said. What was used least
//! recently goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Policy, lock};
use crate::outcome::Absent;
use crate::store::{Payload, ReadKey};

/// What an answer costs besides its bytes and its key.
const ENTRY: usize = 128;

/// An answer that several readers share.
#[derive(Clone)]
pub(super) enum Shared {
    Found(Arc<Payload>),
    Absent(Absent),
}

impl Shared {
    fn size(&self) -> usize {
        match self {
            Self::Found(payload) => payload.size(),
            Self::Absent(_) => 0,
        }
    }
}

/// The answers of all stores.
pub(super) struct Answers {
    most: usize,
    most_of_one: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stores: HashMap<u64, OfStore>,
    /// Which store each use was of, the oldest use first.
    uses: BTreeMap<u64, u64>,
    bytes: usize,
    /// The numbers of the newest use and the newest store.
    newest_use: u64,
    newest_store: u64,
}

#[derive(Default)]
struct OfStore {
    kept: HashMap<Arc<ReadKey>, Kept>,
    /// Which key each use was of, the oldest use first.
    uses: BTreeMap<u64, Arc<ReadKey>>,
    bytes: usize,
}

struct Kept {
    answer: Shared,
    /// When it was asked for.
    at: Instant,
    /// The number of its last use.
    used: u64,
    size: usize,
}

impl Answers {
    pub(super) fn new(policy: &Policy) -> Arc<Self> {
        Arc::new(Self {
            most: policy.keep_bytes_of_all,
            most_of_one: policy.keep_bytes.min(policy.keep_bytes_of_all),
            state: Mutex::default(),
        })
    }

    /// Makes room for the answers of one more store.
    pub(super) fn of_store(self: &Arc<Self>) -> StoreAnswers {
        let mut state = lock(&self.state);
        state.newest_store += 1;
        let store = state.newest_store;
        state.stores.insert(store, OfStore::default());
        StoreAnswers {
            all: Arc::clone(self),
            store,
        }
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let state = lock(&self.state);
        let of = |store: &OfStore| store.kept.values().map(|kept| kept.size).sum::<usize>();
        let counted: usize = state.stores.values().map(of).sum();
        let uses: usize = state.stores.values().map(|store| store.uses.len()).sum();
        assert_eq!((counted, uses), (state.bytes, state.uses.len()));
        counted
    }
}

/// The answers of one store. They go when it does.
pub(super) struct StoreAnswers {
    all: Arc<Answers>,
    store: u64,
}

impl StoreAnswers {
    /// The answer to a question that was put no longer ago than that.
    pub(super) fn get(&self, key: &ReadKey, max_age: Duration) -> Option<Shared> {
        let mut state = lock(&self.all.state);
        state.newest_use += 1;
        let State {
            stores,
            uses,
            newest_use,
            ..
        } = &mut *state;
        let store = stores.get_mut(&self.store)?;
        let kept = store.kept.get_mut(key)?;
        if max_age.is_zero() || kept.at.elapsed() > max_age {
            return None;
        }
        uses.remove(&kept.used);
        uses.insert(*newest_use, self.store);
        if let Some(key) = store.uses.remove(&kept.used) {
            store.uses.insert(*newest_use, key);
        }
        kept.used = *newest_use;
        Some(kept.answer.clone())
    }

    /// Keeps an answer, if there is room for it at all.
    pub(super) fn keep(&self, key: ReadKey, answer: Shared, at: Instant) {
        let names = key.key.len() + key.version.as_ref().map_or(0, String::len);
        let size = answer.size() + names + ENTRY;
        if size > self.all.most_of_one {
            return;
        }
        let mut state = lock(&self.all.state);
        state.remove(self.store, &key);
        while let Some(store) = state.stores.get(&self.store)
            && store.bytes + size > self.all.most_of_one
            && let Some(oldest) = store.uses.values().next().cloned()
        {
            state.remove(self.store, &oldest);
        }
        while state.bytes + size > self.all.most
            && let Some(number) = state.uses.values().next().copied()
            && let Some(store) = state.stores.get(&number)
            && let Some(oldest) = store.uses.values().next().cloned()
        {
            state.remove(number, &oldest);
        }
        state.newest_use += 1;
        let used = state.newest_use;
        let Some(store) = state.stores.get_mut(&self.store) else {
            return;
        };
        let key = Arc::new(key);
        store.uses.insert(used, Arc::clone(&key));
        store.bytes += size;
        let kept = Kept {
            answer,
            at,
            used,
            size,
        };
        store.kept.insert(key, kept);
        state.uses.insert(used, self.store);
        state.bytes += size;
    }

    /// Drops all answers of the store.
    pub(super) fn clear(&self) {
        lock(&self.all.state).clear(self.store);
    }

    /// Drops the answers to questions that were put longer ago than that.
    pub(super) fn drop_older_than(&self, age: Duration) {
        let mut state = lock(&self.all.state);
        let Some(store) = state.stores.get(&self.store) else {
            return;
        };
        let old = store
            .kept
            .iter()
            .filter(|(_, kept)| kept.at.elapsed() > age);
        let old: Vec<_> = old.map(|(key, _)| Arc::clone(key)).collect();
        for key in old {
            state.remove(self.store, &key);
        }
    }
}

impl Drop for StoreAnswers {
    fn drop(&mut self) {
        let mut state = lock(&self.all.state);
        state.clear(self.store);
        state.stores.remove(&self.store);
    }
}

impl State {
    fn remove(&mut self, store: u64, key: &ReadKey) {
        let Some(of_store) = self.stores.get_mut(&store) else {
            return;
        };
        if let Some(kept) = of_store.kept.remove(key) {
            of_store.uses.remove(&kept.used);
            of_store.bytes -= kept.size;
            self.uses.remove(&kept.used);
            self.bytes -= kept.size;
        }
    }

    fn clear(&mut self, store: u64) {
        let Some(of_store) = self.stores.get_mut(&store) else {
            return;
        };
        let of_store = std::mem::take(of_store);
        for used in of_store.uses.keys() {
            self.uses.remove(used);
        }
        self.bytes -= of_store.bytes;
    }
}

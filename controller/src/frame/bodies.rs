//! The objects of a great backlog, read in pages: one by one each would cost a request of its own.
//!
//! Flow: [`feed`](super::backlog::feed) reads a page, keeps its objects here and puts their keys in the queue; the worker that has a key
//! [takes](Bodies::take) its object, and reads it itself if there is none, or if it is not what the watch showed last.
//! The next page is read when most of what was read is taken, so that memory does not grow with the backlog.
//!
//! Every object that is kept has its key in the queue, and work on a key begins with taking its object; so all are taken
//! in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::object::Key;
use super::read::Read;
use crate::room::Room;

/// So many are kept at a time.
pub(super) const MOST_KEPT: usize = 200;
/// The bytes of all that are kept, of all kinds together. An object may have 1.5 MiB, and one author may have many of those;
/// what does not fit is read by its worker.
const MOST_BYTES: usize = 4 << 20;

/// The bytes that are kept of all kinds together.
pub(crate) struct Ahead(Room);

impl Default for Ahead {
    fn default() -> Self {
        Self(Room::new(MOST_BYTES))
    }
}

/// Objects that were read and wait to be worked on.
pub(crate) struct Bodies<T> {
    kept: Mutex<Kept<T>>,
    ahead: Arc<Ahead>,
    taken: Notify,
}

struct Kept<T> {
    all: HashMap<Key, Read<T>>,
    bytes: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            bytes: 0,
        }
    }
}

impl<T> Bodies<T> {
    /// Keeps nothing yet; `ahead` counts what is kept of all kinds.
    pub(super) fn new(ahead: Arc<Ahead>) -> Self {
        Self {
            kept: Mutex::default(),
            ahead,
            taken: Notify::new(),
        }
    }

    /// Hands out the object of a key, if it was read.
    pub(super) fn take(&self, key: &Key) -> Option<Read<T>> {
        let taken = self.with(|kept| self.drop_from(kept, key))?;
        self.taken.notify_one();
        Some(taken)
    }

    /// Keeps an object that was read, as long as there is room.
    pub(super) fn keep(&self, key: &Key, read: Read<T>) {
        self.with(|kept| {
            self.drop_from(kept, key);
            if kept.all.len() < MOST_KEPT && self.ahead.0.take(read.size()) {
                kept.bytes += read.size();
                kept.all.insert(key.clone(), read);
            }
        });
    }

    fn drop_from(&self, kept: &mut Kept<T>, key: &Key) -> Option<Read<T>> {
        let dropped = kept.all.remove(key)?;
        kept.bytes -= dropped.size();
        self.ahead.0.give_back(dropped.size());
        Some(dropped)
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.with(|kept| {
            self.ahead.0.give_back(kept.bytes);
            *kept = Kept::default();
        });
        self.taken.notify_one();
    }

    /// Waits until half of the room is free.
    pub(super) async fn wait_for_room(&self) {
        while self.with(|kept| kept.all.len() >= MOST_KEPT / 2 || kept.bytes >= MOST_BYTES / 2) {
            self.taken.notified().await;
        }
        // Another scope may wait for the same.
        self.taken.notify_one();
    }

    fn with<R>(&self, change: impl FnOnce(&mut Kept<T>) -> R) -> R {
        change(&mut self.kept.lock().expect("no holder panics"))
    }
}

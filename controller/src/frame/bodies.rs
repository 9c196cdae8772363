//! The objects of a great backlog, read in pages: one by one each would cost a request of its own.
//!
//! Flow: [`feed`] reads a page, keeps its objects here and puts their keys in the queue; the worker that has a key
//! [takes](Bodies::take) its object, and reads it itself if there is none, or if it is not what the watch showed last.
//! The next page is read when half of the last one is taken, so that memory does not grow with the backlog.
//!
//! Every object that is kept has its key in the queue, and work on a key begins with taking its object; so all are taken
//! in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use kube::Resource;
use kube::api::ListParams;
use tokio::sync::Notify;

use super::index::Key;
use super::kind::{Kind, key_of};
use super::queue::Urgency;
use super::read::Read;
use super::watch::{PAGE, api_of};

/// Fewer than these are read one by one.
const MANY: usize = 50;

/// Objects that were read and wait to be worked on.
pub(crate) struct Bodies<T> {
    kept: Mutex<HashMap<Key, Read<T>>>,
    taken: Notify,
}

impl<T> Default for Bodies<T> {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            taken: Notify::new(),
        }
    }
}

impl<T> Bodies<T> {
    /// Hands out the object of a key, if it was read.
    pub(super) fn take(&self, key: &Key) -> Option<Read<T>> {
        let taken = self.with(|kept| kept.remove(key))?;
        self.taken.notify_one();
        Some(taken)
    }

    /// Keeps an object that the watch showed, as long as there are only few.
    pub(super) fn keep_one(&self, key: &Key, read: Read<T>) {
        self.with(|kept| {
            if kept.len() < PAGE as usize {
                kept.insert(key.clone(), read);
            }
        });
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.with(HashMap::clear);
        self.taken.notify_one();
    }

    fn keep(&self, key: Key, read: Read<T>) {
        self.with(|kept| kept.insert(key, read));
    }

    async fn wait_for_fewer_than(&self, count: usize) {
        while self.with(|kept| kept.len()) >= count {
            self.taken.notified().await;
        }
        // Another scope may wait for the same.
        self.taken.notify_one();
    }

    fn with<R>(&self, change: impl FnOnce(&mut HashMap<Key, Read<T>>) -> R) -> R {
        change(&mut self.kept.lock().expect("no holder panics"))
    }
}

/// Puts the keys in the queue, with their objects where there are many.
pub(super) async fn feed<K: Kind>(kind: &K, namespace: Option<&str>, work: Vec<Key>) {
    let frame = kind.frame();
    if work.len() < MANY {
        for key in work {
            frame.queue.add(key, Urgency::Backlog);
        }
        return;
    }
    let mut waiting: HashSet<Key> = work.into_iter().collect();
    let api = api_of::<Read<K::Object>>(frame.api(), namespace);
    let selector = &frame.watching.label_selector;
    let mut params = ListParams {
        label_selector: Some(selector.clone()).filter(|text| !text.is_empty()),
        limit: Some(PAGE),
        ..ListParams::default()
    };
    loop {
        let page = match api.list(&params).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(error = %error, "cannot read ahead, the rest is read one by one");
                break;
            }
        };
        for read in page.items {
            let key = key_of(read.meta());
            if waiting.remove(&key) && frame.is_unsettled(&key) {
                frame.bodies.keep(key.clone(), read);
                frame.queue.add(key, Urgency::Backlog);
            }
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() || waiting.is_empty() {
            break;
        }
        frame.bodies.wait_for_fewer_than(PAGE as usize / 2).await;
    }
    // What was not listed any more, or never could be.
    for key in waiting {
        frame.queue.add(key, Urgency::Backlog);
    }
}

//! The objects of a great backlog, read in pages: one by one each would cost a request of its own.
//!
//! Flow: [`feed`] reads a page, keeps its objects here and puts their keys in the queue; whoever works on one
//! [takes](Bodies::take) its object, and reads it itself if there is none, or if it is not what the watch showed last.
//! The next page is read when half of the last one is taken, so that memory does not grow with the backlog.
//!
//! Every object that is kept has its key in the queue, and work on a key begins with taking its object; so all are taken
//! in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use kube::api::ListParams;
use sealwright_resources::sealed_secret::SealedSecret;
use tokio::sync::Notify;

use super::SealedSecrets;
use super::subject::key_of_read;
use super::watch::{PAGE, api_of};
use crate::frame::index::Key;
use crate::frame::read::Read;
use crate::queue::Urgency;

/// Fewer than these are read one by one.
const MANY: usize = 50;

/// Objects that were read and wait to be worked on.
#[derive(Default)]
pub(super) struct Bodies {
    kept: Mutex<HashMap<Key, Read<SealedSecret>>>,
    taken: Notify,
}

impl Bodies {
    /// Hands out the object of a key, if it was read.
    pub(super) fn take(&self, key: &Key) -> Option<Read<SealedSecret>> {
        let taken = self.with(|kept| kept.remove(key))?;
        self.taken.notify_one();
        Some(taken)
    }

    /// Keeps an object that the watch showed, as long as there are only few.
    pub(super) fn keep_one(&self, key: &Key, sealed: Read<SealedSecret>) {
        self.with(|kept| {
            if kept.len() < PAGE as usize {
                kept.insert(key.clone(), sealed);
            }
        });
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.with(HashMap::clear);
        self.taken.notify_one();
    }

    fn keep(&self, key: Key, sealed: Read<SealedSecret>) {
        self.with(|kept| kept.insert(key, sealed));
    }

    async fn wait_for_fewer_than(&self, count: usize) {
        while self.with(|kept| kept.len()) >= count {
            self.taken.notified().await;
        }
        // Another scope may wait for the same.
        self.taken.notify_one();
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Key, Read<SealedSecret>>) -> T) -> T {
        change(&mut self.kept.lock().expect("no holder panics"))
    }
}

/// Puts the keys in the queue, with their objects where there are many.
pub(super) async fn feed(this: &SealedSecrets, namespace: Option<&str>, work: Vec<Key>) {
    if work.len() < MANY {
        for key in work {
            this.queue.add(key, Urgency::Backlog);
        }
        return;
    }
    let mut waiting: HashSet<Key> = work.into_iter().collect();
    let api = api_of::<Read<SealedSecret>>(this, namespace);
    let mut params = ListParams {
        label_selector: Some(this.settings.label_selector.clone()).filter(|text| !text.is_empty()),
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
        for sealed in page.items {
            let key = key_of_read(&sealed);
            if waiting.remove(&key) && this.is_unsettled(&key) {
                this.bodies.keep(key.clone(), sealed);
                this.queue.add(key, Urgency::Backlog);
            }
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() || waiting.is_empty() {
            break;
        }
        this.bodies.wait_for_fewer_than(PAGE as usize / 2).await;
    }
    // What was not listed any more, or never could be.
    for key in waiting {
        this.queue.add(key, Urgency::Backlog);
    }
}

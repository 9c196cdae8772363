//! A great backlog, whose objects are read in pages.

use std::collections::HashSet;

use kube::Resource;

use super::bodies::MOST_KEPT;
use super::kind::Kind;
use super::object::{Key, key_of};
use super::pages::{Pages, listed};
use super::queue::Urgency;
use super::read::Read;

/// Fewer than these are read one by one.
const MANY: usize = 50;

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
    let selector = &frame.watching.label_selector;
    let mut pages = Pages::<Read<K::Object>>::new(listed(frame.api(), namespace, selector));
    pages.have_at_most(MOST_KEPT / 2);
    loop {
        let page = match pages.next().await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(error = %crate::error_text(&error), "cannot read ahead, the rest is read one by one");
                break;
            }
        };
        // What cannot be read here is read by its worker.
        for read in page.filter_map(Result::ok) {
            let key = key_of(read.meta());
            if waiting.remove(&key) && frame.is_unsettled(&key) {
                frame.bodies.keep(&key, read);
                frame.queue.add(key, Urgency::Backlog);
            }
        }
        if pages.is_last() || waiting.is_empty() {
            break;
        }
        frame.bodies.wait_for_room().await;
    }
    // What was not listed any more, or never could be.
    for key in waiting {
        frame.queue.add(key, Urgency::Backlog);
    }
}

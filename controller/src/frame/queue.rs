//! The work queue: each key at most once, never on two workers, new things before old ones.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::QueueDepth;

/// How soon a key is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Part of a great many, at start.
    Backlog,
    /// Something changed just now.
    Now,
}

/// A queue of keys.
///
/// - A key that waits is not added twice; if it is added while a worker has it, it comes again
///   afterwards. So one object is never worked on twice at once, and a burst of changes is one
///   piece of work.
/// - Recent keys go before the backlog, but every eighth piece of work is taken from the backlog
///   all the same.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

struct State<K> {
    places: HashMap<K, Place>,
    now: VecDeque<K>,
    backlog: VecDeque<K>,
    later: BTreeMap<(Instant, u64), K>,
    sequence: u64,
    taken_now: u32,
}

/// Where a key is.
enum Place {
    Waiting(Urgency),
    Later((Instant, u64)),
    /// With a worker, and what comes after.
    Working(After),
}

/// What was wanted of a key while a worker had it.
#[derive(Clone, Copy, Default)]
struct After {
    urgency: Option<Urgency>,
    at: Option<Instant>,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                places: HashMap::new(),
                now: VecDeque::new(),
                backlog: VecDeque::new(),
                later: BTreeMap::new(),
                sequence: 0,
                taken_now: 0,
            }),
            wake: Notify::new(),
        }
    }

    /// Enqueues `key` now and cancels any pending delay.
    pub(crate) fn add(&self, key: K, urgency: Urgency) {
        let mut state = self.state.lock().expect("no holder panics");
        state.add(key, urgency);
        drop(state);
        self.wake.notify_one();
    }

    /// Enqueues `key` after `delay`, unless it is to come sooner.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        let mut state = self.state.lock().expect("no holder panics");
        state.add_later(key, Instant::now() + delay);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the next key; it belongs to the caller until [`done`](Self::done).
    pub(crate) async fn next(&self) -> K {
        loop {
            let notified = self.wake.notified();
            let (key, sleep_until) = {
                let mut state = self.state.lock().expect("no holder panics");
                let key = state.take(Instant::now());
                (key, state.later.keys().next().map(|(at, _)| *at))
            };
            match (key, sleep_until) {
                (Some(key), _) => {
                    // One notification may have stood for several keys.
                    self.wake.notify_one();
                    return key;
                }
                (None, Some(at)) => {
                    tokio::select! {
                        () = notified => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                (None, None) => notified.await,
            }
        }
    }

    /// Gives a key back, to come again after `again` if that is wanted.
    pub(crate) fn done(&self, key: &K, again: Option<Duration>) {
        let mut state = self.state.lock().expect("no holder panics");
        let after = match state.places.remove(key) {
            Some(Place::Working(after)) => after,
            Some(other) => {
                state.places.insert(key.clone(), other);
                return;
            }
            None => After::default(),
        };
        let again = again.map(|delay| Instant::now() + delay);
        match (after.urgency, [after.at, again].into_iter().flatten().min()) {
            (Some(urgency), _) => state.add(key.clone(), urgency),
            (None, Some(at)) => state.add_later(key.clone(), at),
            (None, None) => return,
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Counts the keys by where they are.
    pub(crate) fn depth(&self) -> QueueDepth {
        let state = self.state.lock().expect("no holder panics");
        let mut depth = QueueDepth::default();
        for place in state.places.values() {
            match place {
                Place::Waiting(Urgency::Now) => depth.ready += 1,
                Place::Waiting(Urgency::Backlog) => depth.backlog += 1,
                Place::Later(_) => depth.delayed += 1,
                Place::Working(_) => depth.working += 1,
            }
        }
        depth
    }

    /// Forgets everything that waits.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().expect("no holder panics");
        state.places.clear();
        state.now.clear();
        state.backlog.clear();
        state.later.clear();
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, urgency: Urgency) {
        match self.places.entry(key.clone()) {
            Entry::Vacant(place) => {
                place.insert(Place::Waiting(urgency));
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Place::Working(after) => {
                    after.urgency = after.urgency.max(Some(urgency));
                    return;
                }
                Place::Waiting(known) if *known >= urgency => return,
                // Its old entry in the backlog is skipped when its turn comes.
                Place::Waiting(known) => *known = urgency,
                Place::Later(at) => {
                    self.later.remove(at);
                    place.insert(Place::Waiting(urgency));
                }
            },
        }
        match urgency {
            Urgency::Now => self.now.push_back(key),
            Urgency::Backlog => self.backlog.push_back(key),
        }
    }

    fn add_later(&mut self, key: K, at: Instant) {
        let place = (at, self.sequence);
        match self.places.get_mut(&key) {
            None => {}
            Some(Place::Later(known)) if known.0 > at => {
                self.later.remove(known);
            }
            Some(Place::Working(after)) => {
                after.at = Some(after.at.map_or(at, |known| known.min(at)));
                return;
            }
            Some(_) => return,
        }
        self.sequence += 1;
        self.later.insert(place, key.clone());
        self.places.insert(key, Place::Later(place));
    }

    fn take(&mut self, now: Instant) -> Option<K> {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.places
                .insert(key.clone(), Place::Waiting(Urgency::Now));
            self.now.push_back(key);
        }
        let backlog_first = self.taken_now >= 7 && !self.backlog.is_empty();
        let order = match backlog_first {
            true => [Urgency::Backlog, Urgency::Now],
            false => [Urgency::Now, Urgency::Backlog],
        };
        for urgency in order {
            let line = match urgency {
                Urgency::Now => &mut self.now,
                Urgency::Backlog => &mut self.backlog,
            };
            while let Some(key) = line.pop_front() {
                let Some(place) = self.places.get_mut(&key) else {
                    continue;
                };
                if matches!(place, Place::Waiting(known) if *known == urgency) {
                    *place = Place::Working(After::default());
                    self.taken_now = match urgency {
                        Urgency::Now => self.taken_now.saturating_add(1),
                        Urgency::Backlog => 0,
                    };
                    return Some(key);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &Queue<&'static str>) -> Option<&'static str> {
        queue.state.lock().unwrap().take(Instant::now())
    }

    #[tokio::test]
    async fn new_things_go_first_but_the_backlog_is_not_starved() {
        let queue = Queue::new();
        for key in ["b1", "b2", "b3"] {
            queue.add(key, Urgency::Backlog);
        }
        let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
        for key in names {
            queue.add(key, Urgency::Now);
        }
        let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
        assert_eq!(order[..7], names[..7]);
        assert_eq!(order[7..], ["b1", "n8", "n9", "b2", "b3"]);
    }

    #[tokio::test]
    async fn a_key_is_queued_once_and_never_on_two_workers() {
        let queue = Queue::new();
        queue.add("a", Urgency::Backlog);
        queue.add("a", Urgency::Now);
        queue.add("a", Urgency::Now);
        assert_eq!(queue.next().await, "a");
        assert_eq!(taken(&queue), None);
        queue.add("a", Urgency::Now);
        queue.add("a", Urgency::Backlog);
        assert_eq!(taken(&queue), None);
        queue.done(&"a", None);
        assert_eq!(taken(&queue), Some("a"));
        queue.done(&"a", None);
        assert_eq!(taken(&queue), None);
    }

    #[tokio::test]
    async fn retries_come_later_and_a_change_does_not_wait_for_them() {
        let queue = Queue::new();
        let minute = Duration::from_secs(60);
        let at = |later| queue.state.lock().unwrap().take(Instant::now() + later);
        queue.add("a", Urgency::Now);
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", Some(minute));
        assert_eq!(at(minute / 2), None);
        queue.add("a", Urgency::Now);
        assert_eq!(at(Duration::ZERO), Some("a"));
        queue.done(&"a", Some(minute));
        assert_eq!(at(minute + Duration::from_secs(1)), Some("a"));
    }

    #[tokio::test]
    async fn keys_are_counted_by_where_they_are() {
        let queue = Queue::new();
        for key in ["a", "b", "c"] {
            queue.add(key, Urgency::Backlog);
        }
        queue.add("n", Urgency::Now);
        queue.add("n", Urgency::Now);
        queue.add_after("l", Duration::from_secs(60));
        assert_eq!(queue.next().await, "n");
        let depth = QueueDepth {
            ready: 0,
            backlog: 3,
            delayed: 1,
            working: 1,
        };
        assert_eq!(queue.depth(), depth);
    }

    #[tokio::test]
    async fn the_earlier_of_two_delays_counts() {
        let queue = Queue::new();
        for seconds in [60, 5, 90] {
            queue.add_after("a", Duration::from_secs(seconds));
        }
        let at = |seconds| {
            let now = Instant::now() + Duration::from_secs(seconds);
            queue.state.lock().unwrap().take(now)
        };
        assert_eq!(at(4), None);
        assert_eq!(at(6), Some("a"));
        queue.done(&"a", None);
        assert_eq!(at(100), None);
    }

    #[tokio::test]
    async fn a_delay_that_is_wanted_while_a_worker_has_the_key_is_kept() {
        let queue = Queue::new();
        let at = |seconds| {
            let now = Instant::now() + Duration::from_secs(seconds);
            queue.state.lock().unwrap().take(now)
        };
        queue.add("a", Urgency::Now);
        assert_eq!(at(0), Some("a"));
        queue.add_after("a", Duration::from_secs(60));
        queue.add_after("a", Duration::from_secs(5));
        assert_eq!(at(100), None);
        queue.done(&"a", Some(Duration::from_secs(30)));
        assert_eq!(at(4), None);
        assert_eq!(at(6), Some("a"));
        queue.done(&"a", None);
        assert_eq!(at(100), None);
    }

    #[tokio::test]
    async fn a_worker_wakes_when_a_delay_is_over() {
        let queue = Queue::new();
        queue.add_after("a", Duration::from_millis(20));
        assert_eq!(queue.next().await, "a");
    }
}

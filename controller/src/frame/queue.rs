//! The work queue: each key at most once, never on two workers, new things before old ones, and no namespace before the
//! others.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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
    /// Its time has come: a refresh, or a retry.
    Due,
    /// Something changed just now.
    Now,
}

/// Which workers a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Most of them: no object takes long.
    Quick,
    /// One worker, for objects that [need a lot of processor time](Queue::slow_down).
    Slow,
}

/// What keys share their turns with.
pub(crate) trait Grouped {
    /// A namespace.
    type Group: Clone + Eq + Hash;

    fn group(&self) -> Self::Group;
}

/// A queue of keys.
///
/// - A key that waits is not added twice; if it is added while a worker has it, it comes again
///   afterwards. So one object is never worked on twice at once, and a burst of changes is one
///   piece of work.
/// - Recent keys go before those that are due, and those before the backlog; but what is passed over seven times goes first
///   all the same.
/// - Groups of recent and of due keys take turns, so a group that floods the queue makes itself wait.
/// - Keys that have proved to be slow have a lane of their own, so they make each other wait.
pub(crate) struct Queue<K: Grouped> {
    state: Mutex<State<K>>,
    wake: [Notify; 2],
}

struct State<K: Grouped> {
    places: HashMap<K, Place>,
    now: Turns<K>,
    due: Turns<K>,
    backlog: VecDeque<K>,
    slow: Turns<K>,
    /// The keys of the slow lane, wherever they are.
    slowed: HashSet<K>,
    /// In the order in which they are due, and with which urgency they are.
    later: BTreeMap<(Instant, u64), (K, Urgency)>,
    sequence: u64,
    /// How often something more urgent was taken while a due key, or one of the backlog, waited.
    passed_over: [u32; 2],
}

/// A key that comes back so soon belongs to the work that it was part of.
const SOON: Duration = Duration::from_secs(1);
/// How often keys are passed over by more urgent ones at most.
const PATIENCE: u32 = 7;

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
    /// The worker has found out that it is slow.
    slowed_down: bool,
}

/// Keys whose groups take turns.
struct Turns<K: Grouped> {
    groups: HashMap<K::Group, VecDeque<K>>,
    order: VecDeque<K::Group>,
}

impl<K: Grouped> Turns<K> {
    fn new() -> Self {
        Self {
            groups: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn push(&mut self, key: K) {
        match self.groups.entry(key.group()) {
            Entry::Occupied(mut group) => group.get_mut().push_back(key),
            Entry::Vacant(group) => {
                self.order.push_back(group.key().clone());
                group.insert(VecDeque::from([key]));
            }
        }
    }

    fn pop(&mut self) -> Option<K> {
        let group = self.order.pop_front()?;
        let Entry::Occupied(mut keys) = self.groups.entry(group) else {
            unreachable!("a group that waits for its turn has keys");
        };
        let key = keys.get_mut().pop_front();
        match keys.get().is_empty() {
            true => drop(keys.remove()),
            false => self.order.push_back(keys.key().clone()),
        }
        key
    }
}

impl<K: Grouped + Clone + Eq + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                places: HashMap::new(),
                now: Turns::new(),
                due: Turns::new(),
                backlog: VecDeque::new(),
                slow: Turns::new(),
                slowed: HashSet::new(),
                later: BTreeMap::new(),
                sequence: 0,
                passed_over: [0; 2],
            }),
            wake: [Notify::new(), Notify::new()],
        }
    }

    fn wake(&self) {
        self.wake.iter().for_each(Notify::notify_one);
    }

    /// Enqueues `key` now and cancels any pending delay.
    pub(crate) fn add(&self, key: K, urgency: Urgency) {
        let mut state = self.state.lock().expect("no holder panics");
        state.add(key, urgency);
        drop(state);
        self.wake();
    }

    /// Enqueues `key` after `delay`, unless it is to come sooner.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        let mut state = self.state.lock().expect("no holder panics");
        state.add_later(key, Instant::now() + delay);
        drop(state);
        self.wake();
    }

    /// Waits for the next key of a lane; it belongs to the caller until [`done`](Self::done).
    pub(crate) async fn next(&self, lane: Lane) -> K {
        let wake = &self.wake[lane as usize];
        loop {
            let notified = wake.notified();
            let (key, sleep_until) = {
                let mut state = self.state.lock().expect("no holder panics");
                let key = state.take(lane, Instant::now());
                (key, state.later.keys().next().map(|(at, _)| *at))
            };
            match (key, sleep_until) {
                (Some(key), _) => {
                    // One notification may have stood for several keys.
                    wake.notify_one();
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
        self.wake();
    }

    /// Puts a key that a worker has into the slow lane, until it is [quickened](Self::quicken).
    pub(crate) fn slow_down(&self, key: &K) {
        let mut state = self.state.lock().expect("no holder panics");
        state.slowed.insert(key.clone());
        if let Some(Place::Working(after)) = state.places.get_mut(key) {
            after.slowed_down = true;
        }
    }

    /// Returns true if a key was [slowed down](Self::slow_down) since its worker has had it.
    pub(crate) fn was_slowed_down(&self, key: &K) -> bool {
        let state = self.state.lock().expect("no holder panics");
        matches!(state.places.get(key), Some(Place::Working(after)) if after.slowed_down)
    }

    /// Returns true if a key is in the slow lane.
    pub(crate) fn is_slow(&self, key: &K) -> bool {
        let state = self.state.lock().expect("no holder panics");
        state.slowed.contains(key)
    }

    /// Takes a key out of the slow lane, because it is not what it was.
    pub(crate) fn quicken(&self, key: &K) {
        let mut state = self.state.lock().expect("no holder panics");
        if !state.slowed.remove(key) {
            return;
        }
        // Its old entry in the slow lane is skipped when its turn comes.
        if let Some(Place::Waiting(urgency)) = state.places.get(key) {
            let urgency = *urgency;
            state.line_up(key.clone(), urgency);
            drop(state);
            self.wake();
        }
    }

    /// Counts the keys by where they are.
    pub(crate) fn depth(&self) -> QueueDepth {
        let state = self.state.lock().expect("no holder panics");
        let mut depth = QueueDepth::default();
        for (key, place) in &state.places {
            match place {
                Place::Waiting(_) if state.slowed.contains(key) => depth.slow += 1,
                Place::Waiting(Urgency::Now) => depth.ready += 1,
                Place::Waiting(Urgency::Due) => depth.due += 1,
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
        state.now = Turns::new();
        state.due = Turns::new();
        state.backlog.clear();
        state.slow = Turns::new();
        state.slowed.clear();
        state.later.clear();
    }
}

impl<K: Grouped + Clone + Eq + Hash> State<K> {
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
        self.line_up(key, urgency);
    }

    fn line_up(&mut self, key: K, urgency: Urgency) {
        match urgency {
            _ if self.slowed.contains(&key) => self.slow.push(key),
            Urgency::Now => self.now.push(key),
            Urgency::Due => self.due.push(key),
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
        let urgency = match at.saturating_duration_since(Instant::now()) < SOON {
            true => Urgency::Now,
            false => Urgency::Due,
        };
        self.later.insert(place, (key.clone(), urgency));
        self.places.insert(key, Place::Later(place));
    }

    fn take(&mut self, lane: Lane, now: Instant) -> Option<K> {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (key, urgency) = entry.remove();
            self.places.insert(key.clone(), Place::Waiting(urgency));
            self.line_up(key, urgency);
        }
        if lane == Lane::Slow {
            while let Some(key) = self.slow.pop() {
                if self.slowed.contains(&key) && self.hand_out(&key, |_| true) {
                    return Some(key);
                }
            }
            return None;
        }
        let waits = [!self.due.is_empty(), !self.backlog.is_empty()];
        let [due_first, backlog_first] =
            [0, 1].map(|at| waits[at] && self.passed_over[at] >= PATIENCE);
        let order = match (due_first, backlog_first) {
            (_, true) => [Urgency::Backlog, Urgency::Now, Urgency::Due],
            (true, false) => [Urgency::Due, Urgency::Now, Urgency::Backlog],
            (false, false) => [Urgency::Now, Urgency::Due, Urgency::Backlog],
        };
        for urgency in order {
            while let Some(key) = match urgency {
                Urgency::Now => self.now.pop(),
                Urgency::Due => self.due.pop(),
                Urgency::Backlog => self.backlog.pop_front(),
            } {
                if !self.slowed.contains(&key) && self.hand_out(&key, |known| known == urgency) {
                    self.pass_over(urgency, waits);
                    return Some(key);
                }
            }
        }
        None
    }

    /// Notes that a key was taken while less urgent ones waited.
    fn pass_over(&mut self, taken: Urgency, waits: [bool; 2]) {
        for (at, urgency) in [Urgency::Due, Urgency::Backlog].into_iter().enumerate() {
            let passed = &mut self.passed_over[at];
            *passed = match urgency < taken && waits[at] {
                true => passed.saturating_add(1),
                false if urgency == taken => 0,
                false => *passed,
            };
        }
    }

    /// Notes that a worker has a key that waits with a fitting urgency; returns false if none does.
    fn hand_out(&mut self, key: &K, fits: impl Fn(Urgency) -> bool) -> bool {
        let fits = matches!(self.places.get(key), Some(Place::Waiting(known)) if fits(*known));
        if fits {
            let working = Place::Working(After::default());
            self.places.insert(key.clone(), working);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Grouped for &'static str {
        type Group = &'static str;

        fn group(&self) -> &'static str {
            self.split_once('/').map_or("", |(group, _)| group)
        }
    }

    fn taken(queue: &Queue<&'static str>) -> Option<&'static str> {
        queue
            .state
            .lock()
            .unwrap()
            .take(Lane::Quick, Instant::now())
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

    #[tokio::test(start_paused = true)]
    async fn what_is_due_waits_for_changes_and_makes_the_backlog_wait() {
        let queue = Queue::new();
        for key in ["d1", "d2"] {
            queue.add_after(key, Duration::from_secs(5));
        }
        // It comes back at once, so it is still what changed.
        queue.add_after("again", Duration::from_millis(100));
        tokio::time::advance(Duration::from_secs(6)).await;
        queue.add("b1", Urgency::Backlog);
        queue.add("n1", Urgency::Now);
        // A change of what is due does not wait with it.
        queue.add("d2", Urgency::Now);
        let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
        assert_eq!(order, ["n1", "d2", "again", "d1", "b1"]);
        order.iter().for_each(|key| queue.done(key, None));
        for _ in 0..20 {
            queue.add_after("due", Duration::from_secs(5));
            tokio::time::advance(Duration::from_secs(6)).await;
            let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
            for key in names {
                queue.add(key, Urgency::Now);
            }
            let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
            let at = order.iter().position(|key| *key == "due").unwrap();
            assert!(at <= 7, "{order:?}");
            for key in order {
                queue.done(&key, None);
            }
        }
    }

    #[tokio::test]
    async fn a_key_is_queued_once_and_never_on_two_workers() {
        let queue = Queue::new();
        queue.add("a", Urgency::Backlog);
        queue.add("a", Urgency::Now);
        queue.add("a", Urgency::Now);
        assert_eq!(queue.next(Lane::Quick).await, "a");
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
        let at = |later| {
            queue
                .state
                .lock()
                .unwrap()
                .take(Lane::Quick, Instant::now() + later)
        };
        queue.add("a", Urgency::Now);
        assert_eq!(queue.next(Lane::Quick).await, "a");
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
        assert_eq!(queue.next(Lane::Quick).await, "n");
        let depth = QueueDepth {
            ready: 0,
            due: 0,
            backlog: 3,
            slow: 0,
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
            queue.state.lock().unwrap().take(Lane::Quick, now)
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
            queue.state.lock().unwrap().take(Lane::Quick, now)
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
        assert_eq!(queue.next(Lane::Quick).await, "a");
    }

    #[tokio::test]
    async fn a_group_that_floods_the_queue_makes_itself_wait() {
        let queue = Queue::new();
        for key in ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "c/1"] {
            queue.add(key, Urgency::Now);
        }
        let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
        assert_eq!(order, ["a/1", "b/1", "c/1", "a/2", "b/2", "a/3", "a/4"]);
    }

    #[tokio::test]
    async fn slow_keys_wait_for_each_other_and_for_nothing_else() {
        let queue = Queue::new();
        let slow = || {
            let mut state = queue.state.lock().unwrap();
            state.take(Lane::Slow, Instant::now())
        };
        for key in ["a/1", "a/2", "b/1", "b/2"] {
            queue.add(key, Urgency::Now);
        }
        // Workers find out that three of them are slow.
        for key in ["a/1", "b/1", "a/2"] {
            assert_eq!(taken(&queue), Some(key));
            assert!(!queue.is_slow(&key) && !queue.was_slowed_down(&key));
            queue.slow_down(&key);
            assert!(queue.is_slow(&key) && queue.was_slowed_down(&key));
            queue.done(&key, Some(Duration::ZERO));
        }
        assert_eq!(taken(&queue), Some("b/2"));
        assert_eq!(taken(&queue), None);
        assert_eq!(queue.depth().slow, 3);
        assert_eq!(slow(), Some("a/1"));
        // Its old entry is skipped, and it is not handed out twice.
        queue.quicken(&"b/1");
        assert_eq!(taken(&queue), Some("b/1"));
        assert_eq!((slow(), slow()), (Some("a/2"), None));
        assert!(!queue.was_slowed_down(&"a/2"));
        // A slow key stays slow, whatever wakes it.
        queue.done(&"a/2", None);
        queue.add("a/2", Urgency::Backlog);
        queue.add_after("a/2", Duration::ZERO);
        assert_eq!((taken(&queue), slow()), (None, Some("a/2")));
        queue.quicken(&"a/2");
        queue.done(&"a/2", Some(Duration::ZERO));
        assert_eq!((slow(), taken(&queue)), (None, Some("a/2")));
    }

    #[tokio::test]
    async fn a_worker_of_the_slow_lane_wakes_for_its_keys() {
        let queue = Queue::new();
        queue.slow_down(&"s");
        queue.add_after("s", Duration::from_millis(20));
        assert_eq!(queue.next(Lane::Slow).await, "s");
        queue.add("s", Urgency::Now);
        queue.done(&"s", None);
        assert_eq!(queue.next(Lane::Slow).await, "s");
    }
}

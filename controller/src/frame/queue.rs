//! The work queue: each key at most once, never on two workers, new things before old ones, and no namespace before the
//! others.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::turns::Turns;
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
/// - Groups take turns, so a group that floods the queue makes itself wait; and one group never has all workers, so others
///   need not wait until its keys are done.
/// - Keys that have proved to be slow have a lane of their own, so they make each other wait.
pub(crate) struct Queue<K: Grouped> {
    state: Mutex<State<K>>,
    wake: [Notify; 2],
}

struct State<K: Grouped> {
    /// So many workers of the quick lane one group may have at a time.
    share: usize,
    places: HashMap<K, Place>,
    now: Turns<K::Group, K>,
    due: Turns<K::Group, K>,
    backlog: Turns<K::Group, K>,
    slow: Turns<K::Group, K>,
    /// The keys of the slow lane, wherever they are, and whether work on them is to be continued there.
    slowed: HashMap<K, bool>,
    /// The workers of the quick lane that groups have.
    busy: HashMap<K::Group, usize>,
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
    /// With a worker of this lane, and what comes after.
    Working(Lane, After),
}

/// What was wanted of a key while a worker had it.
#[derive(Clone, Copy, Default)]
struct After {
    urgency: Option<Urgency>,
    at: Option<Instant>,
    /// The worker has found out that it is slow.
    slowed_down: bool,
    /// It waits for an answer from outside, and occupies no worker meanwhile.
    aside: bool,
}

impl<K: Grouped + Clone + Eq + Hash> Queue<K> {
    /// A queue for so many workers of the quick lane.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                share: workers.saturating_sub((workers / 4).max(1)).max(1),
                places: HashMap::new(),
                now: Turns::default(),
                due: Turns::default(),
                backlog: Turns::default(),
                slow: Turns::default(),
                slowed: HashMap::new(),
                busy: HashMap::new(),
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

    /// Hands out the next key of a lane; it belongs to the caller until [`done`](Self::done). If none waits, the error is when
    /// the next key of any lane is due.
    pub(crate) fn take(&self, lane: Lane) -> Result<K, Option<Instant>> {
        let mut state = self.state.lock().expect("no holder panics");
        let key = state.take(lane, Instant::now());
        key.ok_or_else(|| state.later.keys().next().map(|(at, _)| *at))
    }

    /// Waits until there may be a key to [take](Self::take) that was not there before. `due` is what the last look said: if it
    /// were asked for again, the other lane might have lined that key up in between, and no one would wake.
    pub(crate) async fn filled(&self, lane: Lane, due: Option<Instant>) {
        // What came since the last look has left a notification.
        let notified = self.wake[lane as usize].notified();
        match due {
            Some(at) => tokio::select! {
                () = notified => {}
                () = tokio::time::sleep_until(at) => {}
            },
            None => notified.await,
        }
    }

    /// Gives a key back, to come again after `again` if that is wanted.
    pub(crate) fn done(&self, key: &K, again: Option<Duration>) {
        let mut state = self.state.lock().expect("no holder panics");
        let after = match state.places.remove(key) {
            Some(Place::Working(lane, after)) => {
                if !after.aside {
                    state.let_go(key, lane);
                }
                after
            }
            Some(other) => {
                state.places.insert(key.clone(), other);
                return;
            }
            // It was forgotten: another replica may look after it now.
            None => return,
        };
        let again = again.map(|delay| Instant::now() + delay);
        match (after.urgency, [after.at, again].into_iter().flatten().min()) {
            (Some(urgency), _) => state.add(key.clone(), urgency),
            (None, Some(at)) => state.add_later(key.clone(), at),
            (None, None) => {}
        }
        drop(state);
        // Another key of its group may have a worker now.
        self.wake();
    }

    /// Notes that a key occupies no worker for a while, or does so again: then another key of its group may have one.
    pub(crate) fn set_aside(&self, key: &K, aside: bool) {
        let mut state = self.state.lock().expect("no holder panics");
        let Some(Place::Working(lane, after)) = state.places.get_mut(key) else {
            return;
        };
        if std::mem::replace(&mut after.aside, aside) == aside {
            return;
        }
        let lane = *lane;
        match aside {
            true => state.let_go(key, lane),
            false => state.occupy(key, lane),
        }
        drop(state);
        self.wake();
    }

    /// Puts a key that a worker has into the slow lane, until it is [quickened](Self::quicken).
    pub(crate) fn slow_down(&self, key: &K) {
        let mut state = self.state.lock().expect("no holder panics");
        state.slowed.insert(key.clone(), true);
        if let Some(Place::Working(_, after)) = state.places.get_mut(key) {
            after.slowed_down = true;
        }
    }

    /// Returns true, once, if the work on a key was begun before it was slowed down, and is continued now.
    pub(crate) fn is_continued(&self, key: &K) -> bool {
        let mut state = self.state.lock().expect("no holder panics");
        state.slowed.get_mut(key).is_some_and(std::mem::take)
    }

    /// Returns true if a key was [slowed down](Self::slow_down) since its worker has had it.
    pub(crate) fn was_slowed_down(&self, key: &K) -> bool {
        let state = self.state.lock().expect("no holder panics");
        matches!(state.places.get(key), Some(Place::Working(_, after)) if after.slowed_down)
    }

    /// Returns true if a key is in the slow lane.
    pub(crate) fn is_slow(&self, key: &K) -> bool {
        let state = self.state.lock().expect("no holder panics");
        state.slowed.contains_key(key)
    }

    /// Takes a key out of the slow lane, because it is not what it was.
    pub(crate) fn quicken(&self, key: &K) {
        let mut state = self.state.lock().expect("no holder panics");
        if state.slowed.remove(key).is_none() {
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
                Place::Waiting(_) if state.slowed.contains_key(key) => depth.slow += 1,
                Place::Waiting(Urgency::Now) => depth.ready += 1,
                Place::Waiting(Urgency::Due) => depth.due += 1,
                Place::Waiting(Urgency::Backlog) => depth.backlog += 1,
                Place::Later(_) => depth.delayed += 1,
                Place::Working(..) => depth.working += 1,
            }
        }
        depth
    }

    /// Forgets everything that waits.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().expect("no holder panics");
        state.places.clear();
        state.now = Turns::default();
        state.due = Turns::default();
        state.backlog = Turns::default();
        state.slow = Turns::default();
        state.slowed.clear();
        state.busy.clear();
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
                Place::Working(_, after) => {
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
        let turns = match urgency {
            _ if self.slowed.contains_key(&key) => &mut self.slow,
            Urgency::Now => &mut self.now,
            Urgency::Due => &mut self.due,
            Urgency::Backlog => &mut self.backlog,
        };
        turns.push(key.group(), key);
    }

    fn add_later(&mut self, key: K, at: Instant) {
        let place = (at, self.sequence);
        match self.places.get_mut(&key) {
            None => {}
            Some(Place::Later(known)) if known.0 > at => {
                self.later.remove(known);
            }
            Some(Place::Working(_, after)) => {
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
            while let Some(key) = self.slow.pop(|_| true) {
                if self.slowed.contains_key(&key) && self.hand_out(&key, lane, |_| true) {
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
            loop {
                let (busy, share) = (&self.busy, self.share);
                let may = |group: &K::Group| busy.get(group).is_none_or(|busy| *busy < share);
                let turns = match urgency {
                    Urgency::Now => &mut self.now,
                    Urgency::Due => &mut self.due,
                    Urgency::Backlog => &mut self.backlog,
                };
                let Some(key) = turns.pop(may) else { break };
                let is_quick = !self.slowed.contains_key(&key);
                if is_quick && self.hand_out(&key, lane, |known| known == urgency) {
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
    fn hand_out(&mut self, key: &K, lane: Lane, fits: impl Fn(Urgency) -> bool) -> bool {
        let fits = matches!(self.places.get(key), Some(Place::Waiting(known)) if fits(*known));
        if fits {
            let working = Place::Working(lane, After::default());
            self.places.insert(key.clone(), working);
            self.occupy(key, lane);
        }
        fits
    }

    /// Notes that a key has a worker.
    fn occupy(&mut self, key: &K, lane: Lane) {
        if lane == Lane::Quick {
            *self.busy.entry(key.group()).or_default() += 1;
        }
    }

    /// Notes that a worker no longer has a key.
    fn let_go(&mut self, key: &K, lane: Lane) {
        if lane == Lane::Quick
            && let Entry::Occupied(mut busy) = self.busy.entry(key.group())
        {
            *busy.get_mut() -= 1;
            if *busy.get() == 0 {
                busy.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;

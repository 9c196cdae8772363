//! What is remembered of one object: some hundred bytes, and no value, sealed or not.
//!
//! [`Tracked`] has two halves. The watches write what they observe ([`Tracked::observe`], [`Tracked::observe_target`],
//! [`Tracked::observe_target_gone`]); the worker that has the object writes what it did ([`Tracked::finish`],
//! [`Tracked::state_written`]). Neither touches the other's half, and [`Tracked::state`] compares the two. So whatever happens
//! while an object is worked on, and in whatever order answers and watch events arrive, the newest observation decides whether
//! there is something left to do.
//!
//! Watch events may be older than what a worker has read or written meanwhile. Resource versions tell which is newer: an
//! observation that is older than the version that was worked on is history and asks for nothing.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::object::Version;

/// So many changes of what an object reads wake it without a pause.
const FREE_WAKES: u32 = 20;

/// A digest of everything that decides what an object asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    /// Digests values by their JSON text, in which maps are sorted as their types sort them.
    pub(crate) fn of_json(parts: &[&dyn erased::Json]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            let text = part.json();
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        Self(hash.finalize().into())
    }
}

/// What has a JSON text.
pub(crate) mod erased {
    /// Anything that can be serialized.
    pub(crate) trait Json {
        /// Its JSON text.
        fn json(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> Vec<u8> {
            serde_json::to_vec(self).expect("an object of Kubernetes is JSON")
        }
    }
}

/// An object as a watch shows it or a request reads it, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) resource_version: Box<str>,
    pub(crate) digest: Digest,
    pub(crate) generation: Option<i64>,
    /// A [fingerprint] of what the status says.
    pub(crate) status: u64,
    /// Counts the changes of what the object reads.
    pub(crate) surroundings: u64,
}

/// The Secret that an object writes, as the watch of Secrets shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// It was never observed, or is not watched.
    Unknown,
    /// There is none.
    Absent {
        /// The resource version of its deletion, if that was observed.
        since: Option<Box<str>>,
        /// It was not ours any more when it went, so it stays away.
        released: bool,
    },
    /// There is one.
    Present {
        version: Version,
        /// It comes back when it is deleted.
        reclaimed: bool,
    },
}

/// How the last attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The target, if the kind has one, is this version.
    Applied(Option<Version>),
    /// Something went wrong.
    Failed {
        /// Attempts with the same digest that failed in a row.
        count: u32,
        /// The target that was looked at, if it plays a part in the failure: its version, or that there was none.
        looked_at: Option<Option<Version>>,
    },
}

/// The status of an object as we know that it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stated {
    /// It could not be written.
    No,
    /// It is being written.
    Pending(u64),
    /// It was written, or found to be true, in this version of the object.
    Written(u64, Box<str>),
}

/// What was done about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// The object as it was worked on.
    seen: Seen,
    ended: Ended,
    stated: Stated,
}

/// What there is to do about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing: what was done covers the newest observation.
    Settled,
    /// Nothing before the next retry: nothing has changed since it failed.
    Failed,
    /// The object has changed since it was worked on, or its status is not true.
    Changed,
    /// Its target was deleted.
    TargetGone,
    /// Another writer changed its target.
    TargetEdited,
}

/// The Secret that an object writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TargetName {
    /// It writes none.
    None,
    /// Its namesake.
    Same,
    /// One with another name in its namespace.
    Other(Arc<str>),
}

/// How a target that was observed compares with one that was worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Nothing newer was observed.
    Same,
    /// Nothing was observed at all.
    Unknown,
    /// It was deleted; `released` if it was not ours any more.
    Gone { released: bool },
    /// Another writer has changed it.
    Other,
}

/// One object.
#[derive(Clone)]
pub(crate) struct Tracked<E> {
    uid: String,
    observed: Seen,
    target: Target,
    done: Option<Done>,
    /// Which version of the target came from which digest, through failures in between.
    applied: Option<(Digest, Version)>,
    edits: Edits,
    /// The brake on changes of what it reads, which may be of its own making.
    wakes: Edits,
    /// How often it could not be read from the API server, in a row.
    unread: u32,
    /// How far the API server was known to be when work on it began last, which is when it reads what it needs.
    looked: Option<u64>,
    pub(super) target_name: TargetName,
    pub(super) listing: u64,
    pub(super) target_listing: u64,
    /// What only its kind knows.
    pub(crate) extra: E,
}

impl<E> Tracked<E> {
    /// An object that is seen for the first time.
    pub(crate) fn new(uid: String, observed: Seen, target: Target, extra: E) -> Self {
        Self {
            uid,
            observed,
            target,
            done: None,
            applied: None,
            edits: Edits::default(),
            wakes: Edits::default(),
            unread: 0,
            looked: None,
            target_name: TargetName::None,
            listing: 0,
            target_listing: 0,
            extra,
        }
    }

    /// The uid of the object.
    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    /// The object as the watch showed it last.
    pub(crate) fn observed(&self) -> &Seen {
        &self.observed
    }

    /// The target as the watch of Secrets showed it last.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// What was done last.
    pub(crate) fn done(&self) -> Option<&Done> {
        self.done.as_ref()
    }

    /// Says what there is to do; with `statuses`, a status that is not true is something to do.
    ///
    /// The worker that has the object asks this when it begins and when it ends.
    pub(crate) fn state(&self, statuses: bool) -> State {
        match &self.done {
            // Only one worker has an object, so one that was to write the status has died.
            Some(Done {
                stated: Stated::Pending(_),
                ..
            }) if statuses => State::Changed,
            _ => self.state_beside_worker(statuses),
        }
    }

    /// The same for a watch, while a worker may be writing the status: its echo is nothing to do.
    fn state_beside_worker(&self, statuses: bool) -> State {
        let Some(done) = &self.done else {
            return State::Changed;
        };
        let (seen, covered) = (&self.observed, &done.seen);
        if seen.surroundings != covered.surroundings {
            return State::Changed;
        }
        if !is_older(&seen.resource_version, &covered.resource_version)
            && (seen.digest, seen.generation) != (covered.digest, covered.generation)
        {
            return State::Changed;
        }
        if statuses {
            match &done.stated {
                Stated::No => return State::Changed,
                Stated::Written(status, version)
                    if seen.status != *status && !is_older(&seen.resource_version, version) =>
                {
                    return State::Changed;
                }
                Stated::Written(..) | Stated::Pending(_) => {}
            }
        }
        let (settled, known) = match &done.ended {
            Ended::Applied(None)
            | Ended::Failed {
                looked_at: None, ..
            } => {
                return done.ended.at_rest();
            }
            Ended::Applied(Some(version)) => (State::Settled, Some(version)),
            Ended::Failed {
                looked_at: Some(version),
                ..
            } => (State::Failed, version.as_ref()),
        };
        match (known, &self.target) {
            (None, Target::Present { .. }) => State::TargetEdited,
            (None, _) => settled,
            (Some(version), _) => match self.compare_target(version) {
                Compared::Same | Compared::Unknown => settled,
                Compared::Gone { released: true } => settled,
                Compared::Gone { released: false } => State::TargetGone,
                Compared::Other => State::TargetEdited,
            },
        }
    }

    /// Compares a version of the target that a worker read or wrote with what was observed. What was observed before it is history.
    pub(crate) fn compare_target(&self, worked_on: &Version) -> Compared {
        let is_history =
            |resource_version: &str| is_older(resource_version, &worked_on.resource_version);
        match &self.target {
            Target::Unknown => Compared::Unknown,
            Target::Absent {
                since: Some(since), ..
            } if is_history(since) => Compared::Same,
            Target::Absent { released, .. } => Compared::Gone {
                released: *released,
            },
            Target::Present { version, .. }
                if version == worked_on || is_history(&version.resource_version) =>
            {
                Compared::Same
            }
            Target::Present { .. } => Compared::Other,
        }
    }

    /// Takes note of the object as it is now; returns true if that asks for work.
    pub(crate) fn observe(&mut self, mut seen: Seen, statuses: bool) -> bool {
        seen.surroundings = self.observed.surroundings;
        self.observed = seen;
        self.state_beside_worker(statuses).is_work()
    }

    /// Takes note that something that the object reads has changed; returns how long it has to wait because of how often that
    /// was so. An object may read what it writes itself, or two may read each other's Secrets, and a template may make something
    /// else each time.
    pub(super) fn disturb(&mut self, now: Instant) -> Duration {
        self.observed.surroundings = self.observed.surroundings.wrapping_add(1);
        let wait = self.wakes.wait_after(FREE_WAKES, now);
        if wait.is_zero() {
            self.wakes.note(now);
        }
        wait
    }

    /// Takes note that work begins, and how far the API server is known to be.
    pub(super) fn looks(&mut self, newest: u64) {
        self.looked = Some(newest);
    }

    /// Returns true if the object was worked on when this version of something that it reads may not have been there yet;
    /// without a version, if it was worked on at all with success, or is being worked on.
    pub(super) fn may_have_missed(&self, version: Option<&str>) -> bool {
        match (self.looked, version.map(str::parse::<u64>)) {
            (None, _) => false,
            (Some(looked), Some(Ok(version))) => looked < version,
            (Some(_), Some(Err(_))) => true,
            // What fails looks again anyway.
            (Some(_), None) => !self.is_failing(),
        }
    }

    /// How long an object with something left to do has to wait, because only what it reads has changed, and too often.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        let asks = |seen: &Seen| (seen.digest, seen.generation);
        let done = self.done.as_ref();
        match done.is_some_and(|done| asks(&done.seen) == asks(&self.observed)) {
            true => self.wakes.wait_after(FREE_WAKES, now),
            false => Duration::ZERO,
        }
    }

    /// Takes note of which Secret the object writes now.
    pub(super) fn rename_target(&mut self, name: TargetName) {
        if self.target_name != name {
            self.target_name = name;
            // What was observed is another Secret's.
            self.target = Target::Unknown;
        }
    }

    /// Takes note of the target as it is now; returns true if that asks for work.
    pub(crate) fn observe_target(
        &mut self,
        version: Version,
        reclaimed: bool,
        statuses: bool,
    ) -> bool {
        self.target = Target::Present { version, reclaimed };
        self.done.is_some() && self.state_beside_worker(statuses).is_work()
    }

    /// Takes note that the target was deleted, `version` being its last one; returns true if that asks for work.
    pub(crate) fn observe_target_gone(
        &mut self,
        version: &Version,
        reclaimed: bool,
        statuses: bool,
    ) -> bool {
        match &self.target {
            // It is another one already.
            Target::Present { version: known, .. }
                if known.uid != version.uid
                    && !is_older(&known.resource_version, &version.resource_version) =>
            {
                return false;
            }
            _ => {}
        }
        self.target = Target::Absent {
            since: Some(version.resource_version.as_str().into()),
            released: !reclaimed,
        };
        self.done.is_some() && self.state_beside_worker(statuses).is_work()
    }

    /// Takes note that a listing of all Secrets did not show the target.
    pub(super) fn observe_no_target(&mut self) {
        self.target = Target::Absent {
            since: None,
            released: match &self.target {
                Target::Present { reclaimed, .. } => !reclaimed,
                Target::Absent { released, .. } => *released,
                Target::Unknown => false,
            },
        };
    }

    /// Returns true if the target is known to have come from what `digest` stands for.
    pub(crate) fn is_applied(&self, digest: Digest) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|(applied, _)| *applied == digest)
    }

    /// The version of the target that came from what `digest` stands for.
    pub(crate) fn applied(&self, digest: Digest) -> Option<&Version> {
        self.applied
            .as_ref()
            .filter(|(applied, _)| *applied == digest)
            .map(|(_, version)| version)
    }

    /// Remembers, without an attempt, that a version of the target came from what `digest` stands for.
    pub(crate) fn remember_applied(&mut self, digest: Digest, version: Version) {
        self.applied = Some((digest, version));
    }

    /// Takes the object, status included, for dealt with as it was observed last.
    pub(crate) fn settle_as_observed(&mut self, target: Version) {
        let seen = self.observed.clone();
        self.finish(seen, Ended::Applied(Some(target)));
        let version = self.observed.resource_version.to_string();
        self.state_written(self.observed.status, &version);
    }

    /// Records what came of working on the object as it was `seen`. Its status is about to be written.
    pub(crate) fn finish(&mut self, seen: Seen, ended: Ended) {
        if let Ended::Applied(Some(version)) = &ended {
            self.applied = Some((seen.digest, version.clone()));
        }
        self.unread = 0;
        let stated = Stated::Pending(seen.status);
        self.done = Some(Done {
            seen,
            ended,
            stated,
        });
    }

    /// Records that the status is `status` in this version of the object.
    pub(crate) fn state_written(&mut self, status: u64, resource_version: &str) {
        if let Some(done) = &mut self.done {
            done.stated = Stated::Written(status, resource_version.into());
        }
    }

    /// Records that the status could not be written.
    pub(crate) fn state_not_written(&mut self) {
        if let Some(done) = &mut self.done {
            done.stated = Stated::No;
        }
    }

    /// How often attempts at this digest have failed in a row, the next one included.
    pub(crate) fn next_failure(&self, digest: Digest) -> u32 {
        match &self.done {
            Some(Done {
                seen,
                ended: Ended::Failed { count, .. },
                ..
            }) if seen.digest == digest => count.saturating_add(1),
            _ => 1,
        }
    }

    /// Counts that the object could not be read from the API server, and returns how often in a row.
    pub(super) fn count_unread(&mut self) -> u32 {
        self.unread = self.unread.saturating_add(1);
        self.unread
    }

    /// How many attempts in a row have failed, the last one included.
    pub(crate) fn failures(&self) -> u32 {
        match &self.done {
            Some(Done {
                ended: Ended::Failed { count, .. },
                ..
            }) => *count,
            _ => 0,
        }
    }

    /// Returns true if the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures() > 0
    }

    /// The brake on putting an edited target back.
    pub(crate) fn edits(&mut self) -> &mut Edits {
        &mut self.edits
    }

    /// Returns true if an object of this version is the one that the watch showed last.
    pub(crate) fn is_last_seen(&self, resource_version: Option<&str>) -> bool {
        !self.observed.resource_version.is_empty()
            && resource_version == Some(&*self.observed.resource_version)
    }
}

impl Ended {
    fn at_rest(&self) -> State {
        match self {
            Self::Applied(_) => State::Settled,
            Self::Failed { .. } => State::Failed,
        }
    }
}

impl State {
    /// Returns true if there is work to do at once.
    pub(crate) fn is_work(self) -> bool {
        !matches!(self, Self::Settled | Self::Failed)
    }
}

/// The brake on an edit war with another writer: a target that was edited is put back at once, but not at full speed for ever.
///
/// Only edits count. A deleted target is always put back at once, and after a calm minute everything is forgotten.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Edits {
    count: u32,
    last: Option<Instant>,
    /// The last look at an edited target led to a write.
    put_back: bool,
}

impl Edits {
    /// A minute without edits ends a war.
    const CALM: Duration = Duration::from_secs(60);
    /// So many edits are put back without a pause.
    const FREE: u32 = 5;
    /// The longest pause.
    const LONGEST: Duration = Duration::from_secs(32);

    /// How long an edit that is seen `now` has to wait.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.wait_after(Self::FREE, now)
    }

    /// The same with another number of those that need not wait.
    fn wait_after(&self, free: u32, now: Instant) -> Duration {
        let Some(last) = self.last else {
            return Duration::ZERO;
        };
        let pause = match self.count.checked_sub(free) {
            None => Duration::ZERO,
            Some(over) => (Duration::from_secs(1) * 2u32.pow(over.min(16))).min(Self::LONGEST),
        };
        (last + pause).saturating_duration_since(now)
    }

    /// Counts a look at an edited target.
    pub(crate) fn note(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now - last > Self::CALM) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        self.put_back = false;
    }

    /// Says that the edit was one that had to be undone.
    pub(crate) fn put_back(&mut self) {
        self.put_back = true;
    }

    /// Returns true if the edits so far had to be undone, so that this is a war and not a neighbour's notes.
    pub(crate) fn is_war(&self) -> bool {
        self.put_back
    }
}

/// Returns true if `one` is an older resource version than `other`. They are numbers that grow; what is no number is never older.
pub(crate) fn is_older(one: &str, other: &str) -> bool {
    matches!((one.parse::<u128>(), other.parse::<u128>()), (Ok(one), Ok(other)) if one < other)
}

/// A short name for what a status says.
pub(crate) fn fingerprint(what: impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;

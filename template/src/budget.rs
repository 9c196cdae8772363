//! What a rendering may use: processor time and memory.
//!
//! Templates are written by tenants, and one that never ends or that fills the memory must cost its author only.
//! Every step counts, every value that lives counts, and functions that multiply ask before they work.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

/// The bounds of one rendering: of all templates that fill one object together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processor time.
    pub time: Duration,
    /// Bytes of values that live at the same time, the parsed templates and the output included.
    pub memory: usize,
}

impl Limits {
    /// Two seconds and 16 MiB.
    pub const DEFAULT: Self = Self {
        time: Duration::from_secs(2),
        memory: 16 * 1024 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the templates of one object may still use; clones share it.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limits: Limits,
    /// Bytes that live.
    live: AtomicUsize,
    /// Nanoseconds spent in earlier calls.
    spent: AtomicU64,
    /// The clock of the thread when the running call began.
    began: AtomicU64,
    /// Work since the clock was looked at.
    work: AtomicUsize,
    exceeded: AtomicBool,
}

/// More was needed than there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Exceeded {
    #[error("the budget of {} of processor time is used up", Seconds(*.0))]
    Time(Duration),
    #[error("more is needed than the budget of {} of memory for live values", Bytes(*.0))]
    Memory(usize),
}

impl From<Exceeded> for String {
    fn from(exceeded: Exceeded) -> Self {
        exceeded.to_string()
    }
}

/// Bytes that are given back when this is dropped.
pub(crate) struct Charge {
    budget: Arc<Shared>,
    bytes: usize,
}

/// Work after which the clock is looked at: about 50 µs of bytes copied or nodes walked.
const SLICE: usize = 32 * 1024;

impl Default for Budget {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Budget {
    /// Starts with everything unused.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            live: AtomicUsize::new(0),
            spent: AtomicU64::new(0),
            began: AtomicU64::new(0),
            work: AtomicUsize::new(0),
            exceeded: AtomicBool::new(false),
        }))
    }

    /// Runs `call` on this thread and counts the processor time that it takes; returns nothing if more is used up by now
    /// than there is.
    ///
    /// For work beside templates that shares their budget, in portions that are small by themselves.
    pub fn spend<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let result = self.run(call);
        let spent = Duration::from_nanos(self.0.spent.load(Relaxed));
        match spent > self.0.limits.time {
            true => {
                self.exceeded(Exceeded::Time(self.0.limits.time));
                None
            }
            false => Some(result),
        }
    }

    /// Takes memory for as long as the budget lives; returns nothing if there is not so much.
    ///
    /// For what is made beside templates and shares their budget.
    pub fn take(&self, bytes: usize) -> Option<()> {
        self.charge(bytes).ok().map(Charge::keep)
    }

    /// Runs `call` on this thread and counts the processor time that it takes.
    pub(crate) fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        self.0.began.store(thread_time(), Relaxed);
        let result = call();
        let passed = thread_time().saturating_sub(self.0.began.load(Relaxed));
        self.0.spent.fetch_add(passed, Relaxed);
        result
    }

    /// Counts work, and now and then looks at the clock.
    pub(crate) fn tick(&self, work: usize) -> Result<(), Exceeded> {
        let done = self.0.work.fetch_add(work.max(1), Relaxed) + work;
        if done < SLICE {
            return Ok(());
        }
        self.check_time()
    }

    /// Looks at the clock: before and after whatever takes long at once.
    pub(crate) fn check_time(&self) -> Result<(), Exceeded> {
        self.0.work.store(0, Relaxed);
        let running = thread_time().saturating_sub(self.0.began.load(Relaxed));
        let spent = Duration::from_nanos(self.0.spent.load(Relaxed).saturating_add(running));
        if spent > self.0.limits.time {
            return Err(self.exceeded(Exceeded::Time(self.0.limits.time)));
        }
        Ok(())
    }

    /// Bytes that may still come to life.
    pub(crate) fn room(&self) -> usize {
        let live = self.0.live.load(Relaxed);
        self.0.limits.memory.saturating_sub(live)
    }

    /// Refuses work that would need more than there is room for.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<(), Exceeded> {
        if bytes > self.room() {
            return Err(self.no_room());
        }
        Ok(())
    }

    /// The error for a value that did not fit.
    pub(crate) fn no_room(&self) -> Exceeded {
        self.exceeded(Exceeded::Memory(self.0.limits.memory))
    }

    /// Takes memory.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge, Exceeded> {
        let mut charge = Charge {
            budget: Arc::clone(&self.0),
            bytes: 0,
        };
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Fails if anything was refused before, for functions that take other errors lightly.
    pub(crate) fn check(&self) -> Result<(), Exceeded> {
        match self.is_exceeded() {
            true => self.check_time().and(Err(self.no_room())),
            false => Ok(()),
        }
    }

    /// Returns true if anything was refused.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.0.exceeded.load(Relaxed)
    }

    fn exceeded(&self, exceeded: Exceeded) -> Exceeded {
        self.0.exceeded.store(true, Relaxed);
        exceeded
    }
}

impl Charge {
    /// Takes more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let before = self.budget.live.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.budget.limits.memory {
            self.budget.exceeded.store(true, Relaxed);
            return Err(Exceeded::Memory(self.budget.limits.memory));
        }
        Ok(())
    }
}

impl Charge {
    /// Lets the bytes count for as long as the budget lives.
    pub(crate) fn keep(mut self) {
        self.bytes = 0;
    }

    /// Gives some back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.live.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.live.fetch_sub(self.bytes, Relaxed);
    }
}

/// Processor time of the calling thread in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanoseconds
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: usize = 1024 * 1024;
        match self.0 {
            bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => write!(f, "{} MiB", bytes / MIB),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_time_does_not() {
        let budget = Budget::new(Limits {
            time: Duration::ZERO,
            memory: 100,
        });
        let charge = budget.charge(90).unwrap();
        assert_eq!(budget.room(), 10);
        let refused = budget.charge(11).err().unwrap();
        assert_eq!(
            refused.to_string(),
            "more is needed than the budget of 100 bytes of memory for live values"
        );
        drop(charge);
        assert_eq!(budget.room(), 100);
        budget.run(|| {
            let mut sum = 0u64;
            while budget.tick(1000).is_ok() {
                sum = sum.wrapping_add(1);
            }
        });
        assert!(budget.is_exceeded());
        assert_eq!(budget.spend(|| 5), None);
        assert_eq!(
            budget.check_time().unwrap_err().to_string(),
            "the budget of 0 s of processor time is used up"
        );
        assert_eq!(
            Exceeded::Time(Limits::default().time).to_string(),
            "the budget of 2 s of processor time is used up"
        );
        assert!(
            Exceeded::Memory(Limits::default().memory)
                .to_string()
                .contains("16 MiB")
        );
    }
}

//! When a failing object is tried again.

use std::time::Duration;

use crate::api::jitter;

/// What helps a failing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Time.
    TryAgain,
    /// A change of the object, or of what it needs.
    Wait,
}

/// When a failing object is tried again: soon for `quick` attempts where time helps, then slowly, and never not at all.
pub(crate) fn again(verdict: Verdict, failures: u32, quick: u32) -> Duration {
    const QUICK: Duration = Duration::from_millis(50);
    const SLOW: Duration = Duration::from_secs(10);
    const SLOWEST: Duration = Duration::from_secs(900);
    let quick = match verdict {
        Verdict::TryAgain => quick,
        Verdict::Wait => 0,
    };
    match failures.checked_sub(quick + 1) {
        None => (QUICK * 2u32.pow(failures.min(16))).min(SLOW),
        Some(slow) => (SLOW * 2u32.pow(slow.min(16))).min(SLOWEST),
    }
}

/// The same with jitter, so that objects that failed together do not come back together.
pub(crate) fn pause(verdict: Verdict, failures: u32, quick: u32) -> Duration {
    let wait = again(verdict, failures, quick);
    wait + jitter(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_retries_slow_down_and_never_end() {
        let waits = |verdict| (1..40).map(move |failures| again(verdict, failures, 5));
        assert_eq!(again(Verdict::TryAgain, 1, 5), Duration::from_millis(100));
        assert_eq!(again(Verdict::TryAgain, 6, 5), Duration::from_secs(10));
        assert_eq!(again(Verdict::Wait, 1, 5), Duration::from_secs(10));
        assert!(
            waits(Verdict::Wait)
                .chain(waits(Verdict::TryAgain))
                .all(|wait| wait <= Duration::from_secs(900))
        );
        assert!(waits(Verdict::Wait).is_sorted());
    }
}

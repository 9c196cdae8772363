//! How soon an object that has failed is tried again.

use std::time::Duration;

use jiff::SignedDuration;

/// A second, then twice as long each time, up to seven minutes.
pub(super) fn retry(failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(7 * 60);
    let doubled = 1u64 << failures.saturating_sub(1).min(16);
    Duration::from_secs(doubled).min(LONGEST)
}

/// A value that is not there is asked for as seldom as the object would be refreshed, at most four times a day, after some
/// questions that become rarer: a broken reference must not use up the calls of a store.
///
/// An object that is refreshed every hour or more often costs its store much already, and may ask more often at first.
pub(super) fn retry_seldom(failures: u32, interval: SignedDuration) -> Duration {
    const FIRST: [u64; 5] = [3, 12, 45, 240, 1500];
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
    const SHORTEST: Duration = Duration::from_secs(15);
    const OFTEN: Duration = Duration::from_secs(3600);
    let interval = Duration::try_from(interval).unwrap_or_default();
    let limit = match interval.is_zero() {
        true => LONGEST,
        false => interval.clamp(SHORTEST, LONGEST),
    };
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = match limit <= OFTEN {
        true => Some(1 << index.min(16)),
        false => FIRST.get(index).copied(),
    };
    wait.map_or(LONGEST, Duration::from_secs).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_key_costs_at_most_ten_calls_a_day() {
        let calls_a_day = |interval| {
            let day = Duration::from_secs(24 * 3600);
            let (mut calls, mut failures, mut clock) = (1, 0, Duration::ZERO);
            loop {
                failures += 1;
                clock += retry_seldom(failures, interval);
                if clock > day {
                    return calls;
                }
                calls += 1;
            }
        };
        assert!(calls_a_day(SignedDuration::from_hours(24)) <= 10);
        assert!(calls_a_day(SignedDuration::ZERO) <= 10);
        // One that is refreshed 24 times a day asks little more often when it fails.
        assert!(calls_a_day(SignedDuration::from_hours(1)) <= 36);
        // An object that is refreshed often may ask as often when it fails.
        assert_eq!(
            retry_seldom(20, SignedDuration::from_secs(2)),
            Duration::from_secs(15)
        );
        assert_eq!(
            retry_seldom(20, SignedDuration::ZERO),
            Duration::from_secs(6 * 3600)
        );
    }

    #[test]
    fn t13_retries_double_up_to_seven_minutes() {
        let waits: Vec<u64> = (1..12).map(|failures| retry(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 420, 420]);
    }
}

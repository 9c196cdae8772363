//! Rate limiting as upstream does it: the generic cell rate algorithm, one bucket per path
//! and `X-Forwarded-For` header.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Upstream's store holds this many buckets.
const MOST_BUCKETS: usize = 65_536;
/// A header longer than this is one bucket with all others that begin the same, so that no one
/// fills the memory with keys.
const LONGEST_CALLER: usize = 128;

/// All buckets.
pub(super) struct RateLimit {
    /// The time one request stands for.
    interval: Duration,
    /// How many requests an idle bucket lets through at once.
    limit: u32,
    /// When each bucket will have caught up.
    buckets: Mutex<HashMap<(&'static str, String), Instant>>,
}

/// What the answer's headers say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `X-RateLimit-Limit`.
    pub(super) limit: u32,
    /// `X-RateLimit-Remaining`.
    pub(super) remaining: u32,
    /// `X-RateLimit-Reset`, in seconds.
    pub(super) reset: u64,
    /// `Retry-After` in seconds, if the request is refused.
    pub(super) retry_after: Option<u64>,
}

impl RateLimit {
    /// Allows `rate` requests a second and `burst` more at once.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / rate.max(1),
            limit: burst.saturating_add(1),
            buckets: Mutex::default(),
        }
    }

    /// Judges one request.
    pub(super) fn check(&self, path: &'static str, caller: &str, now: Instant) -> Verdict {
        let caller: String = caller.chars().take(LONGEST_CALLER).collect();
        let tolerance = self.interval * self.limit;
        let mut buckets = self.buckets.lock().expect("no holder panics");
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, caught_up| *caught_up > now);
            if buckets.len() >= MOST_BUCKETS {
                buckets.clear();
            }
        }
        let key = (path, caller);
        let before = buckets.get(&key).copied().unwrap_or(now).max(now);
        let after = before + self.interval;
        let ahead = after - now;
        if ahead > tolerance {
            let wait = ahead - tolerance;
            return self.verdict(tolerance, before - now, Some(wait));
        }
        buckets.insert(key, after);
        self.verdict(tolerance, ahead, None)
    }

    fn verdict(&self, tolerance: Duration, backlog: Duration, wait: Option<Duration>) -> Verdict {
        let free = tolerance.saturating_sub(backlog);
        Verdict {
            limit: self.limit,
            remaining: u32::try_from(free.as_nanos() / self.interval.as_nanos().max(1))
                .unwrap_or(u32::MAX),
            reset: whole_seconds(backlog),
            retry_after: wait.map(whole_seconds),
        }
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c67_t51_three_requests_then_429_per_path_and_caller() {
        let limit = RateLimit::new(2, 2);
        let now = Instant::now();
        for remaining in [2, 1, 0] {
            let verdict = limit.check("/v1/rotate", "", now);
            assert_eq!(
                (verdict.limit, verdict.remaining, verdict.retry_after),
                (3, remaining, None)
            );
        }
        let refused = limit.check("/v1/rotate", "", now);
        assert_eq!(
            refused,
            Verdict {
                limit: 3,
                remaining: 0,
                reset: 2,
                retry_after: Some(1)
            }
        );
        assert_eq!(limit.check("/v1/verify", "", now).retry_after, None);
        assert_eq!(limit.check("/v1/rotate", "10.0.0.1", now).retry_after, None);
        let later = now + Duration::from_millis(500);
        assert_eq!(limit.check("/v1/rotate", "", later).retry_after, None);
        assert_eq!(limit.check("/v1/rotate", "", later).retry_after, Some(1));
    }

    #[test]
    fn callers_cannot_fill_the_memory() {
        let limit = RateLimit::new(2, 2);
        let now = Instant::now();
        for caller in 0..MOST_BUCKETS + 10 {
            limit.check("/v1/verify", &caller.to_string(), now);
        }
        assert!(limit.buckets.lock().unwrap().len() <= MOST_BUCKETS);
        limit.check("/v1/verify", &"x".repeat(1_000_000), now);
        assert!(
            limit
                .buckets
                .lock()
                .unwrap()
                .keys()
                .all(|(_, caller)| caller.len() <= LONGEST_CALLER)
        );
    }
}

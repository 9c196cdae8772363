//! Waiting between attempts: growing, jittered, and within a budget.

use std::time::Duration;

use crate::outcome::{StoreError, Trouble};

/// How often a call is repeated, and how long is waited in between.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// How many attempts there may be after the first.
    pub retries: u32,
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How long all pauses together may be.
    pub budget: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            retries: 2,
            first: Duration::from_millis(500),
            longest: Duration::from_secs(5),
            budget: Duration::from_secs(15),
        }
    }
}

impl Backoff {
    /// The pause before attempt `attempt` (the first repetition is 1), when `spent` was waited already: what the server
    /// asks for, or twice the pause before, half of it by chance. Nothing when that is not worth it any more.
    pub fn pause(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        spent: Duration,
        chance: f64,
    ) -> Option<Duration> {
        if attempt > self.retries {
            return None;
        }
        let grown = self
            .first
            .saturating_mul(1 << attempt.saturating_sub(1).min(16))
            .min(self.longest);
        let pause = match asked {
            // The server's word counts; a little more keeps those who wait from coming back at once.
            Some(asked) => asked + self.first.mul_f64(chance),
            None => grown.mul_f64(0.5 + chance / 2.0),
        };
        (spent + pause <= self.budget).then_some(pause)
    }
}

/// The attempts of one call: how many were made, and how long was waited between them.
#[derive(Debug)]
pub(crate) struct Attempts {
    backoff: Backoff,
    interval: Option<Duration>,
    made: u32,
    waited: Duration,
}

impl Attempts {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            interval: None,
            made: 0,
            waited: Duration::ZERO,
        }
    }

    /// Waits for this long after every failure, instead of longer each time. What the server asks for still counts.
    #[cfg(any(test, feature = "aws"))]
    pub(crate) fn every(self, interval: Option<Duration>) -> Self {
        Self { interval, ..self }
    }

    /// Waits until the next attempt after an error that may pass. Returns false if there is to be none.
    pub(crate) async fn again_after(&mut self, error: &StoreError) -> bool {
        let asked = match error.trouble() {
            Trouble::Throttled { retry_after } => retry_after,
            trouble if trouble.is_passing() => None,
            _ => return false,
        };
        self.again(asked).await
    }

    /// Waits until the next attempt, for as long as the server asked for if it did. Returns false if there is to be none.
    pub(crate) async fn again(&mut self, asked: Option<Duration>) -> bool {
        let backoff = self.backoff;
        let pause = backoff.pause(self.made + 1, asked, self.waited, chance());
        let Some(mut pause) = pause else {
            return false;
        };
        if let (None, Some(interval)) = (asked, self.interval) {
            pause = interval.min(backoff.budget);
        }
        tokio::time::sleep(pause).await;
        self.waited += pause;
        self.made += 1;
        true
    }
}

/// A number from 0 up to 1, for jitter.
pub(crate) fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness there is no jitter, and nothing worse.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        retries: 4,
        first: Duration::from_millis(100),
        longest: Duration::from_millis(300),
        budget: Duration::from_secs(1),
    };

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let pause = |attempt| BACKOFF.pause(attempt, None, Duration::ZERO, 1.0);
        let pauses: Vec<u128> = (1..=4)
            .map(|attempt| pause(attempt).unwrap().as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 300, 300]);
        assert_eq!(pause(5), None);
        let least = BACKOFF.pause(1, None, Duration::ZERO, 0.0).unwrap();
        assert_eq!(least, Duration::from_millis(50));
    }

    #[test]
    fn the_servers_word_counts_within_the_budget() {
        let asked = Some(Duration::from_millis(700));
        let pause = BACKOFF.pause(1, asked, Duration::ZERO, 0.5).unwrap();
        assert_eq!(pause, Duration::from_millis(750));
        assert_eq!(
            BACKOFF.pause(1, asked, Duration::from_millis(400), 0.5),
            None
        );
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(BACKOFF.pause(1, hour, Duration::ZERO, 0.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_the_retries_and_with_what_does_not_pass() {
        let unavailable = StoreError::new(Trouble::Unavailable, "down");
        let mut attempts = Attempts::new(BACKOFF);
        let mut made = 1;
        while attempts.again_after(&unavailable).await {
            made += 1;
        }
        assert_eq!(made, 5);
        let forbidden = StoreError::new(Trouble::Forbidden, "no");
        assert!(!Attempts::new(BACKOFF).again_after(&forbidden).await);
        let start = tokio::time::Instant::now();
        let interval = Some(Duration::from_millis(10));
        let mut attempts = Attempts::new(BACKOFF).every(interval);
        while attempts.again_after(&unavailable).await {}
        assert_eq!(start.elapsed(), Duration::from_millis(40));
        let retry_after = Some(Duration::from_millis(500));
        let throttled = StoreError::new(Trouble::Throttled { retry_after }, "slow down");
        let mut attempts = Attempts::new(BACKOFF).every(interval);
        assert!(attempts.again_after(&throttled).await);
        assert!(start.elapsed() >= Duration::from_millis(540));
    }

    #[test]
    fn chance_is_below_one() {
        assert!((0..1000).all(|_| (0.0..1.0).contains(&chance())));
    }
}

//! Pauses of a watch that fails.
//!
//! They grow until a listing is complete or the watch shows something. That a listing begins is no success, nor is a part of one:
//! otherwise one that always fails, because it is not permitted or the API server is overloaded, would be asked for each second,
//! for every kind and namespace. Nor does a complete listing help a watch that fails after each: everything would be listed
//! each second.

use std::time::Duration;

use futures::stream::unfold;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{Error, Event};
use tokio::time::Instant;

use crate::api::jitter;

/// The first pause.
const FIRST: Duration = Duration::from_millis(800);
/// The longest, to which up to a quarter is added.
const LONGEST: Duration = Duration::from_secs(30);
/// An error after so long is a new trouble.
const CALM: Duration = Duration::from_secs(120);

/// The events of a watch, with a pause after each error.
pub(crate) fn patiently<T: Send>(
    events: impl Stream<Item = Result<Event<T>, Error>> + Send,
) -> impl Stream<Item = Result<Event<T>, Error>> + Send {
    let start = (Box::pin(events), [Pauses::default(); 2], None::<Duration>);
    unfold(start, |(mut events, mut pauses, pause)| async move {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        let event = events.next().await?;
        let [of_listing, of_watch] = &mut pauses;
        let pause = match &event {
            Err(Error::InitialListFailed(_)) => Some(of_listing.next()),
            Err(_) => Some(of_watch.next()),
            Ok(Event::Init | Event::InitApply(_)) => None,
            Ok(Event::InitDone) => {
                *of_listing = Pauses::default();
                of_watch.listed();
                None
            }
            Ok(Event::Apply(_) | Event::Delete(_)) => {
                pauses = [Pauses::default(); 2];
                None
            }
        };
        Some((event, (events, pauses, pause)))
    })
}

/// How long the pauses are.
#[derive(Clone, Copy, Default)]
struct Pauses {
    /// The last one, and when it began.
    last: Option<(Duration, Instant)>,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let now = Instant::now();
        let pause = match self.last {
            Some((last, at)) if now - at <= CALM => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((pause, now));
        pause + jitter(pause)
    }

    /// The listing that comes after a trouble, and may take long, is over.
    fn listed(&mut self) {
        if let Some((_, at)) = &mut self.last {
            *at = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<Event<()>, Error> {
        Err(Error::NoResourceVersion)
    }

    fn not_listed() -> Result<Event<()>, Error> {
        let refused = kube::Error::Service("no".into());
        Err(Error::InitialListFailed(refused))
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_always_fails_is_asked_for_more_and_more_seldom() {
        // Each begins, and some of it arrives.
        let listing = || vec![Ok(Event::Init), Ok(Event::InitApply(())), not_listed()];
        let failures = failures_of_ten_minutes(listing).await;
        assert!((18..=28).contains(&failures), "{failures}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_fails_after_each_listing_is_asked_for_more_and_more_seldom() {
        let watch = || {
            let listing = [Event::Init, Event::InitApply(()), Event::InitDone];
            let events = listing.map(Ok).into_iter().chain([failed()]);
            events.collect::<Vec<_>>()
        };
        let failures = failures_of_ten_minutes(watch).await;
        assert!((18..=28).contains(&failures), "{failures}");
    }

    async fn failures_of_ten_minutes(events: fn() -> Vec<Result<Event<()>, Error>>) -> u32 {
        let events = futures::stream::iter((0..1000).flat_map(move |_| events()));
        let mut events = Box::pin(patiently(events));
        let start = Instant::now();
        let mut failures = 0;
        while start.elapsed() < Duration::from_secs(600) {
            let event = events.next().await;
            failures += u32::from(event.is_some_and(|event| event.is_err()));
        }
        failures
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_worked_since_or_for_long_is_tried_again_soon() {
        type Failed = fn() -> Result<Event<()>, Error>;
        let successes: [(Event<()>, Failed); 4] = [
            (Event::InitDone, not_listed),
            (Event::Apply(()), not_listed),
            (Event::Apply(()), failed),
            (Event::Delete(()), failed),
        ];
        for (success, failed) in successes {
            let failures = (0..10).map(|_| failed());
            let again = [Ok(success), failed(), Ok(Event::Init)];
            let events = futures::stream::iter(failures.chain(again));
            let mut events = Box::pin(patiently(events));
            for _ in 0..12 {
                assert!(events.next().await.is_some());
            }
            let start = Instant::now();
            assert!(matches!(events.next().await, Some(Ok(Event::Init))));
            assert!(start.elapsed() <= FIRST + FIRST / 4);
        }
        let mut pauses = Pauses::default();
        for _ in 0..10 {
            pauses.next();
        }
        assert!(pauses.next() >= LONGEST);
        tokio::time::advance(CALM + FIRST).await;
        assert!(pauses.next() <= FIRST + FIRST / 4);
    }
}

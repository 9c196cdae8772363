//! Workers, and what they do not wait for.
//!
//! Few objects are worked on at a time, because work takes memory and processor time. Waiting for an answer from outside takes
//! neither, and may take minutes: so an attempt that waits is set [`aside`], and its worker goes on with another object. Without
//! that, as many dead vaults as there are workers would stop everything.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is answered so soon is waited for.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How many attempts of a kind are set aside at most; each holds its object.
const MOST_ASIDE: usize = 512;

tokio::task_local! {
    static PLACE: RefCell<Place>;
}

/// What an attempt occupies.
struct Place {
    worker: Option<OwnedSemaphorePermit>,
    aside: Arc<Semaphore>,
    /// Is notified when the attempt is set aside, and when it has a worker again.
    told: Box<dyn Fn(bool) + Send>,
}

/// The workers of one lane.
pub(super) struct Workers {
    free: Arc<Semaphore>,
    aside: Arc<Semaphore>,
}

impl Workers {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            aside: Arc::new(Semaphore::new(MOST_ASIDE)),
        }
    }

    /// Waits for a free worker.
    pub(super) async fn free(&self) -> Worker {
        let free = Arc::clone(&self.free).acquire_owned().await;
        Worker(Place {
            worker: Some(free.expect("it is never closed")),
            aside: Arc::clone(&self.aside),
            told: Box::new(|_| {}),
        })
    }
}

/// A worker.
pub(super) struct Worker(Place);

impl Worker {
    /// Tells `told` when its work is set aside, and when that has a worker again.
    pub(super) fn telling(mut self, told: impl Fn(bool) + Send + 'static) -> Self {
        self.0.told = Box::new(told);
        self
    }

    /// Does a piece of work, parts of which may be set [`aside`].
    pub(super) async fn does<T>(self, work: impl Future<Output = T>) -> T {
        PLACE.scope(RefCell::new(self.0), work).await
    }
}

/// Waits for an answer from outside of the cluster. If it does not come at once, the worker is free for other objects meanwhile,
/// and the attempt waits for a free worker afterwards.
pub(crate) async fn aside<T>(waiting: impl Future<Output = T>) -> T {
    let mut waiting = std::pin::pin!(waiting);
    if let Ok(answer) = tokio::time::timeout(AT_ONCE, &mut waiting).await {
        return answer;
    }
    // Outside of a worker there is none to be freed; and what is set aside already is not set aside again.
    let freed = PLACE.try_with(|place| {
        let mut place = place.borrow_mut();
        let aside = Arc::clone(&place.aside).try_acquire_owned().ok()?;
        let worker = place.worker.take()?;
        (place.told)(true);
        Some((aside, Arc::clone(worker.semaphore())))
    });
    let Ok(Some((_aside, free))) = freed else {
        return waiting.await;
    };
    let answer = waiting.await;
    let worker = free.acquire_owned().await.ok();
    let _ = PLACE.try_with(|place| {
        let mut place = place.borrow_mut();
        place.worker = worker;
        (place.told)(false);
    });
    answer
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_an_answer_holds_up_no_one() {
        let workers = Workers::new(1);
        let start = Instant::now();
        let long = Duration::from_secs(60);
        let worker = workers.free().await;
        let waits = tokio::spawn(worker.does(async move {
            aside(tokio::time::sleep(long)).await;
            // It has a worker again, and so it may be set aside again.
            aside(tokio::time::sleep(long)).await;
        }));
        let worker = workers.free().await;
        assert!(start.elapsed() < 2 * AT_ONCE);
        // The answer comes while the only worker is at work.
        let works = tokio::spawn(worker.does(tokio::time::sleep(2 * long)));
        waits.await.unwrap();
        works.await.unwrap();
        assert!(start.elapsed() >= 3 * long && start.elapsed() < 4 * long);
        assert_eq!(workers.free.available_permits(), 1);
        assert_eq!(workers.aside.available_permits(), MOST_ASIDE);
    }

    #[tokio::test(start_paused = true)]
    async fn not_everything_can_wait_aside() {
        let workers = Workers::new(1);
        let most = u32::try_from(MOST_ASIDE).unwrap();
        let all = Arc::clone(&workers.aside).acquire_many_owned(most).await;
        let worker = workers.free().await;
        tokio::spawn(worker.does(aside(tokio::time::sleep(Duration::from_secs(60)))));
        let start = Instant::now();
        drop(workers.free().await);
        assert!(start.elapsed() >= Duration::from_secs(60));
        drop(all);
    }
}

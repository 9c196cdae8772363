//! Slots for requests that take memory, so that all of them together fit in what the process may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNPOISONED: &str = "no holder panics";

/// Bodies up to this many bytes are small: nearly every SealedSecret is.
const SMALL: usize = 128 << 10;
/// Small bodies read or answered at a time: 3 MiB.
const SMALL_SLOTS: usize = 24;
/// Large bodies read or answered at a time: 8 MiB.
const LARGE_SLOTS: usize = 4;
/// Scrapes answered at a time; one of 4,000 SealedSecrets is about 600 KiB.
const SCRAPES: usize = 4;

/// Hands out slots, of each size no more than half to one caller.
pub(crate) struct Admission {
    small: Size,
    large: Size,
}

struct Size {
    slots: usize,
    free: Arc<Semaphore>,
    /// What each caller may take.
    shares: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// The right to hold a body or an answer in memory; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _slot: OwnedSemaphorePermit,
    _share: Share,
}

impl Admission {
    /// The slots of requests with bodies.
    pub(super) fn of_bodies() -> Self {
        Self {
            small: Size::new(SMALL_SLOTS),
            large: Size::new(LARGE_SLOTS),
        }
    }

    /// The slots of scrapes; half of them are for one caller at most.
    pub(super) fn of_scrapes() -> Self {
        Self {
            small: Size::new(SCRAPES * 2),
            large: Size::new(1),
        }
    }

    /// Waits for a slot for `length` bytes from `caller`.
    pub(super) async fn enter(&self, caller: &str, length: usize) -> Slot {
        let size = match length <= SMALL {
            true => &self.small,
            false => &self.large,
        };
        size.enter(caller).await
    }
}

impl Size {
    fn new(slots: usize) -> Self {
        Self {
            slots,
            free: Arc::new(Semaphore::new(slots)),
            shares: Arc::default(),
        }
    }

    async fn enter(&self, caller: &str) -> Slot {
        let mut share = Share {
            shares: Arc::clone(&self.shares),
            caller: caller.to_owned(),
            permit: None,
        };
        let own = {
            let mut shares = self.shares.lock().expect(UNPOISONED);
            let half = || Arc::new(Semaphore::new((self.slots / 2).max(1)));
            Arc::clone(shares.entry(caller.to_owned()).or_insert_with(half))
        };
        share.permit = Some(own.acquire_owned().await.expect("never closed"));
        let slot = Arc::clone(&self.free).acquire_owned().await;
        Slot {
            _slot: slot.expect("never closed"),
            _share: share,
        }
    }
}

/// One caller's share in use. A caller that uses and awaits nothing is forgotten, so that callers cannot fill the memory.
#[derive(Debug)]
struct Share {
    shares: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    caller: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permit = None;
        let mut shares = self.shares.lock().expect(UNPOISONED);
        // Others that use or await it hold it too.
        if shares
            .get(&self.caller)
            .is_some_and(|share| Arc::strong_count(share) == 1)
        {
            shares.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn enters(admission: &Admission, caller: &str, length: usize) -> Option<Slot> {
        // What has to wait is not ready at the first poll.
        tokio::time::timeout(Duration::ZERO, admission.enter(caller, length))
            .await
            .ok()
    }

    #[tokio::test]
    async fn one_caller_gets_half_of_the_slots_and_large_bodies_do_not_hold_up_small_ones() {
        let admission = Admission::of_bodies();
        let mut held = Vec::new();
        while let Some(slot) = enters(&admission, "a", SMALL + 1).await {
            held.push(slot);
        }
        assert_eq!(held.len(), LARGE_SLOTS / 2);
        while let Some(slot) = enters(&admission, "b", SMALL + 1).await {
            held.push(slot);
        }
        assert_eq!(held.len(), LARGE_SLOTS);
        assert!(enters(&admission, "c", SMALL + 1).await.is_none());
        assert!(enters(&admission, "c", SMALL).await.is_some());
        held.pop();
        assert!(enters(&admission, "c", SMALL + 1).await.is_some());
    }

    #[tokio::test]
    async fn callers_that_are_gone_are_forgotten() {
        let admission = Admission::of_bodies();
        let mut held = Vec::new();
        for caller in 0..1000 {
            held.extend(enters(&admission, &caller.to_string(), 1).await);
        }
        assert_eq!(held.len(), SMALL_SLOTS);
        // Those that gave up waiting count for nothing.
        assert_eq!(
            admission.small.shares.lock().unwrap().len(),
            SMALL_SLOTS,
            "the callers that hold a slot"
        );
        held.clear();
        assert!(admission.small.shares.lock().unwrap().is_empty());
    }
}

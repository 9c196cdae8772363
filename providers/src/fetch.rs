//! Reads of many, joined and budgeted.
//!
//! All reads of a program go through one [`Fetcher`]. It keeps one lane for each store identity: the store's uid and
//! generation, a keyed hash of the credentials it was connected with, and the consumer's namespace where the credentials
//! depend on it. So two tenants never share a lane unless they are the same to the vault.
//!
//! In a lane, a read joins one of the same [`ReadKey`](crate::store::ReadKey) that has not been sent yet. One that was sent may be older than the
//! question, so it is joined, or its answer shared, only if the caller says that an answer may be so old. Reads that
//! wait together are sent as batches where the store has them. How many calls are under way at once, and how many are made a
//! second, is bounded for each lane, so that a slow vault holds up its own readers only. When a vault asks for fewer
//! calls, the whole lane waits. A write drops what was kept. How many bytes are kept is bounded for each lane and for all
//! lanes together.

mod answers;
mod identity;
mod lane;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::sync::OnceCell;

use self::answers::Answers;
pub use self::identity::StoreIdentity;
pub use self::lane::Lane;
use crate::backoff::Backoff;
use crate::outcome::StoreError;
use crate::store::Store;

/// What a lane may do.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How many calls may be under way at once.
    pub concurrency: usize,
    /// How many calls may be made a second; none means as many as there can be.
    pub rate: Option<f64>,
    /// How calls are repeated that the vault refused because there were too many.
    pub throttled: Backoff,
    /// How long one call may take, everything included.
    pub patience: Duration,
    /// How long an answer is kept at most, whatever callers allow.
    pub keep: Duration,
    /// How many bytes of answers are kept of one store at most.
    pub keep_bytes: usize,
    /// How many bytes of answers are kept of all stores together.
    pub keep_bytes_of_all: usize,
    /// After which time without a question a lane is closed.
    pub idle: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            concurrency: 16,
            rate: None,
            throttled: Backoff {
                retries: 6,
                first: Duration::from_millis(250),
                longest: Duration::from_secs(20),
                budget: Duration::from_secs(60),
            },
            patience: Duration::from_secs(120),
            keep: Duration::from_secs(300),
            keep_bytes: 8 << 20,
            keep_bytes_of_all: 32 << 20,
            idle: Duration::from_secs(600),
        }
    }
}

/// A kind of call that a lane makes to its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Reading one key, or several at once.
    Read,
    /// Listing.
    List,
    /// Writing.
    Push,
    /// Deleting.
    Delete,
    /// Asking whether something is there.
    Exists,
    /// Asking whether the store can be used at all.
    Validate,
    /// Signing in, which a store does by itself when it must.
    SignIn,
}

/// Is told of every call: the uid of the store, the kind of the call, and whether it failed.
pub type Observer = Arc<dyn Fn(&str, Call, bool) + Send + Sync>;

/// The lanes of all stores.
pub struct Fetcher {
    policy: Policy,
    observer: Option<Observer>,
    answers: Arc<Answers>,
    lanes: Mutex<HashMap<StoreIdentity, Arc<OnceCell<Arc<Lane>>>>>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl Fetcher {
    /// Makes a fetcher whose lanes may do what the policy says.
    pub fn new(policy: Policy) -> Self {
        Self {
            answers: Answers::new(&policy),
            policy,
            observer: None,
            lanes: Mutex::default(),
        }
    }

    /// Tells `observer` of every call from now on.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Returns the lane of a store; `connect` is called once for all that ask meanwhile, and again when it failed. Lanes of
    /// the same store with another generation or other credentials are closed.
    ///
    /// # Errors
    ///
    /// Those of `connect`.
    pub async fn lane<F, R>(
        &self,
        identity: &StoreIdentity,
        connect: F,
    ) -> Result<Arc<Lane>, StoreError>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Arc<dyn Store>, StoreError>>,
    {
        let (cell, old) = {
            let mut lanes = lock(&self.lanes);
            let old: Vec<_> = lanes
                .keys()
                .filter(|other| {
                    other.uid == identity.uid
                        && other.consumer == identity.consumer
                        && *other != identity
                })
                .cloned()
                .collect();
            let old: Vec<_> = old.iter().filter_map(|old| lanes.remove(old)).collect();
            (Arc::clone(lanes.entry(identity.clone()).or_default()), old)
        };
        close_later(old);
        let lane = cell
            .get_or_try_init(|| async {
                let answers = self.answers.of_store();
                let lane = Lane::new(connect().await?, self.policy, answers);
                let observer = self.observer.clone();
                let lane = lane.of_store(identity.uid.clone(), observer);
                Ok::<_, StoreError>(Arc::new(lane))
            })
            .await?;
        lane.touch();
        Ok(Arc::clone(lane))
    }

    /// Closes the lanes of a store that is gone.
    pub fn forget(&self, uid: &str) {
        let mut lanes = lock(&self.lanes);
        let gone: Vec<_> = lanes
            .keys()
            .filter(|lane| lane.uid == uid)
            .cloned()
            .collect();
        let gone = gone.iter().filter_map(|lane| lanes.remove(lane)).collect();
        drop(lanes);
        close_later(gone);
    }

    /// Drops answers that are too old and closes lanes that no one has asked for long. To be called now and then.
    pub fn sweep(&self) {
        let mut lanes = lock(&self.lanes);
        let idle: Vec<_> = lanes
            .iter()
            .filter(|(_, cell)| {
                cell.get().is_some_and(|lane| {
                    lane.drop_old();
                    lane.idle_for() > self.policy.idle
                })
            })
            .map(|(identity, _)| identity.clone())
            .collect();
        let idle = idle.iter().filter_map(|lane| lanes.remove(lane)).collect();
        drop(lanes);
        close_later(idle);
    }

    /// Gives up all tokens, at the end of the program.
    pub async fn close(&self) {
        let lanes: Vec<_> = lock(&self.lanes).drain().map(|(_, cell)| cell).collect();
        stream::iter(lanes)
            .for_each_concurrent(16, |cell| async move {
                if let Some(lane) = cell.get() {
                    // What cannot be revoked ends by itself.
                    let _ = lane.store.close().await;
                }
            })
            .await;
    }

    /// What all lanes have done so far.
    pub fn counts(&self) -> Counts {
        let lanes = lock(&self.lanes);
        lanes
            .values()
            .filter_map(|cell| cell.get())
            .fold(Counts::default(), |sum, lane| sum + lane.counts())
    }
}

fn close_later(lanes: Vec<Arc<OnceCell<Arc<Lane>>>>) {
    for cell in lanes {
        if let Some(lane) = cell.get() {
            let lane = Arc::clone(lane);
            tokio::spawn(async move {
                // What cannot be revoked ends by itself.
                let _ = lane.store.close().await;
            });
        }
    }
}

/// What was asked and what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads that were asked for.
    pub asked: u64,
    /// Those that joined another that was not sent yet.
    pub joined: u64,
    /// Those that an answer was kept for.
    pub kept: u64,
    /// Calls that were sent for the rest; one may answer several.
    pub sent: u64,
    /// Calls that the vault refused because there were too many.
    pub throttled: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            asked: self.asked + other.asked,
            joined: self.joined + other.joined,
            kept: self.kept + other.kept,
            sent: self.sent + other.sent,
            throttled: self.throttled + other.throttled,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! All reads and writes of one store.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt};
use sealwright_crypto::secret::SecretBytes;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::answers::{Shared, StoreAnswers};
use super::{Call, Counts, Observer, Policy, lock};
use crate::backoff::chance;
use crate::listing::Listing;
use crate::outcome::{Answer, Outcome, StoreError, Trouble};
use crate::remote::{Find, NamePattern, PushItem, PushSource, RemoteRef, SecretMap, add_found};
use crate::store::{
    Content, Deleted, Match, Payload, Purpose, Pushed, ReadKey, SignIns, Store, Validation,
    WriteMode,
};

type SharedOutcome = Result<Shared, StoreError>;

/// All reads and writes of one store.
pub struct Lane {
    pub(super) uid: String,
    pub(super) observer: Option<Observer>,
    pub(super) store: Arc<dyn Store>,
    policy: Policy,
    pub(super) state: Mutex<State>,
    answers: StoreAnswers,
    /// For calls that are not reads of one key.
    others: Semaphore,
    born: Instant,
    touched: AtomicU64,
    asked: AtomicU64,
    joined: AtomicU64,
    kept: AtomicU64,
    sent: AtomicU64,
    throttled: AtomicU64,
    /// How many sign-ins the observer was told of: good ones, and failed ones.
    signed_in: AtomicU64,
    refused_in: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    /// Reads that are not sent yet, and the order in which they will be.
    waiting: HashMap<ReadKey, Waiting>,
    order: VecDeque<ReadKey>,
    /// Reads that are under way, by their numbers.
    pub(super) under_way: HashMap<u64, Waiting>,
    /// The number of the newest read of a key that is under way.
    pub(super) newest: HashMap<ReadKey, Sent>,
    numbers: u64,
    /// How many senders there are.
    senders: usize,
    /// How often was written.
    writes: u64,
    /// Until when nothing is sent, because the vault asked for that.
    quiet_until: Option<Instant>,
    /// When the next call may be sent, by the rate.
    next_at: Option<Instant>,
}

pub(super) struct Waiting {
    readers: Vec<oneshot::Sender<SharedOutcome>>,
    attempt: u32,
    waited: Duration,
}

/// A read that is under way.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    number: u64,
    at: Instant,
    /// How often was written before.
    writes: u64,
}

/// How soon a call is given up that no one waits for any more. It would keep others from being made.
pub(super) const UNWANTED: Duration = Duration::from_secs(1);
/// A read that has been under way for longer is not joined: it may hang although the store answers by now.
pub(super) const JOINED: Duration = Duration::from_secs(1);

impl Lane {
    pub(super) fn new(store: Arc<dyn Store>, policy: Policy, answers: StoreAnswers) -> Self {
        Self {
            uid: String::new(),
            observer: None,
            store,
            policy,
            state: Mutex::default(),
            answers,
            others: Semaphore::new(policy.concurrency.max(1)),
            born: Instant::now(),
            touched: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            signed_in: AtomicU64::new(0),
            refused_in: AtomicU64::new(0),
        }
    }

    /// The same lane, which tells an observer of its calls by the uid of its store.
    pub(super) fn of_store(self, uid: String, observer: Option<Observer>) -> Self {
        Self {
            uid,
            observer,
            ..self
        }
    }

    /// The store itself, for validation and inspection.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What was asked and sent so far.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            asked: count(&self.asked),
            joined: count(&self.joined),
            kept: count(&self.kept),
            sent: count(&self.sent),
            throttled: count(&self.throttled),
        }
    }

    /// Reads one value. An answer that is no older than `max_age` will do.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn get(self: &Arc<Self>, at: &RemoteRef, max_age: Duration) -> Outcome<SecretBytes> {
        match self.read(self.store.locate(at)?, max_age).await? {
            Shared::Found(payload) => self.store.value(at, &payload),
            Shared::Absent(absent) => self
                .store
                .absence(at, Purpose::Value, absent)
                .map(Answer::Absent),
        }
    }

    /// Reads names and values. An answer that is no older than `max_age` will do.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn get_map(
        self: &Arc<Self>,
        at: &RemoteRef,
        max_age: Duration,
    ) -> Outcome<SecretMap> {
        match self.read(self.store.locate(at)?, max_age).await? {
            Shared::Found(payload) => self.store.map(at, &payload),
            Shared::Absent(absent) => self
                .store
                .absence(at, Purpose::Map, absent)
                .map(Answer::Absent),
        }
    }

    /// Lists what matches and reads it. What was listed is delivered, or has vanished since as the store has proved, or the
    /// whole fails.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn find(self: &Arc<Self>, what: &Find, max_age: Duration) -> Outcome<SecretMap> {
        let listed = {
            let _turn = self.turn().await;
            self.bounded(Call::List, self.store.list(what)).await?
        };
        let matches = match listed {
            Answer::Found(matches) => matches,
            Answer::Absent(absent) => return Ok(Answer::Absent(absent)),
        };
        if what.name.as_ref().is_some_and(NamePattern::is_exhausted) {
            let text = "there are more names than `find.name.regexp` may be compared with";
            return Err(StoreError::new(Trouble::TooLarge, text)
                .public()
                .with_hint("choose a simpler pattern")
                .at_store(self.store.describe()));
        }
        let mut found = SecretMap::new();
        // Counted as they come: what is finished may wait long for what was listed before it.
        let listing = Mutex::new(Listing::of_pages(0));
        let listing = &listing;
        let mut reads = stream::iter(matches)
            .map(|Match { name, content }| async move {
                let value = match content {
                    Content::Here(value) => Some(value),
                    Content::At(key) => match self.read(key, max_age).await? {
                        Shared::Found(payload) => {
                            let at = RemoteRef::new(name.as_str());
                            self.store.value(&at, &payload)?.found()
                        }
                        Shared::Absent(_) => None,
                    },
                };
                if let Some(value) = &value {
                    let counted = lock(listing).taken(name.len() + value.len());
                    counted.map_err(|error| error.at_store(self.store.describe()))?;
                }
                Ok::<_, StoreError>((name, value))
            })
            .buffered(1024);
        while let Some(read) = reads.next().await {
            let (name, value) = read?;
            if let Some(value) = value {
                add_found(&mut found, name, value)?;
            }
        }
        Ok(Answer::Found(found))
    }

    /// Writes a value, and drops the answers that were kept.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn push(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let _turn = self.turn().await;
        let pushed = self
            .bounded(Call::Push, self.store.push(source, item, mode))
            .await;
        self.wrote();
        pushed
    }

    /// Deletes a value, and drops the answers that were kept.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn delete(&self, item: &PushItem, mode: WriteMode) -> Result<Deleted, StoreError> {
        let _turn = self.turn().await;
        let deleted = self
            .bounded(Call::Delete, self.store.delete(item, mode))
            .await;
        self.wrote();
        deleted
    }

    /// Returns true if there is a value.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn exists(&self, item: &PushItem) -> Result<bool, StoreError> {
        let _turn = self.turn().await;
        self.bounded(Call::Exists, self.store.exists(item)).await
    }

    /// Asks whether the store can be used; one that does not answer within `patience` cannot.
    ///
    /// It waits for no other call: it is what tells a slow store from a dead one.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn validate(&self, patience: Duration) -> Result<Validation, StoreError> {
        self.touch();
        let patience = patience.min(self.policy.patience);
        let outcome = match tokio::time::timeout(patience, self.store.validate()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.no_answer_within(patience)),
        };
        let was_sent = match &outcome {
            Ok(Validation::Ready) => true,
            // There was nothing to ask with.
            Ok(Validation::Unknown) => false,
            Err(error) => !error.is_before_any_call(),
        };
        if was_sent {
            self.observe(Call::Validate, outcome.is_err());
        }
        outcome
    }

    async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.touch();
        // The semaphore is never closed.
        self.others.acquire().await.ok()
    }

    async fn bounded<T>(
        &self,
        kind: Call,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let outcome = match tokio::time::timeout(self.policy.patience, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.took_too_long()),
        };
        self.observe(kind, outcome.is_err());
        outcome
    }

    fn observe(&self, call: Call, failed: bool) {
        let Some(observer) = &self.observer else {
            return;
        };
        observer(&self.uid, call, failed);
        // Those that came with this call, or with another one that ended at the same time.
        let SignIns { made, failed } = self.store.sign_ins();
        let good = made.saturating_sub(failed);
        for (seen, now, failed) in [
            (&self.signed_in, good, false),
            (&self.refused_in, failed, true),
        ] {
            for _ in seen.fetch_max(now, Ordering::Relaxed)..now {
                observer(&self.uid, Call::SignIn, failed);
            }
        }
    }

    fn took_too_long(&self) -> StoreError {
        self.no_answer_within(self.policy.patience)
    }

    fn no_answer_within(&self, patience: Duration) -> StoreError {
        StoreError::new(
            Trouble::Unavailable,
            format!("there was no answer within {} s", patience.as_secs()),
        )
        .at_store(self.store.describe())
    }

    /// Nothing that was read before counts any more, answers that are still on their way included.
    fn wrote(&self) {
        let mut state = lock(&self.state);
        state.writes += 1;
        self.answers.clear();
    }

    async fn read(self: &Arc<Self>, key: ReadKey, max_age: Duration) -> SharedOutcome {
        self.touch();
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = {
            let mut state = lock(&self.state);
            if let Some(answer) = self.answers.get(&key, max_age) {
                self.kept.fetch_add(1, Ordering::Relaxed);
                return Ok(answer);
            }
            let (sender, answer) = oneshot::channel();
            if let Some(number) = state.joinable(&key, max_age)
                && let Some(waiting) = state.under_way.get_mut(&number)
            {
                self.joined.fetch_add(1, Ordering::Relaxed);
                waiting.readers.push(sender);
            } else if let Some(waiting) = state.waiting.get_mut(&key) {
                self.joined.fetch_add(1, Ordering::Relaxed);
                waiting.readers.push(sender);
            } else {
                state.order.push_back(key.clone());
                let waiting = Waiting {
                    readers: vec![sender],
                    attempt: 0,
                    waited: Duration::ZERO,
                };
                state.waiting.insert(key, waiting);
            }
            if !state.order.is_empty() && state.senders < self.policy.concurrency.max(1) {
                state.senders += 1;
                // A task of its own: readers that give up leave those that joined them unharmed.
                tokio::spawn(Arc::clone(self).send());
            }
            answer
        };
        match tokio::time::timeout(self.policy.patience * 2, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(self.took_too_long()),
        }
    }

    /// Sends what waits, until nothing does.
    async fn send(self: Arc<Self>) {
        let batch = self.store.batch_size().max(1);
        loop {
            // Others that are about to ask come along.
            if batch > 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            } else {
                tokio::task::yield_now().await;
            }
            let reads = match self.take(batch) {
                Taken::Nothing => return,
                Taken::Later(at) => {
                    tokio::time::sleep_until(at).await;
                    continue;
                }
                Taken::Reads(reads) => reads,
            };
            let (keys, sent): (Vec<ReadKey>, Vec<Sent>) = reads.into_iter().unzip();
            self.sent.fetch_add(1, Ordering::Relaxed);
            let Some(outcomes) = self.answers(&keys, &sent).await else {
                // A call that was given up has got no answer either.
                self.observe(Call::Read, true);
                continue;
            };
            let failed = outcomes.is_empty() || outcomes.iter().any(Result::is_err);
            self.observe(Call::Read, failed);
            let mut outcomes = outcomes.into_iter();
            for (key, sent) in keys.into_iter().zip(sent) {
                let outcome = outcomes.next().unwrap_or_else(|| Err(self.took_too_long()));
                self.deliver(key, sent, outcome);
            }
        }
    }

    /// Makes a call, unless all that wait for it go away. Without answers in time there are none.
    async fn answers(&self, keys: &[ReadKey], sent: &[Sent]) -> Option<Vec<Outcome<Payload>>> {
        let call = tokio::time::timeout(self.policy.patience, self.ask(keys));
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                outcomes = &mut call => return Some(outcomes.unwrap_or_default()),
                () = tokio::time::sleep(UNWANTED) => {}
            }
            let mut state = lock(&self.state);
            let wanted = |sent: &Sent| {
                let waiting = state.under_way.get(&sent.number);
                waiting
                    .is_some_and(|waiting| waiting.readers.iter().any(|reader| !reader.is_closed()))
            };
            if !sent.iter().any(wanted) {
                for (key, sent) in keys.iter().zip(sent) {
                    drop(state.came_back(key, *sent));
                }
                return None;
            }
        }
    }

    async fn ask(&self, keys: &[ReadKey]) -> Vec<Outcome<Payload>> {
        let asking = async {
            match keys {
                [key] => vec![self.store.read(key).await],
                keys => self.store.read_many(keys).await,
            }
        };
        // Whatever a peer sends, those that wait for other keys of the store go on.
        let asked = AssertUnwindSafe(asking).catch_unwind().await;
        asked.unwrap_or_else(|_| {
            let failed = || {
                let text = "reading it has panicked, which is a fault of this program";
                Err(StoreError::new(Trouble::Malformed, text).public())
            };
            keys.iter().map(|_| failed()).collect()
        })
    }

    fn take(&self, batch: usize) -> Taken {
        let mut state = lock(&self.state);
        if state.order.is_empty() {
            state.senders -= 1;
            return Taken::Nothing;
        }
        let now = Instant::now();
        let wait = [state.quiet_until, state.next_at]
            .into_iter()
            .flatten()
            .max();
        if let Some(at) = wait.filter(|at| *at > now) {
            return Taken::Later(at);
        }
        if let Some(rate) = self.policy.rate.filter(|rate| *rate > 0.0) {
            state.next_at = Some(now + Duration::from_secs_f64(1.0 / rate));
        }
        let mut reads = Vec::new();
        while reads.len() < batch {
            let Some(key) = state.order.pop_front() else {
                break;
            };
            if let Some(waiting) = state.waiting.remove(&key) {
                let sent = state.send(key.clone(), waiting);
                reads.push((key, sent));
            }
        }
        Taken::Reads(reads)
    }

    fn deliver(&self, key: ReadKey, sent: Sent, outcome: Outcome<Payload>) {
        let mut state = lock(&self.state);
        let Some(mut waiting) = state.came_back(&key, sent) else {
            return;
        };
        if let Err(error) = &outcome
            && let Trouble::Throttled { retry_after } = error.trouble()
        {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            let backoff = &self.policy.throttled;
            waiting.attempt += 1;
            if let Some(pause) =
                backoff.pause(waiting.attempt, retry_after, waiting.waited, chance())
            {
                waiting.waited += pause;
                let until = Instant::now() + pause;
                state.quiet_until = Some(state.quiet_until.map_or(until, |at| at.max(until)));
                match state.waiting.get_mut(&key) {
                    // Someone has asked again meanwhile: they wait together.
                    Some(newer) => newer.readers.append(&mut waiting.readers),
                    None => {
                        state.order.push_front(key.clone());
                        state.waiting.insert(key, waiting);
                    }
                }
                return;
            }
        }
        let shared: SharedOutcome = outcome.map(|answer| match answer {
            Answer::Found(payload) => Shared::Found(Arc::new(payload)),
            Answer::Absent(absent) => Shared::Absent(absent),
        });
        if let Ok(answer) = &shared
            && state.writes == sent.writes
            && !self.policy.keep.is_zero()
        {
            self.answers.keep(key, answer.clone(), sent.at);
        }
        drop(state);
        for reader in waiting.readers {
            // A reader that has given up does not listen.
            let _ = reader.send(shared.clone());
        }
    }

    pub(super) fn drop_old(&self) {
        self.answers.drop_older_than(self.policy.keep);
    }

    pub(super) fn touch(&self) {
        let seconds = self.born.elapsed().as_secs();
        self.touched.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn idle_for(&self) -> Duration {
        let touched = Duration::from_secs(self.touched.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(touched)
    }
}

enum Taken {
    Nothing,
    Later(Instant),
    Reads(Vec<(ReadKey, Sent)>),
}

impl State {
    /// Notes that a read is under way.
    fn send(&mut self, key: ReadKey, waiting: Waiting) -> Sent {
        self.numbers += 1;
        let sent = Sent {
            number: self.numbers,
            at: Instant::now(),
            writes: self.writes,
        };
        self.under_way.insert(sent.number, waiting);
        self.newest.insert(key, sent);
        sent
    }

    /// Takes those that wait for a read that is not under way any more.
    fn came_back(&mut self, key: &ReadKey, sent: Sent) -> Option<Waiting> {
        let newest = self.newest.get(key);
        if newest.is_some_and(|newest| newest.number == sent.number) {
            self.newest.remove(key);
        }
        self.under_way.remove(&sent.number)
    }

    /// A read under way whose answer will not be older than this, and not older than what was written.
    fn joinable(&self, key: &ReadKey, max_age: Duration) -> Option<u64> {
        let sent = self.newest.get(key)?;
        let joins = sent.writes == self.writes
            && !max_age.is_zero()
            && sent.at.elapsed() <= max_age.min(JOINED);
        joins.then_some(sent.number)
    }
}

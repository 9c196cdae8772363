//! The layer over a store that is all in its test's hands.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lane::{JOINED, UNWANTED};
use super::*;
use crate::outcome::{Absent, Answer, Outcome, Proof, Trouble};
use crate::remote::{Find, PushItem, PushSource, RemoteRef, SecretMap};
use crate::store::{
    Capabilities, Content, Match, Payload, Pushed, ReadKey, SignIns, Validation, WriteMode,
};

/// Answers each read with its key and the number of the call, once it is let through.
#[derive(Default)]
struct Slow {
    gate: Option<Arc<Notify>>,
    batch: usize,
    calls: AtomicU64,
    closed: AtomicU64,
    most_at_once: AtomicU64,
    at_once: AtomicU64,
    throttles: AtomicU64,
    batches: Mutex<Vec<usize>>,
}

impl Slow {
    async fn answer(&self, key: &ReadKey) -> Outcome<Payload> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        match &self.gate {
            Some(gate) => gate.notified().await,
            None => tokio::task::yield_now().await,
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.throttles.load(Ordering::SeqCst) > 0 {
            self.throttles.fetch_sub(1, Ordering::SeqCst);
            let retry_after = Some(Duration::from_secs(5));
            return Err(StoreError::new(
                Trouble::Throttled { retry_after },
                "slow down",
            ));
        }
        assert_ne!(key.key, "fatal", "a fault of the store");
        if key.key == "none" {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)));
        }
        let text = format!("{} {call}", key.key);
        Ok(Answer::Found(Payload::whole(SecretBytes::copy_of(
            text.as_bytes(),
        ))))
    }
}

impl Store for Slow {
    fn describe(&self) -> &str {
        "slow"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        Ok(ReadKey::value(at.key.as_str(), at.wanted_version()))
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(self.answer(key))
    }

    fn batch_size(&self) -> usize {
        self.batch.max(1)
    }

    fn read_many<'a>(&'a self, keys: &'a [ReadKey]) -> BoxFuture<'a, Vec<Outcome<Payload>>> {
        Box::pin(async move {
            lock(&self.batches).push(keys.len());
            let mut outcomes = Vec::new();
            for key in keys {
                outcomes.push(self.answer(key).await);
            }
            outcomes
        })
    }

    fn value(&self, _: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())))
    }

    fn map(&self, _: &RemoteRef, _: &Payload) -> Outcome<SecretMap> {
        Ok(Answer::Found(SecretMap::new()))
    }

    fn push<'a>(
        &'a self,
        _: &'a PushSource,
        _: &'a PushItem,
        _: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(async { Ok(Pushed::Updated) })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async {
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            Ok(Validation::Ready)
        })
    }

    fn sign_ins(&self) -> SignIns {
        // It signs in with its first call, after one attempt that failed.
        let made = self.calls.load(Ordering::SeqCst).min(1) * 2;
        SignIns {
            made,
            failed: made / 2,
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.closed.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }
}

fn lane(store: Slow, policy: Policy) -> (Arc<Lane>, Arc<Slow>) {
    let store = Arc::new(store);
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let answers = Answers::new(&policy).of_store();
    (Arc::new(Lane::new(dynamic, policy, answers)), store)
}

async fn text(lane: &Arc<Lane>, key: &str, max_age: Duration) -> String {
    let value = lane.get(&RemoteRef::new(key), max_age).await.unwrap();
    String::from_utf8(value.found().unwrap().expose().to_vec()).unwrap()
}

#[tokio::test]
async fn a_store_that_panics_fails_that_read_and_no_other() {
    let policy = Policy {
        concurrency: 1,
        ..Policy::default()
    };
    let (lane, _) = lane(Slow::default(), policy);
    for _ in 0..3 {
        let read = lane.get(&RemoteRef::new("fatal"), Duration::ZERO).await;
        assert_eq!(read.unwrap_err().trouble(), Trouble::Malformed);
        assert!(text(&lane, "a", Duration::ZERO).await.starts_with("a "));
    }
}

#[tokio::test]
async fn reads_that_wait_are_joined_and_reads_under_way_are_not() {
    let gate = Arc::new(Notify::new());
    let policy = Policy {
        concurrency: 1,
        ..Policy::default()
    };
    let (lane, store) = lane(
        Slow {
            gate: Some(Arc::clone(&gate)),
            ..Slow::default()
        },
        policy,
    );
    let first = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { text(&lane, "a", Duration::ZERO).await }
    });
    while store.calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // The first is under way; these three come after it and wait together.
    let later: Vec<_> = (0..3)
        .map(|_| {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move { text(&lane, "a", Duration::ZERO).await })
        })
        .collect();
    while lane.counts().asked < 4 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(first.await.unwrap(), "a 0");
    gate.notify_one();
    for reader in later {
        assert_eq!(reader.await.unwrap(), "a 1");
    }
    let counts = lane.counts();
    assert_eq!((counts.asked, counts.joined, counts.sent), (4, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_just_sent_is_joined_by_those_who_may_have_such_an_answer() {
    let gate = Arc::new(Notify::new());
    let slow = Slow {
        gate: Some(Arc::clone(&gate)),
        ..Slow::default()
    };
    let (lane, store) = lane(slow, Policy::default());
    let minute = Duration::from_secs(60);
    let ask = |max_age: Duration| {
        let lane = Arc::clone(&lane);
        tokio::spawn(async move { text(&lane, "a", max_age).await })
    };
    let sent = async |count: u64| {
        while store.calls.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let first = ask(Duration::ZERO);
    sent(1).await;
    let joins = ask(minute);
    // A caller that wants an answer newer than its question, or comes after a write, reads again.
    let newer = ask(Duration::ZERO);
    sent(2).await;
    let (source, item) = (PushSource::default(), PushItem::default());
    lane.push(&source, &item, WriteMode::Apply).await.unwrap();
    let after = ask(minute);
    sent(3).await;
    // One that has been under way for long may hang.
    tokio::time::advance(2 * JOINED).await;
    let late = ask(minute);
    sent(4).await;
    gate.notify_waiters();
    assert_eq!(first.await.unwrap(), "a 0");
    assert_eq!(joins.await.unwrap(), "a 0");
    assert_eq!(newer.await.unwrap(), "a 1");
    assert_eq!(after.await.unwrap(), "a 2");
    assert_eq!(late.await.unwrap(), "a 3");
    let state = lock(&lane.state);
    assert!(state.under_way.is_empty() && state.newest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_one_waits_for_any_more_makes_room_for_others() {
    let gate = Arc::new(Notify::new());
    let slow = Slow {
        gate: Some(Arc::clone(&gate)),
        ..Slow::default()
    };
    let policy = Policy {
        concurrency: 1,
        ..Policy::default()
    };
    let (lane, store) = lane(slow, policy);
    let ask = |key: &'static str| {
        let lane = Arc::clone(&lane);
        tokio::spawn(async move { text(&lane, key, Duration::ZERO).await })
    };
    let (hangs, waits) = (ask("a"), ask("b"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(store.calls.load(Ordering::SeqCst), 1);
    hangs.abort();
    tokio::time::sleep(2 * UNWANTED).await;
    assert_eq!(store.calls.load(Ordering::SeqCst), 2);
    gate.notify_waiters();
    assert_eq!(waits.await.unwrap(), "b 1");
}

#[tokio::test]
async fn sign_ins_are_told_once() {
    let told: Arc<Mutex<Vec<(Call, bool)>>> = Arc::default();
    let policy = Policy::default();
    let answers = Answers::new(&policy).of_store();
    let mut lane = Lane::new(Arc::new(Slow::default()), policy, answers);
    let kept = Arc::clone(&told);
    lane.observer = Some(Arc::new(move |_, call, failed| {
        lock(&kept).push((call, failed));
    }));
    let lane = Arc::new(lane);
    for key in ["a", "b"] {
        text(&lane, key, Duration::ZERO).await;
    }
    let expected = [
        (Call::Read, false),
        (Call::SignIn, false),
        (Call::SignIn, true),
        (Call::Read, false),
    ];
    assert_eq!(*lock(&told), expected);
}

#[tokio::test(start_paused = true)]
async fn calls_without_an_answer_are_told_as_failed() {
    let told: Arc<Mutex<Vec<(Call, bool)>>> = Arc::default();
    let gate = Arc::new(Notify::new());
    let slow = Slow {
        gate: Some(Arc::clone(&gate)),
        ..Slow::default()
    };
    let policy = Policy::default();
    let answers = Answers::new(&policy).of_store();
    let mut lane = Lane::new(Arc::new(slow), policy, answers);
    let kept = Arc::clone(&told);
    lane.observer = Some(Arc::new(move |_, call, failed| {
        // How it signs in plays no part.
        if call != Call::SignIn {
            lock(&kept).push((call, failed));
        }
    }));
    let lane = Arc::new(lane);
    let hangs = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { text(&lane, "a", Duration::ZERO).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    // Its reader goes away, because the store is taken for dead.
    hangs.abort();
    tokio::time::sleep(2 * UNWANTED).await;
    assert_eq!(*lock(&told), [(Call::Read, true)]);
    let error = lane.validate(Duration::from_secs(3)).await.unwrap_err();
    assert!(error.trouble().is_passing());
    assert!(error.to_string().contains("within 3 s"), "{error}");
    assert_eq!(lock(&told)[1..], [(Call::Validate, true)]);
    let (valid, ()) = tokio::join!(lane.validate(Duration::from_secs(3)), async {
        tokio::task::yield_now().await;
        gate.notify_waiters();
    });
    assert_eq!(valid.unwrap(), Validation::Ready);
    assert_eq!(lock(&told)[2..], [(Call::Validate, false)]);
}

#[tokio::test]
async fn ten_thousand_reads_of_five_hundred_keys_are_five_hundred_calls() {
    for batch in [1, 20] {
        let slow = Slow {
            batch,
            ..Slow::default()
        };
        let (lane, store) = lane(slow, Policy::default());
        let readers: Vec<_> = (0..10_000)
            .map(|number| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move {
                    let key = format!("key-{}", number % 500);
                    let got = text(&lane, &key, Duration::from_secs(30)).await;
                    assert!(got.starts_with(&format!("{key} ")), "{got}");
                })
            })
            .collect();
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(store.calls.load(Ordering::SeqCst), 500);
        let sent = lane.counts().sent;
        assert!(sent <= if batch == 1 { 500 } else { 40 }, "{sent}");
        let most = store.most_at_once.load(Ordering::SeqCst);
        assert!(most <= 16, "{most}");
    }
}

#[tokio::test]
async fn answers_are_kept_for_as_long_as_the_caller_allows_and_no_write_came() {
    let (lane, _) = lane(Slow::default(), Policy::default());
    let minute = Duration::from_secs(60);
    assert_eq!(text(&lane, "a", minute).await, "a 0");
    assert_eq!(text(&lane, "a", minute).await, "a 0");
    assert_eq!(text(&lane, "a", Duration::ZERO).await, "a 1");
    let (source, item) = (PushSource::default(), PushItem::default());
    lane.push(&source, &item, WriteMode::Apply).await.unwrap();
    assert_eq!(text(&lane, "a", minute).await, "a 2");
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_asks_for_fewer_calls_is_left_alone_for_that_long() {
    let slow = Slow {
        throttles: AtomicU64::new(2),
        ..Slow::default()
    };
    let (lane, store) = lane(slow, Policy::default());
    let start = Instant::now();
    assert_eq!(text(&lane, "a", Duration::ZERO).await, "a 2");
    assert_eq!(store.calls.load(Ordering::SeqCst), 3);
    assert_eq!(lane.counts().throttled, 2);
    assert!(start.elapsed() >= Duration::from_secs(10));
}

#[tokio::test]
async fn absence_is_shared_and_errors_are_not_kept() {
    let (lane, store) = lane(Slow::default(), Policy::default());
    let none = RemoteRef::new("none");
    let minute = Duration::from_secs(60);
    for _ in 0..2 {
        let answer = lane.get(&none, minute).await.unwrap();
        assert!(answer.found().is_none());
    }
    assert_eq!(store.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_new_generation_closes_the_old_one() {
    let fetcher = Fetcher::default();
    let store = Arc::new(Slow::default());
    let connect = || {
        let store: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        async move { Ok(store) }
    };
    let secret = SecretBytes::copy_of(b"token");
    let one = StoreIdentity::new("uid", 1, None).with_credential("auth", &secret);
    let same = StoreIdentity::new("uid", 1, None).with_credential("auth", &secret);
    assert_eq!(one, same);
    let first = fetcher.lane(&one, connect).await.unwrap();
    let again = fetcher.lane(&same, connect).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let other = SecretBytes::copy_of(b"other");
    let changed = StoreIdentity::new("uid", 1, None).with_credential("auth", &other);
    assert_ne!(one, changed);
    let next = fetcher.lane(&changed, connect).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &next));
    while store.closed.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let tenant = StoreIdentity::new("uid", 1, Some("team".into()));
    fetcher.lane(&tenant, connect).await.unwrap();
    fetcher.close().await;
    assert_eq!(store.closed.load(Ordering::SeqCst), 3);
}

/// Lanes of a fetcher, over stores that answer at once.
async fn lanes(fetcher: &Fetcher, count: usize) -> Vec<(Arc<Lane>, Arc<Slow>)> {
    let mut lanes = Vec::new();
    for number in 0..count {
        let store = Arc::new(Slow::default());
        let dynamic: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let identity = StoreIdentity::new(format!("store-{number}"), 1, None);
        let lane = fetcher.lane(&identity, || async move { Ok(dynamic) }).await;
        lanes.push((lane.unwrap(), store));
    }
    lanes
}

#[tokio::test]
async fn kept_bytes_are_bounded_for_each_store() {
    let fetcher = Fetcher::new(Policy {
        keep_bytes: 4096,
        ..Policy::default()
    });
    let lanes = lanes(&fetcher, 2).await;
    let minute = Duration::from_secs(60);
    text(&lanes[1].0, "other", minute).await;
    for number in 0..500 {
        text(&lanes[0].0, &format!("k{number}"), minute).await;
    }
    let kept = fetcher.answers.bytes();
    assert!((2048..=2 * 4096).contains(&kept), "{kept}");
    // The store that said much has not pushed out what the other one said.
    assert_eq!(text(&lanes[1].0, "other", minute).await, "other 0");
}

#[tokio::test]
async fn kept_bytes_are_bounded_over_all_stores_and_what_was_used_least_recently_goes() {
    let fetcher = Fetcher::new(Policy {
        keep_bytes: 4096,
        keep_bytes_of_all: 16_384,
        ..Policy::default()
    });
    let lanes = lanes(&fetcher, 40).await;
    let minute = Duration::from_secs(60);
    for number in 0..20 {
        for (lane, _) in &lanes {
            text(lane, &format!("k{number}"), minute).await;
            // This one is used again and again, so it stays.
            assert_eq!(text(&lanes[0].0, "used", minute).await, "used 1");
        }
        let kept = fetcher.answers.bytes();
        assert!(kept <= 16_384, "{kept}");
    }
    assert!(fetcher.answers.bytes() > 8192);
    // The first ones were used least recently: they are read again.
    let (lane, store) = &lanes[20];
    let before = store.calls.load(Ordering::SeqCst);
    text(lane, "k0", minute).await;
    assert_eq!(store.calls.load(Ordering::SeqCst), before + 1);
    // A write drops what was kept of its store, and nothing else.
    let (source, item) = (PushSource::default(), PushItem::default());
    lane.push(&source, &item, WriteMode::Apply).await.unwrap();
    assert_eq!(text(&lanes[0].0, "used", minute).await, "used 1");
    // What was kept of a store goes with it.
    for number in 0..lanes.len() {
        fetcher.forget(&format!("store-{number}"));
    }
    drop(lanes);
    while fetcher.answers.bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Lists more than a search may hold, in values that come with the list.
struct Endless;

impl Store for Endless {
    fn describe(&self) -> &str {
        "endless"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadOnly
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        Ok(ReadKey::value(at.key.as_str(), None))
    }

    fn read<'a>(&'a self, _: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        let value = SecretBytes::copy_of(&vec![b'x'; 1 << 20]);
        Box::pin(async move { Ok(Answer::Found(Payload::whole(value))) })
    }

    fn value(&self, _: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())))
    }

    fn map(&self, _: &RemoteRef, _: &Payload) -> Outcome<SecretMap> {
        Ok(Answer::Found(SecretMap::new()))
    }

    fn list<'a>(&'a self, _: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        let listed = (0..100).map(|number| Match {
            name: format!("k{number}"),
            content: Content::At(ReadKey::value(format!("k{number}"), None)),
        });
        Box::pin(async move { Ok(Answer::Found(listed.collect())) })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async { Ok(Validation::Ready) })
    }
}

#[tokio::test]
async fn a_search_holds_a_bounded_number_of_bytes() {
    let fetcher = Fetcher::default();
    let identity = StoreIdentity::new("endless", 1, None);
    let connect = || async { Ok(Arc::new(Endless) as Arc<dyn Store>) };
    let lane = fetcher.lane(&identity, connect).await.unwrap();
    let error = lane.find(&Find::default(), Duration::ZERO).await;
    let error = error.unwrap_err();
    assert_eq!(error.trouble(), Trouble::TooLarge, "{error}");
    assert!(error.to_string().contains("32 MiB"), "{error}");
}

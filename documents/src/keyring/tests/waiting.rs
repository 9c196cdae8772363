//! Keys that take their time, on a clock that moves on when nothing else does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use sealwright_crypto::key_kind::{AGE, AWS_KMS, VAULT_TRANSIT};

use super::*;

#[derive(Clone, Default)]
struct Clock(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Duration,
    alarms: Vec<(Duration, Waker)>,
}

impl Clock {
    fn sleep(&self, time: Duration) -> Pending<'static, ()> {
        let clock = self.clone();
        let at = clock.now() + time;
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = clock.0.lock().unwrap();
            if state.now >= at {
                return Poll::Ready(());
            }
            state.alarms.push((at, context.waker().clone()));
            Poll::Pending
        }))
    }

    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            let mut context = Context::from_waker(&waker);
            if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
                return result;
            }
            // Time moves on only when nothing is left to do at this moment.
            if woken.0.swap(false, Ordering::SeqCst) {
                continue;
            }
            let mut state = self.0.lock().unwrap();
            let next = state.alarms.iter().map(|(at, _)| *at).min();
            let next = next.expect("something will happen some time");
            state.now = state.now.max(next);
            let (due, later) = std::mem::take(&mut state.alarms)
                .into_iter()
                .partition::<Vec<_>, _>(|(at, _)| *at <= next);
            state.alarms = later;
            drop(state);
            due.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }
}

/// Whether the work has asked to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A key that opens after a while, or never.
struct Slow {
    kind: &'static KeyKind,
    clock: Clock,
    opens_after: Option<u64>,
    asked_at: Mutex<Vec<Duration>>,
}

impl Slow {
    fn new(kind: &'static KeyKind, clock: &Clock, opens_after: Option<u64>) -> Self {
        Self {
            kind,
            clock: clock.clone(),
            opens_after,
            asked_at: Mutex::default(),
        }
    }

    fn asked_at(&self) -> Vec<u64> {
        let times = self.asked_at.lock().unwrap();
        times.iter().map(Duration::as_secs).collect()
    }
}

impl MasterKey for Slow {
    fn kind(&self) -> &'static KeyKind {
        self.kind
    }

    fn identity(&self) -> String {
        format!("{:?} after {:?}", self.kind, self.opens_after)
    }

    fn is_far(&self) -> bool {
        self.kind == &AWS_KMS
    }

    fn wrap_key<'a>(&'a self, _: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            match self.opens_after {
                Some(seconds) => self.clock.sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
            Ok(Wrapped("wrapped".into()))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        self.asked_at.lock().unwrap().push(self.clock.now());
        Box::pin(async move {
            match self.opens_after {
                Some(seconds) => self.clock.sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
            Ok(Some(KeyPart::copy_of(&unhex(wrapped))))
        })
    }
}

/// Asks the keys for a data key; gives the report, and how many seconds it took.
fn ask(clock: &Clock, groups: &[Vec<Slow>]) -> (Result<Report, Report>, u64) {
    let key = DataKey::generate();
    let shares = match groups.len() {
        1 => vec![key.to_part()],
        many => shamir::split(&key, many, many).unwrap(),
    };
    let wraps: Vec<Wrapped> = shares
        .iter()
        .map(|part| Wrapped(hex(part.expose())))
        .collect();
    let locks: Vec<Vec<Lock<'_>>> = groups
        .iter()
        .zip(&wraps)
        .map(|(group, wrapped)| {
            let locks = group.iter().map(|key| Lock { key, wrapped });
            locks.collect()
        })
        .collect();
    let timer = |time| clock.sleep(time);
    let order = order();
    let got = clock.run(unwrap(&locks, 0, &order, &timer));
    let result = match got {
        Ok(got) => {
            assert_eq!(got.key.expose(), key.expose());
            Ok(got.report)
        }
        Err(UnwrapError::NotEnough(report)) => Err(report),
        Err(error) => panic!("{error}"),
    };
    (result, clock.now().as_secs())
}

#[test]
fn a_far_key_that_hangs_holds_up_neither_a_far_nor_a_near_one() {
    let clock = Clock::default();
    let keys = vec![
        Slow::new(&AWS_KMS, &clock, None),
        Slow::new(&AWS_KMS, &clock, Some(1)),
    ];
    let groups = [keys];
    let (report, seconds) = ask(&clock, &groups);
    assert!(report.is_ok());
    assert_eq!(seconds, FAR_SILENCE.as_secs() + 1);

    let clock = Clock::default();
    // A near key of a kind that the decryption order does not put first.
    let groups = [vec![
        Slow::new(&AWS_KMS, &clock, None),
        Slow::new(&VAULT_TRANSIT, &clock, Some(0)),
    ]];
    let (report, seconds) = ask(&clock, &groups);
    assert!(report.is_ok());
    assert_eq!(seconds, NEAR_SILENCE.as_secs());
}

#[test]
fn a_far_key_that_answers_soon_is_the_only_one_asked() {
    let clock = Clock::default();
    let groups = [vec![
        Slow::new(&AWS_KMS, &clock, Some(1)),
        Slow::new(&AWS_KMS, &clock, Some(1)),
    ]];
    let (report, seconds) = ask(&clock, &groups);
    assert_eq!(report.unwrap().groups[0].keys.len(), 1);
    assert_eq!(seconds, 1);
    assert!(groups[0][1].asked_at().is_empty());
}

#[test]
fn nothing_is_begun_while_a_near_key_works_and_no_clock_runs_for_it() {
    let clock = Clock::default();
    let groups = [vec![
        Slow::new(&AGE, &clock, Some(600)),
        Slow::new(&AWS_KMS, &clock, Some(1)),
    ]];
    let (report, seconds) = ask(&clock, &groups);
    assert!(report.is_ok());
    assert_eq!(seconds, 600);
    assert!(groups[0][1].asked_at().is_empty());
}

#[test]
fn each_far_key_has_its_own_time() {
    let clock = Clock::default();
    let groups = [vec![
        Slow::new(&AWS_KMS, &clock, None),
        Slow::new(&AWS_KMS, &clock, None),
        Slow::new(&AWS_KMS, &clock, Some(29)),
    ]];
    let (report, seconds) = ask(&clock, &groups);
    assert_eq!(seconds, 33, "the third was asked after 4 s");
    let late = Outcome::Failed("no answer within 30 s".into());
    let outcomes = report.unwrap().groups.remove(0).keys;
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|key| key.outcome).collect();
    assert_eq!(outcomes, [late.clone(), late.clone(), Outcome::Opened]);
    assert_eq!(groups[0][2].asked_at(), [4]);

    let clock = Clock::default();
    let groups = [vec![
        Slow::new(&AWS_KMS, &clock, None),
        Slow::new(&AWS_KMS, &clock, None),
    ]];
    let (report, seconds) = ask(&clock, &groups);
    assert_eq!(seconds, 32);
    let outcomes = report.unwrap_err().groups.remove(0).keys;
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|key| key.outcome).collect();
    assert_eq!(outcomes, [late.clone(), late]);
}

#[test]
fn the_groups_that_are_needed_are_asked_at_once() {
    let clock = Clock::default();
    let group = || vec![Slow::new(&AWS_KMS, &clock, Some(1))];
    let groups = [group(), group(), group()];
    let (report, seconds) = ask(&clock, &groups);
    assert_eq!(report.unwrap().recovered, 3);
    assert_eq!(seconds, 1);
}

#[test]
fn far_keys_wrap_at_the_same_time_and_a_near_one_takes_as_long_as_it_takes() {
    let clock = Clock::default();
    let keys = [
        Slow::new(&AWS_KMS, &clock, Some(2)),
        Slow::new(&AWS_KMS, &clock, Some(2)),
        Slow::new(&AGE, &clock, Some(100)),
    ];
    let holders = keys.iter().map(|key| Holder { key, kept: None });
    let groups = [holders.collect()];
    let timer = |time| clock.sleep(time);
    let key = DataKey::generate();
    clock.run(wrap(&key, &groups, 0, &timer)).unwrap();
    assert_eq!(clock.now().as_secs(), 100);
}

use std::sync::Mutex;

use futures::executor::block_on;
use sealwright_crypto::key_kind::{AGE, AWS_KMS, PGP};
use sealwright_crypto::master_key::KeyError;

use super::*;

mod waiting;

/// A key that wraps by writing in hexadecimal, and may be told how to fail.
struct Fake {
    kind: &'static KeyKind,
    name: &'static str,
    answer: Answer,
    asked: Mutex<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Opens,
    NotMine,
    Fails,
    Never,
}

fn fake(kind: &'static KeyKind, name: &'static str, answer: Answer) -> Fake {
    Fake {
        kind,
        name,
        answer,
        asked: Mutex::new(0),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(wrapped: &Wrapped) -> Vec<u8> {
    let digits = wrapped.0.as_bytes().chunks(2);
    let bytes =
        digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap());
    bytes.collect()
}

impl MasterKey for Fake {
    fn kind(&self) -> &'static KeyKind {
        self.kind
    }

    fn identity(&self) -> String {
        self.name.to_owned()
    }

    fn is_far(&self) -> bool {
        self.kind == &AWS_KMS
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        *self.asked.lock().unwrap() += 1;
        Box::pin(async move {
            match self.answer {
                Answer::Fails => Err(KeyError::new("broken")),
                Answer::Never => std::future::pending().await,
                _ => Ok(Wrapped(hex(part.expose()))),
            }
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        *self.asked.lock().unwrap() += 1;
        Box::pin(async move {
            let part = unhex(wrapped);
            match self.answer {
                Answer::Opens => Ok(Some(KeyPart::from(part))),
                Answer::NotMine => Ok(None),
                Answer::Fails => Err(KeyError {
                    reason: "broken".into(),
                    tried: vec!["a file".into()],
                }),
                Answer::Never => std::future::pending().await,
            }
        })
    }
}

fn at_once(_: Duration) -> Pending<'static, ()> {
    Box::pin(std::future::ready(()))
}

fn holders<'a>(groups: &'a [Vec<Fake>]) -> Vec<Vec<Holder<'a>>> {
    let holder = |key: &'a Fake| Holder { key, kept: None };
    groups
        .iter()
        .map(|group| group.iter().map(holder).collect())
        .collect()
}

fn locks<'a>(groups: &'a [Vec<Fake>], wraps: &'a [Vec<Wrapped>]) -> Vec<Vec<Lock<'a>>> {
    groups
        .iter()
        .zip(wraps)
        .map(|(keys, wraps)| {
            let pairs = keys.iter().zip(wraps);
            pairs.map(|(key, wrapped)| Lock { key, wrapped }).collect()
        })
        .collect()
}

fn order() -> Vec<String> {
    DEFAULT_ORDER.map(str::to_owned).to_vec()
}

#[test]
fn one_group_holds_the_whole_key() {
    let groups = [vec![
        fake(&AWS_KMS, "k", Answer::Opens),
        fake(&AGE, "a", Answer::Opens),
    ]];
    let key = DataKey::generate();
    let wraps = block_on(wrap(&key, &holders(&groups), 1, &at_once)).unwrap();
    assert_eq!(
        wraps,
        [vec![Wrapped(hex(key.expose())), Wrapped(hex(key.expose()))]]
    );
    let got = block_on(unwrap(&locks(&groups, &wraps), 7, &order(), &at_once)).unwrap();
    assert_eq!(
        got.key.expose(),
        key.expose(),
        "t50: the threshold does not count"
    );
    let asked: Vec<&str> = got.report.groups[0]
        .keys
        .iter()
        .map(|k| k.identity.as_str())
        .collect();
    assert_eq!(asked, ["a"], "t48: age first, and then nobody");
}

#[test]
fn d23_enough_groups_are_enough() {
    let groups = [
        vec![
            fake(&AGE, "a", Answer::NotMine),
            fake(&PGP, "p", Answer::Opens),
        ],
        vec![fake(&AGE, "b", Answer::Fails)],
        vec![fake(&AGE, "c", Answer::Opens)],
        vec![fake(&AGE, "d", Answer::Opens)],
    ];
    let key = DataKey::generate();
    let plain: Vec<Vec<Fake>> = groups
        .iter()
        .map(|group| {
            group
                .iter()
                .map(|key| fake(key.kind, key.name, Answer::Opens))
                .collect()
        })
        .collect();
    let wraps = block_on(wrap(&key, &holders(&plain), 2, &at_once)).unwrap();
    assert!(wraps.iter().flatten().all(|wrap| wrap.0.len() == 66));
    let got = block_on(unwrap(&locks(&groups, &wraps), 2, &order(), &at_once)).unwrap();
    assert_eq!(got.key.expose(), key.expose());
    assert_eq!((got.report.recovered, got.report.needed), (2, 2));
    let outcomes: Vec<Vec<Outcome>> = got
        .report
        .groups
        .iter()
        .map(|group| group.keys.iter().map(|key| key.outcome.clone()).collect())
        .collect();
    let failed = Outcome::Failed("broken".into());
    assert_eq!(
        outcomes,
        [
            vec![
                Outcome::NotMine("its private key is not here".into()),
                Outcome::Opened
            ],
            vec![failed],
            vec![Outcome::Opened],
            vec![]
        ]
    );
    assert_eq!(got.report.groups[1].keys[0].tried, ["a file"]);
    assert_eq!(*groups[3][0].asked.lock().unwrap(), 0);

    let error = block_on(unwrap(&locks(&groups, &wraps), 4, &order(), &at_once));
    let Err(UnwrapError::NotEnough(report)) = error else {
        panic!("3 of 4 groups are not enough")
    };
    assert_eq!(report.recovered, 3);
}

#[test]
fn all_failures_of_wrapping_are_told() {
    let groups = [vec![
        fake(&AGE, "a", Answer::Fails),
        fake(&AGE, "b", Answer::Opens),
        fake(&AWS_KMS, "c", Answer::Never),
    ]];
    let error = block_on(wrap(&DataKey::generate(), &holders(&groups), 0, &at_once)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot wrap the data key with a (broken), c (no answer within 30 s)"
    );
}

#[test]
fn thresholds_and_groups() {
    let threshold = |groups, threshold| effective_threshold(groups, threshold).ok();
    assert_eq!(threshold(0, 0), None);
    assert_eq!(threshold(1, 5), Some(1));
    assert_eq!(threshold(3, 0), Some(3));
    assert_eq!(threshold(3, 1), None);
    assert_eq!(threshold(3, 2), Some(2));
    assert_eq!(threshold(3, 4), None);
    let groups = [vec![fake(&AGE, "a", Answer::Opens)], vec![]];
    let error = block_on(wrap(&DataKey::generate(), &holders(&groups), 2, &at_once)).unwrap_err();
    assert_eq!(error.to_string(), "key group 1 is empty");
}

#[test]
fn unchanged_keys_keep_their_wraps() {
    let groups = [
        vec![fake(&AGE, "a", Answer::Opens)],
        vec![fake(&AGE, "b", Answer::Opens)],
    ];
    let wraps = block_on(wrap(&DataKey::generate(), &holders(&groups), 2, &at_once)).unwrap();
    let got = block_on(unwrap(&locks(&groups, &wraps), 2, &order(), &at_once)).unwrap();
    let more = fake(&AGE, "c", Answer::Opens);
    let mut wanted = holders(&groups);
    for (group, wraps) in wanted.iter_mut().zip(&wraps) {
        group[0].kept = Some(wraps[0].clone());
    }
    wanted[1].push(Holder {
        key: &more,
        kept: None,
    });
    let again = block_on(rewrap(&got, &wanted, 2, &at_once)).unwrap();
    assert_eq!(again[0], wraps[0]);
    assert_eq!(
        again[1],
        [wraps[1][0].clone(), wraps[1][0].clone()],
        "the same share"
    );
    wanted.push(vec![Holder {
        key: &more,
        kept: None,
    }]);
    let again = block_on(rewrap(&got, &wanted, 2, &at_once)).unwrap();
    assert_ne!(again[0], wraps[0], "three groups take other shares");
    wanted.truncate(1);
    let again = block_on(rewrap(&got, &wanted, 0, &at_once)).unwrap();
    assert_eq!(again, [vec![Wrapped(hex(got.key.expose()))]]);
}

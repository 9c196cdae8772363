use serde_json::json;

use super::*;

fn sealed(uid: &str, value: &str) -> SealedSecret {
    serde_json::from_value(json!({
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": "a", "namespace": "ns", "uid": uid, "generation": 1},
        "spec": {"encryptedData": {"k": value}},
    }))
    .unwrap()
}

fn key() -> Key {
    Key::new("ns", "a")
}

fn version(resource_version: &str) -> Version {
    Version {
        uid: "s".into(),
        resource_version: resource_version.into(),
    }
}

/// An index with one object whose Secret was written at version 5.
fn applied() -> Index {
    let index = Index::new(true);
    index.see(&sealed("u", "v"));
    index.update(&key(), "u", |known| {
        known.applied = Some((known.digest, version("5")));
        known.target = Target::Present {
            version: version("5"),
            reclaimed: true,
        };
    });
    index
}

const NOW: Wanted = Wanted::Yes(Urgency::Now);

#[test]
fn c46_only_what_decides_wakes_an_object() {
    let index = Index::new(true);
    assert_eq!(index.see(&sealed("u", "v")).1, NOW);
    let mut same = sealed("u", "v");
    same.metadata.labels = Some([("x".into(), "y".into())].into());
    assert_eq!(index.see(&same).1, Wanted::No);
    assert_eq!(index.see(&sealed("u", "w")).1, NOW);
    // The scope annotation decides too, which the incumbent overlooks.
    let mut wide = sealed("u", "w");
    wide.metadata.annotations = Some(
        [(
            "sealedsecrets.bitnami.com/cluster-wide".into(),
            "true".into(),
        )]
        .into(),
    );
    assert_eq!(index.see(&wide).1, NOW);
    assert_eq!(index.see(&sealed("other", "w")).1, NOW);
}

#[test]
fn our_own_writes_come_back_as_echoes_and_wake_nobody() {
    let index = applied();
    assert_eq!(index.see_target(&key(), version("5"), |_| true), Wanted::No);
    assert_eq!(index.see_target(&key(), version("4"), |_| true), Wanted::No);
    assert!(index.get(&key()).unwrap().is_settled(true));
    assert_eq!(index.see_target(&key(), version("6"), |_| true), NOW);
    assert!(!index.get(&key()).unwrap().is_settled(true));
    let elsewhere = Key::new("ns", "no-target");
    assert_eq!(
        index.see_target(&elsewhere, version("6"), |_| true),
        Wanted::No
    );
}

#[test]
fn c48_i26_i27_only_controlled_or_managed_secrets_come_back() {
    let index = applied();
    assert_eq!(index.lose_target(&key(), "another"), Wanted::No);
    assert_eq!(index.lose_target(&key(), "s"), NOW);
    assert_eq!(index.lose_target(&key(), "s"), Wanted::No);
    index.see_target(&key(), version("9"), |_| false);
    assert_eq!(index.lose_target(&key(), "s"), Wanted::No);
}

#[test]
fn a_fight_with_another_writer_slows_down() {
    let mut known = applied().get(&key()).unwrap();
    let now = Instant::now();
    let waits: Vec<_> = (0..14).map(|_| known.disturbed(now)).collect();
    assert!(waits[..5].iter().all(|wanted| *wanted == NOW));
    assert_eq!(waits[5], Wanted::After(Duration::from_secs(2)));
    assert_eq!(waits[13], Wanted::After(Duration::from_secs(64)));
    assert_eq!(known.disturbed(now + Duration::from_secs(301)), NOW);
}

#[test]
fn t36_a_listing_finds_what_is_gone() {
    let index = applied();
    let began = index.begin_listing();
    assert_eq!(index.end_listing(began, Some("other")), []);
    assert_eq!(index.end_listing(began, Some("ns")), [key()]);
    let index = applied();
    let began = index.begin_listing();
    index.see(&sealed("u", "v"));
    assert_eq!(index.end_listing(began, None), []);
}

#[test]
fn a_status_written_by_somebody_else_is_noticed_and_our_own_is_not() {
    let index = applied();
    let status = |message: &str| -> SealedSecretStatus {
        serde_json::from_value(
            json!({"conditions": [{"type": "Synced", "status": "True", "message": message}]}),
        )
        .unwrap()
    };
    let mut object = sealed("u", "v");
    assert_eq!(index.see(&object).1, Wanted::No);
    index.state(&key(), "u", &status("one"));
    index.state(&key(), "u", &status("two"));
    for own in ["one", "two"] {
        object.status = Some(status(own));
        assert_eq!(index.see(&object).1, Wanted::No);
    }
    object.status = Some(status("forged"));
    assert_eq!(index.see(&object).1, NOW);
    assert!(index.get(&key()).unwrap().misstated);
}

#[test]
fn after_a_start_only_what_is_not_proved_is_work() {
    let index = applied();
    let (work, settled) = index.unsettled(None, true, |_, _| None);
    assert_eq!((work.len(), settled.len()), (0, 0));
    index.see_target(&key(), version("7"), |_| true);
    let (work, _) = index.unsettled(None, true, |_, _| None);
    assert_eq!(work, [key()]);
    let (work, _) = index.unsettled(Some("other"), true, |_, _| None);
    assert_eq!(work, []);
    let (work, _) = applied().unsettled(None, false, |_, _| None);
    assert_eq!(work, [key()]);
}

#[test]
fn i27_a_released_secret_that_vanished_unseen_stays_away() {
    for (reclaimed, expected) in [(false, vec![]), (true, vec![key()])] {
        let index = applied();
        index.see_target(&key(), version("5"), |_| reclaimed);
        index.forget_targets(None);
        let (work, _) = index.unsettled(None, true, |_, _| None);
        assert_eq!(work, expected);
    }
}

#[test]
fn an_object_read_ahead_is_used_only_while_it_is_what_the_watch_showed_last() {
    let at = |version: Option<&str>| {
        let mut sealed = sealed("u", "v");
        sealed.metadata.resource_version = version.map(str::to_owned);
        sealed
    };
    let index = Index::new(true);
    index.see(&at(Some("7")));
    let known = index.get(&key()).unwrap();
    assert!(known.is_last_seen(&at(Some("7"))));
    assert!(!known.is_last_seen(&at(Some("6"))) && !known.is_last_seen(&at(None)));
    // Nothing that decides changed, but the status under the old version would meet a conflict.
    assert_eq!(index.see(&at(Some("8"))).1, Wanted::No);
    assert!(!index.get(&key()).unwrap().is_last_seen(&at(Some("7"))));
    index.see(&at(None));
    assert!(!index.get(&key()).unwrap().is_last_seen(&at(None)));
}

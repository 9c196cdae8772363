use std::path::Path;

use sealwright_crypto::key_kind::{AGE, PGP};

use super::*;
use crate::config::Place;

const ALICE: &str = "age1xlfde4vg8lqd47wvyk2chvgw769vtr59rxrqmflu7tp3dzl284cq0cme47";
const BOB: &str = "age1twl7e9sz227hy5vpmgdagpx8e2ucxp9pyfd0c6ztk36sf69rvceq65htfd";
const EVE: &str = "age1wmzfjjste6klq46pyl4d769ljzrxhnrp952maywq8ga6u2wfcu7qz9x8fp";

fn config(text: &str) -> Config {
    Config::of_text(
        &Place::of(Path::new("/repo/.sops.yaml")).unwrap(),
        SecretBytes::copy_of(text.as_bytes()),
    )
    .unwrap()
}

/// Writes keys for their people, and back.
fn keys(text: &str) -> String {
    text.replace("ALICE", ALICE)
        .replace("BOB", BOB)
        .replace("EVE", EVE)
}

fn people(text: &str) -> String {
    text.replace(ALICE, "ALICE")
        .replace(BOB, "BOB")
        .replace(EVE, "EVE")
}

fn shown(result: Result<Config>) -> String {
    match result {
        Ok(config) => people(std::str::from_utf8(config.text().expose()).unwrap()),
        Err(error) => format!("! {}", people(&error.message())),
    }
}

fn add(text: &str, rule: usize, kind: &'static KeyKind, key: &str, name: Option<&str>) -> String {
    let key = KeyFields::of(kind, keys(key));
    let wanted = RuleChange::Add {
        key: &key,
        name,
        group: 0,
    };
    shown(change(&config(&keys(text)), rule, &wanted))
}

fn remove(text: &str, rule: usize, key: &str) -> String {
    let gone = BTreeSet::from([("age", keys(key))]);
    shown(change(
        &config(&keys(text)),
        rule,
        &RuleChange::Remove(&gone),
    ))
}

#[test]
fn a_key_joins_a_rule_however_it_is_laid_out() {
    for (before, after) in [
        (
            "# top\ncreation_rules:\n  - path_regex: a # which\n    age:\n      - ALICE # alice\n  - age: EVE\n",
            "# top\ncreation_rules:\n  - path_regex: a # which\n    age:\n      - ALICE # alice\n      - BOB # bob\n  - age: EVE\n",
        ),
        (
            "creation_rules:\n- path_regex: a\n  age:\n  - ALICE\n",
            "creation_rules:\n- path_regex: a\n  age:\n  - ALICE\n  - BOB # bob\n",
        ),
        (
            "creation_rules:\n  - age: ALICE # alice\n    path_regex: a\n",
            "creation_rules:\n  - age:\n      - ALICE # alice\n      - BOB # bob\n    path_regex: a\n",
        ),
        (
            "creation_rules:\n  - age: >-\n      ALICE,\n      EVE\n    path_regex: a\n",
            "creation_rules:\n  - age:\n      - ALICE\n      - EVE\n      - BOB # bob\n    path_regex: a\n",
        ),
        (
            "creation_rules:\n  - path_regex: a\n    age: \"ALICE,EVE\"",
            "creation_rules:\n  - path_regex: a\n    age:\n      - ALICE\n      - EVE\n      - BOB # bob",
        ),
        (
            "creation_rules:\n  - path_regex: a\n    age: [ALICE, EVE] # the team\n    pgp: AB\n",
            "creation_rules:\n  - path_regex: a\n    age: # the team\n      - ALICE\n      - EVE\n      - BOB # bob\n    pgp: AB\n",
        ),
        (
            "creation_rules:\n  - path_regex: a\n    pgp: AB\n",
            "creation_rules:\n  - path_regex: a\n    age:\n      - BOB # bob\n    pgp: AB\n",
        ),
        (
            "keys:\n  - &alice ALICE\ncreation_rules:\n  - key_groups:\n      - age:\n          - *alice\n        pgp: [AB]\n",
            "keys:\n  - &alice ALICE\ncreation_rules:\n  - key_groups:\n      - age:\n          - *alice\n          - BOB # bob\n        pgp: [AB]\n",
        ),
        (
            "creation_rules:\n  -\n  - age:\n      - ALICE\n---\nother: [}\n",
            "creation_rules:\n  -\n  - age:\n      - ALICE\n      - BOB # bob\n---\nother: [}\n",
        ),
    ] {
        assert_eq!(add(before, 0, &AGE, "BOB", Some("bob")), after, "{before}");
    }
    let text = "creation_rules:\n  - path_regex: a\n    age: ALICE\n  - age: EVE\n";
    assert_eq!(
        add(text, 1, &PGP, "ABCD", None),
        "creation_rules:\n  - path_regex: a\n    age: ALICE\n  - age: EVE\n    pgp:\n      - ABCD\n"
    );
}

#[test]
fn a_key_leaves_a_rule_however_it_is_laid_out() {
    for (before, after) in [
        (
            "creation_rules:\n  - age:\n      # the team\n      - ALICE # alice\n      - BOB # bob\n    path_regex: a\n",
            "creation_rules:\n  - age:\n      # the team\n      - ALICE # alice\n    path_regex: a\n",
        ),
        (
            "creation_rules:\n  - age: ALICE,BOB # both\n",
            "creation_rules:\n  - age: # both\n      - ALICE\n",
        ),
        (
            "creation_rules:\n  - age: [BOB, ALICE]\n",
            "creation_rules:\n  - age:\n      - ALICE\n",
        ),
        (
            "creation_rules:\n  - path_regex: a\n    age: BOB\n    pgp: AB\n",
            "creation_rules:\n  - path_regex: a\n    pgp: AB\n",
        ),
        (
            "keys:\n  - &bob BOB\n  - &alice ALICE\ncreation_rules:\n  - age:\n      - *bob\n      - *alice\n",
            "keys:\n  - &bob BOB\n  - &alice ALICE\ncreation_rules:\n  - age:\n      - *alice\n",
        ),
        (
            "creation_rules:\n  - key_groups:\n      - age: [ALICE, BOB]\n      - age:\n          - BOB\n          - EVE\n",
            "creation_rules:\n  - key_groups:\n      - age:\n          - ALICE\n      - age:\n          - EVE\n",
        ),
    ] {
        assert_eq!(remove(before, 0, "BOB"), after, "{before}");
    }
}

#[test]
fn what_cannot_be_changed_is_refused() {
    let last = "creation_rules:\n  - age: BOB\n";
    assert!(remove(last, 0, "BOB").contains("the last key"));
    for odd in [
        "creation_rules: [{ path_regex: a, age: BOB }, { age: ALICE }]\n",
        "team: &team\n  - ALICE\n  - BOB\ncreation_rules:\n  - path_regex: a\n    age: *team\n  - age: *team\n",
        "base: &base\n  age: [ALICE, BOB]\ncreation_rules:\n  - <<: *base\n    path_regex: a\n",
    ] {
        let text = add(odd, 0, &AGE, "EVE", Some("eve"));
        assert!(
            text.contains("only a person can change (/repo/.sops.yaml, line"),
            "{text}"
        );
    }
}

#[test]
fn a_new_configuration_says_what_was_asked_for() {
    let text = new_text(
        Some("^it's/"),
        &[(ALICE.to_owned(), Some("alice".to_owned()))],
    );
    let config = config(&text);
    let rule = |path: &str| config.rule_number(Path::new(path)).unwrap();
    assert_eq!(rule("/repo/it's/a.yaml"), Some(0));
    assert_eq!(rule("/repo/b.yaml"), None);
    assert_eq!(config.names().of("age", ALICE), Some("alice"));
}

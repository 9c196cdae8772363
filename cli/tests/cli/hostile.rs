//! Repositories that are made to flood, exhaust or mislead: no command takes more than their size explains.

use std::fmt::Write as _;

use super::desk::{Desk, KEYS};

/// A configuration with a rule for every file, and what else it says.
fn configured(desk: &Desk, more: &str) {
    let text = format!("{more}creation_rules:\n  - age: {}\n", KEYS[0].0);
    desk.write(".sops.yaml", text);
}

#[test]
fn thousands_of_unknown_fields_are_not_told_in_every_command() {
    let desk = Desk::new();
    let fields: String = (0..5_000).fold(String::new(), |mut text, at| {
        writeln!(text, "f{at}: 1").unwrap();
        text
    });
    configured(&desk, &fields);
    desk.write("a.yaml", "a: 1\n");
    let ran = desk.run(["encrypt", "a.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 21, "{}", ran.err);
    assert!(ran.err.contains(": 4980 more warnings"), "{}", ran.err);
    let ran = desk.run(["config", "check"]);
    assert_eq!((ran.code, ran.out.lines().count()), (1, 5_000));
}

#[test]
fn an_indentation_of_gigabytes_is_refused() {
    let desk = Desk::new();
    configured(&desk, "stores: {json: {indent: 2000000000}}\n");
    desk.write("a.json", "{\"a\": 1}");
    desk.encrypted("a.yaml", "a: 1\n");
    let error = desk.run(["encrypt", "a.json"]).fails(4);
    assert!(error.contains("indentation of 2000000000"), "{error}");
    let words = ["decrypt", "--output-type", "json", "a.yaml"];
    let error = desk.run(words).fails(4);
    assert!(error.contains("indentation of 2000000000"), "{error}");
}

#[test]
fn a_value_nested_too_deeply_is_refused() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\n");
    let value = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    for (levels, fits) in [(900, true), (9_900, false)] {
        let words = ["set", "a.yaml", "b", "--type", "json", "--stdin"];
        let ran = desk.run_with(words, value(levels).as_bytes());
        assert_eq!(ran.code == 0, fits, "{}", ran.err);
        assert!(fits || ran.err.contains("levels deep"), "{}", ran.err);
    }
}

/// A key that looks like a path does not hide what changes there.
#[test]
fn diff_shows_values_whose_paths_look_alike() {
    let mut desk = Desk::fresh();
    let keys = desk.home().join("own.txt");
    std::fs::write(&keys, format!("{}\n", KEYS[0].1)).unwrap();
    desk.set("SOPS_AGE_KEY_FILE", keys.to_str().unwrap());
    desk.rule(&[0], "");
    desk.encrypted("a.yaml", "db: {password: old}\n\"db.password\": x\n");
    desk.git(&["add", "."]);
    desk.git(&["commit", "--quiet", "--message", "first"]);
    desk.run(["set", "a.yaml", "db.password", "new"]).good();
    let out = desk.run(["diff"]).good();
    assert!(out.contains("    ~ db.password\n"), "{out}");
    let out = desk.run(["git", "textconv", "a.yaml"]).good();
    assert!(out.contains("\n[\"db.password\"]: [secret "), "{out}");
}

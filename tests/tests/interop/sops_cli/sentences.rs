//! Sentences that scripts search for in upstream's standard error, and what `updatekeys` prints, side by side.

use super::{Desk, Whose};

/// What both programs say on standard error, without times.
fn said(desk: &Desk, whose: Whose, words: &[&str]) -> (i32, String, Vec<String>) {
    let ran = desk.run(whose, words);
    let out = ran.text().to_owned();
    let lines = ran.err.lines().map(|line| {
        let is_dated = line.len() > 20 && line.as_bytes()[4] == b'/' && line.as_bytes()[7] == b'/';
        if is_dated {
            line[20..].to_owned()
        } else {
            line.to_owned()
        }
    });
    (ran.code, out, lines.collect())
}

#[track_caller]
fn same(desk: &Desk, words: &[&str]) {
    let theirs = said(desk, Whose::Theirs, words);
    let ours = said(desk, Whose::Ours, words);
    assert_eq!(ours, theirs, "{words:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let desk = Desk::with_rule();
    desk.write("folder/a.yaml", "a: 1\n");
    for words in [
        &["rotate", "none.yaml"][..],
        &["set", "none.yaml", "[\"a\"]", "1"],
        &["unset", "none.yaml", "[\"a\"]"],
        &["updatekeys", "none.yaml"],
        &["updatekeys", "folder"],
        &["decrypt", "folder"],
        &["encrypt", "folder"],
        &["edit", "folder"],
    ] {
        same(&desk, words);
    }
}

#[test]
fn rules_that_say_nothing_about_a_file() {
    let desk = Desk::new();
    desk.write("a.yaml", "a: 1\n");
    desk.theirs_encrypts("b.yaml", "a: 1\n", &[]);
    let age = &desk.recipients[0];
    desk.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: other\n    age: {age}\n"),
    );
    for words in [
        &["encrypt", "a.yaml"][..],
        &["--encrypt", "a.yaml"],
        &["edit", "new.yaml"],
        &["updatekeys", "-y", "b.yaml"],
    ] {
        same(&desk, words);
    }
    desk.write(".sops.yaml", "creation_rules: []\n");
    for words in [&["encrypt", "a.yaml"][..], &["updatekeys", "-y", "b.yaml"]] {
        same(&desk, words);
    }
}

#[test]
fn options_that_a_binary_file_ignores() {
    let desk = Desk::with_rule();
    desk.write("f.bin", "one value");
    for words in [
        &["--mac-only-encrypted", "encrypt", "f.bin"][..],
        &["--unencrypted-comment-regex", "x", "-e", "f.bin"],
        &["--encrypted-comment-regex", "x", "-e", "f.bin"],
        &["encrypt", "--encrypted-regex", "x", "f.bin"],
    ] {
        let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
            let ran = desk.run(whose, words);
            (ran.code, ran.err.lines().count())
        });
        assert_eq!(ours, theirs, "{words:?}");
    }
}

#[test]
fn updatekeys_tells_what_upstream_tells() {
    let desk = Desk::new();
    let [a, b, _] = &desk.recipients[..] else {
        unreachable!("a desk has three recipients")
    };
    for groups in [
        format!("[{{age: [{a}]}}, {{age: [{b}]}}]"),
        format!("[{{age: [{a}]}}, {{}}]"),
        format!("[{{age: [{a}, {b}]}}]"),
        format!("[{{age: [{a}]}}]"),
    ] {
        let rule = format!("creation_rules:\n  - key_groups: {groups}\n");
        let mut told = Vec::new();
        for whose in [Whose::Theirs, Whose::Ours] {
            desk.write(".sops.yaml", "{}");
            desk.theirs_encrypts("f.yaml", "a: 1\n", &[]);
            desk.write(".sops.yaml", &rule);
            told.push(said(&desk, whose, &["updatekeys", "-y", "f.yaml"]));
        }
        assert_eq!(told[1], told[0], "{groups}");
    }
}

#[test]
fn updatekeys_tells_thresholds_and_keys_in_upstreams_order() {
    let desk = Desk::new();
    let [a, b, c] = &desk.recipients[..] else {
        unreachable!("a desk has three recipients")
    };
    let two = |more: &str| format!("key_groups: [{{age: [{a}]}}, {{age: [{b}]}}]{more}");
    for (before, after) in [
        // The threshold stays, and keys change.
        (
            two("\n    shamir_threshold: 2"),
            format!("key_groups: [{{age: [{c}, {a}]}}, {{age: [{b}]}}]"),
        ),
        // It falls with the number of groups.
        (
            two("\n    shamir_threshold: 2"),
            format!("key_groups: [{{age: [{a}]}}]"),
        ),
        (two(""), format!("key_groups: [{{age: [{b}, {a}]}}]")),
        // Keys that stay stand before those that come, whatever the order in the rule.
        (format!("age: [{a}, {b}]"), format!("age: [{c}, {b}]")),
        (two("\n    shamir_threshold: 2"), two("")),
    ] {
        let mut told = Vec::new();
        for whose in [Whose::Theirs, Whose::Ours] {
            let rule = |text: &str| format!("creation_rules:\n  - {text}\n");
            desk.write(".sops.yaml", rule(&before));
            desk.write("f.yaml", "a: 1\n");
            desk.theirs(["encrypt", "-i", "f.yaml"]).good();
            desk.write(".sops.yaml", rule(&after));
            told.push(said(&desk, whose, &["updatekeys", "-y", "f.yaml"]));
        }
        assert_eq!(told[1], told[0], "{before} {after}");
    }
}

#[test]
fn help_of_a_command_in_a_command_is_its_own() {
    let desk = Desk::new();
    for words in [["groups", "add", "--help"], ["groups", "delete", "-h"]] {
        let ours = desk.ours(words).good();
        let theirs = desk.theirs(words).good();
        let name = |text: &str| text.lines().nth(1).unwrap_or_default().trim().to_owned();
        let first = |text: &str| {
            name(text)
                .split(" - ")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(first(&ours), first(&theirs));
        assert!(ours.contains("--file"), "{ours}");
    }
}

//! What a rule says, and what flags say beside it.

use super::super::{Desk, Whose, run};
use super::{TEXT, both, seen};

#[test]
fn s153_to_s160_fields_of_a_rule() {
    let desk = Desk::new();
    let [a, b] = [&desk.recipients[0], &desk.recipients[1]];
    for (fields, works) in [
        (format!("age: '{a}, {b}'"), true),
        (format!("age: [{a}, {b}]"), true),
        (format!("age: ['{a},{b}']"), true),
        (format!("age: {a}\n    unencrypted_suffix: word"), true),
        (format!("age: {a}\n    encrypted_suffix: word"), true),
        (format!("age: {a}\n    unencrypted_regex: ^port$"), true),
        (format!("age: {a}\n    encrypted_regex: ^port$"), true),
        (format!("age: {a}\n    unencrypted_comment_regex: x"), true),
        (format!("age: {a}\n    encrypted_comment_regex: x"), true),
        (format!("age: {a}\n    mac_only_encrypted: true"), true),
        (
            format!("age: {a}\n    encrypted_suffix: x\n    encrypted_regex: y"),
            false,
        ),
        ("age: {a: b}".to_owned(), false),
        ("age: 5".to_owned(), false),
        ("hckms: text".to_owned(), false),
        (format!("key_groups: []\n    age: {a}"), true),
        ("key_groups: [{}]".to_owned(), false),
    ] {
        let config = format!("creation_rules:\n  - {fields}\n");
        assert_eq!(
            both(&desk, &config, "a.yaml", TEXT).is_ok(),
            works,
            "{config}"
        );
    }
}

#[test]
fn values_are_read_as_loosely_as_upstream_reads_them() {
    let desk = Desk::new();
    let [a, b] = [&desk.recipients[0], &desk.recipients[1]];
    let groups = format!("key_groups: [{{age: [{a}]}}, {{age: [{b}]}}]");
    for (rules, works) in [
        (format!("- age: {a}\n    mac_only_encrypted: yes"), true),
        (format!("- age: {a}\n    mac_only_encrypted: \"on\""), true),
        (format!("- age: {a}\n    mac_only_encrypted: n"), true),
        (format!("- age: {a}\n    mac_only_encrypted: yEs"), false),
        (format!("- {groups}\n    shamir_threshold: 2.0"), true),
        (format!("- {groups}\n    shamir_threshold: 1.9"), false),
        (format!("- {groups}\n    shamir_threshold: -1"), false),
        (format!("-\n  - age: {a}"), true),
        (format!("- ~\n  - path_regex: none\n  - age: {a}"), true),
        (format!("- key_groups: [~, {{age: [{a}]}}]"), true),
        (format!("- key_groups: [{{age: [{a}, ~, \"\"]}}]"), true),
        (
            format!("- key_groups: [{{age: [{a}], pgp: [~], kms: [~]}}]"),
            true,
        ),
        (format!("- key_groups: [{{age: [{a}], pgp: ['']}}]"), false),
        (format!("- key_groups: [~]\n    age: {a}"), true),
        (format!("- age: [{a}, ~]"), false),
        (format!("- age: [{a}, '']"), false),
        (format!("- age: {a}\n    pgp: [5]"), false),
        (format!("- age: ['{a},,{b}']"), false),
        (format!("- age: {a}\n    hckms: [~, '']"), true),
        (format!("- age: {a}\n    kms: ['']\n    pgp: ['']"), true),
        (
            format!("- age: {a}\n    hc_vault_transit_uri: ['', '']"),
            true,
        ),
        (format!("- age: {a}\n---\n a: [}}"), true),
        (format!("- age: {a}\n...\n]["), true),
    ] {
        let config = format!("creation_rules:\n  {rules}\n");
        assert_eq!(
            both(&desk, &config, "a.yaml", TEXT).is_ok(),
            works,
            "{config}"
        );
    }
    // A negative threshold of one group is written by upstream, and refused here; a file that has it is read.
    desk.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^a\n    age: {a}\n    shamir_threshold: -1\n  - age: {a}\n"),
    );
    let negative = desk.theirs(["encrypt", "a.yaml"]).good();
    desk.write("negative.yaml", negative);
    desk.ours(["decrypt", "negative.yaml"]).good();
    assert!(
        desk.ours(["encrypt", "a.yaml"])
            .fails(1)
            .contains("shamir_threshold")
    );
    desk.write("b.yaml", TEXT);
    desk.ours(["encrypt", "b.yaml"]).good();
    for (flags, code) in [
        (["--hc-vault-transit", ","], 0),
        (["--hckms", ","], 0),
        (["--kms", ","], 1),
    ] {
        for whose in [Whose::Theirs, Whose::Ours] {
            let ran = desk.run(whose, ["encrypt", "--age", a, flags[0], flags[1], "b.yaml"]);
            assert_eq!(ran.code, code, "{whose:?} {flags:?} {}", ran.err);
        }
    }
}

#[test]
fn s161_s162_s167_key_groups_merge_in_order_without_doubles() {
    let desk = Desk::new();
    let [a, b, c] = [0, 1, 2].map(|at| &desk.recipients[at]);
    for groups in [
        format!("- age: [{a}]\n      - age: [{b}]\n    shamir_threshold: 2"),
        format!("- age: ['{a},{b}']\n      - age: [{c}]"),
        format!(
            "- merge:\n          - age: [{a}]\n            merge:\n              - age: [{b}]\n        age: [{c}, {a}]"
        ),
        format!("- merge:\n          - age: [{b}, {b}]\n      - age: [{a}]\n    age: {c}"),
    ] {
        both(
            &desk,
            &format!("creation_rules:\n  - key_groups:\n      {groups}\n"),
            "a.yaml",
            TEXT,
        )
        .unwrap();
    }
}

#[test]
fn s85_s86_s87_s88_flags_beside_a_rule() {
    let desk = Desk::new();
    let [a, b] = [&desk.recipients[0], &desk.recipients[1]];
    desk.write(
        ".sops.yaml",
        format!("creation_rules:\n  - age: {a}\n    encrypted_regex: ^port$\n"),
    );
    desk.write("a.yaml", TEXT);
    for words in [
        vec!["encrypt", "--age", b, "a.yaml"],
        vec!["encrypt", "--encrypted-regex", "word", "a.yaml"],
        vec!["encrypt", "--unencrypted-regex", "word", "a.yaml"],
        vec!["--mac-only-encrypted", "encrypt", "a.yaml"],
        vec!["--encrypt", "--mac-only-encrypted", "a.yaml"],
        vec![
            "encrypt",
            "--shamir-secret-sharing-threshold",
            "2",
            "a.yaml",
        ],
        vec!["--age", b, "encrypt", "a.yaml"],
    ] {
        let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
            let ran = desk.run(whose, &words);
            (ran.code, seen(&ran.show_out()))
        });
        // A recipient before the command is ignored by the reference in silence (D18); here it counts.
        if words[0] == "--age" {
            assert!(theirs.1.contains(a.as_str()) && ours.1.contains(b.as_str()));
        } else {
            assert_eq!(theirs, ours, "{words:?}");
        }
    }
    // A variable is a flag (T44).
    let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
        let mut command = desk.command(whose);
        command
            .env("SOPS_AGE_RECIPIENTS", b)
            .args(["encrypt", "a.yaml"]);
        seen(&run(&mut command, b"").good())
    });
    assert_eq!(theirs, ours);
    assert!(ours.contains(b.as_str()) && !ours.contains(a.as_str()));
}

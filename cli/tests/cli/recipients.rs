//! Commands that wrap a data key look at whom they wrap it for.

use super::desk::{Desk, KEYS};

/// A file that someone with write access to the repository added themselves to.
fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "password: s3cr3t\n");
    desk.run(["rotate", "--add-age", KEYS[2].0, "a.yaml"])
        .good();
    assert!(desk.read("a.yaml").contains(KEYS[2].0));
    desk
}

#[test]
fn a_recipient_that_no_rule_names_is_not_handed_the_next_data_key() {
    let mut desk = desk();
    desk.set("EDITOR", "sh -c 'echo \"more: 1\" >> \"$0\"'");
    let before = desk.read("a.yaml");
    let mut text = String::new();
    for words in [
        &["rotate", "a.yaml"][..],
        &["rotate", "--rm-age", KEYS[1].0, "a.yaml"],
        &["edit", "a.yaml"],
        &["groups", "add", "a.yaml", "--age", KEYS[1].0],
        &["--output", "json", "rotate", "a.yaml"],
    ] {
        text += &desk.transcript(words);
        assert_eq!(desk.read("a.yaml"), before, "{words:?}");
    }
    insta::assert_snapshot!("recipients_that_differ", text);
}

#[test]
fn what_a_person_names_or_accepts_is_done() {
    for words in [
        &["rotate", "--accept-recipients", "a.yaml"][..],
        &["rotate", "--rm-age", KEYS[2].0, "a.yaml"],
        &["rotate", "--add-age", KEYS[2].0, "a.yaml"],
        &[
            "groups",
            "add",
            "--accept-recipients",
            "a.yaml",
            "--age",
            KEYS[1].0,
        ],
        &["sops", "rotate", "-i", "a.yaml"],
    ] {
        desk().run(words).good();
    }
    // Without a rule that matches there is nothing to compare with.
    let desk = desk();
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: ^b$\n    age: {}\n",
            KEYS[0].0
        ),
    );
    desk.run(["rotate", "a.yaml"]).good();
    std::fs::remove_file(desk.path(".sops.yaml")).unwrap();
    desk.run(["rotate", "a.yaml"]).good();
}

#[test]
fn groups_may_become_what_the_rule_says() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "password: s3cr3t\n");
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}]\n      - age: [{}]\n",
            KEYS[0].0, KEYS[1].0
        ),
    );
    desk.run(["groups", "add", "a.yaml", "--age", KEYS[2].0])
        .fails(1);
    desk.run(["groups", "add", "a.yaml", "--age", KEYS[1].0])
        .good();
    // A threshold that was lowered behind the keys would let one group alone open the next version.
    let lowered = desk
        .read("a.yaml")
        .replace("shamir_threshold: 2", "shamir_threshold: 1");
    desk.write("a.yaml", lowered);
    let err = desk.run(["rotate", "a.yaml"]).fails(1);
    assert!(err.contains("1 of the groups"), "{err}");
}

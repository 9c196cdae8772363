//! `diff` and `git textconv`: what changed in values, for people and for `git diff`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::desk::{Desk, KEYS};
use super::schema::assert_is;

/// A repository with a rule for two keys and a committed file.
fn repository() -> Desk {
    let mut desk = Desk::fresh();
    let keys = desk.home().join("own.txt");
    std::fs::write(&keys, format!("{}\n", KEYS[0].1)).unwrap();
    desk.set("SOPS_AGE_KEY_FILE", keys.to_str().unwrap());
    desk.rule(&[0], "");
    desk.encrypted("s/a.yaml", "a: 1\nb: {c: x, d: [1, 2]}\ne: old\n");
    desk.write("plain.yaml", "a: 1\n");
    desk.git(&["add", "."]);
    desk.git(&["commit", "--quiet", "--message", "first"]);
    desk
}

#[test]
fn values_that_changed_are_named_and_masked() {
    let desk = repository();
    let mut text = desk.transcript(&["diff"]);
    desk.run(["set", "s/a.yaml", "b.c", "new secret"]).good();
    desk.run(["set", "s/a.yaml", "added", "more"]).good();
    desk.run(["unset", "s/a.yaml", "e"]).good();
    desk.write("plain.yaml", "a: 2\n");
    text += &desk.transcript(&["diff"]);
    assert!(!text.contains("new secret"), "{text}");
    text += &desk.transcript(&["diff", "--reveal", "HEAD", "s"]);
    text += &desk.transcript(&["--output", "json", "diff"]);
    text += &desk.transcript(&["--output", "json", "diff", "--reveal"]);
    text += &desk.transcript(&["diff", "HEAD", "plain.yaml"]);
    desk.git(&["commit", "--quiet", "--all", "--message", "second"]);
    desk.rule(&[0, 1], "");
    desk.run(["updatekeys", "s"]).good();
    desk.run(["rotate", "s"]).good();
    text += &desk.transcript(&["diff"]);
    std::fs::remove_file(desk.path("s/a.yaml")).unwrap();
    text += &desk.transcript(&["diff"]);
    text += &desk.transcript(&["diff", "no-such-revision"]);
    insta::assert_snapshot!("diff", text);
}

#[test]
fn someone_without_the_key_sees_which_values_changed() {
    let mut desk = repository();
    desk.run(["set", "s/a.yaml", "b.c", "new"]).good();
    let none = desk.home().join("none.txt");
    std::fs::write(&none, "").unwrap();
    desk.set("SOPS_AGE_KEY_FILE", none.to_str().unwrap());
    let out = desk.run(["diff"]).good();
    assert!(out.contains("~ b.c"), "{out}");
    assert!(!out.contains(" a\n"), "{out}");
}

/// Tokens and private keys are what secrets are made of: who asks for the values gets them, and JSON stays JSON.
#[test]
fn values_that_look_like_tokens_are_shown_as_they_are() {
    let desk = repository();
    let token = |mark: &str| {
        format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{mark}")
    };
    let (old, new) = (token("old"), token("new"));
    let armor = "-----BEGIN PRIVATE KEY-----";
    desk.run(["set", "s/a.yaml", "e", old.as_str()]).good();
    desk.git(&["commit", "--quiet", "--all", "--message", "second"]);
    desk.run(["set", "s/a.yaml", "e", new.as_str()]).good();
    desk.run_with(["set", "s/a.yaml", "k", "--stdin"], armor.as_bytes())
        .good();
    let out = desk.run(["diff", "--reveal"]).good();
    assert!(out.contains(&format!("~ e: {old} -> {new}")), "{out}");
    let out = desk.run(["--output", "json", "diff", "--reveal"]).good();
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let changes = &value["files"][0]["changes"];
    assert_eq!(changes[0]["before"], old.as_str());
    assert_eq!(changes[0]["after"], new.as_str());
    assert_eq!(changes[1]["after"], armor);
    // A value that the rule leaves in clear.
    desk.rule(&[0], "    encrypted_regex: ^secret$\n");
    desk.encrypted("s/b.yaml", &format!("t: {new}\nsecret: x\n"));
    let out = desk.run(["git", "textconv", "s/b.yaml"]).good();
    assert!(out.contains(&format!("t: {new}\n")), "{out}");
}

#[test]
fn a_name_that_is_no_text_is_compared_like_others() {
    let desk = repository();
    let file = desk.path("s").join(OsStr::from_bytes(b"\xff.yaml"));
    std::fs::write(&file, "a: 1\nb: 2\n").unwrap();
    desk.run(["encrypt", "-i", "s"]).good();
    desk.git(&["add", "s"]);
    desk.git(&["commit", "--quiet", "--message", "second"]);
    let [set, key, value] = ["set", "a", "3"].map(OsStr::new);
    desk.run([set, file.as_os_str(), key, value]).good();
    assert_eq!(desk.run(["diff"]).good(), "s/\\xFF.yaml:\n    ~ a\n");
}

/// A file that cannot be read is not one whose values went.
#[test]
fn an_unresolved_conflict_is_no_difference() {
    let desk = repository();
    let text = desk.read("s/a.yaml");
    let (first, rest) = text.split_once('\n').unwrap();
    let broken = format!("<<<<<<< HEAD\n{first}\n=======\n{first}\n>>>>>>> other\n{rest}");
    desk.write("s/a.yaml", &broken);
    desk.encrypted("s/b.yaml", "a: 1\n");
    desk.git(&["add", "s/b.yaml"]);
    let reason = "not valid YAML: line 1: an unresolved merge conflict";
    let ran = desk.run(["diff"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], format!("s/a.yaml: unreadable: {reason}"));
    assert_eq!(lines[1], "s/b.yaml:");
    assert_eq!(ran.fails(2), "1 file cannot be read\n");
    let ran = desk.run(["--output", "json", "diff"]);
    let value = assert_is("differences", ran.out.trim_end());
    assert_eq!(value["files"][0]["message"], reason);
    assert_eq!(ran.code, 2);

    desk.git(&["commit", "--quiet", "--all", "--message", "second"]);
    desk.write("s/a.yaml", &text);
    let ran = desk.run(["diff"]);
    let line = format!("s/a.yaml: unreadable: in HEAD: {reason}\n");
    assert_eq!((ran.code, ran.out), (2, line));
}

#[test]
fn outside_of_a_repository_the_error_says_so() {
    let desk = Desk::with_rule();
    let err = desk.run(["diff"]).fails(1);
    assert!(err.contains("git"), "{err}");
}

#[test]
fn git_shows_values_and_never_fails() {
    let desk = repository();
    desk.git(&[
        "config",
        "diff.sealwright.textconv",
        "sealwright git textconv",
    ]);
    desk.write(".gitattributes", "* diff=sealwright\n");
    desk.run(["set", "s/a.yaml", "b.c", "new"]).good();
    desk.write("plain.yaml", "a: 2\n");
    desk.write("plain.bin", b"\x00\xff\x01");
    desk.git(&["add", "--intent-to-add", "plain.bin"]);
    let shown = desk.git(&["diff"]);
    let changed: Vec<&str> = shown
        .lines()
        .filter(|line| {
            line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
        })
        .collect();
    // The value and the MAC, which is no value, are not both shown: one line went and one came for b.c.
    let of_secret: Vec<&&str> = changed.iter().filter(|line| line.contains("b.c")).collect();
    assert_eq!(of_secret.len(), 2, "{shown}");
    assert!(
        of_secret.iter().all(|line| line.contains("[secret ")),
        "{shown}"
    );
    assert!(
        changed.contains(&"-a: 1") && changed.contains(&"+a: 2"),
        "{shown}"
    );
    assert!(!shown.contains("ENC["), "{shown}");
    // A text that only looks encrypted, and a broken one, are shown as they are.
    for text in [
        "sops: ENC[AES256_GCM,data:x]\n",
        "a: [1\nsops: {mac: ENC[AES256_GCM\n",
        "",
    ] {
        desk.write("odd.yaml", text);
        assert_eq!(desk.run(["git", "textconv", "odd.yaml"]).good(), text);
    }
    let revealed = desk.run(["git", "textconv", "--reveal", "s/a.yaml"]).good();
    assert_eq!(revealed, "a: 1\nb: {c: new, d: [1, 2]}\ne: old\n");
    desk.run(["git", "textconv", "nowhere.yaml"]).fails(2);
}

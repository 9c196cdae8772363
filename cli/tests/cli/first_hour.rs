//! What a new user meets in the first hour: types, names, private keys in the wrong place, messages.

use std::os::unix::fs::PermissionsExt;

use super::desk::{Desk, KEYS};
use super::screen::Screen;

/// A client of sops (Ansible's `sops_encrypt`) encrypts a document for a path without an extension.
#[test]
fn a_document_for_a_name_without_a_type() {
    let desk = Desk::with_rule();
    let plain = b"{\"a\": {\"b\": 1}}\n";
    let words = [
        "sops",
        "encrypt",
        "--input-type",
        "json",
        "--filename-override",
        "secret",
    ];
    let out = desk.run_with(words, plain).good();
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(
        json["a"]["b"].as_str().unwrap().starts_with("ENC["),
        "{out}"
    );
    desk.write("secret", &out);
    let words = [
        "sops",
        "decrypt",
        "--input-type",
        "json",
        "--output-type",
        "json",
        "secret",
    ];
    let back: serde_json::Value = serde_json::from_str(&desk.run(words).good()).unwrap();
    assert_eq!(back["a"]["b"], 1);
    // In our own front-end the type of the output follows that of the input.
    let out = desk
        .run_with(["encrypt", "--input-type", "yaml"], b"a: 1\n")
        .good();
    assert!(out.starts_with("a: ENC["), "{out}");
    let back = desk
        .run_with(["decrypt", "--input-type", "yaml"], out.as_bytes())
        .good();
    assert_eq!(back, "a: 1\n");
    let back = desk
        .run_with(["decrypt", "--input-type", "yaml", "-"], out.as_bytes())
        .good();
    assert_eq!(back, "a: 1\n");
}

#[test]
fn a_private_key_in_the_wrong_place_is_never_shown() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\n");
    let secret = KEYS[0].1;
    let mut text = desk.transcript(&["rotate", "--add-age", secret, "a.yaml"]);
    text += &desk.transcript(&["encrypt", "--age", secret, ".sops.yaml"]);
    text += &desk.transcript(&["groups", "add", "a.yaml", "--age", secret]);
    text += &desk.transcript(&["sops", "encrypt", "--age", secret, ".sops.yaml"]);
    desk.write(
        ".sops.yaml",
        format!("creation_rules:\n  - age: {secret}\n"),
    );
    text += &desk.transcript(&["config", "check"]);
    text += &desk.transcript(&["config", "explain", "a.yaml"]);
    text += &desk.transcript(&["encrypt", "b.yaml"]);
    text += &desk.transcript(&["--output", "json", "config", "check"]);
    assert!(
        !text
            .replace(&format!("--age {secret}"), "")
            .replace(&format!("--add-age {secret}"), "")
            .contains(secret),
        "{text}"
    );
    insta::assert_snapshot!("private_keys", text.replace(secret, "[THE KEY]"));
}

#[test]
fn no_one_locks_themselves_out_by_mistake() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\n");
    let before = desk.read("a.yaml");
    let mut text = String::new();
    desk.rule(&[2], "");
    text += &desk.transcript(&["updatekeys", "a.yaml"]);
    text += &desk.transcript(&[
        "rotate",
        "--accept-recipients",
        "--add-age",
        KEYS[2].0,
        "--rm-age",
        KEYS[0].0,
        "a.yaml",
    ]);
    text += &desk.transcript(&[
        "groups",
        "add",
        "--accept-recipients",
        "a.yaml",
        "--age",
        KEYS[2].0,
    ]);
    assert_eq!(desk.read("a.yaml"), before);
    text += &desk.transcript(&[
        "rotate",
        "--rm-age",
        KEYS[1].0,
        "--accept-recipients",
        "a.yaml",
    ]);
    assert_eq!(desk.read("a.yaml"), before);
    let mut screen = Screen::start(&desk, &["updatekeys", "a.yaml"]);
    screen.expect("(y/n)");
    screen.send("n\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 1, "{shown}");
    assert_eq!(desk.read("a.yaml"), before);
    text += &desk.transcript(&["updatekeys", "--yes", "a.yaml"]);
    assert!(desk.read("a.yaml").contains(KEYS[2].0));
    insta::assert_snapshot!("lockout", text);
}

#[test]
fn rotate_check_means_something() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\n");
    desk.run(["rotate", "--check", "a.yaml"]).good();
    desk.run(["rotate", "--check", "--older-than", "90d", "a.yaml"])
        .good();
    desk.run(["rotate", "--check", "--older-than", "0s", "a.yaml"])
        .fails(1);
    desk.rule(&[0, 1], "");
    desk.run(["rotate", "--check", "a.yaml"]).fails(1);
}

#[test]
fn seal_writes_the_format_of_the_name() {
    let desk = Desk::new();
    desk.run([
        "sealing-key",
        "--bits",
        "2048",
        "--key",
        "k.pem",
        "--cert",
        "c.pem",
    ])
    .good();
    desk.write(
        "s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\nstringData:\n  x: y\n",
    );
    desk.run(["seal", "s.yaml", "--cert", "c.pem", "--out", "sealed.json"])
        .good();
    let text = desk.read("sealed.json");
    serde_json::from_str::<serde_json::Value>(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    desk.run([
        "reseal", "--key", "k.pem", "--cert", "c.pem", "--check", ".",
    ])
    .good();
    desk.run(["seal", "s.yaml", "--cert", "c.pem", "--out", "sealed.yaml"])
        .good();
    assert!(desk.read("sealed.yaml").contains("\nkind: SealedSecret\n"));
}

#[test]
fn messages_are_in_our_own_words() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\nb: x\n");
    desk.write("plain.yaml", "a: 1\n");
    desk.write("empty.yaml", "");
    desk.write("bad.yaml", "a: [1\n");
    desk.write(
        "conflict.yaml",
        "a: 1\n<<<<<<< here\nb: 1\n=======\nb: 2\n>>>>>>> there\n",
    );
    desk.write(
        "changed.yaml",
        desk.read("a.yaml")
            .replace("b: ENC[AES256_GCM,data:", "b: ENC[AES256_GCM,data:AA"),
    );
    desk.write("nosecret.yaml", "kind: ConfigMap\napiVersion: v1\n");
    desk.encrypted("readonly.yaml", "a: 1\n");
    std::fs::set_permissions(desk.path("readonly.yaml"), PermissionsExt::from_mode(0o444)).unwrap();
    let mut text = String::new();
    for words in [
        &["decrypt", "plain.yaml"][..],
        &["decrypt", "nofile.yaml"],
        &["decrypt", "changed.yaml"],
        &["get", "plain.yaml", "a"],
        &["get", "a.yaml", "missing"],
        &["--output", "json", "get", "a.yaml", "a"],
        &["--output", "json", "get", "a.yaml", "missing"],
        &["encrypt", "empty.yaml"],
        &["encrypt", "bad.yaml"],
        &["encrypt", "conflict.yaml"],
        &["encrypt", "a.yaml"],
        &["encrypt", "plain.yaml", "bad.yaml"],
        &["decrypt", "-i", "nofile.yaml", "plain.yaml", "bad.yaml"],
        &["rotate", "nofile.yaml", "also-not-there.yaml"],
        &["diff", "a.yaml"],
        &["set", "readonly.yaml", "a", "2"],
        &["status", "a.yaml", "plain.yaml"],
        &["config", "explain", "a.yaml"],
        &["seal", "nosecret.yaml"],
        &["decrypt", "--extract", "[\"a\"]", "a.yaml"],
        &["encrypt", "--filename-override", "x", "plain.yaml"],
        &["--output", "json", "seal", "--fetch-cert"],
        &["decrpt", "a.yaml"],
        &["set", "a.yaml"],
    ] {
        text += &desk.transcript(words);
    }
    insta::assert_snapshot!("messages", text);
}

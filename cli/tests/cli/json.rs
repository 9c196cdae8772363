//! With `--output json` every verb writes objects that the published schema describes.

use serde_json::Value;

use super::desk::{Desk, KEYS};
use super::schema::{assert_is, fits, schema};
use super::screen::Screen;

/// What only verbs that ask a cluster write, and a message, which few verbs have.
const NEED_A_CLUSTER: [&str; 5] = [
    "message",
    "validated",
    "cluster",
    "exported_keys",
    "imported_keys",
];

/// Each verb with the part of the schema that its standard output fits. What stands on standard error is a failure or a
/// message.
const VERBS: [(&str, &[&str]); 63] = [
    ("setup", &["init", "--yes"]),
    ("setup", &["init", "--yes"]),
    ("health", &["doctor"]),
    ("adoption", &["adopt", "."]),
    ("build", &["--version", "--verbose"]),
    ("status", &["status", "."]),
    ("by_recipient", &["status", "--by", "recipient", "."]),
    ("report", &["encrypt", "-i", "plain.yaml"]),
    ("report", &["encrypt", "-i", "plain.yaml"]),
    ("report", &["encrypt", "-i", "--dry-run", "."]),
    ("value", &["get", "a.yaml", "a"]),
    ("value", &["get", "a.yaml", "b"]),
    ("value", &["get", "a.yaml", "missing"]),
    ("report", &["set", "a.yaml", "a", "2"]),
    ("report", &["set", "a.yaml", "a", "x"]),
    ("report", &["unset", "a.yaml", "a"]),
    ("differences", &["diff"]),
    ("differences", &["diff", "--reveal"]),
    ("differences", &["diff", "nowhere"]),
    ("edited", &["edit", "a.yaml"]),
    ("edited", &["edit", "--resume"]),
    ("report", &["rotate", "."]),
    ("report", &["rotate", "--rm-age", KEYS[1].0, "a.yaml"]),
    ("report", &["updatekeys", "--check", "."]),
    ("recipients", &["recipients", "list"]),
    (
        "report",
        &["recipients", "add", KEYS[2].0, "--dry-run", "--name", "eve"],
    ),
    (
        "report",
        &["recipients", "add", KEYS[2].0, "--yes", "--name", "eve"],
    ),
    ("report", &["recipients", "add", KEYS[2].0, "--yes"]),
    ("report", &["recipients", "remove", "eve"]),
    ("report", &["recipients", "remove", "eve", "--yes"]),
    ("report", &["recipients", "remove", "nobody", "--yes"]),
    ("report", &["groups", "delete", "a.yaml", "3"]),
    ("report", &["encrypt", "s.yaml", "--out", "g.yaml"]),
    ("report", &["groups", "add", "g.yaml", "--age", KEYS[1].0]),
    (
        "report",
        &["groups", "delete", "g.yaml", "1", "--threshold", "1"],
    ),
    ("report", &["decrypt", "g.yaml", "--out", "plain-g.yaml"]),
    ("failure", &["exec-env", "plain.yaml", "exit 3"]),
    ("problems", &["config", "check"]),
    ("explanation", &["config", "explain", "a.yaml"]),
    ("recipient", &["keygen", "--out", "k.txt"]),
    ("recipient", &["keygen", "--out", "k.txt"]),
    (
        "sealing_key",
        &[
            "sealing-key",
            "--bits",
            "2048",
            "--key",
            "k.pem",
            "--cert",
            "c.pem",
        ],
    ),
    ("certificate", &["cert", "--cert", "c.pem"]),
    (
        "report",
        &["seal", "s.yaml", "--cert", "c.pem", "--out", "sealed.yaml"],
    ),
    (
        "value",
        &[
            "seal",
            "--raw",
            "--scope",
            "cluster-wide",
            "--cert",
            "c.pem",
            "value",
        ],
    ),
    (
        "report",
        &[
            "reseal", "--key", "k.pem", "--cert", "c.pem", "--check", ".",
        ],
    ),
    ("validated", &["validate", "nowhere.yaml"]),
    (
        "pushed",
        &["push", "file:vault/db#user", "--from-file", "value"],
    ),
    (
        "pushed",
        &[
            "push",
            "file:vault/db#user",
            "--from-file",
            "value",
            "--dry-run",
        ],
    ),
    (
        "published",
        &[
            "publish",
            "--dry-run",
            "--config",
            "publish.sops.yaml",
            "a.yaml",
        ],
    ),
    ("values", &["fetch", "file:vault/db#user"]),
    ("values", &["fetch", "file:vault/nothing"]),
    ("store_health", &["store", "check", "--store", "store.yaml"]),
    ("store_keys", &["store", "ls", "--store", "store.yaml"]),
    ("report", &["decrypt", "-i", "."]),
    ("report", &["decrypt", "nofile.yaml"]),
    ("report", &["decrypt", "--nonsense"]),
    ("report", &["nonsense"]),
    ("failure", &["groups"]),
    ("failure", &["git"]),
    ("failure", &["config"]),
    ("failure", &["store"]),
    ("failure", &["recipients"]),
];

#[test]
fn what_was_done_is_told() {
    let desk = Desk::with_rule();
    desk.write("a.yaml", "a: 1\n");
    let done: [(&[&str], &str, &str); 4] = [
        (
            &["encrypt", "a.yaml", "--out", "b.yaml"],
            "b.yaml",
            "done-encrypted",
        ),
        (
            &["groups", "add", "b.yaml", "--age", KEYS[1].0],
            "b.yaml",
            "done-updated",
        ),
        (
            &["groups", "delete", "b.yaml", "1", "--threshold", "1"],
            "b.yaml",
            "done-updated",
        ),
        (
            &["decrypt", "b.yaml", "--out", "c.yaml"],
            "c.yaml",
            "done-decrypted",
        ),
    ];
    for (words, file, status) in done {
        let out = desk.run([&["--output", "json"], words].concat()).good();
        let value = assert_is("report", out.trim_end());
        assert_eq!(value["files"][0]["file"], file, "{words:?}");
        assert_eq!(value["files"][0]["status"], status, "{words:?}");
    }
    assert_eq!(desk.read("c.yaml"), "a: 1\n");
    let failed: [(&[&str], i32, &str, &str); 2] = [
        (
            &["exec-env", "b.yaml", "exit 3"],
            3,
            "child",
            "exit status 3",
        ),
        (&["groups"], 1, "usage", "what is to be done is missing"),
    ];
    for (words, code, name, message) in failed {
        let all = [&["--output", "json"], words].concat();
        let err = desk.run(all).fails(code);
        let value = assert_is("failure", err.trim_end());
        assert_eq!(value["error"], name);
        assert_eq!(value["message"], message);
    }
}

/// Standard output is for a program, and may be read by one although standard input is a terminal.
#[test]
fn no_question_stands_between_objects() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\n");
    let before = desk.read("a.yaml");
    desk.rule(&[2], "");
    let screen = Screen::start(&desk, &["--output", "json", "updatekeys", "a.yaml"]);
    let (code, shown) = screen.finish();
    assert_eq!(code, 1, "{shown}");
    assert!(!shown.contains("(y/n)"), "{shown}");
    assert_eq!(desk.read("a.yaml"), before);
}

#[test]
fn every_object_is_as_the_published_schema_says() {
    let mut desk = Desk::with_rule();
    desk.set("EDITOR", "sh -c 'echo \"more: 1\" >> \"$0\"'");
    for name in ["AUTHOR", "COMMITTER"] {
        desk.set(&format!("GIT_{name}_NAME"), "alice");
        desk.set(&format!("GIT_{name}_EMAIL"), "alice@example.com");
    }
    desk.encrypted("a.yaml", "a: 1\nb: {c: x}\n");
    desk.git(&["init", "--quiet"]);
    desk.git(&["add", "a.yaml"]);
    desk.git(&["commit", "--quiet", "--message", "first"]);
    desk.write("plain.yaml", "a: 1\n");
    desk.write("value", "admin");
    desk.write("vault/.keep", "");
    desk.write(
        "publish.sops.yaml",
        "destination_rules: [{ s3_bucket: shop-files }]\n",
    );
    desk.write(
        ".gitignore",
        "vault\nstore.yaml\nvalue\npublish.sops.yaml\n",
    );
    desk.write(
        "store.yaml",
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: s, namespace: n }\n\
         spec: { provider: { file: { path: vault } } }\n",
    );
    desk.write(
        "s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\nstringData:\n  x: y\n",
    );
    let schema = schema();
    let part = |name: &str| &schema["$defs"][name];
    let object = |words: &[&str], line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{words:?}: {error}: {line}"))
    };
    let mut seen = std::collections::BTreeSet::new();
    for (name, words) in VERBS {
        let all = [&["--output", "json"], words].concat();
        let ran = desk.run(&all);
        for line in ran.out.lines() {
            assert!(part(name).is_object(), "the schema has {name}");
            let value = object(words, line);
            assert!(fits(part(name), &schema, &value), "{words:?}: {line}");
            assert!(fits(&schema, &schema, &value), "{words:?}: {line}");
            seen.insert(name);
        }
        for line in ran.err.lines() {
            let value = object(words, line);
            let told = ["failure", "message"].into_iter();
            let mut told = told.filter(|name| fits(part(name), &schema, &value));
            seen.insert(told.next().unwrap_or_else(|| panic!("{words:?}: {line}")));
        }
        assert!(
            !ran.out.is_empty() || !ran.err.is_empty() || ran.code == 0,
            "{words:?} fails without a word"
        );
    }
    // What needs a server is tried where the servers are.
    let published = schema["anyOf"].as_array().unwrap().iter();
    let unseen: Vec<&str> = published
        .map(|part| part["$ref"].as_str().unwrap().rsplit('/').next().unwrap())
        .filter(|name| !seen.contains(name) && !NEED_A_CLUSTER.contains(name))
        .collect();
    assert!(unseen.is_empty(), "no verb wrote {unseen:?}");
}

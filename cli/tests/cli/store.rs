//! Stores without any server: folders and files, encrypted or not, and what the fake store answers.

use super::desk::{Desk, KEYS};

const STORE: &str = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: s, namespace: n }\n\
                     spec: { provider: { file: { path: vault } } }\n";

fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.write("store.yaml", STORE);
    desk.write("vault/app/db", r#"{"user": "admin", "password": "it's"}"#);
    desk.write("vault/plain", "no line break");
    desk
}

#[test]
fn a_value_comes_out_as_it_is() {
    let desk = desk();
    let fetch = |words: &[&str]| {
        let mut all = vec!["fetch", "--store", "store.yaml"];
        all.extend(words);
        desk.run(all)
    };
    assert_eq!(fetch(&["plain"]).good(), "no line break");
    assert_eq!(fetch(&["app/db#user"]).good(), "admin");
    assert_eq!(
        desk.run(["fetch", "file:vault/app/db#user"]).good(),
        "admin"
    );
    let json = desk.run([
        "--output",
        "json",
        "fetch",
        "--store",
        "store.yaml",
        "app/db#user",
        "P=plain",
    ]);
    assert_eq!(
        json.good(),
        "{\"P\":\"no line break\",\"user\":\"admin\"}\n"
    );
    let env = desk.run([
        "--output",
        "env",
        "fetch",
        "--store",
        "store.yaml",
        "--extract",
        "app/db",
    ]);
    assert_eq!(env.good(), "PASSWORD='it'\\''s'\nUSER='admin'\n");
    assert_eq!(fetch(&["--out", "out", "plain"]).good(), "");
    assert_eq!(desk.read("out"), "no line break");
    let several = fetch(&["plain", "app/db"]).fails(1);
    assert!(several.contains("--output json"), "{several}");
}

#[test]
fn an_encrypted_file_is_a_store_and_a_file_of_credentials() {
    let desk = desk();
    desk.encrypted("all.yaml", "app/db: s3cr3t\nlist: [1, two]\n");
    assert_eq!(desk.run(["fetch", "file:all.yaml/app/db"]).good(), "s3cr3t");
    assert_eq!(desk.run(["fetch", "file:all.yaml/list#1"]).good(), "two");
    desk.write("plain.yaml", "a: b\n");
    assert_eq!(desk.run(["fetch", "file:plain.yaml/a"]).good(), "b");
    // For others it stays closed, and what it holds is not shown.
    desk.rule(&[2], "");
    desk.encrypted("theirs.yaml", "a: canary\n");
    let closed = desk.run(["fetch", "file:theirs.yaml/a"]).fails(1);
    assert!(!closed.contains("canary"), "{closed}");
    assert!(closed.contains(KEYS[2].0), "{closed}");
}

#[test]
fn a_typo_is_met_with_what_is_there() {
    let desk = desk();
    let error = desk
        .run(["fetch", "--store", "store.yaml", "app/bd"])
        .fails(1);
    assert!(error.contains("there is no such key"), "{error}");
    assert!(error.contains("there is app/db"), "{error}");
    let error = desk
        .run([
            "--output",
            "json",
            "fetch",
            "--store",
            "store.yaml",
            "app/bd",
        ])
        .fails(1);
    assert!(error.contains("\"error\":\"absent\""), "{error}");
    let error = desk
        .run(["fetch", "--store", "store.yaml", "app/db#pasword"])
        .fails(1);
    assert!(error.contains("no property"), "{error}");
    assert!(!error.contains("it's"), "{error}");
    let error = desk
        .run(["fetch", "--store", "store.yaml", "../store.yaml"])
        .fails(1);
    assert!(error.contains("no `..`"), "{error}");
    desk.write(
        "other.yaml",
        STORE.replace("file: { path: vault }", "akeyless: { projectID: p }"),
    );
    let error = desk.run(["fetch", "--store", "other.yaml", "x"]).fails(1);
    assert!(error.contains("no provider akeyless"), "{error}");
}

#[test]
fn pushes_are_shown_before_they_are_made() {
    let desk = desk();
    let push = |words: &[&str]| {
        let mut all = vec!["push", "--store", "store.yaml"];
        all.extend(words);
        desk.run_with(all, b"value")
    };
    assert_eq!(
        push(&["--dry-run", "new/key"]).good(),
        "new/key: would-be-created\n"
    );
    assert!(!desk.path("vault/new").exists());
    assert_eq!(push(&["new/key"]).good(), "new/key: created\n");
    assert_eq!(push(&["new/key"]).good(), "new/key: unchanged\n");
    assert_eq!(push(&["app/db#user"]).good(), "app/db: updated\n");
    assert_eq!(
        desk.run(["fetch", "file:vault/app/db#user"]).good(),
        "value"
    );
    let listed = desk
        .run(["store", "ls", "--store", "store.yaml", "--name", "^app"])
        .good();
    assert_eq!(listed, "app/db\n");
}

#[test]
fn a_store_is_checked_step_by_step() {
    let desk = desk();
    let checked = desk
        .run([
            "--output",
            "json",
            "store",
            "check",
            "--store",
            "store.yaml",
            "app/db",
        ])
        .good();
    let checked: serde_json::Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["ready"], true, "{checked}");
    assert_eq!(checked["provider"], "file");
    assert!(!checked.to_string().contains("admin"), "{checked}");
    let missing = STORE.replace("path: vault", "path: nowhere");
    desk.write("store.yaml", missing);
    let error = desk
        .run(["store", "check", "--store", "store.yaml"])
        .fails(1);
    assert!(error.contains("no such file or folder"), "{error}");
}

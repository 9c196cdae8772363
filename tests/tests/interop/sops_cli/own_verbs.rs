//! The verbs of our own: many files, `--dry-run`, JSON, checks for CI, what helps people.

use serde_json::{Value, json};

use super::{Desk, Whose, run};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.write("secrets/a.yaml", "db:\n  password: s3cr3t # keep\n");
    desk.write("secrets/b.json", "{\"token\": \"t\"}\n");
    desk.write("secrets/deep/c.env", "KEY=value\n");
    desk.write("secrets/notes.txt", "no document\n");
    desk
}

#[test]
fn folders_are_encrypted_and_decrypted_in_one_go() {
    let desk = desk();
    let before = desk.files();
    let report = json_of(
        &desk
            .sealwright(["--output", "json", "encrypt", "--in-place", "secrets"])
            .good(),
    );
    assert_eq!(report["changed"], 4);
    assert_eq!(report["failed"], 0);
    let files: Vec<&str> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["file"].as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "secrets/a.yaml",
            "secrets/b.json",
            "secrets/deep/c.env",
            "secrets/notes.txt"
        ]
    );
    for file in files {
        desk.theirs(["decrypt", file]).good();
    }
    desk.sealwright(["decrypt", "--in-place", "secrets"]).good();
    assert_eq!(desk.files(), before, "every byte comes back");
}

#[test]
fn a_dry_run_writes_nothing_and_tells_the_keys() {
    let desk = desk();
    let before = desk.files();
    let out = desk
        .sealwright(["encrypt", "--in-place", "--dry-run", "secrets"])
        .good();
    assert!(
        out.contains("secrets/a.yaml: would be encrypted") && out.contains(&desk.recipients[0]),
        "{out}"
    );
    assert_eq!(desk.files(), before);
    desk.sealwright(["encrypt", "--in-place", "secrets"]).good();
    let before = desk.files();
    for words in [
        vec!["rotate", "--dry-run", "secrets"],
        vec!["updatekeys", "--dry-run", "secrets"],
        vec!["decrypt", "--in-place", "--dry-run", "secrets"],
        vec!["set", "--dry-run", "secrets/b.json", "token", "new"],
        vec!["unset", "--dry-run", "secrets/b.json", "token"],
    ] {
        desk.sealwright(words).good();
    }
    assert_eq!(desk.files(), before);
}

#[test]
fn what_is_done_already_changes_no_byte() {
    let desk = desk();
    desk.sealwright(["encrypt", "--in-place", "secrets"]).good();
    let before = desk.files();
    assert_eq!(desk.sealwright(["updatekeys", "secrets"]).good(), "");
    assert_eq!(
        desk.sealwright(["updatekeys", "--check", "secrets"]).good(),
        ""
    );
    desk.sealwright(["set", "secrets/b.json", "token", "t"])
        .good();
    let again = desk.sealwright(["--output", "json", "encrypt", "--in-place", "secrets"]);
    let report = json_of(&again.good());
    assert_eq!(
        (&report["changed"], &report["failed"]),
        (&json!(0), &json!(0)),
        "{report}"
    );
    // A file that is named was meant.
    let named = desk.sealwright([
        "--output",
        "json",
        "encrypt",
        "--in-place",
        "secrets/b.json",
    ]);
    let report = json_of(named.text());
    assert_eq!(
        (named.code, &report["failed"]),
        (203, &json!(1)),
        "{report}"
    );
    assert_eq!(report["files"][0]["error"], "already-encrypted");
    assert_eq!(desk.files(), before);
    desk.sealwright(["decrypt", "--in-place", "secrets"]).good();
    let before = desk.files();
    desk.sealwright(["decrypt", "--in-place", "secrets"]).good();
    assert_eq!(desk.files(), before);
    assert_ne!(
        desk.sealwright(["decrypt", "--in-place", "secrets/b.json"])
            .code,
        0
    );
}

#[test]
fn check_fails_in_ci_when_keys_or_files_are_out_of_date() {
    let desk = desk();
    let status = desk.sealwright(["status", "--check", "secrets"]);
    assert_eq!(status.code, 1, "{}", status.err);
    desk.sealwright(["encrypt", "--in-place", "secrets"]).good();
    desk.sealwright(["status", "--check", "secrets"]).good();
    let status = json_of(
        &desk
            .sealwright(["--output", "json", "status", "secrets"])
            .good(),
    );
    assert_eq!(status["files"][0]["status"], "encrypted");
    assert_eq!(
        status["files"][0]["keys"][0],
        format!("age {}", desk.recipients[0])
    );
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - age: {},{}\n",
            desk.recipients[0], desk.recipients[1]
        ),
    );
    let check = desk.sealwright(["--output", "json", "updatekeys", "--check", "secrets"]);
    let report = json_of(check.text());
    assert_eq!(
        (check.code, &report["outdated"], &report["changed"]),
        (1, &json!(4), &json!(0))
    );
    assert_eq!(
        report["files"][0]["notes"][0],
        format!("+++ {}", desk.recipients[1])
    );
    desk.sealwright(["updatekeys", "secrets"]).good();
    desk.sealwright(["updatekeys", "--check", "secrets"]).good();
    assert!(desk.theirs(["decrypt", "secrets/a.yaml"]).code == 0);
}

#[test]
fn one_file_that_fails_does_not_stop_the_others() {
    let desk = desk();
    desk.sealwright(["encrypt", "--in-place", "secrets"]).good();
    desk.theirs_encrypts(
        "secrets/stranger.yaml",
        "a: 1\n",
        &["--age", &desk.recipients[2].clone()],
    );
    let before = desk.files();
    let ran = desk.sealwright([
        "--output",
        "json",
        "rotate",
        "--accept-recipients",
        "secrets",
    ]);
    let report = json_of(ran.text());
    assert_eq!(
        (ran.code, &report["changed"], &report["failed"]),
        (128, &json!(4), &json!(1))
    );
    let after = desk.files();
    assert_eq!(
        before["secrets/stranger.yaml"],
        after["secrets/stranger.yaml"]
    );
    assert_ne!(before["secrets/a.yaml"], after["secrets/a.yaml"]);
}

#[test]
fn get_set_and_unset_take_short_paths() {
    let desk = desk();
    desk.sealwright(["encrypt", "--in-place", "secrets"]).good();
    assert_eq!(
        desk.sealwright(["get", "secrets/a.yaml", "db.password"])
            .good(),
        "s3cr3t"
    );
    assert_eq!(
        desk.sealwright(["get", "secrets/a.yaml", "[\"db\"][\"password\"]"])
            .good(),
        "s3cr3t"
    );
    run(
        desk.command(Whose::Sealwright)
            .args(["set", "secrets/b.json", "token", "--stdin"]),
        b"from a pipe",
    )
    .good();
    assert_eq!(
        desk.sealwright(["get", "secrets/b.json", "token"]).good(),
        "from a pipe"
    );
    desk.sealwright(["set", "secrets/b.json", "list", "--json", "[1, 2]"])
        .good();
    assert_eq!(
        desk.sealwright(["get", "secrets/b.json", "list.1"]).good(),
        "2"
    );
    desk.sealwright(["unset", "secrets/b.json", "list"]).good();
    assert_ne!(desk.sealwright(["get", "secrets/b.json", "list"]).code, 0);
}

#[test]
fn errors_say_which_keys_were_tried_and_what_to_do() {
    let desk = Desk::new();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &["--age", &desk.recipients[2].clone()]);
    let err = desk.sealwright(["decrypt", "a.yaml"]).fails(128);
    for text in [
        desk.recipients[2].as_str(),
        "SOPS_AGE_KEY_FILE",
        "keys.txt",
        "make its private half available",
    ] {
        assert!(err.contains(text), "{text} is not in: {err}");
    }
    let ran = desk.sealwright(["--output", "json", "get", "a.yaml", "a"]);
    let error = json_of(ran.err.trim().lines().last().unwrap_or_default());
    assert_eq!(
        (ran.code, &error["error"], &error["code"]),
        (128, &json!("no-data-key"), &json!(128)),
        "{}",
        ran.err
    );
}

#[test]
fn slips_of_the_fingers_get_a_suggestion() {
    let desk = desk();
    for (words, suggestion) in [
        (vec!["encrpyt", "a"], "encrypt"),
        (vec!["encrypt", "--in-plac", "a"], "--in-place"),
        (vec!["decrypt", "--output-type", "jsno", "a"], "json"),
    ] {
        let err = desk.sealwright(words).fails(1);
        assert!(err.contains(suggestion), "{err}");
    }
    desk.write(
        ".sops.yaml",
        "creation_rules:\n  - path_regx: x\n    age: y\n",
    );
    let ran = desk.sealwright(["config", "check"]);
    assert_eq!(ran.code, 1);
    let out = ran.show_out();
    assert!(
        out.contains(".sops.yaml:2:") && out.contains("path_regex"),
        "{out}"
    );
}

#[test]
fn rules_that_no_file_comes_to_are_told() {
    let desk = desk();
    let (one, two) = (&desk.recipients[0], &desk.recipients[1]);
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: a\n    age: {one}\n  - path_regex: a\n    age: {two}\n  - age: {one}\n  - path_regex: b\n    age: age1broken\n"
        ),
    );
    let ran = desk.sealwright(["config", "check"]);
    let out = ran.show_out();
    ran.fails(1);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].ends_with(".sops.yaml:4: creation_rules[1]: no file comes to this rule: rule 0 (line 2) has the same pattern"), "{out}");
    assert!(lines[1].ends_with(".sops.yaml:7: creation_rules[3]: no file comes to this rule: rule 2 (line 6) takes every file"), "{out}");
    assert!(
        lines[2].contains(".sops.yaml:7: creation_rules[3].age: "),
        "{out}"
    );
    assert_eq!(lines.len(), 3, "{out}");
}

#[test]
fn config_check_explain_and_schema() {
    let desk = desk();
    desk.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^other/\n    age: {}\n  - path_regex: \\.yaml$\n    encrypted_regex: ^password$\n    age: {}\n", desk.recipients[1], desk.recipients[0]),
    );
    assert!(
        desk.sealwright(["config", "check"])
            .good()
            .contains("no problems")
    );
    let text = desk
        .sealwright(["config", "explain", "secrets/a.yaml"])
        .good();
    assert!(
        text.contains("does not match")
            && text.contains("line 4")
            && text.contains(&desk.recipients[0]),
        "{text}"
    );
    let value = json_of(
        &desk
            .sealwright(["--output", "json", "config", "explain", "secrets/a.yaml"])
            .good(),
    );
    assert_eq!(value["path"], "secrets/a.yaml");
    assert_eq!(value["selection"]["encrypted_regex"], "^password$");
    assert_eq!(value["steps"].as_array().unwrap().len(), 2);
    desk.sealwright(["config", "explain", "a.json"]).fails(1);
    let schema = json_of(&desk.sealwright(["config", "schema"]).good());
    assert!(schema["properties"]["creation_rules"].is_object());
    // D24: what has no effect is told by our own front-end; scripts that call it sops compare what it prints.
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - filename_regex: x\n    age: {}\n",
            desk.recipients[0]
        ),
    );
    let ran = desk.ours(["encrypt", "secrets/a.yaml"]);
    assert!(ran.code == 0 && ran.err.is_empty(), "{}", ran.err);
    let ran = desk.sealwright(["encrypt", "secrets/a.yaml"]);
    assert!(
        ran.code == 0 && ran.err.contains("filename_regex"),
        "{}",
        ran.err
    );
    desk.write(
        ".sops.yaml",
        "creation_rules:\n  - encrypted_regex: (\n    age: x\n",
    );
    let ran = desk.sealwright(["--output", "json", "config", "check"]);
    assert_eq!(ran.code, 1);
    assert!(
        json_of(ran.text().trim())["problems"]
            .as_array()
            .unwrap()
            .len()
            >= 2,
        "{}",
        ran.show_out()
    );
}

#[test]
fn completions_and_manual_pages() {
    let desk = Desk::new();
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef sealwright"),
        ("fish", "complete -c sealwright"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = desk.sealwright(["completions", shell]).good();
        assert!(
            script.contains(mark) && script.contains("updatekeys"),
            "{shell}"
        );
    }
    assert!(
        desk.sealwright(["man"]).good().starts_with(".ie"),
        "a page of the manual"
    );
    std::fs::create_dir(desk.path("man")).unwrap();
    desk.sealwright(["man", "to/man"]).good();
    let page = desk.read("to/man/sealwright-encrypt.1");
    assert!(
        page.contains(".TH") && page.contains("in\\-place"),
        "{page}"
    );
    assert!(desk.read("to/man/sealwright.1").contains("encrypt"));
    assert!(
        desk.read("to/man/sealwright-groups-add.1")
            .contains("threshold")
    );
    assert!(!desk.path("to/man/sealwright-help.1").exists());
}

#[test]
fn keygen_makes_a_key_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let desk = Desk::new();
    let out = desk.sealwright(["keygen", "--out", "keys.txt"]).good();
    assert_eq!(
        std::fs::metadata(desk.path("keys.txt"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let recipient = out
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &["--age", recipient]);
    let mut command = desk.command(Whose::Ours);
    command
        .env("SOPS_AGE_KEY_FILE", desk.path("keys.txt"))
        .args(["decrypt", "a.yaml"]);
    assert_eq!(run(&mut command, b"").good(), "a: 1\n");
    // A key that is there is never overwritten.
    assert_ne!(desk.sealwright(["keygen", "--out", "keys.txt"]).code, 0);
}

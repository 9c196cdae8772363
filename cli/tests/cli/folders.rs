//! Verbs over folders: which files they work on, and what they say about the others.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use super::desk::{Desk, KEYS, run};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The files of a report that fulfil a condition.
fn files(report: &Value, is_one: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let entries = report["files"].as_array().unwrap().iter();
    entries
        .filter(|entry| is_one(entry))
        .map(|entry| entry["file"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn files_that_were_encrypted_are_found_whatever_their_names() {
    let desk = Desk::with_rule();
    desk.write("sec/tls.key", "not really a key\n");
    desk.write("sec/notes.txt", "remember\n");
    desk.write("sec/.env.prod", "TOKEN=t\n");
    desk.write("sec/UP.YAML", "a: 1\n");
    desk.write("sec/.hidden/a.yaml", "a: 1\n");
    let mut text = desk.transcript(&["status", "--check", "sec"]);
    text += &desk.transcript(&[
        "encrypt",
        "-i",
        "sec/tls.key",
        "sec/notes.txt",
        "sec/.env.prod",
    ]);
    text += &desk.transcript(&["status", "--check", "sec"]);
    text += &desk.transcript(&["encrypt", "-i", "sec"]);
    text += &desk.transcript(&["status", "--check", "."]);
    desk.rule(&[1], "");
    text += &desk.transcript(&["updatekeys", "--check", "."]);
    text += &desk.transcript(&["updatekeys", "."]);
    text += &desk.transcript(&["rotate", "."]);
    text += &desk.transcript(&["decrypt", "-i", "."]);
    text += &desk.transcript(&["updatekeys", "."]);
    insta::assert_snapshot!("folders", text);
    assert_eq!(desk.read("sec/tls.key"), "not really a key\n");
}

#[test]
fn what_is_passed_over_is_counted_and_listed() {
    let desk = Desk::new();
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: secrets/\n    age: {}\n",
            KEYS[0].0
        ),
    );
    std::fs::create_dir(desk.path(".git")).unwrap();
    desk.write(".git/a.yaml", "a: 1\n");
    desk.write(".gitignore", "*.local\nsecrets/old/\n!keep.local\n");
    desk.write("secrets/a.yaml", "a: 1\n");
    desk.write("secrets/b.local", "a: 1\n");
    desk.write("secrets/keep.local", "a: 1\n");
    desk.write("secrets/old/c.yaml", "a: 1\n");
    desk.write("secrets/sub/.gitignore", "d.yaml\n");
    desk.write("secrets/sub/d.yaml", "a: 1\n");
    desk.write("other.yaml", "a: 1\n");
    desk.write(
        "secrets/sealed.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: a\nspec:\n  encryptedData:\n    x: AgB\n",
    );
    std::os::unix::fs::symlink("a.yaml", desk.path("secrets/link.yaml")).unwrap();
    // What is encrypted already is never hidden by .gitignore.
    desk.encrypted("secrets/old/e.local", "a: 1\n");
    let mut text = desk.transcript(&["encrypt", "-i", "-v", "."]);
    text += &desk.transcript(&["--output", "json", "status", "."]);
    text += &desk.transcript(&["encrypt", "-i", "secrets/sealed.yaml"]);
    text += &desk.transcript(&["decrypt", "secrets/sealed.yaml"]);
    text += &desk.transcript(&["-q", "rotate", "."]);
    insta::assert_snapshot!("passed_over", text);
}

/// All folder verbs see the same files, in a tree of 5,000 of all kinds.
#[test]
fn verbs_over_a_large_tree_agree_with_the_list_of_its_maker() {
    let desk = Desk::new();
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: (^|/)secret\n    age: {}\n",
            KEYS[0].0
        ),
    );
    let folders = ["", "a/", "a/b b/", ".hidden/", "a/.x/y/", "ü/"];
    let kinds = [
        "yaml", "json", "env", "ini", "txt", "key", "", "YAML", "tar.gz", "md",
    ];
    let mut encrypted = BTreeSet::new();
    let mut covered = BTreeSet::new();
    for at in 0..5_000 {
        let folder = folders[at % folders.len()];
        let kind = kinds[(at / folders.len()) % kinds.len()];
        let dot = if kind.is_empty() { "" } else { "." };
        let is_secret = at % 7 == 0;
        let stem = if is_secret { "secret" } else { "plain" };
        let name = format!("{folder}{stem}{at}{dot}{kind}");
        let text = match kind {
            "yaml" | "YAML" => "a: 1\nb: [x, y]\n".to_owned(),
            "json" => "{\"a\": 1}\n".to_owned(),
            "env" => "A=1\n".to_owned(),
            "ini" => "[s]\na = 1\n".to_owned(),
            // The words of an encrypted file alone do not make one.
            "md" => "see sops: ENC[AES256_GCM,data:x]\n".to_owned(),
            _ => format!("text {at}\n"),
        };
        desk.write(&name, text);
        if is_secret {
            covered.insert(name);
        }
    }
    // A name that is no text, and one with a line break.
    let odd = std::ffi::OsStr::from_bytes(b"secret\xff.txt");
    std::fs::write(desk.path("").join(odd), "x\n").unwrap();
    covered.insert("secret\u{fffd}.txt".to_owned());
    desk.write("secret\n.yaml", "a: 1\n");
    covered.insert("secret\n.yaml".to_owned());

    let report = json(&desk.run(["--output", "json", "status", "."]).good());
    assert_eq!(files(&report, |entry| entry["rule"] == true), covered);
    let report = json(&desk.run(["--output", "json", "encrypt", "-i", "."]).good());
    encrypted.extend(files(&report, |entry| entry["status"] == "done-encrypted"));
    assert_eq!(encrypted, covered);
    desk.rule(&[0, 1], "");
    let report = json(&desk.run(["--output", "json", "status", "."]).good());
    assert_eq!(
        files(&report, |entry| entry["status"] == "encrypted"),
        covered
    );
    let report = json(&desk.run(["--output", "json", "updatekeys", "."]).good());
    assert_eq!(
        files(&report, |entry| entry["status"] == "done-updated"),
        covered
    );
    let report = json(
        &desk
            .run(["--output", "json", "rotate", "--dry-run", "."])
            .good(),
    );
    assert_eq!(
        files(&report, |entry| entry["status"] == "would-be-rotated"),
        covered
    );
    // The new rule covers the plain files, too.
    let ran = desk.run(["--output", "json", "doctor", "."]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let report = json(&ran.out);
    assert_eq!(files(&report, |entry| entry["status"] == "opens"), covered);
    let report = json(
        &desk
            .run(["--output", "json", "status", "--by", "recipient", "."])
            .good(),
    );
    for recipient in report["recipients"].as_array().unwrap() {
        let names = recipient["files"].as_array().unwrap().iter();
        let names: BTreeSet<String> = names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, covered, "{}", recipient["key"]);
    }
}

/// A Secret counts in a file of any size.
#[test]
fn secrets_are_found_in_large_manifests() {
    let desk = Desk::with_rule();
    let padding = |size: usize| format!("# {}\n", "x".repeat(998)).repeat(size / 1000);
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: s3cr3t\n";
    let large = padding(1_500_000) + secret + &padding(1_500_000);
    desk.write("k8s/all.yaml", &large);
    for path in ["k8s", "k8s/all.yaml"] {
        let ran = desk.run(["status", "--check-secrets", path]);
        assert!(ran.out.contains("Secret in plaintext: db"), "{}", ran.out);
        ran.fails(1);
    }
    let sealed = large.replace("kind: Secret", "kind: SealedSecret");
    desk.write("sealed/all.yaml", format!("# SealedSecret\n{sealed}"));
    let ran = desk.run(["status", "sealed"]);
    assert!(ran.good().contains("all.yaml: sealed"));
    // Beyond what is looked through.
    desk.write("huge/all.yaml", secret);
    let huge = std::fs::File::options()
        .write(true)
        .open(desk.path("huge/all.yaml"));
    huge.unwrap().set_len(65 << 20).unwrap();
    for path in ["huge", "huge/all.yaml"] {
        let ran = desk.run(["status", "--check-secrets", path]);
        assert!(ran.out.contains("more than 64 MiB"), "{}", ran.out);
        ran.fails(2);
    }
}

/// A guard must not pass because it could not look.
#[test]
fn rules_that_cannot_be_used_fail_what_goes_by_them() {
    let desk = Desk::with_rule();
    desk.write("secrets/a.yaml", "a: 1\n");
    for (rules, reason) in [
        ("creation_rules: [\n", ".sops.yaml"),
        ("creation_rules: 5\n", "a list expected"),
        (
            "creation_rules:\n  - path_regex: secrets/(?!x)\n    age: ALICE\n",
            "creation_rules[0].path_regex",
        ),
    ] {
        desk.write(".sops.yaml", rules.replace("ALICE", KEYS[0].0));
        for words in [
            &["status", "--check", "secrets"][..],
            &["status", "--check", "secrets/a.yaml"],
            &["--output", "json", "status", "secrets"],
            &["encrypt", "-i", "secrets"],
            &["encrypt", "-i", "--dry-run", "secrets"],
        ] {
            let ran = desk.run(words);
            let said = format!("{}{}", ran.err, ran.out);
            assert_ne!(ran.code, 0, "{words:?}: {said}");
            assert!(said.contains(reason), "{words:?}: {said}");
        }
    }
    assert_eq!(desk.read("secrets/a.yaml"), "a: 1\n");
}

#[test]
fn one_failure_of_many_files_is_told_once() {
    let desk = Desk::new();
    desk.rule(&[2], "");
    for at in 0..25 {
        desk.write(&format!("s/{at:02}.yaml"), "a: 1\n");
    }
    desk.run(["encrypt", "-i", "s"]).good();
    desk.write(
        "s/broken.yaml",
        "a: [\nsops:\n  mac: ENC[AES256_GCM,data:x]\n",
    );
    let text = desk.transcript(&["decrypt", "-i", "s"]);
    assert!(text.lines().count() < 60, "{text}");
    insta::assert_snapshot!("one_failure_of_many_files", text);
}

/// Ctrl+C between two files: what was done is told, and how to go back.
#[test]
fn an_interrupted_run_says_what_it_did() {
    let desk = Desk::with_rule();
    for at in 0..400 {
        desk.write(&format!("s/{at:03}.yaml"), "a: 1\n");
    }
    desk.run(["encrypt", "-i", "s"]).good();
    let mut screen = super::screen::Screen::start(&desk, &["decrypt", "-i", "s"]);
    screen.expect("/400 ");
    screen.send("\u{3}");
    let (code, shown) = screen.finish();
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("interrupted"), "{shown}");
    assert!(shown.contains("to go back: sealwright encrypt"), "{shown}");
    let plain = (0..400)
        .filter(|at| desk.read(&format!("s/{at:03}.yaml")) == "a: 1\n")
        .count();
    assert!(plain < 400, "it was over before the key was pressed");
    assert!(
        shown.contains(&format!("{} files are unchanged", 400 - plain)),
        "{plain}: {shown}"
    );
}

/// Rules are for the paths that people see: the working folder has the name by which the shell came there.
#[test]
fn behind_a_link_rules_match_the_paths_that_the_shell_has() {
    let desk = Desk::new();
    let config = format!(
        "creation_rules:\n  - path_regex: ^secrets/\n    age: {}\n  - path_regex: ^lnk/\n    age: {}\n",
        KEYS[0].0, KEYS[1].0
    );
    desk.write("real/.sops.yaml", config);
    desk.write("real/secrets/a.yaml", "a: 1\n");
    desk.write("real/sub/a.yaml", "a: 1\n");
    std::fs::create_dir(desk.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("real", desk.path("link")).unwrap();
    std::os::unix::fs::symlink("../real/sub", desk.path("elsewhere/lnk")).unwrap();
    let encrypt = |front_end: &[&str], folder: &str, shell: &str, file: &str| {
        let mut command = desk.command();
        command
            .current_dir(desk.path(folder))
            .env("PWD", shell)
            .args(front_end)
            .args(["encrypt", file]);
        run(command, b"")
    };
    let path = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    for front_end in [&[][..], &["sops"]] {
        for (folder, shell, file, key) in [
            ("link", path("link"), path("link/secrets/a.yaml"), 0),
            ("link", path("link"), "secrets/a.yaml".to_owned(), 0),
            // What the shell says is another folder.
            ("link", path("elsewhere"), "secrets/a.yaml".to_owned(), 0),
            ("link", path("real"), path("real/secrets/a.yaml"), 0),
            (
                "elsewhere/lnk",
                path("elsewhere/lnk"),
                "a.yaml".to_owned(),
                1,
            ),
        ] {
            let text = encrypt(front_end, folder, &shell, &file).good();
            assert!(text.contains(KEYS[key].0), "{folder} {shell} {file}");
        }
        let refused = encrypt(
            front_end,
            "link",
            &path("link"),
            &path("real/secrets/a.yaml"),
        );
        assert!(refused.fails(1).contains("creation rule"));
    }
}

/// Which rules a change of recipients is for, and which files, is decided by the same names, and by those that other verbs
/// go by.
#[test]
fn behind_a_link_a_rule_and_its_files_are_changed_together() {
    let desk = Desk::new();
    let rule = |folder: &str| format!("  - path_regex: ^{folder}/\n    age: {}\n", KEYS[0].0);
    let rules: String = ["sub", "lnk", "secrets"].map(rule).concat();
    let config = format!("creation_rules:\n{rules}");
    std::fs::create_dir_all(desk.path("elsewhere")).unwrap();
    desk.write("real/sub/a.yaml", "a: 1\n");
    desk.write("real/secrets/b.yaml", "b: 1\n");
    desk.write("real/.sops.yaml", config);
    std::os::unix::fs::symlink("../real/sub", desk.path("elsewhere/lnk")).unwrap();
    let run_there = |words: &[&str]| {
        let mut command = desk.command();
        command
            .current_dir(desk.path("elsewhere/lnk"))
            .env("PWD", desk.path("elsewhere/lnk"))
            .args(words);
        run(command, b"").good()
    };
    // What only the system finds, by the folder that `..` leads to, has the name that it has below the configuration.
    run_there(&["encrypt", "-i", ".", "../secrets"]);
    let has = |file: &str| desk.read(&format!("real/{file}")).contains(KEYS[1].0);
    let bob = KEYS[1].0;

    run_there(&["recipients", "add", bob, ".", "--yes"]);
    let changed = desk.read("real/.sops.yaml");
    let at = changed.find(bob).unwrap();
    assert!(changed.find("^lnk/").unwrap() < at && at < changed.find("^secrets/").unwrap());
    assert!(has("sub/a.yaml") && !has("secrets/b.yaml"));
    run_there(&["updatekeys", "--check", ".", "../secrets"]);
    run_there(&["rotate", "."]);
    assert!(has("sub/a.yaml"));

    run_there(&["recipients", "add", bob, "../secrets", "--yes"]);
    assert!(has("secrets/b.yaml"));
    run_there(&["updatekeys", "--check", ".", "../secrets"]);

    run_there(&["recipients", "remove", bob, "--yes"]);
    assert!(!has(".sops.yaml") && !has("sub/a.yaml") && !has("secrets/b.yaml"));
}

/// A variable decides how the working folder is called, and never which one it is.
#[test]
fn what_the_shell_calls_the_working_folder_leads_to_no_other() {
    let desk = Desk::with_rule();
    desk.write("real/sub/x.yaml", "a: 1\n");
    desk.write("other/x.yaml", "a: 1\n");
    std::os::unix::fs::symlink("../real/sub", desk.path("other/lnk")).unwrap();
    for (front_end, file) in [(&[][..], "a.yaml"), (&["sops"][..], "b.yaml")] {
        for folder in ["real", "other"] {
            desk.write(&format!("{folder}/{file}"), "a: 1\n");
        }
        let mut command = desk.command();
        command
            .current_dir(desk.path("real"))
            .env("PWD", desk.path("other/lnk/.."))
            .args(front_end)
            .args(["encrypt", "-i", file]);
        run(command, b"").good();
        assert!(desk.read(&format!("real/{file}")).contains("ENC["));
        assert_eq!(desk.read(&format!("other/{file}")), "a: 1\n");
    }
}

#[test]
fn behind_a_link_the_ignored_files_are_those_of_the_repository() {
    let desk = Desk::new();
    desk.write(
        "real/.sops.yaml",
        format!("creation_rules:\n  - age: {}\n", KEYS[0].0),
    );
    std::fs::create_dir(desk.path("real/.git")).unwrap();
    desk.write("real/.gitignore", "/sub/local.yaml\n");
    desk.write("real/sub/local.yaml", "a: 1\n");
    desk.write("real/sub/a.yaml", "a: 1\n");
    std::os::unix::fs::symlink("real/sub", desk.path("lnk")).unwrap();
    let mut command = desk.command();
    command
        .current_dir(desk.path("lnk"))
        .env("PWD", desk.path("lnk"))
        .args(["encrypt", "-i", "."]);
    run(command, b"").good();
    assert_eq!(desk.read("real/sub/local.yaml"), "a: 1\n");
    assert!(desk.read("real/sub/a.yaml").contains("ENC["));
}

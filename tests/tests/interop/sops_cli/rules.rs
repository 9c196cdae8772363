//! The configuration: where it is found, which rule a file gets, what a rule says; beside the real program.

use std::fs;

use super::{Desk, Whose, run};

/// Encrypts a file by both programs under a configuration and gives what can be seen of the keys and values, which must
/// be the same; or the exit code.
#[track_caller]
fn both(desk: &Desk, config: &str, name: &str, text: &str) -> Result<String, i32> {
    desk.write(".sops.yaml", config);
    desk.write(name, text);
    let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
        let ran = desk.run(whose, ["encrypt", name]);
        (ran.code, seen(&ran.show_out()), ran.err)
    });
    assert_eq!(
        (theirs.0, &theirs.1),
        (ours.0, &ours.1),
        "{config}\n{}{}",
        theirs.2,
        ours.2
    );
    if ours.0 == 0 { Ok(ours.1) } else { Err(ours.0) }
}

/// The lines that do not differ from run to run; ciphertexts as their type.
fn seen(text: &str) -> String {
    let kept = text.lines().filter_map(|line| {
        let line = line.trim().trim_end_matches(',');
        if line.starts_with("enc:")
            || line.starts_with("lastmodified")
            || line.starts_with("mac:")
            || line.starts_with("created_at")
        {
            return None;
        }
        if let Some(at) = line.find("ENC[") {
            let kind = line
                .rsplit("type:")
                .next()
                .unwrap_or_default()
                .trim_end_matches(['"', ']']);
            return Some(format!("{}{kind}", &line[..at]));
        }
        let is_key = [
            "recipient:",
            "- recipient:",
            "shamir",
            "unencrypted_",
            "encrypted_",
            "mac_only",
            "key_groups",
            "version",
        ]
        .iter()
        .any(|start| line.starts_with(start));
        let is_armor = !line.contains(": ") && !line.ends_with(':') && !line.starts_with("- ");
        (is_key || !is_armor).then(|| line.to_owned())
    });
    let mut lines: Vec<String> = kept.collect();
    // The order of the metadata's fields inside a key is not what is compared.
    lines.sort();
    lines.join("\n")
}

const TEXT: &str = "password: x\nport: 1\n";

#[test]
fn s146_the_configuration_is_looked_for_from_the_working_folder_upwards() {
    let desk = Desk::with_rule();
    desk.write("deep/er/plain.yaml", TEXT);
    desk.write("elsewhere/.sops.yaml", "creation_rules: []\n");
    desk.write("elsewhere/plain.yaml", TEXT);
    for whose in [Whose::Theirs, Whose::Ours] {
        let mut command = desk.command(whose);
        command
            .current_dir(desk.path("deep/er"))
            .args(["encrypt", "plain.yaml"]);
        run(&mut command, b"").good();
        // Not from where the file is.
        desk.run(whose, ["encrypt", "elsewhere/plain.yaml"]).good();
        let mut command = desk.command(whose);
        command
            .current_dir(desk.path("elsewhere"))
            .args(["encrypt", "plain.yaml"]);
        run(&mut command, b"").fails(1);
    }
    // The other spelling is never used, and said to be.
    fs::rename(desk.path(".sops.yaml"), desk.path(".sops.yml")).unwrap();
    for whose in [Whose::Theirs, Whose::Ours] {
        let err = desk.run(whose, ["encrypt", "deep/er/plain.yaml"]).fails(1);
        assert!(err.contains(".sops.yml"), "{err}");
    }
}

#[test]
fn s75_the_working_folder_has_the_name_that_the_shell_has_for_it() {
    let desk = Desk::new();
    let [a, b] = [&desk.recipients[0], &desk.recipients[1]];
    desk.write(
        "real/.sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: ^secrets/\n    age: {a}\n  - path_regex: ^lnk/\n    age: {b}\n"
        ),
    );
    desk.write("real/secrets/a.yaml", TEXT);
    desk.write("real/sub/a.yaml", TEXT);
    fs::create_dir(desk.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("real", desk.path("link")).unwrap();
    std::os::unix::fs::symlink("../real/sub", desk.path("elsewhere/lnk")).unwrap();
    let root = desk.work();
    let root = root.to_str().unwrap();
    for (folder, shell, file) in [
        ("link", "/link", "/link/secrets/a.yaml"),
        ("link", "/link", "secrets/a.yaml"),
        ("link", "/link", "/real/secrets/a.yaml"),
        ("link", "/elsewhere", "/link/secrets/a.yaml"),
        ("link", "/elsewhere", "secrets/a.yaml"),
        ("link", "/./elsewhere/../link", "secrets/a.yaml"),
        ("link", "relative", "secrets/a.yaml"),
        ("elsewhere/lnk", "/elsewhere/lnk", "a.yaml"),
        ("elsewhere/lnk", "/elsewhere/lnk", "../secrets/a.yaml"),
        ("elsewhere/lnk", "/elsewhere/lnk", "/elsewhere/lnk/a.yaml"),
        ("elsewhere/lnk", "/real", "../secrets/a.yaml"),
        ("elsewhere/lnk", "/real", "a.yaml"),
        ("real", "/real", ""),
    ] {
        let full = |name: &str| match name.strip_prefix('/') {
            Some(_) => format!("{root}{name}"),
            None => name.to_owned(),
        };
        let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
            let mut command = desk.command(whose);
            command
                .current_dir(desk.path(folder))
                .env("PWD", full(shell))
                .args(["encrypt", &full(file)]);
            let ran = run(&mut command, b"");
            (ran.code, seen(&ran.show_out()))
        });
        assert_eq!(ours, theirs, "{folder} {shell} {file}");
    }
    // What is not found by its text alone is found by those commands that open it as it was typed.
    desk.theirs_encrypts("real/above.env", "A=found\n", &[]);
    for whose in [Whose::Theirs, Whose::Ours] {
        for (words, code) in [
            (&["exec-env", "../above.env", "printf %s \"$A\""][..], 0),
            (&["filestatus", "../above.env"], 0),
            (&["decrypt", "../above.env"], 100),
        ] {
            let mut command = desk.command(whose);
            command
                .current_dir(desk.path("elsewhere/lnk"))
                .env("PWD", desk.path("elsewhere/lnk"))
                .args(words);
            let ran = run(&mut command, b"");
            assert_eq!(ran.code, code, "{whose:?} {words:?} {}", ran.err);
        }
    }
}

#[test]
fn s147_s148_s149_s151_shapes_of_a_configuration() {
    let desk = Desk::new();
    let age = &desk.recipients[0];
    for (config, code) in [
        (String::new(), 1),
        ("# nothing\n".to_owned(), 1),
        ("creation_rules:\n".to_owned(), 1),
        ("creation_rules: []\n".to_owned(), 1),
        ("creation_rules: text\n".to_owned(), 1),
        ("[".to_owned(), 1),
        (
            format!("unknown: 1\ncreation_rules:\n  - age: {age}\n    more: [1]\n"),
            0,
        ),
        (
            format!("creation_rules:\n  - age: {age}\n---\nother: document\n"),
            0,
        ),
        (
            format!("creation_rules:\n  - path_regex: nothing\n    age: {age}\n"),
            1,
        ),
        (
            format!("creation_rules:\n  - mac_only_encrypted: \"true\"\n    age: {age}\n"),
            1,
        ),
        (
            format!("creation_rules:\n  - shamir_threshold: many\n    age: {age}\n"),
            1,
        ),
    ] {
        let got = both(&desk, &config, "a.yaml", TEXT).map_or_else(|code| code, |_| 0);
        assert_eq!(got, code, "{config}");
    }
    // Absent rules leave the flags; an empty list does not (T69).
    for (config, code) in [("stores: {}\n", 0), ("creation_rules: []\n", 1)] {
        desk.write(".sops.yaml", config);
        for whose in [Whose::Theirs, Whose::Ours] {
            assert_eq!(
                desk.run(whose, ["encrypt", "--age", age, "a.yaml"]).code,
                code,
                "{config}"
            );
        }
    }
}

#[test]
fn s150_s152_t42_the_first_rule_that_is_found_anywhere_in_the_path_counts() {
    let desk = Desk::new();
    let [a, b] = [&desk.recipients[0], &desk.recipients[1]];
    for (regex, name) in [
        ("a.yaml", "xa_yaml/b.yaml"),
        ("^sub/", "sub/b.yaml"),
        ("^sub/", "other/sub/b.yaml"),
        ("\\.yaml$", "b.yaml"),
        ("^/", "b.yaml"),
        ("(?i)B\\.YAML", "b.yaml"),
        ("^b", "./b.yaml"),
        ("work/b", "b.yaml"),
        ("", "b.yaml"),
    ] {
        let config =
            format!("creation_rules:\n  - path_regex: '{regex}'\n    age: {a}\n  - age: {b}\n");
        both(&desk, &config, name, TEXT).unwrap();
    }
    // A regex that is no regex counts when its turn comes, not before.
    let late = format!(
        "creation_rules:\n  - path_regex: b\n    age: {a}\n  - path_regex: '('\n    age: {b}\n"
    );
    both(&desk, &late, "b.yaml", TEXT).unwrap();
    assert_eq!(both(&desk, &late, "c.json", "{}"), Err(1));
    let legacy = format!("creation_rules:\n  - filename_regex: nothing\n    age: {a}\n");
    both(&desk, &legacy, "b.yaml", TEXT).unwrap();
}

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
    // A negative threshold of one group is written by upstream, and refused here.
    desk.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^a\n    age: {a}\n    shamir_threshold: -1\n  - age: {a}\n"),
    );
    desk.theirs(["encrypt", "a.yaml"]).good();
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
fn s71_an_indentation_that_is_asked_for_lays_a_document_out() {
    let desk = Desk::with_rule();
    for (name, text) in [
        (
            "a.yaml",
            "# top\na:\n  b: 1\n  c:\n  - x\n  -   y: [1, 2]\n---\nd: {e: 'f'}\n",
        ),
        ("a.json", "{\"a\": {\"b\": [1, 2.50]}, \"c\": {}}"),
        ("a.env", "A=1\n# c\nB=2\n"),
    ] {
        desk.theirs_encrypts(name, text, &[]);
        for indent in ["2", "3", "0", "7"] {
            let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
                let decrypted = desk.run(whose, ["--indent", indent, "decrypt", name]);
                let words = ["--indent", indent, "exec-file", name, "cat {}"];
                assert_eq!(desk.run(whose, words).good(), decrypted.text());
                decrypted.good()
            });
            assert_eq!(ours, theirs, "{name} with {indent}");
        }
    }
    desk.write("b.yaml", "a:\n  b: 1\n\n  c: 2\n");
    desk.ours(["encrypt", "-i", "b.yaml"]).good();
    assert_eq!(
        desk.ours(["decrypt", "b.yaml"]).good(),
        "a:\n  b: 1\n\n  c: 2\n"
    );
    desk.ours(["--indent", "-1", "decrypt", "b.yaml"]).fails(4);
    desk.theirs(["--indent", "-1", "decrypt", "b.yaml"])
        .fails(4);
}

#[test]
fn s172_s173_s71_indentation_of_what_is_written() {
    let desk = Desk::new();
    desk.write("a.json", "{\"a\": {\"b\": 1}}");
    desk.write("a.yaml", "a:\n  b: 1\n");
    for (config, words) in [
        (
            "stores:\n  json:\n    indent: 2\n",
            vec!["encrypt", "a.yaml", "--output-type", "json"],
        ),
        (
            "stores:\n  json:\n    indent: -1\n",
            vec!["encrypt", "a.yaml", "--output-type", "json"],
        ),
        (
            "stores:\n  yaml:\n    indent: 2\n",
            vec!["encrypt", "a.json", "--output-type", "yaml"],
        ),
        ("{}\n", vec!["encrypt", "a.json", "--output-type", "yaml"]),
    ] {
        desk.write(".sops.yaml", config);
        let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
            let mut words = words.clone();
            words.extend(["--age", &desk.recipients[0]]);
            let out = desk.run(whose, words).good();
            let value = out
                .lines()
                .find(|line| line.contains("b\": ") || line.trim_start().starts_with("b: "))
                .unwrap()
                .to_owned();
            value
                .chars()
                .take_while(|char| char.is_whitespace())
                .collect::<String>()
        });
        assert_eq!(theirs, ours, "{config} {words:?}");
    }
    let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
        let words = [
            "--indent",
            "3",
            "encrypt",
            "--age",
            &desk.recipients[0],
            "a.yaml",
            "--output-type",
            "json",
        ];
        desk.run(whose, words)
            .good()
            .lines()
            .nth(2)
            .unwrap()
            .find('"')
    });
    assert_eq!(theirs, ours);
    // A malformed part fails even a decryption (S78).
    desk.theirs_encrypts("enc.yaml", TEXT, &[]);
    desk.write(".sops.yaml", "stores: 5\n");
    for whose in [Whose::Theirs, Whose::Ours] {
        desk.run(whose, ["decrypt", "enc.yaml"]).fails(1);
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

#[test]
fn s128_to_s133_updatekeys_aligns_with_the_rule() {
    let desk = Desk::new();
    let [a, b, c] = [0, 1, 2].map(|at| desk.recipients[at].as_str());
    desk.theirs_encrypts("a.yaml", TEXT, &[]);
    desk.theirs_encrypts("b.yaml", TEXT, &["--age", &format!("{a},{b}")]);
    let start = desk.bytes("a.yaml");
    for (config, words, code) in [
        (None, vec!["updatekeys", "-y", "a.yaml"], 1),
        (
            Some("stores: {}\n".to_owned()),
            vec!["updatekeys", "-y", "a.yaml"],
            1,
        ),
        (
            Some("creation_rules:\n  - path_regex: x\n    age: y\n".to_owned()),
            vec!["updatekeys", "-y", "a.yaml"],
            1,
        ),
        (
            Some(format!("creation_rules:\n  - age: {a}\n")),
            vec!["updatekeys", "-y", "a.yaml"],
            0,
        ),
        (
            Some(format!("creation_rules:\n  - age: {b},{a}\n")),
            vec!["updatekeys", "-y", "b.yaml"],
            0,
        ),
        (
            Some(format!("creation_rules:\n  - age: {a},{b}\n")),
            vec!["updatekeys", "-y", "a.yaml"],
            0,
        ),
        (
            Some(format!(
                "creation_rules:\n  - key_groups: [{{age: [{a}]}}, {{age: [{b}]}}]\n"
            )),
            vec!["updatekeys", "--yes", "a.yaml"],
            0,
        ),
        (
            Some(format!("creation_rules:\n  - age: {c}\n")),
            vec!["updatekeys", "-y", "a.yaml", "missing.yaml"],
            1,
        ),
        (
            Some(format!("creation_rules:\n  - age: {a}\n")),
            vec!["updatekeys", "-y", "."],
            1,
        ),
        (
            Some(format!("creation_rules:\n  - age: {a}\n")),
            vec!["updatekeys", "a.yaml", "--input-type", "yaml"],
            0,
        ),
    ] {
        let mut results = Vec::new();
        for whose in [Whose::Theirs, Whose::Ours] {
            desk.write("a.yaml", &start);
            match &config {
                Some(text) => desk.write(".sops.yaml", text),
                None => drop(fs::remove_file(desk.path(".sops.yaml"))),
            }
            let ran = desk.run(whose, &words);
            assert_eq!(
                ran.code, code,
                "{whose:?} {words:?} {config:?}: {}",
                ran.err
            );
            let changed = desk.bytes("a.yaml") != start;
            results.push((changed, changed.then(|| seen(&desk.read("a.yaml")))));
        }
        assert_eq!(results[0], results[1], "{words:?} {config:?}");
    }
    // The time and the MAC stay as they are (T39).
    desk.write("a.yaml", &start);
    desk.write(".sops.yaml", format!("creation_rules:\n  - age: {a},{b}\n"));
    desk.ours(["updatekeys", "-y", "a.yaml"]).good();
    let line = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.trim().starts_with(key))
            .unwrap()
            .trim()
            .to_owned()
    };
    let (old, new) = (String::from_utf8(start).unwrap(), desk.read("a.yaml"));
    for key in ["mac:", "lastmodified:", "password:"] {
        assert_eq!(line(&old, key), line(&new, key));
    }
    desk.theirs(["decrypt", "a.yaml"]).good();
}

#[test]
fn s134_s135_s140_s141_s169_publish_says_what_it_would_need() {
    let desk = Desk::new();
    desk.theirs_encrypts("sub/a.yaml", TEXT, &[]);
    let words = ["publish", "--yes", "sub/a.yaml"];
    for (config, code) in [
        ("creation_rules: []\n", 1),
        ("destination_rules: []\n", 1),
        (
            "destination_rules:\n  - path_regex: nothing\n    s3_bucket: b\n",
            1,
        ),
        ("destination_rules:\n  - path_regex: sub\n", 1),
        (
            "destination_rules:\n  - s3_bucket: b\n    gcs_bucket: c\n",
            1,
        ),
    ] {
        desk.write(".sops.yaml", config);
        for whose in [Whose::Theirs, Whose::Ours] {
            desk.run(whose, words).fails(code);
        }
    }
    desk.write(
        ".sops.yaml",
        "destination_rules:\n  - path_regex: ^sub/\n    s3_bucket: b\n    s3_prefix: p/\n",
    );
    for whose in [Whose::Theirs, Whose::Ours] {
        desk.run(whose, ["publish", "sub"]).fails(1);
        desk.run(whose, ["publish"]).fails(100);
        let mut command = desk.command(whose);
        command.args(["publish", "sub/a.yaml"]);
        let ran = run(&mut command, b"n\n");
        assert_eq!(ran.code, 1, "{whose:?} {}", ran.err);
    }
}

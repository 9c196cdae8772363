//! The configuration: where it is found, which rule a file gets, what a rule says; beside the real program.

#[path = "rules/commands.rs"]
mod commands;
#[path = "rules/fields.rs"]
mod fields;
#[path = "rules/indentation.rs"]
mod indentation;

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

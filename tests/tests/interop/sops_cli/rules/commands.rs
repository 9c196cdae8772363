//! Commands that follow a rule of a file that is there: `updatekeys` and `publish`.

use std::fs;

use super::super::{Desk, Whose, run};
use super::{TEXT, seen};

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

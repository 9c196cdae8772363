//! Killed at random points, and two writers at once: a file is always the old one or the new one.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::super::sops_format::generate::Dice;
use super::pseudo_terminal::{holds, private_folders};
use super::{Desk, Whose};

const SECRET: &str = "kill-canary-5f0c";

/// Every command that writes over its file, and whether the file holds plaintext before or after.
const COMMANDS: [(&str, &[&str]); 8] = [
    (
        "set.yaml",
        &["set", "set.yaml", "[\"b\"]", "\"kill-canary-5f0c new\""],
    ),
    (
        "set.json",
        &["set", "set.json", "[\"a\"]", "\"kill-canary-5f0c new\""],
    ),
    ("unset.json", &["unset", "unset.json", "[\"a\"]"]),
    ("rotate.yaml", &["rotate", "-i", "rotate.yaml"]),
    ("keys.yaml", &["updatekeys", "-y", "keys.yaml"]),
    (
        "groups.yaml",
        &[
            "groups",
            "add",
            "-i",
            "--file",
            "groups.yaml",
            "--age",
            "RECIPIENT",
        ],
    ),
    ("plain.yaml", &["encrypt", "-i", "plain.yaml"]),
    ("edit.yaml", &["edit", "edit.yaml"]),
];

#[test]
fn after_500_kills_every_file_is_the_old_or_the_new_one() {
    let mut desk = Desk::new();
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - age: {},{}\n",
            desk.recipients[0], desk.recipients[1]
        ),
    );
    desk.write("editor.sh", "sed -i 's/$/ edited/' \"$1\"\n");
    desk.set("EDITOR", "sh editor.sh");
    let yaml = format!("a: {SECRET}\nb: other\n");
    let json = format!("{{\"a\": \"{SECRET}\", \"b\": \"other\"}}\n");
    for name in [
        "set.yaml",
        "rotate.yaml",
        "keys.yaml",
        "groups.yaml",
        "edit.yaml",
    ] {
        desk.theirs_encrypts(name, &yaml, &[]);
    }
    for name in ["set.json", "unset.json"] {
        desk.theirs_encrypts(name, &json, &[]);
    }
    desk.write("plain.yaml", &yaml);
    let before = desk.files();
    let shm: BTreeSet<_> = private_folders().into_iter().collect();
    let mut dice = Dice::new(std::process::id().into());
    let mut outcomes = [0, 0];
    // How long each takes on this machine, so that kills fall all over it.
    let lengths: Vec<Duration> = COMMANDS
        .iter()
        .map(|(name, words)| {
            let started = std::time::Instant::now();
            start(&desk, words).wait().unwrap();
            desk.write(name, &before[*name]);
            started.elapsed()
        })
        .collect();
    for round in 0..500 {
        let at = round % COMMANDS.len();
        let (name, words) = COMMANDS[at];
        let mut child = start(&desk, words);
        let longest = lengths[at].as_micros() as usize;
        std::thread::sleep(Duration::from_micros(
            dice.roll(longest + longest / 4) as u64
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = desk.bytes(name);
        if now == before[name] {
            outcomes[0] += 1;
        } else {
            outcomes[1] += 1;
            assert!(
                !contains(&now, SECRET),
                "{words:?} left plaintext in {name}"
            );
            let read = desk.ours(["decrypt", "--output-type", "json", name]);
            assert_eq!(read.code, 0, "{words:?} left half a file: {}", read.err);
            desk.write(name, &before[name]);
        }
        for (other, bytes) in desk.files() {
            match before.get(&other) {
                Some(known) => assert_eq!(*known, bytes, "{words:?} changed {other}"),
                None => {
                    assert!(
                        !contains(&bytes, SECRET),
                        "{words:?} left plaintext in {other}"
                    );
                    fs::remove_file(desk.path(&other)).unwrap();
                }
            }
        }
    }
    assert!(!holds(&desk.root.path().join("tmp"), SECRET));
    // What a killed edit leaves is in memory alone.
    for left in private_folders()
        .into_iter()
        .filter(|path| !shm.contains(path))
    {
        if holds(&left, SECRET) {
            fs::remove_dir_all(left).unwrap();
        }
    }
    assert!(
        outcomes.iter().all(|count| *count > 20),
        "kills fell on one side only: {outcomes:?}"
    );
}

fn start(desk: &Desk, words: &[&str]) -> std::process::Child {
    let words = words.iter().map(|word| {
        if *word == "RECIPIENT" {
            &desk.recipients[1]
        } else {
            *word
        }
    });
    desk.command(Whose::Ours)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[test]
fn writers_of_one_file_at_once_lose_nothing() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.json", "{\"start\": 1}\n", &[]);
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let desk = &desk;
            scope.spawn(move || {
                for value in 0..5 {
                    let path = format!("[\"k{writer}_{value}\"]");
                    desk.ours(["set", "a.json", &path, &value.to_string()])
                        .good();
                }
            });
        }
    });
    let text = desk.theirs(["decrypt", "a.json"]).good();
    let keys = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    assert_eq!(keys.as_object().unwrap().len(), 31, "{text}");
}

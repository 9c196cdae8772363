//! Killed at random points, and two writers at once: a file is always the old one or the new one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::super::sops_format::generate::Dice;
use super::pseudo_terminal::holds;
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
    let memory = memory_of_our_own(&mut desk);
    let mut dice = Dice::new(std::process::id().into());
    let mut outcomes = [0, 0];
    // How long each takes on this machine, so that kills fall all over it.
    let lengths: Vec<Duration> = COMMANDS
        .iter()
        .map(|(name, words)| {
            let started = std::time::Instant::now();
            start(&desk, Whose::Ours, words).wait().unwrap();
            desk.write(name, &before[*name]);
            started.elapsed()
        })
        .collect();
    for round in 0..500 {
        let at = round % COMMANDS.len();
        let (name, words) = COMMANDS[at];
        let mut child = start(&desk, Whose::Ours, words);
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
    // What a killed edit leaves is in memory alone, and the next edit of the same user wipes it.
    desk.ours(["edit", "edit.yaml"]).good();
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0);
    assert!(
        outcomes.iter().all(|count| *count > 20),
        "kills fell on one side only: {outcomes:?}"
    );
}

/// A place in memory for this desk, so that edits of other tests have no part in it.
fn memory_of_our_own(desk: &mut Desk) -> TempDir {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    desk.set("XDG_RUNTIME_DIR", memory.path().to_str().unwrap());
    memory
}

const FOLDER: usize = 8;

/// Commands whose result is plaintext, and those over whole folders.
const MORE_COMMANDS: [(Whose, &[&str]); 5] = [
    (Whose::Ours, &["decrypt", "-i", "closed/0.yaml"]),
    (Whose::Sealwright, &["decrypt", "-i", "closed"]),
    (Whose::Sealwright, &["encrypt", "-i", "open"]),
    (
        Whose::Sealwright,
        &["rotate", "--accept-recipients", "closed"],
    ),
    (Whose::Sealwright, &["updatekeys", "closed"]),
];

#[test]
fn after_kills_of_decryptions_and_folders_each_file_is_old_or_new_and_the_next_run_tidies_up() {
    let desk = Desk::new();
    let text = format!("a: {SECRET}\nb: other\n");
    let names: Vec<String> = (0..FOLDER).map(|at| format!("{at}.yaml")).collect();
    for name in &names {
        desk.theirs_encrypts(&format!("closed/{name}"), &text, &[]);
        desk.write(&format!("open/{name}"), &text);
    }
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - age: {},{}\n",
            desk.recipients[0], desk.recipients[1]
        ),
    );
    let before = desk.files();
    let mut dice = Dice::new(u64::from(std::process::id()) + 1);
    let restore = || {
        for (name, bytes) in &before {
            if desk.bytes(name) != *bytes {
                desk.write(name, bytes);
            }
        }
    };
    let lengths = MORE_COMMANDS.map(|(whose, words)| {
        let started = std::time::Instant::now();
        assert!(
            start(&desk, whose, words).wait().unwrap().success(),
            "{words:?}"
        );
        let length = started.elapsed();
        restore();
        length
    });
    let mut outcomes = [0, 0];
    for round in 0..150 {
        let at = round % MORE_COMMANDS.len();
        let (whose, words) = MORE_COMMANDS[at];
        let mut child = start(&desk, whose, words);
        let longest = lengths[at].as_micros() as usize;
        std::thread::sleep(Duration::from_micros(
            dice.roll(longest + longest / 4) as u64
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        for (name, bytes) in desk.files() {
            let Some(old) = before.get(&name) else {
                let beside = Path::new(&name).file_name().unwrap().to_str().unwrap();
                assert!(
                    beside.starts_with('.') && beside.ends_with(".yaml.sealwright"),
                    "{words:?} left {name}"
                );
                let mode = fs::metadata(desk.path(&name)).unwrap().permissions().mode();
                assert!(
                    mode & 0o077 == 0 || !contains(&bytes, SECRET),
                    "{words:?} left {name} readable for others"
                );
                continue;
            };
            if bytes == *old {
                outcomes[0] += 1;
                continue;
            }
            outcomes[1] += 1;
            if words[0] == "decrypt" {
                assert_eq!(bytes, text.as_bytes(), "{words:?} left half of {name}");
            } else {
                assert!(!contains(&bytes, SECRET), "{words:?} left {name}");
                assert_eq!(desk.ours(["decrypt", &name]).good(), text);
            }
        }
        desk.sealwright(["status", "."]).good();
        assert!(
            desk.files().keys().eq(before.keys()),
            "the next run tidies up: {:?}",
            desk.files().keys()
        );
        restore();
    }
    assert!(
        outcomes.iter().all(|count| *count > 20),
        "kills fell on one side only: {outcomes:?}"
    );
}

#[test]
fn what_a_kill_leaves_beside_a_file_is_removed_by_whatever_runs_next() {
    let mut desk = Desk::with_rule();
    desk.write("editor.sh", "sed -i 's/other/else/' \"$1\"\n");
    desk.set("EDITOR", "sh editor.sh");
    let text = format!("a: {SECRET}\nb: other\n");
    let nexts: [(Whose, &[&str]); 8] = [
        (Whose::Ours, &["decrypt", "a.yaml"]),
        (Whose::Ours, &["decrypt", "-i", "a.yaml"]),
        (Whose::Ours, &["set", "a.yaml", "[\"a\"]", "\"new\""]),
        (Whose::Ours, &["edit", "a.yaml"]),
        (Whose::Ours, &["filestatus", "a.yaml"]),
        (Whose::Sealwright, &["rotate", "a.yaml"]),
        (Whose::Sealwright, &["decrypt", "-o", "other.txt", "a.yaml"]),
        (Whose::Sealwright, &["decrypt", "-i", "."]),
    ];
    for (whose, words) in nexts {
        desk.theirs_encrypts("a.yaml", &text, &[]);
        desk.write(".a.yaml.sealwright", &text);
        desk.run(whose, words).good();
        assert!(!desk.path(".a.yaml.sealwright").exists(), "{words:?}");
    }
}

#[test]
fn s106_the_next_edit_wipes_what_a_killed_one_left_in_memory() {
    let mut desk = Desk::with_rule();
    let memory = memory_of_our_own(&mut desk);
    desk.set("EDITOR", "sh editor.sh");
    desk.theirs_encrypts("a.yaml", format!("a: {SECRET}\n"), &[]);
    desk.write("editor.sh", "touch open; exec sleep 30\n");
    let edit = || {
        let child = start(&desk, Whose::Ours, &["edit", "a.yaml"]);
        while !desk.path("open").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::remove_file(desk.path("open")).unwrap();
        child
    };
    let (mut killed, mut living) = (edit(), edit());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 2);
    desk.write("editor.sh", "exit 0\n");
    desk.ours(["edit", "a.yaml"]).fails(200);
    let left: Vec<_> = fs::read_dir(memory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "that of the living edit stays: {left:?}");
    living.kill().unwrap();
    living.wait().unwrap();
    desk.ours(["exec-file", "--no-fifo", "a.yaml", "true"])
        .good();
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0);
}

fn start(desk: &Desk, whose: Whose, words: &[&str]) -> std::process::Child {
    let words = words.iter().map(|word| {
        if *word == "RECIPIENT" {
            &desk.recipients[1]
        } else {
            *word
        }
    });
    desk.command(whose)
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
    const WRITERS: usize = 50;
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.json", "{\"start\": 1}\n", &[]);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let desk = &desk;
            scope.spawn(move || {
                let path = format!("[\"k{writer}\"]");
                desk.ours(["set", "a.json", &path, &writer.to_string()])
                    .good();
            });
        }
    });
    let text = desk.theirs(["decrypt", "a.json"]).good();
    let keys = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    assert_eq!(keys.as_object().unwrap().len(), WRITERS + 1, "{text}");
    assert!(desk.files().keys().eq([".sops.yaml", "a.json"]));
}

//! Commands over folders as one finds them: odd names, links, folders that cannot be read, more files than a process may
//! have open.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use super::{Desk, Whose, run};

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn more_files_than_may_be_open_are_done_in_one_go() {
    const FILES: usize = 400;
    let desk = Desk::with_rule();
    for at in 0..FILES {
        let (name, text) = match at % 4 {
            0 => ("yaml", format!("a: {at}\n")),
            1 => ("json", format!("{{\"a\": {at}}}\n")),
            2 => ("env", format!("A={at}\n")),
            _ => ("ini", format!("[s]\na = {at}\n")),
        };
        desk.write(&format!("d{}/{at}.{name}", at % 10), text);
    }
    let before = desk.files();
    for words in [
        ["encrypt", "--in-place", "."],
        ["decrypt", "--in-place", "."],
    ] {
        let mut command = Command::new("prlimit");
        desk.furnish(&mut command);
        command
            .arg("--nofile=64")
            .arg(desk.program(Whose::Sealwright))
            .args(["--output", "json"])
            .args(words);
        let done = report(&run(&mut command, b"").good());
        assert_eq!(
            (&done["changed"], &done["failed"]),
            (&json!(FILES), &json!(0))
        );
    }
    assert_eq!(desk.files(), before);
}

#[test]
fn names_links_and_folders_of_any_kind_are_told_apart() {
    let desk = Desk::with_rule();
    desk.write("in/two\nlines.yaml", "a: 1\n");
    fs::write(
        desk.path("in").join(OsStr::from_bytes(b"odd\xff.yaml")),
        "a: 1\n",
    )
    .unwrap();
    symlink("..", desk.path("in/round")).unwrap();
    symlink("nowhere.yaml", desk.path("in/dangling.yaml")).unwrap();
    // Deeper than a path may be long: a folder that cannot be read, not even by root.
    let mut perl = Command::new("perl");
    perl.current_dir(desk.path("in")).args([
        "-e",
        "$n = '0' x 200; for (1 .. 22) { mkdir $n; chdir $n or die }",
    ]);
    assert!(perl.status().unwrap().success());
    desk.write("in/z.yaml", "a: 1\n");

    let ran = desk.sealwright(["encrypt", "--in-place", "in"]);
    let out = ran.show_out();
    let err = ran.fails(2);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            r"in/odd\xFF.yaml: encrypted",
            r"in/two\nlines.yaml: encrypted",
            "in/z.yaml: encrypted"
        ]
    );
    assert!(err.contains("cannot read the folder"), "{err}");
    let status = desk.sealwright(["--output", "json", "status", "in"]);
    let told = report(status.text());
    assert_eq!(status.code, 2, "{}", status.err);
    let files = told["files"].as_array().unwrap();
    assert_eq!(files.len(), 4, "{told}");
    assert_eq!(files[1]["file"], "in/two\nlines.yaml");
    assert_eq!(files[3]["status"], "unreadable");
}

#[test]
fn nothing_to_do_is_said() {
    let desk = Desk::with_rule();
    fs::create_dir(desk.path("empty")).unwrap();
    let ran = desk.sealwright(["encrypt", "--in-place", "empty"]);
    assert!(ran.err.contains("nothing to do"), "{}", ran.err);
    ran.good();
    let ran = desk.sealwright(["--output", "json", "rotate", "empty"]);
    assert_eq!(report(ran.text())["files"], json!([]));
    let err = desk
        .sealwright(["encrypt", "--in-place", "missing"])
        .fails(100);
    assert!(err.contains("missing"), "{err}");
}

#[test]
fn a_repository_may_hold_what_is_not_encrypted() {
    let desk = Desk::with_rule();
    desk.write("secrets/a.yaml", "a: 1\n");
    desk.sealwright(["encrypt", "-i", "secrets"]).good();
    desk.write(
        "chart/template.yaml",
        "{{- range .Values }}\na: b\n{{ end }}\n",
    );
    desk.write("flux.yaml", "spec:\n  decryption:\n    provider: sops\n");
    let before = desk.files();
    assert_eq!(desk.sealwright(["updatekeys", "--check", "."]).good(), "");
    assert_eq!(
        desk.sealwright(["rotate", "."]).good(),
        "secrets/a.yaml: rotated\n"
    );
    for (name, bytes) in desk.files() {
        assert_eq!(name == "secrets/a.yaml", bytes != before[&name], "{name}");
    }
    let told = report(&desk.sealwright(["--output", "json", "status", "."]).good());
    let plain = told["files"].as_array().unwrap().iter();
    assert_eq!(plain.filter(|file| file["status"] == "plain").count(), 2);
    // What is named has to be encrypted.
    desk.sealwright(["rotate", "flux.yaml"]).fails(1);
    desk.sealwright(["updatekeys", "flux.yaml"]).fails(1);
}

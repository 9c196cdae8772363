//! `exec-env` and `exec-file`: the command gets the words that were typed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::desk::Desk;

fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.encrypted("f.yaml", "a: 1\n");
    desk
}

#[test]
fn the_path_of_the_file_stays_one_word() {
    let desk = desk();
    for name in ["my config.yaml", "it's.yaml", "$HOME;x", "a{}b"] {
        let run = |command: &[&str]| {
            let words = ["exec-file", "--no-fifo", "--filename", name, "f.yaml", "--"];
            desk.run([&words[..], command].concat()).good()
        };
        assert_eq!(run(&["cat", "{}"]), "a: 1\n", "{name}");
        let inner = run(&["sh", "-c", "cat \"$1\"", "sh", "{}"]);
        assert_eq!(inner, "a: 1\n", "{name}");
        let part = run(&["printf", "%s", "--config={}"]);
        assert!(part.starts_with("--config=/"), "{part}");
        assert!(part.ends_with(&format!("/{name}")), "{part}");
    }
}

#[test]
fn words_that_are_no_text_stay_as_they_are() {
    let desk = desk();
    let script = "printf %s \"$1\" | od -An -tx1";
    let mut words = ["exec-env", "f.yaml", "--", "sh", "-c", script, "sh"]
        .map(OsStr::new)
        .to_vec();
    words.push(OsStr::from_bytes(b"a\xff"));
    assert_eq!(desk.run(words).good().trim(), "61 ff");
}

#[test]
fn a_signal_that_comes_while_the_file_is_made_leaves_nothing_behind() {
    let desk = Desk::in_memory();
    // To write it takes a moment.
    desk.encrypted("f.bin", &"plaintext ".repeat(400_000));
    let folders = || fs::read_dir(desk.root().join("run")).unwrap().count();
    for _ in 0..4 {
        let mut command = desk.command();
        let mut child = command
            .args(["exec-file", "--no-fifo", "f.bin", "--", "sleep", "5"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while folders() == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it never made the folder");
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), folders()), (Some(143), 0));
    }
}

//! `exec-env` and `exec-file`: the command gets the words that were typed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

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

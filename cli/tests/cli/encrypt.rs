//! `encrypt`: what is secret afterwards, and what is said when nothing is.

use super::desk::{Desk, KEYS};

const PLAIN: &str = "db:\n  password: hunter2\n  port: 5432\n";

/// An unset variable of a shell gives an empty flag.
#[test]
fn an_empty_pattern_counts_as_absent() {
    for flag in [
        "--unencrypted-suffix",
        "--encrypted-suffix",
        "--unencrypted-regex",
        "--encrypted-regex",
    ] {
        for front_end in [&[][..], &["sops"]] {
            let desk = Desk::new();
            desk.write("f.yaml", PLAIN);
            let mut words = front_end.to_vec();
            words.extend([
                "encrypt",
                "--age",
                KEYS[0].0,
                flag,
                "",
                "--in-place",
                "f.yaml",
            ]);
            desk.run(words).good();
            let text = desk.read("f.yaml");
            assert!(!text.contains("hunter2"), "{flag}: {text}");
            assert_eq!(desk.run(["decrypt", "f.yaml"]).good(), PLAIN, "{flag}");
        }
    }
}

#[test]
fn an_empty_flag_leaves_the_pattern_of_the_rule() {
    let desk = Desk::new();
    desk.rule(&[0], "    encrypted_regex: ^password$\n");
    desk.write("f.yaml", PLAIN);
    desk.run(["encrypt", "-i", "--encrypted-regex", "", "f.yaml"])
        .good();
    let text = desk.read("f.yaml");
    assert!(
        !text.contains("hunter2") && text.contains("port: 5432"),
        "{text}"
    );
}

#[test]
fn an_empty_key_is_no_key() {
    let desk = Desk::with_rule();
    desk.write("f.yaml", PLAIN);
    desk.run(["encrypt", "-i", "--age", "", "f.yaml"]).good();
    assert_eq!(desk.run(["decrypt", "f.yaml"]).good(), PLAIN);
    let desk = Desk::new();
    desk.write("f.yaml", PLAIN);
    desk.run(["encrypt", "-i", "--age", "", "f.yaml"]).fails(1);
    assert_eq!(desk.read("f.yaml"), PLAIN);
}

#[test]
fn a_rule_that_encrypts_nothing_is_told() {
    let desk = Desk::new();
    desk.rule(&[0], "    encrypted_regex: ^secret$\n");
    desk.write("f.yaml", PLAIN);
    desk.write("empty.yaml", "a: {}\n");
    let mut text = desk.transcript(&["encrypt", "-i", "--strict", "f.yaml"]);
    assert_eq!(desk.read("f.yaml"), PLAIN);
    text += &desk.transcript(&["encrypt", "-i", "--dry-run", "f.yaml"]);
    text += &desk.transcript(&["--output", "json", "encrypt", "-i", "f.yaml"]);
    text += &desk.transcript(&["set", "f.yaml", "db.port", "5433"]);
    text += &desk.transcript(&["encrypt", "-i", "empty.yaml"]);
    insta::assert_snapshot!("a_rule_that_encrypts_nothing", text);
}

/// Scripts compare what sops writes to standard error.
#[test]
fn the_sops_front_end_says_nothing_of_it_without_a_terminal() {
    let desk = Desk::new();
    desk.rule(&[0], "    encrypted_regex: ^secret$\n");
    desk.write("f.yaml", PLAIN);
    let ran = desk.run(["sops", "encrypt", "f.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let screen = super::screen::Screen::start(&desk, &["sops", "encrypt", "-i", "f.yaml"]);
    let (code, shown) = screen.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("no value is encrypted"), "{shown}");
}

/// A file is replaced, so another name of it would keep its plaintext without a word.
#[test]
fn another_name_of_a_file_is_told() {
    let desk = Desk::with_rule();
    desk.write("f.yaml", PLAIN);
    std::fs::hard_link(desk.path("f.yaml"), desk.path("other.yaml")).unwrap();
    let text = desk.transcript(&["encrypt", "-i", "f.yaml"]);
    assert!(
        text.contains("f.yaml had 1 other name (hard links)"),
        "{text}"
    );
    assert_eq!(desk.read("other.yaml"), PLAIN);
    let text = desk.transcript(&["encrypt", "-i", "other.yaml"]);
    assert!(!text.contains("other name"), "{text}");
}

/// `sops` has its code 3 for files that cannot be opened, and 1 for a standard output that takes nothing.
#[test]
fn a_full_standard_output_has_the_code_of_each_front_end() {
    let desk = Desk::with_rule();
    desk.encrypted("f.yaml", PLAIN);
    for (words, code) in [
        (&["sops", "decrypt", "f.yaml"][..], 1),
        (&["decrypt", "f.yaml"], 3),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = desk.command();
        command.args(words).stdout(full.unwrap());
        let ran = command
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(code), "{words:?}");
        assert!(String::from_utf8_lossy(&ran.stderr).contains("No space left"));
    }
}

/// What a pipe gives is gone once it is read: nothing may look into it before the verb does.
#[test]
fn a_pipe_is_read_once() {
    let desk = Desk::with_rule();
    let words = ["encrypt", "--name", "a.yaml", "/dev/stdin"];
    let encrypted = desk.run_with(words, PLAIN.as_bytes()).good();
    let words = ["decrypt", "--name", "a.yaml", "/dev/stdin"];
    assert_eq!(desk.run_with(words, encrypted.as_bytes()).good(), PLAIN);

    // More than what is looked at of a large file.
    let large = "x".repeat(3_000_000);
    let encrypted = desk.run_with(["encrypt", "/dev/stdin"], large.as_bytes());
    let encrypted = encrypted.good();
    let back = desk.run_with(["decrypt", "/dev/stdin"], encrypted.as_bytes());
    assert!(back.good() == large);

    let pipe = desk.path("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let given = |words: [&str; 2]| {
        let pipe = pipe.clone();
        let writer = std::thread::spawn(move || std::fs::write(pipe, PLAIN));
        let ran = desk.run(words);
        writer.join().unwrap().unwrap();
        ran
    };
    let encrypted = given(["encrypt", "pipe.yaml"]).good();
    let words = ["decrypt", "--name", "a.yaml", "/dev/stdin"];
    assert_eq!(desk.run_with(words, encrypted.as_bytes()).good(), PLAIN);
    let err = given(["decrypt", "pipe.yaml"]).fails(1);
    assert!(err.contains("pipe.yaml is not encrypted"), "{err}");
    // Without anyone who writes.
    for words in [
        &["status", "pipe.yaml"][..],
        &["status", "--check-secrets", "pipe.yaml"],
    ] {
        let ran = desk.run(words);
        assert!(
            ran.out.contains("unreadable: a pipe or a device"),
            "{}",
            ran.out
        );
        ran.fails(2);
    }
}

#[test]
fn a_file_that_no_memory_holds_is_an_error() {
    let desk = Desk::with_rule();
    let file = std::fs::File::create(desk.path("f.yaml")).unwrap();
    file.set_len(900 << 30).unwrap();
    for words in [
        &["encrypt", "f.yaml"][..],
        &["encrypt", "-i", "f.yaml"],
        &["decrypt", "f.yaml"],
        &["rotate", "f.yaml"],
    ] {
        let err = desk.run(words).fails(2);
        assert!(err.contains("more than 4 GiB"), "{words:?}: {err}");
    }
}

/// Files of the type binary are JSON, so a document with other values is written whole.
#[test]
fn a_document_that_is_no_binary_file_is_json_where_the_type_is_binary() {
    for words in [
        &["encrypt", "--output-type", "binary", "-i", "plain.yaml"][..],
        &[
            "sops",
            "encrypt",
            "--output-type",
            "binary",
            "-i",
            "plain.yaml",
        ],
        &["sops", "rotate", "--output-type", "binary", "-i", "f.yaml"],
        &[
            "sops",
            "set",
            "--output-type",
            "binary",
            "f.yaml",
            "[\"z\"]",
            "5",
        ],
    ] {
        let desk = Desk::with_rule();
        desk.write("plain.yaml", "data: d\nport: 5432\n");
        desk.encrypted("f.yaml", "data: d\nport: 5432\n");
        desk.run(words).good();
        let name = match words.contains(&"f.yaml") {
            true => "f.yaml",
            false => "plain.yaml",
        };
        let text = desk.read(name);
        assert!(text.starts_with("{\n"), "{words:?} {text}");
        let plain = desk.run(["decrypt", name]).good();
        for value in ["\"data\"", "5432"] {
            assert!(plain.contains(value), "{words:?} {plain}");
        }
        assert_eq!(plain.contains("\"z\""), words.contains(&"set"), "{plain}");
    }
}

/// Scripts compare standard error, and upstream is silent about options that have no effect on a single value anyway.
#[test]
fn only_the_options_that_upstream_names_are_told_to_be_ignored_by_a_binary_file() {
    let desk = Desk::with_rule();
    desk.write("f.bin", "one value");
    for (words, is_told) in [
        (
            &["sops", "--mac-only-encrypted", "encrypt", "f.bin"][..],
            false,
        ),
        (
            &["sops", "--unencrypted-comment-regex", "x", "-e", "f.bin"],
            false,
        ),
        (
            &["sops", "--encrypted-comment-regex", "x", "-e", "f.bin"],
            true,
        ),
        (
            &["sops", "encrypt", "--unencrypted-suffix", "x", "f.bin"],
            true,
        ),
        (&["encrypt", "--unencrypted-suffix", "x", "f.bin"], true),
    ] {
        let ran = desk.run(words);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(
            ran.err.contains("ignored"),
            is_told,
            "{words:?} {}",
            ran.err
        );
        assert_eq!(ran.err.is_empty(), !is_told, "{words:?} {}", ran.err);
    }
}

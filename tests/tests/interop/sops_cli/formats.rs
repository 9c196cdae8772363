//! Formats in each other's place: documents under names without a type, bytes in JSON, keys that one format has for itself.

use super::{Desk, Ran, Whose};

const BOTH: [Whose; 2] = [Whose::Theirs, Whose::Ours];

/// Runs both programs on a file, each on a copy of its own, and hands out what they did and what the real one reads then.
fn on_copies(desk: &Desk, file: &[u8], words: &[&str]) -> [(Ran, String); 2] {
    BOTH.map(|whose| {
        desk.write("secrets", file);
        let ran = desk.run(whose, words);
        let json = ["--input-type=json", "--output-type=json"];
        let read = desk.theirs(["decrypt", json[0], json[1], "secrets"]);
        (ran, read.good())
    })
}

#[track_caller]
fn same(desk: &Desk, file: &[u8], words: &[&str]) {
    let [(theirs, their_file), (ours, our_file)] = on_copies(desk, file, words);
    assert_eq!(ours.code, theirs.code, "{words:?}: {}", ours.err);
    assert_eq!(ours.show_out(), theirs.show_out(), "{words:?}");
    assert_eq!(our_file, their_file, "{words:?}");
}

#[test]
fn a_document_under_a_name_without_a_type_is_worked_on_by_every_command() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("secrets", "A=1\nB=x y\n", &["--input-type", "dotenv"]);
    let document = desk.bytes("secrets");
    // A binary file to which the real program adds a value.
    desk.theirs_encrypts("secrets", "bytes", &[]);
    desk.theirs(["set", "secrets", "[\"A\"]", "\"1\""]).good();
    let with_data = desk.bytes("secrets");
    for file in [&document, &with_data] {
        for words in [
            &["exec-env", "secrets", "echo $A-$B-$data"][..],
            &["exec-file", "--output-type", "json", "secrets", "cat {}"],
            &["exec-file", "--no-fifo", "secrets", "cat {}"],
            &["rotate", "-i", "secrets"],
            &["set", "secrets", "[\"A\"]", "\"new\""],
            &["set", "--idempotent", "secrets", "[\"A\"]", "\"1\""],
            &["unset", "secrets", "[\"A\"]"],
            &["updatekeys", "-y", "secrets"],
            &["decrypt", "secrets"],
            &["decrypt", "--extract", "[\"A\"]", "secrets"],
            &["decrypt", "--output-type", "json", "secrets"],
            &["decrypt", "--output-type", "dotenv", "secrets"],
        ] {
            same(&desk, file, words);
        }
    }
    // Saving the data alone would lose the other value.
    desk.write("secrets", &with_data);
    let mut edit = desk.command(Whose::Ours);
    edit.env("EDITOR", "true").args(["edit", "secrets"]);
    super::run(&mut edit, b"").fails(4);
    assert_eq!(desk.bytes("secrets"), with_data);
}

#[test]
fn bytes_that_are_no_text_go_into_json_and_come_back() {
    let desk = Desk::with_rule();
    let bytes = b"PK\x03\x04\xff\xfe\0\r\n";
    for whose in BOTH {
        desk.write("store.jks", bytes);
        let json = ["--input-type=binary", "--output-type=json"];
        let words = ["encrypt", json[0], json[1], "store.jks"];
        let file = desk.run(whose, words).good();
        desk.write("store.json", file);
        for whose in BOTH {
            for words in [
                ["decrypt", "--output-type=binary", "store.json"],
                ["decrypt", "--extract=[\"data\"]", "store.json"],
            ] {
                assert_eq!(desk.run(whose, words).out, bytes, "{words:?}");
            }
        }
        desk.ours(["rotate", "-i", "store.json"]).good();
        let read = desk.theirs(["decrypt", "--output-type=binary", "store.json"]);
        assert_eq!(read.out, bytes);
        // As JSON there is no text to show.
        for words in [
            &["decrypt", "store.json"][..],
            &["edit", "store.json"],
            &["set", "store.json", "[\"a\"]", "\"b\""],
        ] {
            assert!(desk.ours(words).fails(4).contains("not UTF-8"), "{words:?}");
        }
    }
}

#[test]
fn floats_that_json_does_not_have_are_kept_in_it() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.json", "a: .inf\n", &["--input-type=yaml"]);
    for whose in BOTH {
        let read = desk.run(whose, ["decrypt", "--output-type=yaml", "a.json"]);
        assert_eq!(read.good(), "a: .inf\n");
        desk.run(whose, ["decrypt", "a.json"]).fails(4);
        desk.run(whose, ["rotate", "-i", "a.json"]).good();
    }
}

#[test]
fn keys_that_the_other_format_has_for_itself_have_their_code() {
    let desk = Desk::with_rule();
    desk.write("a.json", "{\"sops_version\": \"x\"}");
    desk.write("a.env", "sops=x\n");
    for words in [
        ["encrypt", "--output-type", "dotenv", "a.json"],
        ["encrypt", "--output-type", "json", "a.env"],
        ["encrypt", "--output-type", "yaml", "a.env"],
    ] {
        for whose in BOTH {
            desk.run(whose, words).fails(203);
        }
    }
}

//! The faults that the judge was made for, each with the document that shows it.

use super::upstream::{Settings, Upstream};
use super::{Case, Counts, Dice, Ours, document, judged};
use crate::judge::ours::Step;

/// Everything the judge asks about one document holds.
pub(super) fn holds(format: &'static str, text: &str, settings: &Settings) {
    let case = Case {
        head: text.as_bytes().to_vec(),
        pieces: Vec::new(),
        between: Vec::new(),
        tail: Vec::new(),
    };
    let mut upstream = Upstream::start();
    for seed in 0..4 {
        let mut counts = Counts::default();
        let judged = judged(&mut upstream, format, &case, settings, seed, &mut counts);
        if let Err(fault) = judged {
            panic!(
                "{text:?}, {}: {}: {}",
                settings.shown(),
                fault.kind,
                fault.text
            );
        }
        assert_eq!(counts.judged, 1, "{text:?} is not judged");
    }
}

fn encrypted(format: &'static str, text: &str, settings: &Settings) -> String {
    let file = Ours::new(format)
        .encrypt(text.as_bytes(), settings)
        .unwrap();
    String::from_utf8(file).unwrap()
}

fn upstream_encrypted(format: &str, text: &str) -> Vec<u8> {
    let mut upstream = Upstream::start();
    let file = upstream.encrypt(format, text.as_bytes(), &Settings::default());
    file.unwrap().text
}

fn decrypted(format: &'static str, file: &[u8]) -> String {
    String::from_utf8(Ours::new(format).decrypt(file).unwrap()).unwrap()
}

#[test]
fn a_comment_selects_what_upstream_attaches_it_to() {
    let enc = Settings::by("encrypted_comment_regex", "note");
    let file = encrypted("yaml", "pw: [s3cret, x] # note\nb: 1\n", &enc);
    assert!(!file.contains("s3cret") && file.contains(", x]"), "{file}");
    let plain = Settings::by("unencrypted_comment_regex", "note");
    let file = encrypted("yaml", "y: # note\na: s3cret\n", &plain);
    assert!(!file.contains("s3cret"), "{file}");
}

#[test]
fn selection_by_comments_agrees_at_every_position() {
    for text in [
        "pw: [s3cret, x] # note\nb: 1\n",
        "pw: {a: s3cret, b: x} # note\nb: 1\n",
        "y: # note\na: s3cret\n",
        "y: [ # note\n  a, b]\nz: c\n",
        "y: { # note\n  a: b, c: d}\nz: c\n",
        "y: &x # note\n  a: b\nz: c\n",
        "y: &x # note\nz: c\n",
        "y: ! # note\nz: c\n",
        "y: &x\n  # note\n  a: b\n  c: d\nz: *x\nw: e\n",
        "y: &x [a, b] # note\nz: *x\nw: e\n",
        "y: &x\n- a # note\n- b\nz:\n- *x\n- *x # note\nw: e\n",
        "%YAML 1.1\n---\n# note\n\na: b\nc: d\n",
        "---\n# note\n\na: b\nc: d\n",
        "l:\n- [] # note\n- l\n- m\n",
        "l:\n- a\n# note\n- b\nc: d\n",
        "a:\n  b: c\n# note\nd: e\n",
    ] {
        for field in ["encrypted_comment_regex", "unencrypted_comment_regex"] {
            holds("yaml", text, &Settings::by(field, "note"));
        }
        holds("yaml", text, &Settings::default());
    }
}

#[test]
fn a_list_comment_below_an_explicit_key_is_placed() {
    let long = "k".repeat(130);
    for text in [
        "? \"a\\nb\"\n:\n  # c\n  - x\n".to_owned(),
        "? \"a\\nb\"\n: [] # c\n".to_owned(),
        format!("{long}:\n  # c\n  - x\n  # d\n  - y\n"),
    ] {
        let plain = decrypted("yaml", &upstream_encrypted("yaml", &text));
        assert!(!plain.contains("ENC["), "{plain}");
        assert!(plain.contains("# c"), "{plain}");
        holds("yaml", &text, &Settings::default());
    }
}

#[test]
fn a_list_comment_behind_an_empty_list_leaves_valid_yaml() {
    for text in [
        "a:\n- []\n# foot\n",
        "a:\n- - []\n  # foot\n- x\n",
        "a:\n- b:\n  - {}\n  # foot\n",
    ] {
        let plain = decrypted("yaml", &upstream_encrypted("yaml", text));
        assert!(plain.contains("# foot"), "{plain}");
        holds("yaml", text, &Settings::default());
    }
}

#[test]
fn nil_is_a_text_where_nothing_is_encrypted() {
    let rule = Settings::by("encrypted_regex", "^A");
    holds("dotenv", "V=<nil>\nA=1\n", &rule);
    holds("dotenv", "V=<nil>\nA=<nil>\n", &rule);
    holds("ini", "V = <nil>\nA = 1\n", &rule);
}

#[test]
fn a_document_without_values_does_not_vanish() {
    for text in [
        "{}\n---\nb: 1\n",
        "# c\n{}\n---\nb: 1\n",
        "a: 1\n---\n{}\n---\nb: 1\n",
        "{}\n",
        "---\n---\nb: 1\n",
    ] {
        holds("yaml", text, &Settings::default());
    }
    assert_eq!(
        decrypted("yaml", &upstream_encrypted("yaml", "{}\n---\nb: 1\n")),
        "{}\n---\nb: 1\n"
    );
}

#[test]
fn a_file_whose_last_key_upstream_removed_is_still_a_document() {
    let mut upstream = Upstream::start();
    let path = [Step::Key("a".into())];
    for (text, left) in [
        ("a: 1\n", "{}\n"),
        ("# c\na: 1\n---\nb: 1\n", "# c\n{}\n---\nb: 1\n"),
    ] {
        let file = upstream_encrypted("yaml", text);
        let file = upstream.unset("yaml", &file, &path, false).unwrap();
        assert_eq!(decrypted("yaml", &file.text), left);
    }
}

#[test]
fn a_comment_on_the_line_of_the_block_is_kept() {
    let text = "e: &x\n a: 1\nk: *x # c\n";
    let plain = decrypted("yaml", &upstream_encrypted("yaml", text));
    assert!(plain.contains("# c"), "{plain}");
    holds("yaml", text, &Settings::default());
}

#[test]
fn list_indices_count_comments_as_upstream_does() {
    let text = "d: [a, b] # c\n";
    let ours = Ours::new("yaml");
    let file = ours.encrypt(text.as_bytes(), &Settings::default()).unwrap();
    let path = [Step::Key("d".into()), Step::Index(1)];
    let file = ours.set(&file, &path, "new").unwrap();
    assert_eq!(decrypted("yaml", &file), "d: [new, b] # c\n");
    holds("yaml", text, &Settings::default());
}

#[test]
fn an_empty_comment_of_a_list_is_no_element() {
    let mut upstream = Upstream::start();
    for text in ["a:\n- x\n#\nb: 1\n", "a:\n- x\n#\n", "a:\n#\n- x\n"] {
        let file = encrypted("yaml", text, &Settings::default());
        let read = upstream.decrypted_text("yaml", file.as_bytes()).unwrap();
        let read = String::from_utf8(read).unwrap();
        assert!(!read.contains("\"\""), "{read}");
        assert_eq!(decrypted("yaml", file.as_bytes()), text);
    }
}

#[test]
fn comments_at_the_end_are_bound_where_an_empty_one_is_left_out_before_them() {
    for text in [
        "k:\n   #\n     - x\nq: # c\n  r:\n  # d\n",
        "a: {\n   }\n---\nk:\n    -\n      #\n    - b:\n          - |-\n      c:\n    # d\n",
    ] {
        holds("yaml", text, &Settings::default());
    }
}

#[test]
fn an_alias_repeats_comments_amidst_a_text() {
    let text = "a: &x\n  b: | # c\n    text\n  d: 1\nk:\n- *x\n- 2\n";
    holds("yaml", text, &Settings::default());
}

#[test]
fn a_comment_stays_secret_when_the_one_that_decides_about_it_moves() {
    let rule = Settings::by("encrypted_comment_regex", "note");
    let text = "# secret\nk: &x # note\n";
    let file = encrypted("yaml", text, &rule);
    assert!(!file.contains("secret"), "{file}");
    assert_eq!(decrypted("yaml", file.as_bytes()), text);
    holds("yaml", text, &rule);
}

#[test]
fn what_goes_leaves_comments_that_are_further_in() {
    let ours = Ours::new("yaml");
    let key = |name: &str| Step::Key(name.into());
    for (text, path, left) in [
        (
            "k: |\n  text\na:\n\n  # c\n\nb: 1\n",
            &[key("a")][..],
            "k: |\n  text\n# c\n\nb: 1\n",
        ),
        (
            "k:\n# c\n  # d\n- - x\nb: 1\n",
            &[key("k"), Step::Index(2)],
            "k:\n# c\n  # d\n []\nb: 1\n",
        ),
    ] {
        let file = ours.encrypt(text.as_bytes(), &Settings::default()).unwrap();
        let file = ours.unset(&file, path).unwrap();
        assert_eq!(decrypted("yaml", &file), left);
        let mut upstream = Upstream::start();
        assert!(upstream.decrypt("yaml", &file).is_ok());
    }
}

/// A document that shows a fault, as the generator has to make it: by its text and the rule.
type Shows = fn(&str, &Settings) -> bool;

#[test]
fn the_generators_make_what_shows_each_fault() {
    const WITHIN: u64 = 5_000;
    let faults: [(&str, &str, Shows); 9] = [
        (
            "1: a comment behind brackets under a rule",
            "yaml",
            |text, rule| rule.is_on_comments() && text.contains("] # note"),
        ),
        (
            "1: a comment behind an absent value under a rule",
            "yaml",
            |text, rule| rule.is_on_comments() && text.contains(": # note"),
        ),
        (
            "2: a comment in a list below an explicit key",
            "yaml",
            |text, _| text.contains("? \"a\\nb") && text.contains("\n:\n") && text.contains("- "),
        ),
        (
            "3: a comment behind an empty list in a list",
            "yaml",
            |text, _| {
                text.lines()
                    .any(|line| line.trim_start().starts_with("- []") && line.contains('#'))
            },
        ),
        ("4: null in clear, dotenv", "dotenv", |text, rule| {
            rule.rule
                .is_some_and(|(field, _)| field.starts_with("encrypted"))
                && text.contains("=<nil>\n")
        }),
        ("4: null in clear, INI", "ini", |text, rule| {
            rule.rule
                .is_some_and(|(field, _)| field.starts_with("encrypted"))
                && text.contains("<nil>\n")
        }),
        (
            "7: an empty document before another one",
            "yaml",
            |text, _| text.starts_with("{}\n---\n"),
        ),
        (
            "8: an alias with a comment at the end of a document",
            "yaml",
            |text, _| {
                text.lines()
                    .last()
                    .is_some_and(|line| line.contains(": *x") && line.contains('#'))
            },
        ),
        (
            "9: a comment behind a list in brackets",
            "yaml",
            |text, _| text.contains("] # c"),
        ),
    ];
    for (name, format, shows) in faults {
        let found = (0..WITHIN).find(|seed| {
            let mut dice = Dice::new(*seed);
            let case = document(format, &mut dice);
            let settings = Settings::roll(&mut dice);
            shows(&String::from_utf8_lossy(&case.text()), &settings)
        });
        assert!(found.is_some(), "{name}: no document of {WITHIN}");
    }
}

#[test]
fn a_value_in_braces_is_set_beside_a_comment_in_the_brackets_around_them() {
    let file = encrypted("yaml", "a: [k: {d} # note\n]\nb: c\n", &Settings::default());
    let path = [
        Step::Key("a".to_owned()),
        Step::Index(0),
        Step::Key("k".to_owned()),
        Step::Key("d".to_owned()),
    ];
    let changed = Ours::new("yaml")
        .set(file.as_bytes(), &path, "new")
        .unwrap();
    assert_eq!(
        decrypted("yaml", &changed),
        "a: [k: {d: new} # note\n]\nb: c\n"
    );
    let file = encrypted("yaml", "a:\n- !!set {x, y}\n", &Settings::default());
    let path = [
        Step::Key("a".to_owned()),
        Step::Index(0),
        Step::Key("y".to_owned()),
    ];
    let changed = Ours::new("yaml")
        .set(file.as_bytes(), &path, "new")
        .unwrap();
    assert_eq!(decrypted("yaml", &changed), "a:\n- {x: null, \"y\": new}\n");
}

#[test]
fn an_empty_comment_before_one_further_out_comes_back() {
    holds(
        "yaml",
        "w1:\n    - - s9\n      #\n    # note 11\n",
        &Settings::default(),
    );
}

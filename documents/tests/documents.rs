//! Thousands of generated documents of every format, encrypted and decrypted: every byte comes back.
//!
//! A failing document is made smaller until every piece of it is needed, and printed with its seed. `SEALWRIGHT_CASES`
//! sets the number of documents per format, `SEALWRIGHT_SEED` the first seed.

#![allow(
    clippy::print_stderr,
    reason = "the input of a target that panics is in the output of the test"
)]

#[path = "documents/generate.rs"]
mod generate;
#[path = "documents/laws.rs"]
mod laws;
#[allow(unreachable_pub, reason = "there they are the crate's own doors")]
#[path = "../../fuzz/src/targets.rs"]
mod targets;
#[path = "documents/yaml.rs"]
mod yaml;

use std::path::Path;

use generate::{Case, Dice};
use sealwright_documents::format::{
    Format, binary::Binary, dotenv::Dotenv, ini::Ini, json::Json, yaml::Yaml,
};

/// How many documents per format by default.
const CASES: u64 = 2_500;

#[test]
fn yaml_comes_back_byte_for_byte() {
    run(&Yaml, |dice| yaml::yaml(dice, yaml::Scope::Plain));
}

#[test]
fn damaged_yaml_holds_the_laws() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let cases = number("SEALWRIGHT_CASES").unwrap_or(1_500);
    let first: u64 = number("SEALWRIGHT_SEED").unwrap_or(0);
    for seed in first..first + cases {
        let mut dice = Dice::new(seed);
        let case = yaml::yaml(&mut dice, yaml::Scope::Odd);
        let text = yaml::damage(case, &mut dice).text();
        eprintln!("seed {seed}: {}", text.escape_ascii()); // shown when the target panics
        targets::yaml(&text);
    }
}

#[test]
fn json_comes_back_byte_for_byte() {
    run(&Json, generate::json);
}

#[test]
fn dotenv_comes_back_byte_for_byte() {
    run(&Dotenv, generate::dotenv);
}

#[test]
fn ini_comes_back_byte_for_byte() {
    run(&Ini, generate::ini);
}

#[test]
fn binary_comes_back_byte_for_byte() {
    run(&Binary, generate::binary);
}

/// Such documents are rewritten to be encrypted, as the block needs a place beside their keys.
#[test]
fn yaml_that_is_indented_or_in_braces_comes_back_byte_for_byte() {
    for text in [
        " a: x\n",
        " a: x\n ",
        " a: 1e3\n b: 1.0\n",
        " a: 1.0\n # c\n   ",
        " a:\n   - 2.0\n   - b: -0.0\n",
        "{a: 1.0}\n",
        "{\"a\": 1e30, \"b\": [1.0, {c: 2.50}]}",
        "{a: 1e3}\n ",
    ] {
        always_holds(text);
    }
}

/// Where the mark of a block may stand and nothing else.
#[test]
fn yaml_blocks_at_the_margin_come_back_byte_for_byte() {
    for text in [
        "c:\n|-\n  y\nd: 1\n",
        "c: &x\n|-\n  y\nd: 1\n",
        "c: &x\n  # k\n|-\n  y\nd: 1\n",
        "c: &x\n|-\n  y\nd: *x\n",
        "q:\n  c: &x\n    # k\n  |-\n    y\n  d: 1\n",
        "q:\n  c: &x !!str\n  |-\n    y\n  d: 1\n",
    ] {
        always_holds(text);
    }
}

/// Checks the laws about one text with different rules and changes.
#[track_caller]
fn always_holds(text: &str) {
    for seed in 0..20 {
        let held = laws::hold(&Yaml, text.as_bytes(), seed);
        assert_eq!(held, Ok(true), "{text:?}");
    }
}

/// What a fuzzer calls with bytes; it panics when a property is broken.
type Target = fn(&[u8]);

#[test]
fn the_corpus_of_the_fuzz_targets_holds() {
    let all: [(&str, Target); 9] = [
        ("json", targets::json),
        ("yaml", targets::yaml),
        ("dotenv", targets::dotenv),
        ("ini", targets::ini),
        ("binary", targets::binary),
        ("block", targets::block),
        ("cipher_text", targets::cipher_text),
        ("rules", targets::rules),
        ("selection", targets::selection),
    ];
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in all {
        let files = std::fs::read_dir(corpus.join(name)).expect("the target has a corpus");
        let mut count = 0;
        for file in files {
            let path = file.expect("an entry").path();
            eprintln!("{}", path.display()); // shown when the target panics
            target(&std::fs::read(&path).expect("a file of the corpus"));
            count += 1;
        }
        assert!(count >= 5, "{name} has a corpus of {count} files only");
    }
}

fn run(format: &'static dyn Format, generate: fn(&mut Dice) -> Case) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let cases = number("SEALWRIGHT_CASES").unwrap_or(CASES);
    let first = number("SEALWRIGHT_SEED").unwrap_or(0);
    // Texts that the format refuses do not count; there must not be too many of them.
    let (mut held, mut seed) = (0, first);
    let mut failures = Vec::new();
    while held < cases {
        assert!(
            seed < first + 2 * cases,
            "the generator makes too much that the format refuses: {held} of {cases} held"
        );
        let case = generate(&mut Dice::new(seed));
        match laws::hold(format, &case.text(), seed) {
            Ok(true) => held += 1,
            Ok(false) => {}
            Err(reason) => {
                let (small, reason) = shrink(format, case, seed, reason);
                let shown = small.text().escape_ascii().to_string();
                let name = format.name();
                failures.push(format!("seed {seed}: {reason}\n{name} document: {shown}"));
                if failures.len() == 5 {
                    break;
                }
            }
        }
        seed += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Leaves out pieces as long as the same law stays broken.
fn shrink(
    format: &'static dyn Format,
    mut case: Case,
    seed: u64,
    mut reason: String,
) -> (Case, String) {
    let mut at = 0;
    while at < case.pieces.len() {
        let mut smaller = case.clone();
        smaller.pieces.remove(at);
        match laws::hold(format, &smaller.text(), seed) {
            Err(other) => {
                case = smaller;
                reason = other;
                at = 0;
            }
            Ok(_) => at += 1,
        }
    }
    (case, reason)
}

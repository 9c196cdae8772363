//! Generated command lines and configurations, run by the real program and by ours on the same files.
//!
//! Compared are the exit code, which files were written, what is in them (decrypted by the other program), which keys,
//! groups, selection and threshold they carry, which values stayed plain, what is on standard output, and the texts on
//! standard error that clients search for. Where we differ on purpose, [`excuse`] says which decision it is.
//!
//! `SEALWRIGHT_INTEROP_SEED` sets where to begin, `SEALWRIGHT_INTEROP_LINES` how many lines are tried.

#[path = "differential/bench.rs"]
mod bench;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/line.rs"]
mod line;

use std::collections::BTreeMap;

use super::super::sops_format::generate::Dice;
use super::Whose;
use bench::{Bench, Deed};
use compare::compare;
use line::Line;

#[test]
fn generated_command_lines_do_the_same() {
    let setting = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let first = setting("SEALWRIGHT_INTEROP_SEED", 0);
    let count = setting("SEALWRIGHT_INTEROP_LINES", 360);
    let bench = Bench::new();
    let mut failures = Vec::new();
    let mut codes = BTreeMap::new();
    let mut excused = BTreeMap::new();
    for seed in first..first + count {
        let line = Line::roll(&mut Dice::new(seed), &bench);
        let theirs = bench.perform(Whose::Theirs, &line);
        let ours = bench.perform(Whose::Ours, &line);
        *codes.entry(theirs.ran.code).or_insert(0) += 1;
        let Err(reason) = compare(&bench, &line, &theirs, &ours) else {
            continue;
        };
        match excuse(&line, &theirs, &ours) {
            Some(decision) => *excused.entry(decision).or_insert(0) += 1,
            None => failures.push(format!(
                "seed {seed}: {reason}\n  {}\n  theirs {}: {}  ours {}: {}",
                line.show(),
                theirs.ran.code,
                clip(&theirs.ran.err),
                ours.ran.code,
                clip(&ours.ran.err),
            )),
        }
    }
    let list = failures.join("\n");
    assert!(
        failures.is_empty(),
        "{} of {count} (codes of the real program: {codes:?}; by decision: {excused:?}):\n{list}",
        failures.len()
    );
    assert!(
        count < 300 || codes.len() > 8,
        "too few outcomes were reached: {codes:?}"
    );
}

/// Where we differ from the real program on purpose; the numbers are those of `docs/src/parity/sops-cli.md`.
fn excuse(line: &Line, theirs: &Deed, ours: &Deed) -> Option<&'static str> {
    let (they, we) = (&theirs.ran, &ours.ran);
    let words = line.words.join(" ");
    if matches!(they.code, 0 | 1) && we.code == 203 && words.contains("enc.bin") {
        return Some("S80: an encrypted file is not encrypted again as binary");
    }
    let is_wrong_index = ["an index into a map", "is negative"]
        .iter()
        .any(|reason| we.err.contains(reason));
    if (they.code, we.code) == (0, 7) && is_wrong_index {
        return Some(
            "D7: an index that cannot be is an error, the reference does nothing in silence",
        );
    }
    if (they.code, we.code) == (0, 7) && we.err.contains("a binary file has a single text value") {
        return Some("what is set beside the data of a binary file would be lost");
    }
    if (they.code, we.code) == (0, 1) && we.err.contains("a map has keys and no indices") {
        return Some("D7: an index into a map finds nothing");
    }
    if words.contains("edit") && (they.code, we.code) == (4, 201) {
        return Some("the editor runs before what its output cannot hold is told");
    }
    if (they.code, we.code) == (4, 203) {
        return Some("S80: an encrypted file is told before what its output cannot hold");
    }
    if words.contains("edit") && words.contains("fresh") && (they.code, we.code) == (0, 0) {
        return Some("the sample of a new file has words of its own");
    }
    if we.err.contains("unknown user") && they.code == 128 {
        return Some("S123: an unknown user is told before anything is decrypted");
    }
    if words.contains("edit") && we.code == 4 && we.err.contains("no binary data") {
        return Some("D12: what a format cannot hold is refused before the editor runs");
    }
    if matches!(they.code, 0 | 3)
        && we.code == 1
        && we.err.contains("text after the end of the document")
    {
        return Some("what follows a JSON document is refused, the reference drops it");
    }
    if they.code != 0 && matches!(we.code, 7 | 91) && we.err.contains("is negative") {
        return Some("D7: a negative index is refused before the file is read");
    }
    if they.err.contains("goroutine ") || they.err.contains("panic:") {
        return (we.code != 0 && we.code != 101)
            .then_some("D7: a panic of the reference is an error here");
    }
    if (they.code, we.code) == (201, 1) && we.err.contains("no one is there to correct it") {
        return Some("D4: a spoiled edit ends without a person to answer");
    }
    if (they.code, we.code) == (0, 0) && words.contains("set ") && ours.written.is_empty() {
        return Some("S101: a set that changes nothing writes nothing");
    }
    if words.contains("groups add") && they.code == 0 && we.code == 1 {
        return Some("D8: a group without a working key is not written");
    }
    if words.contains("groups delete") && they.code == 0 && we.err.contains("the last group") {
        return Some("D8: nor is a file without any group");
    }
    if (they.code, we.code) == (1, 1)
        && they.err.contains("Could not unmarshal input data")
        && we.err.contains("sops metadata not found")
    {
        return Some("what is no JSON is a binary file that is not encrypted, not a broken one");
    }
    if they.code != 0 && we.code == 4 && we.err.contains("an indentation of") {
        return Some(
            "D7: an indentation that makes the reference panic is refused before the file is changed",
        );
    }
    if we.code == 1 && we.err.contains("invalid regular expression") {
        return Some("D2: a broken pattern is refused before anything else");
    }
    if (they.code, we.code) == (4, 1) && we.err.contains("no one is there to correct it") {
        return Some("D4: a spoiled edit ends without a person to answer");
    }
    if we.code == 4 && they.code == 0 && !we.err.contains("no binary data") {
        return Some("D12, D13, D21: what a format cannot hold is refused");
    }
    if words.contains("set ")
        && they.code == 7
        && we.code != 7
        && line.words.iter().any(|word| word == "[1, \"two\"]")
    {
        return Some("D6: arrays can be set");
    }
    None
}

fn clip(text: &str) -> String {
    let mut text: String = text.chars().take(700).collect();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

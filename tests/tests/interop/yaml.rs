//! YAML: what the reference's own reader makes of a text, we make of it, comments included; what it refuses, we refuse.
//!
//! The judge is `servers/yaml-oracle`, a program of ours around `yaml.v3` in the version that `sops` carries. Documents
//! are made at random from a seed and damaged at random; one that differs is cut down and shown with its seed.
//! `SEALWRIGHT_CASES` sets how many, `SEALWRIGHT_SEED` the first seed.

#[allow(
    dead_code,
    reason = "only the dice are taken from the generators of other formats"
)]
#[path = "../../../documents/tests/documents/generate.rs"]
pub(crate) mod generate;
#[path = "../../../documents/tests/documents/yaml.rs"]
pub(crate) mod generator;
#[path = "yaml/oracle.rs"]
mod oracle;
#[path = "yaml/suite.rs"]
mod suite;

use generate::{Case, Dice};
use oracle::{Difference, Oracle, ours};

/// How many documents by default.
const CASES: u64 = 6_000;

#[test]
fn generated_documents_are_read_as_by_the_reference() {
    compare(CASES, |dice| generator::yaml(dice, generator::Scope::Odd));
}

#[test]
fn damaged_documents_are_read_and_refused_as_by_the_reference() {
    compare(2 * CASES, |dice| {
        generator::damage(generator::yaml(dice, generator::Scope::Odd), dice)
    });
}

#[allow(
    clippy::print_stdout,
    reason = "how far a run is from its limits is shown"
)]
fn compare(cases: u64, make: impl Fn(&mut Dice) -> Case) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let cases = number("SEALWRIGHT_CASES").unwrap_or(cases);
    let first: u64 = number("SEALWRIGHT_SEED").unwrap_or(0);
    let mut oracle = Oracle::start();
    let (mut read, mut failures) = (0, Vec::new());
    let (mut elsewhere, mut disordered) = (Vec::new(), Vec::new());
    for seed in first..first + cases {
        let mut case = make(&mut Dice::new(seed));
        let mut reason = match difference(&mut oracle, &case.text()) {
            Ok(is_read) => {
                read += u64::from(is_read);
                continue;
            }
            Err(Difference::Values(reason)) => reason,
            Err(difference) => {
                let shown = case.text().escape_ascii().to_string();
                let (list, reason) = match difference {
                    Difference::Order(reason) => (&mut disordered, reason),
                    Difference::Owner(reason) | Difference::Values(reason) => {
                        (&mut elsewhere, reason)
                    }
                };
                list.push(format!("seed {seed}: {shown}\n{reason}"));
                read += 1;
                continue;
            }
        };
        let mut at = 0;
        while at < case.pieces.len() {
            let mut smaller = case.clone();
            smaller.pieces.remove(at);
            match difference(&mut oracle, &smaller.text()) {
                Err(Difference::Values(other)) => (case, reason) = (smaller, other),
                _ => at += 1,
            }
        }
        let shown = case.text().escape_ascii().to_string();
        failures.push(format!("seed {seed}: {shown}\n{reason}"));
        if failures.len() == 20 {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // Texts that are refused prove little: many must be read.
    assert!(read * 4 > cases, "{read} of {cases} were read");
    // What a comment belongs to binds its ciphertext. Its order beside the values only matters to rules about comments; a
    // known limit are comments behind a block scalar that keeps its line breaks, and behind values that are absent.
    for (what, cases_of, limit) in [
        ("belongs elsewhere", &elsewhere, 10_000),
        ("is listed elsewhere", &disordered, 2_000),
    ] {
        println!(
            "of {cases}, {read} of them read, a comment {what} in {}",
            cases_of.len()
        );
        assert!(
            cases_of.len() as u64 * limit <= cases,
            "of {cases}, {read} of them read, a comment {what} in {}: {}",
            cases_of.len(),
            cases_of[..cases_of.len().min(10)].join("\n\n")
        );
    }
}

/// What differs between both readers; otherwise whether they read it.
fn difference(oracle: &mut Oracle, text: &[u8]) -> Result<bool, Difference> {
    let theirs = oracle.read(text);
    match (ours(text), theirs) {
        (Err(_), Err(_)) => Ok(false),
        (Ok(ours), Ok(theirs)) => oracle::difference(&ours, &theirs).map(|()| true),
        (Ok(_), Err(error)) => Err(Difference::Values(format!(
            "we read it, the reference does not: {error}"
        ))),
        (Err(error), Ok(_)) => Err(Difference::Values(format!(
            "the reference reads it, we do not: {error}"
        ))),
    }
}

//! How many cases a test generates, and from which seed.
//!
//! `SEALWRIGHT_SEED` and `SEALWRIGHT_CASES` choose both for every test; `SEALWRIGHT_SOAK=1`, which `make soak` sets, asks
//! for the long runs.

#![allow(
    clippy::print_stdout,
    reason = "what a failure takes to be repeated belongs to the output of a test"
)]

/// The seed of a test, its own unless another is asked for. It is printed, so that a failure can be repeated.
pub fn seed(own: u64) -> u64 {
    let seed = number("SEALWRIGHT_SEED").unwrap_or(own);
    println!("SEALWRIGHT_SEED={seed}");
    seed
}

/// The number of cases: `short` in `make test`, `long` in `make soak`.
pub fn cases(short: usize, long: usize) -> usize {
    let usual = if is_soak() { long } else { short };
    let cases = number("SEALWRIGHT_CASES").map_or(usual, |cases| {
        usize::try_from(cases).expect("the number of cases fits this machine")
    });
    println!("SEALWRIGHT_CASES={cases}");
    cases
}

/// Returns true if what is too long for `make test` is to run.
pub fn is_soak() -> bool {
    std::env::var("SEALWRIGHT_SOAK").is_ok_and(|value| value == "1")
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")))
}

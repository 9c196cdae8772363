//! `sbom TARGET PACKAGE… > sealwright.cdx.json`: what the programs are built of, as CycloneDX 1.6.
//!
//! Only what is compiled into the packages for the target is listed: no tools of the build, no dependencies of tests.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the document goes to standard output, what is wrong to standard error"
)]

use std::process::ExitCode;

use sealwright_tests::sbom;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let made = match words.split_first() {
        Some((target, packages)) if !packages.is_empty() => sbom::of_workspace(target, packages),
        _ => Err("usage: sbom TARGET PACKAGE…".to_owned()),
    };
    match made {
        Ok(document) => {
            println!("{document:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sbom: {error}");
            ExitCode::FAILURE
        }
    }
}

//! Builds what the tests need and the machine does not have: `servers [NAME…]`; without a name, all that `make test` needs.
//! The progress goes to standard error, the folders of the programs to standard output.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "progress and result are what it is there to show"
)]

use std::process::ExitCode;

use sealwright_tests::harness::pins::{self, PINS, Pin};
use sealwright_tests::harness::{cache, upstream};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| pins::all().all(|pin| pin.name != name.as_str()))
    {
        let known: Vec<&str> = pins::all().map(|pin| pin.name).collect();
        eprintln!("servers: no {unknown} in the list: {}", known.join(" "));
        return ExitCode::FAILURE;
    }
    let mut failed = false;
    if names.is_empty()
        && let Err(error) = upstream::ensure_system()
    {
        eprintln!("servers: {error}");
        failed = true;
    }
    let wanted: Vec<&Pin> = match names.is_empty() {
        true => PINS.iter().collect(),
        false => pins::all()
            .filter(|pin| names.iter().any(|name| name == pin.name))
            .collect(),
    };
    for pin in wanted {
        // The one thing that a machine may go without: its test says so, too.
        if let Some(reason) = upstream::left_out(pin) {
            eprintln!("servers: LEFT OUT: {}: {reason}", pin.name);
            continue;
        }
        match cache::ensure(pin, &|line| eprintln!("servers: {line}")) {
            Ok(home) => println!("{}", home.join("bin").display()),
            Err(error) => {
                eprintln!("servers: cannot build {}: {error}", pin.name);
                failed = true;
            }
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

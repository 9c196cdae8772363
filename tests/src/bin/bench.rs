//! `bench [NAME…]`: measures the rows whose names begin so, all of them without a name.

#![allow(clippy::print_stdout, reason = "the table is for the terminal")]

use std::process::ExitCode;

use sealwright_tests::bench;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    match bench::run(&names, &mut |line| println!("{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

//! Runs one program and tells what it took: `measured INPUT OUTPUT PROGRAM ARGUMENTS…`.
//!
//! Prints wall clock in nanoseconds, processor time in microseconds, the peak of resident memory in kilobytes and the exit code. It is a
//! program of its own because the kernel counts the memory of the process that starts another one as the other's: this one is small.

#![allow(clippy::print_stdout, reason = "the measurement is its output")]

use std::env;
use std::error::Error;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: measured INPUT OUTPUT PROGRAM ARGUMENTS…")
    };
    let (input, output, program) = (next()?, next()?, next()?);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(File::open(input)?)
        .stdout(File::create(output)?)
        .stderr(Stdio::inherit());
    let start = Instant::now();
    let status = command.status()?;
    let wall = start.elapsed().as_nanos();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let processor = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    println!(
        "{wall} {processor} {} {}",
        usage.max_rss(),
        status.code().unwrap_or(-1)
    );
    Ok(())
}

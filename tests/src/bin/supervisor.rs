//! Owns what a test run starts, so that nothing outlives the run, however the run ends.
//!
//! A test process cannot clean up after `kill -9`. But the kernel closes its pipes: each supervisor reads one, and
//! the end of it is the order to tidy up. Supervisors are process groups of their own, out of reach of Ctrl-C in a terminal.
//!
//! - `supervisor folder PATH` removes the folder PATH at the end.
//! - `supervisor run PROGRAM ARGUMENTS…` runs a program and kills it, with all of its process group, at the end. Standard
//!   error is the program's log; standard output tells the owner `pid N`, and `exited …` should it end by itself.
//! - `supervisor leaf PARENT PROGRAM ARGUMENTS…` is how `run` starts the program: the kernel kills it should even
//!   the supervisor be killed.

#![allow(
    clippy::print_stdout,
    reason = "standard output is the line to the owner"
)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let done = match arguments.split_first() {
        Some((mode, [path])) if mode == "folder" => folder(Path::new(path)),
        Some((mode, [program, rest @ ..])) if mode == "run" => run(program, rest),
        Some((mode, [parent, program, rest @ ..])) if mode == "leaf" => {
            Err(leaf(parent, program, rest))
        }
        _ => Err(io::Error::other(
            "usage: supervisor folder PATH | run PROGRAM ARGUMENTS…",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log is all there is to tell it to; a closed log must not keep the supervisor from ending.
            drop(writeln!(io::stderr(), "supervisor: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn folder(path: &Path) -> io::Result<()> {
    wait_for_the_end();
    // Servers are killed at the same moment and may still write for a little while.
    for _ in 0..200 {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(50))
            }
            _ => return Ok(()),
        }
    }
    fs::remove_dir_all(path)
}

fn run(program: &OsString, arguments: &[OsString]) -> io::Result<()> {
    let log = io::stderr().as_fd().try_clone_to_owned()?;
    let mut child = Command::new(env::current_exe()?)
        .args([
            OsString::from("leaf"),
            std::process::id().to_string().into(),
            program.clone(),
        ])
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .spawn()?;
    let group = Pid::from_child(&child);
    tell(&format!("pid {}", group.as_raw_nonzero()));
    let ending = thread::spawn(move || {
        wait_for_the_end();
        // No such process: it has ended already.
        let _ = kill_process_group(group, Signal::KILL);
    });
    let status = child.wait()?;
    tell(&format!("exited {status}"));
    ending
        .join()
        .map_err(|_| io::Error::other("the watch of the owner failed"))
}

fn leaf(parent: &OsString, program: &OsString, arguments: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have died before the line above.
    if getppid().map(|pid| pid.as_raw_nonzero().to_string().into()) != Some(parent.clone()) {
        return io::Error::other("the supervisor is gone");
    }
    let error = Command::new(program).args(arguments).exec();
    io::Error::other(format!("cannot run {}: {error}", program.display()))
}

fn wait_for_the_end() {
    let mut rest = Vec::new();
    // An error is an end as well: there is no parent left.
    drop(io::stdin().read_to_end(&mut rest));
}

fn tell(line: &str) {
    // The owner may be gone; then the end comes next.
    drop(writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush()));
}

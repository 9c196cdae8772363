//! Tells the program which commit it is built of, and the linker how to write it.
//!
//! A packager sets `SEALWRIGHT_COMMIT`. Otherwise Git is asked, in release builds only: builds of development are made of
//! whatever lies in the working tree, and would be made again after each commit.

#![allow(
    clippy::print_stdout,
    reason = "that is how a build script speaks to cargo"
)]

#[path = "../deploy/linking.rs"]
mod linking;

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../deploy/linking.rs");
    linking::ask_for_a_quick_start();
    println!("cargo::rerun-if-env-changed=SEALWRIGHT_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = match std::env::var("SEALWRIGHT_COMMIT") {
        Ok(commit) if !commit.is_empty() => commit,
        _ if release => of_git().unwrap_or_else(|| "unknown".to_owned()),
        _ => "a build of development".to_owned(),
    };
    println!("cargo::rustc-env=SEALWRIGHT_COMMIT={commit}");
}

fn of_git() -> Option<String> {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let head = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={head}");
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(match changed {
        true => format!("{commit} with changes"),
        false => commit,
    })
}

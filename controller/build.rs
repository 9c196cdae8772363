//! Tells the linker how to write the program.

#![allow(
    clippy::print_stdout,
    reason = "that is how a build script speaks to cargo"
)]

#[path = "../deploy/linking.rs"]
mod linking;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../deploy/linking.rs");
    linking::ask_for_a_quick_start();
}

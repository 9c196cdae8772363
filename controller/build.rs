//! Tells the linker how to write the program.

#![allow(
    clippy::print_stdout,
    reason = "that is how a build script speaks to cargo"
)]

#[path = "../deploy/packed_relocations.rs"]
mod packed_relocations;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../deploy/packed_relocations.rs");
    packed_relocations::ask_for();
}

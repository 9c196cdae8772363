//! The harness: programs that are built once, servers that run as long as a test binary does.

pub mod cache;
pub mod incumbents;
pub mod pins;
mod toolchain;

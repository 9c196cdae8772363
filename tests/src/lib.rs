//! Real servers and upstream's own programs, for the tests and the benchmark of sealwright.
//!
//! This crate owns what it takes to put sealwright beside the real thing: the pinned list of programs and how each is
//! built ([`harness::pins`]), servers that are started, watched and stopped ([`harness::server`]), and a Kubernetes API
//! server for each test binary that asks for one ([`harness::cluster()`]). It knows nothing of the inside of the
//! other crates: tests here see programs, files and the API.
//!
//! `README.md` beside this crate says how to write a test on it.

#[cfg(feature = "bench")]
pub mod bench;
pub mod harness;
#[cfg(test)]
mod parity;
#[cfg(feature = "sbom")]
pub mod sbom;

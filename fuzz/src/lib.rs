//! The fuzz targets: `cargo +nightly fuzz run NAME fuzz/found/NAME fuzz/corpus/NAME` from the folder above.
//!
//! What they check lies in `targets.rs`, which the tests of the documents replay over the kept corpus with an ordinary
//! compiler. The laws are those of the generated documents.

#[path = "../../documents/tests/documents/generate.rs"]
#[allow(dead_code, reason = "the targets need the dice and no generator")]
mod generate;
#[path = "../../documents/tests/documents/laws.rs"]
#[allow(dead_code, reason = "secrets are marked in generated documents only")]
mod laws;
mod targets;
mod template;

pub use targets::*;
pub use template::template;

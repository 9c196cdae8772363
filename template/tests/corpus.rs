//! The kept inputs of the fuzz target, with an ordinary compiler.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/template.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets are a library")]
mod target;

#[test]
fn the_kept_inputs_of_the_fuzz_target_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/template");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        target::template(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 100, "the corpus is there");
}

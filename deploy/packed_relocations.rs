//! What the build scripts of both programs share.

use std::process::Command;

/// Asks the linker to pack relative relocations into a tenth of their size: tens of thousands of them are read at every start.
/// Static programs relocate themselves; others need a loader that knows the format (glibc 2.36), as the one here does if it is new enough.
pub(super) fn ask_for() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_packed = match variable("CARGO_CFG_TARGET_ENV").as_str() {
        "musl" => true,
        "gnu" => variable("TARGET") == variable("HOST") && glibc() >= Some((2, 36)),
        _ => false,
    };
    if is_packed && variable("PROFILE") == "release" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let asked = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let text = String::from_utf8(asked.ok()?.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

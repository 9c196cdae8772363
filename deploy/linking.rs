//! What the build scripts of both programs ask of the linker, so that the programs start quickly.

use std::path::Path;
use std::process::Command;

/// Asks for it in release builds.
pub(super) fn ask_for_a_quick_start() {
    if variable("PROFILE") != "release" {
        return;
    }
    match variable("CARGO_CFG_TARGET_ENV").as_str() {
        "musl" => pack_relocations(),
        "gnu" if variable("TARGET") == variable("HOST") => {
            if glibc() >= Some((2, 36)) {
                pack_relocations();
            }
            link_the_unwinder();
        }
        _ => {}
    }
}

/// Packs relative relocations into a tenth of their size: tens of thousands of them are read at every start. Static programs relocate
/// themselves; others need a loader that knows the format, as that of glibc 2.36 does.
fn pack_relocations() {
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}

/// Takes the few functions that unwind a panic from the compiler's archive: to load a library for them takes a twentieth of a short run.
fn link_the_unwinder() {
    const ARCHIVE: &str = "libgcc_eh.a";
    // What is not found comes back without its folder.
    let found = asked("cc", &format!("-print-file-name={ARCHIVE}"));
    let folder = found.as_deref().map(Path::new).and_then(Path::parent);
    if let Some(folder) = folder.filter(|folder| folder.is_absolute()) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static=gcc_eh");
    }
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let text = asked("getconf", "GNU_LIBC_VERSION")?;
    let (major, minor) = text.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn asked(program: &str, word: &str) -> Option<String> {
    let answer = Command::new(program).arg(word).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    Some(text.trim().to_owned())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

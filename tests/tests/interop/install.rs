//! What `make install` and `make dist` put into place.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealwright_tests::harness::cluster::run;
use sealwright_tests::harness::programs;

fn script(name: &str, arguments: &[&Path], links: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name);
    run(Command::new(script).args(arguments).args(links), b"")
}

fn folder_of_programs() -> PathBuf {
    let program = programs::sealwright();
    program.parent().expect("a folder").to_path_buf()
}

#[test]
fn installs_programs_pages_completions_and_the_links_that_were_asked_for() {
    let prefix = tempfile::tempdir().unwrap();
    let output = script(
        "install",
        &[&folder_of_programs(), prefix.path()],
        &["sops external-secrets"],
    );
    assert!(output.status.success(), "{output:?}");
    let at = |name: &str| prefix.path().join(name);
    for (program, argument, words) in [
        ("bin/sealwright", "--version", "sealwright "),
        ("bin/kubectl-sealwright", "--version", "sealwright "),
        ("bin/sops", "--version", "sops 3."),
        ("bin/sealwright-controller", "--version", ""),
    ] {
        let output = run(Command::new(at(program)).arg(argument), b"");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && shown.contains(words),
            "{program}: {shown}"
        );
    }
    assert!(
        !at("bin/kubeseal").exists(),
        "a link that was not asked for"
    );
    let help = run(Command::new(at("bin/external-secrets")).arg("--help"), b"");
    let help = [help.stdout, help.stderr].concat();
    assert!(String::from_utf8_lossy(&help).contains("--enable-leader-election"));
    for (page, word) in [
        ("share/man/man1/sealwright-encrypt.1", ".TH"),
        ("share/bash-completion/completions/sealwright", "updatekeys"),
        ("share/zsh/site-functions/_sealwright", "updatekeys"),
        (
            "share/fish/vendor_completions.d/sealwright.fish",
            "updatekeys",
        ),
    ] {
        let text = std::fs::read_to_string(at(page)).unwrap();
        assert!(text.contains(word), "{page}");
    }
}

#[test]
fn an_unknown_link_is_refused_before_anything_is_installed() {
    let prefix = tempfile::tempdir().unwrap();
    let output = script(
        "install",
        &[&folder_of_programs(), prefix.path()],
        &["sops vault"],
    );
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("vault is no program that sealwright replaces"),
        "{told}"
    );
    assert_eq!(std::fs::read_dir(prefix.path()).unwrap().count(), 0);
}

/// The release is for machines and images without a C library, so programs that need one are not packed.
#[test]
fn programs_that_need_a_loader_are_not_packed() {
    let out = tempfile::tempdir().unwrap();
    let output = script("dist", &[&folder_of_programs(), out.path()], &[]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("is not linked statically"), "{told}");
}

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
    let sbom = out.path().join("none.cdx.json");
    let output = script("dist", &[&folder_of_programs(), out.path(), &sbom], &[]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("is not linked statically"), "{told}");
}

#[test]
fn the_list_of_what_the_programs_are_built_of_is_whole_and_no_longer() {
    let packages = ["sealwright", "sealwright-controller"].map(str::to_owned);
    let sbom =
        sealwright_tests::sbom::of_workspace("x86_64-unknown-linux-musl", &packages).unwrap();
    assert_eq!(
        (&sbom["bomFormat"], &sbom["specVersion"]),
        (&"CycloneDX".into(), &"1.6".into())
    );
    let components = sbom["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|one| one["name"] == name);
    for name in ["age", "aws-lc-rs", "kube", "rustls", "sealwright-crypto"] {
        assert!(named(name).is_some(), "{name}");
    }
    // Of the compiler, of tests, of other systems.
    for name in ["serde_derive", "insta", "cc", "windows-sys"] {
        assert!(named(name).is_none(), "{name}");
    }
    let mut references = std::collections::BTreeSet::new();
    for component in components {
        assert!(
            component["licenses"][0]["expression"].is_string(),
            "{component}"
        );
        let is_ours = component["name"]
            .as_str()
            .unwrap()
            .starts_with("sealwright");
        assert!(is_ours || component["hashes"][0]["content"].as_str().unwrap().len() == 64);
        assert!(
            references.insert(component["bom-ref"].as_str().unwrap()),
            "{component}"
        );
    }
    for program in sbom["metadata"]["component"]["components"]
        .as_array()
        .unwrap()
    {
        references.insert(program["bom-ref"].as_str().unwrap());
    }
    references.insert("sealwright-release");
    for edge in sbom["dependencies"].as_array().unwrap() {
        assert!(references.contains(edge["ref"].as_str().unwrap()));
        for below in edge["dependsOn"].as_array().unwrap() {
            assert!(references.contains(below.as_str().unwrap()), "{below}");
        }
    }
    assert_eq!(
        sbom["dependencies"].as_array().unwrap().len(),
        references.len()
    );
}

//! The demo works, says what it promises and leaves nothing behind.

use std::path::Path;
use std::process::Command;

use sealwright_tests::harness::cluster::run;
use sealwright_tests::harness::programs;

#[test]
fn the_demo_ends_well_and_leaves_nothing() {
    let empty = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = programs::sealwright();
    let target = program.ancestors().nth(2).expect("the target folder");
    // As people run it, but for the build, which has happened.
    let mut demo = Command::new("make");
    demo.args(["--silent", "demo", "CARGO=true", "--directory"])
        .arg(root)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    demo.env("TMPDIR", empty.path()).env("HOME", empty.path());
    let output = run(&mut demo, b"");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{shown}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(shown.contains("\n  identical\n"), "{shown}");
    assert!(shown.contains("user:   ENC[AES256_GCM,"), "{shown}");
    assert!(shown.contains("\n      password: AQ"), "{shown}");
    assert!(shown.contains("\n  which is: correct horse\n"), "{shown}");
    assert!(
        shown.contains("manifests of kind SecretStore: 1, in store.yaml\n"),
        "{shown}"
    );
    assert!(shown.ends_with("nothing is left behind.\n"), "{shown}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

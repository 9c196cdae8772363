//! The controllers side by side, as far as that needs no cluster.

use std::process::{Command, Output};

use sealwright_tests::harness::{programs, upstream};

/// Starts a controller outside of any cluster, where it says what it is and then why it ends.
fn run(ours: bool, flags: &[&str]) -> (String, String, Option<i32>) {
    let program = match ours {
        true => programs::sealwright_controller(),
        false => upstream::sealed_secrets_controller(),
    };
    let Output {
        stdout,
        stderr,
        status,
    } = Command::new(program)
        .args(flags)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code())
}

#[test]
fn c20_information_goes_to_standard_output_and_all_else_to_standard_error() {
    let start = "level=INFO msg=\"Starting sealed-secrets controller\"";
    let end = "unable to load in-cluster configuration";
    for ours in [false, true] {
        for flag in ["--log-info-stdout", "--log-level=INFO"] {
            let (out, err, code) = run(ours, &[flag, "--rotate-period=1h"]);
            assert_eq!(out.lines().count(), 1, "{ours} {out}");
            assert!(out.contains(start), "{ours} {out}");
            // The notice of an old flag is no information.
            assert!(
                err.contains("Flag --rotate-period has been deprecated"),
                "{ours} {err}"
            );
            assert!(
                err.contains(end) && !err.contains("level=INFO"),
                "{ours} {err}"
            );
            assert_eq!(code, Some(2), "{ours}");
        }
        let (out, err, code) = run(ours, &["--log-info-stdout=false", "--rotate-period=1h"]);
        assert_eq!(out, "", "{ours}");
        assert!(err.contains(start) && err.contains(end), "{ours} {err}");
        assert_eq!(code, Some(2), "{ours}");
        let (out, _, _) = run(ours, &["--log-level=ERROR"]);
        assert_eq!(out, "", "{ours}");
    }
}

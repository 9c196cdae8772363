//! What is said when no key opens a file: each key, each place that was looked at, why it failed, and what to do.

use std::fs;
use std::process::{Command, Stdio};

use sealwright_tests::harness::upstream;

use super::{Desk, Whose};

/// A report without its layout: words are broken over lines.
fn flat(report: &str) -> String {
    let lines = report
        .lines()
        .map(|line| line.trim().trim_start_matches("- |"));
    let words: Vec<&str> = lines
        .flat_map(|line| line.trim_start_matches('|').split_whitespace())
        .collect();
    words.join(" ")
}

#[track_caller]
fn tells(report: &str, texts: &[&str]) {
    let flat = flat(report);
    for text in texts {
        assert!(flat.contains(text), "{text:?} is not in:\n{report}");
    }
    assert!(!flat.contains("grease"), "{report}");
    assert!(!flat.contains("AGE-SECRET-KEY-1"), "{report}");
}

/// A desk with a file for the third recipient and an SSH key, none of which can be opened here.
fn desk() -> (Desk, String) {
    let mut desk = Desk::new();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "them", "-f"])
        .arg(desk.path("theirs"))
        .status();
    assert!(made.expect("OpenSSH is there").success());
    let ssh = desk.read("theirs.pub").trim().to_owned();
    let to = format!("{},{ssh}", desk.recipients[2]);
    desk.theirs_encrypts("a.yaml", "a: 1\n", &["--age", &to]);
    fs::remove_file(desk.path("theirs")).unwrap();
    fs::remove_file(desk.key_file()).unwrap();
    desk.set("SOPS_AGE_KEY_FILE", "");
    (desk, ssh)
}

#[test]
fn every_place_for_age_identities_is_named_with_what_came_of_it() {
    let (mut desk, ssh) = desk();
    let name = desk.recipients[2].clone();
    let report = desk.ours(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &[
            &name,
            "SOPS_AGE_KEY: not set",
            "SOPS_AGE_KEY_CMD: not set",
            "home/.config/sops/age/keys.txt: not there",
            "SSH keys: not looked at, they do not open X25519 ",
            "SOPS_AGE_SSH_PRIVATE_KEY_FILE: not set",
            "home/.ssh/id_rsa: not there",
        ],
    );
    let report = desk.sealwright(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &[
            &format!(
                "hint: age: let SOPS_AGE_KEY_FILE name the file that holds the identity (AGE-SECRET-KEY-…) of {name}"
            ),
            &format!(
                "hint: SSH: let SOPS_AGE_SSH_PRIVATE_KEY_FILE name the private half of {}",
                &ssh[..40]
            ),
        ],
    );
    desk.set("SOPS_AGE_KEY", "AGE-SECRET-KEY-1BROKEN");
    desk.set("SOPS_AGE_KEY_FILE", "/nowhere/keys.txt");
    desk.set("SOPS_AGE_KEY_CMD", "sh -c 'echo locked out >&2; exit 3'");
    desk.set("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "echo hello");
    let other = desk.home().join(".config/sops/age/keys.txt");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, &desk.identities[0]).unwrap();
    let report = desk.ours(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &[
            "SOPS_AGE_KEY: line 1 is not an identity",
            "SOPS_AGE_KEY_FILE (/nowhere/keys.txt): No such file or directory",
            "failed: exit status: 3: locked out",
            "SOPS_AGE_SSH_PRIVATE_KEY_CMD: ",
            &format!("keys.txt ({}): not the one it is for", desk.recipients[0]),
        ],
    );
    let ran = desk.sealwright(["--output", "json", "decrypt", "a.yaml"]);
    let error: serde_json::Value = serde_json::from_str(ran.err.trim()).unwrap();
    assert_eq!(error["hints"].as_array().unwrap().len(), 2, "{error}");
}

#[test]
fn groups_say_which_opened_and_how_many_more_are_needed() {
    let desk = Desk::new();
    let [own, _, other] = &desk.recipients[..] else {
        unreachable!("a desk has three")
    };
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - shamir_threshold: 3\n    key_groups:\n      - age: [{own}]\n      - age: [{other}]\n      - age: [{other}, {own}]\n      - age: [{other}]\n"
        ),
    );
    desk.write("a.yaml", "a: 1\n");
    desk.theirs(["encrypt", "--in-place=true", "a.yaml"]).good();
    let report = desk.ours(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &[
            "Group 0: SUCCESS",
            "Group 1: FAILED",
            "Group 2: SUCCESS",
            "Group 3: FAILED",
            "3 of them are needed; 2 could be used: one key of one more group is needed",
        ],
    );
    let report = desk.sealwright(["decrypt", "a.yaml"]).fails(128);
    tells(&report, &["hint: age: "]);
}

#[test]
fn openpgp_and_key_services_say_where_they_looked() {
    let mut desk = Desk::new();
    let gpg = upstream::gpg();
    let (full, empty) = (
        desk.root.path().join("full"),
        desk.root.path().join("empty"),
    );
    for home in [&full, &empty] {
        fs::create_dir(home).unwrap();
        fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    let made = Command::new(&gpg)
        .env("GNUPGHOME", &full)
        .args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""])
        .args([
            "--quick-gen-key",
            "a@example.org",
            "future-default",
            "default",
            "never",
        ])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let listed = Command::new(&gpg)
        .env("GNUPGHOME", &full)
        .args(["--list-keys", "--with-colons"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = listed.lines().find(|line| line.starts_with("fpr")).unwrap();
    let fingerprint = line.split(':').nth(9).unwrap().to_owned();
    desk.set("GNUPGHOME", full.to_str().unwrap());
    desk.write("a.yaml", "a: 1\n");
    desk.ours(["encrypt", "-i", "--pgp", &fingerprint, "a.yaml"])
        .good();
    desk.set("GNUPGHOME", empty.to_str().unwrap());
    let report = desk.ours(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &[
            &fingerprint,
            &format!(
                "gpg has no private key for it (looked in GNUPGHOME, {}",
                empty.display()
            ),
        ],
    );
    let report = desk.sealwright(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &[&format!(
            "hint: OpenPGP: `gpg --list-secret-keys {fingerprint}` must show the key"
        )],
    );
    desk.set("SOPS_GPG_EXEC", "/nowhere/gpg");
    let report = desk.ours(["decrypt", "a.yaml"]).fails(128);
    tells(
        &report,
        &["there is no program \"/nowhere/gpg\"", "SOPS_GPG_EXEC"],
    );
    let socket = format!("unix://{}", desk.root.path().join("none.sock").display());
    let words = [
        "--enable-local-keyservice=false",
        "--keyservice",
        &socket,
        "decrypt",
        "a.yaml",
    ];
    let report = desk.run(Whose::Ours, words).fails(128);
    tells(
        &report,
        &[
            &format!("key service {socket}: "),
            "No such file or directory",
        ],
    );
    for home in [&full, &empty] {
        let _ = Command::new("gpgconf")
            .env("GNUPGHOME", home)
            .args(["--kill", "all"])
            .status();
    }
}

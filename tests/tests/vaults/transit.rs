//! Vault's transit engine as the master key of files, both ways with the real sops on one server.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::programs::sealwright;
use sealwright_tests::harness::upstream;
use serde_json::json;

const PLAIN: &str = "password: s3cr3t\n";

/// A server with a transit engine and a key.
fn server() -> OpenBao {
    let server = OpenBao::start().unwrap();
    server.api(
        "POST",
        "sys/mounts/transit",
        Some(&json!({"type": "transit"})),
    );
    server.api("POST", "transit/keys/files", Some(&json!({})));
    server
}

fn url(server: &OpenBao) -> String {
    format!("{}/v1/transit/keys/files", server.address())
}

fn run(program: &Path, folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("VAULT_TOKEN", ROOT)
        .envs(variables.iter().copied())
        .args(arguments);
    command.output().unwrap()
}

fn good(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn files_open_on_both_sides_also_after_the_key_was_rotated() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let (sops, ours) = (upstream::sops(), sealwright());
    fs::write(folder.path().join("plain.yaml"), PLAIN).unwrap();
    let call =
        |program: &Path, arguments: &[&str]| good(&run(program, folder.path(), arguments, &[]));
    let url = url(&server);
    let flag = ["--hc-vault-transit", &url];
    let theirs = call(&sops, &["encrypt", flag[0], flag[1], "plain.yaml"]);
    fs::write(folder.path().join("theirs.yaml"), theirs).unwrap();
    let made = call(&ours, &["sops", "encrypt", flag[0], flag[1], "plain.yaml"]);
    fs::write(folder.path().join("ours.yaml"), made).unwrap();
    server.api("POST", "transit/keys/files/rotate", Some(&json!({})));
    for name in ["theirs.yaml", "ours.yaml"] {
        assert_eq!(call(&ours, &["decrypt", name]), PLAIN, "{name}");
        assert_eq!(call(&sops, &["decrypt", name]), PLAIN, "{name}");
    }
    let newer = call(&ours, &["sops", "encrypt", flag[0], flag[1], "plain.yaml"]);
    assert!(newer.contains("enc: vault:v2:"), "{newer}");
    fs::write(folder.path().join("newer.yaml"), newer).unwrap();
    assert_eq!(call(&sops, &["decrypt", "newer.yaml"]), PLAIN);
}

#[test]
fn a_refusal_names_the_server_and_never_the_token() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain.yaml"), PLAIN).unwrap();
    let url = url(&server);
    let ours = sealwright();
    let encrypt = ["sops", "encrypt", "--hc-vault-transit", &url, "plain.yaml"];
    let file = good(&run(&ours, folder.path(), &encrypt, &[]));
    fs::write(folder.path().join("file.yaml"), file).unwrap();
    let decrypt = |variables: &[(&str, &str)]| {
        let output = run(&ours, folder.path(), &["decrypt", "file.yaml"], variables);
        assert!(!output.status.success());
        // The report breaks its lines where a terminal would.
        let told = String::from_utf8_lossy(&output.stderr);
        let words: Vec<&str> = told
            .split_whitespace()
            .filter(|word| *word != "|")
            .collect();
        words.join(" ")
    };
    let wrong = decrypt(&[("VAULT_TOKEN", "canary-token")]);
    assert!(wrong.contains("the token is not valid"), "{wrong}");
    assert!(!wrong.contains("canary"), "{wrong}");
    let denied = decrypt(&[("SOPS_HC_VAULT_ALLOWLIST", "https://elsewhere")]);
    assert!(denied.contains("SOPS_HC_VAULT_ALLOWLIST"), "{denied}");
    let asked = server.calls(|_, path| path.starts_with("transit/decrypt"));
    assert_eq!(
        asked, 1,
        "the server refuses one, and is not asked for the other"
    );
}

#[test]
fn three_hundred_files_with_one_wrapped_key_are_one_call() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain.yaml"), PLAIN).unwrap();
    let url = url(&server);
    let ours = sealwright();
    let encrypt = ["sops", "encrypt", "--hc-vault-transit", &url, "plain.yaml"];
    let file = good(&run(&ours, folder.path(), &encrypt, &[]));
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    for number in 0..300 {
        fs::write(files.join(format!("{number}.yaml")), &file).unwrap();
    }
    good(&run(
        &ours,
        folder.path(),
        &["decrypt", "--in-place", "files"],
        &[],
    ));
    assert_eq!(fs::read_to_string(files.join("299.yaml")).unwrap(), PLAIN);
    assert_eq!(
        server.calls(|_, path| path.starts_with("transit/decrypt")),
        1
    );
}

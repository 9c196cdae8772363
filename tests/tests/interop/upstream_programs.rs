//! Upstream's programs are there, are the versions that are pinned, and work with each other.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::{eventually, run};
use sealwright_tests::harness::sealed_secrets::Controller;
use sealwright_tests::harness::upstream;

#[test]
fn the_pinned_versions_answer() {
    assert!(
        says(&upstream::sops(), &["--version", "--disable-version-check"])
            .starts_with("sops 3.13.3")
    );
    assert_eq!(says(&upstream::age(), &["--version"]), "v1.3.2\n");
    assert_eq!(
        says(&upstream::kubeseal(), &["--version"]),
        "kubeseal version: v0.40.0\n"
    );
    assert_eq!(
        says(&upstream::sealed_secrets_controller(), &["--version"]),
        "controller version: v0.40.0\n"
    );
    assert!(says(&upstream::kubectl(), &["version", "--client"]).contains("v1.36.3"));
    assert!(says(&upstream::gpg(), &["--version"]).starts_with("gpg (GnuPG) 2."));
}

#[test]
fn what_sops_encrypts_three_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = says(&upstream::age_keygen(), &[]);
    let secret = key
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-"))
        .unwrap();
    let recipient = key
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, "a: secret\nb:\n  - 1\n").unwrap();
    let with_key = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg(&file);
        command
            .env("SOPS_AGE_KEY", secret)
            .current_dir(folder.path());
        let output = run(&mut command, b"");
        assert!(
            output.status.success(),
            "{}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    with_key(
        &upstream::sops(),
        &["encrypt", "--age", recipient, "--in-place"],
    );
    let encrypted = std::fs::read_to_string(&file).unwrap();
    assert!(
        !encrypted.contains("secret") && encrypted.contains("ENC[AES256_GCM"),
        "{encrypted}"
    );

    assert_eq!(
        with_key(&upstream::sops(), &["decrypt", "--output-type", "json"]),
        "{\n\t\"a\": \"secret\",\n\t\"b\": [\n\t\t1\n\t]\n}\n"
    );
    assert_eq!(
        with_key(&upstream::sops_age(), &[]),
        r#"{"a":"secret","b":[1]}"#
    );
    // rops wants a file that it is given by name to be its only input, and takes any pipe for another one.
    let mut rops = Command::new(upstream::rops());
    rops.args(["decrypt", "--format", "yaml"])
        .env("ROPS_AGE", secret);
    let read = run(&mut rops, encrypted.as_bytes());
    assert_eq!(
        String::from_utf8_lossy(&read.stdout).trim_end(),
        "a: secret\nb:\n- 1",
        "{read:?}"
    );
}

#[tokio::test]
async fn the_real_controller_unseals_what_others_sealed_with_its_certificate_through_the_service_proxy()
 {
    let crd = sealwright_resources::sealed_secret::custom_resource_definition();
    cluster().apply(&serde_json::to_string(&crd).unwrap());
    let namespace = cluster().namespace("real-controller").await;
    let controller = Controller::start(&namespace, &[]).await;
    let certificate = controller.kubeseal(&["--fetch-cert"], "");
    assert!(
        certificate.starts_with("-----BEGIN CERTIFICATE-----"),
        "{certificate}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    std::fs::write(&file, certificate).unwrap();
    let file = file.to_str().unwrap();

    // kubeseal seals offline with the certificate it has just fetched.
    let manifest = format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"by-kubeseal","namespace":"{}"}},"stringData":{{"a":"real secret"}}}}"#,
        namespace.name()
    );
    cluster().apply(&controller.kubeseal(&["--cert", file], &manifest));
    // The independent sealer in TypeScript does the same.
    let mut sealer = Command::new(upstream::aes_gcm_rsa_oaep());
    sealer.args([file, "strict", namespace.name(), "by-others"]);
    let sealed = run(&mut sealer, br#"{"a":"other secret"}"#);
    assert!(
        sealed.status.success(),
        "{}",
        String::from_utf8_lossy(&sealed.stderr)
    );
    cluster().apply(std::str::from_utf8(&sealed.stdout).unwrap());

    let secrets: Api<Secret> = namespace.api();
    for (name, value) in [
        ("by-kubeseal", "real secret"),
        ("by-others", "other secret"),
    ] {
        let secret = eventually(name, async || secrets.get_opt(name).await.unwrap()).await;
        assert_eq!(secret.data.unwrap()["a"].0, value.as_bytes());
    }
}

fn says(program: &Path, arguments: &[&str]) -> String {
    let output = run(Command::new(program).args(arguments), b"");
    assert!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

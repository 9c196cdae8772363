//! Files whose data key is wrapped by a key service: both ways between the real `sops` and ours.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use sealwright_tests::harness::fault_proxy::FaultProxy;
use sealwright_tests::harness::moto::Moto;
use sealwright_tests::harness::programs::sealwright;
use sealwright_tests::harness::upstream;
use serde_json::json;

const PLAIN: &str = "db:\n    user: admin\n    password: canary-of-a-password\n";

fn run(program: &Path, arguments: &[&str], folder: &Path, variables: &[(&str, String)]) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn what_kms_wraps_opens_in_both_programs() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let made = moto.call("TrentService.CreateKey", &json!({}));
    let arn = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let home = tempfile::tempdir().unwrap();
    let ours = home.path().join("sops");
    std::os::unix::fs::symlink(sealwright(), &ours).unwrap();
    let theirs = upstream::sops();
    let variables = moto.variables();
    let file = home.path().join("f.yaml");
    fs::write(&file, PLAIN).unwrap();
    for (writer, reader) in [(&theirs, &ours), (&ours, &theirs)] {
        let encrypt = [
            "encrypt",
            "--kms",
            &arn,
            "--encryption-context",
            "app:web",
            "f.yaml",
        ];
        let encrypted = run(writer, &encrypt, home.path(), &variables);
        assert!(encrypted.status.success(), "{}", told(&encrypted));
        assert!(!told(&encrypted).contains("canary"), "{}", told(&encrypted));
        fs::write(home.path().join("e.yaml"), &encrypted.stdout).unwrap();
        let decrypted = run(reader, &["decrypt", "e.yaml"], home.path(), &variables);
        assert_eq!(told(&decrypted), PLAIN);
        let rotated = run(reader, &["rotate", "e.yaml"], home.path(), &variables);
        assert!(rotated.status.success(), "{}", told(&rotated));
        // The context is bound: another one does not open the key.
        let text = String::from_utf8(encrypted.stdout).unwrap();
        fs::write(
            home.path().join("e.yaml"),
            text.replace("app: web", "app: other"),
        )
        .unwrap();
        let refused = run(reader, &["decrypt", "e.yaml"], home.path(), &variables);
        assert_eq!(refused.status.code(), Some(128), "{}", told(&refused));
    }
}

#[test]
fn three_hundred_files_with_one_wrapped_key_cost_one_unwrap() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let made = moto.call("TrentService.CreateKey", &json!({}));
    let arn = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("f.yaml"), PLAIN).unwrap();
    let variables = moto.variables();
    let encrypt = ["encrypt", "--kms", &arn, "--in-place", "tree/f.yaml"];
    let encrypted = run(&sealwright(), &encrypt, home.path(), &variables);
    assert!(encrypted.status.success(), "{}", told(&encrypted));
    for number in 0..299 {
        fs::copy(tree.join("f.yaml"), tree.join(format!("{number}.yaml"))).unwrap();
    }
    let proxy = FaultProxy::start(moto.port());
    let mut variables = variables;
    for (name, value) in &mut variables {
        if name.starts_with("AWS_ENDPOINT_URL") {
            *value = proxy.address();
        }
    }
    let decrypted = run(
        &sealwright(),
        &["decrypt", "--in-place", "tree"],
        home.path(),
        &variables,
    );
    assert!(decrypted.status.success(), "{}", told(&decrypted));
    assert_eq!(fs::read_to_string(tree.join("298.yaml")).unwrap(), PLAIN);
    assert_eq!(proxy.requests(), 1, "{:?}", proxy.heads());
}

#[test]
fn a_denied_key_is_named_with_the_permission_that_is_missing() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("f.yaml"), PLAIN).unwrap();
    let arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000";
    let encrypt = ["encrypt", "--kms", arn, "f.yaml"];
    let refused = run(&sealwright(), &encrypt, home.path(), &moto.variables());
    assert!(!refused.status.success());
    let text = told(&refused);
    assert!(
        text.contains("NotFoundException") && text.contains("AWS KMS in eu-west-1"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

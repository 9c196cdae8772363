//! The same values read by `vals` and by `sealwright fetch`, from the same servers and files: both print the same bytes.
//!
//! `vals` takes minutes to build, so these cases run in `make soak` only.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use sealwright_tests::harness::generated::is_soak;
use sealwright_tests::harness::moto::{Moto, REGION};
use sealwright_tests::harness::openbao::ROOT;
use sealwright_tests::harness::programs::{output, sealwright};
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{mount, openbao};

/// Bytes that are no text, and their Base64.
const BYTES: (&[u8], &str) = (b"\0\x01\xff\xfe\0PK", "AAH//gBQSw==");

/// An empty home, and the variables that lead both programs to the same place.
struct Desk {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(variables: Vec<(&'static str, String)>) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            variables,
        }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.home.path().join(name), content).unwrap();
    }

    fn run(&self, program: &Path, words: &[&str]) -> Vec<u8> {
        let output: Output = Command::new(program)
            .args(words)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{} {words:?}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn vals(&self, reference: &str) -> Vec<u8> {
        self.run(&upstream::vals(), &["get", "-s", reference])
    }

    fn fetch(&self, address: &str) -> Vec<u8> {
        self.run(&sealwright(), &["fetch", address])
    }

    /// Both print these bytes.
    fn same(&self, reference: &str, address: &str, expected: impl AsRef<[u8]>) {
        self.differ(reference, expected.as_ref(), address, expected.as_ref());
    }

    /// Each prints what stands behind it.
    fn differ(
        &self,
        reference: &str,
        theirs: impl AsRef<[u8]>,
        address: &str,
        ours: impl AsRef<[u8]>,
    ) {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(
            shown(&self.vals(reference)),
            shown(theirs.as_ref()),
            "{reference}"
        );
        assert_eq!(
            shown(&self.fetch(address)),
            shown(ours.as_ref()),
            "{address}"
        );
    }

    /// Several at once are the same object.
    fn same_object(&self, pairs: &[(&str, &str, &str)]) {
        let template: Value = pairs
            .iter()
            .map(|(name, reference, _)| ((*name).to_owned(), Value::from(*reference)))
            .collect();
        self.write("refs.json", template.to_string());
        let theirs = self.run(
            &upstream::vals(),
            &["eval", "-s", "-o", "json", "-f", "refs.json"],
        );
        let words: Vec<String> = pairs
            .iter()
            .map(|(name, _, address)| format!("{name}={address}"))
            .collect();
        let mut all = vec!["--output", "json", "fetch"];
        all.extend(words.iter().map(String::as_str));
        let ours = self.run(&sealwright(), &all);
        // As values: Go escapes `<`, `>` and `&` in JSON.
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(parsed(&theirs), parsed(&ours));
    }
}

fn runs(name: &str) -> bool {
    if !is_soak() {
        println!("NOT RUN: {name}: it needs vals; see `make soak`");
    }
    is_soak()
}

#[test]
fn values_of_openbao_are_those_that_vals_reads() {
    if !runs("values_of_openbao_are_those_that_vals_reads") {
        return;
    }
    let server = openbao();
    mount(server, "vals-one", 1);
    mount(server, "vals-two", 2);
    let data = json!({
        "text": "s3cr3t, \"quoted\" $x <&>", "lines": "a\nb\n", "empty": "", "pin": "007",
        "пароль": "ключ 🔑", "dotted.name": "literal", "json": "{\"user\": {\"name\": \"admin\"}}",
        "number": 5432, "flag": true, "none": null, "nested": {"user": {"name": "admin"}},
        "bin": BYTES.1,
    });
    server.api("POST", "vals-one/team/app/db", Some(&data));
    let before = json!({"data": {"text": "before"}});
    server.api("POST", "vals-two/data/team/app/db", Some(&before));
    let now = json!({ "data": data });
    server.api("POST", "vals-two/data/team/app/db", Some(&now));
    let odd = json!({"v": "odd"});
    server.api("POST", "vals-one/a%20b/%D0%B6", Some(&odd));
    let odd = json!({ "data": odd });
    server.api("POST", "vals-two/data/a%20b/%D0%B6", Some(&odd));

    let desk = Desk::new(vec![
        ("VAULT_ADDR", server.address()),
        ("VAULT_TOKEN", ROOT.to_owned()),
        ("BAO_ADDR", server.address()),
        ("BAO_TOKEN", ROOT.to_owned()),
    ]);
    let stores = [
        ("vault://vals-one/", "vault:vals-one/", "?kv=1"),
        ("openbao://vals-one/", "openbao:vals-one/", "?kv=1"),
        ("vault://vals-two/", "vault:vals-two/", ""),
        ("openbao://vals-two/", "openbao:vals-two/", ""),
    ];
    for (theirs, ours, kv) in stores {
        let reference = |rest: &str| format!("ref+{theirs}{rest}");
        let address = |key: &str, property: &str| format!("{ours}{key}{kv}#{property}");
        let texts = [
            ("text", "s3cr3t, \"quoted\" $x <&>"),
            ("lines", "a\nb\n"),
            ("empty", ""),
            ("pin", "007"),
            ("пароль", "ключ 🔑"),
            ("dotted.name", "literal"),
            ("json", "{\"user\": {\"name\": \"admin\"}}"),
            ("number", "5432"),
            ("flag", "true"),
            ("bin", BYTES.1),
        ];
        for (property, expected) in texts {
            desk.same(
                &reference(&format!("team/app/db#/{property}")),
                &address("team/app/db", property),
                expected,
            );
        }
        // Without a fragment, the last part of a path names the property.
        desk.same(
            &reference("team/app/db/text"),
            &address("team/app/db", "text"),
            texts[0].1,
        );
        desk.same(
            &reference("team/app/db#/nested/user/name"),
            &address("team/app/db", "nested.user.name"),
            "admin",
        );
        desk.same(
            &reference("a%20b/%D0%B6#/v"),
            &address("a%20b/%D0%B6", "v"),
            "odd",
        );
        // What is no scalar differs on purpose: a value of Kubernetes is JSON, and null is empty, as the External Secrets
        // Operator has it; vals prints Go's own forms.
        desk.differ(
            &reference("team/app/db#/nested"),
            "map[user:map[name:admin]]",
            &address("team/app/db", "nested"),
            "{\"user\":{\"name\":\"admin\"}}",
        );
        desk.differ(
            &reference("team/app/db#/none"),
            "<nil>",
            &address("team/app/db", "none"),
            "",
        );
    }
    desk.same(
        "ref+vault://vals-two/team/app/db?version=1#/text",
        "openbao:vals-two/team/app/db?version=1#text",
        "before",
    );
    desk.same_object(&[
        (
            "TEXT",
            "ref+vault://vals-one/team/app/db#/text",
            "vault:vals-one/team/app/db?kv=1#text",
        ),
        (
            "KEY",
            "ref+openbao://vals-two/team/app/db#/пароль",
            "openbao:vals-two/team/app/db#пароль",
        ),
    ]);
    bytes_are_decoded(&desk, &server.address());
}

/// vals decodes Base64 where the reference says so, and we where an ExternalSecret does.
fn bytes_are_decoded(desk: &Desk, server: &str) {
    let theirs = desk.vals("ref+vault://vals-two/team/app/db/bin?decode=base64");
    assert_eq!(theirs, BYTES.0);
    let metadata = |name: &str| json!({"name": name, "namespace": "n"});
    let documents = [
        json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": metadata("bin"),
            "spec": {"secretStoreRef": {"name": "store"}, "data": [{"secretKey": "bin", "remoteRef":
                {"key": "team/app/db", "property": "bin", "decodingStrategy": "Base64"}}]}}),
        json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": metadata("store"),
            "spec": {"provider": {"vault": {"server": server, "path": "vals-two", "version": "v2",
                "auth": {"tokenSecretRef": {"name": "token", "key": "token"}}}}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("token"), "stringData": {"token": ROOT}}),
    ];
    let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
    desk.write("bin.yaml", documents.join("\n---\n"));
    let ours = desk.run(
        &sealwright(),
        &["--output", "json", "fetch", "-f", "bin.yaml"],
    );
    let ours: Value = serde_json::from_slice(&ours).unwrap();
    assert_eq!(ours["data"]["bin"], BYTES.1);
}

#[test]
fn values_of_aws_are_those_that_vals_reads() {
    if !runs("values_of_aws_are_those_that_vals_reads") {
        return;
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let document =
        json!({"user": {"name": "admin <&> ключ", "pin": "007"}, "port": 5432, "tls": true,
        "none": null, "dotted.name": "literal"})
        .to_string();
    let document = document.as_str();
    let text = "s3cr3t, \"quoted\" $x ключ 🔑\nb\n";
    let secret = |name: &str, field: &str, value: &str| {
        moto.call(
            "secretsmanager.CreateSecret",
            &json!({"Name": name, field: value}),
        )
    };
    let made = secret("team/app/text", "SecretString", "before");
    secret("team/app/json", "SecretString", document);
    secret("team/app/bin", "SecretBinary", BYTES.1);
    secret("/leading/slash", "SecretString", "leading");
    moto.call(
        "secretsmanager.PutSecretValue",
        &json!({"SecretId": "team/app/text", "SecretString": text}),
    );
    for (name, value) in [
        ("/team/app/text", "before"),
        ("/team/app/text", text),
        ("/team/app/json", document),
    ] {
        moto.call(
            "AmazonSSM.PutParameter",
            &json!({"Name": name, "Type": "SecureString", "Value": value, "Overwrite": true}),
        );
    }

    let desk = Desk::new(moto.variables());
    let (arn, first) = (
        made["ARN"].as_str().unwrap(),
        made["VersionId"].as_str().unwrap(),
    );
    let sm = format!("aws-sm://{REGION}/");
    let by_id = format!("team/app/text?version_id={first}");
    let our_id = format!("team/app/text?version=uuid/{first}");
    let secrets: [(&str, &str, &[u8]); 8] = [
        ("team/app/text", "team/app/text", text.as_bytes()),
        (
            "team/app/text?region=eu-west-1",
            "team/app/text",
            text.as_bytes(),
        ),
        (arn, arn, text.as_bytes()),
        ("/leading/slash", "/leading/slash", b"leading"),
        ("team/app/bin", "team/app/bin", BYTES.0),
        ("team/app/json", "team/app/json", document.as_bytes()),
        (
            "team/app/text?version_stage=AWSPREVIOUS",
            "team/app/text?version=AWSPREVIOUS",
            b"before",
        ),
        (by_id.as_str(), our_id.as_str(), b"before"),
    ];
    for (reference, key, expected) in secrets {
        desk.same(
            &format!("ref+awssecrets://{reference}"),
            &format!("{sm}{key}"),
            expected,
        );
    }
    let ps = format!("aws-ps://{REGION}/");
    for (reference, key, expected) in [
        ("team/app/text", "team/app/text", text),
        ("team/app#/text", "team/app/text", text),
        (
            "team/app/text?version=1",
            "team/app/text?version=1",
            "before",
        ),
        ("team/app/json", "team/app/json", document),
    ] {
        desk.same(
            &format!("ref+awsssm://{reference}"),
            &format!("{ps}{key}"),
            expected,
        );
    }
    for (theirs, ours) in [
        ("awssecrets://team/app/json", &sm),
        ("awsssm://team/app/json?mode=singleparam", &ps),
    ] {
        let reference = |path: &str| format!("ref+{theirs}#/{path}");
        let address = |property: &str| format!("{ours}team/app/json#{property}");
        for (path, property, expected) in [
            ("user/name", "user.name", "admin <&> ключ"),
            ("user/pin", "user.pin", "007"),
            ("port", "port", "5432"),
            ("tls", "tls", "true"),
            ("dotted.name", "dotted.name", "literal"),
        ] {
            desk.same(&reference(path), &address(property), expected);
        }
        // Different on purpose, as those of OpenBao.
        desk.differ(
            &reference("user"),
            "map[name:admin <&> ключ pin:007]",
            &address("user"),
            "{\"name\":\"admin <&> ключ\",\"pin\":\"007\"}",
        );
        desk.differ(&reference("none"), "<nil>", &address("none"), "");
    }
    desk.same_object(&[
        (
            "TEXT",
            "ref+awssecrets://team/app/text",
            "aws-sm:team/app/text",
        ),
        (
            "NAME",
            "ref+awssecrets://team/app/json#/user/name",
            "aws-sm:team/app/json#user.name",
        ),
        (
            "PARAMETER",
            "ref+awsssm://team/app/text",
            "aws-ps:team/app/text",
        ),
    ]);
}

#[test]
fn encrypted_files_are_those_that_vals_reads() {
    if !runs("encrypted_files_are_those_that_vals_reads") {
        return;
    }
    let key = output(&mut Command::new(upstream::age_keygen())).unwrap();
    let find = |mark: &str| {
        let at = |line: &str| line.find(mark).map(|at| line[at..].to_owned());
        key.lines().find_map(at).expect("age-keygen prints a key")
    };
    let recipient = find("age1");
    let desk = Desk::new(vec![("SOPS_AGE_KEY", find("AGE-SECRET-KEY-"))]);
    fs::create_dir(desk.home.path().join("team")).unwrap();
    // Spelled as `sops` prints them.
    let files: [(&str, &[u8]); 5] = [
        (
            "yaml",
            "db:\n    user: ключ\n    password: 'p<&>#: x'\n    port: 5432\n    tls: true\n    \
             lines: |\n        a\n        b\n    pin: \"007\"\n"
                .as_bytes(),
        ),
        (
            "json",
            "{\n\t\"db\": {\n\t\t\"user\": \"ключ 🔑\",\n\t\t\"pin\": \"007\",\n\t\t\"port\": 5432\n\t}\n}\n".as_bytes(),
        ),
        ("env", "A=b c=d\nQUOTED=\"q\"\nE=\nКЛЮЧ=🔑\n".as_bytes()),
        ("ini", "[db]\nuser = ключ\npin  = 007\n".as_bytes()),
        ("bin", BYTES.0),
    ];
    let makers: [(_, &[&str]); 2] = [(sealwright(), &["sops"]), (upstream::sops(), &[])];
    for (maker, front_end) in makers {
        for (extension, plain) in files {
            let file = format!("team/e.{extension}");
            desk.write(&file, plain);
            let mut words = front_end.to_vec();
            words.extend(["encrypt", "--in-place", "--age", &recipient, &file]);
            desk.run(&maker, &words);
            desk.same(
                &format!("ref+sops://{file}"),
                &format!("file:{file}"),
                plain,
            );
            let absolute = desk.home.path().join(&file);
            let absolute = absolute.display();
            desk.same(
                &format!("ref+sops://{absolute}"),
                &format!("file:{absolute}"),
                plain,
            );
        }
        for (path, property, expected) in [
            ("yaml#/db/user", "yaml/db#user", "ключ"),
            ("yaml#/db/password", "yaml/db#password", "p<&>#: x"),
            ("yaml#/db/port", "yaml/db#port", "5432"),
            ("yaml#/db/tls", "yaml/db#tls", "true"),
            ("yaml#/db/lines", "yaml/db#lines", "a\nb\n"),
            ("yaml#/db/pin", "yaml/db#pin", "007"),
            ("json?format=json#/db/user", "json/db#user", "ключ 🔑"),
            ("json?format=json#/db/pin", "json/db#pin", "007"),
            ("json#/db/port", "json/db#port", "5432"),
        ] {
            desk.same(
                &format!("ref+sops://team/e.{path}"),
                &format!("file:team/e.{property}"),
                expected,
            );
        }
        desk.same_object(&[
            (
                "USER",
                "ref+sops://team/e.yaml#/db/user",
                "file:team/e.yaml/db#user",
            ),
            ("ALL", "ref+sops://team/e.env", "file:team/e.env"),
        ]);
    }
}

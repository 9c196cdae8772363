//! `publish` of the real `sops` and of ours, into the key-value engine of OpenBao, S3 and Google Cloud Storage.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::moto::Moto;
use sealwright_tests::harness::openbao::ROOT;
use sealwright_tests::harness::peer::{Peer, reply};
use sealwright_tests::harness::programs::sealwright;
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};

use super::support::{mount, openbao};

const PLAIN: &str = "# a comment\ndb:\n    user: admin\n    password: canary-of-a-password\nlist:\n    # inside\n    - a: 1\n      b: true\n    - text\nport: 5432\nnothing: null\n";

/// A folder with encrypted files, two age keys, and both programs.
struct Desk {
    home: tempfile::TempDir,
    ours: PathBuf,
    theirs: PathBuf,
    recipients: [String; 2],
    variables: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(variables: Vec<(&'static str, String)>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ours = home.path().join("sops");
        std::os::unix::fs::symlink(sealwright(), &ours).unwrap();
        let mut identities = String::new();
        let recipients = [0, 1].map(|_| {
            let made = Command::new(upstream::age_keygen()).output().unwrap();
            let text = String::from_utf8(made.stdout).unwrap();
            identities += &text;
            let mut lines = text.lines();
            let line = lines.find_map(|line| line.strip_prefix("# public key: "));
            line.unwrap().to_owned()
        });
        fs::write(home.path().join("age.txt"), identities).unwrap();
        let mut desk = Self {
            theirs: upstream::sops(),
            home,
            ours,
            recipients,
            variables,
        };
        let keys = desk.path("age.txt").to_string_lossy().into_owned();
        desk.variables.push(("SOPS_AGE_KEY_FILE", keys));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn encrypted(&self, name: &str, text: &str) {
        self.write(name, text);
        let age = self.recipients[0].clone();
        let words = ["encrypt", "--age", &age, "--in-place", name];
        good(&self.run(&self.theirs, &words, ""));
    }

    fn run(&self, program: &Path, words: &[&str], input: &str) -> Output {
        let mut child = Command::new(program)
            .args(words)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that asks nothing may have ended already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    told(output)
}

fn versions(path: &str) -> u64 {
    let (status, answer) = openbao().try_api(ROOT, "GET", path, None);
    match status {
        200 => answer["data"]["current_version"].as_u64().unwrap(),
        _ => 0,
    }
}

#[test]
fn s139_files_are_decrypted_into_vault_as_the_real_program_does() {
    mount(openbao(), "pub2", 2);
    mount(openbao(), "pub1", 1);
    let desk = Desk::new(vec![
        ("VAULT_ADDR", openbao().address()),
        ("VAULT_TOKEN", ROOT.to_owned()),
    ]);
    desk.encrypted("app.yaml", PLAIN);
    desk.encrypted("simple.json", r#"{"foo": 2, "bar": "baz"}"#);
    desk.encrypted("b.bin", "canary bytes");
    let value = |path: &str| openbao().api("GET", path, None)["data"].clone();
    let wanted = json!({"db": {"user": "admin", "password": "canary-of-a-password"},
        "list": [{"a": 1, "b": true}, "text"], "port": 5432, "nothing": null});
    for (whose, program) in [("theirs", &desk.theirs), ("ours", &desk.ours)] {
        desk.write(
            ".sops.yaml",
            &format!(
                "destination_rules:\n  - path_regex: json$\n    vault_path: {whose}\n    vault_kv_mount_name: pub2\n    omit_extensions: true\n\
                 \x20 - path_regex: bin$\n    vault_path: {whose}/\n    vault_kv_mount_name: pub1/\n    vault_kv_version: 1\n\
                 \x20 - vault_path: {whose}\n    vault_kv_mount_name: pub2\n"
            ),
        );
        for file in ["simple.json", "b.bin", "app.yaml"] {
            let published = desk.run(program, &["publish", "--yes", file], "");
            let text = good(&published);
            assert!(!text.contains("canary"), "{text}");
        }
        let simple = value(&format!("pub2/data/{whose}/simple"));
        assert_eq!(simple["data"], json!({"foo": 2, "bar": "baz"}), "{whose}");
        let binary = value(&format!("pub1/{whose}/b.bin"));
        assert_eq!(binary, json!({"data": "canary bytes"}), "{whose}");
        // Maps in lists leak their inside in the real program (D11); in ours they are maps.
        let app = &value(&format!("pub2/data/{whose}/app.yaml"))["data"];
        assert_eq!(app["db"], wanted["db"], "{whose}");
        if whose == "ours" {
            assert_eq!(*app, wanted);
        }
    }
    // What is there already is not written again; the real program writes numbers again each time.
    assert_eq!(versions("pub2/metadata/ours/app.yaml"), 1);
    let again = ["publish", "--yes", "app.yaml"];
    assert_eq!(good(&desk.run(&desk.ours, &again, "")), "");
    assert_eq!(versions("pub2/metadata/ours/app.yaml"), 1);
    // Our own front-end says what it does.
    let own = ["publish", "--yes", "app.yaml"];
    let text = good(&desk.run(&sealwright(), &own, ""));
    assert!(text.starts_with("app.yaml: unchanged (http"), "{text}");
    desk.encrypted("app.yaml", "db: other\n");
    let dry = ["publish", "--dry-run", "--output", "json", "app.yaml"];
    let report: Value = serde_json::from_str(&good(&desk.run(&sealwright(), &dry, ""))).unwrap();
    assert_eq!(report["status"], "would-be-published");
    assert_eq!(versions("pub2/metadata/ours/app.yaml"), 1);
    good(&desk.run(&sealwright(), &own, ""));
    assert_eq!(versions("pub2/metadata/ours/app.yaml"), 2);
    // A wrong engine, a wrong token and a folder are told, and nothing is written.
    desk.write(
        ".sops.yaml",
        "destination_rules:\n  - vault_path: p\n    vault_kv_mount_name: none\n",
    );
    for program in [&desk.theirs, &desk.ours] {
        let refused = desk.run(program, &again, "");
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        assert!(!told(&refused).contains("canary"));
    }
}

/// Who may write need not be allowed to read, and a server that fails to read may write.
#[test]
fn s139_what_cannot_be_compared_is_written_all_the_same() {
    for status in [403, 400, 500] {
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&written);
        let peer = Peer::start(move |head, stream| {
            let json = [("Content-Type", "application/json")];
            match head.method.as_str() {
                "GET" => reply(stream, status, &json, br#"{"errors":["no look"]}"#),
                _ => {
                    let body: Value = serde_json::from_slice(&head.body).unwrap();
                    kept.lock().unwrap().push((head.path.clone(), body));
                    reply(stream, 200, &json, br#"{"data":{"version":1}}"#);
                }
            }
        });
        let desk = Desk::new(vec![
            ("VAULT_ADDR", peer.address()),
            ("VAULT_TOKEN", ROOT.to_owned()),
            ("VAULT_MAX_RETRIES", "0".to_owned()),
        ]);
        desk.encrypted("app.json", r#"{"a": "canary"}"#);
        desk.write(".sops.yaml", "destination_rules:\n  - vault_path: p\n");
        for program in [&desk.theirs, &desk.ours] {
            let text = good(&desk.run(program, &["publish", "--yes", "app.json"], ""));
            let warning = "Cannot check if destination secret already exists in secret/data/p/app.json. New version";
            assert!(text.contains(warning), "{status} {text}");
            assert!(!text.contains("no look"), "{status} {text}");
        }
        let own = good(&desk.run(&sealwright(), &["publish", "--yes", "app.json"], ""));
        assert!(
            own.contains("Cannot check") && own.contains("app.json: published"),
            "{own}"
        );
        let wanted = (
            "/v1/secret/data/p/app.json".to_owned(),
            json!({"data": {"a": "canary"}}),
        );
        let written = written.lock().unwrap();
        assert_eq!(*written, vec![wanted; 3], "{status}");
    }
}

#[test]
fn s134_s140_s141_questions_and_folders_are_those_of_the_real_program() {
    mount(openbao(), "pubq", 2);
    let desk = Desk::new(vec![
        ("VAULT_ADDR", openbao().address()),
        ("VAULT_TOKEN", ROOT.to_owned()),
    ]);
    for name in ["tree/a.yaml", "tree/sub/b.yaml", "tree/z.json"] {
        desk.encrypted(name, "{\"a\": \"x\"}\n");
    }
    for (whose, program) in [("theirs", &desk.theirs), ("ours", &desk.ours)] {
        desk.write(
            ".sops.yaml",
            &format!(
                "destination_rules:\n  - path_regex: ^tree/\n    vault_path: {whose}/deep\n    vault_kv_mount_name: pubq\n"
            ),
        );
        let one = ["publish", "tree/a.yaml"];
        let asked = desk.run(program, &one, "n\n");
        assert_eq!(asked.status.code(), Some(1), "{}", told(&asked));
        let text = told(&asked);
        let target = format!(
            "to {}/v1/pubq/data/{whose}/deep/a.yaml ? (y/n):",
            openbao().address()
        );
        assert!(text.contains(&target), "{text}");
        assert!(text.contains("canceled"), "{text}");
        assert_eq!(versions(&format!("pubq/metadata/{whose}/deep/a.yaml")), 0);
        // Something else is asked again.
        good(&desk.run(program, &one, "x\ny\n"));
        assert_eq!(versions(&format!("pubq/metadata/{whose}/deep/a.yaml")), 1);
        let folder = desk.run(program, &["publish", "--yes", "tree"], "");
        assert_eq!(folder.status.code(), Some(1), "{}", told(&folder));
        // One is not wanted, and the others are published all the same.
        let answers = "y\nn\ny\n";
        good(&desk.run(program, &["publish", "--recursive", "./tree/"], answers));
        for (name, count) in [("a.yaml", 1), ("sub/b.yaml", 0), ("z.json", 1)] {
            let found = versions(&format!("pubq/metadata/{whose}/deep/{name}"));
            assert_eq!(found, count, "{whose} {name}");
        }
        // A plain file ends it where it stands.
        desk.write("tree/m.yaml", "plain: canary\n");
        let words = ["publish", "--yes", "--recursive", "tree"];
        let stopped = desk.run(program, &words, "");
        assert_eq!(stopped.status.code(), Some(1), "{}", told(&stopped));
        assert!(!told(&stopped).contains("canary"));
        assert_eq!(
            versions(&format!("pubq/metadata/{whose}/deep/sub/b.yaml")),
            0
        );
        fs::remove_file(desk.path("tree/m.yaml")).unwrap();
    }
}

#[test]
fn s137_s138_files_are_put_into_buckets_of_s3_as_the_real_program_does() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    moto.with_vendors_client(
        "client('s3').create_bucket(Bucket='shop-files', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})",
    );
    let desk = Desk::new(moto.variables());
    let object = |key: &str| {
        let script = format!(
            "print(client('s3').get_object(Bucket='shop-files', Key={key:?})['Body'].read().decode(), end='')"
        );
        moto.with_vendors_client(&script)
    };
    let text = "a: canary\nopen_unencrypted: open\nx_enc: b\n";
    desk.encrypted("app file.yaml", text);
    for (whose, program) in [("theirs", &desk.theirs), ("ours", &desk.ours)] {
        desk.write(
            ".sops.yaml",
            &format!(
                "destination_rules:\n  - s3_bucket: shop-files\n    s3_prefix: {whose}/p+q/\n"
            ),
        );
        good(&desk.run(program, &["publish", "-y", "app file.yaml"], ""));
        // Byte for byte.
        let put = object(&format!("{whose}/p+q/app file.yaml"));
        assert_eq!(put, desk.read("app file.yaml"), "{whose}");
    }
    // Encrypted again for others: all options of the rule count in ours (D10), and the real program reads it.
    let other = &desk.recipients[1];
    desk.write(
        ".sops.yaml",
        &format!(
            "destination_rules:\n  - s3_bucket: shop-files\n    recreation_rule:\n      age: {other}\n      encrypted_regex: ^x_\n      mac_only_encrypted: true\n"
        ),
    );
    let shown = good(&desk.run(&desk.ours, &["publish", "-y", "app file.yaml"], ""));
    assert!(shown.contains(&format!("+++ {other}")), "{shown}");
    assert!(
        shown.contains(&format!("--- {}", desk.recipients[0])),
        "{shown}"
    );
    let anew = object("app file.yaml");
    assert!(
        anew.contains("encrypted_regex: ^x_") && anew.contains("a: canary"),
        "{anew}"
    );
    assert!(anew.contains("mac_only_encrypted: true") && anew.contains(other.as_str()));
    desk.write("anew.yaml", &anew);
    assert_eq!(
        good(&desk.run(&desk.theirs, &["decrypt", "anew.yaml"], "")),
        text
    );
    // Without options the usual suffix counts, where the real program's file cannot be opened any more.
    desk.write(
        ".sops.yaml",
        &format!("destination_rules:\n  - s3_bucket: shop-files\n    recreation_rule:\n      age: {other}\n"),
    );
    good(&desk.run(&desk.ours, &["publish", "-y", "app file.yaml"], ""));
    desk.write("anew.yaml", &object("app file.yaml"));
    assert_eq!(
        good(&desk.run(&desk.theirs, &["decrypt", "anew.yaml"], "")),
        text
    );
    good(&desk.run(&desk.theirs, &["publish", "-y", "app file.yaml"], ""));
    desk.write("anew.yaml", &object("app file.yaml"));
    let broken = desk.run(&desk.theirs, &["decrypt", "anew.yaml"], "");
    assert!(!broken.status.success(), "D10 is gone: {}", told(&broken));
    // A bucket that is not there, and a region that is not set, are told.
    desk.write(".sops.yaml", "destination_rules:\n  - s3_bucket: none\n");
    for program in [&desk.theirs, &desk.ours] {
        let refused = desk.run(program, &["publish", "-y", "app file.yaml"], "");
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    }
    let text = told(&desk.run(&sealwright(), &["publish", "-y", "app file.yaml"], ""));
    assert!(
        text.contains("NoSuchBucket") && text.contains("none"),
        "{text}"
    );
}

#[test]
fn s137_files_are_put_into_buckets_of_google_as_the_real_program_does() {
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    let mut desk = Desk::new(clouds.variables());
    let account = clouds.control("google/account", &json!({}));
    desk.write("account.json", &account.to_string());
    let file = desk.path("account.json").to_string_lossy().into_owned();
    desk.variables
        .push(("GOOGLE_APPLICATION_CREDENTIALS", file));
    desk.encrypted("app.json", r#"{"a": "canary"}"#);
    for (whose, program) in [("theirs", &desk.theirs), ("ours", &desk.ours)] {
        desk.write(
            ".sops.yaml",
            &format!(
                "destination_rules:\n  - gcs_bucket: shop-files\n    gcs_prefix: {whose}/a b/\n"
            ),
        );
        good(&desk.run(program, &["publish", "-y", "app.json"], ""));
        let name = format!("{whose}/a b/app.json");
        let put = clouds.control(
            "google/object",
            &json!({"bucket": "shop-files", "name": name}),
        );
        assert_eq!(put["text"], desk.read("app.json"), "{whose}");
    }
    clouds.control("deny", &json!(["storage.objects.create"]));
    let refused = told(&desk.run(&sealwright(), &["publish", "-y", "app.json"], ""));
    assert!(refused.contains("storage.objects.create"), "{refused}");
    clouds.control("deny", &json!([]));
    desk.write(".sops.yaml", "destination_rules:\n  - gcs_bucket: none\n");
    let refused = desk.run(&desk.ours, &["publish", "-y", "app.json"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        told(&refused).contains("bucket does not exist"),
        "{}",
        told(&refused)
    );
}

/// Google's own library follows the variable, without any credentials.
#[test]
fn s137_an_emulator_of_googles_buckets_is_found_by_its_variable() {
    let put = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&put);
    let peer = Peer::start(move |head, stream| {
        let path = head.path.split('?').next().unwrap_or_default().to_owned();
        let text = String::from_utf8_lossy(&head.body).into_owned();
        let signed_in = head.headers.contains_key("authorization");
        kept.lock().unwrap().push((path, signed_in, text));
        let json = [("Content-Type", "application/json")];
        let object = br#"{"kind":"storage#object","bucket":"shop-files","name":"p/app.json"}"#;
        reply(stream, 200, &json, object);
    });
    let mut desk = Desk::new(vec![("STORAGE_EMULATOR_HOST", peer.address())]);
    desk.encrypted("app.json", r#"{"a": "canary"}"#);
    desk.write(
        ".sops.yaml",
        "destination_rules:\n  - gcs_bucket: shop-files\n    gcs_prefix: p/\n",
    );
    let publish = ["publish", "-y", "app.json"];
    let path = "/upload/storage/v1/b/shop-files/o".to_owned();
    good(&desk.run(&desk.theirs, &publish, ""));
    // The peer does not read the parts in which the real program sends the file.
    let theirs = std::mem::take(&mut *put.lock().unwrap());
    let asked: Vec<_> = theirs.iter().map(|(path, by, _)| (path, *by)).collect();
    assert_eq!(asked.first(), Some(&(&path, false)));
    good(&desk.run(&desk.ours, &publish, ""));
    desk.variables[0].1 = peer.address().replace("http://", "");
    good(&desk.run(&desk.ours, &publish, ""));
    let wanted = (path, false, desk.read("app.json"));
    assert_eq!(*put.lock().unwrap(), vec![wanted; 2]);
    // An address that cannot be used is told, and Google is not asked.
    desk.variables[0].1 = "ftp://emulator".to_owned();
    let refused = desk.run(&desk.ours, &publish, "");
    assert!(!refused.status.success());
    assert!(told(&refused).contains("STORAGE_EMULATOR_HOST"));
}

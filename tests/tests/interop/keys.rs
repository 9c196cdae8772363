//! Master keys: what the real programs wrap we unwrap, and the other way round.
//!
//! These cases use the crypto crate as a library, below the programs of this workspace: a key part goes from one side to
//! the other in the `enc` field of a file.

use std::{
    ffi::OsString,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::pin,
    process::Command,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use sealwright_crypto::{
    age::{self, AgeKey, Identities},
    cipher::ValueCipher,
    data_key::{DataKey, KeyPart},
    master_key::{Callbacks, MasterKey, Wrapped},
    pgp::PgpKey,
    secret::{SecretBytes, SecretText, SecretWriter},
    shamir,
    surroundings::{Call, Outcome, Surroundings, SystemSurroundings},
};
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn age_keys_of_every_kind_go_both_ways_with_sops_and_age() {
    for kind in [
        AgeKind::X25519,
        AgeKind::Hybrid,
        AgeKind::Ssh("ed25519"),
        AgeKind::Ssh("rsa"),
    ] {
        let desk = Desk::new();
        let (recipient, identity) = desk.age_key(kind);
        let identities = Identities::new(desk.surroundings(), Arc::new(Nobody));
        let key = AgeKey::parse(&recipient, &identities).unwrap();
        both_ways_with_sops(&desk, &["--age", &recipient], "age", &key);

        let part: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
        let ours = finish(key.wrap_key(&KeyPart::copy_of(part))).unwrap().0;
        let opened = desk.run(
            Command::new(upstream::age())
                .args(["-d", "-i"])
                .arg(&identity),
            ours.as_bytes(),
        );
        assert_eq!(opened, part, "{kind:?}");
        let theirs = desk.run(
            Command::new(upstream::age()).args(["-a", "-r", &recipient]),
            part,
        );
        let theirs = Wrapped(String::from_utf8(theirs).unwrap());
        let opened = finish(key.unwrap_key(&theirs)).unwrap().unwrap();
        assert_eq!(opened.expose(), part, "{kind:?}");
    }
}

#[test]
fn generated_identities_are_read_by_age() {
    for generated in [age::generate(), age::generate_hybrid()] {
        let desk = Desk::new();
        let file = desk.file("identity.txt", generated.identity.expose());
        let recipient = desk.run(
            Command::new(upstream::age_keygen()).arg("-y").arg(&file),
            b"",
        );
        assert_eq!(
            String::from_utf8(recipient).unwrap().trim(),
            generated.recipient
        );
    }
}

#[test]
fn a_locked_identity_file_of_sops_opens() {
    // The age program asks for passphrases on a terminal only, so the file is one that it made earlier.
    let locked = include_str!("../../../crypto/tests/fixtures/age/locked.txt");
    let open = include_str!("../../../crypto/tests/fixtures/age/x25519.txt");
    let recipient = open
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    let mut desk = Desk::new();
    let plain = desk.file("open.txt", open);
    desk.set("SOPS_AGE_KEY_FILE", plain.to_str().unwrap());
    let file = desk.sops_encrypts(&["--age", recipient]);

    let locked = desk.file("locked.txt", locked);
    desk.set("SOPS_AGE_KEY_FILE", locked.to_str().unwrap());
    let person = Arc::new(Person {
        passphrase: "open sesame",
        asked: Mutex::default(),
    });
    let key = AgeKey::stored(
        recipient,
        &Identities::new(desk.surroundings(), person.clone()),
    );
    let part = unwrap(&key, &file["sops"]["age"][0]["enc"]);
    assert_eq!(first_value(&file, &part), "secret");
    assert_eq!(
        *person.asked.lock().unwrap(),
        [format!(
            "Enter passphrase for identity 'SOPS_AGE_KEY_FILE ({})'",
            locked.display()
        )]
    );
}

/// A plugin is looked for in the `PATH` of the process, which a test must not change: it starts itself again.
#[test]
fn a_plugin_serves_sops_and_us_alike() {
    if std::env::var_os("SEALWRIGHT_TEST_PLUGIN").is_some() {
        // Bech32 of the bytes "fake".
        let recipient = "age1fake1veskkeg0grne9";
        let mut desk = Desk::new();
        desk.set("SOPS_AGE_KEY", "AGE-PLUGIN-FAKE-1VESKKEGTE2VN9");
        desk.set("AGE_PLUGIN_FAKE_QUIET", "1");
        let identities = Identities::new(desk.surroundings(), Arc::new(Nobody));
        let key = AgeKey::parse(recipient, &identities).unwrap();
        return both_ways_with_sops(&desk, &["--age", recipient], "age", &key);
    }
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../crypto/tests/fixtures/age");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys::a_plugin_serves_sops_and_us_alike"])
        .env("PATH", format!("{plugins}:{}", path().display()))
        .env("SEALWRIGHT_TEST_PLUGIN", "1")
        .env("AGE_PLUGIN_FAKE_QUIET", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn pgp_keys_go_both_ways_with_sops() {
    let mut desk = Desk::new();
    let fingerprint = desk.pgp_key();
    let key = PgpKey::parse(&fingerprint, &desk.surroundings());
    both_ways_with_sops(&desk, &["--pgp", &fingerprint], "pgp", &key);
}

#[test]
fn t49_key_groups_of_sops_recombine_and_ours_do_there() {
    let maker = Desk::new();
    let keys: Vec<(String, PathBuf)> = ["a", "b", "c"]
        .iter()
        .map(|name| maker.age_key_in(AgeKind::X25519, name))
        .collect();
    let groups: Vec<Value> = keys
        .iter()
        .map(|(recipient, _)| json!({"age": [recipient]}))
        .collect();
    let rules = json!({"creation_rules": [{"shamir_threshold": 2, "key_groups": groups}]});
    let all = Desk::join(&keys);
    all.file(".sops.yaml", &rules.to_string());
    let identities = Identities::new(all.surroundings(), Arc::new(Nobody));
    let mut file = all.sops_encrypts(&[]);
    let groups = file["sops"]["key_groups"].as_array_mut().unwrap();
    let master: Vec<AgeKey> = keys
        .iter()
        .map(|(recipient, _)| AgeKey::stored(recipient, &identities))
        .collect();
    let shares: Vec<KeyPart> = groups
        .iter()
        .zip(&master)
        .map(|(group, key)| unwrap(key, &group["age"][0]["enc"]))
        .collect();
    for (x, share) in (1..).zip(&shares) {
        assert_eq!((share.expose().len(), share.expose()[32]), (33, x));
    }
    for (one, other) in [(0, 1), (2, 0), (1, 2)] {
        let pair = [&shares[one], &shares[other]].map(|share| KeyPart::copy_of(share.expose()));
        let part = shamir::combine(&pair).unwrap();
        assert_eq!(first_value(&file, &part), "secret");
    }

    // New shares of the same key, put where the old ones were; one group is lost.
    let part = shamir::combine(&shares).unwrap();
    let shares = shamir::split(&DataKey::from_part(&part).unwrap(), 3, 2).unwrap();
    let groups = file["sops"]["key_groups"].as_array_mut().unwrap();
    for ((group, key), share) in groups.iter_mut().zip(&master).zip(&shares) {
        group["age"][0]["enc"] = finish(key.wrap_key(share)).unwrap().0.into();
    }
    for lost in 0..3 {
        let kept: Vec<_> = (0..3)
            .filter(|&i| i != lost)
            .map(|i| keys[i].clone())
            .collect();
        let two = Desk::join(&kept);
        assert_eq!(two.sops_decrypts(&file), json!({"a": "secret"}));
    }
}

/// `key` opens what sops wrapped with `flags`, and sops opens what `key` wraps.
fn both_ways_with_sops(desk: &Desk, flags: &[&str], section: &str, key: &dyn MasterKey) {
    let mut file = desk.sops_encrypts(flags);
    let part = unwrap(key, &file["sops"][section][0]["enc"]);
    assert_eq!(part.expose().len(), 32);
    assert_eq!(first_value(&file, &part), "secret");

    let ours = finish(key.wrap_key(&part)).unwrap().0;
    let theirs = file["sops"][section][0]["enc"].as_str().unwrap();
    assert_eq!(ours.ends_with('\n'), theirs.ends_with('\n'), "t20");
    file["sops"][section][0]["enc"] = ours.into();
    assert_eq!(desk.sops_decrypts(&file), json!({"a": "secret"}));
}

fn unwrap(key: &dyn MasterKey, enc: &Value) -> KeyPart {
    let wrapped = Wrapped(enc.as_str().unwrap().to_owned());
    match finish(key.unwrap_key(&wrapped)) {
        Ok(part) => part.expect("the key is there"),
        Err(error) => panic!("{error}: {:#?}", error.tried),
    }
}

fn first_value(file: &Value, part: &KeyPart) -> String {
    let cipher = ValueCipher::new(&DataKey::from_part(part).unwrap());
    let mut plain = SecretWriter::with_capacity(64);
    cipher
        .decrypt(file["a"].as_str().unwrap().as_bytes(), b"a:", &mut plain)
        .unwrap();
    String::from_utf8(plain.expose().to_vec()).unwrap()
}

/// Finishes a future that does its work at once.
fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("age and gpg keys block"),
    }
}

#[derive(Clone, Copy, Debug)]
enum AgeKind {
    X25519,
    Hybrid,
    Ssh(&'static str),
}

/// A home of its own for one case, with the variables that both sides see.
struct Desk {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Desk {
    fn new() -> Self {
        // A short path: the sockets of gpg-agent lie in it.
        let folder = tempfile::Builder::new()
            .prefix("sw")
            .tempdir_in("/tmp")
            .unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let gnupg = format!("{home}/.gnupg");
        std::fs::create_dir(&gnupg).unwrap();
        let variables = [("HOME", home), ("GNUPGHOME", gnupg)];
        Self {
            folder,
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        }
    }

    /// A desk with all those identities in its settings.
    fn join(keys: &[(String, PathBuf)]) -> Self {
        let desk = Self::new();
        let all: String = keys
            .iter()
            .map(|(_, identity)| std::fs::read_to_string(identity).unwrap())
            .collect();
        desk.file(".config/sops/age/keys.txt", &all);
        desk
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A key where both sides look for it without being told: recipient and path of the identity.
    fn age_key(&self, kind: AgeKind) -> (String, PathBuf) {
        self.age_key_in(
            kind,
            match kind {
                AgeKind::Ssh("rsa") => ".ssh/id_rsa",
                AgeKind::Ssh(_) => ".ssh/id_ed25519",
                _ => ".config/sops/age/keys.txt",
            },
        )
    }

    fn age_key_in(&self, kind: AgeKind, name: &str) -> (String, PathBuf) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let AgeKind::Ssh(kind) = kind {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", kind, "-N", "", "-C", "a comment", "-f"]);
            self.run(command.arg(&path), b"");
            let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
            return (public.trim().to_owned(), path);
        }
        let mut command = Command::new(upstream::age_keygen());
        if let AgeKind::Hybrid = kind {
            command.arg("-pq");
        }
        self.run(command.arg("-o").arg(&path), b"");
        let file = std::fs::read_to_string(&path).unwrap();
        let recipient = file
            .lines()
            .find_map(|line| line.strip_prefix("# public key: "))
            .unwrap();
        (recipient.to_owned(), path)
    }

    fn pgp_key(&mut self) -> String {
        let mut command = Command::new(upstream::gpg());
        command.args([
            "--batch",
            "--passphrase",
            "",
            "--quick-generate-key",
            "test",
        ]);
        self.run(command.args(["future-default", "default", "never"]), b"");
        let listed = self.run(
            Command::new(upstream::gpg()).args(["--list-keys", "--with-colons"]),
            b"",
        );
        String::from_utf8(listed)
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("fpr:::::::::"))
            .unwrap()
            .trim_end_matches(':')
            .to_owned()
    }

    fn sops_encrypts(&self, flags: &[&str]) -> Value {
        let file = self.file("plain.json", r#"{"a": "secret"}"#);
        let mut command = Command::new(upstream::sops());
        let encrypted = self.run(command.arg("encrypt").args(flags).arg(file), b"");
        serde_json::from_slice(&encrypted).unwrap()
    }

    fn sops_decrypts(&self, file: &Value) -> Value {
        let file = self.file("encrypted.json", &file.to_string());
        let mut command = Command::new(upstream::sops());
        let plain = self.run(command.arg("decrypt").arg(file), b"");
        serde_json::from_slice(&plain).unwrap()
    }

    fn run(&self, command: &mut Command, input: &[u8]) -> Vec<u8> {
        command.env_clear().current_dir(self.folder.path());
        command
            .env("PATH", path())
            .envs(self.variables.iter().cloned());
        let output = sealwright_tests::harness::cluster::run(command, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        output.stdout
    }

    fn surroundings(&self) -> Arc<dyn Surroundings> {
        Arc::new(AtDesk {
            home: self.folder.path().to_owned(),
            variables: self.variables.clone(),
        })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command
            .args(["--kill", "all"])
            .envs(self.variables.iter().cloned());
        drop(command.output());
    }
}

fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The same for our side.
struct AtDesk {
    home: PathBuf,
    variables: Vec<(String, String)>,
}

impl Surroundings for AtDesk {
    fn var(&self, name: &str) -> Option<OsString> {
        let variable = self.variables.iter().find(|(known, _)| known == name)?;
        Some(OsString::from(&variable.1))
    }

    fn home(&self) -> Option<PathBuf> {
        Some(self.home.clone())
    }

    fn config_dir(&self) -> Option<PathBuf> {
        Some(self.home.join(".config"))
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<SecretBytes> {
        SystemSurroundings.read(path, limit)
    }

    fn run(&self, call: &Call<'_>) -> io::Result<Outcome> {
        let mut variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        variables.extend(call.variables);
        SystemSurroundings.run(&Call {
            program: call.program,
            arguments: call.arguments,
            variables: &variables,
            input: call.input,
        })
    }
}

struct Nobody;

impl Callbacks for Nobody {
    fn show(&self, _: &str) {}

    fn passphrase(&self, _: &str) -> Option<SecretText> {
        None
    }

    fn ask(&self, _: &str) -> Option<String> {
        None
    }
}

struct Person {
    passphrase: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Callbacks for Person {
    fn show(&self, _: &str) {}

    fn passphrase(&self, what: &str) -> Option<SecretText> {
        self.asked.lock().unwrap().push(what.to_owned());
        Some(SecretText::copy_of(self.passphrase))
    }

    fn ask(&self, _: &str) -> Option<String> {
        None
    }
}

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::*;
use crate::{
    secret::SecretBytes,
    surroundings::{
        SystemSurroundings,
        fake::{Fake, finish},
    },
};

const PART: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";

/// A keyring with one key, in a folder whose name is short enough for the agent's sockets.
struct Keyring {
    home: PathBuf,
    fingerprint: String,
    /// Another program in the place of gpg.
    program: Option<&'static str>,
}

impl Keyring {
    fn new(name: &str) -> Self {
        let home = PathBuf::from(format!("/tmp/sw{name}{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        let mut keyring = Self {
            home,
            fingerprint: String::new(),
            program: None,
        };
        keyring.gpg(&[
            "--batch",
            "--passphrase",
            "",
            "--quick-generate-key",
            "test",
            "future-default",
            "default",
            "never",
        ]);
        keyring.fingerprint = keyring
            .gpg(&["--list-keys", "--with-colons"])
            .lines()
            .find_map(|line| line.strip_prefix("fpr:::::::::"))
            .unwrap()
            .trim_end_matches(':')
            .to_owned();
        keyring
    }

    /// Runs the real gpg; a test of OpenPGP without it must fail.
    fn gpg(&self, arguments: &[&str]) -> String {
        let output = Command::new("gpg")
            .env("GNUPGHOME", &self.home)
            .args(arguments)
            .output()
            .expect("gpg must be installed for this test (Debian: apt-get install gnupg)");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn key(self: &Arc<Self>, fingerprint: &str) -> PgpKey {
        PgpKey::parse(fingerprint, &(Arc::clone(self) as Arc<dyn Surroundings>))
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        drop(
            Command::new("gpgconf")
                .env("GNUPGHOME", &self.home)
                .args(["--kill", "all"])
                .status(),
        );
        drop(std::fs::remove_dir_all(&self.home));
    }
}

impl Surroundings for Keyring {
    fn var(&self, name: &str) -> Option<OsString> {
        (name == "SOPS_GPG_EXEC").then_some(self.program?.into())
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn config_dir(&self) -> Option<PathBuf> {
        None
    }

    fn read(&self, path: &Path, _: usize) -> io::Result<SecretBytes> {
        panic!("{} is read", path.display());
    }

    fn run(&self, call: &Call<'_>) -> io::Result<Outcome> {
        let home = self.home.to_str().unwrap();
        let mut variables = vec![("GNUPGHOME", home)];
        variables.extend(call.variables);
        SystemSurroundings.run(&Call {
            program: call.program,
            arguments: call.arguments,
            variables: &variables,
            input: call.input,
        })
    }
}

fn wrap(key: &PgpKey) -> Result<String, KeyError> {
    Ok(finish(key.wrap_key(&KeyPart::copy_of(PART)))?.0)
}

fn open(key: &PgpKey, enc: &str) -> Result<Option<Vec<u8>>, KeyError> {
    let part = finish(key.unwrap_key(&Wrapped(enc.to_owned())))?;
    Ok(part.map(|part| part.expose().to_vec()))
}

#[test]
fn gpg_wraps_and_unwraps_and_knows_what_is_not_its_own() {
    let keyring = Arc::new(Keyring::new("a"));
    let fingerprint = keyring.fingerprint.clone();
    let key = keyring.key(&fingerprint);
    let enc = wrap(&key).unwrap();
    assert!(enc.starts_with("-----BEGIN PGP MESSAGE-----\n"));
    assert!(
        enc.ends_with("-----END PGP MESSAGE-----"),
        "t20: no final newline"
    );
    assert_eq!(open(&key, &enc).unwrap().unwrap(), PART);

    for spelling in [
        &fingerprint[24..],
        &format!("{fingerprint}!"),
        &fingerprint.to_lowercase(),
    ] {
        let key = keyring.key(spelling);
        assert_eq!(key.identity(), spelling);
        match wrap(&key) {
            Ok(enc) => assert_eq!(open(&key, &enc).unwrap().unwrap(), PART),
            // The primary key of this keyring only signs, and `!` asks for no other.
            Err(error) => assert!(spelling.ends_with('!'), "{error}"),
        }
    }

    let stranger = Arc::new(Keyring::new("b"));
    let not_mine = open(&stranger.key(&fingerprint), &enc).unwrap();
    assert!(not_mine.is_none());

    let error = wrap(&stranger.key(&fingerprint)).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("gpg cannot wrap the data key for {fingerprint}: ")),
        "{error}"
    );
    let cut = &enc[..enc.len() / 2];
    let error = open(&key, cut).unwrap_err().to_string();
    assert!(error.contains("gpg cannot unwrap"), "{error}");
    assert!(open(&key, "").is_err());
}

#[test]
fn a_subkey_is_asked_for_with_its_mark() {
    let keyring = Arc::new(Keyring::new("c"));
    let subkey = keyring
        .gpg(&["--list-keys", "--with-colons"])
        .lines()
        .filter_map(|line| line.strip_prefix("fpr:::::::::"))
        .nth(1)
        .unwrap()
        .trim_end_matches(':')
        .to_owned();
    let key = keyring.key(&format!("{subkey}!"));
    let enc = wrap(&key).unwrap();
    assert_eq!(open(&key, &enc).unwrap().unwrap(), PART);
}

#[test]
fn a_missing_gpg_is_named() {
    let surroundings: Arc<dyn Surroundings> =
        Fake::with(&[("SOPS_GPG_EXEC", "/nowhere/gpg")]).shared();
    let error = wrap(&PgpKey::parse("ABCD", &surroundings))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "there is no program \"/nowhere/gpg\": install GnuPG, or name it in SOPS_GPG_EXEC"
    );
}

#[test]
fn gpg_gets_exactly_the_arguments_of_upstream_and_no_secret_among_them() {
    let fake = Fake::with(&[("SOPS_GPG_EXEC", "")])
        .command("gpg", Ok(" message\r\n\n"))
        .shared();
    let surroundings: Arc<dyn Surroundings> = fake.clone();
    let key = PgpKey::parse(
        "85D7 7543 B3D6 24B6 3CEA  9E6D BC17 301B 491B 3F21",
        &surroundings,
    );
    assert_eq!(key.identity(), "85D77543B3D624B63CEA9E6DBC17301B491B3F21");
    assert_eq!(wrap(&key).unwrap(), "message");
    open(&key, "message").unwrap();
    let fingerprint = key.identity();
    let encrypt = [
        "--no-default-recipient",
        "--yes",
        "--encrypt",
        "-a",
        "-r",
        &fingerprint,
        "--trusted-key",
        "BC17301B491B3F21",
        "--no-encrypt-to",
    ];
    assert_eq!(
        fake.log(),
        [
            format!("run gpg {encrypt:?} with [(\"LANGUAGE\", \"en\")]"),
            "run gpg [\"-d\"] with [(\"LANGUAGE\", \"en\")]".to_owned(),
        ]
    );
}

#[test]
fn t55_fingerprints_keep_their_case_and_lose_their_blanks() {
    let surroundings: Arc<dyn Surroundings> = Fake::with(&[]).shared();
    assert_eq!(PgpKey::parse("ab CD", &surroundings).identity(), "abCD");
    assert_eq!(PgpKey::parse(" 12!", &surroundings).identity(), "12!");
    for not_a_key in ["", " ", "--output"] {
        assert!(
            wrap(&PgpKey::parse(not_a_key, &surroundings)).is_err(),
            "{not_a_key:?}"
        );
    }
    assert_eq!(shorten("0123456789ABCDEF"), "0123456789ABCDEF");
    assert_eq!(shorten("0123456789ABCDEF0"), "123456789ABCDEF0");
    assert_eq!(shorten("AA0123456789ABCDEF!"), "0123456789ABCDEF!");
    assert_eq!(shorten("abc"), "abc");
}

#[test]
fn an_empty_answer_of_gpg_is_an_error() {
    let surroundings: Arc<dyn Surroundings> = Fake::with(&[]).command("gpg", Ok("")).shared();
    let key = PgpKey::parse("ABCD", &surroundings);
    assert!(open(&key, "x").unwrap_err().to_string().contains("nothing"));
    assert!(wrap(&key).is_err());
}

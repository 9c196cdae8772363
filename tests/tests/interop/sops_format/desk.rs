//! A folder in which the real program and ours work on the same files.

use std::{
    future::{Future, pending},
    path::PathBuf,
    pin::pin,
    process::Command,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use sealwright_crypto::{
    age::{self, AgeKey, Identities},
    data_key::DataKey,
    key_kind::AGE,
    master_key::{Callbacks, MasterKey, Pending},
    secret::{SecretBytes, SecretText},
    surroundings::{Call, Outcome, Surroundings},
};
use sealwright_documents::envelope::{self, Document, Encrypted};
use sealwright_documents::format::{self, Format, Layout};
use sealwright_documents::keyring::{self, Holder, Lock};
use sealwright_documents::metadata::{KeyEntry, KeyFields, Metadata};
use sealwright_documents::selection::SelectionRule;
use sealwright_tests::harness::{cluster::run, upstream};
use serde_json::Value;
use tempfile::TempDir;

use super::{Settings, value_of};

/// A folder with three age keys, and both programs working in it.
pub(super) struct Desk {
    pub(super) folder: TempDir,
    pub(super) recipients: Vec<String>,
    pub(super) identities: Vec<SecretText>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let keys: Vec<age::Generated> = (0..3).map(|_| age::generate()).collect();
        Self {
            folder: tempfile::tempdir().unwrap(),
            recipients: keys.iter().map(|key| key.recipient.to_string()).collect(),
            identities: keys
                .iter()
                .map(|key| SecretText::copy_of(key.identity.expose()))
                .collect(),
        }
    }

    fn keys(&self) -> Vec<Box<dyn MasterKey>> {
        let identities = Identities::new(Arc::new(Env(self.all_identities())), Arc::new(Nobody));
        self.recipients
            .iter()
            .map(|recipient| {
                Box::new(AgeKey::parse(recipient, &identities).unwrap()) as Box<dyn MasterKey>
            })
            .collect()
    }

    fn all_identities(&self) -> String {
        let each: Vec<&str> = self.identities.iter().map(SecretText::expose).collect();
        each.join("\n")
    }

    pub(super) fn encrypt(
        &self,
        format: &'static dyn Format,
        text: &[u8],
        settings: &Settings,
    ) -> Vec<u8> {
        let key = DataKey::generate();
        let keys = self.keys();
        let groups: Vec<Vec<Holder<'_>>> = keys
            .iter()
            .take(settings.groups.max(1))
            .map(|key| {
                vec![Holder {
                    key: &**key,
                    kept: None,
                }]
            })
            .collect();
        let wraps = finish(keyring::wrap(&key, &groups, 2, &never)).unwrap();
        let groups = wraps
            .into_iter()
            .zip(&self.recipients)
            .map(|(mut wraps, recipient)| {
                vec![KeyEntry {
                    key: KeyFields::of(&AGE, recipient),
                    created_at: None,
                    enc: wraps.remove(0),
                }]
            });
        let rule = settings
            .rule
            .and_then(|(field, text)| SelectionRule::of_field(field, text.to_owned()))
            .unwrap_or_default();
        let rule = (format.name() != "binary").then_some(rule);
        let metadata = Metadata::new(groups.collect(), 2, rule, settings.mac_only);
        let document = Document::parse(format, SecretBytes::copy_of(text)).unwrap();
        let now = jiff::Timestamp::now();
        let out = envelope::encrypt(document, metadata, &key, None, now, Layout::default());
        out.unwrap().text.expose().to_vec()
    }

    pub(super) fn decrypt(
        &self,
        format: &'static dyn Format,
        text: &[u8],
    ) -> Result<(Vec<u8>, Value), String> {
        let file =
            Encrypted::parse(format, SecretBytes::copy_of(text)).map_err(|e| e.to_string())?;
        let keys = self.keys();
        let locks: Vec<Vec<Lock<'_>>> = file
            .metadata()
            .groups
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(|entry| Lock {
                        key: &**keys
                            .iter()
                            .find(|key| key.identity() == entry.key.identity())
                            .unwrap(),
                        wrapped: &entry.enc,
                    })
                    .collect()
            })
            .collect();
        let threshold = file.metadata().shamir_threshold;
        let unwrapped =
            finish(keyring::unwrap(&locks, threshold, &[], &never)).map_err(|e| e.to_string())?;
        let out = envelope::decrypt(&file, &unwrapped.key).map_err(|e| e.to_string())?;
        if !out.warnings.is_empty() {
            return Err(format!("{:?}", out.warnings));
        }
        let value = value_of(out.document.tree());
        let again = Document::parse(format, SecretBytes::copy_of(out.document.text().expose()));
        let again = again.map_err(|error| format!("the plain text is not read: {error}"))?;
        if value_of(again.tree()) != value {
            return Err(format!(
                "the plain text reads as {}, not {value}",
                value_of(again.tree())
            ));
        }
        Ok((out.document.into_text().expose().to_vec(), value))
    }

    pub(super) fn sops_encrypt(
        &self,
        format: &'static dyn Format,
        text: &str,
        settings: &Settings,
    ) -> Result<Vec<u8>, String> {
        let mut rule = String::from("creation_rules:\n  - key_groups:\n");
        for recipient in self.recipients.iter().take(settings.groups.max(1)) {
            rule.push_str(&format!("      - age: [{recipient}]\n"));
        }
        if settings.groups > 1 {
            rule.push_str("    shamir_threshold: 2\n");
        }
        if let Some((field, text)) = settings.rule {
            rule.push_str(&format!("    {field}: '{text}'\n"));
        }
        if settings.mac_only {
            rule.push_str("    mac_only_encrypted: true\n");
        }
        std::fs::write(self.folder.path().join(".sops.yaml"), rule).unwrap();
        let types = [
            format!("--input-type={}", format.name()),
            format!("--output-type={}", format.name()),
        ];
        let file = format!("p{}", format.suffixes().first().unwrap_or(&""));
        self.sops(&["encrypt", &types[0], &types[1]], &file, text.as_bytes())
    }

    /// What the reference reads in a file: as JSON, which is its own printing and another's reading, or, where that
    /// cannot say all, as YAML.
    pub(super) fn read_by_sops(
        &self,
        format: &'static dyn Format,
        text: &[u8],
        documents: usize,
    ) -> Result<Value, String> {
        let input = format!("--input-type={}", format.name());
        let file = format!("f{}", format.suffixes().first().unwrap_or(&""));
        let run = |output| self.sops(&["decrypt", &input, output], &file, text);
        if documents == 1
            && let Ok(json) = run("--output-type=json")
        {
            return serde_json::from_slice(&json).map_err(|error| error.to_string());
        }
        let yaml = run("--output-type=yaml")?;
        let format = format::by_name("yaml").unwrap();
        let document = Document::parse(format, SecretBytes::copy_of(&yaml));
        let document = document.map_err(|error| format!("what it prints is not read: {error}"))?;
        Ok(value_of(document.tree()))
    }

    /// A file after the reference set a value in it.
    pub(super) fn saved_by_sops(
        &self,
        format: &'static dyn Format,
        text: &[u8],
        path: &str,
        value: &str,
    ) -> Result<Vec<u8>, String> {
        let name = format!("s{}", format.suffixes().first().unwrap_or(&""));
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(upstream::sops());
        command.arg("set").arg(&file).args([path, value]);
        self.output(&mut command, None)
            .map_err(|error| format!("sops cannot set a value in ours: {error}"))?;
        Ok(std::fs::read(&file).unwrap())
    }

    pub(super) fn sops(
        &self,
        arguments: &[&str],
        name: &str,
        content: &[u8],
    ) -> Result<Vec<u8>, String> {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut command = Command::new(upstream::sops());
        command.args(arguments).arg(&path);
        self.output(&mut command, None)
    }

    /// Runs a program in the folder, with the identities and nothing else in its surroundings.
    pub(super) fn output(
        &self,
        command: &mut Command,
        input: Option<&[u8]>,
    ) -> Result<Vec<u8>, String> {
        let kept: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("SOPS_AGE_KEY", self.all_identities())
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .envs(kept)
            .current_dir(self.folder.path());
        let output = run(command, input.unwrap_or_default());
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!(
                "{} {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ))
        }
    }
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("age keys do not wait"),
    }
}

fn never(_: std::time::Duration) -> Pending<'static, ()> {
    Box::pin(pending())
}

/// Surroundings with nothing but the identities.
struct Env(String);

impl Surroundings for Env {
    fn var(&self, name: &str) -> Option<std::ffi::OsString> {
        (name == "SOPS_AGE_KEY").then(|| self.0.clone().into())
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn config_dir(&self) -> Option<PathBuf> {
        None
    }

    fn read(&self, _: &std::path::Path, _: usize) -> std::io::Result<SecretBytes> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn run(&self, _: &Call<'_>) -> std::io::Result<Outcome> {
        Err(std::io::ErrorKind::NotFound.into())
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

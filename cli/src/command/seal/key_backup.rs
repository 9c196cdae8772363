//! `sealing-key export` and `sealing-key import`: the sealing keys of a controller in an encrypted file, and back.
//!
//! The file is one of this program: YAML with the key Secrets, encrypted for the recipients of its creation rule or for the
//! keys that were named. Verbs that take a backup of private keys read it as it is.

use std::path::{Path, PathBuf};

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_resources::manifest::{self, Output as Form};
use sealwright_resources::plain_secret::PlainSecret;
use serde_json::json;

use super::recovery::opened;
use super::{in_cluster, unreadable};
use crate::absolute::absolute;
use crate::change::{Change, Input, Output};
use crate::cluster::{ClusterOptions, KeySecrets};
use crate::command::{Encrypt, SelectionTexts};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Original};
use crate::key_texts::KeyTexts;
use crate::settings::Settings;
use crate::visible::shown;
use crate::world::World;

/// Writes the sealing keys of a controller into an encrypted file.
pub(crate) struct ExportKeys {
    /// Files with the keys; the cluster is asked where there are none.
    pub(crate) from: Vec<PathBuf>,
    pub(crate) cluster: ClusterOptions,
    /// Where the controller runs.
    pub(crate) namespace: String,
    /// The new file.
    pub(crate) to: PathBuf,
    /// Whom it is encrypted for, beside what its creation rule says.
    pub(crate) keys: KeyTexts,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl ExportKeys {
    /// Does it. The plain keys exist in memory only.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let to = absolute(&self.to)?;
        if to.exists() {
            return Err(
                Error::new(Kind::Write, format!("{} exists already", shown(&to)))
                    .hint("a backup is never written over another one"),
            );
        }
        let (text, count) = match &self.from[..] {
            [] => self.of_cluster()?,
            files => of_files(world, &self.settings, files)?,
        };
        let encrypt = Encrypt {
            from: Input::Stdin,
            to: Output::File(to.clone()),
            name: to.clone(),
            keys: self.keys,
            selection: SelectionTexts {
                encrypted_regex: Some("^(data|stringData)$".to_owned()),
                ..SelectionTexts::default()
            },
            threshold: 0,
            mac_only_encrypted: false,
            settings: Settings {
                input_type: Some("yaml"),
                output_type: Some("yaml"),
                ..self.settings
            },
        };
        let change: Change = encrypt.change_of(world, Original::of_pipe(text))?;
        if !self.dry_run {
            change.finish(&world.terminal)?;
        }
        if self.json {
            return world.terminal.say_json(&json!({
                "file": shown(&to),
                "sealing_keys": count,
                "keys": change.keys,
            }));
        }
        let would = if self.dry_run { "would be " } else { "" };
        world.terminal.say(&format!(
            "{}: {count} sealing {} {would}exported",
            shown(&to),
            plural(count)
        ))?;
        for key in &change.keys {
            world.terminal.say(&format!("    key {key}"))?;
        }
        Ok(())
    }

    fn of_cluster(&self) -> Result<(SecretBytes, usize)> {
        let list = in_cluster(async {
            KeySecrets::of(&self.cluster, &self.namespace)
                .await?
                .list()
                .await
        })?;
        let secrets = manifest::read_secrets_among(list.expose()).map_err(unreadable)?;
        if secrets.is_empty() {
            return Err(Error::generic(format!(
                "there is no sealing key in the namespace {}",
                self.namespace
            ))
            .hint("--controller-namespace says where the controller runs"));
        }
        let count = secrets.len();
        Ok((as_stream(secrets), count))
    }
}

fn plural(count: usize) -> &'static str {
    match count {
        1 => "key",
        _ => "keys",
    }
}

/// The key Secrets of files.
fn of_files(world: &World, settings: &Settings, files: &[PathBuf]) -> Result<(SecretBytes, usize)> {
    let mut all = Vec::new();
    for path in files {
        all.extend(secrets_of(world, settings, path)?);
    }
    let count = all.len();
    Ok((as_stream(all), count))
}

fn secrets_of(world: &World, settings: &Settings, path: &Path) -> Result<Vec<PlainSecret>> {
    let original = file::read(path).map_err(|error| {
        Error::new(Kind::Read, format!("cannot read {}", shown(path))).because(error)
    })?;
    let text = opened(world, settings, path, original.bytes)?;
    let secrets = manifest::read_secrets(text.expose()).map_err(|error| {
        Error::generic(format!("cannot use {} as a backup", shown(path))).because(error)
    })?;
    let is_key =
        |secret: &PlainSecret| secret.get("tls.key").is_some() && secret.get("tls.crt").is_some();
    match secrets.iter().find(|secret| !is_key(secret)) {
        Some(other) => Err(Error::generic(format!(
            "{} in {} is no sealing key",
            other.name(),
            shown(path)
        ))),
        None if secrets.is_empty() => Err(Error::generic(format!(
            "{} holds no sealing key",
            shown(path)
        ))),
        None => Ok(secrets),
    }
}

/// Secrets as a stream of YAML, without what only their API server knows.
fn as_stream(secrets: Vec<PlainSecret>) -> SecretBytes {
    let texts: Vec<SecretBytes> = secrets
        .into_iter()
        .map(|secret| manifest::write_secret(&stripped(secret), Form::Yaml))
        .collect();
    let mut stream = SecretWriter::with_capacity(texts.iter().map(SecretBytes::len).sum());
    for text in &texts {
        stream.push(text.expose());
    }
    stream.finish()
}

fn stripped(mut secret: PlainSecret) -> PlainSecret {
    let metadata = &mut secret.metadata;
    metadata.self_link = None;
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.generation = None;
    metadata.creation_timestamp = None;
    metadata.managed_fields = None;
    secret
}

/// Puts the sealing keys of a file into a cluster.
pub(crate) struct ImportKeys {
    pub(crate) file: PathBuf,
    pub(crate) cluster: ClusterOptions,
    /// Where the controller runs.
    pub(crate) namespace: String,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl ImportKeys {
    /// Does it. Keys that are there already stay; another Secret under the name of a key is an error, and is not touched.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let secrets = secrets_of(world, &self.settings, &self.file)?;
        let mut done: Vec<(String, &str)> = Vec::new();
        for mut secret in secrets {
            secret.metadata.namespace = Some(self.namespace.clone());
            let name = secret.name().to_owned();
            if self.dry_run {
                done.push((name, "would be created"));
                continue;
            }
            let secret = stripped(secret);
            let state = in_cluster(async {
                let keys = KeySecrets::of(&self.cluster, &self.namespace).await?;
                if keys.create(&name, &secret.to_json()).await? {
                    return Ok(None);
                }
                keys.get(&name).await.map(Some)
            })?;
            let state = match state {
                None => "created",
                Some(there) if is_same(&there, &secret) => "as it was",
                Some(_) => {
                    return Err(Error::generic(format!(
                        "there is another Secret {name} in {}; it was not touched",
                        self.namespace
                    )));
                }
            };
            done.push((name, state));
        }
        if self.json {
            let keys: Vec<_> = done
                .iter()
                .map(|(name, state)| json!({ "secret": name, "status": state }))
                .collect();
            return world.terminal.say_json(&json!({ "sealing_keys": keys }));
        }
        for (name, state) in &done {
            world
                .terminal
                .say(&format!("{}/{name}: {state}", self.namespace))?;
        }
        if done.iter().any(|(_, state)| *state == "created") {
            world.terminal.remark(
                "sealwright's controller takes them at once; the one of Sealed Secrets has to be restarted",
            );
        }
        Ok(())
    }
}

/// Whether a Secret of the cluster holds the same key.
fn is_same(there: &SecretBytes, secret: &PlainSecret) -> bool {
    PlainSecret::from_json(there.expose())
        .is_ok_and(|there| there.get("tls.key") == secret.get("tls.key"))
}

//! Stores on the command line: which one is meant, with whose credentials, and what its errors say to a person.
//!
//! A store is named by its manifest (`--store`), as the cluster has it, or by one word that holds everything
//! ([`address`]). The Secrets that a manifest refers to come from files of Secrets (`--credentials`), which may be
//! encrypted; there need be no cluster.

mod address;
mod check;
mod open_file;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::address::Guard;
use sealwright_providers::credential::held::Held;
use sealwright_providers::credential::{Scope, StoreKind, WholeSecret};
use sealwright_providers::file::Files;
use sealwright_providers::outcome::{StoreError, Trouble};
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::{Connection, Store, StoreConfig};
use serde::Deserialize;

pub(crate) use address::Address;
pub(crate) use check::{StoreCheck, StoreList};
pub(super) use open_file::plain;

use super::Settings;
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::world::World;

/// Which store a command works with.
#[derive(Clone, Debug, Default)]
pub(crate) struct StorePlace {
    /// A manifest of a SecretStore or ClusterSecretStore.
    pub(crate) manifest: Option<PathBuf>,
    /// Files of Secrets that the manifest refers to.
    pub(crate) credentials: Vec<PathBuf>,
    /// The namespace in which the store is used.
    pub(crate) namespace: Option<String>,
}

/// A store that can be asked.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// How it is named in messages.
    pub(crate) provider: &'static str,
}

/// Runs what talks to a network to its end.
pub(crate) fn online<T>(world: &World, work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = world.network.block_on(work);
    ended.map_err(|error| Error::generic("cannot reach the store").because(error))?
}

/// What a manifest of a store says, as far as the command line needs it.
#[derive(Deserialize)]
struct Manifest {
    kind: String,
    #[serde(default)]
    metadata: ManifestName,
    spec: ManifestSpec,
}

#[derive(Default, Deserialize)]
struct ManifestName {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestSpec {
    provider: StoreConfig,
    #[serde(default)]
    retry_settings: Option<RetrySettings>,
}

impl StorePlace {
    /// Opens the store of the manifest.
    pub(crate) async fn open(&self, world: &World, settings: &Settings) -> Result<Opened> {
        let path = self.manifest.as_deref().ok_or_else(|| {
            Error::new(Kind::Usage, "no store is named").hint(
                "name its manifest with --store, or give a store address such as file:vault/db",
            )
        })?;
        let text = read(path)?;
        let manifest = read_manifest(path, &text)?;
        let kind = match manifest.kind.as_str() {
            "ClusterSecretStore" => StoreKind::Cluster,
            _ => StoreKind::Namespaced,
        };
        let namespace = self.namespace.clone();
        let own = manifest.metadata.namespace.or_else(|| namespace.clone());
        let own = own.unwrap_or_else(|| "default".to_owned());
        let scope = Scope {
            kind,
            name: manifest.metadata.name,
            store_namespace: match kind {
                StoreKind::Namespaced => own.clone(),
                StoreKind::Cluster => String::new(),
            },
            consumer_namespace: Some(namespace.unwrap_or(own)),
        };
        let held = Held::default();
        for file in &self.credentials {
            put_secrets(world, settings, file, &held)?;
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let config = manifest.spec.provider;
        let provider = config.provider();
        let connection = Connection {
            credentials: Arc::new(held),
            scope,
            retry: manifest.spec.retry_settings,
            files: Some(files(world, settings, folder)),
            // The addresses are the user's own choice.
            guard: Guard::Open,
            ..Connection::default()
        };
        let store = config.connect(&connection).await.map_err(|error| {
            let lacking = error.trouble() == Trouble::Unauthenticated;
            let error = told(&error);
            if lacking {
                error.hint("give the Secrets that the store refers to with --credentials FILE")
            } else {
                error
            }
        })?;
        Ok(Opened { store, provider })
    }
}

/// File stores may lie anywhere for the user, and be encrypted with the user's keys.
pub(super) fn files(world: &World, settings: &Settings, base: &Path) -> Files {
    Files {
        base: base.to_owned(),
        anywhere: true,
        decrypt: Some(Arc::new(open_file::Opener::new(world, settings))),
    }
}

fn read(path: &Path) -> Result<SecretBytes> {
    let read = file::read(path).map_err(|error| {
        Error::new(
            Kind::Read,
            format!("cannot read {}", crate::visible::shown(path)),
        )
        .because(error)
    })?;
    Ok(read.into_bytes())
}

/// Finds the store among the objects of a file.
fn read_manifest(path: &Path, text: &SecretBytes) -> Result<Manifest> {
    let wrong = |reason: String| {
        let path = crate::visible::shown(path);
        Error::new(Kind::Read, format!("{path}: {reason}"))
    };
    // Without the lines around the place: a manifest may have values in it.
    let told = |error: &serde_saphyr::Error, lines_before: u64| {
        error.render_with_options(serde_saphyr::render_options! {
            snippets: serde_saphyr::SnippetMode::Off,
            line_offset: lines_before,
        })
    };
    let text = std::str::from_utf8(text.expose()).map_err(|_| wrong("it is no text".to_owned()))?;
    let mut found = None;
    let mut unreadable = None;
    for (lines_before, part) in documents(text) {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            kind: String,
        }
        let kind = match serde_saphyr::from_str(part) {
            Ok(Kind { kind }) => kind,
            Err(error) => {
                unreadable.get_or_insert_with(|| told(&error, lines_before));
                continue;
            }
        };
        if !matches!(kind.as_str(), "SecretStore" | "ClusterSecretStore") {
            continue;
        }
        if found.is_some() {
            return Err(wrong("it holds more than one store".to_owned()));
        }
        let manifest: Manifest = serde_saphyr::from_str(part).map_err(|error| {
            let reason = told(&error, lines_before);
            wrong(format!("the store is not valid: {reason}"))
        })?;
        found = Some(manifest);
    }
    found.ok_or_else(|| {
        let none = wrong("it holds no SecretStore and no ClusterSecretStore".to_owned());
        match unreadable {
            Some(reason) => none.hint(format!("a document in it cannot be read: {reason}")),
            None => none.hint("--store takes the manifest that a cluster has"),
        }
    })
}

/// The documents of a stream, split at lines of `---`, with how many lines stand before each.
fn documents(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut lines_before = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if line.trim_end() == "---" {
            parts.push((lines_before, &text[start..at]));
            start = at + line.len();
            lines_before = number;
        }
        at += line.len();
    }
    parts.push((lines_before, &text[start..]));
    parts.retain(|(_, part)| !part.trim().is_empty());
    parts
}

/// Puts the Secrets of a file in; an encrypted file is decrypted.
fn put_secrets(world: &World, settings: &Settings, path: &Path, held: &Held) -> Result<()> {
    let text = plain(world, settings, path)?;
    let secrets = sealwright_resources::manifest::read_secrets(text.expose()).map_err(|error| {
        Error::new(Kind::Read, format!("{} holds no Secrets", path.display())).because(error)
    })?;
    for secret in secrets {
        let data = secret
            .iter()
            .map(|(key, value)| (key.to_owned(), SecretBytes::copy_of(value.expose())))
            .collect();
        let labels = secret.metadata.labels.clone().unwrap_or_default();
        let whole = WholeSecret { data, labels };
        held.put_secret(secret.namespace(), secret.name(), whole);
    }
    Ok(())
}

/// The error of a store for a person: what failed and why, what is missing, what to do.
pub(crate) fn told(error: &StoreError) -> Error {
    let kind = match error.trouble() {
        Trouble::Invalid | Trouble::Unsupported => Kind::Usage,
        _ => Kind::Store,
    };
    let mut told = Error::new(kind, error.to_string());
    if let Some(permission) = error.permission() {
        told = told.report([format!("what is missing: {permission}")]);
    }
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// The error for a key that is not there, with names that are nearly the same.
pub(crate) async fn not_there(store: &Arc<dyn Store>, at: &RemoteRef, why: &str) -> Error {
    let error = Error::new(
        Kind::Absent,
        format!(
            "{}: {}: {why}",
            store.describe(),
            crate::visible::visible(&at.key)
        ),
    );
    let near = nearest(&at.key, store.neighbours(at).await);
    if near.is_empty() {
        return error;
    }
    error.hint(format!("there is {}", near.join(", ")))
}

/// The names that differ least from a key, at most three, if they differ little.
fn nearest(key: &str, names: Vec<String>) -> Vec<String> {
    let most = 1 + key.chars().count() / 4;
    let mut near: Vec<(usize, String)> = names
        .into_iter()
        .take(10_000)
        .map(|name| (distance(key, name.trim_end_matches('/')), name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort();
    near.into_iter()
        .take(3)
        .map(|(_, name)| crate::visible::visible(&name).into_owned())
        .collect()
}

/// How many characters have to be added, removed or replaced to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(512).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(512).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let names = ["app/db", "app/dbs", "web", "app/"]
            .map(str::to_owned)
            .to_vec();
        // What differs by more than a slip is no hint.
        assert_eq!(nearest("app/bd", names.clone()), ["app/db", "app/dbs"]);
        assert!(nearest("other", names).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_stream_is_split_at_its_marks() {
        let parts = documents("---\na\n---\nb\n---\n");
        assert_eq!(parts, [(1, "a\n"), (3, "b\n")]);
        assert_eq!(documents("a: '---'\n"), [(0, "a: '---'\n")]);
    }

    #[test]
    fn errors_name_the_line_and_quote_nothing() {
        let before = "kind: ConfigMap\n---\nkind: SecretStore\nspec:\n  provider:\n";
        for (spec, line) in [
            ("    fake: {data: s3cr3t}\n", "line 6"),
            (
                "    fake:\n      data: [{key: a, value: s3cr3t}]\n      x: [s3cr3t]\n    file: {path: x}\n",
                "line",
            ),
            ("    fake: {data: [{key: a, value: \"s3cr3t\n", "line"),
        ] {
            let text = SecretBytes::copy_of(format!("{before}{spec}").as_bytes());
            let error = read_manifest(Path::new("store.yaml"), &text).err().unwrap();
            let told = format!("{} {:?}", error.message(), error.hints);
            assert!(told.contains(line) && !told.contains("s3cr3t"), "{told}");
            assert!(!told.contains('\n') && !told.contains("-->"), "{told}");
        }
    }

    #[test]
    fn the_store_is_found_among_other_objects() {
        let text = "kind: Secret\nmetadata: {name: x}\n---\nkind: SecretStore\nmetadata: {name: s, namespace: n}\n\
                    spec: {provider: {fake: {data: [{key: a, value: b}]}}}\n";
        let path = Path::new("store.yaml");
        let manifest = read_manifest(path, &SecretBytes::copy_of(text.as_bytes())).unwrap();
        assert_eq!(manifest.spec.provider.provider(), "fake");
        assert_eq!(manifest.metadata.namespace.as_deref(), Some("n"));
        let none = SecretBytes::copy_of(b"kind: Secret\n");
        assert!(read_manifest(path, &none).is_err());
        let bad = "kind: SecretStore\nspec: {provider: {valut: {}}}\n";
        let error = read_manifest(path, &SecretBytes::copy_of(bad.as_bytes()))
            .err()
            .unwrap();
        assert!(
            error.message().contains("no provider valut"),
            "{}",
            error.message()
        );
    }
}

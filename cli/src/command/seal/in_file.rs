//! SealedSecrets changed where they stand: comments, order and layout of the file stay.

use std::path::Path;

use sealwright_crypto::sealing::Certificate;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_documents::data::Data;
use sealwright_documents::format::{self, Format, Layout, Step};
use sealwright_documents::scalar::Scalar;
use sealwright_documents::splice::{self, Edit};
use sealwright_documents::tree::{NodeId, Tree, Value};
use sealwright_resources::keyring::Keyring;
use sealwright_resources::manifest;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{
    KIND, Refresh, SealedSecret, UnsealOptions, reseal, seal,
};

use super::{SealOptions, prepare, unreadable};
use crate::error::{Error, Kind, Result};

/// Adds the sealed values of a stream of Secrets to the SealedSecret that stands first in a file's text, and gives the
/// new text. Other documents of the file stay as they are.
///
/// Scope, name and namespace are the file's, the last two as far as it has them: a value sealed under another label would
/// never open. A namespace that was asked for and is another than the file's is an error, as in upstream.
pub(crate) fn merge_into(
    path: &Path,
    text: SecretBytes,
    secrets: &SecretBytes,
    to: &Certificate,
    options: &SealOptions,
) -> Result<SecretBytes> {
    let shown = path.display();
    let target = first_sealed_secret(path, &text)?;
    let scope = Scope::of(&target.metadata);
    if options.scope.is_some_and(|wished| wished != scope) {
        return Err(Error::generic(format!(
            "{shown} has the scope {scope}, values sealed with another scope would never open in it"
        ))
        .hint("leave --scope out, or reseal the whole Secret"));
    }
    let mut secrets = manifest::read_secrets(secrets.expose()).map_err(unreadable)?;
    let format = format_of(path, &text);
    let mut text = text;
    let is_given = |text: &String| !text.is_empty();
    let options = SealOptions {
        scope: None,
        name: target.metadata.name.clone().filter(is_given),
        ..options.clone()
    };
    let namespace = target.metadata.namespace.filter(is_given);
    for secret in &mut secrets {
        if namespace.is_some() {
            secret.metadata.namespace.clone_from(&namespace);
        }
        prepare(secret, &options)?;
        let sealed = seal(secret, to, scope)
            .map_err(|error| Error::generic("cannot seal the new values").because(error))?;
        let mut put = |path: &[&str], value: &str| -> Result<()> {
            let path: Vec<Step> = path
                .iter()
                .map(|step| Step::Key((*step).to_owned()))
                .collect();
            let old = std::mem::take(&mut text);
            let tree = parse(format, old, &shown.to_string())?;
            let edits = format
                .set(&tree, &path, &Data::str(value), Layout { indent: Some(2) })
                .map_err(|error| {
                    Error::new(Kind::Emit, format!("cannot change {shown}")).because(error)
                })?;
            text = splice::apply(tree.text.expose(), &edits);
            Ok(())
        };
        for (key, value) in &sealed.spec.encrypted_data {
            put(&["spec", "encryptedData", key], value)?;
        }
        let metadata = &sealed.spec.template.metadata;
        for (key, value) in metadata.labels.iter().flatten() {
            put(&["spec", "template", "metadata", "labels", key], value)?;
        }
        let marks = [Scope::ClusterWide, Scope::NamespaceWide].map(Scope::annotation);
        for (key, value) in metadata.annotations.iter().flatten() {
            if !marks.contains(&Some(key.as_str())) {
                put(&["spec", "template", "metadata", "annotations", key], value)?;
            }
        }
    }
    manifest::read_first_sealed_secret(text.expose()).map_err(|error| {
        Error::generic(format!(
            "the change would spoil {shown}; nothing was written"
        ))
        .because(error)
    })?;
    Ok(text)
}

/// What came of a file whose SealedSecrets were to be resealed.
pub(crate) struct ResealedFile {
    /// The new text; absent when nothing had to change.
    pub(crate) text: Option<SecretBytes>,
    /// How many SealedSecrets it has.
    pub(crate) objects: usize,
    /// How many values have a new text, and of how many.
    pub(crate) changed: usize,
    pub(crate) values: usize,
}

/// Seals every value of a file's SealedSecrets for another certificate, where they stand. Other objects of the file
/// stay as they are; a file without any SealedSecret is none of ours.
pub(crate) fn reseal_file(
    path: &Path,
    text: SecretBytes,
    keys: &Keyring,
    to: &Certificate,
    refresh: Refresh,
) -> Result<Option<ResealedFile>> {
    let shown = path.display();
    if !may_hold_sealed_secrets(text.expose()) {
        return Ok(None);
    }
    let format = format_of(path, &text);
    let tree = parse(format, text, &shown.to_string())?;
    let mut edits = Vec::new();
    let (mut objects, mut changed, mut values) = (0, 0, 0);
    for document in tree.documents.iter().map(|root| *root as NodeId) {
        for object in sealed_secrets_below(&tree, document) {
            objects += 1;
            let json = json_of(&tree, object, &shown.to_string())?;
            let sealed = manifest::read_sealed_secrets(json.expose()).map_err(unreadable)?;
            let [sealed] = &sealed[..] else { continue };
            let name = sealed.metadata.name.clone().unwrap_or_default();
            let renewed =
                reseal(sealed, keys, to, refresh, &UnsealOptions::default()).map_err(|error| {
                    Error::generic(format!("cannot reseal {name} in {shown}"))
                        .because(error)
                        .hint(format!("the backup has {} private keys", keys.len()))
                })?;
            if sealed.spec.data.is_some() {
                return Err(Error::generic(format!("{name} in {shown} has the deprecated form with spec.data"))
                    .hint("unseal it and seal it again: the deprecated form has no place for single values"));
            }
            changed += renewed.changed;
            values += sealed.spec.encrypted_data.len();
            let items =
                child(&tree, object, "spec").and_then(|spec| child(&tree, spec, "encryptedData"));
            for item in items
                .map(|items| tree.children(items).collect::<Vec<_>>())
                .unwrap_or_default()
            {
                let key = String::from_utf8_lossy(tree.key(item).unwrap_or_default()).into_owned();
                let (Some(old), Some(new)) = (
                    sealed.spec.encrypted_data.get(&key),
                    renewed.sealed.spec.encrypted_data.get(&key),
                ) else {
                    continue;
                };
                if old != new {
                    // A block below `|` ends in a line break, which Base64 ignores.
                    let end = if old.ends_with('\n') { "\n" } else { "" };
                    let new = format!("{new}{end}");
                    let mut spelled = SecretWriter::default();
                    format
                        .spell_alike(&tree, item, new.as_bytes(), &mut spelled)
                        .map_err(|error| {
                            Error::new(Kind::Emit, format!("cannot change {shown}")).because(error)
                        })?;
                    edits.push(Edit {
                        span: tree.nodes[item].site,
                        text: spelled.finish(),
                    });
                }
            }
        }
    }
    if objects == 0 {
        return Ok(None);
    }
    let text = (!edits.is_empty()).then(|| splice::apply(tree.text.expose(), &edits));
    Ok(Some(ResealedFile {
        text,
        objects,
        changed,
        values,
    }))
}

/// Whether somewhere a kind is given as SealedSecret. A tree has files of all sorts, and those that cannot be read are
/// an error only if something would be left behind in them.
fn may_hold_sealed_secrets(text: &[u8]) -> bool {
    let quoted = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'');
    memchr::memmem::find_iter(text, KIND.as_bytes()).any(|at| {
        let before = text[..at].trim_ascii_end();
        let before = before
            .strip_suffix(b"\"")
            .or(before.strip_suffix(b"'"))
            .unwrap_or(before);
        let Some(before) = before.trim_ascii_end().strip_suffix(b":") else {
            return false;
        };
        let end = before
            .iter()
            .rposition(|byte| !quoted(byte))
            .map_or(0, |at| at + 1);
        before[..end].to_ascii_lowercase().ends_with(b"kind")
    })
}

/// The SealedSecrets of a document: itself, or the items of a List.
fn sealed_secrets_below(tree: &Tree, root: NodeId) -> Vec<NodeId> {
    if is_sealed_secret(tree, root) {
        return vec![root];
    }
    let items =
        child(tree, root, "items").filter(|items| matches!(tree.nodes[*items].value, Value::List));
    items
        .map(|items| {
            tree.children(items)
                .filter(|item| is_sealed_secret(tree, *item))
                .collect()
        })
        .unwrap_or_default()
}

pub(super) fn is_sealed_secret(tree: &Tree, node: NodeId) -> bool {
    child(tree, node, "kind").and_then(|kind| tree.scalar(kind))
        == Some(Scalar::Str(KIND.as_bytes()))
}

pub(super) fn child(tree: &Tree, map: NodeId, key: &str) -> Option<NodeId> {
    tree.children(map)
        .find(|child| tree.key(*child) == Some(key.as_bytes()))
}

pub(super) fn json_of(tree: &Tree, node: NodeId, shown: &str) -> Result<SecretBytes> {
    format::by_name("json")
        .expect("a format of ours")
        .render(&[Data::of(tree, node)], Layout::default())
        .map_err(|error| Error::new(Kind::Read, format!("cannot read {shown}")).because(error))
}

fn first_sealed_secret(path: &Path, text: &SecretBytes) -> Result<SealedSecret> {
    manifest::read_first_sealed_secret(text.expose()).map_err(|error| {
        Error::generic(format!(
            "{} holds no SealedSecret to add to",
            path.display()
        ))
        .because(error)
    })
}

pub(super) fn format_of(path: &Path, text: &SecretBytes) -> &'static dyn Format {
    // A document in braces may be YAML, and so may what follows it.
    let is_object = || {
        text.expose().trim_ascii_start().starts_with(b"{")
            && serde_json::from_slice::<serde::de::IgnoredAny>(text.expose()).is_ok()
    };
    let is_json = path
        .extension()
        .is_some_and(|extension| extension == "json")
        || is_object();
    format::by_name(if is_json { "json" } else { "yaml" }).expect("a format of ours")
}

pub(super) fn parse(format: &dyn Format, text: SecretBytes, shown: &str) -> Result<Tree> {
    format
        .parse(text)
        .map_err(|error| Error::new(Kind::Read, format!("cannot read {shown}")).because(error))
}

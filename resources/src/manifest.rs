//! Manifests: streams of YAML documents or JSON objects into Secrets and SealedSecrets, and back.
//!
//! Input is read as `kubectl` reads it: YAML 1.1 scalars (`yes` is a boolean, `017` is fifteen), numbers in text fields
//! re-formatted, field names in any case, Lists expanded. What cannot be read is an error with its place; nothing is
//! skipped. Output has the shape that scripts know from `kubeseal`.

mod json;
mod node;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::sealing::{KeyError, PrivateKey, base64};
use sealwright_crypto::secret::SecretBytes;
use sealwright_template::yaml::{self, NODE_SIZE, Node, SyntaxError};

pub(crate) use self::node::{to_value, weight};
use crate::plain_secret::PlainSecret;
use crate::sealed_secret::{API_VERSION, KIND, SealedSecret};

/// Nodes of what templates make: no object of the API server has more, and each takes far more memory than its text.
const MOST_NODES: usize = 100_000;

/// How objects are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// JSON, indented by two blanks, objects one after the other.
    #[default]
    Json,
    /// YAML, keys sorted, `---` before each document.
    Yaml,
}

/// A manifest cannot be read. It tells where, and never quotes a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The text is neither YAML nor JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// An object is not what it should be.
    #[error("document {document} (line {line}){field}: {reason}")]
    Object {
        /// Its number in the stream, from 1.
        document: usize,
        /// The line on which it starts, from 1.
        line: usize,
        /// The field at fault, with a colon before it, or nothing.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// The stream holds no object.
    #[error("no secrets found. Ensure the input is valid and UTF-8 encoded")]
    Nothing,
    /// A private key in a PEM file is of no use.
    #[error("cannot read a private key: {0}")]
    Key(#[source] KeyError),
}

/// One object of a stream.
struct Object {
    node: Node,
    document: usize,
    line: usize,
}

impl Object {
    fn error(&self, field: &str, reason: impl Into<String>) -> ManifestError {
        let field = if field.is_empty() {
            String::new()
        } else {
            format!(": {field}")
        };
        ManifestError::Object {
            document: self.document,
            line: self.line,
            field,
            reason: reason.into(),
        }
    }

    /// The `kind`, empty when there is none.
    fn kind(&self) -> Result<String, ManifestError> {
        self.text_field("kind").map(Option::unwrap_or_default)
    }

    /// Whether no field of a Secret has a value. As for kubeseal, such an object is not one; a Secret without data is.
    fn says_nothing(&self) -> bool {
        let is_unset = |node: &Node| match node {
            Node::Text(text) => text.is_empty(),
            other => other.is_null(),
        };
        let fields = [
            "apiVersion",
            "kind",
            "type",
            "immutable",
            "data",
            "stringData",
        ];
        let metadata = self.node.field("metadata");
        fields
            .iter()
            .all(|name| self.node.field(name).is_none_or(is_unset))
            && metadata.is_none_or(|metadata| match metadata {
                Node::Map(entries) => entries.iter().all(|(_, value)| is_unset(value)),
                other => is_unset(other),
            })
    }

    fn text_field(&self, name: &str) -> Result<Option<String>, ManifestError> {
        match self.node.field(name) {
            None => Ok(None),
            Some(value) => value
                .as_text()
                .map(|text| text.map(|text| text.to_string()))
                .ok_or_else(|| self.error(name, "a text is expected")),
        }
    }

    /// The JSON of a part, with numbers in text fields written as texts.
    fn json_of(part: &Node, path: &[&str]) -> SecretBytes {
        node::to_json(part, path)
    }
}

/// Reads every Secret of a stream.
///
/// # Errors
///
/// Fails on the first object that is no Secret, and when there is none at all.
pub fn read_secrets(text: &[u8]) -> Result<Vec<PlainSecret>, ManifestError> {
    let objects = objects(text)?;
    let objects = objects.iter().filter(|object| !object.says_nothing());
    let secrets: Vec<_> = objects.map(secret).collect::<Result<_, _>>()?;
    if secrets.is_empty() {
        Err(ManifestError::Nothing)
    } else {
        Ok(secrets)
    }
}

/// Reads the Secrets among the objects of a stream; there may be none.
///
/// # Errors
///
/// Fails if the stream cannot be read, and on the first Secret that is none.
pub fn read_secrets_among(text: &[u8]) -> Result<Vec<PlainSecret>, ManifestError> {
    let mut secrets = Vec::new();
    for object in objects(text)? {
        // The items of a list of the API server have no kind of their own.
        if matches!(object.kind()?.as_str(), "" | "Secret") {
            secrets.push(secret(&object)?);
        }
    }
    Ok(secrets)
}

/// Reads every SealedSecret of a stream.
///
/// # Errors
///
/// Fails on the first object that is no SealedSecret, and when there is none at all.
pub fn read_sealed_secrets(text: &[u8]) -> Result<Vec<SealedSecret>, ManifestError> {
    let objects = objects(text)?;
    let sealed: Vec<_> = objects
        .iter()
        .map(sealed_secret)
        .collect::<Result<_, _>>()?;
    if sealed.is_empty() {
        Err(ManifestError::Nothing)
    } else {
        Ok(sealed)
    }
}

/// Reads every SealedSecret of a stream in which other objects stand beside them; what those are is told in the second
/// part.
///
/// # Errors
///
/// Fails as [`read_sealed_secrets`] does where there is no SealedSecret among the objects, or one that is broken.
pub fn read_sealed_secrets_among(
    text: &[u8],
) -> Result<(Vec<SealedSecret>, Vec<String>), ManifestError> {
    let objects = objects(text)?;
    let (mut sealed, mut others) = (Vec::new(), Vec::new());
    for object in &objects {
        let kind = object.kind()?;
        if kind.is_empty() || kind == KIND {
            sealed.push(sealed_secret(object)?);
        } else {
            let (document, line) = (object.document, object.line);
            others.push(format!("document {document} (line {line}), a {kind}"));
        }
    }
    match (sealed.is_empty(), objects.first()) {
        (false, _) => Ok((sealed, others)),
        // That is the error which says what it is instead.
        (true, Some(object)) => sealed_secret(object).map(|one| (vec![one], others)),
        (true, None) => Err(ManifestError::Nothing),
    }
}

/// Reads the SealedSecret that stands first in a stream; what follows it may be of any kind.
///
/// # Errors
///
/// Fails if the first document is no SealedSecret, if there is none, and if the stream cannot be read.
pub fn read_first_sealed_secret(text: &[u8]) -> Result<SealedSecret, ManifestError> {
    let documents = documents(text)?;
    sealed_secret(documents.first().ok_or(ManifestError::Nothing)?)
}

/// Tells of what kind the objects of a stream are, in order; objects without a kind count as empty text.
///
/// # Errors
///
/// Fails if the stream cannot be read.
pub fn kinds(text: &[u8]) -> Result<Vec<String>, ManifestError> {
    objects(text)?.iter().map(Object::kind).collect()
}

/// Names the Secrets of a stream that have values; one without a name counts as empty text.
///
/// # Errors
///
/// Fails if the stream cannot be read.
pub fn secrets_with_values(text: &[u8]) -> Result<Vec<String>, ManifestError> {
    let mut names = Vec::new();
    for object in objects(text)? {
        let has_values = |field: &&str| match object.node.field(field) {
            Some(Node::Map(entries)) => entries.iter().any(|(_, value)| !value.is_null()),
            _ => false,
        };
        if object.kind()? == "Secret" && ["data", "stringData"].iter().any(has_values) {
            let name = object.node.field("metadata").and_then(|metadata| {
                let name = metadata.field("name")?.as_text().flatten()?;
                Some(name.to_string())
            });
            names.push(name.unwrap_or_default());
        }
    }
    Ok(names)
}

/// Reads every object of one kind in a stream, into its own type; objects of other kinds are passed over.
///
/// # Errors
///
/// Fails if the stream cannot be read, and on the first object of the kind that does not fit the type.
pub fn read_objects<T: DeserializeOwned>(text: &[u8], kind: &str) -> Result<Vec<T>, ManifestError> {
    let mut read = Vec::new();
    for object in objects(text)? {
        if object.kind()? != kind {
            continue;
        }
        let json = Object::json_of(&object.node, &[]);
        let typed = serde_json::from_slice(json.expose()).map_err(|error| {
            // The reason of the reader may quote what it found.
            let reason = match error.is_data() {
                true => "a field does not fit its type",
                false => "it cannot be read",
            };
            object.error("", format!("no {kind} that makes sense: {reason}"))
        })?;
        read.push(typed);
    }
    Ok(read)
}

/// Reads private keys from a backup: PEM (PKCS#1 or PKCS#8), or Secrets with a `tls.key`, alone, in a stream or in a
/// List.
///
/// # Errors
///
/// Fails if there is no key in it, and names the Secret that has none.
pub fn read_private_keys(text: &[u8]) -> Result<Vec<PrivateKey>, ManifestError> {
    if text.windows(11).any(|window| window == b"-----BEGIN ")
        && !text.windows(10).any(|window| window == b"apiVersion")
        && !text.trim_ascii_start().starts_with(b"{")
    {
        return PrivateKey::all_from_pem(text).map_err(ManifestError::Key);
    }
    let mut keys = Vec::new();
    for object in objects(text)? {
        let secret = secret(&object)?;
        let pem = secret.get("tls.key").ok_or_else(|| {
            object.error(
                "data",
                "secret must contain a 'tls.key' entry to give a private key",
            )
        })?;
        keys.extend(PrivateKey::all_from_pem(pem.expose()).map_err(ManifestError::Key)?);
    }
    if keys.is_empty() {
        Err(ManifestError::Nothing)
    } else {
        Ok(keys)
    }
}

/// Writes a SealedSecret.
#[must_use]
pub fn write_sealed_secret(sealed: &SealedSecret, output: Output) -> Vec<u8> {
    let mut value = serde_json::to_value(sealed).expect("a SealedSecret is JSON");
    if value.get("status").is_some_and(serde_json::Value::is_null) {
        value
            .as_object_mut()
            .expect("an object")
            .shift_remove("status");
    }
    write_value(&value, output).expose().to_vec() // holds ciphertext and names only
}

/// Writes a Secret in the clear.
#[must_use]
pub fn write_secret(secret: &PlainSecret, output: Output) -> SecretBytes {
    let mut node: Node = serde_json::from_slice(secret.to_json().expose()).expect("just written");
    node::print_empty_data_as_null(&mut node);
    match output {
        Output::Json => json::pretty(&node),
        Output::Yaml => yaml::document(&node),
    }
}

fn write_value(value: &serde_json::Value, output: Output) -> SecretBytes {
    let node: Node = serde_json::from_value(value.clone()).expect("JSON is JSON");
    match output {
        Output::Json => json::pretty(&node),
        Output::Yaml => yaml::document(&node),
    }
}

/// Reads every document as a plain value: YAML 1.1 scalars, lists of objects not expanded, nothing coerced.
///
/// # Errors
///
/// Names the line of what is no YAML.
pub fn read_values(text: &[u8]) -> Result<Vec<serde_json::Value>, ManifestError> {
    let documents = yaml::read_within(text, MOST_NODES)?;
    Ok(documents.iter().map(|(_, node)| to_value(node)).collect())
}

/// Reads the first document, whose texts are wiped when it is dropped.
pub(crate) fn first_document(text: &[u8]) -> Result<Option<Node>, ManifestError> {
    Ok(yaml::first_within(text, MOST_NODES)?)
}

/// About how many bytes the pairs of [`read_text_pairs`] take.
pub(crate) fn weight_of_pairs(pairs: &BTreeMap<String, SecretBytes>) -> usize {
    pairs
        .iter()
        .map(|(key, value)| NODE_SIZE + key.len() + value.len())
        .sum()
}

/// Reads the first document as a map of keys and texts; scalars become texts as in a field that wants one, null is empty.
///
/// # Errors
///
/// Refuses anything but a map of scalars.
pub fn read_text_pairs(text: &[u8]) -> Result<BTreeMap<String, SecretBytes>, ManifestError> {
    let refuse = |reason: &str| ManifestError::Object {
        document: 1,
        line: 1,
        field: String::new(),
        reason: reason.to_owned(),
    };
    let Some(node) = first_document(text)? else {
        return Ok(BTreeMap::new());
    };
    let Node::Map(entries) = &node else {
        return Err(refuse("not a map"));
    };
    let mut pairs = BTreeMap::new();
    for (key, value) in node::last_of_each(entries) {
        let value = value.as_text().ok_or(refuse("a value is no scalar"))?;
        let value = SecretBytes::copy_of(value.unwrap_or_default().as_bytes());
        pairs.insert(key, value);
    }
    Ok(pairs)
}

/// Reads a stream that begins as JSON. Where at most one object is JSON, the rest is YAML, as upstream has it: a document in
/// braces, or objects with `---` between them.
fn json_or_yaml(text: &[u8]) -> Result<Vec<(usize, Node)>, SyntaxError> {
    let (mut documents, rest) = json::read(text);
    let Some(json::Rest { offset, error }) = rest else {
        return Ok(documents);
    };
    if documents.len() > 1 {
        return Err(error);
    }
    let (before, rest) = text.split_at(offset);
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    match yaml::read(rest) {
        Ok(more) => {
            documents.extend(more.into_iter().map(|(line, node)| (lines + line, node)));
            Ok(documents)
        }
        Err(in_yaml) if rest.trim_ascii_start().starts_with(b"---") => Err(SyntaxError {
            line: lines + in_yaml.line,
            ..in_yaml
        }),
        Err(_) => Err(error),
    }
}

/// Splits a stream into documents, each of which is an object.
fn documents(text: &[u8]) -> Result<Vec<Object>, ManifestError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let documents = if text.trim_ascii_start().starts_with(b"{") {
        json_or_yaml(text)?
    } else {
        yaml::read(text)?
    };
    let numbered = documents.into_iter().zip(1..);
    numbered
        .map(|((line, node), document)| {
            let object = Object {
                node,
                document,
                line,
            };
            match &object.node {
                Node::Map(_) => Ok(object),
                _ => Err(object.error("", "an object with kind and metadata is expected")),
            }
        })
        .collect()
}

/// Splits a stream into objects and expands Lists.
fn objects(text: &[u8]) -> Result<Vec<Object>, ManifestError> {
    let documents = documents(text)?;
    let mut objects = Vec::with_capacity(documents.len());
    for object in documents {
        let kind = object.kind()?;
        let Some(Node::List(items)) = object.node.field("items") else {
            objects.push(object);
            continue;
        };
        if !(kind.is_empty() || kind == "List" || kind.ends_with("List")) {
            objects.push(object);
            continue;
        }
        for item in items {
            objects.push(Object {
                node: Node::clone(item),
                document: object.document,
                line: object.line,
            });
        }
    }
    Ok(objects)
}

fn secret(object: &Object) -> Result<PlainSecret, ManifestError> {
    let kind = object.kind()?;
    // A missing kind is common in hand-written input; another kind would be sealed into nonsense.
    if !(kind.is_empty() || kind == "Secret") {
        return Err(object.error("kind", format!("a Secret is expected, this is a {kind}")));
    }
    let mut secret = PlainSecret::default();
    if let Some(metadata) = object
        .node
        .field("metadata")
        .filter(|metadata| !metadata.is_null())
    {
        let json = Object::json_of(metadata, &["metadata"]);
        secret.metadata = serde_json::from_slice(json.expose())
            .map_err(|_| object.error("metadata", "a field has the wrong type"))?;
        drop_empty_fields(&mut secret.metadata);
    }
    secret.kind = object.text_field("type")?.filter(|kind| !kind.is_empty());
    secret.immutable = match object.node.field("immutable") {
        None => None,
        Some(value) if value.is_null() => None,
        Some(value) => Some(
            value
                .as_bool()
                .ok_or_else(|| object.error("immutable", "true or false is expected"))?,
        ),
    };
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let entries = match object.node.field(field) {
            None => continue,
            Some(value) if value.is_null() => continue,
            Some(Node::Map(entries)) => entries,
            Some(_) => return Err(object.error(field, "a map is expected")),
        };
        for (key, value) in entries {
            let key = key.as_key();
            let at = || format!("{field}.{key}");
            let bytes = if value.is_null() {
                SecretBytes::default()
            } else if encoded {
                let text = value
                    .as_string()
                    .ok_or_else(|| object.error(&at(), "text in base64 is expected"))?;
                SecretBytes::from(
                    base64::decode(text.as_bytes())
                        .map_err(|error| object.error(&at(), error.to_string()))?,
                )
            } else {
                let text = value
                    .as_text()
                    .flatten()
                    .ok_or_else(|| object.error(&at(), "a text is expected"))?;
                SecretBytes::copy_of(text.as_bytes())
            };
            secret.insert(&key, bytes);
        }
    }
    Ok(secret)
}

fn sealed_secret(object: &Object) -> Result<SealedSecret, ManifestError> {
    let kind = object.kind()?;
    if !(kind.is_empty() || kind == KIND) {
        return Err(object.error("kind", format!("a {KIND} is expected, this is a {kind}")));
    }
    let version = object.text_field("apiVersion")?.unwrap_or_default();
    if !(version.is_empty() || version == API_VERSION) {
        return Err(object.error(
            "apiVersion",
            format!("{API_VERSION} is expected, this is {version}"),
        ));
    }
    for field in ["metadata", "spec"] {
        if !matches!(object.node.field(field), Some(Node::Map(_))) {
            return Err(object.error(field, "missing"));
        }
    }
    let json = Object::json_of(&object.node, &[]);
    // The content is ciphertext and names, so the reason may be told.
    let mut sealed: SealedSecret = serde_json::from_slice(json.expose())
        .map_err(|error| object.error("", shortened(&error)))?;
    sealed.status = None;
    drop_empty_fields(&mut sealed.metadata);
    drop_empty_fields(&mut sealed.spec.template.metadata);
    Ok(sealed)
}

/// Takes an empty map or list for an absent one, as all of Kubernetes does.
fn drop_empty_fields(metadata: &mut ObjectMeta) {
    metadata.labels.take_if(|labels| labels.is_empty());
    metadata
        .annotations
        .take_if(|annotations| annotations.is_empty());
    metadata
        .finalizers
        .take_if(|finalizers| finalizers.is_empty());
    metadata.managed_fields.take_if(|fields| fields.is_empty());
    metadata
        .owner_references
        .take_if(|owners| owners.is_empty());
}

/// The reason without the place in a JSON text that no one wrote.
fn shortened(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ")
        .map_or(text.clone(), |end| text[..end].to_owned())
}

#[cfg(test)]
mod tests;

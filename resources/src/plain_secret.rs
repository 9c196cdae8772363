//! A Kubernetes Secret in the clear.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::sealing::base64;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use thiserror::Error;

/// A Secret whose values are wiped when it is dropped; `stringData` is part of `data` here.
///
/// ```compile_fail
/// # use sealwright_resources::plain_secret::PlainSecret;
/// println!("{:?}", PlainSecret::named("ns", "name"));
/// ```
#[derive(Default)]
pub struct PlainSecret {
    /// The metadata, which is not secret.
    pub metadata: ObjectMeta,
    /// The `type`; `None` is a Secret that does not say, which is not the same as `Opaque`.
    pub kind: Option<String>,
    /// Whether the cluster refuses changes of the data.
    pub immutable: Option<bool>,
    data: BTreeMap<String, SecretBytes>,
}

static_assertions::assert_not_impl_any!(PlainSecret: Clone, fmt::Debug, fmt::Display);

/// A Secret in JSON that cannot be read; the text never quotes the input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot read the Secret: {what} at line {line} column {column}")]
pub struct PlainSecretError {
    what: &'static str,
    line: usize,
    column: usize,
}

impl PlainSecret {
    /// Starts a Secret without values.
    #[must_use]
    pub fn named(namespace: &str, name: &str) -> Self {
        Self {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Self::default()
        }
    }

    /// Reads a Secret from JSON.
    ///
    /// # Errors
    ///
    /// Tells the place of what cannot be read, never the text.
    pub fn from_json(text: &[u8]) -> Result<Self, PlainSecretError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            #[serde(default)]
            metadata: Option<ObjectMeta>,
            #[serde(default, rename = "type")]
            kind: Option<String>,
            #[serde(default)]
            immutable: Option<bool>,
            #[serde(default)]
            data: Option<BTreeMap<String, Base64Value>>,
            #[serde(default)]
            string_data: Option<BTreeMap<String, TextValue>>,
        }
        let wire: Wire = serde_json::from_slice(text).map_err(|error| PlainSecretError {
            what: match error.classify() {
                serde_json::error::Category::Data => "a field of the wrong type",
                _ => "no valid JSON",
            },
            line: error.line(),
            column: error.column(),
        })?;
        let values = wire.data.unwrap_or_default().into_iter();
        let texts = wire.string_data.unwrap_or_default().into_iter();
        Ok(Self {
            metadata: wire.metadata.unwrap_or_default(),
            kind: wire.kind.filter(|kind| !kind.is_empty()),
            immutable: wire.immutable,
            data: values
                .map(|(key, value)| (key, value.0))
                .chain(texts.map(|(key, value)| (key, value.0)))
                .collect(),
        })
    }

    /// Writes the Secret as JSON into a buffer that is wiped: the body of a request.
    ///
    /// A missing type stays missing; the keys are in the order in which Go writes them.
    #[must_use]
    pub fn to_json(&self) -> SecretBytes {
        let size: usize = self
            .data
            .iter()
            .map(|(k, v)| k.len() + v.len() * 4 / 3 + 16)
            .sum();
        let mut out = SecretWriter::with_capacity(size + 1024);
        out.push(br#"{"kind":"Secret","apiVersion":"v1","metadata":"#);
        push_json(&mut out, &self.metadata);
        if let Some(immutable) = self.immutable {
            out.push(b",\"immutable\":");
            push_json(&mut out, &immutable);
        }
        if !self.data.is_empty() {
            out.push(b",\"data\":{");
            for (index, (key, value)) in self.data.iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                push_json(&mut out, key);
                out.push(b":\"");
                push_base64(&mut out, value);
                out.push_byte(b'"');
            }
            out.push_byte(b'}');
        }
        if let Some(kind) = &self.kind {
            out.push(b",\"type\":");
            push_json(&mut out, kind);
        }
        out.push_byte(b'}');
        out.finish()
    }

    /// Sets a value.
    pub fn insert(&mut self, key: &str, value: SecretBytes) {
        self.data.insert(key.to_owned(), value);
    }

    /// Copies the whole Secret; the copy is wiped as the original is.
    #[must_use]
    pub fn copy(&self) -> Self {
        let values = self.data.iter();
        Self {
            metadata: self.metadata.clone(),
            kind: self.kind.clone(),
            immutable: self.immutable,
            data: values
                .map(|(key, value)| (key.clone(), SecretBytes::copy_of(value.expose())))
                .collect(),
        }
    }

    /// The values, by their keys.
    #[must_use]
    pub fn into_values(self) -> BTreeMap<String, SecretBytes> {
        self.data
    }

    /// Takes all values out.
    pub fn clear(&mut self) {
        self.data.clear();
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) -> Option<SecretBytes> {
        self.data.remove(key)
    }

    /// Looks a value up.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SecretBytes> {
        self.data.get(key)
    }

    /// The values in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &SecretBytes)> {
        self.data.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Tells whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The namespace, empty if there is none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The name, empty if there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

fn push_json(out: &mut SecretWriter, value: &impl serde::Serialize) {
    serde_json::to_writer(out, value).expect("metadata is JSON and memory does not fail");
}

/// Encodes straight into the buffer, so that there is no second copy to wipe.
fn push_base64(out: &mut SecretWriter, value: &SecretBytes) {
    use ::base64::Engine;
    let room = out.extend_zeroed(value.len().div_ceil(3) * 4);
    ::base64::engine::general_purpose::STANDARD
        .encode_slice(value.expose(), room)
        .expect("the room is as large as the text");
}

/// A base64 string that goes straight into a secret buffer; null is empty.
struct Base64Value(SecretBytes);
/// A string that goes straight into a secret buffer; null is empty.
struct TextValue(SecretBytes);

impl<'de> Deserialize<'de> for Base64Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let decode = |text: &str| {
            base64::decode(text.as_bytes())
                .map(SecretBytes::from)
                .map_err(|error| error.to_string())
        };
        deserializer
            .deserialize_option(SecretVisitor(decode))
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for TextValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let copy = |text: &str| Ok(SecretBytes::copy_of(text.as_bytes()));
        deserializer
            .deserialize_option(SecretVisitor(copy))
            .map(Self)
    }
}

struct SecretVisitor<F>(F);

impl<'de, F: Fn(&str) -> Result<SecretBytes, String>> Visitor<'de> for SecretVisitor<F> {
    type Value = SecretBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E: de::Error>(self) -> Result<SecretBytes, E> {
        Ok(SecretBytes::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<SecretBytes, E> {
        Ok(SecretBytes::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<SecretBytes, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretBytes, E> {
        (self.0)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back() {
        let mut secret = PlainSecret::named("ns", "name");
        secret.kind = Some("kubernetes.io/tls".into());
        secret.immutable = Some(true);
        secret.insert("b", SecretBytes::copy_of(b"\x00\xff"));
        secret.insert("a\"", SecretBytes::default());
        let text = secret.to_json();
        assert_eq!(
            std::str::from_utf8(text.expose()).unwrap(),
            concat!(
                r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"name","namespace":"ns"},"#,
                r#""immutable":true,"data":{"a\"":"","b":"AP8="},"type":"kubernetes.io/tls"}"#
            )
        );
        let again = PlainSecret::from_json(text.expose()).unwrap();
        assert_eq!(again.get("b").unwrap().expose(), b"\x00\xff");
        assert_eq!(again.to_json(), text);
    }

    #[test]
    fn t7_a_missing_type_stays_missing() {
        let text = PlainSecret::named("ns", "name").to_json();
        assert!(!std::str::from_utf8(text.expose()).unwrap().contains("type"));
        let read = PlainSecret::from_json(br#"{"type":"","data":null}"#).unwrap();
        assert_eq!(read.kind, None);
    }

    #[test]
    fn string_data_wins_and_null_is_empty() {
        let text = br#"{"data":{"a":"Zm9v","n":null},"stringData":{"a":"bar","t":"x\ny"}}"#;
        let secret = PlainSecret::from_json(text).unwrap();
        let values: Vec<_> = secret.iter().map(|(k, v)| (k, v.expose())).collect();
        assert_eq!(values, [("a", &b"bar"[..]), ("n", b""), ("t", b"x\ny")]);
    }

    #[test]
    fn errors_never_quote_the_input() {
        for text in [
            r#"{"data":{"a":"canary!"}}"#,
            r#"{"data":"canary"}"#,
            r#"{"data":{"a":{"canary":1}}}"#,
            r#"{"immutable":"canary"}"#,
            r#"{"data":{"a":"canary"#,
        ] {
            let error = PlainSecret::from_json(text.as_bytes()).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }
}

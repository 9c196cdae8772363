//! Secrets in the clear, as manifests.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_documents::data::Data;
use sealwright_documents::format::{Layout, by_name};
use sealwright_resources::manifest::{self, Output};
use sealwright_resources::plain_secret::PlainSecret;

use crate::error::{Error, Kind, Result};

/// How values of Secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// In Base64, as the API server has them.
    Encoded,
    /// As text, in `stringData`; what is no text stays as it is.
    Decoded,
}

/// Writes a Secret.
pub(crate) fn write(secret: &PlainSecret, output: Output, values: Values) -> Result<SecretBytes> {
    match values {
        Values::Encoded => Ok(manifest::write_secret(secret, output)),
        Values::Decoded => decoded(secret, output),
    }
}

/// A Secret with its texts in `stringData`.
fn decoded(secret: &PlainSecret, output: Output) -> Result<SecretBytes> {
    let failed = |reason: String| Error::new(Kind::Emit, "cannot write the Secret").because(reason);
    let json = by_name("json").expect("JSON is in the list of formats");
    let tree = json
        .parse(manifest::write_secret(secret, Output::Json))
        .map_err(|error| failed(error.to_string()))?;
    let root = tree.documents.first().map_or(0, |root| *root as usize);
    let Data::Map(fields) = Data::of(&tree, root) else {
        return Err(failed("it is no object".to_owned()));
    };
    let is_text = |value: &SecretBytes| std::str::from_utf8(value.expose()).is_ok();
    let texts: Vec<_> = secret
        .iter()
        .filter(|(_, value)| is_text(value))
        .map(|(key, value)| {
            let text = SecretBytes::copy_of(value.expose());
            (Data::key(key), Data::Str(text))
        })
        .collect();
    let mut texts = Some(texts).filter(|texts| !texts.is_empty());
    let mut written = Vec::new();
    for (name, value) in fields {
        let Data::Map(entries) = value else {
            written.push((name, value));
            continue;
        };
        if name.expose() != b"data" {
            written.push((name, Data::Map(entries)));
            continue;
        }
        let is_binary = |key: &SecretBytes| {
            let key = std::str::from_utf8(key.expose()).unwrap_or_default();
            secret.get(key).is_some_and(|value| !is_text(value))
        };
        let kept: Vec<_> = entries
            .into_iter()
            .filter(|(key, _)| is_binary(key))
            .collect();
        if !kept.is_empty() {
            written.push((name, Data::Map(kept)));
        }
        if let Some(texts) = texts.take() {
            written.push((Data::key("stringData"), Data::Map(texts)));
        }
    }
    let place = |name: &SecretBytes| match name.expose() {
        b"apiVersion" => 0,
        b"kind" => 1,
        b"metadata" => 2,
        _ => 3,
    };
    written.sort_by_key(|(name, _)| place(name));
    let format = match output {
        Output::Yaml => by_name("yaml").expect("YAML is in the list of formats"),
        Output::Json => json,
    };
    let body = format
        .render(&[Data::Map(written)], Layout { indent: Some(2) })
        .map_err(|error| failed(error.to_string()))?;
    let mut text = SecretWriter::with_capacity(body.len() + 4);
    if output == Output::Yaml {
        text.push(b"---\n");
    }
    text.push(body.expose());
    Ok(text.finish())
}

//! A document's content apart from any file: what is set, extracted, or written in another format.

use sealwright_crypto::secret::SecretBytes;

use crate::scalar::Scalar;

/// A value with everything below it.
#[derive(Debug, PartialEq)]
pub enum Data {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A timestamp in RFC 3339 form.
    Time(String),
    /// Text or bytes.
    Str(SecretBytes),
    /// A comment in a list or a map.
    Comment {
        /// The text after the mark, leading space included.
        text: SecretBytes,
        /// Whether it shares its line with a value.
        inline: bool,
    },
    /// A list.
    List(Vec<Data>),
    /// A map; a comment stands in it under an empty key.
    Map(Vec<(SecretBytes, Data)>),
}

impl Data {
    /// A text value.
    pub fn str(text: &str) -> Self {
        Data::Str(SecretBytes::copy_of(text.as_bytes()))
    }

    /// The key of a map's entry.
    pub fn key(text: &str) -> SecretBytes {
        SecretBytes::copy_of(text.as_bytes())
    }

    /// Copies the value with everything below it; said aloud, because it copies secrets.
    pub fn copy(&self) -> Self {
        match self {
            Data::List(items) => Data::List(items.iter().map(Data::copy).collect()),
            Data::Map(entries) => Data::Map(
                entries
                    .iter()
                    .map(|(key, value)| (SecretBytes::copy_of(key.expose()), value.copy()))
                    .collect(),
            ),
            Data::Comment { text, inline } => Data::Comment {
                text: SecretBytes::copy_of(text.expose()),
                inline: *inline,
            },
            _ => Data::of_scalar(self.as_scalar().expect("not a collection")),
        }
    }

    /// The entry of a map under `key`; the first when there are several.
    pub fn get(&self, key: &str) -> Option<&Data> {
        match self {
            Data::Map(entries) => entries
                .iter()
                .find(|(name, value)| {
                    name.expose() == key.as_bytes() && !matches!(value, Data::Comment { .. })
                })
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// Copies a scalar; a comment becomes one that stands alone.
    pub fn of_scalar(scalar: Scalar<'_>) -> Self {
        match scalar {
            Scalar::Null => Data::Null,
            Scalar::Bool(value) => Data::Bool(value),
            Scalar::Int(value) => Data::Int(value),
            Scalar::Float(value) => Data::Float(value),
            Scalar::Time(text) => Data::Time(String::from_utf8_lossy(text).into_owned()),
            Scalar::Str(text) => Data::Str(SecretBytes::copy_of(text)),
            Scalar::Comment(text) => Data::Comment {
                text: SecretBytes::copy_of(text),
                inline: false,
            },
        }
    }

    /// The scalar that this is; `None` for collections.
    pub fn as_scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Data::Null => Scalar::Null,
            Data::Bool(value) => Scalar::Bool(*value),
            Data::Int(value) => Scalar::Int(*value),
            Data::Float(value) => Scalar::Float(*value),
            Data::Time(text) => Scalar::Time(text.as_bytes()),
            Data::Str(text) => Scalar::Str(text.expose()),
            Data::Comment { text, .. } => Scalar::Comment(text.expose()),
            Data::List(_) | Data::Map(_) => return None,
        })
    }
}

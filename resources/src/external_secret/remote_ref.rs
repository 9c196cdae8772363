//! References to values of a store, and how the values are read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sealwright_providers::outcome::StoreError;
use sealwright_providers::remote;
use serde::{Deserialize, Serialize};

/// Where a value is in a store, and how it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteRef {
    /// The name of the secret in the store.
    pub key: String,
    /// A part of the secret: a key of its pairs, or a path into its JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// The version of the secret. Empty is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether to read the value or what the store knows about it. Empty is None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_policy: Option<MetadataPolicy>,
    /// How keys that a Secret cannot have are converted. Empty is Default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<ConversionStrategy>,
    /// How values are decoded. Empty is None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoding_strategy: Option<DecodingStrategy>,
    /// Whether values may contain the byte zero. Empty is Ignore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_byte_policy: Option<NullBytePolicy>,
}

/// Which secrets of a store to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Find {
    /// Below which path of the store to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// By their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<FindName>,
    /// By their tags: secrets with all of these. An empty map differs from none at all for some stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// How keys that a Secret cannot have are converted. Empty is Default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<ConversionStrategy>,
    /// How values are decoded. Empty is None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoding_strategy: Option<DecodingStrategy>,
    /// Whether values may contain the byte zero. Empty is Ignore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_byte_policy: Option<NullBytePolicy>,
}

/// Finds secrets by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindName {
    /// A regular expression that matches anywhere in the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
}

impl RemoteRef {
    /// The reference as stores know it, for objects of a namespace.
    #[must_use]
    pub fn asked_by(&self, namespace: &str) -> remote::RemoteRef {
        remote::RemoteRef {
            key: self.key.clone(),
            property: self.property.clone(),
            version: self.version.clone(),
            namespace: Some(namespace.to_owned()),
            metadata: match self.metadata_policy.unwrap_or_default() {
                MetadataPolicy::None => remote::MetadataPolicy::None,
                MetadataPolicy::Fetch => remote::MetadataPolicy::Fetch,
            },
        }
    }
}

impl Find {
    /// What to look for, as stores know it.
    ///
    /// # Errors
    ///
    /// Fails if the name is no regular expression.
    pub fn asked(&self) -> Result<remote::Find, StoreError> {
        let pattern = self.name.as_ref().map(|name| {
            let pattern = name.regexp.as_deref().unwrap_or_default();
            remote::NamePattern::new(pattern)
        });
        Ok(remote::Find {
            path: self.path.clone(),
            name: pattern.transpose()?,
            tags: self.tags.clone(),
            conversion: self.conversion_strategy.unwrap_or_default().into(),
        })
    }
}

/// Whether to read the value or what the store knows about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MetadataPolicy {
    /// The value.
    #[default]
    None,
    /// The tags, labels or metadata in place of the value.
    Fetch,
}

/// How keys that a Secret cannot have are converted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConversionStrategy {
    /// Other characters become underscores.
    #[default]
    Default,
    /// Other characters become their code points, as in `_U002f_`.
    Unicode,
}

/// How values are decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DecodingStrategy {
    /// Base64 or Base64URL if the value is that, and else not at all.
    Auto,
    /// Base64 with padding.
    Base64,
    /// Base64 with padding, in the alphabet for URLs.
    #[serde(rename = "Base64URL")]
    Base64Url,
    /// Not at all.
    #[default]
    None,
}

/// Whether values may contain the byte zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NullBytePolicy {
    /// They may.
    #[default]
    Ignore,
    /// A value with one is an error.
    Fail,
}

//! What settings refer to: keys of Secrets, and service accounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Refers to one key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretKeySelector {
    /// The name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Its namespace; only a ClusterSecretStore may name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAMESPACE_PATTERN), length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The key in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = KEY_PATTERN), length(min = 1, max = 253))]
    pub key: Option<String>,
}

impl SecretKeySelector {
    /// The same reference with a key where none is named.
    #[must_use]
    pub fn or_key(&self, key: &str) -> Self {
        let mut with = self.clone();
        if with.key.as_deref().is_none_or(str::is_empty) {
            with.key = Some(key.to_owned());
        }
        with
    }
}

/// Refers to a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ServiceAccountSelector {
    /// Its name.
    #[schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; only a ClusterSecretStore may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAMESPACE_PATTERN), length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Audiences that its tokens get in addition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
}

pub(crate) const NAME_PATTERN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
pub(crate) const NAMESPACE_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
pub(crate) const KEY_PATTERN: &str = r"^[-._a-zA-Z0-9]+$";

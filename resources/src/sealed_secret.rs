//! The SealedSecret resource, and how Secrets become SealedSecrets and back.

mod crd;
mod error;
mod seal;
mod unseal;

pub use crd::custom_resource_definition;
pub use error::{ItemErrors, SealError, UnsealError};
pub use seal::{Refresh, Resealed, reseal, seal, seal_each};
pub use unseal::{Opened, UnsealOptions, Unsealed, fill_with, open, unseal, unseal_on, verify};

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::condition::Condition;

/// API group of the resource.
pub const GROUP: &str = "bitnami.com";
/// Group and version of the resource, as objects carry it.
pub const API_VERSION: &str = "bitnami.com/v1alpha1";
/// Kind of the resource, as objects carry it.
pub const KIND: &str = "SealedSecret";

/// On an existing Secret: the controller may overwrite it although it does not own it.
pub const MANAGED_ANNOTATION: &str = "sealedsecrets.bitnami.com/managed";
/// On an existing Secret: the controller merges instead of overwriting.
pub const PATCH_ANNOTATION: &str = "sealedsecrets.bitnami.com/patch";
/// In a template: the Secret gets no owner reference.
pub const SKIP_OWNER_ANNOTATION: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";
/// On key Secrets: `active` keys are used, others are ignored.
pub const SEALING_KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";

/// SealedSecretSpec is the specification of a SealedSecret.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bitnami.com",
    version = "v1alpha1",
    kind = "SealedSecret",
    namespaced,
    status = "SealedSecretStatus",
    derive = "PartialEq",
    doc = "SealedSecret is the K8s representation of a \"sealed Secret\" - a\nregular k8s Secret that has been sealed (encrypted) using the\ncontroller's key.",
    printcolumn = r#"{"jsonPath": ".status.conditions[0].message", "name": "Status", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[0].status", "name": "Synced", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".metadata.creationTimestamp", "name": "Age", "type": "date"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretSpec {
    /// Template defines the structure of the Secret that will be
    /// created from this sealed secret.
    #[serde(default, deserialize_with = "null_is_default")]
    pub template: SecretTemplate,
    /// Data is deprecated and will be removed eventually. Use per-value EncryptedData instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The sealed values in base64, by key.
    #[serde(default, deserialize_with = "lenient_texts")]
    pub encrypted_data: BTreeMap<String, String>,
}

/// The structure of the Secret that comes out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(rustdoc::bare_urls, reason = "the words of the CRD")]
pub struct SecretTemplate {
    /// Standard object's metadata.
    /// More info: https://git.k8s.io/community/contributors/devel/api-conventions.md#metadata
    #[serde(default, deserialize_with = "null_is_default")]
    pub metadata: ObjectMeta,
    /// Used to facilitate programmatic handling of secret data.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
    /// Immutable, if set to true, ensures that data stored in the Secret cannot
    /// be updated (only object metadata can be modified).
    /// If not set to true, the field can be modified at any time.
    /// Defaulted to nil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Keys that should be templated using decrypted data.
    /// Set a key with the same name as in `encryptedData`
    /// to `null` to omit the unsealed data from the final secret.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub data: BTreeMap<String, Option<String>>,
}

/// SealedSecretStatus is the most recently observed status of the SealedSecret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretStatus {
    /// ObservedGeneration reflects the generation most recently observed by the sealed-secrets controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Represents the latest available observations of a sealed secret's current state.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub conditions: Vec<Condition>,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn empty_is_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// Reads `encryptedData` without ever failing: one malformed object must not stop a whole watch.
///
/// As in upstream, an item that is no string is the empty string, which then does not
/// decrypt, and anything but an object is an empty map.
fn lenient_texts<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Object(items) => items
            .into_iter()
            .map(|(key, item)| match item {
                serde_json::Value::String(text) => (key, text),
                _ => (key, String::new()),
            })
            .collect(),
        _ => BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests;

//! The ClusterExternalSecret resource: one ExternalSecret for each of many namespaces.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::external_secret::ExternalSecretSpec;
use crate::label_selector::{self, InvalidSelector};

/// The kind, as objects carry it.
pub const KIND: &str = "ClusterExternalSecret";
/// Keeps the object until its ExternalSecrets have been deleted.
pub const FINALIZER: &str = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup";
/// The label in which every namespace carries its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// ClusterExternalSecretSpec defines the desired state of a ClusterExternalSecret.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "ClusterExternalSecret",
    plural = "clusterexternalsecrets",
    shortname = "ces",
    category = "external-secrets",
    status = "ClusterExternalSecretStatus",
    derive = "PartialEq",
    doc = "ClusterExternalSecret makes an ExternalSecret in each namespace that it selects.",
    printcolumn = r#"{"jsonPath": ".spec.externalSecretSpec.secretStoreRef.name", "name": "Store", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".spec.refreshTime", "name": "Refresh Interval", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "name": "Ready", "type": "string"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExternalSecretSpec {
    /// The spec of the ExternalSecrets.
    pub external_secret_spec: ExternalSecretSpec,
    /// The name of the ExternalSecrets. Empty is the name of the ClusterExternalSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub external_secret_name: Option<String>,
    /// Labels and annotations of the ExternalSecrets.
    #[serde(default, rename = "externalSecretMetadata")]
    pub external_secret_metadata: ChildMetadata,
    /// Selects namespaces by their labels. Deprecated: use namespaceSelectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Selects namespaces by their labels: those that one of the selectors matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Selects namespaces by their names. Deprecated: use namespaceSelectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ))]
    pub namespaces: Vec<String>,
    /// The time after which the ExternalSecrets are compared again. Empty is one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
}

/// Labels and annotations of objects that are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildMetadata {
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The most recently observed state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExternalSecretStatus {
    /// The name of the ExternalSecrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_secret_name: Option<String>,
    /// Namespaces without a proper ExternalSecret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_namespaces: Vec<FailedNamespace>,
    /// Namespaces with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioned_namespaces: Vec<String>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ClusterCondition>,
}

/// A namespace without a proper ExternalSecret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedNamespace {
    /// The namespace.
    pub namespace: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One condition of a ClusterExternalSecret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCondition {
    /// The type of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds: True, False or Unknown.
    pub status: String,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Message: not every namespace is as it should be.
pub const SOME_FAILED: &str = "one or more namespaces failed";

impl ClusterExternalSecret {
    /// The name of the ExternalSecrets.
    #[must_use]
    pub fn external_secret_name(&self) -> &str {
        match self.spec.external_secret_name.as_deref() {
            None | Some("") => self.metadata.name.as_deref().unwrap_or_default(),
            Some(name) => name,
        }
    }
}

/// Returns true if the spec selects a namespace with this name and these labels; no selector at all selects none.
///
/// # Errors
///
/// Refuses a selector that Kubernetes would refuse.
pub fn selects(
    spec: &ClusterExternalSecretSpec,
    labels: Option<&BTreeMap<String, String>>,
) -> Result<bool, InvalidSelector> {
    let selectors = spec.namespace_selectors.iter();
    for selector in selectors.chain(&spec.namespace_selector) {
        if label_selector::matches(selector, labels)? {
            return Ok(true);
        }
    }
    let name = labels.and_then(|labels| labels.get(NAMESPACE_NAME));
    Ok(name.is_some_and(|name| spec.namespaces.contains(name)))
}

/// The finalizer of namespaces that an object of this name looks after.
///
/// Finalizers are limited to 63 characters behind the slash: a longer name is cut, and a part of its hash keeps it apart.
#[must_use]
pub fn namespace_finalizer(name: &str) -> String {
    const LONGEST: usize = 63;
    const KEPT: usize = 50;
    let plain = format!("ces-{name}");
    if plain.len() <= LONGEST {
        return format!("externalsecrets.external-secrets.io/{plain}");
    }
    let kept = name.get(..KEPT).unwrap_or(name);
    let digest = Sha256::digest(name.as_bytes());
    let hash: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("externalsecrets.external-secrets.io/ces-{kept}-{hash}")
}

/// The condition of a status.
#[must_use]
pub fn ready(failed: &[FailedNamespace]) -> ClusterCondition {
    let message = (!failed.is_empty()).then(|| SOME_FAILED.to_owned());
    ClusterCondition {
        kind: crate::external_secret::status::READY.to_owned(),
        status: if message.is_none() { "True" } else { "False" }.to_owned(),
        message,
    }
}

/// Builds the CustomResourceDefinition.
#[must_use]
pub fn custom_resource_definition(serve_v1beta1: bool) -> serde_json::Value {
    use crate::definition::{Definition, Older};
    Definition::of::<ClusterExternalSecret>()
        .required_spec(false)
        .older(Older::ExternalSecret, serve_v1beta1)
        .finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selected(spec: serde_json::Value) -> bool {
        let mut spec = spec;
        spec["externalSecretSpec"] = json!({});
        let labels = [
            (NAMESPACE_NAME.to_owned(), "one".to_owned()),
            ("team".to_owned(), "red".to_owned()),
        ]
        .into();
        selects(&serde_json::from_value(spec).unwrap(), Some(&labels)).unwrap()
    }

    #[test]
    fn any_selector_is_enough_and_none_selects_nothing() {
        assert!(!selected(json!({})));
        assert!(selected(json!({"namespaceSelector": {}})));
        assert!(selected(json!({"namespaces": ["two", "one"]})));
        assert!(selected(json!({"namespaceSelectors": [
            {"matchLabels": {"team": "blue"}}, {"matchLabels": {"team": "red"}}]})));
        assert!(!selected(
            json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}})
        ));
    }

    #[test]
    fn finalizers_of_namespaces_have_a_length() {
        assert_eq!(
            namespace_finalizer("a"),
            "externalsecrets.external-secrets.io/ces-a"
        );
        let name = "a".repeat(59);
        assert!(namespace_finalizer(&name).ends_with(&name));
        let long = namespace_finalizer(&"a".repeat(60));
        let (_, name) = long.split_once('/').unwrap();
        assert_eq!(name.len(), 63);
        // SHA-256 of sixty a.
        assert!(name.ends_with("-11ee3912"), "{name}");
    }
}

//! The PushSecret and ClusterPushSecret resources: Secrets of the cluster written to stores.

pub mod entries;
pub mod refresh;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster_external_secret::{ChildMetadata, FailedNamespace};
use crate::definition::Definition;
use crate::external_secret::rewrite::{Regexp, Transform};
use crate::external_secret::status::Condition;
use crate::external_secret::template_spec::TargetTemplate;
use crate::external_secret::{GeneratorRef, StoreKind};

/// Group and version, as objects carry it.
pub const API_VERSION: &str = "external-secrets.io/v1alpha1";
/// The kind, as objects carry it.
pub const KIND: &str = "PushSecret";
/// The kind that makes PushSecrets, as objects carry it.
pub const CLUSTER_KIND: &str = "ClusterPushSecret";
/// Keeps the object until what it pushed has been deleted.
pub const FINALIZER: &str = "pushsecret.externalsecrets.io/finalizer";

/// PushSecretSpec says what is pushed, and where to.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1alpha1",
    kind = "PushSecret",
    plural = "pushsecrets",
    shortname = "ps",
    category = "external-secrets",
    namespaced,
    status = "PushSecretStatus",
    derive = "PartialEq",
    doc = "PushSecret writes values of a Secret to stores.",
    printcolumn = r#"{"jsonPath": ".metadata.creationTimestamp", "name": "AGE", "type": "date"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "name": "Status", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.refreshTime", "name": "Last Sync", "type": "date"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PushSecretSpec {
    /// The time between two pushes.
    #[serde(default = "one_hour")]
    #[schemars(extend("x-default" = "1h0m0s"))]
    pub refresh_interval: String,
    /// The stores that are written to.
    pub secret_store_refs: Vec<PushStoreRef>,
    /// Whether values that are in a store already are replaced.
    #[serde(default)]
    #[schemars(extend("x-default" = "Replace"))]
    pub update_policy: UpdatePolicy,
    /// Whether what was pushed is deleted with the PushSecret.
    #[serde(default)]
    #[schemars(extend("x-default" = "None"))]
    pub deletion_policy: PushDeletionPolicy,
    /// What is pushed.
    pub selector: PushSelector,
    /// Single values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<PushData>,
    /// Many values at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_to: Vec<PushDataTo>,
    /// Changes the Secret before it is pushed; the Secret of the cluster stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TargetTemplate>,
}

fn one_hour() -> String {
    "1h0m0s".to_owned()
}

/// Names stores to write to, by name or by labels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushStoreRef {
    /// The name of one store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// The labels of many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// The kind of the stores.
    #[serde(default)]
    #[schemars(extend("x-default" = "SecretStore"))]
    pub kind: StoreKind,
}

/// Whether values that are in a store already are replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdatePolicy {
    /// They are.
    #[default]
    Replace,
    /// They stay.
    IfNotExists,
}

/// Whether what was pushed is deleted with the PushSecret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PushDeletionPolicy {
    /// It is.
    Delete,
    /// It stays.
    #[default]
    None,
}

/// What is pushed: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("maxProperties" = 1, "minProperties" = 1))]
pub struct PushSelector {
    /// A Secret, or all that have certain labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<PushSecretSelector>,
    /// What a generator makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorRef>,
}

/// A Secret, or all that have certain labels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushSecretSelector {
    /// The name of one Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// The labels of many. An empty selector is refused: it would push every Secret of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// One value and where it goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushData {
    /// The value and its place in the store.
    #[serde(rename = "match")]
    pub matching: PushMatch,
    /// What the store is to know about the value; its form depends on the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_form")]
    pub metadata: Option<Value>,
    /// How keys are converted.
    #[serde(default)]
    #[schemars(extend("x-default" = "None"))]
    pub conversion_strategy: PushConversionStrategy,
}

fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A value and its place in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushMatch {
    /// The place.
    pub remote_ref: PushRemoteRef,
    /// The key of the value. Empty is the whole Secret as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
}

/// A place in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushRemoteRef {
    /// A part of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// The name of the secret in the store.
    pub remote_key: String,
}

/// How keys are converted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PushConversionStrategy {
    /// Not at all.
    #[default]
    None,
    /// Code points, as in `_U002f_`, become characters.
    ReverseUnicode,
}

/// Many values at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushDataTo {
    /// The store or stores among those of the PushSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<PushStoreRef>,
    /// One secret of the store for all values; empty makes one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_key: Option<String>,
    /// Which keys of the Secret. Empty is all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<PushDataToMatch>,
    /// Changes the keys into names of secrets, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<PushRewrite>,
    /// What the store is to know about the values; its form depends on the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_form")]
    pub metadata: Option<Value>,
    /// How keys are converted.
    #[serde(default)]
    #[schemars(extend("x-default" = "None"))]
    pub conversion_strategy: PushConversionStrategy,
}

/// Which keys of the Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushDataToMatch {
    /// A regular expression that matches anywhere in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
}

/// One step: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushRewrite {
    /// Replaces what a regular expression matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<Regexp>,
    /// Makes each key with a template, in which it is `.value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
}

/// What was pushed, by store (`Kind/name`) and place (`key` or `key/property`).
pub type SyncedPushSecrets = BTreeMap<String, BTreeMap<String, PushData>>;

/// The most recently observed state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushSecretStatus {
    /// When values were last pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub refresh_time: Option<Time>,
    /// The generation, labels and annotations that were pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_resource_version: Option<String>,
    /// What was pushed, by store and place. It is the only record of what may be deleted from stores.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub synced_push_secrets: SyncedPushSecrets,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// ClusterPushSecretSpec says which namespaces get a PushSecret.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1alpha1",
    kind = "ClusterPushSecret",
    plural = "clusterpushsecrets",
    category = "external-secrets",
    status = "ClusterPushSecretStatus",
    derive = "PartialEq",
    doc = "ClusterPushSecret makes a PushSecret in each namespace that it selects.",
    printcolumn = r#"{"jsonPath": ".metadata.creationTimestamp", "name": "AGE", "type": "date"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "name": "Status", "type": "string"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPushSecretSpec {
    /// The spec of the PushSecrets.
    pub push_secret_spec: PushSecretSpec,
    /// The name of the PushSecrets. Empty is the name of the ClusterPushSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub push_secret_name: Option<String>,
    /// Labels and annotations of the PushSecrets.
    #[serde(default)]
    pub push_secret_metadata: ChildMetadata,
    /// Selects namespaces by their labels: those that one of the selectors matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// The time after which the PushSecrets are compared again. Empty is one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
}

/// The most recently observed state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPushSecretStatus {
    /// The name of the PushSecrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_secret_name: Option<String>,
    /// Namespaces without a proper PushSecret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_namespaces: Vec<FailedNamespace>,
    /// Namespaces with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioned_namespaces: Vec<String>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl ClusterPushSecret {
    /// The name of the PushSecrets.
    #[must_use]
    pub fn push_secret_name(&self) -> &str {
        match self.spec.push_secret_name.as_deref() {
            None | Some("") => self.metadata.name.as_deref().unwrap_or_default(),
            Some(name) => name,
        }
    }
}

/// Builds the CustomResourceDefinition of PushSecrets.
#[must_use]
pub fn push_secret_definition() -> Value {
    let definition = Definition::of::<PushSecret>().required_spec(false);
    with_rules(definition, "/properties/spec").finish()
}

/// Builds the CustomResourceDefinition of ClusterPushSecrets.
#[must_use]
pub fn cluster_push_secret_definition() -> Value {
    let definition = Definition::of::<ClusterPushSecret>().required_spec(false);
    with_rules(definition, "/properties/spec/properties/pushSecretSpec").finish()
}

/// The rules that only an expression can say.
fn with_rules(definition: Definition, spec: &str) -> Definition {
    let items = format!("{spec}/properties/dataTo/items");
    definition
        .put(
            &format!("{items}/x-kubernetes-validations"),
            json!([
                {
                    "message": "storeRef must specify either name or labelSelector",
                    "rule": "has(self.storeRef) && (has(self.storeRef.name) || has(self.storeRef.labelSelector))",
                },
                {
                    "message": "remoteKey and rewrite are mutually exclusive: rewrite is only supported in per-key mode (without remoteKey)",
                    "rule": "!has(self.remoteKey) || !has(self.rewrite) || size(self.rewrite) == 0",
                },
            ]),
        )
        .put(
            &format!("{items}/properties/rewrite/items/x-kubernetes-validations"),
            json!([{
                "message": "exactly one of regexp or transform must be set",
                "rule": "(has(self.regexp) && !has(self.transform)) || (!has(self.regexp) && has(self.transform))",
            }]),
        )
}

//! How a Secret is made out of values: the template part of ExternalSecrets and PushSecrets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote_ref::DecodingStrategy;

/// How a Secret is made out of values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetTemplate {
    /// The type of the Secret.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The template engine.
    #[serde(default)]
    #[schemars(extend("x-default" = "v2"))]
    pub engine_version: EngineVersion,
    /// Labels, annotations and finalizers of the Secret.
    #[serde(default)]
    pub metadata: TemplateMetadata,
    /// Whether the values stay beside what the templates make out of them.
    #[serde(default)]
    #[schemars(extend("x-default" = "Replace"))]
    pub merge_policy: MergePolicy,
    /// Templates by the key of the Secret that each one fills.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Templates from other objects of the namespace, and templates that make keys too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub template_from: Vec<TemplateFrom>,
}

impl TargetTemplate {
    /// Returns true if the values themselves are part of the Secret.
    #[must_use]
    pub fn keeps_values(&self) -> bool {
        self.merge_policy == MergePolicy::Merge
            || (self.data.is_empty() && self.template_from.is_empty())
    }
}

/// The template engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineVersion {
    /// Go's text/template with the functions of sprig and some for keys and certificates.
    #[default]
    #[serde(rename = "v2")]
    V2,
}

/// Whether the values stay beside what the templates make out of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MergePolicy {
    /// Only what the templates make is in the Secret.
    #[default]
    Replace,
    /// The values are in the Secret as well.
    Merge,
}

/// Labels, annotations and finalizers of the Secret. The values of labels and annotations are templates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Finalizers. They are added and never taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// A source of templates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateFrom {
    /// Templates in a ConfigMap of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<TemplateRef>,
    /// Templates in a Secret of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<TemplateRef>,
    /// What the templates fill: Data, Labels or Annotations; for other kinds of targets a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "Data"))]
    pub target: Option<String>,
    /// A template that makes YAML of keys and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal: Option<String>,
    /// How the values that come out are decoded. Empty is None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_decoding_strategy: Option<DecodingStrategy>,
}

/// Templates in a ConfigMap or Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// The name of the object.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// The keys that hold templates.
    pub items: Vec<TemplateItem>,
}

/// A key that holds a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateItem {
    /// The key.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// Whether the template makes the value of that key, or YAML of keys and values.
    #[serde(default)]
    #[schemars(extend("x-default" = "Values"))]
    pub template_as: Scope,
}

/// What a template makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// One value.
    #[default]
    Values,
    /// YAML of keys and values.
    KeysAndValues,
}

//! The ExternalSecret resource: its types, and everything about it that needs no network.
//!
//! One reconcile of an ExternalSecret is a chain of functions of this module, each from values to values:
//!
//! 1. [`refresh`] says whether the object is due, from its status, its target and the time.
//! 2. [`data`] lists what has to be read from stores and generators, and makes the data of the Secret out of the answers:
//!    rewriting, conversion and validation of keys, decoding of values.
//! 3. [`target`] makes the Secret out of the data and what is in the cluster: policies, templates, ownership, labels, hashes.
//! 4. [`status`] holds the conditions and their fixed texts.
//! 5. [`plan`] puts the pieces together: what was seen, and the time, to a list of actions.

pub mod access;
mod crd;
pub mod data;
mod destination;
pub mod generic;
pub mod hash;
pub mod keys;
pub mod managed_fields;
pub mod plan;
pub mod refresh;
pub mod remote_ref;
pub mod render;
pub mod rewrite;
pub mod status;
pub mod sync_window;
pub mod target;
pub mod template_spec;
pub mod validate;
pub mod values;

pub use crd::custom_resource_definition;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::remote_ref::{Find, RemoteRef};
use self::rewrite::Rewrite;
use self::status::Status;
use self::sync_window::SyncWindows;
use self::template_spec::TargetTemplate;

/// The API group of ExternalSecrets, stores and PushSecrets.
pub const GROUP: &str = "external-secrets.io";
/// The group and version of ExternalSecrets, as objects carry it.
pub const API_VERSION: &str = "external-secrets.io/v1";
/// The kind, as objects carry it.
pub const KIND: &str = "ExternalSecret";

/// Keeps the object until its target has been looked after.
pub const FINALIZER: &str = "externalsecrets.external-secrets.io/externalsecret-cleanup";
/// On a target: a controller of ExternalSecrets writes to it. The value is `true`.
pub const MANAGED_LABEL: &str = "reconcile.external-secrets.io/managed";
/// On a target that is owned: the hash of the namespace and name of its ExternalSecret.
pub const OWNER_LABEL: &str = "reconcile.external-secrets.io/created-by";
/// On a target: the hash of its data.
pub const DATA_HASH_ANNOTATION: &str = "reconcile.external-secrets.io/data-hash";
/// On a ClusterExternalSecret: a changed value refreshes every ExternalSecret made from it.
pub const FORCE_SYNC_ANNOTATION: &str = "external-secrets.io/force-sync";

/// ExternalSecretSpec defines the desired state of an ExternalSecret.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "ExternalSecret",
    plural = "externalsecrets",
    shortname = "es",
    category = "external-secrets",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "ExternalSecret says which values of external stores make up a Secret of its namespace.",
    selectable = ".spec.secretStoreRef.name",
    selectable = ".spec.secretStoreRef.kind",
    selectable = ".spec.target.name",
    selectable = ".spec.refreshInterval",
    printcolumn = r#"{"jsonPath": ".spec.secretStoreRef.kind", "name": "StoreType", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".spec.secretStoreRef.name", "name": "Store", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".spec.refreshInterval", "name": "Refresh Interval", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "name": "Status", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "name": "Ready", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.refreshTime", "name": "Last Sync", "type": "date"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretSpec {
    /// The store of all entries that name none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_store_ref: Option<StoreRef>,
    /// What the Secret looks like and what happens to it.
    #[serde(default)]
    #[schemars(extend("x-default" = {"creationPolicy": "Owner", "deletionPolicy": "Retain"}))]
    pub target: Target,
    /// When the values are read again. Empty is Periodic.
    /// CreatedOnce: once, when the Secret is created.
    /// Periodic: after every refreshInterval, and when the object changes; with the interval 0 only once.
    /// OnChange: when the object's spec, labels or annotations change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_policy: Option<RefreshPolicy>,
    /// The time between two refreshes: a number with a unit of ns, us, ms, s, m or h, for example 1h30m.
    /// Zero stops periodic refreshes.
    #[serde(default = "one_hour")]
    #[schemars(extend("x-default" = "1h0m0s"))]
    pub refresh_interval: String,
    /// Limits periodic refreshes to certain times, or keeps them away from certain times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_windows: Option<SyncWindows>,
    /// Single values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Data>,
    /// Sets of values. They are read in the order of the list, and later ones replace earlier ones of the same key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_from: Vec<DataFrom>,
}

fn one_hour() -> String {
    "1h0m0s".to_owned()
}

/// Names a SecretStore of the namespace or a ClusterSecretStore.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreRef {
    /// The name of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// The kind of the store. Empty is SecretStore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<StoreKind>,
}

/// The two kinds of stores.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum StoreKind {
    /// A store of one namespace.
    #[default]
    SecretStore,
    /// A store of the whole cluster.
    ClusterSecretStore,
}

impl StoreKind {
    /// The kind, as objects carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecretStore => "SecretStore",
            Self::ClusterSecretStore => "ClusterSecretStore",
        }
    }
}

/// When the values are read again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefreshPolicy {
    /// Once.
    CreatedOnce,
    /// After each interval.
    #[default]
    Periodic,
    /// When the object changes.
    OnChange,
}

/// What the Secret looks like and what happens to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The name of the Secret. Empty is the name of the ExternalSecret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// What to do about the Secret when the ExternalSecret is created or changes.
    #[serde(default)]
    #[schemars(extend("x-default" = "Owner"))]
    pub creation_policy: CreationPolicy,
    /// What to do about the Secret when all values have gone from the store.
    #[serde(default)]
    #[schemars(extend("x-default" = "Retain"))]
    pub deletion_policy: DeletionPolicy,
    /// How the Secret is made out of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TargetTemplate>,
    /// Writes another kind of object than a Secret. The controller must have been started with a flag that allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// Makes the Secret immutable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}

/// Another kind of target than a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Group and version, for example argoproj.io/v1alpha1.
    #[schemars(length(min = 1))]
    pub api_version: String,
    /// The kind, for example ConfigMap.
    #[schemars(length(min = 1))]
    pub kind: String,
}

/// What to do about the Secret when the ExternalSecret is created or changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CreationPolicy {
    /// Creates the Secret and owns it: it goes away with the ExternalSecret.
    #[default]
    Owner,
    /// Creates the Secret and leaves it behind.
    Orphan,
    /// Adds the values to a Secret that exists, and never creates one.
    Merge,
    /// Writes nothing.
    None,
    /// Adds the values to a Secret that exists, or creates one and leaves it behind.
    CreateOrMerge,
}

impl CreationPolicy {
    /// Returns true if keys of other writers stay in the Secret.
    #[must_use]
    pub fn keeps_other_keys(self) -> bool {
        matches!(self, Self::Merge | Self::CreateOrMerge)
    }
}

/// What to do about the Secret when all values have gone from the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Deletes the Secret; values that have gone are no error.
    Delete,
    /// Takes the values out of the Secret; values that have gone are no error.
    Merge,
    /// Leaves the Secret as it is; a value that has gone is an error.
    #[default]
    Retain,
}

/// One value of the Secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The key of the value in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub secret_key: String,
    /// Where the value is in the store.
    pub remote_ref: RemoteRef,
    /// A store of this entry's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub source_ref: Option<SourceRef>,
}

/// A set of values: exactly one of `extract`, `find` and a generator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataFrom {
    /// All pairs of one secret of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<RemoteRef>,
    /// All secrets of the store with certain names or tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// Changes the keys before they are used, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<Rewrite>,
    /// A store or a generator of this entry's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub source_ref: Option<SourceRef>,
}

/// Where an entry comes from: a store or a generator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceRef {
    /// A store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<StoreRef>,
    /// A generator of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorRef>,
}

/// Names a generator of the namespace, or a ClusterGenerator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorRef {
    /// Group and version of the generator.
    #[serde(default = "generator_version")]
    #[schemars(extend("x-default" = "generators.external-secrets.io/v1alpha1"))]
    pub api_version: String,
    /// The kind of the generator.
    #[schemars(extend("enum" = crate::generator::KINDS))]
    pub kind: String,
    /// The name of the generator.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

fn generator_version() -> String {
    crate::generator::API_VERSION.to_owned()
}

impl ExternalSecret {
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

    /// The name of the Secret, or of the object that stands for it.
    #[must_use]
    pub fn target_name(&self) -> &str {
        match self.spec.target.name.as_deref() {
            None | Some("") => self.name(),
            Some(name) => name,
        }
    }

    /// Returns true while the API server waits for finalizers.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Every store that an entry is read from, in the order of the entries, once each.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreRef> {
        let mut stores: Vec<StoreRef> = Vec::new();
        let mut add = |store: Option<&StoreRef>| {
            let store = store.filter(|store| store.name.is_some());
            if let Some(store) = store
                && !stores.iter().any(|known| known.is_same(store))
            {
                stores.push(store.clone());
            }
        };
        let default = self.spec.secret_store_ref.as_ref();
        add(default);
        for source in self.spec.data_from.iter().map(|entry| &entry.source_ref) {
            add(source.as_ref().and_then(|source| source.store_ref.as_ref()));
        }
        for source in self.spec.data.iter().map(|entry| &entry.source_ref) {
            add(source.as_ref().and_then(|source| source.store_ref.as_ref()));
        }
        stores
    }

    /// Every generator that an entry names.
    pub fn generators(&self) -> impl Iterator<Item = &GeneratorRef> {
        let entries = self.spec.data_from.iter();
        entries.filter_map(|entry| entry.source_ref.as_ref()?.generator_ref.as_ref())
    }
}

impl StoreRef {
    /// Names a store.
    #[must_use]
    pub fn new(kind: StoreKind, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            kind: Some(kind),
        }
    }

    /// The name, empty if there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The kind; SecretStore where none is given.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        self.kind.unwrap_or_default()
    }

    /// Returns true if both name the same store, whether or not they spell out the kind.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name() == other.name() && self.kind() == other.kind()
    }
}

#[cfg(test)]
mod tests;

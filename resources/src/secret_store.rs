//! The SecretStore and ClusterSecretStore resources: which vault values come from, and who may use it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_providers::store::StoreConfig;
use serde::{Deserialize, Serialize};

use crate::external_secret::StoreKind;
use crate::external_secret::status::Condition;
use sealwright_template::go_duration;

mod crd;

pub use crd::{cluster_secret_store_definition, secret_store_definition};

/// Keeps a store as long as a PushSecret has to delete from it.
pub const FINALIZER: &str = "secretstore.externalsecrets.io/finalizer";
/// On a store: no warning that its provider is not maintained.
pub const IGNORE_MAINTENANCE_ANNOTATION: &str = "external-secrets.io/ignore-maintenance-checks";
/// On a store: `true` lets Secrets be deleted although most of the store's keys are gone at once.
pub const MASS_DELETION_ANNOTATION: &str = "sealwright.dev/allow-mass-deletion";

/// Condition reason: the provider cannot be used as it is configured.
pub const INVALID_PROVIDER_CONFIG: &str = "InvalidProviderConfig";
/// Condition reason: nothing is known about the store.
pub const VALIDATION_UNKNOWN: &str = "ValidationUnknown";
/// Condition reason: the store can be used.
pub const VALID: &str = "Valid";

/// StoreSpec is the specification of a SecretStore or ClusterSecretStore.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreSpec {
    /// The class of the controller that looks after the store. Empty is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The vault: exactly one.
    pub provider: Provider,
    /// How often and how long requests are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
    /// The time between two validations of the store: seconds, or a number with a unit. Empty or 0 is the controller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("anyOf" = [{"type": "integer"}, {"type": "string"}]))]
    pub refresh_interval: Option<IntOrString>,
    /// Which namespaces may use a ClusterSecretStore: those that one member of one condition matches. Empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<StoreCondition>,
}

/// The provider part, as it stands in the object: an object whose provider cannot be read still has all its other parts.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provider(pub serde_json::Map<String, serde_json::Value>);

impl Provider {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them. The text may quote them, so it is for the log of the command line only.
    pub fn config(&self) -> Result<StoreConfig, serde_json::Error> {
        StoreConfig::deserialize(&self.0)
    }
}

impl std::fmt::Debug for Provider {
    /// Shows the name of the provider only: some settings hold values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl JsonSchema for Provider {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        StoreConfig::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        StoreConfig::json_schema(generator)
    }
}

/// How often and how long requests are repeated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetrySettings {
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i32>,
    /// The time between two requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<String>,
}

/// Which namespaces may use a ClusterSecretStore.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreCondition {
    /// By their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// By their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ))]
    pub namespaces: Vec<String>,
    /// By regular expressions that match anywhere in their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_regexes: Vec<String>,
}

/// The most recently observed state of a store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    /// Whether the store can be read from, written to, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// SecretStoreSpec defines the desired state of a SecretStore.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "SecretStore",
    plural = "secretstores",
    shortname = "ss",
    category = "external-secrets",
    namespaced,
    status = "StoreStatus",
    derive = "PartialEq",
    doc = "SecretStore is a vault that ExternalSecrets of its namespace read from.",
    printcolumn = r#"{"jsonPath": ".metadata.creationTimestamp", "name": "AGE", "type": "date"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "name": "Status", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.capabilities", "name": "Capabilities", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "name": "Ready", "type": "string"}"#
)]
#[serde(transparent)]
pub struct SecretStoreSpec(pub StoreSpec);

/// ClusterSecretStoreSpec defines the desired state of a ClusterSecretStore.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "ClusterSecretStore",
    plural = "clustersecretstores",
    shortname = "css",
    category = "external-secrets",
    status = "StoreStatus",
    derive = "PartialEq",
    doc = "ClusterSecretStore is a vault that ExternalSecrets of many namespaces read from.",
    printcolumn = r#"{"jsonPath": ".metadata.creationTimestamp", "name": "AGE", "type": "date"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "name": "Status", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.capabilities", "name": "Capabilities", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "name": "Ready", "type": "string"}"#
)]
#[serde(transparent)]
pub struct ClusterSecretStoreSpec(pub StoreSpec);

/// A store of either kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// Its kind.
    pub kind: StoreKind,
    /// Its namespace, empty for a ClusterSecretStore.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The generation of its spec.
    pub generation: i64,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Whether Secrets may be deleted although most of the store's keys are gone at once.
    pub allows_mass_deletion: bool,
    /// Its spec.
    pub spec: StoreSpec,
    /// Its status.
    pub status: StoreStatus,
}

macro_rules! store_of {
    ($object:ident, $kind:expr) => {
        impl From<$object> for Store {
            fn from(object: $object) -> Self {
                let metadata = object.metadata;
                Self {
                    kind: $kind,
                    namespace: metadata.namespace.unwrap_or_default(),
                    name: metadata.name.unwrap_or_default(),
                    uid: metadata.uid.unwrap_or_default(),
                    generation: metadata.generation.unwrap_or_default(),
                    created: metadata.creation_timestamp.map(|created| created.0),
                    deleting: metadata.deletion_timestamp.is_some(),
                    labels: metadata.labels.unwrap_or_default(),
                    allows_mass_deletion: metadata.annotations.is_some_and(|annotations| {
                        annotations
                            .get(MASS_DELETION_ANNOTATION)
                            .is_some_and(|value| value == "true")
                    }),
                    spec: object.spec.0,
                    status: object.status.unwrap_or_default(),
                }
            }
        }
    };
}

store_of!(SecretStore, StoreKind::SecretStore);
store_of!(ClusterSecretStore, StoreKind::ClusterSecretStore);

/// The time between two validations, as the spec asks for it: `Ok(None)` if it leaves that to the controller.
///
/// # Errors
///
/// Refuses a negative interval, and a text that is no duration: `10` without a unit is none.
pub fn refresh_interval(spec: &StoreSpec) -> Result<Option<jiff::SignedDuration>, InvalidInterval> {
    let interval = match &spec.refresh_interval {
        None => return Ok(None),
        Some(IntOrString::Int(seconds)) => jiff::SignedDuration::from_secs(i64::from(*seconds)),
        Some(IntOrString::String(text)) => go_duration::parse(text).ok_or(InvalidInterval)?,
    };
    if interval < jiff::SignedDuration::ZERO {
        return Err(InvalidInterval);
    }
    Ok(Some(interval).filter(|interval| !interval.is_zero()))
}

/// A refresh interval that is negative or no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the refreshInterval is negative or not a duration with a unit")]
pub struct InvalidInterval;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_seconds_or_durations_with_a_unit() {
        let interval = |interval: serde_json::Value| {
            let spec = serde_json::json!({"provider": {"fake": {}}, "refreshInterval": interval});
            refresh_interval(&serde_json::from_value(spec).unwrap())
        };
        let seconds = |seconds| Ok(Some(jiff::SignedDuration::from_secs(seconds)));
        assert_eq!(interval(60.into()), seconds(60));
        assert_eq!(interval("1m".into()), seconds(60));
        assert_eq!(interval(0.into()), Ok(None));
        for bad in ["10", "x", "-1s"] {
            assert_eq!(interval(bad.into()), Err(InvalidInterval));
        }
        assert_eq!(interval((-1).into()), Err(InvalidInterval));
    }

    #[test]
    fn providers_that_are_not_known_parse() {
        let store = serde_json::json!({
            "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
            "metadata": {"name": "s"}, "spec": {"provider": {"chef": {"username": "u"}}},
        });
        let store: SecretStore = serde_json::from_value(store).unwrap();
        let provider = Store::from(store).spec.provider;
        assert_eq!(provider.config().unwrap().provider(), "chef");
        assert_eq!(format!("{provider:?}"), "{\"chef\"}");
    }
}

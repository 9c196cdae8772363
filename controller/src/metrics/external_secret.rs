//! Upstream's metrics of ExternalSecrets and what belongs to them (E59 to E68).
//!
//! Their names have no prefix in common, because upstream's have none. A series of an object goes with the object, but for
//! `condition="Deleted"` of an ExternalSecret, which upstream keeps; here it stays while this replica leads, for the last
//! 1,000 objects.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use prometheus::{CounterVec, Opts, Registry};
use sealwright_providers::fetch::Call;

use super::collected::{Kind, Sample};
use super::objects::ObjectSeries;
use super::{Metrics, registered};

/// How many deleted ExternalSecrets are remembered.
const DELETED: usize = 1000;

/// The labels that `--enable-extended-metric-labels` adds, and the labels of objects that they come from (E68).
const EXTENDED: [(&str, &str); 6] = [
    ("app_kubernetes_io_component", "app.kubernetes.io/component"),
    ("app_kubernetes_io_instance", "app.kubernetes.io/instance"),
    (
        "app_kubernetes_io_managed_by",
        "app.kubernetes.io/managed-by",
    ),
    ("app_kubernetes_io_name", "app.kubernetes.io/name"),
    ("app_kubernetes_io_part_of", "app.kubernetes.io/part-of"),
    ("app_kubernetes_io_version", "app.kubernetes.io/version"),
];

/// A kind of which upstream has `…_status_condition` and `…_reconcile_duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncedKind {
    ExternalSecret,
    ClusterExternalSecret,
    PushSecret,
    ClusterPushSecret,
    SecretStore,
    ClusterSecretStore,
}

impl SyncedKind {
    pub(super) const ALL: [Self; 6] = [
        Self::ExternalSecret,
        Self::ClusterExternalSecret,
        Self::PushSecret,
        Self::ClusterPushSecret,
        Self::SecretStore,
        Self::ClusterSecretStore,
    ];

    /// The names of its two metrics.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::ExternalSecret => [
                "externalsecret_status_condition",
                "externalsecret_reconcile_duration",
            ],
            Self::ClusterExternalSecret => [
                "clusterexternalsecret_status_condition",
                "clusterexternalsecret_reconcile_duration",
            ],
            Self::PushSecret => [
                "pushsecret_status_condition",
                "pushsecret_reconcile_duration",
            ],
            Self::ClusterPushSecret => [
                "clusterpushsecret_status_condition",
                "clusterpushsecret_reconcile_duration",
            ],
            Self::SecretStore => [
                "secretstore_status_condition",
                "secretstore_reconcile_duration",
            ],
            Self::ClusterSecretStore => [
                "clustersecretstore_status_condition",
                "clustersecretstore_reconcile_duration",
            ],
        }
    }
}

/// An object, for its series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricObject<'a> {
    /// Empty for objects of the whole cluster.
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) labels: Option<&'a std::collections::BTreeMap<String, String>>,
}

/// What upstream calls a provider and a call of its API.
fn names_of_call(provider: &str, call: Call) -> Option<(&'static str, &'static str)> {
    if call == Call::SignIn {
        // Upstream counts it for Vault alone.
        return match provider {
            "vault" => Some(("HashiCorp/Vault", "Login")),
            "openBao" => Some(("OpenBao", "Login")),
            _ => None,
        };
    }
    if call == Call::Validate {
        // The stores of clouds sign in to be validated, which upstream does not count.
        return match provider {
            "vault" => Some(("HashiCorp/Vault", "LookupSelf")),
            "openBao" => Some(("OpenBao", "LookupSelf")),
            "kubernetes" => Some(("Kubernetes", "CreateSelfSubjectRulesReview")),
            "webhook" => Some(("Webhook", "HTTPRequest")),
            _ => None,
        };
    }
    /// Reads, listings, writes, deletions, and questions whether something is there.
    type Names = [&'static str; 5];
    const CALLS: [Call; 5] = [
        Call::Read,
        Call::List,
        Call::Push,
        Call::Delete,
        Call::Exists,
    ];
    let (name, calls): (_, Names) = match provider {
        "aws/SecretsManager" => (
            "AWS/SecretsManager",
            [
                "GetSecretValue",
                "ListSecrets",
                "PutSecretValue",
                "DeleteSecret",
                "DescribeSecret",
            ],
        ),
        "aws/ParameterStore" => (
            "AWS/ParameterStore",
            [
                "GetParameter",
                "GetParametersByPath",
                "PutParameter",
                "DeleteParameter",
                "GetParameter",
            ],
        ),
        "aws/CertificateManager" => (
            "AWS/CertificateManager",
            [
                "GetCertificate",
                "ListCertificates",
                "ImportCertificate",
                "DeleteCertificate",
                "GetResources",
            ],
        ),
        "azurekv" => (
            "Azure/KeyVault",
            [
                "GetSecret",
                "GetSecrets",
                "SetSecret",
                "DeleteSecret",
                "GetSecret",
            ],
        ),
        "gcpsm" => (
            "GCP/SecretManager",
            [
                "AccessSecretVersion",
                "ListSecrets",
                "AddSecretVersion",
                "DeleteSecret",
                "GetSecret",
            ],
        ),
        // Upstream does not count OpenBao, whose calls are those of Vault.
        "vault" | "openBao" => (
            match provider {
                "vault" => "HashiCorp/Vault",
                _ => "OpenBao",
            },
            [
                "ReadSecretData",
                "ListSecrets",
                "WriteSecretData",
                "DeleteSecret",
                "ReadSecretData",
            ],
        ),
        "kubernetes" => (
            "Kubernetes",
            [
                "GetSecret",
                "ListSecrets",
                "UpdateSecret",
                "DeleteSecret",
                "GetSecret",
            ],
        ),
        "webhook" => ("Webhook", ["HTTPRequest"; 5]),
        _ => return None,
    };
    let at = CALLS.iter().position(|known| *known == call)?;
    Some((name, calls[at]))
}

pub(super) struct ExternalSecretMetrics {
    extended: bool,
    /// By kind: conditions, duration.
    kinds: [[ObjectSeries; 2]; 6],
    calls: ObjectSeries,
    errors: ObjectSeries,
    provider_calls: CounterVec,
    deleted: Mutex<VecDeque<(String, String)>>,
}

impl ExternalSecretMetrics {
    pub(super) fn new(registry: &Registry, extended: bool) -> Self {
        let kinds = SyncedKind::ALL.map(|kind| {
            let [condition, duration] = kind.names();
            [
                ObjectSeries::new(
                    condition,
                    Kind::Gauge,
                    "The status condition of a specific object",
                ),
                ObjectSeries::new(
                    duration,
                    Kind::Gauge,
                    "The duration time to reconcile a specific object, in nanoseconds",
                ),
            ]
        });
        let provider_calls = Opts::new(
            "externalsecret_provider_api_calls_count",
            "Number of API calls towards the secret provider",
        );
        Self {
            extended,
            kinds,
            calls: ObjectSeries::new(
                "externalsecret_sync_calls_total",
                Kind::Counter,
                "Total number of the External Secret sync calls",
            ),
            errors: ObjectSeries::new(
                "externalsecret_sync_calls_error",
                Kind::Counter,
                "Total number of the External Secret sync errors",
            ),
            provider_calls: registered(
                registry,
                CounterVec::new(provider_calls, &["call", "provider", "status"]),
            ),
            deleted: Mutex::default(),
        }
    }

    pub(super) fn objects(&self) -> Vec<ObjectSeries> {
        let kinds = self.kinds.iter().flatten();
        kinds.chain([&self.calls, &self.errors]).cloned().collect()
    }

    fn labels(&self, object: MetricObject<'_>) -> Vec<(&'static str, String)> {
        let mut labels = Vec::new();
        if self.extended {
            labels.extend(EXTENDED.map(|(label, source)| {
                let value = object.labels.and_then(|labels| labels.get(source));
                (label, value.cloned().unwrap_or_default())
            }));
        }
        labels.push(("name", object.name.to_owned()));
        labels.push(("namespace", object.namespace.to_owned()));
        labels.sort_by_key(|(name, _)| *name);
        labels
    }

    fn condition(&self, object: MetricObject<'_>, kind: &str, status: &str, value: f64) -> Sample {
        let mut labels = self.labels(object);
        labels.push(("condition", kind.to_owned()));
        labels.push(("status", status.to_owned()));
        labels.sort_by_key(|(name, _)| *name);
        (labels, value)
    }
}

impl Metrics {
    /// Counts one attempt to sync an ExternalSecret, those that have nothing to do included (E59, E60).
    pub(crate) fn sync_called(&self, object: MetricObject<'_>, failed: bool) {
        let metrics = &self.external_secrets;
        let labels = metrics.labels(object);
        metrics
            .calls
            .add(object.namespace, object.name, labels.clone(), 1.0);
        let errors = f64::from(u8::from(failed));
        metrics
            .errors
            .add(object.namespace, object.name, labels, errors);
    }

    /// Shows the conditions of an object: type, and whether it is True (E61, E64 to E67).
    pub(crate) fn show_sync_conditions(
        &self,
        kind: SyncedKind,
        object: MetricObject<'_>,
        conditions: &[(&str, bool)],
    ) {
        let metrics = &self.external_secrets;
        let samples = conditions.iter().flat_map(|(condition, is_true)| {
            let value = |on: bool| f64::from(u8::from(on));
            [
                metrics.condition(object, condition, "False", value(!is_true)),
                metrics.condition(object, condition, "True", value(*is_true)),
            ]
        });
        metrics.kinds[kind as usize][0].set(object.namespace, object.name, samples.collect());
        if kind == SyncedKind::ExternalSecret {
            // It may have been there before, and deleted.
            let mut deleted = metrics.deleted.lock().expect("no holder panics");
            deleted.retain(|(namespace, name)| {
                (namespace.as_str(), name.as_str()) != (object.namespace, object.name)
            });
        }
    }

    /// Shows how long the last reconcile of an object took (E62).
    pub(crate) fn show_reconcile_duration(
        &self,
        kind: SyncedKind,
        object: MetricObject<'_>,
        took: Duration,
    ) {
        let metrics = &self.external_secrets;
        let sample = (metrics.labels(object), took.as_nanos() as f64);
        metrics.kinds[kind as usize][1].set(object.namespace, object.name, vec![sample]);
    }

    /// Counts one call of a vault's API (E63); `provider` is the name of its settings. Providers that upstream does not count
    /// are not counted.
    pub(crate) fn provider_called(&self, provider: &str, call: Call, failed: bool) {
        let Some((provider, call)) = names_of_call(provider, call) else {
            return;
        };
        let status = if failed { "error" } else { "success" };
        let labels = [call, provider, status];
        let calls = &self.external_secrets.provider_calls;
        calls.with_label_values(&labels).inc();
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget_synced(&self, kind: SyncedKind, namespace: &str, name: &str) {
        let metrics = &self.external_secrets;
        for series in &metrics.kinds[kind as usize] {
            series.forget(namespace, name);
        }
        if kind != SyncedKind::ExternalSecret {
            return;
        }
        metrics.calls.forget(namespace, name);
        metrics.errors.forget(namespace, name);
        let object = MetricObject {
            namespace,
            name,
            labels: None,
        };
        let sample = metrics.condition(object, "Deleted", "False", 1.0);
        let conditions = &metrics.kinds[kind as usize][0];
        conditions.set(namespace, name, vec![sample]);
        let mut deleted = metrics.deleted.lock().expect("no holder panics");
        deleted.push_back((namespace.to_owned(), name.to_owned()));
        if deleted.len() > DELETED
            && let Some((namespace, name)) = deleted.pop_front()
        {
            conditions.forget(&namespace, &name);
        }
    }
}

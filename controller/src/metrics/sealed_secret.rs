//! Upstream's metrics of SealedSecrets, and one of ours.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::collected::Kind;
use super::objects::ObjectSeries;
use super::{Metrics, registered};

pub(super) struct SealedSecretMetrics {
    requests: IntCounter,
    errors: IntCounterVec,
    skipped: IntCounter,
    conditions: Option<ObjectSeries>,
}

/// Why unsealing failed, in the metric's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The object could not be read.
    Fetch,
    /// The object was read, and is not what a SealedSecret should be.
    Unreadable,
    /// The status could not be written.
    Status,
    /// A value does not open or a template does not render.
    Unseal,
    /// The Secret could not be written.
    Update,
    /// The Secret has another owner.
    Unmanaged,
    /// The Secret was changed, and that is only reported.
    Drifted,
}

impl Failure {
    fn reason(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Unreadable => "unreadable",
            Self::Status => "status",
            Self::Unseal => "unseal",
            Self::Update => "update",
            Self::Unmanaged => "unmanaged",
            Self::Drifted => "drifted",
        }
    }
}

impl SealedSecretMetrics {
    pub(super) fn new(registry: &Registry, omit_secret_labels: bool) -> Self {
        let build = Opts::new("sealed_secrets_controller_build_info", "Build information.");
        let build = registered(registry, IntGaugeVec::new(build, &["revision"]));
        // Upstream's value is 0 too (C69).
        build.with_label_values(&[crate::VERSION]).set(0);
        let errors = Opts::new(
            "sealed_secrets_controller_unseal_errors_total",
            "Total number of sealed secret unseal errors by reason",
        );
        let conditions = (!omit_secret_labels).then(|| {
            ObjectSeries::new(
                "sealed_secrets_controller_condition_info",
                Kind::Gauge,
                "Current SealedSecret condition status. Values are -1 (false), 0 (unknown or absent), 1 (true)",
            )
        });
        Self {
            requests: registered(
                registry,
                IntCounter::new(
                    "sealed_secrets_controller_unseal_requests_total",
                    "Total number of sealed secret unseal requests",
                ),
            ),
            errors: registered(
                registry,
                IntCounterVec::new(errors, &["namespace", "reason"]),
            ),
            skipped: registered(
                registry,
                IntCounter::new(
                    "sealwright_sealed_secrets_unchanged_total",
                    "SealedSecrets that needed no work when they were listed.",
                ),
            ),
            conditions,
        }
    }

    pub(super) fn objects(&self) -> Vec<ObjectSeries> {
        self.conditions.iter().cloned().collect()
    }
}

impl Metrics {
    /// Counts one item taken from the queue.
    pub(crate) fn unseal_requested(&self) {
        self.sealed_secrets.requests.inc();
    }

    /// Counts one SealedSecret that needed no work after a restart.
    pub(crate) fn unseal_skipped(&self) {
        self.sealed_secrets.skipped.inc();
    }

    /// Counts one failure.
    pub(crate) fn unseal_failed(&self, failure: Failure, namespace: &str) {
        let labels = [namespace, failure.reason()];
        self.sealed_secrets.errors.with_label_values(&labels).inc();
    }

    /// Shows the conditions of a SealedSecret: type and -1, 0 or 1.
    pub(crate) fn show_conditions(
        &self,
        namespace: &str,
        name: &str,
        instance: &str,
        values: Vec<(String, i8)>,
    ) {
        let Some(series) = &self.sealed_secrets.conditions else {
            return;
        };
        let samples = values.into_iter().map(|(condition, value)| {
            let labels = vec![
                ("condition", condition),
                ("name", name.to_owned()),
                ("namespace", namespace.to_owned()),
                ("ss_app_kubernetes_io_instance", instance.to_owned()),
            ];
            (labels, f64::from(value))
        });
        series.set(namespace, name, samples.collect());
    }

    /// Forgets a SealedSecret that is gone.
    pub(crate) fn forget_conditions(&self, namespace: &str, name: &str) {
        if let Some(series) = &self.sealed_secrets.conditions {
            series.forget(namespace, name);
        }
    }
}

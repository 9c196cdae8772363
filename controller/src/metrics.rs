//! What is counted and measured, in Prometheus' text format 0.0.4: one registry for the whole process.
//!
//! Upstream's metrics keep their names, types and labels, because dashboards and alerts refer to them; ours are called
//! `sealwright_…`. A label's values come from a closed set, or name an object of the cluster; never anything that a
//! client chooses. Series of single objects ([`objects::ObjectSeries`]) exist only while this replica leads: afterwards
//! another one reports them, and what stays behind would be out of date for ever.

mod collected;
mod external_secret;
mod http;
mod objects;
mod process;
pub(crate) mod reference;
mod runtime;
mod sealed_secret;
mod sealing_key;
pub(crate) mod watches;

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use sealwright_resources::drift::Drift;

use self::collected::{Collected, Kind, family};
pub(crate) use self::external_secret::{MetricObject, SyncedKind};
use self::objects::ObjectSeries;
pub(crate) use self::sealed_secret::Failure;
pub(crate) use self::sealing_key::KeyMetrics;
use self::watches::Watches;

const NAMES: &str = "metrics have valid names, each its own";

/// The metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    sealed_secrets: sealed_secret::SealedSecretMetrics,
    external_secrets: external_secret::ExternalSecretMetrics,
    http: http::HttpMetrics,
    runtime: runtime::RuntimeMetrics,
    leader: IntGauge,
    leftover_webhooks: IntGauge,
    drift: IntCounterVec,
    /// Everything that goes with the lead.
    objects: Vec<ObjectSeries>,
    watches: Arc<Watches>,
}

/// The queue of a kind, and who takes from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueMetrics {
    pub(crate) kind: &'static str,
    /// How many objects are worked on at a time; those that wait for an answer from outside do not count.
    pub(crate) workers: usize,
    pub(crate) depth: QueueDepth,
}

/// How many objects of a kind wait for work, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueDepth {
    /// Wanted now.
    pub(crate) ready: usize,
    /// Refreshes and retries whose time has come.
    pub(crate) due: usize,
    /// Part of the backlog of the start.
    pub(crate) backlog: usize,
    /// In the slow lane.
    pub(crate) slow: usize,
    /// Wanted after a delay.
    pub(crate) delayed: usize,
    /// With a worker.
    pub(crate) working: usize,
}

impl Metrics {
    /// Registers everything that is there from the start. With `omit_secret_labels`, no series names a SealedSecret (C80);
    /// with `extended_labels`, those of ExternalSecrets have labels of their objects (E68).
    pub(crate) fn new(omit_secret_labels: bool, extended_labels: bool) -> Self {
        let registry = Registry::new();
        let external_secrets =
            external_secret::ExternalSecretMetrics::new(&registry, extended_labels);
        let leftover_webhooks = registered(
            &registry,
            IntGauge::new(
                "sealwright_leftover_webhooks",
                "ValidatingWebhookConfigurations of the External Secrets Operator that block changes when their server is gone.",
            ),
        );
        let sealed_secrets = sealed_secret::SealedSecretMetrics::new(&registry, omit_secret_labels);
        let http = http::HttpMetrics::new(&registry);
        let runtime = runtime::RuntimeMetrics::new(&registry);
        let build = IntGaugeVec::new(
            Opts::new("sealwright_build_info", "The version of this program."),
            &["version"],
        );
        let build = registered(&registry, build);
        build.with_label_values(&[crate::VERSION]).set(1);
        let leader = registered(
            &registry,
            IntGauge::new(
                "sealwright_leader",
                "Whether this replica does the work (1) or stands by (0).",
            ),
        );
        let drift = IntCounterVec::new(
            Opts::new(
                "sealwright_drift_total",
                "Secrets that another writer had changed: put back (action revert) or only reported (action report).",
            ),
            &["kind", "namespace", "action"],
        );
        let drift = registered(&registry, drift);
        let watches = Arc::new(Watches::default());
        watches.register(&registry);
        register(&registry, process::collector());
        Self {
            objects: [sealed_secrets.objects(), external_secrets.objects()].concat(),
            registry,
            sealed_secrets,
            external_secrets,
            http,
            runtime,
            leader,
            leftover_webhooks,
            drift,
            watches,
        }
    }

    /// Records whether this replica leads. Series of objects are shown only while it does.
    pub(crate) fn show_leading(&self, leading: bool) {
        self.leader.set(i64::from(leading));
        for series in &self.objects {
            series.show(leading);
        }
    }

    /// Shows how many left-over webhooks there are.
    pub(crate) fn show_leftover_webhooks(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.leftover_webhooks.set(count);
    }

    /// Counts a Secret that another writer had changed, and what was done about it.
    pub(crate) fn drifted(&self, kind: &str, namespace: &str, action: Drift) {
        let action = match action {
            Drift::Revert => "revert",
            Drift::Report => "report",
        };
        let labels = [kind, namespace, action];
        self.drift.with_label_values(&labels).inc();
    }

    /// The watches of this process.
    pub(crate) fn watches(&self) -> &Arc<Watches> {
        &self.watches
    }

    /// Shows the state of the sealing keys, as `look` reports it when it is asked.
    pub(crate) fn show_keys(&self, look: impl Fn() -> KeyMetrics + Send + Sync + 'static) {
        register(&self.registry, sealing_key::collector(look));
    }

    /// Shows how many objects wait in the queues, as `look` reports it when it is asked.
    pub(crate) fn show_queues(&self, look: impl Fn() -> Vec<QueueMetrics> + Send + Sync + 'static) {
        const NAME: &str = "sealwright_queue_depth";
        let collect = move || {
            let queues = look();
            let samples = queues.iter().flat_map(|QueueMetrics { kind, depth, .. }| {
                [
                    ("ready", depth.ready),
                    ("due", depth.due),
                    ("backlog", depth.backlog),
                    ("slow", depth.slow),
                    ("delayed", depth.delayed),
                    ("working", depth.working),
                ]
                .map(|(state, count)| {
                    let labels = vec![("kind", (*kind).to_owned()), ("state", state.to_owned())];
                    (labels, count as f64)
                })
            });
            let help = "Objects that wait to be reconciled or are being reconciled.";
            let mut families = vec![family(NAME, Kind::Gauge, help, samples.collect())];
            families.extend(runtime::of_queues(&queues));
            families
        };
        register(&self.registry, Collected::new(NAME, collect));
    }

    /// Writes everything down, piece by piece.
    pub(crate) fn text(&self) -> Text {
        let registered = TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("a family with samples can be written");
        Text {
            registered: Some(registered),
            objects: self.objects.clone().into_iter(),
            current: None,
        }
    }
}

/// The text of all metrics, in pieces of some kilobytes.
pub(crate) struct Text {
    registered: Option<String>,
    objects: std::vec::IntoIter<ObjectSeries>,
    /// The metric that is being written, and the object that it was written up to.
    current: Option<(ObjectSeries, Box<str>)>,
}

impl Iterator for Text {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.registered.is_some() {
            return self.registered.take();
        }
        let mut text = String::new();
        while text.is_empty() {
            let (series, after) = match self.current.take() {
                Some((series, after)) => (series, Some(after)),
                None => (self.objects.next()?, None),
            };
            let end = series.write(after.as_deref(), &mut text);
            self.current = end.map(|end| (series, end));
        }
        Some(text)
    }
}

/// Registers a metric and returns it.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    let metric = metric.expect(NAMES);
    register(registry, metric.clone());
    metric
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect(NAMES);
}

#[cfg(test)]
mod tests;

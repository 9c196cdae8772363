//! The list of all metrics, for the documentation.

use std::fmt::Write as _;
use std::time::Duration;

use hyper::{Method, StatusCode};
use prometheus::proto::{MetricFamily, MetricType};
use sealwright_providers::fetch::Call;
use sealwright_resources::drift::Drift;

use super::objects::ObjectSeries;
use super::watches::WatchHealth;
use super::{Failure, KeyMetrics, MetricObject, Metrics, QueueDepth, QueueMetrics, SyncedKind};

/// Lists every metric as a row of a table: name, type, labels, and what it says.
pub(crate) fn table() -> String {
    let mut table = "| metric | type | labels | what it says |\n|---|---|---|---|\n".to_owned();
    let (metrics, _watch) = of_everything();
    let mut families = metrics.registry.gather();
    families.extend(metrics.objects.iter().map(ObjectSeries::described));
    families.sort_by(|a, b| a.name().cmp(b.name()));
    for family in families {
        writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            family.name(),
            type_of(&family),
            labels_of(&family).join(" "),
            family.help().trim_end_matches('.').replace('|', "\\|"),
        )
        .expect("a String takes everything");
    }
    table
}

/// Metrics in which everything has happened once, because what has not has no series. A watch is shown as long as it lives.
pub(super) fn of_everything() -> (Metrics, WatchHealth) {
    let metrics = Metrics::new(false, false);
    metrics.show_leading(true);
    metrics.unseal_failed(Failure::Unseal, "ns");
    metrics.show_conditions("ns", "a", "", vec![("Synced".into(), 1)]);
    metrics.http_request("/v1/verify", &Method::GET, StatusCode::OK, Duration::ZERO);
    metrics.show_keys(|| KeyMetrics {
        keys: 1,
        created: Some(1),
        expires: Some(2),
        renew_period: 3.0,
    });
    metrics.show_queues(|| {
        vec![QueueMetrics {
            kind: "SealedSecret",
            workers: 1,
            depth: QueueDepth::default(),
        }]
    });
    let watch = metrics.watches().start("Secrets");
    watch.fails();
    metrics.reconciled("SealedSecret", true, Duration::ZERO);
    let object = MetricObject {
        namespace: "ns",
        name: "a",
        labels: None,
    };
    metrics.sync_called(object, true);
    for kind in SyncedKind::ALL {
        metrics.show_sync_conditions(kind, object, &[("Ready", true)]);
        metrics.show_reconcile_duration(kind, object, Duration::ZERO);
    }
    metrics.provider_called("vault", Call::Read, true);
    metrics.drifted("SealedSecret", "ns", Drift::Revert);
    (metrics, watch)
}

fn type_of(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}

fn labels_of(family: &MetricFamily) -> Vec<String> {
    let first = family.get_metric().first();
    let labels = first.map(|metric| metric.get_label()).unwrap_or_default();
    let mut names: Vec<String> = labels
        .iter()
        .map(|pair| format!("`{}`", pair.name()))
        .collect();
    names.sort();
    names
}

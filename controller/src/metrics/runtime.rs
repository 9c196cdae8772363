//! What dashboards of controllers in Go look for (E69): reconciles by their result and duration, workers, and the depth of queues.
//!
//! The label `controller` is the kind in lower case, as there. `requeue` and `requeue_after` are results there, and successes here.

use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::collected::{Kind, Sample, family};
use super::{Metrics, NAMES, QueueMetrics, registered};

/// Upstream's buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
    1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0,
    25.0, 30.0, 40.0, 50.0, 60.0,
];

/// The counters of all reconcilers.
pub(super) struct RuntimeMetrics {
    reconciles: IntCounterVec,
    errors: IntCounterVec,
    durations: HistogramVec,
}

impl RuntimeMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let reconciles = Opts::new(
            "controller_runtime_reconcile_total",
            "Total number of reconciliations per controller",
        );
        let errors = Opts::new(
            "controller_runtime_reconcile_errors_total",
            "Total number of reconciliation errors per controller",
        );
        let durations = HistogramOpts::new(
            "controller_runtime_reconcile_time_seconds",
            "Length of time per reconciliation per controller",
        )
        .buckets(BUCKETS.to_vec());
        Self {
            reconciles: registered(
                registry,
                IntCounterVec::new(reconciles, &["controller", "result"]),
            ),
            errors: registered(registry, IntCounterVec::new(errors, &["controller"])),
            durations: registered(registry, HistogramVec::new(durations, &["controller"])),
        }
    }
}

impl Metrics {
    /// Counts the work on an object of a kind.
    pub(crate) fn reconciled(&self, kind: &str, succeeded: bool, took: Duration) {
        let controller = &*kind.to_ascii_lowercase();
        let metrics = &self.runtime;
        let result = match succeeded {
            true => "success",
            false => "error",
        };
        let counter = metrics
            .reconciles
            .get_metric_with_label_values(&[controller, result]);
        counter.expect(NAMES).inc();
        // Both are there from the first reconcile on, so that a first error is an increase.
        let errors = metrics.errors.with_label_values(&[controller]);
        errors.inc_by(u64::from(!succeeded));
        let duration = metrics.durations.with_label_values(&[controller]);
        duration.observe(took.as_secs_f64());
    }
}

/// The queues, under the names of upstream's library. Its dashboards list controllers by those that have workers.
pub(super) fn of_queues(queues: &[QueueMetrics]) -> Vec<MetricFamily> {
    fn gauge(
        name: &str,
        help: &str,
        queues: &[QueueMetrics],
        sample: fn(&QueueMetrics) -> Sample,
    ) -> MetricFamily {
        family(name, Kind::Gauge, help, queues.iter().map(sample).collect())
    }
    fn controller(queue: &QueueMetrics) -> String {
        queue.kind.to_ascii_lowercase()
    }
    vec![
        gauge(
            "controller_runtime_active_workers",
            "Number of currently used workers per controller",
            queues,
            |queue| {
                let labels = vec![("controller", controller(queue))];
                (labels, queue.depth.working as f64)
            },
        ),
        gauge(
            "controller_runtime_max_concurrent_reconciles",
            "Maximum number of concurrent reconciles per controller",
            queues,
            |queue| {
                let labels = vec![("controller", controller(queue))];
                (labels, queue.workers as f64)
            },
        ),
        gauge(
            "workqueue_depth",
            "Current depth of workqueue by workqueue",
            queues,
            |queue| {
                let labels = vec![
                    ("controller", controller(queue)),
                    ("name", controller(queue)),
                ];
                let depth = queue.depth;
                (labels, (depth.ready + depth.backlog + depth.slow) as f64)
            },
        ),
    ]
}

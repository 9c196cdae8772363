//! Metrics that are computed when they are asked for.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// A collector over a function.
pub(super) struct Collected {
    desc: Desc,
    collect: Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>,
}

impl Collected {
    /// Collects what `collect` returns; `name` is that of its first family, and only tells collectors apart.
    pub(super) fn new(
        name: &str,
        collect: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static,
    ) -> Self {
        let desc = Desc::new(name.to_owned(), name.to_owned(), Vec::new(), HashMap::new());
        Self {
            desc: desc.expect(super::NAMES),
            collect: Box::new(collect),
        }
    }
}

impl Collector for Collected {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.collect)()
    }
}

/// Whether a value only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// The labels of a series, sorted by name, and its value.
pub(super) type Sample = (Vec<(&'static str, String)>, f64);

/// Puts samples together under a name.
pub(super) fn family(name: &str, kind: Kind, help: &str, samples: Vec<Sample>) -> MetricFamily {
    let metrics = samples.into_iter().map(|(labels, value)| {
        let labels = labels.into_iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value);
            pair
        });
        let mut metric = Metric::from_label(labels.collect());
        match kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(match kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
    });
    family.set_metric(metrics.collect());
    family
}

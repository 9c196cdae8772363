//! Series of single objects of the cluster, which go when the object goes and when this replica no longer leads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prometheus::Registry;

use super::collected::{Collected, Kind, Sample, family};

const UNPOISONED: &str = "no holder panics";

/// The series of one metric, by namespace and name of their object.
#[derive(Clone, Default)]
pub(super) struct ObjectSeries(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    shown: bool,
    objects: BTreeMap<(String, String), Vec<Sample>>,
}

impl ObjectSeries {
    /// Registers a metric of which there is no series yet.
    pub(super) fn new(
        registry: &Registry,
        name: &'static str,
        kind: Kind,
        help: &'static str,
    ) -> Self {
        let series = Self::default();
        let state = Arc::clone(&series.0);
        let collect = move || {
            let state = state.lock().expect(UNPOISONED);
            let samples = state.objects.values().flatten().cloned().collect();
            vec![family(name, kind, help, samples)]
        };
        super::register(registry, Collected::new(name, collect));
        series
    }

    /// Shows series from now on, or removes all of them and shows none.
    pub(super) fn show(&self, shown: bool) {
        let mut state = self.0.lock().expect(UNPOISONED);
        state.shown = shown;
        if !shown {
            state.objects.clear();
        }
    }

    /// Replaces all series of an object, so that those with labels it no longer has go away (T35).
    pub(super) fn set(&self, namespace: &str, name: &str, samples: Vec<Sample>) {
        let mut state = self.0.lock().expect(UNPOISONED);
        if state.shown {
            let key = (namespace.to_owned(), name.to_owned());
            state.objects.insert(key, samples);
        }
    }

    /// Adds to the one series of an object, or begins it.
    pub(super) fn add(
        &self,
        namespace: &str,
        name: &str,
        labels: Vec<(&'static str, String)>,
        value: f64,
    ) {
        let mut state = self.0.lock().expect(UNPOISONED);
        if !state.shown {
            return;
        }
        let key = (namespace.to_owned(), name.to_owned());
        let samples = state.objects.entry(key).or_default();
        let before = samples.first().map_or(0.0, |(_, before)| *before);
        *samples = vec![(labels, before + value)];
    }

    /// Removes the series of an object.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        let mut state = self.0.lock().expect(UNPOISONED);
        let key = (namespace.to_owned(), name.to_owned());
        state.objects.remove(&key);
    }
}

//! Series of single objects of the cluster, which go when the object goes and when this replica no longer leads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use prometheus::proto::MetricFamily;

use super::collected::{Kind, Sample, family};

const UNPOISONED: &str = "no holder panics";

/// The series of one metric, by namespace and name of their object.
///
/// The registry does not know them: its library copies every series several times over for each reading, and there may be
/// tens of thousands.
#[derive(Clone)]
pub(super) struct ObjectSeries {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    shown: bool,
    objects: BTreeMap<(String, String), Vec<Sample>>,
}

impl ObjectSeries {
    /// A metric of which there is no series yet.
    pub(super) fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            kind,
            help,
            state: Arc::default(),
        }
    }

    /// Writes the series as text, in the order of their objects.
    pub(super) fn write(&self, text: &mut String) {
        let state = self.state.lock().expect(UNPOISONED);
        let mut samples = state.objects.values().flatten().peekable();
        if samples.peek().is_none() {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let Self { name, help, .. } = self;
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in samples {
            text.push_str(name);
            for (number, (label, value)) in labels.iter().enumerate() {
                text.push(if number == 0 { '{' } else { ',' });
                text.push_str(label);
                text.push_str("=\"");
                for c in value.chars() {
                    match c {
                        '\\' => text.push_str("\\\\"),
                        '"' => text.push_str("\\\""),
                        '\n' => text.push_str("\\n"),
                        c => text.push(c),
                    }
                }
                text.push('"');
            }
            if !labels.is_empty() {
                text.push('}');
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, " {value}");
        }
    }

    /// All series at once, as the registry has its own.
    pub(super) fn family(&self) -> MetricFamily {
        let state = self.state.lock().expect(UNPOISONED);
        let samples = state.objects.values().flatten().cloned().collect();
        family(self.name, self.kind, self.help, samples)
    }

    /// Shows series from now on, or removes all of them and shows none.
    pub(super) fn show(&self, shown: bool) {
        let mut state = self.state.lock().expect(UNPOISONED);
        state.shown = shown;
        if !shown {
            state.objects.clear();
        }
    }

    /// Replaces all series of an object, so that those with labels it no longer has go away (T35).
    pub(super) fn set(&self, namespace: &str, name: &str, samples: Vec<Sample>) {
        let mut state = self.state.lock().expect(UNPOISONED);
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
        let mut state = self.state.lock().expect(UNPOISONED);
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
        let mut state = self.state.lock().expect(UNPOISONED);
        let key = (namespace.to_owned(), name.to_owned());
        state.objects.remove(&key);
    }
}

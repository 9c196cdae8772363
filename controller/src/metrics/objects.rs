//! Series of single objects of the cluster, which go when the object goes and when this replica no longer leads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use prometheus::proto::MetricFamily;

use super::collected::{Kind, Sample, family};

const UNPOISONED: &str = "no holder panics";
/// As much text is written at once.
const PIECE: usize = 64 << 10;

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
    /// The names of the labels.
    labels: Vec<&'static str>,
    objects: BTreeMap<Box<str>, Box<[Series]>>,
}

/// One series as it is written: its labels in braces, and its value.
type Series = (Box<str>, f64);

/// The namespace and the name of an object, in the order of both.
fn key(namespace: &str, name: &str) -> Box<str> {
    format!("{namespace}\0{name}").into()
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

    /// Writes series as text, in the order of their objects: from the first, or from the one after `after`. Returns how far it
    /// came if there are more than belong into one piece.
    pub(super) fn write(&self, after: Option<&str>, text: &mut String) -> Option<Box<str>> {
        let state = self.state.lock().expect(UNPOISONED);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut objects = state.objects.range::<str, _>((from, Bound::Unbounded));
        if after.is_none() && !state.objects.is_empty() {
            self.begin(text);
        }
        while let Some((key, series)) = objects.next() {
            for (labels, value) in series {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{}{labels} {value}", self.name);
            }
            if text.len() >= PIECE && objects.next().is_some() {
                return Some(key.clone());
            }
        }
        None
    }

    fn begin(&self, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let Self { name, help, .. } = self;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// The metric with the names of its labels, for the list of all.
    pub(super) fn described(&self) -> MetricFamily {
        let state = self.state.lock().expect(UNPOISONED);
        let labels = state.labels.iter().map(|name| (*name, String::new()));
        let sample = (labels.collect(), 0.0);
        family(self.name, self.kind, self.help, vec![sample])
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
        if samples.is_empty() {
            state.objects.remove(&key(namespace, name));
        } else if state.shown {
            let series = samples.iter().map(|sample| state.series(sample)).collect();
            state.objects.insert(key(namespace, name), series);
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
        let key = key(namespace, name);
        let known = state.objects.get(&key).and_then(|known| known.first());
        let before = known.map_or(0.0, |(_, before)| *before);
        let series = state.series(&(labels, before + value));
        state.objects.insert(key, [series].into());
    }

    /// Removes the series of an object.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        let mut state = self.state.lock().expect(UNPOISONED);
        state.objects.remove(&key(namespace, name));
    }
}

impl State {
    /// Writes a sample as its series.
    fn series(&mut self, (labels, value): &Sample) -> Series {
        self.labels.clear();
        let mut text = String::new();
        for (label, value) in labels {
            self.labels.push(label);
            text.push(if text.is_empty() { '{' } else { ',' });
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
        if !text.is_empty() {
            text.push('}');
        }
        (text.into(), *value)
    }
}

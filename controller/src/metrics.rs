//! The incumbent's metrics, in Prometheus' text format 0.0.4.
//!
//! Written by hand because that format is what the incumbent serves: the crates at hand write
//! OpenMetrics, whose counters have other names in their `# TYPE` lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// Upper bounds of the buckets of `http_request_duration_seconds`, in seconds.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Everything that is counted.
pub(crate) struct Metrics {
    /// C80: without names of SealedSecrets.
    omit_secret_labels: bool,
    numbers: Mutex<Numbers>,
}

#[derive(Default)]
struct Numbers {
    unseal_requests: u64,
    unseal_errors: BTreeMap<(&'static str, String), u64>,
    conditions: BTreeMap<(String, String), Conditions>,
    http_requests: BTreeMap<(&'static str, u16, String), u64>,
    http_durations: BTreeMap<(&'static str, String), Histogram>,
    leading: bool,
    skipped: u64,
}

struct Conditions {
    instance: String,
    values: Vec<(String, i8)>,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// Why unsealing failed, in the metric's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The object could not be read.
    Fetch,
    /// The status could not be written.
    Status,
    /// A value does not open or a template does not render.
    Unseal,
    /// The Secret could not be written.
    Update,
    /// The Secret belongs to somebody else.
    Unmanaged,
}

impl Failure {
    fn reason(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Status => "status",
            Self::Unseal => "unseal",
            Self::Update => "update",
            Self::Unmanaged => "unmanaged",
        }
    }
}

impl Metrics {
    pub(crate) fn new(omit_secret_labels: bool) -> Self {
        Self {
            omit_secret_labels,
            numbers: Mutex::default(),
        }
    }

    /// Counts one item taken from the queue.
    pub(crate) fn unseal_requested(&self) {
        self.with(|numbers| numbers.unseal_requests += 1);
    }

    /// Counts one SealedSecret that needed no work after a restart.
    pub(crate) fn unseal_skipped(&self) {
        self.with(|numbers| numbers.skipped += 1);
    }

    /// Counts one failure.
    pub(crate) fn unseal_failed(&self, failure: Failure, namespace: &str) {
        let key = (failure.reason(), namespace.to_owned());
        self.with(|numbers| *numbers.unseal_errors.entry(key).or_default() += 1);
    }

    /// Shows the conditions of a SealedSecret: type and -1, 0 or 1.
    ///
    /// T35: series of a label the object no longer has go away, because all of its series are
    /// replaced.
    pub(crate) fn show_conditions(
        &self,
        namespace: &str,
        name: &str,
        instance: &str,
        values: Vec<(String, i8)>,
    ) {
        if self.omit_secret_labels {
            return;
        }
        let conditions = Conditions {
            instance: instance.to_owned(),
            values,
        };
        let key = (namespace.to_owned(), name.to_owned());
        self.with(|numbers| numbers.conditions.insert(key, conditions));
    }

    /// Forgets a SealedSecret that is gone.
    pub(crate) fn forget_conditions(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.with(|numbers| numbers.conditions.remove(&key));
    }

    /// Counts one HTTP request.
    pub(crate) fn http_request(&self, path: &'static str, method: &str, code: u16, took: Duration) {
        let method = method.to_ascii_lowercase();
        let seconds = took.as_secs_f64();
        self.with(|numbers| {
            *numbers
                .http_requests
                .entry((path, code, method.clone()))
                .or_default() += 1;
            let histogram = numbers.http_durations.entry((path, method)).or_default();
            for (bucket, bound) in histogram.buckets.iter_mut().zip(BUCKETS) {
                if seconds <= bound {
                    *bucket += 1;
                }
            }
            histogram.count += 1;
            histogram.sum += seconds;
        });
    }

    /// Tells whether this replica leads.
    pub(crate) fn show_leading(&self, leading: bool) {
        self.with(|numbers| numbers.leading = leading);
    }

    /// Writes everything down.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let build = format!("{{revision=\"{}\"}}", crate::VERSION);
        let version = format!("{{version=\"{}\"}}", crate::VERSION);
        head(&mut text, "build_info", "gauge", "Build information.");
        sample(&mut text, "build_info", &build, 0.0);
        let numbers = self.numbers.lock().expect("no holder panics");

        if !self.omit_secret_labels && !numbers.conditions.is_empty() {
            head(
                &mut text,
                "condition_info",
                "gauge",
                "Current SealedSecret condition status. Values are -1 (false), 0 (unknown or absent), 1 (true)",
            );
            for ((namespace, name), conditions) in &numbers.conditions {
                for (condition, value) in &conditions.values {
                    let labels = labels(&[
                        ("condition", condition),
                        ("name", name),
                        ("namespace", namespace),
                        ("ss_app_kubernetes_io_instance", &conditions.instance),
                    ]);
                    sample(&mut text, "condition_info", &labels, f64::from(*value));
                }
            }
        }
        if !numbers.http_durations.is_empty() {
            head(
                &mut text,
                "http_request_duration_seconds",
                "histogram",
                "A histogram of latencies for requests.",
            );
            for ((path, method), histogram) in &numbers.http_durations {
                histogram.write(&mut text, path, method);
            }
            head(
                &mut text,
                "http_requests_total",
                "counter",
                "A counter for requests to the wrapped handler.",
            );
            for ((path, code, method), count) in &numbers.http_requests {
                let code = code.to_string();
                let labels = labels(&[("code", &code), ("method", method), ("path", path)]);
                sample(&mut text, "http_requests_total", &labels, *count as f64);
            }
        }
        if !numbers.unseal_errors.is_empty() {
            head(
                &mut text,
                "unseal_errors_total",
                "counter",
                "Total number of sealed secret unseal errors by reason",
            );
            for ((reason, namespace), count) in &numbers.unseal_errors {
                let labels = labels(&[("namespace", namespace), ("reason", reason)]);
                sample(&mut text, "unseal_errors_total", &labels, *count as f64);
            }
        }
        head(
            &mut text,
            "unseal_requests_total",
            "counter",
            "Total number of sealed secret unseal requests",
        );
        sample(
            &mut text,
            "unseal_requests_total",
            "",
            numbers.unseal_requests as f64,
        );
        head(
            &mut text,
            "unseal_skipped_total",
            "counter",
            "Total number of sealed secrets found unchanged at start",
        );
        sample(
            &mut text,
            "unseal_skipped_total",
            "",
            numbers.skipped as f64,
        );
        head(
            &mut text,
            "leading",
            "gauge",
            "Whether this replica does the work (1) or stands by (0)",
        );
        sample(
            &mut text,
            "leading",
            &version,
            f64::from(u8::from(numbers.leading)),
        );
        drop(numbers);
        process(&mut text);
        text
    }

    fn with<T>(&self, change: impl FnOnce(&mut Numbers) -> T) -> T {
        change(&mut self.numbers.lock().expect("no holder panics"))
    }
}

impl Histogram {
    fn write(&self, text: &mut String, path: &str, method: &str) {
        let name = "http_request_duration_seconds";
        for (count, bound) in self.buckets.iter().zip(BUCKETS) {
            let bound = bound.to_string();
            let labels = labels(&[("method", method), ("path", path), ("le", &bound)]);
            sample(text, &format!("{name}_bucket"), &labels, *count as f64);
        }
        let all = labels(&[("method", method), ("path", path), ("le", "+Inf")]);
        sample(text, &format!("{name}_bucket"), &all, self.count as f64);
        let labels = labels(&[("method", method), ("path", path)]);
        sample(text, &format!("{name}_sum"), &labels, self.sum);
        sample(text, &format!("{name}_count"), &labels, self.count as f64);
    }
}

const PREFIX: &str = "sealed_secrets_controller_";

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "# HELP {PREFIX}{name} {help}");
    let _ = writeln!(text, "# TYPE {PREFIX}{name} {kind}");
}

fn sample(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(text, "{PREFIX}{name}{labels} {value}");
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(text, "{name}=\"{value}\"");
    }
    text.push('}');
    text
}

/// C75: the `process_*` series; those of the Go runtime have no counterpart.
fn process(text: &mut String) {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    // The second field is the program's name in parentheses and may hold blanks.
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return;
    };
    let fields: Vec<f64> = fields
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let boot = std::fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|stat| {
            let line = stat.lines().find(|line| line.starts_with("btime "))?;
            line[6..].trim().parse::<f64>().ok()
        })
        .unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    for (name, kind, help, value) in [
        (
            "cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            (field(14) + field(15)) / ticks,
        ),
        (
            "max_fds",
            "gauge",
            "Maximum number of open file descriptors.",
            limit.unwrap_or(u64::MAX) as f64,
        ),
        (
            "open_fds",
            "gauge",
            "Number of open file descriptors.",
            open as f64,
        ),
        (
            "resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            field(24) * rustix::param::page_size() as f64,
        ),
        (
            "start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            boot + field(22) / ticks,
        ),
        (
            "virtual_memory_bytes",
            "gauge",
            "Virtual memory size in bytes.",
            field(23),
        ),
    ] {
        let _ = writeln!(text, "# HELP process_{name} {help}");
        let _ = writeln!(text, "# TYPE process_{name} {kind}");
        let _ = writeln!(text, "process_{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c69_to_c75_names_and_labels_are_the_incumbents() {
        let metrics = Metrics::new(false);
        metrics.unseal_requested();
        metrics.unseal_failed(Failure::Unmanaged, "ns");
        metrics.show_conditions("ns", "a", "app", vec![("Synced".into(), -1)]);
        metrics.http_request("/v1/verify", "POST", 429, Duration::from_millis(7));
        let text = metrics.text();
        for line in [
            "sealed_secrets_controller_build_info{revision=\"",
            "# TYPE sealed_secrets_controller_unseal_requests_total counter\nsealed_secrets_controller_unseal_requests_total 1\n",
            "sealed_secrets_controller_unseal_errors_total{namespace=\"ns\",reason=\"unmanaged\"} 1\n",
            "sealed_secrets_controller_condition_info{condition=\"Synced\",name=\"a\",namespace=\"ns\",ss_app_kubernetes_io_instance=\"app\"} -1\n",
            "sealed_secrets_controller_http_requests_total{code=\"429\",method=\"post\",path=\"/v1/verify\"} 1\n",
            "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"0.005\"} 0\n",
            "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"0.01\"} 1\n",
            "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"+Inf\"} 1\n",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn t35_series_go_with_the_object_and_with_its_label() {
        let metrics = Metrics::new(false);
        metrics.show_conditions("ns", "a", "old", vec![("Synced".into(), 1)]);
        metrics.show_conditions("ns", "a", "new", vec![("Synced".into(), 1)]);
        let text = metrics.text();
        assert!(text.contains("\"new\"") && !text.contains("\"old\""));
        metrics.forget_conditions("ns", "a");
        assert!(!metrics.text().contains("condition_info"));
    }

    #[test]
    fn c80_i44_no_series_names_a_sealed_secret_when_asked() {
        let metrics = Metrics::new(true);
        metrics.show_conditions("ns", "hidden", "", vec![("Synced".into(), 1)]);
        assert!(!metrics.text().contains("condition_info"));
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(labels(&[("a", "x\"y\\z\n")]), "{a=\"x\\\"y\\\\z\\n\"}");
    }
}

//! Requests to the HTTP API.

use std::time::Duration;

use hyper::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::{Metrics, registered};

pub(super) struct HttpMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
}

impl HttpMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let requests = Opts::new(
            "sealed_secrets_controller_http_requests_total",
            "A counter for requests to the wrapped handler.",
        );
        // The default buckets are upstream's (C74).
        let durations = HistogramOpts::new(
            "sealed_secrets_controller_http_request_duration_seconds",
            "A histogram of latencies for requests.",
        );
        Self {
            requests: registered(
                registry,
                IntCounterVec::new(requests, &["code", "method", "path"]),
            ),
            durations: registered(registry, HistogramVec::new(durations, &["method", "path"])),
        }
    }
}

impl Metrics {
    /// Counts one request to the HTTP API.
    pub(crate) fn http_request(
        &self,
        path: &'static str,
        method: &Method,
        code: StatusCode,
        took: Duration,
    ) {
        let method = method_label(method);
        let labels = [code.as_str(), method, path];
        self.http.requests.with_label_values(&labels).inc();
        self.http
            .durations
            .with_label_values(&[method, path])
            .observe(took.as_secs_f64());
    }
}

/// Returns the method in lower case, or `unknown` for one that a client has invented: upstream's own set.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "PUT" => "put",
        "HEAD" => "head",
        "POST" => "post",
        "DELETE" => "delete",
        "CONNECT" => "connect",
        "OPTIONS" => "options",
        "NOTIFY" => "notify",
        "TRACE" => "trace",
        "PATCH" => "patch",
        _ => "unknown",
    }
}

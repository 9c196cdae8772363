use std::time::Duration;

use hyper::{Method, StatusCode};
use sealwright_providers::fetch::Call;

use super::*;

fn leading(omit_secret_labels: bool) -> Metrics {
    let metrics = Metrics::new(omit_secret_labels, false);
    metrics.show_leading(true);
    metrics
}

impl Metrics {
    /// All that a scrape gets.
    pub(crate) fn whole_text(&self) -> String {
        self.text().collect()
    }
}

#[test]
fn c69_to_c75_names_and_labels_are_upstreams() {
    let metrics = leading(false);
    metrics.unseal_requested();
    metrics.unseal_failed(Failure::Unmanaged, "ns");
    metrics.show_conditions("ns", "a", "app", vec![("Synced".into(), -1)]);
    let (method, code) = (Method::POST, StatusCode::TOO_MANY_REQUESTS);
    metrics.http_request("/v1/verify", &method, code, Duration::from_millis(7));
    let text = metrics.whole_text();
    for line in [
        "# TYPE sealed_secrets_controller_build_info gauge\nsealed_secrets_controller_build_info{revision=\"v",
        "# HELP sealed_secrets_controller_unseal_requests_total Total number of sealed secret unseal requests\n# TYPE sealed_secrets_controller_unseal_requests_total counter\nsealed_secrets_controller_unseal_requests_total 1\n",
        "sealed_secrets_controller_unseal_errors_total{namespace=\"ns\",reason=\"unmanaged\"} 1\n",
        "# HELP sealed_secrets_controller_condition_info Current SealedSecret condition status. Values are -1 (false), 0 (unknown or absent), 1 (true)\n# TYPE sealed_secrets_controller_condition_info gauge\n",
        "sealed_secrets_controller_condition_info{condition=\"Synced\",name=\"a\",namespace=\"ns\",ss_app_kubernetes_io_instance=\"app\"} -1\n",
        "sealed_secrets_controller_http_requests_total{code=\"429\",method=\"post\",path=\"/v1/verify\"} 1\n",
        "# TYPE sealed_secrets_controller_http_request_duration_seconds histogram\n",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"0.005\"} 0\n",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"0.01\"} 1\n",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"10\"} 1\n",
        "sealed_secrets_controller_http_request_duration_seconds_bucket{method=\"post\",path=\"/v1/verify\",le=\"+Inf\"} 1\n",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn t35_series_go_with_the_object_and_with_its_label() {
    let metrics = leading(false);
    metrics.show_conditions("ns", "a", "old", vec![("Synced".into(), 1)]);
    metrics.show_conditions("ns", "a", "new", vec![("Synced".into(), 1)]);
    let text = metrics.whole_text();
    assert!(text.contains("\"new\"") && !text.contains("\"old\""));
    metrics.forget_conditions("ns", "a");
    assert!(!metrics.whole_text().contains("condition_info"));
}

#[test]
fn series_of_objects_go_with_the_lead_and_come_back_with_it() {
    let metrics = leading(false);
    let show = || metrics.show_conditions("ns", "a", "", vec![("Synced".into(), -1)]);
    show();
    assert!(metrics.whole_text().contains("sealwright_leader 1\n"));
    metrics.show_leading(false);
    // A worker that was still at it.
    show();
    let text = metrics.whole_text();
    assert!(!text.contains("condition_info"), "{text}");
    assert!(text.contains("sealwright_leader 0\n"), "{text}");
    metrics.show_leading(true);
    show();
    assert!(metrics.whole_text().contains("condition_info"));
}

#[test]
fn c80_i44_no_series_names_a_sealed_secret_when_asked() {
    let metrics = leading(true);
    metrics.show_conditions("ns", "hidden", "", vec![("Synced".into(), 1)]);
    assert!(!metrics.whole_text().contains("condition_info"));
}

#[test]
fn label_values_are_escaped() {
    let metrics = leading(false);
    metrics.show_conditions("ns", "a", "x\"y\\z\n", vec![("Synced".into(), 1)]);
    let text = metrics.whole_text();
    assert!(text.contains(r#"instance="x\"y\\z\n"}"#), "{text}");
}

#[test]
fn methods_that_clients_invent_are_one_series() {
    let metrics = leading(false);
    for number in 0..1000 {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        metrics.http_request("/v1/verify", &method, StatusCode::OK, Duration::ZERO);
    }
    let text = metrics.whole_text();
    let series = "http_requests_total{code=\"200\",method=\"unknown\",path=\"/v1/verify\"} 1000\n";
    assert!(text.contains(series), "{text}");
    assert_eq!(text.matches("http_requests_total{").count(), 1);
}

#[test]
fn keys_and_queues_are_looked_at_when_they_are_asked_for() {
    let metrics = leading(false);
    let none = metrics.whole_text();
    assert!(!none.contains("sealing_key") && !none.contains("queue_depth"));
    metrics.show_keys(|| KeyMetrics {
        keys: 2,
        created: Some(1_700_000_000),
        expires: None,
        renew_period: 60.0,
    });
    metrics.show_queues(|| {
        vec![QueueMetrics {
            kind: "SealedSecret",
            workers: 8,
            depth: QueueDepth {
                backlog: 7,
                working: 3,
                ..QueueDepth::default()
            },
        }]
    });
    let text = metrics.whole_text();
    for line in [
        "sealwright_sealing_keys 2\n",
        "sealwright_sealing_key_created_timestamp_seconds 1700000000\n",
        "sealwright_queue_depth{kind=\"SealedSecret\",state=\"backlog\"} 7\n",
        "sealwright_queue_depth{kind=\"SealedSecret\",state=\"ready\"} 0\n",
        "workqueue_depth{controller=\"sealedsecret\",name=\"sealedsecret\"} 7\n",
        "controller_runtime_active_workers{controller=\"sealedsecret\"} 3\n",
        "controller_runtime_max_concurrent_reconciles{controller=\"sealedsecret\"} 8\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("expiry"));
}

#[test]
fn e69_reconciles_have_the_names_of_upstreams_library() {
    let metrics = leading(false);
    metrics.reconciled("ExternalSecret", true, std::time::Duration::from_millis(7));
    let text = metrics.whole_text();
    for line in [
        "controller_runtime_reconcile_total{controller=\"externalsecret\",result=\"success\"} 1\n",
        "controller_runtime_reconcile_errors_total{controller=\"externalsecret\"} 0\n",
        "controller_runtime_reconcile_time_seconds_bucket{controller=\"externalsecret\",le=\"0.01\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    metrics.reconciled("ExternalSecret", false, std::time::Duration::ZERO);
    let text = metrics.whole_text();
    assert!(text.contains("reconcile_errors_total{controller=\"externalsecret\"} 1\n"));
}

fn object<'a>(
    namespace: &'a str,
    name: &'a str,
    labels: Option<&'a std::collections::BTreeMap<String, String>>,
) -> MetricObject<'a> {
    MetricObject {
        namespace,
        name,
        labels,
    }
}

#[test]
fn e59_to_e63_names_types_and_labels_are_upstreams() {
    let metrics = leading(false);
    let one = object("ns", "a", None);
    let kind = SyncedKind::ExternalSecret;
    metrics.sync_called(one, false);
    metrics.sync_called(one, true);
    metrics.show_sync_conditions(kind, one, &[("Ready", false)]);
    metrics.show_reconcile_duration(kind, one, Duration::from_micros(3));
    metrics.provider_called("vault", Call::Read, true);
    metrics.provider_called("vault", Call::SignIn, false);
    metrics.provider_called("gcpsm", Call::SignIn, false);
    let store = object("", "s", None);
    metrics.show_sync_conditions(SyncedKind::ClusterSecretStore, store, &[("Ready", true)]);
    let text = metrics.whole_text();
    for line in [
        "# TYPE externalsecret_sync_calls_total counter\nexternalsecret_sync_calls_total{name=\"a\",namespace=\"ns\"} 2\n",
        "# TYPE externalsecret_sync_calls_error counter\nexternalsecret_sync_calls_error{name=\"a\",namespace=\"ns\"} 1\n",
        "# TYPE externalsecret_status_condition gauge\nexternalsecret_status_condition{condition=\"Ready\",name=\"a\",namespace=\"ns\",status=\"False\"} 1\nexternalsecret_status_condition{condition=\"Ready\",name=\"a\",namespace=\"ns\",status=\"True\"} 0\n",
        "# TYPE externalsecret_reconcile_duration gauge\nexternalsecret_reconcile_duration{name=\"a\",namespace=\"ns\"} 3000\n",
        "# TYPE externalsecret_provider_api_calls_count counter\nexternalsecret_provider_api_calls_count{call=\"Login\",provider=\"HashiCorp/Vault\",status=\"success\"} 1\nexternalsecret_provider_api_calls_count{call=\"ReadSecretData\",provider=\"HashiCorp/Vault\",status=\"error\"} 1\n",
        "clustersecretstore_status_condition{condition=\"Ready\",name=\"s\",namespace=\"\",status=\"True\"} 1\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn e61_a_deleted_external_secret_leaves_one_series_until_it_is_back() {
    let metrics = leading(false);
    let one = object("ns", "a", None);
    let kind = SyncedKind::ExternalSecret;
    metrics.sync_called(one, false);
    metrics.show_sync_conditions(kind, one, &[("Ready", true)]);
    metrics.forget_synced(kind, "ns", "a");
    let text = metrics.whole_text();
    assert!(text.contains("externalsecret_status_condition{condition=\"Deleted\",name=\"a\",namespace=\"ns\",status=\"False\"} 1\n"));
    assert!(
        !text.contains("Ready") && !text.contains("sync_calls"),
        "{text}"
    );
    metrics.show_sync_conditions(kind, one, &[("Ready", true)]);
    // However many others are deleted, what is there stays.
    for number in 0..1100 {
        metrics.forget_synced(kind, "ns", &format!("gone-{number}"));
    }
    let text = metrics.whole_text();
    assert_eq!(text.matches("condition=\"Deleted\"").count(), 1000);
    assert!(text.contains("condition=\"Ready\",name=\"a\""));
    metrics.show_leading(false);
    assert!(!metrics.whole_text().contains("externalsecret_status"));
}

#[test]
fn e68_extended_labels_come_from_the_object() {
    let metrics = Metrics::new(false, true);
    metrics.show_leading(true);
    let labels = [("app.kubernetes.io/name".to_owned(), "shop".to_owned())].into();
    metrics.sync_called(object("ns", "a", Some(&labels)), false);
    let series = "externalsecret_sync_calls_total{app_kubernetes_io_component=\"\",app_kubernetes_io_instance=\"\",app_kubernetes_io_managed_by=\"\",app_kubernetes_io_name=\"shop\",app_kubernetes_io_part_of=\"\",app_kubernetes_io_version=\"\",name=\"a\",namespace=\"ns\"} 1\n";
    let text = metrics.whole_text();
    assert!(text.contains(series), "{text}");
}

/// The names of metrics in queries.
fn names(queries: &str) -> impl Iterator<Item = &str> {
    const PREFIXES: [&str; 6] = [
        "sealwright_",
        "sealed_secrets_controller_",
        "externalsecret_",
        "secretstore_",
        "clustersecretstore_",
        "process_",
    ];
    let words = queries.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let (metrics, _watch) = reference::of_everything();
    let text = metrics.whole_text();
    let mut checked = 0;
    for file in [
        include_str!("../../../deploy/chart/files/rules.yaml"),
        include_str!("../../../deploy/chart/files/dashboard.json"),
    ] {
        for name in names(file) {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {family} ")), "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

#[test]
fn every_panel_of_the_dashboard_is_about_the_chosen_jobs() {
    let dashboard = include_str!("../../../deploy/chart/files/dashboard.json");
    let mut checked = 0;
    for query in dashboard.lines().filter(|line| line.contains("\"expr\":")) {
        let chosen = query.matches(r#"job=~\"$job\""#).count();
        assert_eq!(names(query).count(), chosen, "{query}");
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
}

#[test]
fn series_of_many_objects_come_in_pieces() {
    let metrics = Metrics::new(false, false);
    metrics.show_leading(true);
    let names: Vec<String> = (0..3000)
        .map(|number| format!("object-{number:05}"))
        .collect();
    for name in &names {
        let object = MetricObject {
            namespace: "ns",
            name,
            labels: None,
        };
        metrics.show_sync_conditions(SyncedKind::ExternalSecret, object, &[("Ready", true)]);
    }
    let pieces: Vec<String> = metrics.text().collect();
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() < 100 << 10));
    let text = pieces.concat();
    let name = "externalsecret_status_condition";
    assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
    let series: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")))
        .collect();
    let expected = names.iter().flat_map(|object| {
        [("False", 0), ("True", 1)].map(|(status, value)| {
            format!(
                "{name}{{condition=\"Ready\",name=\"{object}\",namespace=\"ns\",status=\"{status}\"}} {value}"
            )
        })
    });
    assert_eq!(series, expected.collect::<Vec<_>>());
}

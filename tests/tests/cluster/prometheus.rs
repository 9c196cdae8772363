//! A real Prometheus scrapes the real controller: alerts fire and end, every query of the dashboard has data, and the page of
//! the metrics says what is exposed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Cluster, eventually, run};
use sealwright_tests::harness::fault_proxy::{Fault, FaultProxy};
use sealwright_tests::harness::generated;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};

use super::chart::Release;
use super::kubelet;
use super::objects::{apply, external_secret, fake_store};
use super::sealed_secrets::rig::sealed_for;

/// A Prometheus with the rules of the chart. Alerts fire after a second, and calls of vaults are looked at over ten.
struct Prometheus {
    _server: Server,
    port: u16,
}

impl Prometheus {
    fn start(cluster: &Cluster, targets: &[u16]) -> Self {
        let folder = cluster.sandbox().path().join("prometheus");
        std::fs::create_dir_all(&folder).unwrap();
        let rules = include_str!("../../../deploy/chart/files/rules.yaml");
        let rules: Vec<String> = rules
            .lines()
            .map(|line| match line.trim_start().strip_prefix("for: ") {
                Some(_) => line[..line.len() - line.trim_start().len()].to_owned() + "for: 1s",
                None => line.replace("[5m]", "[10s]"),
            })
            .collect();
        std::fs::write(folder.join("rules.yaml"), rules.join("\n")).unwrap();
        let targets: Vec<String> = targets
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let config = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "sealwright", "honor_labels": true,
                "static_configs": [{"targets": targets}]}],
        });
        std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
        let prepare = || {
            let port = free_port()?;
            let mut command = Command::new(upstream::prometheus());
            command.arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ));
            command.arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ));
            command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
            Ok((command, port))
        };
        let ready = |port: &u16| match kubelet::get(*port, "/-/ready") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        let (server, port) = Server::start(cluster.sandbox(), "prometheus", prepare, ready)
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            _server: server,
            port,
        }
    }

    fn ask(&self, path: &str, query: &str) -> Value {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "10", "--get"]);
        command
            .arg("--data-urlencode")
            .arg(format!("query={query}"));
        command.arg(format!("http://127.0.0.1:{}{path}", self.port));
        let output = run(&mut command, b"");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"].clone()
    }

    /// Returns true if a query has a sample that is a number.
    fn has_data(&self, query: &str) -> bool {
        let data = self.ask("/api/v1/query", query);
        let results = data["result"].as_array().unwrap();
        results.iter().any(|result| {
            let value = result["value"][1].as_str().unwrap();
            value.parse::<f64>().is_ok_and(|value| !value.is_nan())
        })
    }

    /// The alerts that fire.
    fn firing(&self) -> Vec<String> {
        let data = self.ask("/api/v1/alerts", "");
        let alerts = data["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect()
    }

    #[allow(clippy::print_stdout, reason = "how long it takes is a finding")]
    async fn eventually_fires(&self, alert: &str, fires: bool) {
        let what = format!("{alert} {}", if fires { "fires" } else { "has ended" });
        let start = Instant::now();
        eventually(&what, async || {
            (self.firing().iter().any(|one| one == alert) == fires).then_some(())
        })
        .await;
        println!("{what} after {:?}", start.elapsed());
    }

    async fn eventually_fire(&self, alerts: &[&str], fire: bool) {
        for alert in alerts {
            self.eventually_fires(alert, fire).await;
        }
    }
}

/// The queries of all panels, with every job.
fn queries() -> Vec<(String, String)> {
    fn of(panels: &Value, found: &mut Vec<(String, String)>) {
        for panel in panels.as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap().replace("$job", ".*");
                found.push((panel["title"].as_str().unwrap().to_owned(), query));
            }
            of(&panel["panels"], found);
        }
    }
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../deploy/chart/files/dashboard.json")).unwrap();
    let mut found = Vec::new();
    of(&dashboard["panels"], &mut found);
    found
}

/// Objects of the whole cluster and of kinds that nothing else here is about, so that all of their metrics are exposed.
fn of_other_kinds(namespace: &str) -> Vec<Value> {
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let push = json!({"secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "pushed"}},
        "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": "pushed"}}}]});
    vec![
        fake_store("ClusterSecretStore", "shared", &[("a", "v")]),
        json!({"apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", "metadata": {"name": "everywhere"},
            "spec": {"namespaceSelectors": [here], "externalSecretSpec": {
                "secretStoreRef": {"name": "shared", "kind": "ClusterSecretStore"},
                "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]}}}),
        json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": "push"}, "spec": push}),
        json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "ClusterPushSecret", "metadata": {"name": "push-everywhere"},
            "spec": {"namespaceSelectors": [here], "pushSecretSpec": push}}),
    ]
}

/// The metrics of a text in Prometheus' format: type and labels by name.
fn exposed(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            current = name.to_owned();
            found.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once('}'));
            let labels = labels.map(|(labels, _)| labels).unwrap_or_default();
            // Values here have neither commas nor equals signs.
            let names = labels
                .split(',')
                .filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
            found
                .get_mut(&current)
                .unwrap()
                .1
                .extend(names.filter(|name| name != "le"));
        }
    }
    found
}

/// The metrics of the page of the book.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/src/reference/metrics.md"
    );
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap().trim_end_matches('`');
        let kind = cells.next().unwrap();
        let labels = cells
            .next()
            .unwrap()
            .split('`')
            .filter(|word| word.chars().any(char::is_alphanumeric));
        (
            name.to_owned(),
            (kind.to_owned(), labels.map(str::to_owned).collect()),
        )
    })
    .collect()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "what is not run is told")]
async fn alerts_fire_while_work_fails_and_end_when_it_is_mended() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("prometheus").await;
    let values = "externalSecrets.enabled=true,replicaCount=1,leaderElect=false";
    let mut release = Release::install(&namespace, values).await;
    release.add_replica().await;
    let prometheus = Prometheus::start(&cluster, &[release.replicas[0].metrics]);
    let bao = OpenBao::start().unwrap();
    bao.api("POST", "secret/data/a", Some(&json!({"data": {"v": "1"}})));
    let vault = FaultProxy::start(bao.port());
    prometheus.eventually_fires("SealwrightDown", false).await;

    let (api, metrics) = (release.replicas[0].api, release.replicas[0].metrics);
    let (_, pem) = kubelet::get(api, "/v1/cert.pem").unwrap();
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let sealed = |name: &str, broken: bool| {
        let sealed = sealed_for(
            &certificate,
            Scope::Strict,
            namespace.name(),
            name,
            &[("a", "own")],
        );
        let mut sealed = serde_json::to_value(sealed).unwrap();
        sealed["metadata"] = json!({"name": name});
        if broken {
            sealed["spec"]["encryptedData"]["a"] = "AgBy".into();
        }
        sealed
    };
    // Work that succeeds and work that fails, on both sides; no two objects want the same Secret.
    apply(&namespace, sealed("good", false)).await;
    apply(&namespace, sealed("bad", true)).await;
    apply(&namespace, fake_store("SecretStore", "fake", &[("a", "v")])).await;
    let token = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": ROOT}});
    let pushed = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pushed"}, "stringData": {"k": "v"}});
    for secret in [token, pushed] {
        namespace
            .create(&serde_json::from_value::<Secret>(secret).unwrap())
            .await;
    }
    apply(&namespace, json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "vault"},
        "spec": {"refreshInterval": 1, "provider": {"vault": {"server": vault.address(), "path": "secret", "version": "v2",
            "auth": {"tokenSecretRef": {"name": "token", "key": "token"}}}}}}))
        .await;
    apply(&namespace, external_secret("found", "fake", "a", "1s")).await;
    apply(
        &namespace,
        external_secret("missing", "fake", "missing", "1s"),
    )
    .await;
    apply(
        &namespace,
        external_secret("from-vault", "vault", "a", "1s"),
    )
    .await;
    for object in of_other_kinds(namespace.name()) {
        apply(&namespace, object).await;
    }
    let secrets: Api<Secret> = namespace.api();
    for name in ["good", "found", "from-vault", "everywhere"] {
        eventually(&format!("{name} is synced"), async || {
            secrets.get_opt(name).await.unwrap()
        })
        .await;
    }
    let not_synced = ["SealedSecretNotSynced", "ExternalSecretNotSynced"];
    let of_vaults = ["VaultErrors", "SecretStoreNotReady"];
    prometheus.eventually_fire(&not_synced, true).await;
    prometheus.eventually_fire(&of_vaults, false).await;
    vault.always(Fault::Closed);
    prometheus.eventually_fire(&of_vaults, true).await;

    if generated::is_soak() {
        // Connections that are accepted and never answered are an outage too.
        vault.always(Fault::None);
        prometheus.eventually_fire(&of_vaults, false).await;
        vault.always(Fault::HalfOpen);
        prometheus.eventually_fires("VaultErrors", true).await;
        drifts(&prometheus, &secrets).await;
        cluster.stop_api_server();
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.start_api_server();
        panels_have_data(&prometheus, api).await;
    } else {
        println!(
            "NOT RUN: drift, a restart of the API server, and the panels of the dashboard; see `make soak`"
        );
    }

    // What is mended, ends.
    vault.always(Fault::None);
    apply(&namespace, sealed("bad", false)).await;
    let complete = [("a", "v"), ("missing", "v")];
    apply(&namespace, fake_store("SecretStore", "fake", &complete)).await;
    prometheus.eventually_fire(&not_synced, false).await;
    prometheus.eventually_fire(&of_vaults, false).await;
    metrics_are_those_of_the_page(metrics);
    release.replicas.pop().unwrap().stop(&namespace).await;
    prometheus.eventually_fires("SealwrightDown", true).await;
}

/// Edits a Secret twice: an alert says that it is put back.
async fn drifts(prometheus: &Prometheus, secrets: &Api<Secret>) {
    for value in ["one", "two"] {
        eventually("the Secret is as it should be", async || {
            let secret = secrets.get_opt("good").await.unwrap()?;
            (secret.data?.get("a")?.0 == b"own").then_some(())
        })
        .await;
        let edit = json!({"stringData": {"a": value}});
        secrets
            .patch("good", &PatchParams::default(), &Patch::Merge(edit))
            .await
            .unwrap();
    }
    prometheus.eventually_fires("SecretDrift", true).await;
}

#[allow(clippy::print_stderr, reason = "what is waited for is told")]
async fn panels_have_data(prometheus: &Prometheus, api: u16) {
    let queries = queries();
    assert!(queries.len() > 20);
    eventually("every panel has data", async || {
        for _ in 0..3 {
            kubelet::get(api, "/v1/cert.pem").ok()?;
        }
        let empty: Vec<_> = queries
            .iter()
            .filter(|(_, query)| !prometheus.has_data(query))
            .collect();
        if !empty.is_empty() {
            eprintln!("no data: {empty:?}");
        }
        empty.is_empty().then_some(())
    })
    .await;
}

/// Compares what a controller with work on all kinds exposes with the page of the book.
fn metrics_are_those_of_the_page(metrics: u16) {
    let (_, text) = kubelet::get(metrics, "/metrics").unwrap();
    let (exposed, documented) = (exposed(&text), documented());
    for (name, (kind, labels)) in &exposed {
        let (documented_kind, documented_labels) = documented
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not on the page of the metrics"));
        assert_eq!(kind, documented_kind, "{name}");
        assert_eq!(labels, documented_labels, "{name}");
    }
    // What has not happened has no series.
    let rare = ["sealwright_watch_errors_total", "sealwright_drift_total"];
    for name in documented.keys() {
        let is_rare = rare.contains(&name.as_str());
        assert!(
            is_rare || exposed.contains_key(name),
            "{name} is not exposed"
        );
    }
}

//! A real Prometheus scrapes the real controller: every query of the dashboard has data, and alerts fire and end.

use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Cluster, Namespace, eventually, run};
use sealwright_tests::harness::generated;
use sealwright_tests::harness::incumbents;
use sealwright_tests::harness::server::{Server, free_port};
use serde_json::{Value, json};

use super::chart::Release;
use super::kubelet;
use super::sealed_secrets::rig::sealed_for;

/// A Prometheus with the rules of the chart, whose patience is shortened.
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
                None => line.to_owned(),
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
            let mut command = Command::new(incumbents::prometheus());
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

    async fn eventually_fires(&self, alert: &str, fires: bool) {
        let what = format!("{alert} {}", if fires { "fires" } else { "has ended" });
        eventually(&what, async || {
            (self.firing().iter().any(|one| one == alert) == fires).then_some(())
        })
        .await;
    }
}

async fn apply(namespace: &Namespace<'_>, object: Value) {
    let (group, version) = object["apiVersion"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap();
    let kind = object["kind"].as_str().unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let plural = format!("{}s", kind.to_ascii_lowercase());
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural);
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let params = PatchParams::apply("test").force();
    api.patch(&name, &params, &Patch::Apply(&object))
        .await
        .unwrap();
}

fn external_secret(name: &str, store: &str, key: &str) -> Value {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": name},
        "spec": {"secretStoreRef": {"name": store}, "refreshInterval": "1s",
            "data": [{"secretKey": "k", "remoteRef": {"key": key}}]}})
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

#[tokio::test]
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what is not run, and what is waited for, is told"
)]
async fn every_panel_has_data_and_alerts_fire_and_end() {
    if !generated::is_soak() {
        println!("NOT RUN: it takes minutes, see `make soak`");
        return;
    }
    let cluster = Cluster::start();
    let namespace = cluster.namespace("prometheus").await;
    let values = "externalSecrets.enabled=true,replicaCount=1,leaderElect=false";
    let mut release = Release::install(&namespace, values).await;
    release.add_replica().await;
    let prometheus = Prometheus::start(&cluster, &[release.replicas[0].metrics]);
    prometheus.eventually_fires("SealwrightDown", false).await;

    let api = release.replicas[0].api;
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
    // Work that succeeds and work that fails, on both sides.
    apply(&namespace, sealed("good", false)).await;
    apply(&namespace, sealed("bad", true)).await;
    let fake = |keys: &[&str]| {
        let data: Vec<Value> = keys
            .iter()
            .map(|key| json!({"key": key, "value": "v"}))
            .collect();
        json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
            "spec": {"provider": {"fake": {"data": data}}}})
    };
    apply(&namespace, fake(&["a"])).await;
    // It answers, and each answer is an error: the controller wants something else to be posted there.
    apply(&namespace, json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "hook"},
        "spec": {"provider": {"webhook": {"url": format!("http://127.0.0.1:{api}/v1/verify?{{{{ .remoteRef.key }}}}"), "result": {"jsonPath": "$.v"}}}}}))
        .await;
    apply(&namespace, external_secret("good", "fake", "a")).await;
    apply(&namespace, external_secret("bad", "fake", "missing")).await;
    apply(&namespace, external_secret("unreachable", "hook", "a")).await;
    prometheus
        .eventually_fires("SealedSecretNotSynced", true)
        .await;
    prometheus
        .eventually_fires("ExternalSecretNotSynced", true)
        .await;
    prometheus.eventually_fires("VaultErrors", true).await;
    // A Secret that is edited; and watches that break.
    let secrets: Api<Secret> = namespace.api();
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
    cluster.stop_api_server();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cluster.start_api_server();

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

    // What is mended, ends.
    apply(&namespace, sealed("bad", false)).await;
    apply(&namespace, fake(&["a", "missing"])).await;
    apply(&namespace, external_secret("unreachable", "fake", "a")).await;
    prometheus
        .eventually_fires("SealedSecretNotSynced", false)
        .await;
    prometheus
        .eventually_fires("ExternalSecretNotSynced", false)
        .await;
    release.replicas.pop().unwrap().stop(&namespace).await;
    prometheus.eventually_fires("SealwrightDown", true).await;
}

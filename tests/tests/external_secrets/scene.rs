//! A controller of a few namespaces, under exactly the roles that the chart brings for them, and a vault.

use std::process::Command;

use kube::Client;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use sealwright_tests::harness::cluster::{Account, Cluster, Namespace, eventually, run};
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::{programs, upstream};
use serde_json::{Value, json};

use super::kinds::Kind;
use super::rig::{self, Rig};

/// Namespaces with a controller.
pub(crate) struct Scene {
    cluster: &'static Cluster,
    pub(crate) namespaces: Vec<Namespace<'static>>,
    pub(crate) account: Account,
    pub(crate) metrics: u16,
    arguments: Vec<String>,
    /// How many controllers were started.
    started: usize,
    /// Ends with the scene.
    pub(crate) controller: Option<Server>,
    /// After the controller: others wait for it to end.
    _turn: Option<Rig>,
}

impl Scene {
    /// Makes so many namespaces, and starts a controller for them with further values of the chart.
    pub(crate) async fn start(name: &str, namespaces: usize, values: &str) -> Self {
        let mut scene = Self::prepare(name, namespaces, values).await;
        scene.start_controller();
        scene
    }

    /// The same, without the controller.
    pub(crate) async fn prepare(name: &str, namespaces: usize, values: &str) -> Self {
        Self::prepare_in(rig::shared(), None, name, namespaces, values).await
    }

    /// The same with the roles for the whole cluster, and with the controller.
    pub(crate) async fn start_for_all(name: &str, namespaces: usize, values: &str) -> Self {
        let turn = Rig::prepare().await;
        let cluster = turn.cluster();
        let mut scene = Self::prepare_in(cluster, Some(turn), name, namespaces, values).await;
        scene.start_controller();
        scene
    }

    /// The same on a cluster of the test's own, which it may stop.
    pub(crate) async fn start_on(cluster: &'static Cluster, name: &str) -> Self {
        let mut scene = Self::prepare_in(cluster, None, name, 1, "").await;
        scene.start_controller();
        scene
    }

    async fn prepare_in(
        cluster: &'static Cluster,
        turn: Option<Rig>,
        name: &str,
        count: usize,
        values: &str,
    ) -> Self {
        let mut namespaces = Vec::new();
        for number in 0..count {
            namespaces.push(cluster.namespace(&format!("{name}-{number}")).await);
        }
        let names: Vec<&str> = namespaces.iter().map(Namespace::name).collect();
        let home = names[0];
        let chart = |parts: &[&str]| {
            let places = names.join(r"\,");
            let mut command = Command::new(upstream::helm());
            let nowhere = std::env::temp_dir().join("no-such-helm-home");
            for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
                command.env(variable, &nowhere);
            }
            command.args(["template", "sealwright", "--kube-version=1.33.0"]);
            command.arg(format!("{}/../deploy/chart", env!("CARGO_MANIFEST_DIR")));
            command.arg(format!("--namespace={home}"));
            command.args([
                "--set",
                "externalSecrets.enabled=true,sealedSecrets.enabled=false",
            ]);
            if turn.is_none() {
                let scope = format!("scopedRBAC=true,scopedNamespace={places}");
                command.args(["--set", &scope]);
            }
            if !values.is_empty() {
                command.args(["--set", values]);
            }
            for part in parts {
                command.arg(format!("--show-only=templates/{part}.yaml"));
            }
            let output = run(&mut command, b"");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "helm: {error}");
            String::from_utf8(output.stdout).unwrap()
        };
        let roles = chart(&["rbac", "external-secrets"]);
        let policies = roles
            .split("\n---")
            .filter(|part| !part.contains("kind: Validating"));
        cluster.apply(&policies.collect::<Vec<_>>().join("\n---"));
        let deployment = cluster.sandbox().path().join(format!("{home}.yaml"));
        std::fs::write(&deployment, chart(&["deployment"])).unwrap();
        let file = deployment.to_str().unwrap();
        let text = cluster.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", file]);
        let deployment: Value = serde_json::from_str(&text).unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter();
        let arguments = arguments
            .map(|word| word.as_str().unwrap().to_owned())
            .collect();
        let account = namespaces[0].existing_account("sealwright").await;
        Self {
            cluster,
            namespaces,
            account,
            metrics: 0,
            arguments,
            started: 0,
            controller: None,
            _turn: turn,
        }
    }

    /// Starts the controller as the Deployment does, on ports of its own, and waits until it is ready.
    pub(crate) fn start_controller(&mut self) {
        let ready = |live: u16| match http(live, "/readyz") {
            Some((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        self.start_until(ready);
    }

    /// Starts another replica, which waits for the lead, and forgets the one before.
    pub(crate) fn start_replica(&mut self) {
        let alive = |live: u16| match http(live, "/healthz") {
            Some((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        self.start_until(alive);
    }

    fn start_until(&mut self, ready: impl Fn(u16) -> Result<(), String>) {
        let prepare = || {
            let (live, metrics) = (free_port()?, free_port()?);
            let mut command = Command::new(programs::sealwright_controller());
            command.env("KUBECONFIG", &self.account.kubeconfig);
            command.env("POD_NAMESPACE", self.namespaces[0].name());
            for argument in &self.arguments {
                command.arg(match argument.as_str() {
                    "--live-addr=:8080" => format!("--live-addr=127.0.0.1:{live}"),
                    "--listen-metrics-addr=:8081" => {
                        format!("--listen-metrics-addr=127.0.0.1:{metrics}")
                    }
                    other => other.to_owned(),
                });
            }
            Ok((command, (live, metrics)))
        };
        let ready = |(live, _): &(u16, u16)| ready(*live);
        self.started += 1;
        let name = format!("controller-{}-{}", self.namespaces[0].name(), self.started);
        let started = Server::start(self.cluster.sandbox(), &name, prepare, ready);
        let (server, (_, metrics)) = started.unwrap_or_else(|error| panic!("{error}"));
        (self.controller, self.metrics) = (Some(server), metrics);
    }

    pub(crate) fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        self.namespaces[number].name()
    }

    fn client(&self) -> &Client {
        self.namespaces[0].client()
    }

    /// Writes an object to a namespace with server-side apply.
    pub(crate) async fn apply(&self, number: usize, mut object: Value) -> Value {
        let kind = Kind::of_object(&object).unwrap();
        object["metadata"]["namespace"] = json!(self.name(number));
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let api = kind.api(self.client(), self.name(number));
        let params = PatchParams::apply("test").force();
        let written = api.patch(&name, &params, &Patch::Apply(&object)).await;
        serde_json::to_value(written.unwrap()).unwrap()
    }

    /// The same for an object of the whole cluster.
    pub(crate) async fn apply_to_cluster(&self, object: Value) {
        let kind = Kind::of_object(&object).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let api = kind.api(self.client(), "");
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&object))
            .await
            .unwrap();
    }

    /// An object, if it is there.
    pub(crate) async fn get(&self, number: usize, kind: &str, name: &str) -> Option<Value> {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        let object = api.get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(object).unwrap())
    }

    /// All objects of a kind.
    pub(crate) async fn list(&self, number: usize, kind: &str) -> Vec<Value> {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        let list = api.list(&ListParams::default()).await.unwrap();
        let items = list.items.into_iter();
        items
            .map(|object| serde_json::to_value(object).unwrap())
            .collect()
    }

    pub(crate) async fn delete(&self, number: usize, kind: &str, name: &str) {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn patch(&self, number: usize, kind: &str, name: &str, patch: Value) {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Changes the status of an object.
    pub(crate) async fn patch_status(&self, number: usize, kind: &str, name: &str, patch: &Value) {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        let params = PatchParams::default();
        api.patch_status(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Changes an object, if it is there.
    pub(crate) async fn try_patch(&self, number: usize, kind: &str, name: &str, patch: Value) {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        let params = PatchParams::default();
        match api.patch(name, &params, &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.unwrap()),
        }
    }

    /// Deletes an object, if it is there.
    pub(crate) async fn try_delete(&self, number: usize, kind: &str, name: &str) {
        let api = Kind::named(kind).api(self.client(), self.name(number));
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.unwrap()),
        }
    }

    /// Waits until an ExternalSecret says of itself that it is ready, or why it is not.
    pub(crate) async fn eventually_ready(&self, number: usize, name: &str, ready: bool) -> Value {
        let wanted = if ready { "True" } else { "False" };
        eventually(&format!("{name} is Ready={wanted}"), async || {
            let object = self.get(number, "ExternalSecret", name).await?;
            (condition(&object)["status"] == wanted).then_some(object)
        })
        .await
    }

    /// Waits until a Secret has this value.
    pub(crate) async fn eventually_has(&self, number: usize, name: &str, key: &str, value: &str) {
        let encoded = sealwright_crypto::sealing::base64::encode(value.as_bytes());
        eventually(&format!("{name} has {key}={value}"), async || {
            let secret = self.get(number, "Secret", name).await?;
            (secret["data"][key] == *encoded).then_some(())
        })
        .await;
    }

    /// The most memory that the controller has taken so far, in kilobytes.
    pub(crate) fn memory(&self) -> u64 {
        let pid = self.controller.as_ref().unwrap().pid().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| {
            let peak = line.strip_prefix("VmHWM:")?.trim();
            peak.strip_suffix(" kB")?.parse().ok()
        });
        peak.unwrap()
    }

    /// The metrics of the controller.
    pub(crate) fn metrics(&self) -> String {
        http(self.metrics, "/metrics").unwrap().1
    }
}

/// The condition of an object.
pub(crate) fn condition(object: &Value) -> &Value {
    &object["status"]["conditions"][0]
}

/// An ExternalSecret.
pub(crate) fn external_secret(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": name}, "spec": spec})
}

/// A SecretStore.
pub(crate) fn store(name: &str, provider: Value) -> Value {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": name},
        "spec": {"provider": provider}})
}

/// A store of the Fake provider with these values.
pub(crate) fn fake(name: &str, values: &[(String, String)]) -> Value {
    let values = values.iter();
    let data: Vec<Value> = values
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    store(name, json!({"fake": {"data": data}}))
}

/// A Secret.
pub(crate) fn secret(name: &str, values: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})
}

/// A store of OpenBao at this address, which signs in with the token of a Secret `bao-token`.
pub(crate) fn bao_store(name: &str, address: &str) -> Value {
    store(
        name,
        json!({"vault": {"server": address, "path": "secret", "version": "v2",
            "auth": {"tokenSecretRef": {"name": "bao-token", "key": "token"}}}}),
    )
}

/// The Secret with the root token.
pub(crate) fn bao_token() -> Value {
    secret("bao-token", json!({"token": ROOT}))
}

/// Writes a secret of OpenBao.
pub(crate) fn put(bao: &OpenBao, path: &str, values: &Value) {
    let body = json!({"data": values});
    bao.api("POST", &format!("secret/data/{path}"), Some(&body));
}

/// Returns true if the controller with this port for its metrics is the one that works.
pub(crate) fn leads(metrics: u16) -> bool {
    http(metrics, "/metrics").is_some_and(|(_, text)| text.contains("sealwright_leader 1\n"))
}

fn http(port: u16, path: &str) -> Option<(u16, String)> {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--max-time",
        "10",
        "--write-out",
        "\n%{http_code}",
    ]);
    command.arg(format!("http://127.0.0.1:{port}{path}"));
    let output = run(&mut command, b"");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n')?;
    Some((status.parse().ok()?, body.to_owned()))
}

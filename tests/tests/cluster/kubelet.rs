//! What a node would do: runs the container of a Deployment, and says so in Pods and in the Deployment's status.

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use sealwright_tests::harness::cluster::{Account, Namespace, run};
use sealwright_tests::harness::programs;
use sealwright_tests::harness::server::{Server, free_port};
use serde_json::json;

/// A controller that runs as a Deployment says.
pub(super) struct Replica {
    pub(super) server: Server,
    /// The port of the API and the probes.
    pub(super) api: u16,
    pub(super) metrics: u16,
    /// Where values are announced, if the Deployment says so.
    pub(super) refresh: u16,
    pod: String,
}

impl Replica {
    /// Starts the controller with the command, arguments and environment of a Deployment that the chart has made; only its
    /// ports are others. Returns when it is ready.
    pub(super) async fn start(
        namespace: &Namespace<'_>,
        account: &Account,
        deployment: &str,
        number: usize,
    ) -> Self {
        Self::start_until("/readyz", namespace, account, deployment, number).await
    }

    /// The same, but returns when it answers on `probe`.
    pub(super) async fn start_until(
        probe: &str,
        namespace: &Namespace<'_>,
        account: &Account,
        deployment: &str,
        number: usize,
    ) -> Self {
        let deployments: Api<Deployment> = namespace.api();
        let spec = deployments.get(deployment).await.unwrap().spec.unwrap();
        let pod = spec.template.spec.clone().unwrap();
        let container = pod.containers[0].clone();
        assert_eq!(container.command.unwrap(), ["sealwright-controller"]);
        assert_eq!(
            pod.service_account_name.as_deref(),
            Some(account.name.as_str())
        );
        let prepare = || {
            let (api, metrics, refresh) = (free_port()?, free_port()?, free_port()?);
            let mut command = account.in_pod(&programs::sealwright_controller());
            command.env_remove("KUBECONFIG");
            for variable in container.env.iter().flatten() {
                let field = variable
                    .value_from
                    .as_ref()
                    .and_then(|from| from.field_ref.as_ref());
                let value = match field.map(|field| field.field_path.as_str()) {
                    Some("metadata.name") => format!("{deployment}-{number}"),
                    Some("metadata.uid") => format!("uid-{number}"),
                    Some("metadata.namespace") => namespace.name().to_owned(),
                    other => panic!("{other:?} has no meaning here"),
                };
                command.env(&variable.name, value);
            }
            for argument in container.args.iter().flatten() {
                command.arg(match argument.as_str() {
                    "--listen-addr=:8080" => format!("--listen-addr=127.0.0.1:{api}"),
                    "--live-addr=:8080" => format!("--live-addr=127.0.0.1:{api}"),
                    "--listen-metrics-addr=:8081" => {
                        format!("--listen-metrics-addr=127.0.0.1:{metrics}")
                    }
                    "--refresh-addr=:8084" => format!("--refresh-addr=127.0.0.1:{refresh}"),
                    other => other.to_owned(),
                });
            }
            Ok((command, (api, metrics, refresh)))
        };
        let ready = |(api, ..): &(u16, u16, u16)| match get(*api, probe) {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        let sandbox = namespace.cluster().sandbox();
        let name = format!("{deployment}-{}-{number}", namespace.name());
        let started = Server::start(sandbox, &name, prepare, ready);
        let (server, (api, metrics, refresh)) = started.unwrap_or_else(|error| panic!("{error}"));
        let labels = spec.template.metadata.unwrap().labels;
        let pod = format!("{deployment}-{number}");
        let object: Pod = serde_json::from_value(json!({
            "metadata": {"name": pod, "labels": labels},
            "spec": {"nodeName": "no-node", "containers": [{"name": "main", "image": "none"}]},
        }))
        .unwrap();
        namespace.create(&object).await;
        Self {
            server,
            api,
            metrics,
            refresh,
            pod,
        }
    }

    /// Ends the program as a node does, and then its Pod.
    pub(super) async fn stop(mut self, namespace: &Namespace<'_>) {
        self.server.terminate(Duration::from_secs(20)).unwrap();
        remove_pod(namespace, &self.pod).await;
    }
}

/// Removes a Pod whose program has ended.
pub(super) async fn remove_pod(namespace: &Namespace<'_>, name: &str) {
    let pods: Api<Pod> = namespace.api();
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete(name, &at_once).await.unwrap();
}

/// Says of a Deployment that all its replicas are there.
pub(super) async fn report_ready(namespace: &Namespace<'_>, name: &str) {
    let deployments: Api<Deployment> = namespace.api();
    let deployment = deployments.get(name).await.unwrap();
    let replicas = deployment.spec.unwrap().replicas.unwrap_or(1);
    let status = json!({"status": {
        "observedGeneration": deployment.metadata.generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
    }});
    deployments
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

/// Creates a Deployment of a program that the test runs by itself.
pub(super) async fn deploy(
    namespace: &Namespace<'_>,
    name: &str,
    image: &str,
    command: &[&str],
    args: &[&str],
) {
    let labels = json!({"app": name});
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": image, "command": command, "args": args}]},
        }},
    }))
    .unwrap();
    let deployments: Api<Deployment> = namespace.api();
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
}

/// How many replicas a Deployment shall have; `None` when there is none.
pub(super) async fn replicas(namespace: &Namespace<'_>, name: &str) -> Option<i32> {
    let deployments: Api<Deployment> = namespace.api();
    let deployment = deployments.get_opt(name).await.unwrap()?;
    deployment.spec.unwrap().replicas
}

/// Asks a program on this machine: the status and the body.
pub(super) fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "10",
        "--write-out",
        "\n%{http_code}",
    ]);
    let output = run(command.arg(url), b"");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    match output.status.success() {
        true => Ok((status.parse().unwrap(), body.to_owned())),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

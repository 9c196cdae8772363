//! F7: ExternalSecrets of a real API server over the keys of an OpenBao.
//!
//! What counts beside the time is how often the vault was asked, by its own audit log. The incumbent asks twice for each
//! object with two values, whatever the keys.

use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::controller::{metrics, taken};
use super::{Measured, Taken};
use crate::harness::cluster::{Cluster, Namespace};
use crate::harness::openbao::{OpenBao, ROOT};
use crate::harness::programs;
use crate::harness::server::{Server, free_port};

const OBJECTS: usize = 1000;
const KEYS: usize = 50;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures all that F7 is made of.
pub(super) fn measure() -> Result<Vec<Measured>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let cluster = Cluster::start();
        for definition in sealwright_resources::external_secrets_definitions(false) {
            cluster.apply(&definition.to_string());
        }
        let bao = OpenBao::start()?;
        let namespace = cluster.namespace("f7").await;
        prepare(&namespace, &bao).await?;
        let (cold, calls) = cold_start(&cluster, &namespace, &bao).await?;
        let title = format!(
            "cold start with {OBJECTS} ExternalSecrets x 2 values over {KEYS} keys, sealwright alone: {calls} reads of the vault"
        );
        Ok(vec![Measured {
            name: "F7-cold",
            title,
            sides: vec![cold],
        }])
    })
}

async fn prepare(namespace: &Namespace<'_>, bao: &OpenBao) -> Result<(), String> {
    for key in 0..KEYS {
        let values =
            json!({"data": {"user": format!("user {key}"), "pass": format!("pass {key}")}});
        bao.api("POST", &format!("secret/data/key-{key}"), Some(&values));
    }
    create(
        namespace,
        ("", "v1", "Secret"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-token"}, "stringData": {"token": ROOT}}),
    )
    .await?;
    let group = "external-secrets.io";
    let provider = json!({"vault": {"server": bao.address(), "path": "secret", "version": "v2",
        "auth": {"tokenSecretRef": {"name": "bao-token", "key": "token"}}}});
    create(
        namespace,
        (group, "v1", "SecretStore"),
        json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "bao"},
            "spec": {"provider": provider}}),
    )
    .await?;
    let object = |number: usize| {
        let value = |half: &str, key: usize| json!({"secretKey": half, "remoteRef": {"key": format!("key-{}", key % KEYS), "property": half}});
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": format!("es-{number}")},
            "spec": {"secretStoreRef": {"name": "bao"}, "refreshInterval": "1h",
                "data": [value("user", number), value("pass", number + 1)]},
        });
        create(namespace, (group, "v1", "ExternalSecret"), object)
    };
    let mut all = futures::stream::iter((0..OBJECTS).map(object)).buffer_unordered(20);
    while let Some(created) = all.next().await {
        created?;
    }
    Ok(())
}

async fn create(
    namespace: &Namespace<'_>,
    (group, version, kind): (&str, &str, &str),
    object: Value,
) -> Result<(), String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource);
    let object = serde_json::from_value(object).map_err(|error| error.to_string())?;
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).map_err(|error| error.to_string())
}

/// From the start of the controller until every object is synced; with the number of reads.
async fn cold_start(
    cluster: &Cluster,
    namespace: &Namespace<'_>,
    bao: &OpenBao,
) -> Result<(Taken, usize), String> {
    let prepare = || {
        let (live, port) = (free_port()?, free_port()?);
        let mut command = Command::new(programs::sealwright_controller());
        command.arg("external-secrets");
        command.env("KUBECONFIG", cluster.kubeconfig());
        command.arg(format!("--namespace={}", namespace.name()));
        command.arg(format!("--live-addr=127.0.0.1:{live}"));
        command.arg(format!("--metrics-addr=127.0.0.1:{port}"));
        Ok((command, port))
    };
    let ready = |port: &u16| metrics(*port).map(drop);
    let start = Instant::now();
    let (server, port) = Server::start(cluster.sandbox(), "f7", prepare, ready)?;
    loop {
        let text = metrics(port)?;
        let synced = text.lines().filter(|line| {
            line.starts_with("externalsecret_status_condition{")
                && line.contains("condition=\"Ready\"")
                && line.contains("status=\"True\"")
                && line.ends_with(" 1")
        });
        let synced = synced.count();
        if synced >= OBJECTS {
            break;
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("{synced} of {OBJECTS} objects are synced"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let cold = taken("sealwright-controller", start.elapsed(), server.pid())?;
    let reads =
        bao.calls(|operation, path| operation == "read" && path.starts_with("secret/data/"));
    Ok((cold, reads))
}

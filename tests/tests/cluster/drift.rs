//! What becomes of a Secret that another writer changes: put back at once, or only reported, as its object asks.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Cluster, Namespace, eventually};
use serde_json::{Value, json};

use super::chart::Release;
use super::kubelet;
use super::sealed_secrets::rig::sealed_for;

fn objects(namespace: &Namespace<'_>, kind: &str) -> Api<DynamicObject> {
    let (group, version) = match kind {
        "SealedSecret" => ("bitnami.com", "v1alpha1"),
        _ => ("external-secrets.io", "v1"),
    };
    let name = GroupVersionKind::gvk(group, version, kind);
    let plural = format!("{}s", kind.to_ascii_lowercase());
    let resource = ApiResource::from_gvk_with_plural(&name, &plural);
    Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource)
}

async fn apply(namespace: &Namespace<'_>, object: Value) {
    let api = objects(namespace, object["kind"].as_str().unwrap());
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let params = PatchParams::apply("test").force();
    api.patch(&name, &params, &Patch::Apply(&object))
        .await
        .unwrap();
}

async fn annotate(namespace: &Namespace<'_>, kind: &str, name: &str, mode: &str) {
    let patch = json!({"metadata": {"annotations": {"sealwright.dev/drift": mode}}});
    objects(namespace, kind)
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

async fn edit(namespace: &Namespace<'_>, name: &str, value: &str) {
    let secrets: Api<Secret> = namespace.api();
    let patch = json!({"stringData": {"a": value}});
    secrets
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

async fn value(namespace: &Namespace<'_>, name: &str) -> Option<String> {
    let secrets: Api<Secret> = namespace.api();
    let secret = secrets.get_opt(name).await.unwrap()?;
    let data = secret.data?;
    Some(String::from_utf8_lossy(&data.get("a")?.0).into_owned())
}

async fn eventually_is(namespace: &Namespace<'_>, name: &str, wanted: &str) {
    eventually(&format!("{name} has {wanted}"), async || {
        (value(namespace, name).await.as_deref() == Some(wanted)).then_some(())
    })
    .await;
}

async fn eventually_ready(namespace: &Namespace<'_>, kind: &str, name: &str, ready: &str) -> Value {
    eventually(&format!("{kind} {name} is Ready={ready}"), async || {
        let object = objects(namespace, kind).get(name).await.unwrap();
        let conditions = object.data["status"]["conditions"].as_array()?.clone();
        let mut conditions = conditions.into_iter();
        conditions.find(|one| one["type"] == "Ready" && one["status"] == ready)
    })
    .await
}

fn counted(metrics: u16, kind: &str, action: &str) -> u64 {
    let (_, text) = kubelet::get(metrics, "/metrics").unwrap();
    let mut lines = text.lines().filter(|line| {
        line.starts_with("sealwright_drift_total{")
            && line.contains(&format!("kind=\"{kind}\""))
            && line.contains(&format!("action=\"{action}\""))
    });
    lines
        .next()
        .map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

async fn warnings(namespace: &Namespace<'_>, name: &str) -> Vec<String> {
    let events: Api<Event> = namespace.api();
    let list = events.list(&Default::default()).await.unwrap();
    let about = list.items.into_iter().filter(|event| {
        event.involved_object.name.as_deref() == Some(name)
            && event.type_.as_deref() == Some("Warning")
    });
    about.filter_map(|event| event.message).collect()
}

#[tokio::test]
async fn a_change_is_put_back_or_only_reported_as_the_object_asks() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("drift").await;
    let values = "externalSecrets.enabled=true,replicaCount=1,leaderElect=false";
    let mut release = Release::install(&namespace, values).await;
    release.add_replica().await;
    let (_, pem) = kubelet::get(release.replicas[0].api, "/v1/cert.pem").unwrap();
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let sealed = sealed_for(
        &certificate,
        Scope::Strict,
        namespace.name(),
        "sealed",
        &[("a", "own")],
    );
    let mut sealed = serde_json::to_value(sealed).unwrap();
    sealed["metadata"] = json!({"name": "sealed"});
    apply(&namespace, sealed).await;
    apply(&namespace, json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
        "spec": {"provider": {"fake": {"data": [{"key": "k", "value": "own"}]}}}}))
        .await;
    // It is refreshed all the time, and that changes nothing about it.
    apply(&namespace, json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "external"},
        "spec": {"secretStoreRef": {"name": "fake"}, "refreshInterval": "1s",
            "data": [{"secretKey": "a", "remoteRef": {"key": "k"}}]}}))
        .await;
    for (kind, name) in [("SealedSecret", "sealed"), ("ExternalSecret", "external")] {
        eventually_is(&namespace, name, "own").await;
        // By default it is put back, and counted.
        edit(&namespace, name, "edited").await;
        eventually_is(&namespace, name, "own").await;
        eventually("the count is there", async || {
            (counted(release.replicas[0].metrics, kind, "revert") == 1).then_some(())
        })
        .await;

        annotate(&namespace, kind, name, "report").await;
        eventually_ready(&namespace, kind, name, "True").await;
        // The controller has seen the annotation when it has looked at the object again.
        tokio::time::sleep(Duration::from_secs(2)).await;
        edit(&namespace, name, "edited").await;
        let condition = eventually_ready(&namespace, kind, name, "False").await;
        let message = condition["message"].as_str().unwrap();
        assert!(message.contains("another writer has changed"), "{message}");
        eventually("there is an event", async || {
            let all = warnings(&namespace, name).await;
            all.iter()
                .any(|message| message.contains("another writer has changed"))
                .then_some(())
        })
        .await;
        assert!(counted(release.replicas[0].metrics, kind, "report") >= 1);
    }
    // It stays so, over refreshes and a restart.
    release.replicas.pop().unwrap().stop(&namespace).await;
    release.add_replica().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    for (kind, name) in [("SealedSecret", "sealed"), ("ExternalSecret", "external")] {
        assert_eq!(
            value(&namespace, name).await.as_deref(),
            Some("edited"),
            "{name}"
        );
        eventually_ready(&namespace, kind, name, "False").await;
        assert_eq!(counted(release.replicas[0].metrics, kind, "revert"), 0);
    }
    // Putting it back by hand ends the report, and so does the other mode.
    edit(&namespace, "sealed", "own").await;
    eventually_ready(&namespace, "SealedSecret", "sealed", "True").await;
    annotate(&namespace, "ExternalSecret", "external", "revert").await;
    eventually_is(&namespace, "external", "own").await;
    eventually_ready(&namespace, "ExternalSecret", "external", "True").await;
    edit(&namespace, "sealed", "again").await;
    eventually_ready(&namespace, "SealedSecret", "sealed", "False").await;
    annotate(&namespace, "SealedSecret", "sealed", "revert").await;
    eventually_is(&namespace, "sealed", "own").await;
    eventually_ready(&namespace, "SealedSecret", "sealed", "True").await;
}

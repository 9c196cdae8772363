//! Objects of any kind in a namespace, or in the whole cluster, as the administrator sees and writes them.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_tests::harness::cluster::{Namespace, eventually};
use serde_json::{Value, json};

/// The API versions of the kinds that cases ask for by name alone.
fn api_version(kind: &str) -> &'static str {
    match kind {
        "Secret" | "ConfigMap" | "Namespace" | "ServiceAccount" => "v1",
        "SealedSecret" => "bitnami.com/v1alpha1",
        "ExternalSecret" | "SecretStore" | "ClusterSecretStore" | "ClusterExternalSecret" => {
            "external-secrets.io/v1"
        }
        "PushSecret" | "ClusterPushSecret" => "external-secrets.io/v1alpha1",
        "GeneratorState" => "generators.external-secrets.io/v1alpha1",
        "Role" | "ClusterRole" => "rbac.authorization.k8s.io/v1",
        other => panic!("no API version is known for {other}"),
    }
}

fn api(namespace: &Namespace<'_>, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = format!("{}s", kind.to_ascii_lowercase());
    let kind_of = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind_of, &plural);
    let client = namespace.client().clone();
    match kind == "Namespace" || kind.starts_with("Cluster") {
        true => Api::all_with(client, &resource),
        false => Api::namespaced_with(client, namespace.name(), &resource),
    }
}

/// Writes an object with server-side apply.
pub(super) async fn apply(namespace: &Namespace<'_>, object: Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let name = text(&object["metadata"]["name"]);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let params = PatchParams::apply("test").force();
    let (api, patch) = (api(namespace, &version, &kind), Patch::Apply(&object));
    eventually(&format!("{kind} {name} is written"), async || {
        match api.patch(&name, &params, &patch).await {
            Ok(_) => Some(()),
            // A definition that was installed a moment ago is not served yet.
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{kind} {name}: {error}"),
        }
    })
    .await;
}

/// Reads an object, if it is there.
pub(super) async fn get(namespace: &Namespace<'_>, kind: &str, name: &str) -> Option<Value> {
    let api = api(namespace, api_version(kind), kind);
    let object = api.get_opt(name).await.unwrap()?;
    Some(serde_json::to_value(object).unwrap())
}

/// Changes an object.
pub(super) async fn patch(namespace: &Namespace<'_>, kind: &str, name: &str, patch: Value) {
    let api = api(namespace, api_version(kind), kind);
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    let patched = api.patch(name, &params, &patch).await;
    patched.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
}

/// Deletes an object.
pub(super) async fn delete(namespace: &Namespace<'_>, kind: &str, name: &str) {
    let api = api(namespace, api_version(kind), kind);
    api.delete(name, &DeleteParams::default()).await.unwrap();
}

/// An ExternalSecret with one value of a store.
pub(super) fn external_secret(name: &str, store: &str, key: &str, interval: &str) -> Value {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": name},
        "spec": {"secretStoreRef": {"name": store}, "refreshInterval": interval,
            "data": [{"secretKey": "k", "remoteRef": {"key": key}}]}})
}

/// A SecretStore of the Fake provider with these values, or a ClusterSecretStore if `kind` says so.
pub(super) fn fake_store(kind: &str, name: &str, values: &[(&str, &str)]) -> Value {
    let values = values.iter();
    let data: Vec<Value> = values
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    json!({"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"provider": {"fake": {"data": data}}}})
}

/// Returns true if an object says of itself that it is ready.
pub(super) fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter();
    conditions
        .flatten()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

//! ClusterPushSecrets, and what PushSecrets hold, on a real API server.

use serde_json::{Value, json};

use super::support::{Place, eventually};

const PUSH: &str = "external-secrets.io/v1alpha1";

fn fake_store(name: &str) -> Value {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": name},
        "spec": {"provider": {"fake": {"data": []}}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_secret_is_made_in_each_namespace_that_is_selected() {
    let place = Place::new("cps-one").await;
    let other = place.beside("cps-two").await;
    let third = place.beside("cps-three").await;
    for place in [&place, &other, &third] {
        place.label_namespace("cps-team", "red").await;
    }
    // One that is there already is not ours.
    let spec = json!({"secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}},
        "data": [{"match": {"secretKey": "a", "remoteRef": {"remoteKey": "r"}}}]});
    third
        .apply(&json!({"apiVersion": PUSH, "kind": "PushSecret", "metadata": {"name": "pushed"}, "spec": spec}))
        .await;
    let _controller = place.controller("--enable-cluster-push-secret-reconciler=true");
    place
        .apply(&json!({"apiVersion": PUSH, "kind": "ClusterPushSecret", "metadata": {"name": "cps-test"}, "spec": {
            "pushSecretName": "pushed", "pushSecretSpec": spec,
            "pushSecretMetadata": {"labels": {"team": "red"}},
            "namespaceSelectors": [{"matchLabels": {"cps-team": "red"}}]}}))
        .await;
    let status = eventually("all namespaces are told about", async || {
        let object = place.get("ClusterPushSecret", "cps-test").await?;
        let status = object["status"].clone();
        (status["provisionedNamespaces"] == json!([place.name(), other.name()])).then_some(status)
    })
    .await;
    assert_eq!(status["pushSecretName"], "pushed");
    let failed =
        json!([{"namespace": third.name(), "reason": "push secret already exists in namespace"}]);
    assert_eq!(status["failedNamespaces"], failed);
    let condition =
        json!([{"type": "Ready", "status": "False", "message": "one or more namespaces failed"}]);
    assert_eq!(status["conditions"], condition);
    let made = other.get("PushSecret", "pushed").await.unwrap();
    assert_eq!(made["metadata"]["labels"], json!({"team": "red"}));
    assert_eq!(
        made["metadata"]["ownerReferences"][0]["kind"],
        "ClusterPushSecret"
    );
    // Edits are put back, and a namespace that is selected no longer loses it.
    other
        .patch(
            "PushSecret",
            "pushed",
            &json!({"spec": {"refreshInterval": "5m"}}),
        )
        .await;
    eventually("the edit is put back", async || {
        let made = other.get("PushSecret", "pushed").await?;
        (made["spec"]["refreshInterval"] == "1h0m0s").then_some(())
    })
    .await;
    other.label_namespace("cps-team", "blue").await;
    third.label_namespace("cps-team", "blue").await;
    eventually("it is gone", async || {
        other
            .get("PushSecret", "pushed")
            .await
            .is_none()
            .then_some(())
    })
    .await;
    assert!(third.get("PushSecret", "pushed").await.is_some());
    eventually("the status says so", async || {
        let object = place.get("ClusterPushSecret", "cps-test").await?;
        let all = object["status"]["conditions"] == json!([{"type": "Ready", "status": "True"}]);
        (all && object["status"].get("failedNamespaces").is_none()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_stays_as_long_as_something_has_to_be_deleted_from_it() {
    let place = Place::new("ps-holds").await;
    place.apply(&fake_store("s")).await;
    place.apply(&fake_store("free")).await;
    place.secret("src", &json!({"a": "one"})).await;
    let _controller = place.controller("");
    place
        .apply(
            &json!({"apiVersion": PUSH, "kind": "PushSecret", "metadata": {"name": "ps"}, "spec": {
            "deletionPolicy": "Delete", "refreshInterval": "1h",
            "secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}},
            "data": [{"match": {"secretKey": "a", "remoteRef": {"remoteKey": "r"}}}]}}),
        )
        .await;
    let finalizer = json!(["secretstore.externalsecrets.io/finalizer"]);
    eventually("the store is held", async || {
        let store = place.get("SecretStore", "s").await?;
        (store["metadata"]["finalizers"] == finalizer).then_some(())
    })
    .await;
    let free = place.get("SecretStore", "free").await.unwrap();
    assert!(free["metadata"].get("finalizers").is_none());
    eventually("it is pushed", async || {
        let push = place.get("PushSecret", "ps").await?;
        (push["status"]["conditions"][0]["reason"] == "Synced").then_some(())
    })
    .await;
    place.delete("SecretStore", "s").await;
    // The store waits for the PushSecret, and goes with it.
    place.secret("marker", &json!({})).await;
    let store = place.get("SecretStore", "s").await.unwrap();
    assert!(store["metadata"].get("deletionTimestamp").is_some());
    place.delete("PushSecret", "ps").await;
    eventually("both are gone", async || {
        let left = (
            place.get("PushSecret", "ps").await,
            place.get("SecretStore", "s").await,
        );
        matches!(left, (None, None)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_does_not_exist_is_an_error_though_the_store_has_a_value() {
    let place = Place::new("ps-no-key").await;
    place
        .apply(&json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "s"},
            "spec": {"provider": {"fake": {"data": [{"key": "r", "value": "there"}]}}}}))
        .await;
    place.secret("src", &json!({"a": "one"})).await;
    let _controller = place.controller("");
    place
        .apply(
            &json!({"apiVersion": PUSH, "kind": "PushSecret", "metadata": {"name": "ps"}, "spec": {
            "updatePolicy": "IfNotExists", "refreshInterval": "1h",
            "secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}},
            "data": [{"match": {"secretKey": "x", "remoteRef": {"remoteKey": "r"}}}]}}),
        )
        .await;
    let condition = eventually("the condition is there", async || {
        let push = place.get("PushSecret", "ps").await?;
        let condition = push["status"]["conditions"].get(0)?.clone();
        Some(condition)
    })
    .await;
    assert_eq!(
        condition["message"],
        "set secret failed: secret key x does not exist"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_goes_after_a_failed_push_is_not_waited_for() {
    let place = Place::new("ps-gone").await;
    place.apply(&fake_store("s")).await;
    place.secret("src", &json!({"a": "one"})).await;
    let _controller = place.controller("");
    place
        .apply(
            &json!({"apiVersion": PUSH, "kind": "PushSecret", "metadata": {"name": "ps"}, "spec": {
            "deletionPolicy": "Delete", "refreshInterval": "1h",
            "secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}},
            "data": [{"match": {"secretKey": "x", "remoteRef": {"remoteKey": "r"}}}]}}),
        )
        .await;
    eventually("the push has failed", async || {
        let push = place.get("PushSecret", "ps").await?;
        let nothing = json!({"SecretStore/s": {}});
        (push["status"]["syncedPushSecrets"] == nothing).then_some(())
    })
    .await;
    place.delete("Secret", "src").await;
    let status = eventually("it says that the source is gone", async || {
        let push = place.get("PushSecret", "ps").await?;
        let status = push["status"].clone();
        (status["conditions"][0]["reason"] == "SourceDeleted").then_some(status)
    })
    .await;
    let left = status["syncedPushSecrets"].as_object();
    assert!(left.is_none_or(|left| left.is_empty()), "{status}");
}

//! Objects that cannot be worked on as they are, and what they say about that.

use serde_json::{Value, json};

use super::support::{Place, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duration_that_cannot_be_read_is_named_and_holds_up_no_deletion() {
    let place = Place::new("no-duration").await;
    place
        .apply(&json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
            "spec": {"provider": {"fake": {"data": [{"key": "a", "value": "one"}]}}}}))
        .await;
    place.secret("src", &json!({"a": "one"})).await;
    let _controller = place.controller("");
    let data = json!([{"secretKey": "k", "remoteRef": {"key": "a"}}]);
    let spec = |more: Value| {
        let mut spec = json!({"secretStoreRef": {"name": "fake"}, "data": data});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        spec
    };
    let window = json!({"schedule": "0 0 * * *", "duration": "2d"});
    let windows = json!({"syncWindows": {"kind": "deny", "windows": [window]}});
    place
        .external_secret("interval", &spec(json!({"refreshInterval": "1d"})))
        .await;
    place.external_secret("window", &spec(windows)).await;
    place
        .apply(&json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": {"name": "push"}, "spec": {"refreshInterval": "1d", "deletionPolicy": "Delete",
            "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "src"}},
            "data": [{"match": {"secretKey": "a", "remoteRef": {"remoteKey": "r"}}}]}}))
        .await;
    for (kind, name, field) in [
        ("ExternalSecret", "interval", "spec.refreshInterval"),
        (
            "ExternalSecret",
            "window",
            "spec.syncWindows.windows[0].duration",
        ),
        ("PushSecret", "push", "spec.refreshInterval"),
    ] {
        eventually(&format!("{name} says what is wrong"), async || {
            let object = place.get(kind, name).await?;
            let ready = &object["status"]["conditions"][0];
            let named = format!("{field} cannot be read");
            let says = ready["message"].as_str()?.contains(&named);
            (says && ready["status"] == "False").then_some(())
        })
        .await;
        assert!(place.get("Secret", name).await.is_none(), "{name}");
        place.delete(kind, name).await;
        eventually(&format!("{name} is gone"), async || {
            place.get(kind, name).await.is_none().then_some(())
        })
        .await;
    }
    // A duration that is mended is enough.
    place
        .external_secret("mended", &spec(json!({"refreshInterval": "1d"})))
        .await;
    place
        .external_secret("mended", &spec(json!({"refreshInterval": "24h"})))
        .await;
    eventually("the Secret is made", async || {
        let secret = place.get("Secret", "mended").await?;
        (place.value(&secret, "k")? == "one").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_of_a_kind_without_namespace_is_not_written() {
    let place = Place::new("no-namespace").await;
    place
        .apply(&json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
            "spec": {"provider": {"fake": {"data": [{"key": "a", "value": "one"}]}}}}))
        .await;
    let _controller = place.controller("--unsafe-allow-generic-targets");
    place
        .external_secret(
            "es",
            &json!({"secretStoreRef": {"name": "fake"},
            "target": {"name": "no-namespace-made", "manifest": {"apiVersion": "v1", "kind": "Namespace"}},
            "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]}),
        )
        .await;
    let ready = eventually("it says why", async || {
        let object = place.get("ExternalSecret", "es").await?;
        let ready = object["status"]["conditions"].get(0)?.clone();
        Some(ready)
    })
    .await;
    assert_eq!(ready["reason"], "ResourceSyncedError");
    assert_eq!(
        ready["message"],
        "could not update secret: objects of this kind have no namespace"
    );
    let made = place.get("Namespace", "no-namespace-made").await;
    assert!(made.is_none(), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_time_that_cannot_be_read_is_named_and_nothing_is_forgotten() {
    let place = Place::new("no-refresh-time").await;
    place.label_namespace("refresh-time", "bad").await;
    let _controller = place.controller(
        "--enable-cluster-external-secret-reconciler=true --enable-cluster-push-secret-reconciler=true",
    );
    let selectors = json!([{"matchLabels": {"refresh-time": "bad"}}]);
    let spec = json!({"secretStoreRef": {"name": "s"}, "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]});
    place
        .apply(
            &json!({"apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret",
            "metadata": {"name": "ces-refresh-time"}, "spec": {"refreshTime": "2h",
            "externalSecretSpec": spec, "namespaceSelectors": selectors}}),
        )
        .await;
    let spec = json!({"secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}},
        "data": [{"match": {"secretKey": "a", "remoteRef": {"remoteKey": "r"}}}]});
    place
        .apply(
            &json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "ClusterPushSecret",
            "metadata": {"name": "cps-refresh-time"}, "spec": {"refreshTime": "2h",
            "pushSecretSpec": spec, "namespaceSelectors": selectors}}),
        )
        .await;
    for (kind, name) in [
        ("ClusterExternalSecret", "ces-refresh-time"),
        ("ClusterPushSecret", "cps-refresh-time"),
    ] {
        let is_told = async |status: &str, text: &str| {
            eventually(&format!("{name} is {status}"), async || {
                let told = place.get(kind, name).await?["status"].clone();
                let is_right = told["conditions"][0]["status"] == status
                    && told["provisionedNamespaces"] == json!([place.name()])
                    && told.to_string().contains(text);
                is_right.then_some(())
            })
            .await;
        };
        is_told("True", "").await;
        let refresh_time = |text: &str| json!({"spec": {"refreshTime": text}});
        place.patch(kind, name, &refresh_time("1d")).await;
        is_told("False", "spec.refreshTime cannot be read").await;
        place.patch(kind, name, &refresh_time("3h")).await;
        is_told("True", "").await;
        place.delete(kind, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_interval_cannot_be_read_has_an_event_that_says_so() {
    let place = Place::new("no-interval").await;
    let _controller = place.controller("");
    place
        .apply(&json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
            "spec": {"refreshInterval": "10", "provider": {"fake": {"data": []}}}}))
        .await;
    eventually("the store has an event", async || {
        let events = place.list("Event").await;
        let is_told = |event: &Value| {
            let message = event["message"].as_str().unwrap_or_default();
            event["type"] == "Warning" && message.contains("the refreshInterval is negative or not")
        };
        events.iter().any(is_told).then_some(())
    })
    .await;
    // As upstream, which writes no condition about it.
    let store = place.get("SecretStore", "fake").await.unwrap();
    assert!(store["status"].get("conditions").is_none(), "{store}");
}

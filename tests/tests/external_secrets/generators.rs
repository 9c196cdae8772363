//! Generators with a state, on a real API server: what they leave on a server is recorded, and taken back in time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{Place, eventually};
use sealwright_tests::harness::double::{self, Tokens};

const GRAFANA: &str = "generators.external-secrets.io/v1alpha1";

/// A namespace with a Grafana generator, its double, and a controller that keeps outdated states for a second.
async fn grafana(name: &str) -> (Place, Tokens, sealwright_tests::harness::server::Server) {
    let place = Place::new(name).await;
    let (server, tokens) = double::grafana("bot");
    place.secret("grafana", &json!({"token": "admin"})).await;
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "Grafana", "metadata": {"name": "g"}, "spec": {
            "url": server.address(), "auth": {"token": {"name": "grafana", "key": "token"}},
            "serviceAccount": {"name": "bot", "role": "Viewer"}}}),
        )
        .await;
    let controller = place.controller("--generator-gc-grace-period=1s");
    (place, tokens, controller)
}

fn live(tokens: &Tokens) -> BTreeSet<i64> {
    tokens.lock().unwrap().keys().copied().collect()
}

/// The number of the token that the Secret holds.
async fn held(place: &Place) -> Option<i64> {
    let secret = place.get("Secret", "es").await?;
    let token = place.value(&secret, "token")?;
    token.strip_prefix("glsa_")?.parse().ok()
}

fn asks(more: &[Value]) -> Value {
    let mut from = vec![json!({"sourceRef": {"generatorRef": {"kind": "Grafana", "name": "g"}}})];
    from.extend_from_slice(more);
    json!({"refreshInterval": "2s", "dataFrom": from})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_in_use_is_good_and_old_ones_are_revoked() {
    let (place, tokens, _controller) = grafana("gen-states").await;
    place.external_secret("es", &asks(&[])).await;
    let first = eventually("a token is in the Secret", async || held(&place).await).await;
    assert!(live(&tokens).contains(&first));
    let state = eventually("its state is recorded", async || {
        place.list("GeneratorState").await.pop()
    })
    .await;
    let metadata = &state["metadata"];
    assert!(
        metadata["name"]
            .as_str()
            .unwrap()
            .starts_with("gen-externalsecret-es-")
    );
    let finalizers = json!(["generatorstate.externalsecrets.io/finalizer"]);
    assert_eq!(metadata["finalizers"], finalizers);
    assert_eq!(metadata["ownerReferences"][0]["name"], "es");
    assert!(metadata["ownerReferences"][0].get("controller").is_none());
    let account = &state["spec"]["state"]["serviceAccount"];
    assert!(account["id"] == 3 && account["login"] == "sa-the-bot");
    // Whatever is refreshed and revoked meanwhile: the token that is in use is never one that is gone.
    eventually("the first token is revoked", async || {
        let (before, held) = (live(&tokens), held(&place).await?);
        // A refresh in between makes another token, so only one that was there before and is gone would be wrong.
        assert!(
            before.contains(&held) || live(&tokens).contains(&held),
            "{held} is in use and revoked: {before:?}"
        );
        (!live(&tokens).contains(&first)).then_some(())
    })
    .await;
    // An object that is gone leaves nothing: what its owner references do elsewhere is done by hand here.
    place.delete("ExternalSecret", "es").await;
    eventually("the object is gone", async || {
        place
            .get("ExternalSecret", "es")
            .await
            .is_none()
            .then_some(())
    })
    .await;
    eventually("all tokens are revoked", async || {
        for state in place.list("GeneratorState").await {
            let name = state["metadata"]["name"].as_str().unwrap();
            place.delete("GeneratorState", name).await;
        }
        live(&tokens).is_empty().then_some(())
    })
    .await;
    eventually("no state is left", async || {
        place.list("GeneratorState").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_refresh_made_is_taken_back() {
    let (place, tokens, _controller) = grafana("gen-rollback").await;
    let missing = json!({"sourceRef": {"generatorRef": {"kind": "Fake", "name": "none"}}});
    place.external_secret("es", &asks(&[missing])).await;
    eventually("the refresh has failed", async || {
        let es = place.get("ExternalSecret", "es").await?;
        let ready = &es["status"]["conditions"][0];
        let message = "could not get secret data from provider";
        let fails = ready["message"].as_str()?.starts_with(message);
        fails.then_some(())
    })
    .await;
    eventually("its token is revoked", async || {
        live(&tokens).is_empty().then_some(())
    })
    .await;
    assert_eq!(place.list("GeneratorState").await, [Value::Null; 0]);
    // What was missing comes, and the object recovers by itself.
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "Fake", "metadata": {"name": "none"},
            "spec": {"data": {"a": "b"}}}),
        )
        .await;
    let held = eventually("a token is in the Secret", async || held(&place).await).await;
    assert!(live(&tokens).contains(&held));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_this_build_has_not_is_said_by_its_name() {
    let place = Place::new("gen-other").await;
    place
        .apply(&json!({"apiVersion": GRAFANA, "kind": "CloudsmithAccessToken", "metadata": {"name": "c"},
            "spec": {"orgSlug": "o", "serviceSlug": "s", "serviceAccountRef": {"name": "a"}}}))
        .await;
    let _controller = place.controller("");
    let from =
        json!([{"sourceRef": {"generatorRef": {"kind": "CloudsmithAccessToken", "name": "c"}}}]);
    place
        .external_secret("es", &json!({"dataFrom": from}))
        .await;
    eventually("it says so", async || {
        let es = place.get("ExternalSecret", "es").await?;
        let message = es["status"]["conditions"][0]["message"]
            .as_str()?
            .to_owned();
        message
            .ends_with("this build has no generator CloudsmithAccessToken")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_of_the_cluster_uses_what_lies_in_the_namespace() {
    let place = Place::new("gen-cluster").await;
    let name = "gen-cluster-mfa";
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "ClusterGenerator", "metadata": {"name": name},
            "spec": {"kind": "MFA", "generator": {"mfaSpec": {
                "secret": {"name": "seed", "namespace": "kube-system", "key": "seed"},
                "when": "1970-01-01T00:00:59Z"}}}}),
        )
        .await;
    place
        .secret("seed", &json!({"seed": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}))
        .await;
    let _controller = place.controller("");
    let from = json!([{"sourceRef": {"generatorRef": {"kind": "ClusterGenerator", "name": name}}}]);
    place
        .external_secret("es", &json!({"dataFrom": from}))
        .await;
    let token = eventually("a password is in the Secret", async || {
        let secret = place.get("Secret", "es").await?;
        place.value(&secret, "token")
    })
    .await;
    assert_eq!(token, "287082");
}

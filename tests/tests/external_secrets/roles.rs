//! What the controller may do, what it does of that, and what one tenant cannot get of another's.

use std::collections::BTreeSet;

use sealwright_tests::harness::cluster::eventually;
use serde_json::{Value, json};

use super::scene::{Scene, external_secret, fake, secret};

/// What the controller may be asked to do and needs no right for: it says so once and goes on.
const OPTIONAL: &str = "validatingwebhookconfigurations";

#[tokio::test]
async fn roles_of_single_namespaces_are_enough_and_no_list_of_all_secrets_is_asked_for() {
    let scene = Scene::start("scoped", 2, "").await;
    for place in 0..2 {
        let values = [("a".to_owned(), format!("value of {place}"))];
        scene.apply(place, fake("fake", &values)).await;
        scene
            .apply(place, secret("templates", json!({"t": "<{{ .k }}>"})))
            .await;
        let spec = json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "1s", "target": {
            "template": {"templateFrom": [{"secret": {"name": "templates", "items": [{"key": "t"}]}}]}},
            "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]});
        scene.apply(place, external_secret("es", spec)).await;
        scene
            .eventually_has(place, "es", "t", &format!("<value of {place}>"))
            .await;
        // Policies that delete need the right to delete.
        let spec = json!({"secretStoreRef": {"name": "fake"}, "target": {"deletionPolicy": "Delete"},
            "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]});
        scene.apply(place, external_secret("gone", spec)).await;
        scene
            .eventually_has(place, "gone", "k", &format!("value of {place}"))
            .await;
        scene.delete(place, "ExternalSecret", "gone").await;
        eventually("its Secret is deleted", async || {
            scene
                .get(place, "Secret", "gone")
                .await
                .is_none()
                .then_some(())
        })
        .await;
    }
    let user = scene.account.user();
    let places: BTreeSet<&str> = [scene.name(0), scene.name(1)].into();
    let own = scene.cluster().requests_of(&user);
    let mut listed = BTreeSet::new();
    for request in &own {
        let resource = request.resource();
        if request.code() == 403 {
            assert_eq!(resource, OPTIONAL, "{} {}", request.verb, request.uri);
        }
        if matches!(
            resource.as_str(),
            "secrets" | "configmaps" | "serviceaccounts"
        ) {
            assert!(
                places.contains(request.namespace()),
                "{} {}",
                request.verb,
                request.uri
            );
        }
        if resource == "secrets" && request.verb == "list" {
            listed.insert(request.namespace().to_owned());
        }
    }
    assert_eq!(listed.len(), 2);
}

/// Gives the account `reader` of a namespace the right to read its Secrets.
async fn reader(scene: &Scene, place: usize) {
    let metadata = json!({"name": "reader"});
    let subject =
        json!({"kind": "ServiceAccount", "name": "reader", "namespace": scene.name(place)});
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"], "verbs": ["create"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [subject]}),
    ] {
        scene.apply(place, object).await;
    }
}

#[tokio::test]
async fn no_reference_leads_from_one_tenant_to_another() {
    const RED: usize = 0;
    const BLUE: usize = 1;
    let scene = Scene::start_for_all("tenants", 2, "").await;
    let canaries = ["canary-of-red-7f3a", "canary-of-blue-9c1d"];
    let server = scene.cluster().url();
    let authority = std::fs::read(scene.cluster().authority()).unwrap();
    let authority = sealwright_crypto::sealing::base64::encode(&authority);
    for (place, canary) in canaries.iter().enumerate() {
        reader(&scene, place).await;
        scene
            .apply(place, secret("credentials", json!({"token": canary})))
            .await;
        scene
            .apply(
                place,
                fake("own", &[("a".to_owned(), (*canary).to_owned())]),
            )
            .await;
    }
    scene
        .apply(RED, secret("of-red-only", json!({"token": canaries[RED]})))
        .await;
    scene
        .apply(
            RED,
            fake(
                "store-of-red",
                &[("a".to_owned(), canaries[RED].to_owned())],
            ),
        )
        .await;
    let kubernetes = |account: Value| {
        json!({"kubernetes": {"remoteNamespace": scene.name(RED), "auth": {"serviceAccount": account},
            "server": {"url": server, "caBundle": authority}}})
    };
    let far_account = json!({"name": "reader", "namespace": scene.name(RED)});
    scene
        .apply_to_cluster(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": "for-red"},
            "spec": {"provider": kubernetes(far_account.clone()), "conditions": [{"namespaces": [scene.name(RED)]}]},
        }))
        .await;
    // Whose account it uses is up to who reads from it.
    scene
        .apply_to_cluster(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": "as-you"},
            "spec": {"provider": kubernetes(json!({"name": "reader"}))},
        }))
        .await;
    let of_store = |name: &str, provider: Value| super::scene::store(name, provider);
    scene
        .apply(BLUE, of_store("far-account", kubernetes(far_account)))
        .await;
    let far_token = json!({"kubernetes": {"remoteNamespace": scene.name(RED), "server": {"url": server, "caBundle": authority},
        "auth": {"token": {"bearerToken": {"name": "of-red-only", "key": "token", "namespace": scene.name(RED)}}}}});
    scene.apply(BLUE, of_store("far-token", far_token)).await;

    let reads = |store: &str, kind: &str, key: &str, property: Value| {
        let mut remote = json!({"key": key});
        if !property.is_null() {
            remote["property"] = property;
        }
        json!({"secretStoreRef": {"name": store, "kind": kind}, "refreshInterval": "1s",
            "data": [{"secretKey": "k", "remoteRef": remote}]})
    };
    let token = json!("token");
    let attempts = [
        (
            "store-of-red",
            reads("store-of-red", "SecretStore", "a", Value::Null),
        ),
        (
            "for-red",
            reads(
                "for-red",
                "ClusterSecretStore",
                "of-red-only",
                token.clone(),
            ),
        ),
        (
            "as-you",
            reads("as-you", "ClusterSecretStore", "of-red-only", token.clone()),
        ),
        (
            "far-account",
            reads("far-account", "SecretStore", "of-red-only", token.clone()),
        ),
        (
            "far-token",
            reads("far-token", "SecretStore", "of-red-only", token.clone()),
        ),
        (
            "template",
            json!({"secretStoreRef": {"name": "own"}, "refreshInterval": "1s",
                "target": {"template": {"templateFrom": [{"secret": {"name": "of-red-only", "items": [{"key": "token"}]}}]}},
                "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]}),
        ),
        (
            "path",
            reads(
                "own",
                "SecretStore",
                &format!("../{}/store-of-red/a", scene.name(RED)),
                Value::Null,
            ),
        ),
    ];
    for (name, spec) in &attempts {
        scene.apply(BLUE, external_secret(name, spec.clone())).await;
    }
    // The same references lead red to what is red's.
    for (name, spec) in &attempts[..3] {
        scene.apply(RED, external_secret(name, spec.clone())).await;
        scene.eventually_has(RED, name, "k", canaries[RED]).await;
    }
    for (name, _) in &attempts {
        scene.eventually_ready(BLUE, name, false).await;
        assert!(scene.get(BLUE, "Secret", name).await.is_none(), "{name}");
    }
    // Whatever blue can read of its own namespace, red's canary is not in it.
    let base64 = sealwright_crypto::sealing::base64::encode(canaries[RED].as_bytes());
    let all = scene.cluster().kubectl(&[
        "get",
        "secrets,events,externalsecrets,secretstores",
        "--namespace",
        scene.name(BLUE),
        "--output",
        "yaml",
    ]);
    assert!(
        !all.contains(canaries[RED]) && !all.contains(&base64),
        "{all}"
    );
    let log = scene.controller.as_ref().unwrap().log_text();
    for canary in canaries {
        assert!(!log.contains(canary));
    }
}

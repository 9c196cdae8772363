//! The policy with the rules of the real operator's webhook, judged by the API server itself.

use kube::api::{DynamicObject, PostParams};
use sealwright_tests::harness::cluster::eventually;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::rig::shared;
use super::scene::external_secret;

#[tokio::test]
async fn the_policy_refuses_what_the_real_webhook_refuses() {
    let space = shared().namespace("policy").await;
    let policy = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/chart/files/external-secrets-policy.yaml"
    ));
    shared().apply(&policy.unwrap());
    let only_here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name()}}});
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "of-the-test"},
        "spec": {"policyName": "sealwright-external-secrets", "validationActions": ["Deny"], "matchResources": only_here},
    });
    shared().apply(&binding.to_string());

    let api = Kind::named("ExternalSecret").api(space.client(), space.name());
    let ask = async |mut rest: Value| -> Option<String> {
        rest["secretStoreRef"] = json!({"name": "store"});
        let object: DynamicObject = serde_json::from_value(external_secret("es", rest)).unwrap();
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match api.create(&dry, &object).await {
            Ok(_) => None,
            Err(kube::Error::Api(status)) => Some(status.message),
            Err(error) => panic!("{error}"),
        }
    };
    eventually("the policy is in force", async || {
        ask(json!({})).await.map(drop)
    })
    .await;

    let entry = json!({"secretKey": "a", "remoteRef": {"key": "a"}});
    let with = |target: Value| json!({"data": [entry], "target": target});
    let template = |template: Value| with(json!({"template": template}));
    let from = |entry: Value| json!({"dataFrom": [entry]});
    let account = "kubernetes.io/service-account-token";
    let generator = json!({"generatorRef": {"kind": "Password", "name": "x"}});
    let refreshed = |interval: &str, window: &str| {
        json!({"data": [entry], "refreshInterval": interval,
            "syncWindows": {"kind": "deny", "windows": [{"schedule": "@daily", "duration": window}]}})
    };
    let refused = [
        (refreshed("1d", "2h"), "spec.refreshInterval: a duration"),
        (refreshed("90", "2h"), "spec.refreshInterval: a duration"),
        (refreshed("1h", "2d"), "windows: a duration"),
        (refreshed("1h", ""), "windows: a duration"),
        (
            with(json!({"creationPolicy": "Merge", "deletionPolicy": "Delete"})),
            "deletionPolicy Delete",
        ),
        (
            with(json!({"creationPolicy": "None", "deletionPolicy": "Merge"})),
            "deletionPolicy Merge",
        ),
        (json!({}), "either data or dataFrom"),
        (
            from(json!({"extract": {"key": "a"}, "find": {"name": {"regexp": "a"}}})),
            "only one of",
        ),
        (
            from(json!({"extract": {"key": "a"}, "sourceRef": generator})),
            "only one of",
        ),
        (from(json!({})), "needs one of"),
        (json!({"data": [entry, entry]}), "there twice"),
        (
            template(json!({"type": "bootstrap.kubernetes.io/token"})),
            "bootstrap.kubernetes.io/token",
        ),
        (
            template(
                json!({"type": account, "metadata": {"annotations": {"kubernetes.io/service-account.name": "x"}}}),
            ),
            "must not name a service account",
        ),
        (
            template(
                json!({"type": account, "templateFrom": [{"target": "Annotations", "literal": "x"}]}),
            ),
            "must not name a service account",
        ),
        (
            template(json!({"templateFrom": [{"target": "spec.x", "literal": "x"}]})),
            "only Data, Labels and Annotations",
        ),
    ];
    for (spec, reason) in refused {
        let shown = spec.to_string();
        let message = ask(spec).await.unwrap_or_else(|| panic!("let in: {shown}"));
        assert!(message.contains(reason), "{shown}: {message}");
    }
    let let_in = [
        with(json!({})),
        refreshed("1h30m0.5s", "30m"),
        refreshed("0", ".5h"),
        refreshed("-1s", "10µs"),
        with(json!({"creationPolicy": "Orphan", "deletionPolicy": "Delete"})),
        from(json!({"sourceRef": generator})),
        json!({"data": [entry, entry], "target": {"deletionPolicy": "Delete"}}),
        template(json!({"type": account})),
        template(json!({"templateFrom": [{"target": "labels", "literal": "x"}]})),
        with(
            json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap"},
            "template": {"templateFrom": [{"target": "spec.x", "literal": "x"}]}}),
        ),
    ];
    for spec in let_in {
        let shown = spec.to_string();
        assert_eq!(ask(spec).await, None, "{shown}");
    }
}

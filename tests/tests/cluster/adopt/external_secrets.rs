//! From the External Secrets Operator and back.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::external_secret::hash;
use sealwright_tests::harness::cluster::{Cluster, Namespace, eventually, run};
use serde_json::{Value, json};

use super::super::kubelet::{self, Replica};
use super::{Desk, blocking, found, kind, leave, many, now, secrets, state};

/// An ExternalSecret with its Secret as release 2.9.0 of the operator leaves them. `recorded` is a picture of one that it did
/// leave; the hashes are compared with it.
async fn external_secret(namespace: &Namespace<'_>, name: &str, recorded: Option<&Value>) {
    let here = namespace.name();
    let objects = kind(namespace, "ExternalSecret", "externalsecrets");
    let spec = json!({
        "refreshInterval": "1h",
        "secretStoreRef": {"name": here, "kind": "SecretStore"},
        "data": [
            {"secretKey": "first", "remoteRef": {"key": "a"}},
            {"secretKey": "second", "remoteRef": {"key": "b"}},
        ],
    });
    let mut object = json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "finalizers": ["externalsecrets.external-secrets.io/externalsecret-cleanup"]},
        "spec": spec,
    });
    let mut metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta =
        serde_json::from_value(object["metadata"].clone()).unwrap();
    metadata.generation = Some(1);
    let now = now();
    let synced = hash::synced_version(&metadata);
    object["status"] = json!({
        "binding": {"name": name},
        "conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced",
            "message": "secret synced", "lastTransitionTime": now}],
        "refreshTime": now,
        "syncedResourceVersion": synced,
    });
    let made = leave(&objects, object.clone(), "external-secrets").await;
    let values = [("first", "alpha"), ("second", "beta")]
        .map(|(key, value)| (key, SecretBytes::copy_of(value.as_bytes())));
    let data_hash = hash::of_data(values.iter().map(|(key, value)| (*key, value)));
    let owner = hash::of_owner(here, name);
    if let Some(recorded) = recorded {
        let secret = &recorded["Secret es"];
        assert_eq!(
            secret["annotations"],
            json!({"reconcile.external-secrets.io/data-hash": data_hash})
        );
        assert_eq!(
            secret["labels"]["reconcile.external-secrets.io/created-by"],
            owner
        );
        assert_eq!(
            recorded["ExternalSecret es"]["status"]["syncedResourceVersion"],
            synced
        );
        assert_eq!(
            secret["managers"],
            json!([format!("externalsecrets.external-secrets.io/{name} Update")])
        );
    }
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "annotations": {"reconcile.external-secrets.io/data-hash": data_hash},
            "labels": {
                "reconcile.external-secrets.io/created-by": owner,
                "reconcile.external-secrets.io/managed": "true",
            },
            "ownerReferences": [{
                "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": name,
                "uid": made.metadata.uid, "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "type": "Opaque",
        "data": {"first": "YWxwaGE=", "second": "YmV0YQ=="},
    }))
    .unwrap();
    let params = PostParams {
        field_manager: Some(format!("externalsecrets.external-secrets.io/{name}")),
        ..PostParams::default()
    };
    let api: Api<Secret> = namespace.api();
    api.create(&params, &secret).await.unwrap();
}

/// Name and resource version of every ExternalSecret.
async fn versions(namespace: &Namespace<'_>) -> Vec<(String, String)> {
    let objects = kind(namespace, "ExternalSecret", "externalsecrets");
    let list = objects.list(&Default::default()).await.unwrap();
    let mut all: Vec<_> = list
        .items
        .into_iter()
        .map(|object| {
            let metadata = object.metadata;
            (metadata.name.unwrap(), metadata.resource_version.unwrap())
        })
        .collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_secrets_that_the_operator_left_are_adopted_and_given_back() {
    let cluster = Cluster::start();
    for definition in sealwright_resources::external_secrets_definitions(false) {
        cluster.apply(&definition.to_string());
    }
    // The labels that the operator writes are hashes of the namespace's name, so that of the recording is used.
    let namespace = cluster.namespace_named("c-data-two-keys").await;
    let here = namespace.name().to_owned();
    let answers: Value =
        serde_json::from_str(include_str!("../../../fixtures/eso/answers.json")).unwrap();
    let recorded = &answers["cases"]["data-two-keys"][0];
    let stores = kind(&namespace, "SecretStore", "secretstores");
    let now = now();
    let store = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": here},
        "spec": {"provider": {"fake": {"data": [{"key": "a", "value": "alpha"}, {"key": "b", "value": "beta"}]}}},
        "status": {"capabilities": "ReadWrite", "conditions": [{"type": "Ready", "status": "True",
            "reason": "Valid", "message": "store validated", "lastTransitionTime": now}]},
    });
    leave(&stores, store, "external-secrets").await;
    external_secret(&namespace, "es", Some(recorded)).await;
    for number in 1..many() {
        external_secret(&namespace, &format!("es-{number}"), None).await;
    }
    let image = "oci.external-secrets.io/external-secrets/external-secrets:v2.9.0";
    let flags = [
        "--concurrent=5",
        "--enable-leader-election=true",
        "--enable-http2",
    ];
    kubelet::deploy(&namespace, "external-secrets", image, &[], &flags).await;
    // Its server has gone, as it does when a release is deleted piece by piece.
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(namespace.client().clone());
    let left_over: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": {"name": "secretstore-validate", "labels": {"external-secrets.io/component": "webhook"}},
        "webhooks": [{
            "name": "validate.secretstore.external-secrets.io", "failurePolicy": "Fail", "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "external-secrets-webhook", "namespace": here}},
            "rules": [{"apiGroups": ["external-secrets.io"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["secretstores"], "scope": "Namespaced"}],
        }],
    }))
    .unwrap();
    webhooks
        .create(&PostParams::default(), &left_over)
        .await
        .unwrap();
    let before = (secrets(&namespace).await, versions(&namespace).await);

    let desk = Desk::new(&cluster);
    let (seen, code) = desk.look(&["--check"]);
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(state(&seen, "external-secrets"), "upstream");
    assert_eq!(found(&seen, "ExternalSecrets")["name"], many().to_string());
    assert_eq!(found(&seen, "stores of")["name"], "fake");
    assert!(
        seen.to_string()
            .contains("the flag --enable-http2 has no effect here")
    );
    assert_eq!(blocking(&seen), [&Value::Null; 0]);

    // Nothing is stopped before all that the steps need is there.
    let words = ["--run", "--yes", "--chart", "/nowhere"];
    let output = run(&mut desk.command(&desk.kubeconfig, &words), b"");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains("the chart /nowhere is not here, so no step was run"),
        "{error}"
    );
    let output = run(
        &mut desk.command(&desk.kubeconfig, &["--run", "--yes"]),
        b"",
    );
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains("no registry is named for the image of the controller, so no step was run"),
        "{error}"
    );
    // The chart refuses the value when helm only tries the installation.
    let words = ["--run", "--yes", "--set", "image.registry=r,noSuchValue=1"];
    let output = run(&mut desk.command(&desk.kubeconfig, &words), b"");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains("noSuchValue") && error.contains("no step was run"),
        "{error}"
    );
    let mut command = desk.command(&desk.kubeconfig, &["--run", "--yes"]);
    let output = run(command.env("PATH", "/nowhere"), b"");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("is not on the search path"), "{error}");
    assert_eq!(
        kubelet::replicas(&namespace, "external-secrets").await,
        Some(1)
    );

    let mut ours = Vec::new();
    let meanwhile = async {
        eventually("upstream's Deployment is stopped", async || {
            (kubelet::replicas(&namespace, "external-secrets").await? == 0).then_some(())
        })
        .await;
        let name = "sealwright-external-secrets";
        eventually("ours is installed", async || {
            kubelet::replicas(&namespace, name).await
        })
        .await;
        let account = namespace.existing_account(name).await;
        ours.push(Replica::start(&namespace, &account, name, 0).await);
        kubelet::report_ready(&namespace, name).await;
    };
    let registry = ["--set", "image.registry=registry.example.com"];
    let done = desk.run(&registry, meanwhile).await;
    assert!(done["steps"].to_string().contains("concurrent=5"));
    let deployments: Api<Deployment> = namespace.api();
    let installed = deployments
        .get("sealwright-external-secrets")
        .await
        .unwrap();
    let pod = installed.spec.unwrap().template.spec.unwrap();
    let image = pod.containers[0].image.clone().unwrap();
    assert!(image.starts_with("registry.example.com/"), "{image}");
    assert!(
        webhooks
            .get_opt("secretstore-validate")
            .await
            .unwrap()
            .is_none()
    );
    let metrics = ours[0].metrics;
    eventually("ours has looked at all", async || {
        let (_, text) = kubelet::get(metrics, "/metrics").ok()?;
        let ready = text.lines().filter(|line| {
            line.starts_with("externalsecret_status_condition{")
                && line.contains("condition=\"Ready\"")
                && line.contains("status=\"True\"")
                && line.ends_with(" 1")
        });
        (ready.count() == many()).then_some(())
    })
    .await;
    let after = (secrets(&namespace).await, versions(&namespace).await);
    assert_eq!(after, before, "taken over");
    let (seen, _) = desk.look(&["--check"]);
    assert_eq!(state(&seen, "external-secrets"), "adopted");
    // A Secret that someone edits is put back by ours.
    let api: Api<Secret> = namespace.api();
    let edit = json!({"stringData": {"first": "edited"}});
    api.patch("es", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    eventually("it is put back", async || {
        let secret = api.get("es").await.unwrap();
        (secret.data?.get("first")?.0 == b"alpha").then_some(())
    })
    .await;
    let edited = (secrets(&namespace).await, versions(&namespace).await);

    let meanwhile = async {
        let name = "sealwright-external-secrets";
        eventually("ours is stopped", async || {
            (kubelet::replicas(&namespace, name).await.unwrap_or(0) == 0).then_some(())
        })
        .await;
        for replica in ours.drain(..) {
            replica.stop(&namespace).await;
        }
    };
    desk.run(&["--back"], meanwhile).await;
    let after = secrets(&namespace).await;
    assert_eq!(after, edited.0, "given back");
    assert_eq!(
        kubelet::replicas(&namespace, "external-secrets").await,
        Some(1)
    );
    assert_eq!(
        kubelet::replicas(&namespace, "sealwright-external-secrets").await,
        None
    );
    // What the operator goes by is as it left it.
    let objects = kind(&namespace, "ExternalSecret", "externalsecrets");
    let object = objects.get("es").await.unwrap();
    let recorded = &recorded["ExternalSecret es"];
    assert_eq!(json!(object.metadata.finalizers), recorded["finalizers"]);
    assert_eq!(
        object.data["status"]["syncedResourceVersion"],
        recorded["status"]["syncedResourceVersion"]
    );
    let (seen, _) = desk.look(&[]);
    assert_eq!(state(&seen, "external-secrets"), "upstream");
}

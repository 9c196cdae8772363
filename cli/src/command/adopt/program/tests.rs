use serde_json::json;

use super::*;

fn workload(image: &str, command: &[&str], args: &[&str]) -> Option<Workload> {
    let deployment = json!({
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [
            {"name": "sidecar", "image": "example.com/proxy:1"},
            {"name": "c", "image": image, "command": command, "args": args},
        ]}}},
    });
    Workload::of(&serde_json::from_value(deployment).unwrap())
}

#[test]
fn programs_are_recognised_by_image_and_command() {
    let runs = |image: &str, command: &[&str], args: &[&str]| {
        workload(image, command, args).map(|workload| (workload.component, workload.version))
    };
    let version = |text: &str| text.to_owned();
    assert_eq!(
        runs(
            "docker.io/bitnami/sealed-secrets-controller:0.36.6",
            &["controller"],
            &[]
        ),
        Some((Component::SealedSecrets, version("0.36.6")))
    );
    assert_eq!(
        runs(
            "localhost:5000/mirror/external-secrets:v2.9.0@sha256:00",
            &[],
            &["webhook", "--port=1"]
        ),
        Some((Component::Webhook, version("2.9.0")))
    );
    assert_eq!(
        runs(
            "ghcr.io/external-secrets/external-secrets:v2.9.0",
            &[],
            &["--concurrent=1"]
        ),
        Some((Component::ExternalSecrets, version("2.9.0")))
    );
    let ours = |sealed_secrets, external_secrets| Component::Sealwright {
        sealed_secrets,
        external_secrets,
    };
    for (args, runs_it) in [
        (&["--update-status=true"][..], ours(true, false)),
        (&["--enable-external-secrets=true"][..], ours(true, true)),
        (
            &["--enable-sealed-secrets=false", "--enable-external-secrets"][..],
            ours(false, true),
        ),
    ] {
        let found = runs("mirror/image", &["/bin/sealwright-controller"], args);
        assert_eq!(found.unwrap().0, runs_it, "{args:?}");
    }
    assert_eq!(runs("example.com/other:1", &["controller"], &[]), None);
}

#[test]
fn who_works_in_single_namespaces_gets_no_role_of_the_whole_cluster() {
    let roles = |image: &str, args: &[&str]| {
        let mut values = values(&workload(image, &["controller"], args).unwrap());
        values.retain(|value| {
            ["rbac.", "scopedRBAC", "additionalNamespaces"]
                .iter()
                .any(|start| value.starts_with(start))
        });
        values
    };
    let sealed = |args: &[&str]| roles("x/sealed-secrets-controller:0.40.0", args);
    let single = ["rbac.clusterRole=false", "rbac.namespacedRoles=true"];
    assert_eq!(sealed(&["--all-namespaces=false"]), single);
    let named = ["--additional-namespaces", "a, b,"];
    assert_eq!(
        sealed(&named),
        [&["additionalNamespaces={a,b}"][..], &single].concat()
    );
    assert!(sealed(&["--all-namespaces=false", "--all-namespaces=true"]).is_empty());
    assert_eq!(
        sealed(&["--additional-namespaces="]),
        ["additionalNamespaces={}"]
    );
    let operator = |args: &[&str]| roles("x/external-secrets:v2.9.0", args);
    let scoped = [
        "--namespace=team",
        "--enable-cluster-store-reconciler=false",
        "--enable-cluster-external-secret-reconciler=false",
        "--enable-cluster-push-secret-reconciler=false",
    ];
    assert_eq!(operator(&scoped), ["scopedRBAC=true"]);
    assert!(operator(&scoped[..3]).is_empty());
    assert!(operator(&scoped[1..]).is_empty());
}

#[test]
fn variables_of_the_environment_are_flags_of_the_sealed_secrets_controller() {
    let of = |image: &str| {
        let deployment = json!({
            "metadata": {"name": "d", "namespace": "n"},
            "spec": {"selector": {}, "template": {"spec": {"containers": [
                {"name": "c", "image": image, "args": ["--key-ttl=1h"], "env": [
                    {"name": "SEALED_SECRETS_KEY_RENEW_PERIOD", "value": "0"},
                    {"name": "SEALED_SECRETS_KEY_TTL", "value": "2h"},
                    {"name": "SEALED_SECRETS_LABEL_SELECTOR", "value": ""},
                    {"name": "SEALED_SECRETS_PORT", "value": "tcp://10.0.0.1:8080"},
                    {"name": "GOMAXPROCS", "value": "1"},
                ]}]}}},
        });
        values(&Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap())
    };
    assert_eq!(
        of("x/sealed-secrets-controller:0.40.0"),
        ["keyrenewperiod=0", "keyttl=2h", "keyttl=1h"]
    );
    assert!(of("x/external-secrets:v2.9.0").is_empty());
}

/// A Deployment as upstream's charts make them, with what people add.
fn furnished(image: &str) -> Workload {
    let deployment = json!({
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "d", "of": "selector"}},
            "template": {
                "metadata": {"labels": {
                    "app.kubernetes.io/name": "d", "of": "selector", "helm.sh/chart": "d-1",
                    "azure.workload.identity/use": "true"}},
                "spec": {
                    "serviceAccountName": "of-upstream",
                    "schedulerName": "default-scheduler",
                    "tolerations": [{"key": "a"}],
                    "hostNetwork": false,
                    "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "ca", "configMap": {"name": "ca"}}],
                    "containers": [{"name": "c", "image": image, "env": [
                        {"name": "GOMEMLIMIT", "value": "1"},
                        {"name": "SEALED_SECRETS_KEY_TTL", "value": "2h"},
                        {"name": "HTTPS_PROXY", "value": "http://user:hidden@proxy"}]}],
                },
            },
        },
    });
    Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap()
}

#[test]
fn the_operators_account_and_labels_are_kept_because_clouds_go_by_them() {
    let operator = furnished("x/external-secrets:v2.9.0");
    assert_eq!(
        values(&operator),
        [
            "serviceAccount.create=false",
            "serviceAccount.name=of-upstream"
        ]
    );
    assert_eq!(
        labels(&operator),
        [r"podLabels.azure\.workload\.identity/use=true"]
    );
    let sealed = furnished("x/sealed-secrets-controller:0.40.0");
    assert_eq!(values(&sealed), ["keyttl=2h"]);
    assert!(labels(&sealed).is_empty());
    let of_every_pod = workload("x/external-secrets:v2.9.0", &[], &[]).unwrap();
    assert!(values(&of_every_pod).is_empty());
}

#[test]
fn what_pods_have_beside_is_told_by_name() {
    let sealed = furnished("x/sealed-secrets-controller:0.40.0");
    assert_eq!(sealed.beside, ["env HTTPS_PROXY", "volumes", "tolerations"]);
    let operator = furnished("x/external-secrets:v2.9.0");
    assert_eq!(operator.beside[0], "env SEALED_SECRETS_KEY_TTL");
    let plain = workload("x/external-secrets:v2.9.0", &[], &[]).unwrap();
    assert_eq!(plain.beside, ["containers"], "there is a sidecar");
}

#[test]
fn every_flag_that_upstream_takes_is_known() {
    for flag in ["metrics-omit-secret-labels", "rotate-period"] {
        assert!(becomes(Component::SealedSecrets, flag).is_some(), "{flag}");
    }
    for flag in [
        "doppler-etag-cache-size",
        "mysterybox-connections-cache-size",
        "mysterybox-tokens-cache-size",
    ] {
        assert_eq!(
            becomes(Component::ExternalSecrets, flag),
            Some(Becomes::Nothing)
        );
    }
    // The chart's Deployment reads the level from the flag of the Sealed Secrets controller.
    let operator = workload("x/external-secrets:v2.9.0", &[], &["--loglevel=debug"]);
    assert_eq!(values(&operator.unwrap()), ["logLevel=debug"]);
}

#[test]
fn flags_become_values_of_the_chart() {
    let of = |args: &[&str]| {
        values(&workload("x/sealed-secrets-controller:0.40.0", &["controller"], args).unwrap())
    };
    assert_eq!(
        of(&[
            "--key-renew-period",
            "0",
            "-update-status",
            "--my-cn=a,b",
            "--listen-addr=:1"
        ]),
        [
            "keyrenewperiod=0",
            "updateStatus=true",
            r"extraArgs.my-cn=a\,b"
        ]
    );
    // As upstream's chart writes them: a switch, and a word of its own for each value.
    assert_eq!(
        of(&[
            "--update-status",
            "--kubeclient-qps",
            "-1",
            "--log-level",
            "INFO"
        ]),
        ["updateStatus=true", "kubeClientQPS=-1", "logLevel=INFO"]
    );
    let operator = workload(
        "x/external-secrets:v2.9.0",
        &[],
        &["--template-left-delimiter={{"],
    );
    assert_eq!(
        values(&operator.unwrap()),
        [r"extraArgs.template-left-delimiter=\{{"]
    );
    assert_eq!(becomes(Component::ExternalSecrets, "no-such-flag"), None);
}

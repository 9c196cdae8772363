//! What `deploy/` ships: admitted by the strictest rules for Pods, complete, and enough.

use std::collections::BTreeMap;
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::{Cluster, eventually};
use sealwright_tests::harness::programs;
use sealwright_tests::harness::server::{Server, free_port};
use serde_json::json;

use super::rig::{Reply, Rig, Variant, condition, sealed_for};

#[test]
fn i40_c31_the_version() {
    let output = Command::new(programs::sealwright_controller())
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text
        .strip_prefix("controller version: v")
        .and_then(|rest| rest.strip_suffix('\n'));
    let parts: Vec<&str> = version
        .unwrap_or_else(|| panic!("{text}"))
        .split('.')
        .collect();
    assert_eq!(parts.len(), 3, "{text}");
    assert!(
        parts.iter().all(|part| part.parse::<u32>().is_ok()),
        "{text}"
    );
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn the_shipped_crd_is_what_the_program_prints() {
    let output = Command::new(programs::sealwright_controller())
        .arg("crd")
        .output()
        .unwrap();
    assert!(output.status.success());
    let shipped = include_str!("../../../../deploy/base/crd.yaml");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shipped);
}

#[tokio::test]
async fn c63_c81_t53_the_shipped_manifests_fit_each_other_and_the_program() {
    for (variant, case) in [
        (Variant::Namespaced, "ship-one"),
        (Variant::ClusterWide, "ship-all"),
    ] {
        let cluster = cluster();
        // Roles of the whole cluster would be those of the last that applied them.
        let own = (variant == Variant::ClusterWide).then(Cluster::start);
        let mut rig = Rig::prepare(own.as_ref().unwrap_or(cluster), case, variant).await;
        if variant == Variant::ClusterWide {
            // The roles are enough to look additional namespaces up.
            rig.flag("--additional-namespaces=default");
        }
        rig.add_replica();
        assert!(
            !rig.logs().contains("cannot look the namespace up"),
            "{}",
            rig.logs()
        );
        let deployments: Api<Deployment> = rig.namespace.api();
        let spec = deployments
            .get("sealed-secrets-controller")
            .await
            .unwrap()
            .spec
            .unwrap();
        let labels = spec.template.metadata.clone().unwrap().labels.unwrap();
        let pod = spec.template.spec.clone().unwrap();
        let container = pod.containers[0].clone();
        let program = programs::sealwright_controller();
        assert_eq!(
            container.command.unwrap(),
            [program.file_name().unwrap().to_str().unwrap()]
        );

        let accounts: Api<ServiceAccount> = rig.namespace.api();
        accounts
            .get(&pod.service_account_name.unwrap())
            .await
            .unwrap();
        let ports: BTreeMap<String, i32> = container
            .ports
            .unwrap()
            .into_iter()
            .map(|port| (port.name.unwrap(), port.container_port))
            .collect();
        assert_eq!(
            ports,
            [("http".to_owned(), 8080), ("metrics".to_owned(), 8081)].into()
        );
        let probe = |probe: Option<k8s_openapi::api::core::v1::Probe>| {
            let get = probe.unwrap().http_get.unwrap();
            assert_eq!(get.port, IntOrString::String("http".into()));
            get.path.unwrap()
        };
        for path in [
            probe(container.liveness_probe),
            probe(container.readiness_probe),
        ] {
            assert_eq!(rig.http("GET", &path, "", "").status, 200, "{path}");
        }

        let services: Api<Service> = rig.namespace.api();
        let mut targets = Vec::new();
        for service in services.list(&ListParams::default()).await.unwrap() {
            let spec = service.spec.unwrap();
            let selector = spec.selector.unwrap();
            assert!(
                !selector.is_empty()
                    && selector
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            );
            targets.extend(
                spec.ports
                    .unwrap()
                    .into_iter()
                    .map(|port| port.target_port.unwrap()),
            );
        }
        targets.sort_by_key(|target| format!("{target:?}"));
        assert_eq!(targets, [IntOrString::Int(8080), IntOrString::Int(8081)]);

        // The API server itself judges the Pod by the profile `restricted`.
        let strict = rig.namespace.cluster().namespace("restricted").await;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> =
            Api::all(strict.client().clone());
        let enforce =
            json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        namespaces
            .patch(
                strict.name(),
                &PatchParams::default(),
                &Patch::Merge(enforce),
            )
            .await
            .unwrap();
        let pods: Api<Pod> = strict.api();
        let mut candidate = Pod {
            spec: spec.template.spec,
            ..Pod::default()
        };
        candidate.metadata.name = Some("controller".into());
        pods.create(&PostParams::default(), &candidate)
            .await
            .unwrap();
        candidate.metadata.name = Some("as-root".into());
        candidate.spec.as_mut().unwrap().containers[0].security_context = None;
        let refused = pods
            .create(&PostParams::default(), &candidate)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("violates PodSecurity"), "{refused}");
    }
}

#[tokio::test]
async fn c35_c36_in_a_pod_it_needs_no_settings() {
    let rig = Rig::prepare(cluster(), "in-pod", Variant::Namespaced).await;
    let prepare = || {
        let (port, metrics) = (free_port()?, free_port()?);
        let mut command = rig.account.in_pod(&programs::sealwright_controller());
        command.env_remove("POD_NAMESPACE").env_remove("KUBECONFIG");
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics}"));
        command.args(["--all-namespaces=false", "--key-size=2048"]);
        Ok((command, port))
    };
    let ready = |port: &u16| match std::net::TcpStream::connect(("127.0.0.1", *port)) {
        Ok(_) if Reply::to(*port, "GET", "/readyz", "", "").status == 200 => Ok(()),
        Ok(_) => Err("not ready".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let sandbox = rig.namespace.cluster().sandbox();
    let (server, port) =
        Server::start(sandbox, "in-pod", prepare, ready).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rig.key_names().await.len(), 1, "{}", server.log_text());
    let pem = Reply::to(port, "GET", "/v1/cert.pem", "", "").body;
    let certificate = sealwright_crypto::sealing::Certificate::from_pem(pem.as_bytes()).unwrap();
    let here = rig.namespace.name();
    let strict = sealwright_resources::scope::Scope::Strict;
    rig.create(&sealed_for(
        &certificate,
        strict,
        here,
        "a",
        &[("foo", "bar")],
    ))
    .await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
}

#[tokio::test]
async fn c10_c82_t29_additional_namespaces_under_a_role_in_each() {
    let cluster = cluster();
    let mut rig = Rig::prepare(cluster, "several", Variant::Namespaced).await;
    let [second, third] = [
        cluster.namespace("second").await,
        cluster.namespace("third").await,
    ];
    rig.permit_in(&second);
    rig.flag("--all-namespaces=true");
    rig.flag(&format!(
        "--additional-namespaces={0}, {0},does-not-exist",
        second.name()
    ));
    rig.add_replica();
    let strict = sealwright_resources::scope::Scope::Strict;
    for namespace in [&rig.namespace, &second, &third] {
        let certificate = rig.certificate();
        let sealed = sealed_for(
            &certificate,
            strict,
            namespace.name(),
            "a",
            &[("foo", "bar")],
        );
        namespace.create(&sealed).await;
    }
    for namespace in [&rig.namespace, &second] {
        eventually("it is unsealed", async || {
            let secrets: Api<Secret> = namespace.api();
            secrets.get_opt("a").await.unwrap()
        })
        .await;
    }
    rig.eventually_synced("a", "True").await;
    let secrets: Api<Secret> = third.api();
    assert!(secrets.get_opt("a").await.unwrap().is_none());
    // T52: the same namespace twice is one watch; a namespace that is not there holds nothing up.
    let started = format!("Starting informer\" namespace={}", second.name());
    assert_eq!(rig.logs().matches(&started).count(), 1, "{started}");
}

#[tokio::test]
async fn a_missing_permission_is_said_once_where_the_user_looks() {
    let mut rig = Rig::prepare(cluster(), "no-create", Variant::Namespaced).await;
    let here = rig.namespace.name().to_owned();
    let roles = include_str!("../../../../deploy/namespaced/unsealer.yaml");
    let roles = roles.replace("namespace: kube-system", &format!("namespace: {here}"));
    let fewer = roles.replace("watch, create, update]", "watch, update]");
    assert_ne!(roles, fewer);
    cluster().apply(&fewer);
    // Keys are made by the other role, in the same namespace; it grants the verb as well.
    cluster().kubectl(&[
        "-n",
        &here,
        "delete",
        "rolebinding",
        "sealed-secrets-controller",
    ]);
    let key = sealwright_crypto::sealing::PrivateKey::generate(2048).unwrap();
    let certificate =
        sealwright_crypto::sealing::Certificate::self_signed(&key, "", 1_700_000_000, 3600)
            .unwrap();
    rig.create_secret(json!({
        "metadata": {"name": "k", "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}},
        "stringData": {
            "tls.key": String::from_utf8(key.to_pkcs1_pem().unwrap().expose().to_vec()).unwrap(),
            "tls.crt": certificate.to_pem(),
        },
    }))
    .await;
    rig.flag("--key-renew-period=0");
    rig.add_replica();
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    let sealed = rig.eventually_synced("a", "False").await;
    let message = condition(&sealed, "Synced").message;
    assert!(
        message.contains("cannot create resource \"secrets\""),
        "{message}"
    );
    cluster().apply(&roles);
    rig.eventually_data("a", &[("foo", "bar")]).await;
}

#[tokio::test]
async fn c56_a_status_that_cannot_be_written_holds_nothing_up_and_is_written_later() {
    let mut rig = Rig::prepare(cluster(), "no-status", Variant::Namespaced).await;
    let here = rig.namespace.name().to_owned();
    let roles = include_str!("../../../../deploy/namespaced/unsealer.yaml");
    let roles = roles.replace("namespace: kube-system", &format!("namespace: {here}"));
    let fewer = roles.replace("resources: [sealedsecrets/status]", "resources: [none]");
    assert_ne!(roles, fewer);
    cluster().apply(&fewer);
    rig.add_replica();
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    let series = format!("unseal_errors_total{{namespace=\"{here}\",reason=\"status\"}}");
    eventually("it is counted", async || {
        (rig.metric(&series) > 0.0).then_some(())
    })
    .await;
    assert!(rig.logs().contains("Error updating SealedSecret status"));
    cluster().apply(&roles);
    rig.eventually_synced("a", "True").await;
}

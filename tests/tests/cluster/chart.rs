//! The Helm chart: what it renders is admitted, does its work under exactly the roles it brings, and leaves what must stay.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use sealwright_crypto::sealing::Certificate;
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{SealedSecret, seal};
use sealwright_tests::harness::cluster::{Account, Cluster, Namespace, eventually, run};
use sealwright_tests::harness::{incumbents, programs};
use serde_json::json;

use super::kubelet::{Replica, get};
use super::sealed_secrets::rig::sealed_for;

/// Every optional part of the chart.
const EVERYTHING: &str = "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboards.create=true,networkPolicy.enabled=true,networkPolicy.egress.enabled=true,networkPolicy.egress.kubeapiCidr=10.0.0.1/32";
/// What installations give a pod beside.
const FURNISHED: &str = "externalSecrets.enabled=true,refresh.enabled=true,refresh.certificateSecret=of-refresh,\
    deploymentAnnotations.seen=here,extraEnv[0].name=SSL_CERT_FILE,extraEnv[0].value=/ca/ca.crt,\
    extraVolumes[0].name=ca,extraVolumes[0].configMap.name=of-vault,\
    extraVolumeMounts[0].name=ca,extraVolumeMounts[0].mountPath=/ca,\
    extraContainers[0].name=beside,extraContainers[0].image=i,extraInitContainers[0].name=before,extraInitContainers[0].image=i,\
    dnsConfig.nameservers[0]=10.0.0.1,hostAliases[0].ip=10.0.0.2,hostAliases[0].hostnames[0]=vault,schedulerName=other";
const NAMESPACED: &str = "rbac.clusterRole=false,rbac.namespacedRoles=true";

fn chart() -> String {
    format!("{}/../deploy/chart", env!("CARGO_MANIFEST_DIR"))
}

fn helm(arguments: &[&str]) -> Output {
    let mut command = Command::new(incumbents::helm());
    // Helm keeps caches and settings below these; nothing of the user's counts.
    let home = std::env::temp_dir();
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home.join("no-such-helm-home"));
    }
    run(command.args(arguments), b"")
}

fn helm_ok(arguments: &[&str]) -> String {
    let output = helm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "helm {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn template(more: &[&str]) -> Output {
    let chart = chart();
    let mut arguments = vec!["template", "release", &chart, "--kube-version=1.33.0"];
    arguments.extend(more);
    helm(&arguments)
}

/// One template of the chart with these values, in the namespace `here`.
fn rendered(name: &str, values: &str) -> String {
    let only = format!("--show-only=templates/{name}");
    let output = template(&["--namespace=here", &only, "--set", values]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{values}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_chart_passes_lint_and_its_crds_are_those_of_the_program() {
    let chart = chart();
    for values in ["replicaCount=1", EVERYTHING, NAMESPACED] {
        helm_ok(&[
            "lint",
            "--strict",
            "--kube-version=1.33.0",
            &chart,
            "--set",
            values,
        ]);
    }
    let printed = run(
        Command::new(programs::sealwright_controller()).arg("crd"),
        b"",
    );
    let shipped = include_bytes!("../../../deploy/chart/files/crds.yaml");
    assert!(
        printed.stdout == shipped,
        "write it again: sealwright-controller crd > deploy/chart/files/crds.yaml"
    );
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (values, reason) in [
        ("replicaCont=3", "replicaCont"),
        ("metrics.serviceMonitor.enable=true", "enable"),
        ("replicaCount=many", "replicaCount"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("containerPorts.http=0", "http"),
        ("additionalNamespaces=a", "additionalNamespaces"),
    ] {
        let output = template(&["--set", values]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains(reason),
            "{values}: {error}"
        );
    }
}

#[test]
fn a_disruption_budget_says_what_the_values_say_and_lets_a_single_replica_go() {
    let budget = |values: &str| {
        // With the NetworkPolicy there is always something to show.
        let values = format!("networkPolicy.enabled=true,{values}");
        let output = template(&["--show-only=templates/policies.yaml", "--set", &values]);
        assert!(output.status.success(), "{values}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("minAvailable:") || line.starts_with("maxUnavailable:"));
        line.map(str::to_owned)
    };
    for (values, wanted) in [
        ("pdb.create=true", Some("minAvailable: 1")),
        ("pdb.minAvailable=50%", Some("minAvailable: 50%")),
        ("pdb.maxUnavailable=1", Some("maxUnavailable: 1")),
        ("pdb.maxUnavailable=0", Some("maxUnavailable: 0")),
        ("pdb.maxUnavailable=50%", Some("maxUnavailable: 50%")),
        ("pdb.maxUnavailable=null", Some("minAvailable: 1")),
        ("pdb.create=false", None),
        ("replicaCount=1", None),
        ("replicaCount=1,pdb.maxUnavailable=1", None),
    ] {
        assert_eq!(budget(values).as_deref(), wanted, "{values}");
    }
}

#[test]
fn roles_of_single_namespaces_are_in_the_controllers_own_unless_others_are_named() {
    for (named, namespaces) in [("", &["here"][..]), (r"a\, b", &["a", "b"][..])] {
        let values =
            format!("externalSecrets.enabled=true,scopedRBAC=true,scopedNamespace={named}");
        let text = rendered("external-secrets.yaml", &values);
        let lines = text.lines();
        let places: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("  namespace: "))
            .collect();
        // The Roles, and then their bindings.
        assert_eq!(places, [namespaces, namespaces].concat());
        assert!(!text.contains("kind: ClusterRole"), "{text}");
        let flag = format!("- --namespace={}\n", namespaces.join(","));
        let text = rendered("deployment.yaml", &values);
        assert!(text.contains(&flag), "{text}");
    }
}

#[test]
fn a_pod_has_what_it_is_given_beside_what_the_chart_gives_it() {
    let text = rendered("deployment.yaml", FURNISHED);
    for part in [
        "    seen: here\n",
        "            - name: SSL_CERT_FILE\n              value: /ca/ca.crt\n",
        "            - mountPath: /ca\n              name: ca\n",
        "            - mountPath: /etc/sealwright/refresh-tls\n",
        "        - image: i\n          name: beside\n",
        "      initContainers:\n        - image: i\n          name: before\n",
        "            name: of-vault\n          name: ca\n",
        "            secretName: of-refresh\n",
        "      dnsConfig:\n        nameservers:\n        - 10.0.0.1\n",
        "          - vault\n          ip: 10.0.0.2\n",
        "      schedulerName: other\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn openshift_chooses_users_and_groups() {
    let chosen = |more: &[&str]| {
        let output = template(&[more, &["--show-only=templates/deployment.yaml"]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let text = String::from_utf8(output.stdout).unwrap();
        // The rest of the profile `restricted` stays.
        assert!(text.contains("runAsNonRoot: true") && text.contains("type: RuntimeDefault"));
        text.contains("runAsUser:") || text.contains("fsGroup:")
    };
    let here = "--api-versions=security.openshift.io/v1";
    let adapt =
        |how: &str| format!("--set=global.compatibility.openshift.adaptSecurityContext={how}");
    assert!(chosen(&[]));
    assert!(!chosen(&[here]));
    assert!(!chosen(&[&adapt("force")]));
    assert!(chosen(&[here, &adapt("disabled")]));
    assert!(chosen(&["--set=global.of=others"]));
}

#[test]
fn an_image_is_named_in_one_value_or_in_several() {
    for (values, image) in [
        (
            "image.registry=r.example.com,image.repository=a/b,image.tag=v1",
            "r.example.com/a/b:v1",
        ),
        (
            "image.registry=,image.repository=r.example.com/a/b,image.tag=v1",
            "r.example.com/a/b:v1",
        ),
    ] {
        let text = rendered("deployment.yaml", values);
        assert!(text.contains(&format!("image: \"{image}\"\n")), "{text}");
    }
}

#[test]
fn a_constraint_of_the_topology_without_a_selector_counts_the_controllers_pods() {
    let labels = |values: &str| {
        let constraint = "topologySpreadConstraints[0].topologyKey=zone";
        let text = rendered("deployment.yaml", &format!("{constraint}{values}"));
        let (_, constraints) = text.split_once("topologySpreadConstraints:").unwrap();
        let (constraints, _) = constraints.split_once("containers:").unwrap();
        let lines = constraints.lines().map(str::trim);
        let labels = lines.filter(|line| line.starts_with("app"));
        labels.map(str::to_owned).collect::<Vec<_>>()
    };
    let own = [
        "app.kubernetes.io/name: sealwright",
        "app.kubernetes.io/instance: release",
    ];
    assert_eq!(labels(""), own);
    let other = ",topologySpreadConstraints[0].labelSelector.matchLabels.app=other";
    assert_eq!(labels(other), ["app: other"]);
}

#[test]
fn services_have_valid_names_however_long_that_of_the_release_is() {
    let long = "a".repeat(63);
    let text = rendered("services.yaml", &format!("fullnameOverride={long}"));
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  name: "))
        .collect();
    assert_eq!(names, [long.as_str(), &format!("{}-metrics", &long[..55])]);
}

#[test]
fn the_network_policy_lets_the_controller_reach_the_api_server() {
    let ports = |values: &str| {
        let values =
            format!("networkPolicy.enabled=true,networkPolicy.egress.enabled=true{values}");
        let text = rendered("policies.yaml", &values);
        let (_, egress) = text.split_once("  egress:\n").unwrap();
        let (to_api_server, _) = egress.split_once("- port: 53\n").unwrap();
        let lines = to_api_server.lines();
        let ports = lines.filter_map(|line| line.trim().strip_prefix("- port: "));
        ports.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ports(""), ["443", "6443"]);
    assert_eq!(ports(",networkPolicy.egress.kubeapiPort=8443"), ["8443"]);
}

#[test]
fn only_namespaces_that_are_named_are_looked_up() {
    for (values, rule) in [
        ("rbac.clusterRole=true", None),
        ("additionalNamespaces={a,b}", Some(r#"["a","b"]"#)),
    ] {
        let text = rendered("rbac.yaml", values);
        let found = text.split_once("resources: [namespaces]\n");
        let names = found.and_then(|(_, rest)| rest.lines().next());
        let names = names.and_then(|line| line.trim().strip_prefix("resourceNames: "));
        assert_eq!(names, rule, "{text}");
    }
}

#[test]
fn the_controllers_account_may_have_its_token_reviewed_where_that_is_asked_for() {
    for (is_on, bindings) in [(true, 1), (false, 0)] {
        let values = format!("externalSecrets.enabled=true,systemAuthDelegator={is_on}");
        let text = rendered("external-secrets.yaml", &values);
        let role = "  name: system:auth-delegator\n";
        assert_eq!(text.matches(role).count(), bindings, "{text}");
    }
}

#[test]
fn a_flag_that_is_off_grants_nothing() {
    for (value, is_on) in [("true", true), ("1", true), ("false", false)] {
        let text = rendered("rbac.yaml", &format!("extraArgs.old-gc-behavior={value}"));
        assert_eq!(text.contains("create, update, delete]"), is_on, "{value}");
        let values = format!("externalSecrets.enabled=true,extraArgs.metrics-auth={value}");
        let text = rendered("external-secrets.yaml", &values);
        assert_eq!(text.contains("tokenreviews"), is_on, "{value}");
    }
}

/// What kustomize users apply for ExternalSecrets is what the chart makes, without what is Helm's.
#[test]
fn the_folder_for_kustomize_is_what_the_chart_renders() {
    let values = "externalSecrets.enabled=true,sealedSecrets.enabled=false,crds.create=false";
    let text = helm_ok(&[
        "template",
        "sealwright",
        &chart(),
        "--namespace=external-secrets",
        "--kube-version=1.33.0",
        "--set",
        values,
    ]);
    let is_helms = |line: &&str| {
        !line.trim_start().starts_with("helm.sh/chart:")
            && !line.contains("app.kubernetes.io/managed-by: Helm")
            && !line.starts_with("# Source")
    };
    let lines: Vec<&str> = text.lines().filter(is_helms).collect();
    let head = "# Written from the chart with `helm template`, without what is Helm's own.";
    let wanted = format!("{head}\n{}\n", lines.join("\n"));
    let folder = format!("{}/../deploy/external-secrets", env!("CARGO_MANIFEST_DIR"));
    let path = format!("{folder}/controller.yaml");
    if std::env::var_os("SEALWRIGHT_WRITE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == wanted,
        "{path} is not what the chart renders; SEALWRIGHT_WRITE=1 writes it again"
    );
    let output = run(
        Command::new(incumbents::kubectl()).args(["kustomize", &folder]),
        b"",
    );
    assert!(output.status.success());
    let objects = String::from_utf8(output.stdout).unwrap();
    let count = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("kind: "))
            .count()
    };
    let definitions = include_str!("../../../deploy/external-secrets/crds.yaml");
    assert_eq!(count(&objects), count(&wanted) + count(definitions));
}

#[tokio::test]
async fn what_the_chart_renders_is_admitted_by_the_api_server() {
    let cluster = Cluster::start();
    cluster.apply(MONITORING);
    let namespace = cluster.namespace("chart-admitted").await;
    let here = format!("--namespace={}", namespace.name());
    let announced = "externalSecrets.enabled=true,refresh.enabled=true,refresh.certificateSecret=c,systemAuthDelegator=true";
    let all = [
        "replicaCount=1",
        EVERYTHING,
        NAMESPACED,
        announced,
        FURNISHED,
    ];
    for (number, values) in all.iter().enumerate() {
        let output = template(&[&here, "--set", values]);
        let file = cluster
            .sandbox()
            .path()
            .join(format!("chart-{number}.yaml"));
        std::fs::write(&file, &output.stdout).unwrap();
        let file = file.to_str().unwrap();
        // Unknown and duplicate fields are errors.
        cluster.kubectl(&[
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            file,
        ]);
    }
    // The profile `restricted`, judged by the API server itself.
    let output = helm_ok(&[
        "template",
        "release",
        &chart(),
        "--kube-version=1.33.0",
        "--show-only=templates/deployment.yaml",
    ]);
    let file = cluster.sandbox().path().join("deployment.yaml");
    std::fs::write(&file, output).unwrap();
    let text = cluster.kubectl(&[
        "create",
        "--dry-run=client",
        "-o",
        "json",
        "-f",
        file.to_str().unwrap(),
    ]);
    let deployment: Deployment = serde_json::from_str(&text).unwrap();
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> =
        Api::all(namespace.client().clone());
    let enforce =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    namespaces
        .patch(
            namespace.name(),
            &PatchParams::default(),
            &Patch::Merge(enforce),
        )
        .await
        .unwrap();
    let mut pod = Pod {
        spec: deployment.spec.unwrap().template.spec,
        ..Pod::default()
    };
    pod.metadata.name = Some("controller".into());
    let pods: Api<Pod> = namespace.api();
    pods.create(&PostParams::default(), &pod).await.unwrap();
}

/// A release of the chart, and its replicas, started from the Deployment as it is in the cluster.
pub(super) struct Release<'a> {
    namespace: &'a Namespace<'a>,
    pub(super) account: Account,
    pub(super) replicas: Vec<Replica>,
    /// How many replicas there have been.
    started: usize,
}

impl<'a> Release<'a> {
    /// Installs or upgrades the release.
    pub(super) async fn install(namespace: &'a Namespace<'a>, values: &str) -> Self {
        let kubeconfig = format!(
            "--kubeconfig={}",
            namespace.cluster().kubeconfig().display()
        );
        let here = format!("--namespace={}", namespace.name());
        helm_ok(&[
            "upgrade",
            "--install",
            // Of a custom resource definition that was there before.
            "--take-ownership",
            "sealwright",
            &chart(),
            &kubeconfig,
            &here,
            "--set",
            values,
        ]);
        let account = namespace.existing_account("sealwright").await;
        Self {
            namespace,
            account,
            replicas: Vec::new(),
            started: 0,
        }
    }

    /// Starts one replica as the Deployment says.
    pub(super) async fn add_replica(&mut self) {
        let number = self.started;
        self.started += 1;
        let replica = Replica::start(self.namespace, &self.account, "sealwright", number).await;
        self.replicas.push(replica);
    }

    fn leaders(&self) -> usize {
        let leads = |metrics: u16| {
            get(metrics, "/metrics").is_ok_and(|(_, text)| text.contains("sealwright_leader 1\n"))
        };
        self.replicas
            .iter()
            .filter(|replica| leads(replica.metrics))
            .count()
    }

    fn certificate(&self) -> Certificate {
        let (_, pem) = get(self.replicas[0].api, "/v1/cert.pem").unwrap();
        Certificate::from_pem(pem.as_bytes()).unwrap()
    }

    fn sealed(&self, name: &str) -> SealedSecret {
        let certificate = self.certificate();
        let mut secret = PlainSecret::named(self.namespace.name(), name);
        secret.insert("foo", SecretBytes::copy_of(b"bar"));
        seal(&secret, &certificate, Scope::Strict).unwrap()
    }

    async fn eventually_unsealed(&self, name: &str) -> Secret {
        let secrets: Api<Secret> = self.namespace.api();
        eventually("it is unsealed", async || {
            secrets.get_opt(name).await.unwrap()
        })
        .await
    }
}

#[tokio::test]
async fn a_release_unseals_is_upgraded_and_leaves_crds_and_secrets_when_it_goes() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("chart-release").await;
    // As upstream's chart leaves it.
    cluster.apply(include_str!("../../../deploy/base/crd.yaml"));
    for values in [NAMESPACED, "rbac.clusterRole=true"] {
        let mut release = Release::install(&namespace, values).await;
        release.add_replica().await;
        release.add_replica().await;
        let name = if values == NAMESPACED {
            "before"
        } else {
            "after"
        };
        let sealed: Api<SealedSecret> = namespace.api();
        sealed
            .create(&PostParams::default(), &release.sealed(name))
            .await
            .unwrap();
        release.eventually_unsealed(name).await;
        let before = release.eventually_unsealed("before").await;
        assert_eq!(release.leaders(), 1);
        for replica in release.replicas.drain(..) {
            replica.stop(&namespace).await;
        }
        // The upgrade to other values, and other replicas, changed no Secret.
        let again = release.eventually_unsealed("before").await;
        assert_eq!(
            before.metadata.resource_version,
            again.metadata.resource_version
        );
        assert_eq!(before.metadata.uid, again.metadata.uid);
    }
    let kubeconfig = format!("--kubeconfig={}", cluster.kubeconfig().display());
    let here = format!("--namespace={}", namespace.name());
    helm_ok(&["uninstall", "sealwright", &kubeconfig, &here, "--wait"]);
    let deployments: Api<Deployment> = namespace.api();
    eventually("the Deployment is gone", async || {
        deployments
            .get_opt("sealwright")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    let definitions: Api<CustomResourceDefinition> = Api::all(namespace.client().clone());
    definitions.get("sealedsecrets.bitnami.com").await.unwrap();
    let secrets: Api<Secret> = namespace.api();
    for name in ["before", "after"] {
        secrets.get(name).await.unwrap();
    }
}

/// Replicas are replaced one by one, as a Deployment does it, while SealedSecrets keep coming.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stderr, reason = "a measurement is for reading")]
async fn an_upgrade_with_traffic_changes_no_secret_and_hands_the_lead_over() {
    // The Lease that a replica takes over when another one has vanished without a word.
    const LEASE: Duration = Duration::from_secs(15);
    let cluster = Cluster::start();
    let namespace = cluster.namespace("chart-upgrade").await;
    let mut release = Release::install(&namespace, NAMESPACED).await;
    release.add_replica().await;
    release.add_replica().await;
    let sealed: Api<SealedSecret> = namespace.api();
    let secrets: Api<Secret> = namespace.api();
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = {
        let certificate = release.certificate();
        let (sealed, secrets, stop) = (sealed.clone(), secrets.clone(), Arc::clone(&stop));
        let here = namespace.name().to_owned();
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let name = format!("traffic-{}", waits.len());
                let object = sealed_for(&certificate, Scope::Strict, &here, &name, &[("a", "b")]);
                sealed
                    .create(&PostParams::default(), &object)
                    .await
                    .unwrap();
                let start = Instant::now();
                while secrets.get_opt(&name).await.unwrap().is_none() {
                    assert!(start.elapsed() < 4 * LEASE, "{name} is never unsealed");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                waits.push(start.elapsed());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            waits
        })
    };
    eventually("there are Secrets", async || {
        secrets.get_opt("traffic-5").await.unwrap()
    })
    .await;
    let before = secrets.get("traffic-0").await.unwrap().metadata;

    Release::install(
        &namespace,
        "rbac.clusterRole=false,rbac.namespacedRoles=true,logLevel=DEBUG",
    )
    .await;
    for _ in 0..2 {
        release.add_replica().await;
        assert!(release.leaders() <= 1);
        release.replicas.remove(0).stop(&namespace).await;
        assert!(release.leaders() <= 1);
    }
    eventually("a new replica leads", async || {
        (release.leaders() == 1).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let waits = traffic.await.unwrap();
    let longest = waits.iter().max().unwrap();
    eprintln!(
        "{} SealedSecrets, the longest wait was {longest:?}",
        waits.len()
    );
    assert!(*longest < LEASE, "{longest:?}");
    let after = secrets.get("traffic-0").await.unwrap().metadata;
    assert_eq!(
        (after.uid, after.resource_version),
        (before.uid, before.resource_version)
    );
    for replica in release.replicas.drain(..) {
        replica.stop(&namespace).await;
    }
}

/// Each of these rules is needed: without it, what is said next cannot be done.
#[tokio::test]
async fn no_role_of_the_chart_grants_more_than_its_work() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("chart-roles").await;
    let release = Release::install(&namespace, NAMESPACED).await;
    let user = release.account.user();
    let may = |verb: &str, resource: &str, place: &str| {
        let mut command = Command::new(incumbents::kubectl());
        command.arg("--kubeconfig").arg(cluster.kubeconfig());
        command
            .args(["auth", "can-i", verb])
            .args(resource.split(' '));
        command.args(["--as", &user, "--namespace", place]);
        run(&mut command, b"").status.success()
    };
    let here = namespace.name();
    for (verb, resource) in [
        ("watch", "sealedsecrets.bitnami.com"),
        ("update", "sealedsecrets.bitnami.com --subresource=status"),
        ("create", "secrets"),
        ("update", "secrets"),
        ("create", "events"),
        ("create", "leases.coordination.k8s.io"),
        ("update", "leases.coordination.k8s.io/sealwright"),
    ] {
        assert!(may(verb, resource, here), "{verb} {resource}");
    }
    for (verb, resource, place) in [
        ("delete", "secrets", here),
        ("patch", "secrets", here),
        ("list", "secrets", "default"),
        ("update", "sealedsecrets.bitnami.com", here),
        ("get", "leases.coordination.k8s.io/other", here),
        ("list", "configmaps", here),
        ("create", "serviceaccounts/token", here),
        ("create", "pods", here),
    ] {
        assert!(!may(verb, resource, place), "{verb} {resource} in {place}");
    }
}

#[test]
fn a_release_that_is_down_is_missed_though_another_one_is_up() {
    let text = rendered("monitoring.yaml", "metrics.prometheusRule.enabled=true");
    let rule = "expr: absent(sealwright_build_info{namespace=\"here\"})\n";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn alerts_fire_when_they_should_and_every_one_has_a_page() {
    let folder = tempfile_folder();
    let fixtures = format!("{}/fixtures/prometheus", env!("CARGO_MANIFEST_DIR"));
    let rules = include_str!("../../../deploy/chart/files/rules.yaml");
    std::fs::write(folder.join("rules.yaml"), rules).unwrap();
    std::fs::copy(
        format!("{fixtures}/rules.test.yaml"),
        folder.join("rules.test.yaml"),
    )
    .unwrap();
    let promtool = incumbents::promtool();
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules.test.yaml"],
    ] {
        let output = run(
            Command::new(&promtool).args(arguments).current_dir(&folder),
            b"",
        );
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let tests = std::fs::read_to_string(format!("{fixtures}/rules.test.yaml")).unwrap();
    let mut number = 0;
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        number += 1;
        assert!(
            tests.contains(&format!("alertname: {alert}\n")),
            "{alert} is not tested"
        );
        let page = format!(
            "{}/../docs/src/runbooks/{alert}.md",
            env!("CARGO_MANIFEST_DIR")
        );
        assert!(std::path::Path::new(&page).is_file(), "{alert} has no page");
        assert!(
            rules.contains(&format!("/runbooks/{alert}.html")),
            "{alert}"
        );
    }
    assert_eq!(number, 14);
}

fn tempfile_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sealwright-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// As much of the Prometheus Operator as its objects need to be stored.
const MONITORING: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PodMonitor, plural: podmonitors, singular: podmonitor}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PrometheusRule, plural: prometheusrules, singular: prometheusrule}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
";

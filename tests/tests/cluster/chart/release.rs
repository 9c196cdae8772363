//! Releases of the chart: their replicas, upgrades and roles.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use sealwright_crypto::sealing::Certificate;
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{SealedSecret, seal};
use sealwright_tests::harness::cluster::{Account, Cluster, Namespace, eventually, run};
use sealwright_tests::harness::upstream;

use super::super::kubelet::{Replica, get};
use super::super::sealed_secrets::rig::sealed_for;
use super::helm::{NAMESPACED, chart, helm_ok};

/// A release of the chart, and its replicas, started from the Deployment as it is in the cluster.
pub(crate) struct Release<'a> {
    namespace: &'a Namespace<'a>,
    pub(crate) account: Account,
    pub(crate) replicas: Vec<Replica>,
    /// How many replicas there have been.
    started: usize,
}

impl<'a> Release<'a> {
    /// Installs or upgrades the release.
    pub(crate) async fn install(namespace: &'a Namespace<'a>, values: &str) -> Self {
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
    pub(crate) async fn add_replica(&mut self) {
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
    cluster.apply(include_str!("../../../../deploy/base/crd.yaml"));
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
        let mut command = Command::new(upstream::kubectl());
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

//! Kinds that are not installed, or not any more: left out without harm, and joined when they appear.

use kube::api::Api;
use sealwright_tests::harness::cluster::{Cluster, eventually};

use super::rig::{Rig, Variant};

const CRD: &str = "customresourcedefinitions/sealedsecrets.bitnami.com";

fn install_again(cluster: &Cluster) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/base/crd.yaml");
    cluster.apply(&std::fs::read_to_string(path).unwrap());
}

async fn eventually_logged(rig: &Rig<'_>, what: &str, times: usize) {
    eventually(&format!("the log says {times} times: {what}"), async || {
        (rig.logs().matches(what).count() >= times).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_definition_that_comes_late_or_goes_and_comes_back_needs_no_restart() {
    let cluster = Cluster::start();
    let mut rig = Rig::prepare(&cluster, "late", Variant::Namespaced).await;
    cluster.kubectl(&["delete", CRD]);
    rig.add_replica();
    eventually_logged(&rig, "the API server does not serve this kind", 1).await;
    for round in 1..3 {
        install_again(&cluster);
        eventually_logged(&rig, "the API server serves this kind now", round).await;
        let name = format!("a{round}");
        rig.create(&rig.sealed(&name, &[("foo", "bar")])).await;
        rig.eventually_synced(&name, "True").await;
        rig.delete_secret(&name).await;
        rig.eventually_data(&name, &[("foo", "bar")]).await;
        // Everything of the kind goes, and the garbage collector takes the Secrets.
        cluster.kubectl(&["delete", CRD]);
        eventually_logged(&rig, "the API server does not serve this kind", round + 1).await;
    }
    assert_eq!(rig.http("GET", "/readyz", "", "").status, 200);
    let complaints = rig.logs().matches("cannot watch, trying again").count();
    assert!(complaints < 3, "{}", rig.logs());
}

#[tokio::test]
async fn the_variable_kubeconfig_is_honoured() {
    let mut rig = Rig::prepare(
        sealwright_tests::harness::cluster::cluster(),
        "variable",
        Variant::Namespaced,
    )
    .await;
    rig.kubeconfig_by_variable();
    rig.add_replica();
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = rig.namespace.api();
    assert!(leases.get("sealed-secrets-controller").await.is_ok());
}

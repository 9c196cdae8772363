//! Leader election beside a real API server: there is never more than one leader.

use std::time::{Duration, Instant};

use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::Cluster;

use super::rig::{Rig, Variant};

/// Waits until one of the first two replicas leads, and fails as soon as both do.
async fn eventually_one_leads(rig: &Rig<'_>) {
    let start = Instant::now();
    loop {
        match (rig.leads(0), rig.leads(1)) {
            (true, true) => panic!("two leaders: {}", rig.logs()),
            (false, false) => {}
            _ => return,
        }
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "no leader: {}",
            rig.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn two_replicas_whose_role_comes_late_never_both_lead() {
    let mut rig = Rig::prepare(cluster(), "late-role", Variant::Namespaced).await;
    let here = rig.namespace.name().to_owned();
    let role = include_str!("../../../../deploy/base/key-admin.yaml");
    let role = role.replace("namespace: kube-system", &format!("namespace: {here}"));
    let without = role.replace("resources: [leases]", "resources: [none]");
    assert_ne!(role, without);
    cluster().apply(&without);
    rig.add_unready_replica();
    rig.add_unready_replica();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        assert!(!rig.leads(0) && !rig.leads(1), "{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster().apply(&role);
    eventually_one_leads(&rig).await;
    // The one that does not lead sees the Lease by now: it stays so.
    let refused = "leader election does not work, trying again";
    assert!(rig.logs().contains(refused), "the Role came late");
    assert!(
        !rig.logs().contains("must be the only one"),
        "{}",
        rig.logs()
    );
    assert!(!(rig.leads(0) && rig.leads(1)));
}

#[tokio::test]
async fn an_api_server_that_restarts_while_replicas_start_makes_no_second_leader() {
    let cluster = Cluster::start();
    let mut rig = Rig::prepare(&cluster, "restart-start", Variant::Namespaced).await;
    cluster.stop_api_server();
    rig.add_unready_replica();
    rig.add_unready_replica();
    cluster.start_api_server();
    eventually_one_leads(&rig).await;
    for _ in 0..2 {
        let leader = if rig.leads(0) { 0 } else { 1 };
        rig.kill(leader);
        cluster.stop_api_server();
        rig.restart_unready(leader);
        cluster.start_api_server();
        eventually_one_leads(&rig).await;
        assert!(
            !rig.logs().contains("must be the only one"),
            "{}",
            rig.logs()
        );
    }
}

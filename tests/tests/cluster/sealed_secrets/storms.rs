//! Restarts, kills, several replicas, other writers, an API server that goes away.

use std::time::Duration;

use futures::StreamExt;
use sealwright_resources::sealed_secret::SealedSecret;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::{Cluster, eventually};
use serde_json::json;

use super::rig::{A_MOMENT, Rig, Variant, data, version};

async fn create_many(rig: &Rig<'_>, count: usize) {
    let certificate = rig.certificate();
    for number in 0..count {
        let sealed = super::rig::sealed_for(
            &certificate,
            sealwright_resources::scope::Scope::Strict,
            rig.namespace.name(),
            &format!("s{number}"),
            &[("foo", "bar")],
        );
        rig.create(&sealed).await;
    }
}

async fn eventually_all_synced(rig: &Rig<'_>, count: usize) {
    eventually("all are synced", async || {
        let list = rig
            .sealed_secrets()
            .list(&Default::default())
            .await
            .unwrap();
        let synced = |sealed: &SealedSecret| {
            let status = sealed.status.as_ref();
            status.is_some_and(|status| {
                status
                    .conditions
                    .iter()
                    .any(|condition| condition.kind == "Synced" && condition.status == "True")
            })
        };
        (list.items.iter().filter(|sealed| synced(sealed)).count() == count).then_some(())
    })
    .await;
}

async fn versions(rig: &Rig<'_>) -> Vec<(String, String)> {
    let list = rig.secrets().list(&Default::default()).await.unwrap();
    let mut versions: Vec<_> = list
        .items
        .iter()
        .map(|secret| (secret.metadata.name.clone().unwrap(), version(secret)))
        .collect();
    versions.sort();
    versions
}

#[tokio::test]
async fn a_restart_does_nothing_when_nothing_changed_and_repairs_what_did() {
    let mut rig = Rig::start(cluster(), "restart", &[]).await;
    create_many(&rig, 20).await;
    eventually_all_synced(&rig, 20).await;
    let before = versions(&rig).await;
    assert_eq!(rig.terminate(0), "exited exit status: 0");

    rig.patch_secret("s3", json!({"stringData": {"foo": "edited"}}))
        .await;
    rig.delete_secret("s4").await;
    let mark = rig.sealed_secrets().get("s5").await.unwrap();
    let requests = rig.namespace.cluster().requests().len();

    rig.restart(0);
    rig.eventually_data("s3", &[("foo", "bar")]).await;
    rig.eventually_data("s4", &[("foo", "bar")]).await;
    eventually("the rest was skipped", async || {
        (rig.metric("sealwright_sealed_secrets_unchanged_total") == 18.0).then_some(())
    })
    .await;
    eventually_all_synced(&rig, 20).await;
    let after = versions(&rig).await;
    for (old, new) in before.iter().zip(&after) {
        let repaired = ["s3", "s4"].contains(&old.0.as_str());
        assert_eq!(old == new, !repaired, "{old:?} {new:?}");
    }
    let same = rig.sealed_secrets().get("s5").await.unwrap();
    assert_eq!(
        mark.metadata.resource_version,
        same.metadata.resource_version
    );
    let ours = format!("system:serviceaccount:{}:", rig.namespace.name());
    let written: Vec<_> = rig
        .namespace
        .cluster()
        .requests()
        .into_iter()
        .skip(requests)
        .filter(|request| request.user().starts_with(&ours))
        .filter(|request| {
            ["secrets", "sealedsecrets/status"].contains(&request.resource().as_str())
        })
        .filter(|request| !["list", "watch", "get"].contains(&request.verb.as_str()))
        .map(|request| request.uri.clone())
        .collect();
    assert!(
        written
            .iter()
            .all(|uri| uri.contains("s3") || uri.contains("s4") || uri.contains("/secrets?")),
        "{written:?}"
    );
}

#[tokio::test]
async fn a_tenant_cannot_forge_the_proof_that_nothing_changed() {
    use kube::api::{Patch, PatchParams};
    let mut rig = Rig::start(cluster(), "forge", &[]).await;
    create_many(&rig, 1).await;
    eventually_all_synced(&rig, 1).await;
    rig.terminate(0);
    let edited = rig
        .patch_secret("s0", json!({"stringData": {"foo": "forged"}}))
        .await;
    // The tenant writes the version of the Secret that he made into the status.
    let sealed = rig.sealed_secrets().get("s0").await.unwrap();
    let mut status = serde_json::to_value(sealed.status.unwrap()).unwrap();
    for condition in status["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Applied" {
            let message = condition["message"].as_str().unwrap().to_owned();
            let mut words: Vec<&str> = message.split(' ').collect();
            let version = version(&edited);
            words[2] = &version;
            condition["message"] = words.join(" ").into();
        }
    }
    rig.sealed_secrets()
        .patch_status(
            "s0",
            &PatchParams::default(),
            &Patch::Merge(json!({"status": status})),
        )
        .await
        .unwrap();
    rig.restart(0);
    rig.eventually_data("s0", &[("foo", "bar")]).await;
}

#[tokio::test]
async fn kill_9_at_random_moments_loses_nothing_and_does_nothing_twice() {
    const ROUNDS: usize = 10;
    const EACH: usize = 100;
    // Objects that the controller works on at a time.
    const WORKERS: usize = 12;
    let flags = ["--key-renew-period=3s", "--leader-elect=false"];
    let mut rig = Rig::start(cluster(), "kill", &flags).await;
    let mut keys = rig.key_names().await;
    for round in 0..ROUNDS {
        let certificate = rig.certificate();
        let make = |number: usize| {
            let (strict, here) = (
                sealwright_resources::scope::Scope::Strict,
                rig.namespace.name(),
            );
            let name = format!("s{number}");
            let sealed =
                super::rig::sealed_for(&certificate, strict, here, &name, &[("foo", "bar")]);
            let rig = &rig;
            async move { rig.create(&sealed).await }
        };
        let numbers = round * EACH..(round + 1) * EACH;
        futures::stream::iter(numbers.map(make))
            .buffer_unordered(10)
            .collect::<Vec<_>>()
            .await;
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), round);
        tokio::time::sleep(Duration::from_millis(random % 700)).await;
        rig.kill_and_restart(0);
        let now = rig.key_names().await;
        assert!(keys.iter().all(|key| now.contains(key)), "a key was lost");
        keys = now;
    }
    eventually_all_synced(&rig, ROUNDS * EACH).await;
    let secrets = rig.secrets().list(&Default::default()).await.unwrap();
    let made: Vec<_> = secrets
        .iter()
        .filter(|secret| secret.type_.as_deref() == Some("Opaque"))
        .collect();
    assert_eq!(made.len(), ROUNDS * EACH);
    assert!(made.iter().all(|secret| data(secret)["foo"] == "bar"));
    // Whatever was interrupted, no Secret was written again, and no status but of what was under way at a kill.
    let user = rig.account.user();
    let requests = rig.namespace.cluster().requests();
    let count = |resource: &str, verb: &str| {
        let ours = requests
            .iter()
            .filter(|request| request.user() == user && request.code() < 400);
        ours.filter(|request| request.resource() == resource && request.verb == verb)
            .count()
    };
    assert_eq!(
        (count("secrets", "update"), count("secrets", "patch")),
        (0, 0)
    );
    assert!(count("secrets", "create") <= ROUNDS * EACH + rig.key_names().await.len());
    let told = count("sealedsecrets/status", "update");
    assert!(told <= ROUNDS * (EACH + WORKERS), "{told}");
}

#[tokio::test]
async fn two_replicas_make_one_key_and_the_second_takes_over() {
    let mut rig = Rig::prepare(cluster(), "replicas", Variant::Namespaced).await;
    rig.add_replica();
    rig.add_replica();
    assert_eq!(rig.key_names().await.len(), 1);
    create_many(&rig, 5).await;
    eventually_all_synced(&rig, 5).await;
    assert!(rig.leads(0) && !rig.leads(1));
    assert!(rig.metrics_of(0).contains("condition_info{"));
    assert!(!rig.metrics_of(1).contains("condition_info{"));
    let before = versions(&rig).await;
    let held = rig.lease().await;
    rig.kill(0);
    eventually("the other one leads", async || rig.leads(1).then_some(())).await;
    // The Lease was not given up, so it was taken, once, and not before its time was over.
    let taken = rig.lease().await;
    let [old, new] = [&held, &taken].map(|lease| lease.spec.clone().unwrap());
    assert_ne!(old.holder_identity, new.holder_identity);
    assert_eq!(
        old.lease_transitions.unwrap() + 1,
        new.lease_transitions.unwrap()
    );
    let silent = new
        .acquire_time
        .unwrap()
        .0
        .duration_since(old.renew_time.unwrap().0);
    assert!(silent.as_secs() >= 12, "{silent:?}");
    rig.delete_secret("s1").await;
    rig.eventually_data("s1", &[("foo", "bar")]).await;
    let after = versions(&rig).await;
    assert_eq!(
        before
            .iter()
            .zip(&after)
            .filter(|(one, other)| one != other)
            .count(),
        1
    );
    // A replica that ends in peace hands the Lease over at once.
    rig.restart(0);
    rig.terminate(1);
    let left = rig.lease().await.spec.unwrap().holder_identity;
    assert_ne!(left, new.holder_identity, "it holds nothing any more");
    eventually("the first one leads again", async || {
        rig.leads(0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_api_server_that_goes_away_is_waited_for() {
    let cluster = Cluster::start();
    let rig = Rig::start(&cluster, "away", &[]).await;
    create_many(&rig, 3).await;
    eventually_all_synced(&rig, 3).await;
    cluster.stop_api_server();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(rig.http("GET", "/healthz", "", "").status, 200);
    assert_eq!(rig.http("GET", "/v1/cert.pem", "", "").status, 200);
    cluster.start_api_server();
    let sealed = rig.sealed("late", &[("foo", "bar")]);
    rig.create(&sealed).await;
    rig.eventually_data("late", &[("foo", "bar")]).await;
    rig.delete_secret("s1").await;
    rig.eventually_data("s1", &[("foo", "bar")]).await;
    let complaints = rig.logs().matches("cannot watch, trying again").count();
    assert!(complaints < 12, "{complaints}");
}

#[tokio::test]
async fn an_expired_watch_is_listed_again_and_misses_nothing() {
    let cluster = Cluster::start();
    let rig = Rig::start(&cluster, "expired", &[]).await;
    create_many(&rig, 5).await;
    eventually_all_synced(&rig, 5).await;
    let late = rig.sealed("late", &[("foo", "bar")]);
    // Everything moves on, so that a restarted API server does not know the versions of the watches any more.
    for number in 0..20 {
        let name = json!({"metadata": {"name": format!("filler-{number}")}});
        let filler: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_value(name).unwrap();
        rig.namespace.create(&filler).await;
    }
    cluster.stop_api_server();
    cluster.start_api_server();
    // None of this is seen as it happens.
    rig.delete_secret("s0").await;
    rig.patch_secret("s1", json!({"stringData": {"foo": "edited"}}))
        .await;
    rig.sealed_secrets()
        .delete("s2", &Default::default())
        .await
        .unwrap();
    rig.create(&late).await;
    for name in ["s0", "s1", "s3", "s4", "late"] {
        rig.eventually_data(name, &[("foo", "bar")]).await;
    }
    eventually("the garbage collector has been there", async || {
        rig.secret("s2").await.is_none().then_some(())
    })
    .await;
    eventually("what is gone has no series", async || {
        (!rig.metrics_of(0).contains("name=\"s2\"")).then_some(())
    })
    .await;
    let logs = rig.logs();
    assert!(
        logs.contains("the watch has expired, listing again"),
        "{logs}"
    );
}

#[tokio::test]
async fn t9_another_writer_is_not_overwritten_unseen_and_does_not_win() {
    let rig = Rig::start(cluster(), "writer", &[]).await;
    create_many(&rig, 1).await;
    eventually_all_synced(&rig, 1).await;
    for round in 0..8 {
        rig.patch_secret(
            "s0",
            json!({"stringData": {"foo": format!("edit {round}")}}),
        )
        .await;
    }
    rig.eventually_data("s0", &[("foo", "bar")]).await;
    tokio::time::sleep(A_MOMENT).await;
    let quiet = rig.secret("s0").await.unwrap();
    tokio::time::sleep(A_MOMENT).await;
    assert_eq!(version(&quiet), version(&rig.secret("s0").await.unwrap()));
}

#[tokio::test]
async fn cluster_wide_under_the_shipped_roles() {
    let cluster = Cluster::start();
    let mut rig = Rig::prepare(&cluster, "wide", Variant::ClusterWide).await;
    rig.add_replica();
    let other = cluster.namespace("tenant").await;
    let sealed = super::rig::sealed_for(
        &rig.certificate(),
        sealwright_resources::scope::Scope::Strict,
        other.name(),
        "a",
        &[("foo", "bar")],
    );
    other.create(&sealed).await;
    eventually("the other namespace is served", async || {
        let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> = other.api();
        secrets.get_opt("a").await.unwrap()
    })
    .await;
    rig.create(&rig.sealed("b", &[("foo", "bar")])).await;
    rig.eventually_synced("b", "True").await;
}

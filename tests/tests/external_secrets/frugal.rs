//! What vaults and the API server are asked, and how often.

use std::time::{Duration, Instant};

use sealwright_tests::harness::cluster::eventually;
use sealwright_tests::harness::fault_proxy::{Fault, FaultProxy};
use serde_json::{Value, json};

use super::rig;
use super::scene::{Scene, bao_store, bao_token, condition, external_secret, put, secret};

/// Two values of two keys.
fn pair(beginning: &str, number: usize, keys: usize, interval: &str) -> Value {
    let value = |key: &str, at: usize| json!({"secretKey": key, "remoteRef": {"key": format!("{beginning}-{}", at % keys), "property": key}});
    json!({
        "secretStoreRef": {"name": "bao"}, "refreshInterval": interval,
        "data": [value("user", number), value("pass", number + 1)],
    })
}

/// Waits until so many objects say so.
async fn all_are(scene: &Scene, ready: bool, count: usize) {
    let wanted = if ready { "True" } else { "False" };
    eventually(&format!("all are Ready={wanted}"), async || {
        let objects = scene.list(0, "ExternalSecret").await;
        let such = objects
            .iter()
            .filter(|object| condition(object)["status"] == wanted);
        (such.count() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn objects_share_reads_and_so_they_do_when_their_store_is_back() {
    const OBJECTS: usize = 60;
    const KEYS: usize = 6;
    let bao = rig::vault().server();
    let reads = || {
        bao.calls(|operation, path| operation == "read" && path.starts_with("secret/data/frugal-"))
    };
    let proxy = FaultProxy::start(bao.port());
    let mut scene = Scene::prepare("frugal", 1, "").await;
    for key in 0..KEYS {
        put(
            bao,
            &format!("frugal-{key}"),
            &json!({"user": "u", "pass": "p"}),
        );
    }
    scene.apply(0, bao_token()).await;
    scene.apply(0, bao_store("bao", &proxy.address())).await;
    for number in 0..OBJECTS {
        let spec = pair("frugal", number, KEYS, "20s");
        let object = external_secret(&format!("es-{number}"), spec);
        scene.apply(0, object).await;
    }
    scene.start_controller();
    all_are(&scene, true, OBJECTS).await;
    // On a slow machine the first of them are refreshed before the last are made.
    let first = reads();
    assert!(first <= 2 * KEYS, "{first} reads");

    // The vault fails in one way and in another, and so does every object when it is refreshed.
    for fault in [Fault::Failed, Fault::HalfOpen] {
        proxy.always(fault);
        all_are(&scene, false, OBJECTS).await;
        let before = reads();
        proxy.always(Fault::None);
        let back = Instant::now();
        all_are(&scene, true, OBJECTS).await;
        let (after, needed) = (back.elapsed(), reads() - before);
        println!(
            "{OBJECTS} objects are ready {after:?} after the vault is back, with {needed} reads"
        );
        // One a key, but for those that were on their way when the vault came back.
        assert!(
            (KEYS..=2 * KEYS).contains(&needed),
            "{needed} reads after the vault was back ({fault:?})"
        );
        // Five seconds at most on a machine with nothing else to do; by their own back-off it would be a minute.
        assert!(after < Duration::from_secs(20), "{after:?}");
    }
    let metrics = scene.metrics();
    let failed = "externalsecret_provider_api_calls_count{call=\"ReadSecretData\",provider=\"HashiCorp/Vault\",status=\"error\"}";
    for line in [failed, &failed.replace("error", "success")] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn a_refresh_without_a_change_costs_the_api_server_two_requests_and_reads_no_secret() {
    let bao = rig::vault().server();
    put(bao, "quiet-0", &json!({"user": "u", "pass": "p"}));
    let scene = Scene::start("quiet", 1, "").await;
    scene.apply(0, bao_token()).await;
    scene.apply(0, bao_store("bao", &bao.address())).await;
    scene
        .apply(0, external_secret("es", pair("quiet", 0, 1, "1s")))
        .await;
    scene.eventually_ready(0, "es", true).await;
    let user = scene.account.user();
    let namespace = scene.name(0).to_owned();
    let asked = || {
        let requests = scene.cluster().requests_of(&user);
        let own = requests
            .into_iter()
            .filter(|request| request.namespace() == namespace && request.verb != "watch");
        own.map(|request| format!("{} {}", request.verb, request.resource()))
            .collect::<Vec<_>>()
    };
    let statuses = |asked: &[String]| {
        let status = "update externalsecrets/status";
        asked.iter().filter(|request| *request == status).count()
    };
    // After a few refreshes nothing of the start is left.
    let settled = eventually("three refreshes", async || {
        Some(asked()).filter(|asked| statuses(asked) >= 3)
    })
    .await;
    let after = eventually("six more refreshes", async || {
        Some(asked()).filter(|asked| statuses(asked) >= statuses(&settled) + 6)
    })
    .await;
    let new = &after[settled.len()..];
    let touched = new.iter().any(|request| request.ends_with(" secrets"));
    assert!(!touched, "{new:?}");
    let own = new
        .iter()
        .filter(|request| request.contains(" externalsecrets"));
    assert!(own.count() <= 2 * statuses(new) + 1, "{new:?}");
}

#[tokio::test]
async fn a_target_that_is_deleted_or_edited_comes_back_at_once() {
    let scene = Scene::start("back", 1, "").await;
    let values = [("a".to_owned(), "one".to_owned())];
    scene.apply(0, super::scene::fake("fake", &values)).await;
    let spec = json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "24h",
        "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]});
    scene.apply(0, external_secret("es", spec)).await;
    scene.eventually_has(0, "es", "k", "one").await;
    // The next refresh is a day away.
    scene.delete(0, "Secret", "es").await;
    scene.eventually_has(0, "es", "k", "one").await;
    let edited = json!({"stringData": {"k": "edited"}});
    scene.patch(0, "Secret", "es", edited).await;
    scene.eventually_has(0, "es", "k", "one").await;
    // A template's source that comes late is not waited for either.
    let spec = json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "24h",
        "target": {"template": {"templateFrom": [{"secret": {"name": "late", "items": [{"key": "t"}]}}]}},
        "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]});
    scene.apply(0, external_secret("late-es", spec)).await;
    scene.eventually_ready(0, "late-es", false).await;
    scene
        .apply(0, secret("late", json!({"t": "<{{ .k }}>"})))
        .await;
    scene.eventually_has(0, "late-es", "t", "<one>").await;
}

#[tokio::test]
async fn a_value_that_comes_late_is_found_by_the_next_question() {
    let bao = rig::vault().server();
    let scene = Scene::start("late-value", 1, "").await;
    scene.apply(0, bao_token()).await;
    scene.apply(0, bao_store("bao", &bao.address())).await;
    scene
        .apply(0, external_secret("es", pair("late-value", 0, 1, "1h")))
        .await;
    // It is not there yet, and once more it has gone.
    for touched in ["1", "2"] {
        let edited = json!({"metadata": {"annotations": {"force-sync": touched}}});
        scene.patch(0, "ExternalSecret", "es", edited).await;
        scene.eventually_ready(0, "es", false).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let values = json!({"user": touched, "pass": "p"});
        put(bao, "late-value-0", &values);
        let start = Instant::now();
        scene.eventually_has(0, "es", "user", touched).await;
        let took = start.elapsed();
        // By its own questions, of which the last of these is half a minute after the one before.
        assert!(took < Duration::from_secs(45), "{took:?}");
        scene.eventually_ready(0, "es", true).await;
        bao.api("DELETE", "secret/metadata/late-value-0", None);
    }
}

//! Many objects at once, and stores that do not answer: no object waits for another's store.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use sealwright_tests::harness::cluster::eventually;
use serde_json::{Value, json};

use super::scene::{Scene, condition, external_secret, fake, secret, store};

/// As many as have starved before.
const MANY: usize = 160;
/// Objects of stores that accept questions and never answer.
const STUCK: usize = 120;
const DEAD_STORES: usize = 3;

/// A server that takes connections, and says nothing. It lives as long as the process.
fn silence() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let connections: Vec<_> = listener.incoming().flatten().collect();
        drop(connections);
    });
    format!("http://{address}")
}

fn reads(store: &str, key: &str) -> Value {
    json!({"secretStoreRef": {"name": store}, "refreshInterval": "1h",
        "data": [{"secretKey": "k", "remoteRef": {"key": key}}]})
}

async fn create_all(scene: &Scene, place: usize, objects: Vec<Value>) {
    let all = objects.into_iter().map(|object| scene.apply(place, object));
    let all: Vec<Value> = stream::iter(all).buffered(16).collect().await;
    drop(all);
}

/// Creates objects, and says how long it takes until all of them are ready.
async fn ready_after(scene: &Scene, place: usize, objects: Vec<Value>) -> Duration {
    let start = Instant::now();
    let kind = objects[0]["kind"].as_str().unwrap().to_owned();
    let names: BTreeSet<String> = objects.iter().map(name).collect();
    create_all(scene, place, objects).await;
    eventually("all are ready", async || {
        let objects = scene.list(place, &kind).await;
        let ready = objects.iter().filter(|object| {
            names.contains(&name(object)) && condition(object)["status"] == "True"
        });
        (ready.count() == names.len()).then_some(())
    })
    .await;
    start.elapsed()
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Creates objects that can be had at once, and says how long it takes until the last is ready.
async fn quick(scene: &Scene, place: usize, name: &str) -> Duration {
    let objects =
        (0..MANY).map(|number| external_secret(&format!("{name}-{number}"), reads("fake", "a")));
    ready_after(scene, place, objects.collect()).await
}

#[tokio::test]
async fn objects_of_stores_that_do_not_answer_hold_up_no_other() {
    let scene = Scene::start("crowd", 2, "").await;
    for place in 0..2 {
        scene
            .apply(place, fake("fake", &[("a".to_owned(), "one".to_owned())]))
            .await;
    }
    let alone = quick(&scene, 0, "alone").await;

    for number in 0..DEAD_STORES {
        // A store of this provider counts as ready without a question.
        let provider = json!({"webhook": {"url": format!("{}/{{{{ .remoteRef.key }}}}", silence()),
            "result": {"jsonPath": "$.value"}}});
        scene
            .apply(0, store(&format!("dead-{number}"), provider))
            .await;
    }
    let stuck = (0..STUCK).map(|number| {
        let store = format!("dead-{}", number % DEAD_STORES);
        external_secret(
            &format!("stuck-{number}"),
            reads(&store, &format!("key-{number}")),
        )
    });
    create_all(&scene, 0, stuck.collect()).await;
    // They are in the same namespace and in another.
    for place in 0..2 {
        let beside = quick(&scene, place, "beside").await;
        let bound = 3 * alone + Duration::from_secs(5);
        assert!(
            beside <= bound,
            "{beside:?} beside stuck objects, {alone:?} alone"
        );
    }
    // Those that are stuck say so in the end.
    eventually("all that are stuck say so", async || {
        let objects = scene.list(0, "ExternalSecret").await;
        let failed = objects
            .iter()
            .filter(|object| condition(object)["status"] == "False");
        (failed.count() == STUCK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pushes_to_a_store_that_does_not_answer_hold_up_no_other() {
    const QUICK: usize = 20;
    let scene = Scene::start("crowd-push", 2, "").await;
    let push = |name: String, store: &str| {
        json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": name},
            "spec": {"refreshInterval": "1h", "secretStoreRefs": [{"name": store, "kind": "SecretStore"}],
                "selector": {"secret": {"name": "source"}},
                "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": "a"}}}]}})
    };
    for place in 0..2 {
        scene
            .apply(place, fake("fake", &[("b".to_owned(), "one".to_owned())]))
            .await;
        scene
            .apply(place, secret("source", json!({"k": "value"})))
            .await;
    }
    let pushed = async |place: usize, name: &str| {
        let objects = (0..QUICK).map(|number| push(format!("{name}-{number}"), "fake"));
        ready_after(&scene, place, objects.collect()).await
    };
    let alone = pushed(0, "alone").await;
    let provider = json!({"vault": {"server": silence(), "path": "secret", "version": "v2",
        "auth": {"tokenSecretRef": {"name": "source", "key": "k"}}}});
    scene.apply(0, store("dead", provider)).await;
    let stuck = (0..MANY).map(|number| push(format!("stuck-{number}"), "dead"));
    create_all(&scene, 0, stuck.collect()).await;
    // They are in the same namespace and in another.
    for place in 0..2 {
        let beside = pushed(place, "beside").await;
        let bound = 3 * alone + Duration::from_secs(5);
        assert!(
            beside <= bound,
            "{beside:?} beside stuck pushes, {alone:?} alone"
        );
    }
}

#[tokio::test]
async fn many_expensive_templates_at_once_stay_below_the_memory_of_the_deployment() {
    const LIMIT: u64 = 128 << 20;
    const COSTLY: usize = 60;
    let scene = Scene::start("costly", 1, "").await;
    let large = ("a".to_owned(), "0123456789".repeat(25_000));
    scene.apply(0, fake("fake", &[large])).await;
    // Each holds some megabytes while it is rendered.
    let template =
        "{{ $a := repeat 4 .k }}{{ $b := repeat 4 .k }}{{ $c := repeat 4 .k }}{{ len $c }}";
    scene
        .apply(0, secret("templates", json!({"t": template})))
        .await;
    let objects = (0..COSTLY).map(|number| {
        let mut spec = reads("fake", "a");
        spec["target"] = json!({"template": {"templateFrom": [
            {"secret": {"name": "templates", "items": [{"key": "t"}]}}]}});
        external_secret(&format!("es-{number}"), spec)
    });
    create_all(&scene, 0, objects.collect()).await;
    eventually("all are dealt with", async || {
        let objects = scene.list(0, "ExternalSecret").await;
        let done = objects
            .iter()
            .filter(|object| condition(object)["status"].is_string());
        (done.count() == COSTLY).then_some(())
    })
    .await;
    let peak = scene.memory();
    println!("{COSTLY} costly objects: peak of {peak} kB");
    assert!(peak * 1024 < LIMIT, "{peak} kB");
}

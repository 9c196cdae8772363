//! What is gone from a vault, and what becomes of it.

use serde_json::{Value, json};

use super::scene::{Scene, condition, external_secret, fake};

fn values(range: std::ops::Range<usize>) -> Vec<(String, String)> {
    range
        .map(|number| (format!("key-{number}"), format!("value-{number}")))
        .collect()
}

fn one(number: usize) -> Value {
    json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "1h", "target": {"deletionPolicy": "Delete"},
        "data": [{"secretKey": "k", "remoteRef": {"key": format!("key-{number}")}}]})
}

/// Waits until every object has dealt with the store as it is now: each of them says so in its status.
async fn all_ready(scene: &Scene, count: usize, ready: bool) {
    for number in 0..count {
        scene
            .eventually_ready(0, &format!("es-{number}"), ready)
            .await;
    }
}

#[tokio::test]
async fn most_of_a_store_gone_at_once_deletes_nothing_until_someone_says_so() {
    const KEYS: usize = 12;
    let scene = Scene::start("mass", 1, "").await;
    scene.apply(0, fake("fake", &values(0..KEYS))).await;
    for number in 0..KEYS {
        scene
            .apply(0, external_secret(&format!("es-{number}"), one(number)))
            .await;
    }
    all_ready(&scene, KEYS, true).await;

    // Two of twelve are a deletion.
    scene.apply(0, fake("fake", &values(2..KEYS))).await;
    refresh(&scene, KEYS, "1").await;
    for number in 0..2 {
        let name = format!("es-{number}");
        sealwright_tests::harness::cluster::eventually("it is deleted", async || {
            let gone = scene.get(0, "Secret", &name).await.is_none();
            let object = scene.get(0, "ExternalSecret", &name).await?;
            (gone && condition(&object)["reason"] == "SecretDeleted").then_some(())
        })
        .await;
    }

    // Nine of ten are an accident.
    scene.apply(0, fake("fake", &values(2..3))).await;
    refresh(&scene, KEYS, "2").await;
    for number in 3..KEYS {
        let object = scene
            .eventually_ready(0, &format!("es-{number}"), false)
            .await;
        let message = condition(&object)["message"].as_str().unwrap();
        assert!(
            message.contains("more than half of the known keys"),
            "{message}"
        );
        assert!(
            scene
                .get(0, "Secret", &format!("es-{number}"))
                .await
                .is_some()
        );
    }

    // Someone says that it is meant.
    let mut store = fake("fake", &values(2..3));
    store["metadata"]["annotations"] = json!({"sealwright.dev/allow-mass-deletion": "true"});
    scene.apply(0, store).await;
    for number in 3..KEYS {
        scene
            .eventually_ready(0, &format!("es-{number}"), true)
            .await;
        assert!(
            scene
                .get(0, "Secret", &format!("es-{number}"))
                .await
                .is_none()
        );
    }
    scene.eventually_has(0, "es-2", "k", "value-2").await;
}

#[tokio::test]
async fn a_search_that_finds_little_of_what_it_found_empties_no_secret() {
    let scene = Scene::start("search", 1, "").await;
    scene.apply(0, fake("fake", &values(0..20))).await;
    let spec = json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "1s",
        "dataFrom": [{"find": {"name": {"regexp": "^key-"}}}]});
    scene.apply(0, external_secret("es", spec)).await;
    scene.eventually_ready(0, "es", true).await;
    scene.apply(0, fake("fake", &values(15..20))).await;
    let object = scene.eventually_ready(0, "es", false).await;
    let message = condition(&object)["message"].as_str().unwrap();
    assert!(
        message.contains("more than half of what was found"),
        "{message}"
    );
    let secret = scene.get(0, "Secret", "es").await.unwrap();
    assert_eq!(secret["data"].as_object().unwrap().len(), 20);
    // A change of the object is a wish.
    let touched = json!({"metadata": {"annotations": {"fewer": "meant"}}});
    scene.patch(0, "ExternalSecret", "es", touched).await;
    scene.eventually_ready(0, "es", true).await;
    let secret = scene.get(0, "Secret", "es").await.unwrap();
    assert_eq!(secret["data"].as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn upstreams_way_is_there_for_those_who_want_it() {
    let scene = Scene::start("upstream", 1, "upstreamDeletion=true").await;
    scene.apply(0, fake("fake", &values(0..10))).await;
    for number in 0..10 {
        scene
            .apply(0, external_secret(&format!("es-{number}"), one(number)))
            .await;
    }
    all_ready(&scene, 10, true).await;
    scene.apply(0, fake("fake", &values(20..21))).await;
    refresh(&scene, 10, "1").await;
    for number in 0..10 {
        let name = format!("es-{number}");
        sealwright_tests::harness::cluster::eventually("it is deleted", async || {
            scene.get(0, "Secret", &name).await.is_none().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_switch_of_stores_deletes_nothing() {
    let scene = Scene::start("switch", 1, "").await;
    scene.apply(0, fake("old", &values(0..1))).await;
    let spec = |store: &str| {
        json!({"secretStoreRef": {"name": store}, "refreshInterval": "1h",
            "data": [{"secretKey": "k", "remoteRef": {"key": "key-0"}}]})
    };
    scene.apply(0, external_secret("es", spec("old"))).await;
    scene.eventually_has(0, "es", "k", "value-0").await;
    let before = scene.get(0, "Secret", "es").await.unwrap();
    // The new store does not exist yet, then has nothing, then has the value.
    scene.apply(0, external_secret("es", spec("new"))).await;
    scene.eventually_ready(0, "es", false).await;
    scene.apply(0, fake("new", &values(7..8))).await;
    scene.eventually_ready(0, "es", false).await;
    scene.delete(0, "SecretStore", "old").await;
    let now = scene.get(0, "Secret", "es").await.unwrap();
    assert_eq!(
        before["metadata"]["resourceVersion"],
        now["metadata"]["resourceVersion"]
    );
    scene.apply(0, fake("new", &values(0..1))).await;
    scene.eventually_ready(0, "es", true).await;
    let now = scene.get(0, "Secret", "es").await.unwrap();
    assert_eq!(
        before["metadata"]["resourceVersion"],
        now["metadata"]["resourceVersion"]
    );
}

/// Asks each object to look at its store again.
async fn refresh(scene: &Scene, count: usize, mark: &str) {
    for number in 0..count {
        let touched = json!({"metadata": {"annotations": {"force-sync": mark}}});
        scene
            .patch(0, "ExternalSecret", &format!("es-{number}"), touched)
            .await;
    }
}

//! Rows of the contract that only a cluster shows, by their numbers.

use std::time::Duration;

use sealwright_tests::harness::cluster::eventually;
use serde_json::{Value, json};

use super::rig;
use super::scene::{Scene, bao_store, bao_token, external_secret, fake, put, store};

fn of_fake() -> Value {
    json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "1h",
        "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]})
}

fn one() -> Value {
    fake("fake", &[("a".to_owned(), "one".to_owned())])
}

#[tokio::test]
async fn t29_a_copy_of_a_secret_with_its_labels_goes_with_the_next_refresh() {
    let scene = Scene::start("copy", 1, "").await;
    scene.apply(0, one()).await;
    scene.apply(0, external_secret("es", of_fake())).await;
    scene.eventually_has(0, "es", "k", "one").await;
    let made = scene.get(0, "Secret", "es").await.unwrap();
    let copy = |name: &str, labels: &Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}, "data": made["data"]});
    scene
        .apply(0, copy("with-labels", &made["metadata"]["labels"]))
        .await;
    scene.apply(0, copy("without", &json!({}))).await;
    let touched = json!({"metadata": {"annotations": {"force-sync": "1"}}});
    scene.patch(0, "ExternalSecret", "es", touched).await;
    eventually("the copy is gone", async || {
        let copy = scene.get(0, "Secret", "with-labels").await;
        copy.is_none().then_some(())
    })
    .await;
    for name in ["es", "without"] {
        assert!(scene.get(0, "Secret", name).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn t29_a_copy_goes_with_a_refresh_that_changes_nothing() {
    let scene = Scene::start("copy-periodic", 1, "").await;
    scene.apply(0, one()).await;
    let mut spec = of_fake();
    spec["refreshInterval"] = json!("2s");
    scene.apply(0, external_secret("es", spec)).await;
    scene.eventually_has(0, "es", "k", "one").await;
    // By now a refresh finds the values that it knows.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let made = scene.get(0, "Secret", "es").await.unwrap();
    let copy = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "copy", "labels": made["metadata"]["labels"]}, "data": made["data"]});
    scene.apply(0, copy).await;
    eventually("the copy is gone", async || {
        let copy = scene.get(0, "Secret", "copy").await;
        copy.is_none().then_some(())
    })
    .await;
    let left = scene.get(0, "Secret", "es").await.unwrap();
    assert_eq!(left["metadata"]["uid"], made["metadata"]["uid"]);
    let events =
        scene
            .cluster()
            .kubectl(&["get", "events", "--namespace", scene.name(0), "-o", "yaml"]);
    assert!(
        events.contains("secret deleted because it was orphaned"),
        "{events}"
    );
}

#[tokio::test]
async fn t31_the_class_of_every_store_counts() {
    let scene = Scene::start("classes", 1, "").await;
    scene.apply(0, one()).await;
    let mut other = fake("other", &[("a".to_owned(), "one".to_owned())]);
    other["spec"]["controller"] = json!("another");
    scene.apply(0, other).await;
    let second = |store: &str| {
        let mut spec = of_fake();
        spec["dataFrom"] = json!([{"find": {"name": {"regexp": "^a$"}},
            "sourceRef": {"storeRef": {"name": store, "kind": "SecretStore"}}}]);
        spec
    };
    scene
        .apply(0, external_secret("foreign", second("other")))
        .await;
    scene.apply(0, external_secret("own", second("fake"))).await;
    scene.eventually_has(0, "own", "k", "one").await;
    let foreign = eventually("the other has its finalizer", async || {
        let object = scene.get(0, "ExternalSecret", "foreign").await?;
        object["metadata"]["finalizers"]
            .is_array()
            .then_some(object)
    })
    .await;
    assert!(foreign["status"]["conditions"].is_null(), "{foreign}");
    assert!(scene.get(0, "Secret", "foreign").await.is_none());
}

#[tokio::test]
async fn t32_many_objects_sign_in_once_and_t34_a_status_does_not_wake_its_store() {
    const OBJECTS: usize = 20;
    let bao = rig::vault().server();
    let mut scene = Scene::prepare("sign-in", 1, "").await;
    let mount = scene.name(0).to_owned();
    let ask = |path: &str, body: Value| drop(bao.api("POST", path, Some(&body)));
    ask(&format!("sys/auth/{mount}"), json!({"type": "approle"}));
    let role = format!("auth/{mount}/role/r");
    ask(&role, json!({"token_policies": "all", "token_ttl": "1h"}));
    ask(&format!("{role}/role-id"), json!({"role_id": "r"}));
    ask(
        &format!("{role}/custom-secret-id"),
        json!({"secret_id": "s"}),
    );
    for number in 0..OBJECTS {
        put(bao, &format!("{mount}/{number}"), &json!({"k": "one"}));
    }
    let signs_in = json!({"vault": {"server": bao.address(), "path": "secret", "version": "v2", "auth": {"appRole": {
        "path": mount, "roleId": "r", "secretRef": {"name": "role", "key": "id"}}}}});
    scene
        .apply(0, super::scene::secret("role", json!({"id": "s"})))
        .await;
    scene.apply(0, store("bao", signs_in)).await;
    for number in 0..OBJECTS {
        let spec = json!({"secretStoreRef": {"name": "bao"}, "refreshInterval": "5s",
            "data": [{"secretKey": "k", "remoteRef": {"key": format!("{mount}/{number}"), "property": "k"}}]});
        scene
            .apply(0, external_secret(&format!("es-{number}"), spec))
            .await;
    }
    scene.start_controller();
    let reads = || bao.reads_below(&format!("secret/data/{mount}/"));
    eventually("every object is refreshed", async || {
        (reads() >= 3 * OBJECTS).then_some(())
    })
    .await;
    let login = format!("auth/{mount}/login");
    let logins = bao.calls(|_, path| path == login);
    assert_eq!(logins, 1, "{} reads", reads());
    let user = scene.account.user();
    let requests = scene.cluster().requests_of(&user);
    let statuses = requests.iter().filter(|request| {
        let writes = matches!(request.verb.as_str(), "update" | "patch");
        writes && request.resource() == "secretstores/status"
    });
    assert_eq!(statuses.count(), 1);
}

#[tokio::test]
async fn t38_a_change_of_the_source_is_pushed_with_the_next_refresh_and_siblings_are_left_alone() {
    let bao = rig::vault().server();
    let scene = Scene::start("push", 1, "").await;
    let place = scene.name(0).to_owned();
    scene.apply(0, bao_token()).await;
    scene.apply(0, bao_store("bao", &bao.address())).await;
    let push = |name: &str| {
        json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": name}, "spec": {
            "deletionPolicy": "Delete", "refreshInterval": "2s", "secretStoreRefs": [{"name": "bao", "kind": "SecretStore"}],
            "selector": {"secret": {"name": name}},
            "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": format!("{place}/{name}"), "property": "k"}}}]}})
    };
    for name in ["one", "two"] {
        scene
            .apply(0, super::scene::secret(name, json!({"k": "first"})))
            .await;
        scene.apply(0, push(name)).await;
    }
    let has = async |name: &str, value: Option<&str>| {
        eventually(&format!("{name} is {value:?}"), async || {
            let path = format!("secret/data/{place}/{name}");
            let (_, answer) =
                bao.try_api(sealwright_tests::harness::openbao::ROOT, "GET", &path, None);
            (answer["data"]["data"]["k"].as_str() == value).then_some(())
        })
        .await;
    };
    has("one", Some("first")).await;
    has("two", Some("first")).await;
    scene
        .apply(0, super::scene::secret("one", json!({"k": "second"})))
        .await;
    has("one", Some("second")).await;
    // What one of them leaves behind is taken away, and nothing else.
    scene.delete(0, "PushSecret", "one").await;
    has("one", None).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    has("two", Some("first")).await;
}

#[tokio::test]
async fn t3_t42_t45_a_secret_is_written_once_by_put_and_of_the_object_only_the_finalizer() {
    let scene = Scene::start("writes", 1, "").await;
    scene.apply(0, one()).await;
    scene.apply(0, external_secret("es", of_fake())).await;
    scene.eventually_ready(0, "es", true).await;
    // Whatever its own writes make the watches show, nothing follows from it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let user = scene.account.user();
    let requests = scene.cluster().requests_of(&user);
    let writes = requests.iter().filter(|request| {
        let writes = ["create", "update", "patch", "delete"];
        request.resource() == "secrets" && writes.contains(&request.verb.as_str())
    });
    let writes: Vec<&str> = writes.map(|request| request.verb.as_str()).collect();
    assert_eq!(writes, ["create"]);
    let managers = |object: &Value| {
        let fields = object["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter();
        let shown = fields.map(|entry| {
            let words = [
                &entry["manager"],
                &entry["operation"],
                &entry["subresource"],
            ];
            let owned = entry["fieldsV1"].as_object().unwrap().keys();
            let owned: Vec<&str> = owned.map(String::as_str).collect();
            (
                words.map(|word| word.as_str().unwrap_or_default().to_owned()),
                owned.join(" "),
            )
        });
        shown.collect::<Vec<_>>()
    };
    let secret = scene.get(0, "Secret", "es").await.unwrap();
    let by_us = managers(&secret);
    let name = "externalsecrets.external-secrets.io/es";
    assert!(
        by_us
            .iter()
            .any(|(words, _)| words[0] == name && words[1] == "Update"),
        "{by_us:?}"
    );
    let object = scene.get(0, "ExternalSecret", "es").await.unwrap();
    for (words, owned) in managers(&object) {
        let is_users = words[0] == "test";
        assert!(
            is_users || !owned.contains("f:spec"),
            "{words:?} owns {owned}"
        );
    }
}

#[tokio::test]
async fn t23_random_output_is_made_again_with_every_refresh() {
    let scene = Scene::start("random", 1, "").await;
    scene.apply(0, one()).await;
    let mut spec = of_fake();
    spec["refreshInterval"] = json!("1s");
    spec["target"] = json!({"template": {"data": {"r": "{{ randAlphaNum 20 }}"}}});
    scene.apply(0, external_secret("es", spec)).await;
    let value = async || {
        let secret = scene.get(0, "Secret", "es").await?;
        secret["data"]["r"].as_str().map(str::to_owned)
    };
    let first = eventually("a value", value).await;
    eventually("another value", async || {
        value().await.filter(|now| *now != first)
    })
    .await;
}

#[tokio::test]
async fn t35_an_object_does_not_wait_for_its_turn_when_its_store_appears() {
    let scene = Scene::start("late-store", 1, "").await;
    scene.apply(0, external_secret("es", of_fake())).await;
    scene.eventually_ready(0, "es", false).await;
    // By now the next attempt is half a minute away.
    tokio::time::sleep(Duration::from_secs(20)).await;
    scene.apply(0, one()).await;
    let start = std::time::Instant::now();
    scene.eventually_ready(0, "es", true).await;
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn t37_what_was_deleted_without_a_controller_goes_when_there_is_one() {
    let mut scene = Scene::start("gone", 1, "").await;
    scene.apply(0, one()).await;
    scene.apply(0, external_secret("es", of_fake())).await;
    scene.eventually_ready(0, "es", true).await;
    scene.controller = None;
    scene.delete(0, "ExternalSecret", "es").await;
    let waits = scene.get(0, "ExternalSecret", "es").await.unwrap();
    assert!(waits["metadata"]["deletionTimestamp"].is_string());
    scene.start_controller();
    eventually("it is gone", async || {
        let object = scene.get(0, "ExternalSecret", "es").await;
        object.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn t48_without_cluster_stores_only_objects_that_name_one_as_their_store_are_left_alone() {
    // A controller of single namespaces looks after no ClusterSecretStores.
    let scene = Scene::start("no-cluster-stores", 1, "").await;
    let reference = json!({"name": "of-the-cluster", "kind": "ClusterSecretStore"});
    let mut named = of_fake();
    named["secretStoreRef"] = reference.clone();
    scene.apply(0, external_secret("named", named)).await;
    let entry =
        json!({"secretKey": "k", "remoteRef": {"key": "a"}, "sourceRef": {"storeRef": reference}});
    let spec = json!({"refreshInterval": "1h", "data": [entry]});
    scene
        .apply(0, external_secret("through-an-entry", spec))
        .await;
    scene.eventually_ready(0, "through-an-entry", false).await;
    let named = scene.get(0, "ExternalSecret", "named").await.unwrap();
    assert!(named["status"]["conditions"].is_null(), "{named}");
}

//! Many objects, several replicas, several installations.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use sealwright_tests::harness::cluster::{Request, eventually, rule};
use sealwright_tests::harness::load::Load;
use serde_json::{Value, json};

use super::rig;
use super::scene::{Scene, condition, external_secret, fake, secret};

/// Small enough for every run; `SEALWRIGHT_SOAK=1` plays the large one.
fn load() -> Load {
    let (objects, keys) = match std::env::var_os("SEALWRIGHT_SOAK") {
        Some(_) => (10_000, 500),
        None => (100, 10),
    };
    Load {
        objects,
        keys,
        interval: "1h",
    }
}

/// How long so many objects may take on a machine under load.
fn patience(objects: usize) -> Duration {
    Duration::from_secs(120) + Duration::from_millis(150) * u32::try_from(objects).unwrap()
}

/// Waits until so many objects are ready.
async fn all_ready(scene: &Scene, count: usize) {
    let start = Instant::now();
    loop {
        let ready = Load::ready(&scene.metrics());
        if ready >= count {
            return;
        }
        assert!(start.elapsed() < patience(count), "{ready} of {count}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many objects were refreshed before this moment.
async fn refreshed_before(scene: &Scene, moment: &str) -> usize {
    let objects = scene.list(0, "ExternalSecret").await;
    let old = objects.iter().filter(|object| {
        let time = object["status"]["refreshTime"].as_str();
        time.is_some_and(|time| time <= moment)
    });
    old.count()
}

#[tokio::test]
async fn each_key_is_read_once_for_all_objects_at_the_start_and_in_a_refresh() {
    const LONG_AGO: &str = "2020-01-01T00:00:00Z";
    let load = load();
    let bao = rig::vault().server();
    let mut scene = Scene::prepare("load", 1, "").await;
    load.create(&scene.namespaces[0], bao, &bao.address())
        .await
        .unwrap();
    let reads = |scene: &Scene| Load::reads(&scene.namespaces[0], bao);
    // The API server keeps whole seconds of their creation, and what was read within that second is too old for them.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    scene.start_controller();
    all_ready(&scene, load.objects).await;
    let (count, took) = (load.objects, start.elapsed());
    println!(
        "{count} objects are ready after {took:?}, {} reads",
        reads(&scene)
    );
    assert_eq!(reads(&scene), load.keys);

    // All of them are due when the controller comes back.
    scene.controller = None;
    let due = json!({"status": {"refreshTime": LONG_AGO}});
    let names: Vec<String> = (0..count).map(|number| format!("es-{number}")).collect();
    let all = names
        .iter()
        .map(|name| scene.patch_status(0, "ExternalSecret", name, &due));
    stream::iter(all).buffer_unordered(20).collect::<()>().await;
    let start = Instant::now();
    scene.start_controller();
    while refreshed_before(&scene, LONG_AGO).await == count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One more object does not wait for them.
    let added = Instant::now();
    load.create_one(&scene.namespaces[0], count).await.unwrap();
    scene
        .eventually_ready(0, &format!("es-{count}"), true)
        .await;
    let (took, left) = (added.elapsed(), refreshed_before(&scene, LONG_AGO).await);
    println!("a new object is ready after {took:?}, {left} of {count} wait");
    assert!(left == 0 || took < Duration::from_secs(5), "{took:?}");
    while refreshed_before(&scene, LONG_AGO).await > 0 {
        assert!(start.elapsed() < patience(count));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let again = reads(&scene) - load.keys;
    println!(
        "a refresh takes {:?}, {again} reads; {} kB",
        start.elapsed(),
        scene.memory()
    );
    // The new object may have come too late for two of them.
    assert!(
        (load.keys..=load.keys + 2).contains(&again),
        "{again} reads"
    );
}

/// Objects of a Fake store that are refreshed once an hour.
async fn some_objects(scene: &Scene, place: usize, count: usize) {
    scene
        .apply(place, fake("fake", &[("a".to_owned(), "one".to_owned())]))
        .await;
    for number in 0..count {
        scene
            .apply(place, external_secret(&format!("es-{number}"), hourly()))
            .await;
    }
}

fn hourly() -> Value {
    json!({"secretStoreRef": {"name": "fake"}, "refreshInterval": "1h",
        "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]})
}

#[tokio::test]
async fn when_nothing_is_due_there_are_no_requests_but_watches_and_the_lease() {
    const QUIET: Duration = Duration::from_secs(15);
    let scene = Scene::start("idle", 1, "").await;
    some_objects(&scene, 0, 20).await;
    all_ready(&scene, 20).await;
    let user = scene.account.user();
    let asked = || {
        let requests = scene.cluster().requests_of(&user).into_iter();
        let own =
            requests.filter(|request| request.verb != "watch" && request.resource() != "leases");
        own.map(|request| format!("{} {}", request.verb, request.uri))
            .collect::<Vec<_>>()
    };
    let mut before = asked();
    let mut since = Instant::now();
    // What belongs to the start comes to an end.
    let start = Instant::now();
    while since.elapsed() < QUIET {
        assert!(
            start.elapsed() < Duration::from_secs(90),
            "it is never quiet: {:?}",
            &before[before.len().saturating_sub(5)..]
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = asked();
        if now.len() != before.len() {
            (before, since) = (now, Instant::now());
        }
    }
}

#[tokio::test]
async fn another_replica_takes_over_and_no_object_has_two_masters() {
    let mut scene = Scene::start("replicas", 1, "").await;
    some_objects(&scene, 0, 5).await;
    all_ready(&scene, 5).await;
    let mut first = scene.controller.take().unwrap();
    scene.start_replica();
    scene.apply(0, external_secret("es-5", hourly())).await;
    scene.eventually_has(0, "es-5", "k", "one").await;
    // The other one only waits for the Lease.
    assert_eq!(Load::ready(&scene.metrics()), 0);
    let begun = Instant::now();
    first.stop();
    // Nothing is written again by the one that takes over.
    let versions = async || {
        let secrets = scene.list(0, "Secret").await;
        let versions = secrets
            .iter()
            .map(|secret| secret["metadata"]["resourceVersion"].to_string());
        versions.collect::<BTreeSet<String>>()
    };
    let before = versions().await;
    scene.apply(0, external_secret("es-6", hourly())).await;
    scene.eventually_has(0, "es-6", "k", "one").await;
    println!(
        "the other replica works {:?} after the first was killed",
        begun.elapsed()
    );
    let after = versions().await;
    assert_eq!(before.difference(&after).count(), 0, "{before:?} {after:?}");
    // Nor by one that comes back.
    scene.delete(0, "Secret", "es-0").await;
    scene.eventually_has(0, "es-0", "k", "one").await;
}

#[tokio::test]
async fn two_installations_never_write_the_same_object() {
    let one = Scene::start("split-one", 1, "").await;
    let two = Scene::start("split-two", 1, "").await;
    for scene in [&one, &two] {
        some_objects(scene, 0, 10).await;
    }
    for scene in [&one, &two] {
        all_ready(scene, 10).await;
        scene.delete(0, "Secret", "es-0").await;
        scene.eventually_has(0, "es-0", "k", "one").await;
    }
    for (scene, other) in [(&one, &two), (&two, &one)] {
        let user = scene.account.user();
        let own = scene.cluster().requests_of(&user);
        let writes = own.iter().filter(|request| is_write(request));
        let places: BTreeSet<&str> = writes.map(|request| request.namespace()).collect();
        assert_eq!(places, [scene.name(0)].into(), "writes of {user}");
        // It does not even look at the other's.
        let looks = own
            .iter()
            .any(|request| request.namespace() == other.name(0));
        assert!(!looks, "{user} looks at {}", other.name(0));
    }
}

fn is_write(request: &Request) -> bool {
    let writes = ["create", "update", "patch", "delete"];
    writes.contains(&request.verb.as_str())
}

#[tokio::test]
async fn two_installations_of_other_classes_share_a_namespace_and_never_write_the_same_object() {
    const OBJECTS: usize = 5;
    let scene = Scene::start("split-class", 1, "controllerClass=one").await;
    let here = scene.name(0);
    // Its rights do not keep it away from anything.
    let all = [rule("*", &["*"], &["*"])];
    let second = scene.namespaces[0].account("second", &all).await;
    let kubeconfig = second.kubeconfig.to_str().unwrap().to_owned();
    let flags = format!(
        "--namespace={here} --controller-class=two --enable-cluster-store-reconciler=false \
         --enable-cluster-external-secret-reconciler=false --enable-cluster-push-secret-reconciler=false"
    );
    let variables = [("KUBECONFIG", kubeconfig)];
    let name = format!("second-{here}");
    let _controller = rig::controller_with(scene.cluster(), &name, &flags, &variables);
    let classes = ["one", "two"];
    for class in classes {
        let values = [("a".to_owned(), format!("value of {class}"))];
        let mut store = fake(class, &values);
        store["spec"]["controller"] = json!(class);
        scene.apply(0, store).await;
        let source = secret(&format!("{class}-source"), json!({"k": "pushed"}));
        scene.apply(0, source).await;
        for number in 0..OBJECTS {
            let spec = json!({"secretStoreRef": {"name": class}, "refreshInterval": "1s",
                "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]});
            scene
                .apply(0, external_secret(&format!("{class}-{number}"), spec))
                .await;
        }
        let push = json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": {"name": format!("{class}-push")},
            "spec": {"refreshInterval": "1s", "secretStoreRefs": [{"name": class, "kind": "SecretStore"}],
                "selector": {"secret": {"name": format!("{class}-source")}},
                "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": "pushed"}}}]}});
        scene.apply(0, push).await;
    }
    for round in 0..2 {
        for class in classes {
            let value = format!("value of {class}");
            for number in 0..OBJECTS {
                let name = format!("{class}-{number}");
                scene.eventually_has(0, &name, "k", &value).await;
                scene.eventually_ready(0, &name, true).await;
            }
            let push = format!("{class}-push");
            eventually("it is pushed", async || {
                let push = scene.get(0, "PushSecret", &push).await?;
                (condition(&push)["status"] == "True").then_some(())
            })
            .await;
            // Each puts its own in order again.
            if round == 0 {
                let edited = json!({"stringData": {"k": "edited"}});
                scene.delete(0, "Secret", &format!("{class}-0")).await;
                scene
                    .patch(0, "Secret", &format!("{class}-1"), edited)
                    .await;
            }
        }
    }
    let users = [scene.account.user(), second.user()];
    for (class, user) in classes.iter().zip(users) {
        let own = scene.cluster().requests_of(&user);
        let mut written = BTreeSet::new();
        for request in own.iter().filter(|request| is_write(request)) {
            let (resource, name) = (request.resource(), request.name());
            // Upstream puts its finalizer on every ExternalSecret before it looks at the class (T6).
            let is_finalizer = resource == "externalsecrets" && request.verb == "patch";
            let kinds = ["secrets", "externalsecrets", "secretstores", "pushsecrets"];
            let kind = resource.split('/').next().unwrap();
            if kinds.contains(&kind) && !is_finalizer {
                assert!(
                    name.starts_with(class),
                    "{user}: {} {}",
                    request.verb,
                    request.uri
                );
                written.insert(resource);
            }
        }
        let expected = [
            "secrets",
            "externalsecrets/status",
            "secretstores/status",
            "pushsecrets/status",
        ];
        for resource in expected {
            assert!(written.contains(resource), "{user} writes {written:?}");
        }
    }
}

#[tokio::test]
async fn two_installations_with_other_selectors_share_a_namespace_and_never_write_the_same_object()
{
    const OBJECTS: usize = 5;
    let scene = Scene::start("split-label", 1, "extraArgs.object-selector=team=one").await;
    let here = scene.name(0);
    let all = [rule("*", &["*"], &["*"])];
    let second = scene.namespaces[0].account("second", &all).await;
    let kubeconfig = second.kubeconfig.to_str().unwrap().to_owned();
    // One of them looks after the stores.
    let flags = format!(
        "--namespace={here} --object-selector=team!=one --enable-secret-store-reconciler=false \
         --enable-flood-gate=false --enable-cluster-store-reconciler=false \
         --enable-cluster-external-secret-reconciler=false --enable-cluster-push-secret-reconciler=false"
    );
    let variables = [("KUBECONFIG", kubeconfig)];
    let name = format!("second-{here}");
    let _controller = rig::controller_with(scene.cluster(), &name, &flags, &variables);
    scene
        .apply(0, fake("fake", &[("a".to_owned(), "one".to_owned())]))
        .await;
    let teams = ["one", "two"];
    let labelled = |mut object: Value, team: &str| {
        object["metadata"]["labels"] = json!({"team": team});
        object
    };
    for team in teams {
        for number in 0..OBJECTS {
            let object = external_secret(&format!("{team}-{number}"), hourly());
            scene.apply(0, labelled(object, team)).await;
        }
        scene
            .apply(0, secret(&format!("{team}-source"), json!({"k": "pushed"})))
            .await;
        let push = json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": {"name": format!("{team}-push")},
            "spec": {"secretStoreRefs": [{"name": "fake", "kind": "SecretStore"}],
                "selector": {"secret": {"name": format!("{team}-source")}},
                "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": team}}}]}});
        scene.apply(0, labelled(push, team)).await;
    }
    for round in 0..2 {
        for team in teams {
            for number in 0..OBJECTS {
                let name = format!("{team}-{number}");
                scene.eventually_has(0, &name, "k", "one").await;
                scene.eventually_ready(0, &name, true).await;
            }
            let push = format!("{team}-push");
            eventually("it is pushed", async || {
                let push = scene.get(0, "PushSecret", &push).await?;
                (condition(&push)["status"] == "True").then_some(())
            })
            .await;
            if round == 0 {
                scene.delete(0, "Secret", &format!("{team}-0")).await;
            }
        }
    }
    // An object that changes sides is the other's from then on, and its Secret stays.
    let moved = json!({"metadata": {"labels": {"team": "two"}}});
    scene.patch(0, "ExternalSecret", "one-1", moved).await;
    scene.eventually_has(0, "one-1", "k", "one").await;
    let users = [scene.account.user(), second.user()];
    for (team, user) in teams.iter().zip(users) {
        let own = scene.cluster().requests_of(&user);
        let kinds = ["secrets", "externalsecrets", "pushsecrets"];
        let written: BTreeSet<(String, &str)> = own
            .iter()
            .filter(|request| is_write(request))
            .map(|request| (request.resource(), request.name()))
            .filter(|(resource, _)| kinds.contains(&resource.split('/').next().unwrap()))
            .collect();
        let others = written
            .iter()
            .filter(|(_, name)| !name.starts_with(team) && *name != "one-1");
        assert_eq!(others.count(), 0, "{user}: {written:?}");
        let name = format!("{team}-0");
        let own = ("secrets".to_owned(), name.as_str());
        assert!(written.contains(&own), "{user}: {written:?}");
    }
}

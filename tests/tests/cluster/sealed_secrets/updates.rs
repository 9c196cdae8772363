//! The newest version of everything counts: changes within milliseconds, reverts, deletions, objects that cannot be read.

use futures::StreamExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::SealedSecret;
use sealwright_tests::harness::cluster::{cluster, eventually};
use serde_json::{Value, json};

use super::rig::{Rig, condition, data, sealed_for};

/// Replaces the whole spec, as `kubectl apply` of another version does.
async fn apply(rig: &Rig<'_>, sealed: &SealedSecret) {
    let name = sealed.metadata.name.as_deref().unwrap();
    let mut spec = serde_json::to_value(&sealed.spec).unwrap();
    // Keys of the version before go.
    let old = rig.sealed_secrets().get(name).await.unwrap();
    for key in old.spec.encrypted_data.keys() {
        let values = spec["encryptedData"].as_object_mut().unwrap();
        values.entry(key.clone()).or_insert(Value::Null);
    }
    patch(rig, name, json!({"spec": spec})).await;
}

async fn patch(rig: &Rig<'_>, name: &str, patch: Value) {
    rig.sealed_secrets()
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

fn untyped(rig: &Rig<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret");
    let resource = ApiResource::from_gvk_with_plural(&kind, "sealedsecrets");
    Api::namespaced_with(
        rig.namespace.client().clone(),
        rig.namespace.name(),
        &resource,
    )
}

#[tokio::test]
async fn the_last_of_several_quick_writes_counts_and_the_status_says_so() {
    const OBJECTS: usize = 24;
    let rig = Rig::start(cluster(), "quick", &[]).await;
    let (rig, certificate) = (&rig, rig.certificate());
    let many: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let version = |name: &str, value: &str, count: usize| {
        let values: Vec<(&str, &str)> = many[..count]
            .iter()
            .map(|key| (key.as_str(), value))
            .collect();
        sealed_for(
            &certificate,
            Scope::Strict,
            rig.namespace.name(),
            name,
            &values,
        )
    };
    let case = |number: usize| {
        let name = format!("s{number}");
        // Twenty values keep a worker busy for long.
        let count = if number.is_multiple_of(3) { 20 } else { 2 };
        let versions: Vec<SealedSecret> = ["one", "two", "three"]
            .iter()
            .map(|value| version(&name, value, count))
            .collect();
        async move {
            rig.create(&versions[0]).await;
            // Half of the objects change while they are created, half when they are known.
            if number.is_multiple_of(2) {
                rig.eventually_synced(&name, "True").await;
            }
            for version in &versions[1..] {
                apply(rig, version).await;
            }
            rig.eventually_synced(&name, "True").await;
            let secret = rig.secret(&name).await.unwrap();
            let values = data(&secret);
            assert_eq!(values.len(), count, "{name}");
            assert!(
                values.values().all(|value| value == "three"),
                "{name}: {values:?}"
            );
        }
    };
    futures::stream::iter((0..OBJECTS).map(case))
        .buffer_unordered(6)
        .collect::<Vec<_>>()
        .await;
}

#[tokio::test]
async fn a_revert_to_a_good_version_is_synced_again() {
    let rig = Rig::start(cluster(), "revert", &[]).await;
    let good = rig.sealed("a", &[("foo", "bar")]);
    let mut bad = good.clone();
    bad.spec.encrypted_data.insert("foo".into(), "AgBy".into());
    rig.create(&good).await;
    rig.eventually_synced("a", "True").await;
    for round in 0..3 {
        apply(&rig, &bad).await;
        rig.eventually_synced("a", "False").await;
        apply(&rig, &good).await;
        let sealed = rig.eventually_synced("a", "True").await;
        let generation = sealed.metadata.generation;
        assert_eq!(
            generation,
            Some(3 + 2 * round),
            "every version was one of its own"
        );
        rig.eventually_data("a", &[("foo", "bar")]).await;
    }
}

#[tokio::test]
async fn a_scope_that_is_changed_there_and_back_is_synced_again() {
    let rig = Rig::start(cluster(), "scope", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    let wide = |value: Value| json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/cluster-wide": value}}});
    for _ in 0..2 {
        // Annotations move no generation.
        patch(&rig, "a", wide("true".into())).await;
        rig.eventually_synced("a", "False").await;
        patch(&rig, "a", wide(Value::Null)).await;
        rig.eventually_synced("a", "True").await;
    }
}

#[tokio::test]
async fn a_secret_that_is_deleted_again_and_again_comes_back_at_once() {
    let rig = Rig::start(cluster(), "deleted", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    for round in 0..12 {
        rig.eventually_data("a", &[("foo", "bar")]).await;
        let first = format!("first-{round}");
        let second = format!("second-{round}");
        for mark in [&first, &second] {
            rig.create(&rig.sealed(mark, &[("foo", "bar")])).await;
            rig.eventually_synced(mark, "True").await;
        }
        rig.delete_secret("a").await;
        // Deletions are shown and worked on in their order, so these two come after it.
        for mark in [&first, &second] {
            rig.delete_secret(mark).await;
            rig.eventually_data(mark, &[("foo", "bar")]).await;
        }
        assert!(
            rig.secret("a").await.is_some(),
            "deletion {round} was made to wait"
        );
    }
}

#[tokio::test]
async fn one_edit_is_put_back_at_once_although_the_secret_was_deleted_often() {
    let rig = Rig::start(cluster(), "edited", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    for _ in 0..8 {
        rig.eventually_data("a", &[("foo", "bar")]).await;
        rig.delete_secret("a").await;
    }
    rig.eventually_data("a", &[("foo", "bar")]).await;
    rig.patch_secret("a", json!({"stringData": {"foo": "edited"}}))
        .await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    // Whatever was decided about it is in the log by now.
    assert!(!rig.logs().contains(PAUSE), "{}", rig.logs());
}

/// What the log says about an edit that is not put back at once.
const PAUSE: &str = "it is put back after a pause";

#[tokio::test]
async fn an_object_that_cannot_be_read_says_so_itself_and_costs_the_others_nothing() {
    let mut rig = Rig::start(cluster(), "unreadable", &[]).await;
    rig.create(&rig.sealed("before", &[("foo", "bar")])).await;
    rig.eventually_synced("before", "True").await;
    let good = serde_json::to_value(rig.sealed("faulty", &[("foo", "bar")])).unwrap();
    let faulty = |metadata: Value, name: &str| {
        let mut value = good.clone();
        value["metadata"]["name"] = name.into();
        value["spec"]["template"]["metadata"] = metadata;
        serde_json::from_value::<DynamicObject>(value).unwrap()
    };
    let objects = untyped(&rig);
    for (name, metadata) in [
        ("faulty", json!({"generation": "tops3cret"})),
        ("faulty-owners", json!({"ownerReferences": 5})),
    ] {
        objects
            .create(&PostParams::default(), &faulty(metadata, name))
            .await
            .unwrap();
    }
    let told = async |name: &str| {
        eventually("the object says that it cannot be read", async || {
            let object = objects.get(name).await.unwrap();
            let synced = object.data["status"]["conditions"].get(0)?;
            assert_eq!(
                (&synced["type"], &synced["status"]),
                (&"Synced".into(), &"False".into())
            );
            synced["message"].as_str().map(str::to_owned)
        })
        .await
    };
    for _ in 0..2 {
        assert_eq!(
            told("faulty").await,
            "spec.template.metadata.generation cannot be read: expected i64"
        );
        assert!(
            told("faulty-owners")
                .await
                .starts_with("spec.template.metadata.ownerReferences cannot be read")
        );
        // Others are dealt with beside them, and after a restart, when they come in one list.
        rig.patch_secret("before", json!({"stringData": {"foo": "edited"}}))
            .await;
        rig.eventually_data("before", &[("foo", "bar")]).await;
        rig.kill_and_restart(0);
        rig.delete_secret("before").await;
        rig.eventually_data("before", &[("foo", "bar")]).await;
    }
    rig.create(&rig.sealed("after", &[("foo", "bar")])).await;
    rig.eventually_synced("after", "True").await;
    let message = rig.eventually_event("faulty", "ErrUnsealFailed").await;
    assert!(
        message.contains("spec.template.metadata.generation"),
        "{message}"
    );
    let here = rig.namespace.name();
    eventually("the metric counts them", async || {
        let series = format!("unseal_errors_total{{namespace=\"{here}\",reason=\"unreadable\"}}");
        (rig.metric(&series) >= 2.0).then_some(())
    })
    .await;
    assert!(
        !rig.logs().contains("tops3cret"),
        "values stay out of the log"
    );
    // It is mended like any other.
    let mended = json!({"spec": {"template": {"metadata": {"generation": null}}}});
    patch_untyped(&objects, "faulty", mended).await;
    let sealed = rig.eventually_synced("faulty", "True").await;
    assert_eq!(condition(&sealed, "Ready").status, "True");
    rig.eventually_data("faulty", &[("foo", "bar")]).await;
}

async fn patch_untyped(objects: &Api<DynamicObject>, name: &str, patch: Value) {
    objects
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_edit_war_is_told_and_ends_when_the_other_writer_stops() {
    let rig = Rig::start(cluster(), "war", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    let mut round = 0;
    eventually("the status speaks of another writer", async || {
        round += 1;
        let edit = json!({"stringData": {"foo": format!("edit {round}")}});
        rig.patch_secret("a", edit).await;
        let sealed = rig.sealed_secrets().get("a").await.unwrap();
        let ready = condition(&sealed, "Ready");
        (ready.reason == "Contested" && condition(&sealed, "Synced").status == "False")
            .then_some(())
    })
    .await;
    assert!(rig.logs().contains(PAUSE), "{}", rig.logs());
    rig.eventually_synced("a", "True").await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    // A deletion does not wait for the end of the pause.
    rig.delete_secret("a").await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
}

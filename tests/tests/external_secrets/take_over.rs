//! A cluster that the real operator has left: nothing of it is written again.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use sealwright_tests::harness::cluster::eventually;
use serde_json::{Value, json};

use super::case::{Case, Play, Stage};
use super::kinds::Kind;
use super::{recorded, rig};

/// When the real operator has refreshed them: every refresh is due.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// Makes the objects of a case what the real operator left after its first phase; returns false if there is no Secret among them
/// that it looks after.
async fn leave(play: &Play<'_>, picture: &Value) -> bool {
    let client = &play.stage.client;
    let objects = Kind::named("ExternalSecret").api(client, &play.namespace);
    let mut uids = BTreeMap::new();
    for (title, left) in picture.as_object().unwrap() {
        let Some(name) = title.strip_prefix("ExternalSecret ") else {
            continue;
        };
        // Some are made by other objects, which no one looks after yet.
        let Some(object) = objects.get_opt(name).await.unwrap() else {
            return false;
        };
        uids.insert(name.to_owned(), object.metadata.uid.unwrap());
        let metadata = json!({"metadata": {"finalizers": left["finalizers"]}});
        let params = PatchParams::default();
        objects
            .patch(name, &params, &Patch::Merge(&metadata))
            .await
            .unwrap();
        let mut status = left["status"].clone();
        if status["refreshTime"] == "<set>" {
            status["refreshTime"] = json!(LONG_AGO);
        }
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            condition["lastTransitionTime"] = json!(LONG_AGO);
        }
        let status = json!({"status": status});
        objects
            .patch_status(name, &params, &Patch::Merge(&status))
            .await
            .unwrap();
    }
    let secrets = Kind::named("Secret").api(client, &play.namespace);
    let mut is_managed = false;
    for (title, left) in picture.as_object().unwrap() {
        let Some(name) = title.strip_prefix("Secret ") else {
            continue;
        };
        let Some(manager) = left["managers"][0].as_str() else {
            continue;
        };
        let (manager, operation) = manager.rsplit_once(' ').unwrap();
        assert_eq!(operation, "Update");
        is_managed = true;
        let owners = left["owners"].as_array().into_iter().flatten().map(|owner| {
            let words: Vec<&str> = owner.as_str().unwrap().split(' ').collect();
            let uid = uids.get(words[1])?;
            Some(json!({"apiVersion": "external-secrets.io/v1", "kind": words[0], "name": words[1], "uid": uid,
                "controller": words[2] == "True", "blockOwnerDeletion": words[3] == "True"}))
        });
        let Some(owners) = owners.collect::<Option<Vec<Value>>>() else {
            return false;
        };
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name,
            "labels": left["labels"], "annotations": left["annotations"], "ownerReferences": owners}});
        for field in ["data", "type", "immutable"] {
            if !left[field].is_null() {
                secret[field] = left[field].clone();
            }
        }
        let params = PostParams {
            field_manager: Some(manager.to_owned()),
            ..PostParams::default()
        };
        match secrets.get_opt(name).await.unwrap() {
            // It was there before, and the operator has added to it.
            Some(before) => {
                secret["metadata"]["resourceVersion"] = json!(before.metadata.resource_version);
                let secret: DynamicObject = serde_json::from_value(secret).unwrap();
                secrets.replace(name, &params, &secret).await.unwrap();
            }
            None => {
                let secret: DynamicObject = serde_json::from_value(secret).unwrap();
                secrets.create(&params, &secret).await.unwrap();
            }
        }
    }
    is_managed
}

/// The resource versions of all Secrets of a case.
async fn versions(play: &Play<'_>) -> BTreeMap<String, String> {
    let secrets = Kind::named("Secret").api(&play.stage.client, &play.namespace);
    let list = secrets
        .list(&kube::api::ListParams::default())
        .await
        .unwrap();
    let versions = list.items.into_iter().map(|secret| {
        let metadata = secret.metadata;
        (metadata.name.unwrap(), metadata.resource_version.unwrap())
    });
    versions.collect()
}

/// The objects of a picture that are refreshed when their time has come.
fn refreshed(objects: &[DynamicObject]) -> Vec<String> {
    let due = objects.iter().filter(|object| {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let policy = spec["refreshPolicy"].as_str().unwrap_or("Periodic");
        let interval = spec["refreshInterval"].as_str().unwrap_or("1h");
        let is_due =
            policy == "Periodic" && !interval.starts_with('0') && spec["syncWindows"].is_null();
        is_due && status["conditions"][0]["status"] == "True" && status["refreshTime"] == LONG_AGO
    });
    let names = due.map(|object| object.metadata.name.clone().unwrap());
    names.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_real_operator_has_left_is_taken_over_without_a_write_to_any_secret() {
    // The namespaces of the cases are those of another test too.
    let cluster = rig::start();
    let stage: Stage<'_> = rig::stage_of(&cluster, rig::vault_of_take_over()).await;
    let answers = recorded::answers();
    let mut played: Vec<(Case, Play<'_>)> = Vec::new();
    for case in recorded::cases() {
        let picture = &answers["cases"][&case.name][0];
        // What is random is made again, and so are the times at which the vault was written to.
        let is_random = !case.is_reproducible() || case.name == "metadata-fetch-bao";
        if is_random || !case.flags().is_empty() || picture.is_null() {
            continue;
        }
        let mut play = case.begin(&stage).await;
        play.steps(&case.phases()[0]).await;
        if leave(&play, picture).await {
            played.push((case, play));
        }
    }
    let mut before = Vec::new();
    for (_, play) in &played {
        before.push(versions(play).await);
    }
    let secrets: usize = before.iter().map(BTreeMap::len).sum();
    println!(
        "{} cases with {secrets} Secrets are taken over",
        played.len()
    );
    assert!(played.len() >= 20, "only {} cases", played.len());

    let _controller = rig::controller(&cluster, "external-secrets", "");
    let mut written = Vec::new();
    for (case, play) in &played {
        let api = Kind::named("ExternalSecret").api(&stage.client, &play.namespace);
        let objects = api
            .list(&kube::api::ListParams::default())
            .await
            .unwrap()
            .items;
        // Those that are refreshed already are not due any more.
        for name in refreshed(&objects) {
            eventually(&format!("{}: {name} is refreshed", case.name), async || {
                let object = api.get(&name).await.unwrap();
                (object.data["status"]["refreshTime"] != LONG_AGO).then_some(())
            })
            .await;
        }
    }
    // Those that are not due are looked at by now too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for ((case, play), before) in played.iter().zip(&before) {
        let now = versions(play).await;
        for (name, version) in before {
            if now.get(name) != Some(version) {
                written.push(format!("{}: {name}", case.name));
            }
        }
    }
    assert!(written.is_empty(), "written again: {written:#?}");
}

//! I16 to I39 of upstream's integration suite, and what comes right beside them.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::eventually;
use serde_json::json;

use super::rig::{A_MOMENT, Rig, condition, data, version};

fn owner_of(secret: &Secret) -> Option<&str> {
    let owners = secret.metadata.owner_references.as_ref()?;
    owners.first().map(|owner| owner.name.as_str())
}

#[tokio::test]
async fn i16_create() {
    let rig = Rig::start(cluster(), "i16", &[]).await;
    let mut sealed = rig.sealed("a", &[("foo", "bar")]);
    sealed.spec.template.metadata.labels = Some([("mylabel".into(), "myvalue".into())].into());
    rig.create(&sealed).await;
    let secret = rig.eventually_data("a", &[("foo", "bar")]).await;
    assert_eq!(
        secret.metadata.labels.as_ref().unwrap()["mylabel"],
        "myvalue"
    );
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (
            owner.kind.as_str(),
            owner.controller,
            owner.block_owner_deletion
        ),
        ("SealedSecret", Some(true), None)
    );
    let sealed = rig.eventually_synced("a", "True").await;
    let synced = condition(&sealed, "Synced");
    assert_eq!(synced.last_update_time, synced.last_transition_time);
    assert_eq!(condition(&sealed, "Ready").status, "True");
    assert_eq!(
        rig.eventually_event("a", "Unsealed").await,
        "SealedSecret unsealed successfully"
    );
    eventually("the metric says so", async || {
        let series = format!(
            "condition_info{{condition=\"Synced\",name=\"a\",namespace=\"{}\",ss_app_kubernetes_io_instance=\"\"}}",
            rig.namespace.name()
        );
        (rig.metric(&series) == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn i17_i18_i19_update_rename_and_append_an_item() {
    let rig = Rig::start(cluster(), "i17", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let new = rig.sealed("a", &[("foo", "baz")]);
    rig.update("a", |sealed| sealed.spec = new.spec.clone())
        .await;
    rig.eventually_data("a", &[("foo", "baz")]).await;
    let sealed = rig.eventually_synced("a", "True").await;
    assert_eq!(sealed.status.as_ref().unwrap().observed_generation, Some(2));
    let synced = condition(&sealed, "Synced");
    assert_ne!(synced.last_update_time, synced.last_transition_time);

    rig.update("a", |sealed| {
        let value = sealed.spec.encrypted_data.remove("foo").unwrap();
        sealed.spec.encrypted_data.insert("renamed".into(), value);
    })
    .await;
    rig.eventually_data("a", &[("renamed", "baz")]).await;

    let more = rig.sealed("a", &[("added", "x")]);
    rig.update("a", |sealed| {
        sealed
            .spec
            .encrypted_data
            .extend(more.spec.encrypted_data.clone());
    })
    .await;
    rig.eventually_data("a", &[("added", "x"), ("renamed", "baz")])
        .await;
}

#[tokio::test]
async fn i20_to_i23_existing_secrets_with_marks() {
    let rig = Rig::start(cluster(), "i20", &[]).await;
    let managed = "sealedsecrets.bitnami.com/managed";
    let patch = "sealedsecrets.bitnami.com/patch";
    let existing = |name: &str, marks: &[&str]| {
        let marks: serde_json::Map<_, _> = marks
            .iter()
            .map(|mark| ((*mark).to_owned(), json!("true")))
            .collect();
        json!({
            "metadata": {"name": name, "annotations": marks, "labels": {"anotherlabel": "anothervalue"}},
            "stringData": {"foo": "bar1", "foo2": "bar2"},
        })
    };
    rig.create_secret(existing("managed", &[managed])).await;
    rig.create_secret(existing("both", &[managed, patch])).await;
    rig.create_secret(existing("patched", &[patch])).await;
    rig.create_secret(json!({"metadata": {"name": "empty", "annotations": {patch: "true"}}}))
        .await;
    for name in ["managed", "both", "patched", "empty"] {
        rig.create(&rig.sealed(name, &[("foo", "bar")])).await;
    }

    let secret = rig.eventually_data("managed", &[("foo", "bar")]).await;
    assert_eq!(
        (
            secret.metadata.annotations.clone(),
            secret.metadata.labels.clone()
        ),
        (None, None)
    );
    assert_eq!(owner_of(&secret), Some("managed"));

    let merged = [("foo", "bar"), ("foo2", "bar2")];
    let secret = rig.eventually_data("both", &merged).await;
    assert_eq!(owner_of(&secret), Some("both"));
    assert_eq!(secret.metadata.annotations.as_ref().unwrap().len(), 2);
    assert_eq!(
        secret.metadata.labels.as_ref().unwrap()["anotherlabel"],
        "anothervalue"
    );

    let secret = rig.eventually_data("patched", &merged).await;
    assert_eq!(owner_of(&secret), None);
    let secret = rig.eventually_data("empty", &[("foo", "bar")]).await;
    assert_eq!(owner_of(&secret), None);

    // I27: what was only patched does not come back.
    rig.eventually_synced("patched", "True").await;
    rig.delete_secret("patched").await;
    tokio::time::sleep(A_MOMENT).await;
    assert!(rig.secret("patched").await.is_none());
}

#[tokio::test]
async fn i24_i25_i26_deleted_secrets_come_back_if_they_are_ours() {
    let rig = Rig::start(cluster(), "i24", &[]).await;
    rig.create(&rig.sealed("owned", &[("foo", "bar")])).await;
    rig.eventually_synced("owned", "True").await;
    rig.delete_secret("owned").await;
    let secret = rig.eventually_data("owned", &[("foo", "bar")]).await;
    assert_eq!(owner_of(&secret), Some("owned"));

    let mark = json!({"sealedsecrets.bitnami.com/managed": "true"});
    rig.create_secret(json!({"metadata": {"name": "managed", "annotations": mark}, "stringData": {"foo2": "bar2"}})).await;
    rig.create(&rig.sealed("managed", &[("foo", "bar")])).await;
    rig.eventually_synced("managed", "True").await;
    rig.delete_secret("managed").await;
    let secret = rig.eventually_data("managed", &[("foo", "bar")]).await;
    assert_eq!(owner_of(&secret), Some("managed"));

    rig.create_secret(json!({"metadata": {"name": "foreign"}, "stringData": {"foo": "theirs"}}))
        .await;
    rig.create(&rig.sealed("foreign", &[("foo", "bar")])).await;
    let sealed = rig.eventually_synced("foreign", "False").await;
    assert_eq!(
        condition(&sealed, "Synced").message,
        "failed update: Resource \"foreign\" already exists and is not managed by SealedSecret"
    );
    assert_eq!(
        rig.eventually_event("foreign", "ErrUpdateFailed").await,
        "Resource \"foreign\" already exists and is not managed by SealedSecret"
    );
    assert_eq!(data(&rig.secret("foreign").await.unwrap())["foo"], "theirs");
    rig.delete_secret("foreign").await;
    tokio::time::sleep(A_MOMENT).await;
    assert!(rig.secret("foreign").await.is_none());
    // P9: but it is not given up for ever.
    rig.eventually_data("foreign", &[("foo", "bar")]).await;
    rig.eventually_synced("foreign", "True").await;
}

#[tokio::test]
async fn p9_a_mark_that_is_added_to_a_blocking_secret_counts_at_once() {
    let rig = Rig::start(cluster(), "p9", &[]).await;
    rig.create_secret(json!({"metadata": {"name": "a"}, "stringData": {"foo": "theirs"}}))
        .await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "False").await;
    rig.patch_secret(
        "a",
        json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}}),
    )
    .await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    rig.eventually_synced("a", "True").await;
}

#[tokio::test]
async fn i28_i32_to_i39_keys_and_scopes() {
    let rig = Rig::start(cluster(), "i28", &[]).await;
    let other = cluster().namespace("i28-other").await;
    let strict = rig.sealed("strict", &[("foo", "bar")]);
    let cases = [
        // I32: another name under strict.
        (
            strict.clone(),
            "renamed-strict",
            rig.namespace.name(),
            false,
        ),
        // I36, I38: another name in the wider scopes.
        (
            rig.sealed_in(Scope::ClusterWide, "c", &[("foo", "bar")]),
            "renamed-cluster",
            rig.namespace.name(),
            true,
        ),
        (
            rig.sealed_in(Scope::NamespaceWide, "n", &[("foo", "bar")]),
            "renamed-namespace",
            rig.namespace.name(),
            true,
        ),
    ];
    for (mut sealed, name, namespace, opens) in cases {
        sealed.metadata.name = Some(name.into());
        sealed.metadata.namespace = Some(namespace.into());
        rig.create(&sealed).await;
        rig.eventually_synced(name, if opens { "True" } else { "False" })
            .await;
        assert_eq!(rig.secret(name).await.is_some(), opens, "{name}");
    }
    assert_eq!(
        rig.eventually_event("renamed-strict", "ErrUnsealFailed")
            .await,
        "Failed to unseal: no key could decrypt secret (foo)"
    );

    // I34, I37, I39: what was sealed for another namespace, seen from here.
    let here = rig.namespace.name().to_owned();
    for (scope, name, opens) in [
        (Scope::Strict, "moved-strict", false),
        (Scope::NamespaceWide, "moved-namespace", false),
        (Scope::ClusterWide, "moved-cluster", true),
    ] {
        let mut sealed = super::rig::sealed_for(
            &rig.certificate(),
            scope,
            other.name(),
            name,
            &[("foo", "bar")],
        );
        sealed.metadata.namespace = Some(here.clone());
        rig.create(&sealed).await;
        rig.eventually_synced(name, if opens { "True" } else { "False" })
            .await;
        assert_eq!(rig.secret(name).await.is_some(), opens, "{name}");
    }

    // T1: a template that claims a wider scope gains nothing.
    let mut sealed = strict.clone();
    sealed.metadata.name = Some("claims".into());
    sealed.spec.template.metadata.annotations = Some(
        [(
            "sealedsecrets.bitnami.com/cluster-wide".into(),
            "true".into(),
        )]
        .into(),
    );
    rig.create(&sealed).await;
    rig.eventually_synced("claims", "False").await;

    // I28: another key.
    let key = sealwright_crypto::sealing::PrivateKey::generate(2048).unwrap();
    let foreign =
        sealwright_crypto::sealing::Certificate::self_signed(&key, "", 1_700_000_000, 60).unwrap();
    rig.create(&super::rig::sealed_for(
        &foreign,
        Scope::Strict,
        &here,
        "foreign",
        &[("foo", "bar")],
    ))
    .await;
    let sealed = rig.eventually_synced("foreign", "False").await;
    assert_eq!(condition(&sealed, "Stalled").status, "True");
    rig.eventually_event("foreign", "ErrUnsealFailed").await;
    assert!(rig.secret("foreign").await.is_none());
}

#[tokio::test]
async fn i29_i30_i31_types_and_immutability() {
    let rig = Rig::start(cluster(), "i29", &[]).await;
    let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "c3R"}}}"#;
    let mut sealed = rig.sealed("docker", &[(".dockerconfigjson", config)]);
    sealed.spec.template.kind = Some("kubernetes.io/dockerconfigjson".into());
    rig.create(&sealed).await;
    let secret = rig
        .eventually_data("docker", &[(".dockerconfigjson", config)])
        .await;
    assert_eq!(
        secret.type_.as_deref(),
        Some("kubernetes.io/dockerconfigjson")
    );

    let mut sealed = rig.sealed("fixed", &[("foo", "bar")]);
    sealed.spec.template.immutable = Some(true);
    rig.create(&sealed).await;
    let secret = rig.eventually_data("fixed", &[("foo", "bar")]).await;
    assert_eq!(secret.immutable, Some(true));
    let new = rig.sealed("fixed", &[("foo", "baz")]);
    rig.update("fixed", |sealed| {
        sealed.spec.encrypted_data = new.spec.encrypted_data.clone()
    })
    .await;
    let sealed = rig.eventually_synced("fixed", "False").await;
    assert_eq!(sealed.status.as_ref().unwrap().observed_generation, Some(2));
    assert!(
        condition(&sealed, "Synced")
            .message
            .ends_with("field is immutable when `immutable` is set")
    );
    let message = rig.eventually_event("fixed", "ErrUpdateFailed").await;
    assert!(
        message.contains("the target Secret is immutable"),
        "{message}"
    );
    assert!(message.starts_with(&format!("Error updating {}/fixed:", rig.namespace.name())));

    // T8: another type cannot be had, and that is said.
    rig.update("docker", |sealed| sealed.spec.template.kind = None)
        .await;
    let sealed = rig.eventually_synced("docker", "False").await;
    assert!(condition(&sealed, "Synced").message.contains("immutable"));
    assert_eq!(condition(&sealed, "Stalled").status, "True");
}

#[tokio::test]
async fn p8_manual_edits_are_put_back_and_what_others_add_is_left() {
    let rig = Rig::start(cluster(), "p8", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    rig.patch_secret("a", json!({"stringData": {"foo": "edited", "more": "x"}}))
        .await;
    let secret = rig.eventually_data("a", &[("foo", "bar")]).await;
    let noted = rig
        .patch_secret("a", json!({"metadata": {"annotations": {"reloader": "1"}}}))
        .await;
    assert_ne!(version(&secret), version(&noted));
    tokio::time::sleep(A_MOMENT).await;
    let after = rig.secret("a").await.unwrap();
    assert_eq!(version(&after), version(&noted), "nothing was written");
    rig.patch_secret("a", json!({"metadata": {"ownerReferences": null}}))
        .await;
    rig.eventually_synced("a", "False").await;
}

#[tokio::test]
async fn c46_a_changed_scope_annotation_counts() {
    let rig = Rig::start(cluster(), "c46", &[]).await;
    let mut sealed = rig.sealed_in(Scope::ClusterWide, "a", &[("foo", "bar")]);
    sealed.metadata.annotations = None;
    rig.create(&sealed).await;
    rig.eventually_synced("a", "False").await;
    rig.update("a", |sealed| {
        Scope::ClusterWide.annotate(&mut sealed.metadata)
    })
    .await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
}

#[tokio::test]
async fn i45_t48_t49_t50_templates_siblings_and_null() {
    let rig = Rig::start(cluster(), "i45", &[]).await;
    let mut sealed = rig.sealed("a", &[("user", "me"), ("hidden", "x"), ("clash", "sealed")]);
    sealed.spec.template.data = [
        (
            "url".to_owned(),
            Some("https://{{ .user }}@{{ .host }}".to_owned()),
        ),
        ("host".to_owned(), Some("example".to_owned())),
        ("hidden".to_owned(), None),
        ("clash".to_owned(), Some("rendered".to_owned())),
    ]
    .into();
    rig.create(&sealed).await;
    rig.eventually_data(
        "a",
        &[
            ("clash", "sealed"),
            ("host", "example"),
            ("url", "https://me@example"),
            ("user", "me"),
        ],
    )
    .await;
    let mut broken = rig.sealed("b", &[("user", "me")]);
    broken.spec.template.data = [("out".to_owned(), Some("{{ env \"HOME\" }}".to_owned()))].into();
    rig.create(&broken).await;
    let sealed = rig.eventually_synced("b", "False").await;
    let message = condition(&sealed, "Synced").message;
    assert_eq!(
        message,
        "template: out:1: function \"env\" not defined (out)"
    );
    assert!(rig.secret("b").await.is_none());
}

#[tokio::test]
async fn t4_t44_owner_references_and_server_fields() {
    let rig = Rig::start(cluster(), "t44", &[]).await;
    let mut sealed = rig.sealed("a", &[("foo", "bar")]);
    let template = &mut sealed.spec.template.metadata;
    template.resource_version = Some("1".into());
    template.uid = Some("no-uid".into());
    template.namespace = Some("kube-system".into());
    template.name = Some("other".into());
    rig.create(&sealed).await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    rig.eventually_synced("a", "True").await;

    let skip = "sealedsecrets.bitnami.com/skip-set-owner-references";
    let mut sealed = rig.sealed("free", &[("foo", "bar")]);
    sealed.spec.template.metadata.annotations = Some([(skip.into(), "true".into())].into());
    rig.create(&sealed).await;
    let secret = rig.eventually_data("free", &[("foo", "bar")]).await;
    assert_eq!(owner_of(&secret), None);
    rig.eventually_synced("free", "False").await;
    let managed = "sealedsecrets.bitnami.com/managed";
    rig.update("free", |sealed| {
        let annotations = sealed
            .spec
            .template
            .metadata
            .annotations
            .get_or_insert_default();
        annotations.insert(managed.into(), "true".into());
    })
    .await;
    rig.patch_secret(
        "free",
        json!({"metadata": {"annotations": {managed: "true"}}}),
    )
    .await;
    rig.eventually_synced("free", "True").await;
}

#[tokio::test]
async fn c47_c55_t32_a_deleted_sealed_secret_takes_its_secret_and_series_along() {
    let rig = Rig::start(cluster(), "c47", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    let requests = rig.metric("unseal_requests_total");
    rig.sealed_secrets()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the deletion counts as a request", async || {
        (rig.metric("unseal_requests_total") > requests).then_some(())
    })
    .await;
    eventually("the garbage collector has been there", async || {
        rig.secret("a").await.is_none().then_some(())
    })
    .await;
    eventually("the series is gone", async || {
        (!rig.metrics_of(0).contains("name=\"a\"")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn p10_a_status_that_somebody_else_wrote_is_put_right() {
    let rig = Rig::start(cluster(), "p10", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    let lie = json!({"status": {"conditions": [{"type": "Synced", "status": "False", "message": "no key could decrypt secret"}]}});
    rig.sealed_secrets()
        .patch_status("a", &PatchParams::default(), &Patch::Merge(lie))
        .await
        .unwrap();
    rig.eventually_synced("a", "True").await;
}

#[tokio::test]
async fn t11_empty_values_and_empty_objects_are_legal() {
    let rig = Rig::start(cluster(), "t11", &[]).await;
    rig.create(&rig.sealed("value", &[("empty", "")])).await;
    rig.create(&rig.sealed("nothing", &[])).await;
    let mut rendered = rig.sealed("rendered", &[]);
    rendered.spec.template.data = [("out".to_owned(), Some("{{ len . }}".to_owned()))].into();
    rig.create(&rendered).await;
    for name in ["value", "nothing", "rendered"] {
        rig.eventually_synced(name, "True").await;
    }
    assert_eq!(data(&rig.secret("value").await.unwrap())["empty"], "");
    assert!(data(&rig.secret("nothing").await.unwrap()).is_empty());
    assert_eq!(data(&rig.secret("rendered").await.unwrap())["out"], "1");
}

#[tokio::test]
async fn t54_c72_the_series_is_there_for_every_object_and_always_true() {
    let mut rig = Rig::start(cluster(), "t54", &[]).await;
    let series = |name: &str, instance: &str| {
        format!(
            "condition_info{{condition=\"Synced\",name=\"{name}\",namespace=\"{}\",ss_app_kubernetes_io_instance=\"{instance}\"}}",
            rig.namespace.name()
        )
    };
    let (good, bad) = (series("good", "team"), series("bad", ""));
    let mut sealed = rig.sealed("good", &[("foo", "bar")]);
    sealed.metadata.labels = Some([("app.kubernetes.io/instance".into(), "team".into())].into());
    rig.create(&sealed).await;
    let mut sealed = rig.sealed("bad", &[("foo", "bar")]);
    sealed
        .spec
        .encrypted_data
        .insert("foo".into(), "AgAA".into());
    rig.create(&sealed).await;
    rig.eventually_synced("good", "True").await;
    rig.eventually_synced("bad", "False").await;
    for restart in [false, true] {
        if restart {
            rig.kill_and_restart(0);
        }
        eventually("both series are there and true", async || {
            (rig.metric(&good) == 1.0 && rig.metric(&bad) == -1.0).then_some(())
        })
        .await;
    }
}

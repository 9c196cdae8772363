use serde_json::json;

use super::*;

fn secret(json: serde_json::Value) -> PlainSecret {
    PlainSecret::from_json(json.to_string().as_bytes()).unwrap()
}

fn owner(uid: &str) -> serde_json::Value {
    json!([{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "a", "uid": uid, "controller": true}])
}

/// What is wanted: foo=bar, a label, an owner.
fn wanted() -> PlainSecret {
    secret(json!({
        "metadata": {"name": "a", "namespace": "ns", "labels": {"l": "1"}, "ownerReferences": owner("u")},
        "stringData": {"foo": "bar"},
    }))
}

fn target(metadata: serde_json::Value, data: serde_json::Value) -> PlainSecret {
    let mut all = json!({"name": "a", "namespace": "ns", "uid": "s", "resourceVersion": "5"});
    for (key, value) in metadata.as_object().unwrap() {
        all[key] = value.clone();
    }
    secret(json!({"metadata": all, "stringData": data, "type": "Opaque"}))
}

fn replaced(plan: Judgement<'_>) -> PlainSecret {
    match plan {
        Judgement::Replace(secret) => *secret,
        _ => panic!("the Secret should be replaced"),
    }
}

fn values(secret: &PlainSecret) -> Vec<(&str, &[u8])> {
    secret.iter().map(|(k, v)| (k, v.expose())).collect()
}

#[test]
fn nothing_there_is_created() {
    assert!(matches!(
        plan(&wanted(), "u", None, false),
        Judgement::Create(_)
    ));
}

#[test]
fn t7_an_equal_secret_is_left_alone_whatever_its_type_says() {
    let same = target(
        json!({"labels": {"l": "1"}, "ownerReferences": owner("u"), "annotations": {}}),
        json!({"foo": "bar"}),
    );
    assert!(matches!(
        plan(&wanted(), "u", Some(&same), false),
        Judgement::Keep
    ));
}

#[test]
fn an_owned_secret_is_replaced_as_a_whole_but_for_what_is_not_ours() {
    let there = target(
        json!({"labels": {"x": "y"}, "annotations": {"m": "n"}, "finalizers": ["f/f"], "ownerReferences": owner("u")}),
        json!({"foo": "old", "more": "x"}),
    );
    let new = replaced(plan(&wanted(), "u", Some(&there), false));
    assert_eq!(values(&new), [("foo", &b"bar"[..])]);
    assert_eq!(new.metadata.labels.as_ref().unwrap()["l"], "1");
    assert_eq!(new.metadata.labels.as_ref().unwrap().len(), 1);
    assert_eq!(new.metadata.annotations, None);
    assert_eq!(new.metadata.finalizers.as_ref().unwrap().len(), 1);
    assert_eq!(new.metadata.resource_version.as_deref(), Some("5"));
    assert_eq!(new.kind.as_deref(), Some("Opaque"));
}

#[test]
fn c61_a_foreign_secret_is_refused_even_if_it_is_equal() {
    let equal = target(json!({"labels": {"l": "1"}}), json!({"foo": "bar"}));
    assert!(matches!(
        plan(&wanted(), "u", Some(&equal), false),
        Judgement::Refuse
    ));
    let other_owner = target(
        json!({"ownerReferences": owner("other")}),
        json!({"foo": "bar"}),
    );
    assert!(matches!(
        plan(&wanted(), "u", Some(&other_owner), false),
        Judgement::Refuse
    ));
    let mut reference = owner("u");
    reference[0]["controller"] = false.into();
    let no_controller = target(json!({"ownerReferences": reference}), json!({"foo": "bar"}));
    assert!(matches!(
        plan(&wanted(), "u", Some(&no_controller), false),
        Judgement::Refuse
    ));
    let mark = target(
        json!({"annotations": {MANAGED_ANNOTATION: "True"}}),
        json!({}),
    );
    assert!(matches!(
        plan(&wanted(), "u", Some(&mark), false),
        Judgement::Refuse
    ));
}

#[test]
fn i20_t5_a_managed_secret_is_taken_over_and_loses_its_mark() {
    let there = target(
        json!({"annotations": {MANAGED_ANNOTATION: "true"}}),
        json!({"foo2": "bar2"}),
    );
    let new = replaced(plan(&wanted(), "u", Some(&there), false));
    assert_eq!(values(&new), [("foo", &b"bar"[..])]);
    assert_eq!(new.metadata.annotations, None);
    assert_eq!(owners(&new.metadata)[0].uid, "u");
}

#[test]
fn i22_i23_a_patched_secret_is_merged_and_gets_no_owner() {
    let there = target(
        json!({"annotations": {PATCH_ANNOTATION: "true"}, "labels": {"x": "y"}}),
        json!({"foo": "old", "foo2": "bar2"}),
    );
    let new = replaced(plan(&wanted(), "u", Some(&there), false));
    assert_eq!(values(&new), [("foo", &b"bar"[..]), ("foo2", b"bar2")]);
    assert_eq!(new.metadata.labels.as_ref().unwrap().len(), 2);
    assert!(owners(&new.metadata).is_empty());
    let empty = target(
        json!({"annotations": {PATCH_ANNOTATION: "true"}}),
        json!({}),
    );
    assert_eq!(
        values(&replaced(plan(&wanted(), "u", Some(&empty), false))).len(),
        1
    );
    let merged = target(
        json!({"annotations": {PATCH_ANNOTATION: "true"}, "labels": {"l": "1", "x": "y"}}),
        json!({"foo": "bar", "foo2": "bar2"}),
    );
    assert!(matches!(
        plan(&wanted(), "u", Some(&merged), false),
        Judgement::Keep
    ));
}

#[test]
fn i21_managed_and_patched_is_merged_and_owned_and_keeps_its_marks() {
    let there = target(
        json!({"annotations": {PATCH_ANNOTATION: "true", MANAGED_ANNOTATION: "true"}}),
        json!({"foo2": "bar2"}),
    );
    let new = replaced(plan(&wanted(), "u", Some(&there), false));
    assert_eq!(new.len(), 2);
    assert_eq!(owners(&new.metadata)[0].uid, "u");
    assert_eq!(new.metadata.annotations.as_ref().unwrap().len(), 2);
}

#[test]
fn c83_a_key_that_is_no_longer_wanted_stays_in_a_patched_secret() {
    let mut less = wanted();
    less.remove("foo");
    let patched = target(
        json!({"annotations": {PATCH_ANNOTATION: "true"}, "labels": {"l": "1"}}),
        json!({"foo": "bar"}),
    );
    assert!(matches!(
        plan(&less, "u", Some(&patched), false),
        Judgement::Keep
    ));
    let owned = target(
        json!({"ownerReferences": owner("u"), "labels": {"l": "1"}}),
        json!({"foo": "bar"}),
    );
    assert!(replaced(plan(&less, "u", Some(&owned), false)).is_empty());
}

#[test]
fn t8_a_changed_type_is_asked_for_so_that_the_api_server_says_why_not() {
    let there = secret(json!({
        "metadata": {"name": "a", "ownerReferences": owner("u"), "labels": {"l": "1"}},
        "type": "kubernetes.io/tls", "stringData": {"foo": "bar"},
    }));
    let new = replaced(plan(&wanted(), "u", Some(&there), true));
    assert_eq!(new.kind.as_deref(), Some("Opaque"));
}

#[test]
fn drift_is_what_came_from_the_spec_and_not_what_others_added() {
    let noted = |annotations, data| {
        target(
            json!({"labels": {"l": "1", "other": "x"}, "annotations": annotations, "ownerReferences": owner("u")}),
            data,
        )
    };
    let added = noted(json!({"reloader": "1"}), json!({"foo": "bar"}));
    assert!(matches!(
        plan(&wanted(), "u", Some(&added), true),
        Judgement::Keep
    ));
    assert!(matches!(
        plan(&wanted(), "u", Some(&added), false),
        Judgement::Replace(_)
    ));
    let changed = noted(json!({}), json!({"foo": "baz"}));
    assert!(matches!(
        plan(&wanted(), "u", Some(&changed), true),
        Judgement::Replace(_)
    ));
    let relabelled = target(
        json!({"labels": {"l": "2"}, "ownerReferences": owner("u")}),
        json!({"foo": "bar"}),
    );
    assert!(matches!(
        plan(&wanted(), "u", Some(&relabelled), true),
        Judgement::Replace(_)
    ));
}

#[test]
fn t6_immutable_and_finalizers_count_only_at_creation() {
    let mut immutable = wanted();
    immutable.immutable = Some(true);
    immutable.metadata.finalizers = Some(vec!["f/f".into()]);
    let there = target(
        json!({"labels": {"l": "1"}, "ownerReferences": owner("u")}),
        json!({"foo": "bar"}),
    );
    assert!(matches!(
        plan(&immutable, "u", Some(&there), false),
        Judgement::Keep
    ));
    let old = target(
        json!({"ownerReferences": owner("u")}),
        json!({"foo": "old"}),
    );
    let new = replaced(plan(&immutable, "u", Some(&old), false));
    assert_eq!((new.immutable, new.metadata.finalizers), (None, None));
}

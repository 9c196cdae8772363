use sealwright_template::Budget;
use serde_json::json;

use super::super::ExternalSecret;
use super::super::render::{Options, Sources};
use super::*;

fn external_secret(target: serde_json::Value) -> ExternalSecret {
    serde_json::from_value(json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "es", "namespace": "ns", "uid": "u1",
            "labels": {"own": "label"}, "annotations": {"own": "note"}},
        "spec": {"target": target},
    }))
    .unwrap()
}

fn existing(value: serde_json::Value) -> PlainSecret {
    PlainSecret::from_json(value.to_string().as_bytes()).unwrap()
}

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs
        .iter()
        .map(|(key, value)| {
            let value = sealwright_crypto::secret::SecretBytes::copy_of(value.as_bytes());
            ((*key).to_owned(), value)
        })
        .collect()
}

fn built(
    target: serde_json::Value,
    existing: Option<&PlainSecret>,
    data: &[(&str, &str)],
) -> Result<Write, TargetError> {
    build(
        &external_secret(target),
        existing,
        values(data),
        Inputs {
            sources: &Sources::default(),
            options: &Options::default(),
            budget: &Budget::default(),
        },
    )
}

#[track_caller]
fn written(write: Result<Write, TargetError>) -> PlainSecret {
    match write {
        Ok(Write::Create(secret) | Write::Update(secret)) => secret,
        Ok(_) => panic!("nothing is written"),
        Err(error) => panic!("{error}"),
    }
}

fn shown(secret: &PlainSecret) -> Vec<(String, String)> {
    secret
        .iter()
        .map(|(key, value)| {
            let text = String::from_utf8_lossy(value.expose()).into_owned();
            (key.to_owned(), text)
        })
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn label<'a>(secret: &'a PlainSecret, name: &str) -> Option<&'a str> {
    secret
        .metadata
        .labels
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

#[test]
fn a_new_secret_is_owned_and_labelled() {
    let secret = written(built(json!({}), None, &[("k", "one")]));
    assert_eq!(shown(&secret), pairs(&[("k", "one")]));
    assert_eq!(label(&secret, MANAGED_LABEL), Some("true"));
    assert_eq!(
        label(&secret, OWNER_LABEL),
        Some(hash::of_owner("ns", "es").as_str())
    );
    let annotations = secret.metadata.annotations.as_ref().unwrap();
    assert_eq!(
        annotations[DATA_HASH_ANNOTATION],
        "edd315f3ae8a65875ca93fa4af4c6f9c0721984abfc9fac1fc224c4d"
    );
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.name.as_str(), owner.uid.as_str()), ("es", "u1"));
    assert_eq!(owner.block_owner_deletion, Some(true));
    // What comes out needs no second write.
    assert!(matches!(
        built(json!({}), Some(&secret), &[("k", "one")]),
        Ok(Write::Nothing)
    ));
}

#[test]
fn t5_an_empty_template_copies_no_metadata() {
    let without = written(built(json!({}), None, &[("k", "v")]));
    assert_eq!(label(&without, "own"), Some("label"));
    assert_eq!(
        without.metadata.annotations.as_ref().unwrap()["own"],
        "note"
    );
    let with = written(built(json!({"template": {}}), None, &[("k", "v")]));
    assert_eq!(label(&with, "own"), None);
    assert_eq!(shown(&with), pairs(&[("k", "v")]));
}

#[test]
fn t30_owner_adopts_a_secret_that_no_one_controls() {
    let old = existing(json!({"metadata": {"name": "es", "namespace": "ns"},
        "data": {"mine": "aGVyZQ=="}, "type": "Opaque"}));
    let secret = written(built(json!({}), Some(&old), &[("k", "v")]));
    assert_eq!(shown(&secret), pairs(&[("k", "v")]));
    assert_eq!(secret.kind.as_deref(), Some("Opaque"));
    let kept = written(built(
        json!({"creationPolicy": "CreateOrMerge"}),
        Some(&old),
        &[("k", "v")],
    ));
    assert_eq!(shown(&kept), pairs(&[("k", "v"), ("mine", "here")]));
    assert_eq!(kept.metadata.owner_references, None);
    assert_eq!(label(&kept, OWNER_LABEL), None);
}

#[test]
fn t4_merging_takes_away_only_what_we_wrote() {
    let manager = hash::field_manager("es");
    let old = existing(json!({
        "metadata": {"name": "es", "namespace": "ns", "labels": {"keep": "yes", "old": "x"},
            "managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": {
                "f:data": {"f:gone": {}}, "f:metadata": {"f:labels": {"f:old": {}}}}}]},
        "data": {"mine": "aGVyZQ==", "gone": "eA=="}, "type": "Opaque",
    }));
    let secret = written(built(
        json!({"creationPolicy": "Merge", "template": {"data": {"t": "{{ .k }}!"}}}),
        Some(&old),
        &[("k", "one")],
    ));
    assert_eq!(shown(&secret), pairs(&[("mine", "here"), ("t", "one!")]));
    assert_eq!(label(&secret, "keep"), Some("yes"));
    assert_eq!(label(&secret, "old"), None);
}

#[test]
fn t2_names_of_28_to_63_characters_keep_old_labels_and_notes() {
    for (length, kept) in [(20, false), (28, true), (63, true), (64, false)] {
        let name = "n".repeat(length);
        let mut es = external_secret(json!({"template": {"metadata": {}}}));
        es.metadata.name = Some(name.clone());
        let secret = existing(json!({
            "metadata": {"name": name, "namespace": "ns", "labels": {"old": "label"}, "annotations": {"old": "note"},
                "managedFields": [{"manager": hash::field_manager(&name), "operation": "Update", "fieldsV1": {
                    "f:data": {"f:old": {}},
                    "f:metadata": {"f:labels": {"f:old": {}}, "f:annotations": {"f:old": {}}}}}]},
            "data": {"old": "b2xk"},
        }));
        let built = build(
            &es,
            Some(&secret),
            values(&[("k", "v")]),
            Inputs {
                sources: &Sources::default(),
                options: &Options::default(),
                budget: &Budget::default(),
            },
        );
        let secret = written(built);
        assert_eq!(label(&secret, "old").is_some(), kept, "{length}");
        let notes = secret.metadata.annotations.as_ref().unwrap();
        assert_eq!(notes.contains_key("old"), kept, "{length}");
        assert_eq!(shown(&secret), pairs(&[("k", "v")]));
    }
}

#[test]
fn policies_that_create_nothing_write_nothing() {
    assert!(matches!(
        built(json!({"creationPolicy": "None"}), None, &[("k", "v")]),
        Ok(Write::Nothing)
    ));
    assert!(matches!(
        built(json!({"creationPolicy": "Merge"}), None, &[("k", "v")]),
        Ok(Write::Missing)
    ));
}

#[test]
fn t12_secrets_of_other_controllers_are_refused() {
    let controlled = |api: &str, kind: &str, name: &str| {
        existing(
            json!({"metadata": {"name": "es", "namespace": "ns", "ownerReferences": [
            {"apiVersion": api, "kind": kind, "name": name, "uid": "x", "controller": true}]},
            "data": {}}),
        )
    };
    let other = controlled("external-secrets.io/v1beta1", "ExternalSecret", "other");
    for policy in ["Owner", "Orphan", "Merge", "CreateOrMerge"] {
        let write = built(
            json!({"creationPolicy": policy}),
            Some(&other),
            &[("k", "v")],
        );
        assert_eq!(write.err(), Some(TargetError::OwnedByOther), "{policy}");
    }
    let foreign = controlled("apps/v1", "Deployment", "d");
    let write = built(json!({}), Some(&foreign), &[("k", "v")]);
    let error = write.err().unwrap();
    assert_eq!(error, TargetError::CannotOwn);
    assert!(!error.is_retried());
    written(built(
        json!({"creationPolicy": "Orphan"}),
        Some(&foreign),
        &[("k", "v")],
    ));
    // An older version and another UID are still this object.
    let ours = controlled("external-secrets.io/v1beta1", "ExternalSecret", "es");
    let secret = written(built(json!({}), Some(&ours), &[("k", "v")]));
    let references = secret.metadata.owner_references.unwrap();
    assert_eq!(references.len(), 1);
    assert_eq!(references[0].uid, "u1");
    let let_go = written(built(
        json!({"creationPolicy": "Orphan"}),
        Some(&ours),
        &[("k", "v")],
    ));
    assert_eq!(let_go.metadata.owner_references, None);
}

#[test]
fn t11_a_frozen_secret_keeps_its_content() {
    let first = written(built(json!({"immutable": true}), None, &[("k", "one")]));
    assert_eq!(first.immutable, Some(true));
    assert!(matches!(
        built(json!({"immutable": true}), Some(&first), &[("k", "two")]),
        Ok(Write::Nothing)
    ));
    // Without the field the Secret is to change and cannot: its hash is written, its data is not.
    let Ok(Write::UpdateMetadata { secret, stale }) =
        built(json!({}), Some(&first), &[("k", "two")])
    else {
        panic!("the metadata is written")
    };
    assert!(stale);
    assert_eq!(shown(&secret), pairs(&[("k", "one")]));
    assert_eq!(
        built(json!({}), Some(&secret), &[("k", "two")]).err(),
        Some(TargetError::Immutable)
    );
    // A mutable Secret is frozen as it is.
    let loose = written(built(json!({}), None, &[("k", "one")]));
    let frozen = written(built(
        json!({"immutable": true}),
        Some(&loose),
        &[("k", "two")],
    ));
    assert_eq!(shown(&frozen), pairs(&[("k", "one")]));
    assert_eq!(frozen.immutable, Some(true));
}

#[test]
fn templates_replace_values_unless_they_are_merged() {
    let template = |merge: &str| {
        json!({"template": {"mergePolicy": merge, "type": "kubernetes.io/tls",
            "data": {"u": "over {{ .u }}", "new": "{{ .p }}"},
            "templateFrom": [{"literal": "u: from\nlit: '{{ .p }}'"}, {"literal": "x: '1'", "target": "labels"}],
            "metadata": {"labels": {"l": "{{ .u }}"}, "finalizers": ["demo/f"]}}})
    };
    let data = [("u", "user"), ("p", "pass")];
    let secret = written(built(template("Replace"), None, &data));
    assert_eq!(
        shown(&secret),
        pairs(&[("lit", "pass"), ("new", "pass"), ("u", "over user")])
    );
    assert_eq!(secret.kind.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(label(&secret, "l"), Some("user"));
    assert_eq!(label(&secret, "x"), Some("1"));
    assert_eq!(secret.metadata.finalizers, Some(vec!["demo/f".to_owned()]));
    let merged = written(built(template("Merge"), None, &data));
    assert_eq!(
        shown(&merged),
        pairs(&[
            ("lit", "pass"),
            ("new", "pass"),
            ("p", "pass"),
            ("u", "over user")
        ])
    );
}

#[test]
fn t50_a_missing_object_or_key_is_an_error() {
    let from = |items: serde_json::Value| json!({"template": {"templateFrom": [{"configMap": {"name": "tpl", "items": items}}]}});
    for items in [json!([{"key": "a"}]), json!([])] {
        let error = built(from(items), None, &[]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "spec.target.template.templateFrom[0].configMap: the object with the template does not exist"
        );
        assert!(error.is_retried());
    }
    let of_secret =
        json!({"template": {"templateFrom": [{"secret": {"name": "tpl", "items": []}}]}});
    assert_eq!(
        built(of_secret, None, &[]).err().unwrap().to_string(),
        "spec.target.template.templateFrom[0].secret: the object with the template does not exist"
    );
    let from = from(json!([{"key": "a"}]));
    let mut sources = Sources::default();
    sources.config_maps.insert(
        "tpl".to_owned(),
        [("a".to_owned(), "{{ .k }}".to_owned())].into(),
    );
    let write = build(
        &external_secret(from),
        None,
        values(&[("k", "v")]),
        Inputs {
            sources: &sources,
            options: &Options::default(),
            budget: &Budget::default(),
        },
    );
    assert_eq!(shown(&written(write)), pairs(&[("a", "v")]));
}

#[test]
fn s7_privileged_secrets_are_never_written() {
    let old = existing(
        json!({"metadata": {"name": "es", "namespace": "ns"}, "data": {},
        "type": "bootstrap.kubernetes.io/token"}),
    );
    let merged = built(
        json!({"creationPolicy": "Merge"}),
        Some(&old),
        &[("k", "v")],
    );
    assert!(matches!(merged.err(), Some(TargetError::Privileged(_))));
    let template = json!({"template": {"type": "bootstrap.kubernetes.io/token"}});
    assert!(matches!(
        built(template, None, &[]).err(),
        Some(TargetError::Privileged(_))
    ));
}

#[test]
fn t21_keys_and_values_are_read_as_yaml_1_1() {
    let literal = |text: &str| {
        let template = json!({"template": {"templateFrom": [{"literal": text}]}});
        built(template, None, &[("k", "v")])
    };
    // To YAML 1.2 these would be the key "y" and the number 12.
    let write = literal("y: '2'\na: 012\n\"a b\": c");
    assert_eq!(
        shown(&written(write)),
        pairs(&[("a", "10"), ("a b", "c"), ("true", "2")])
    );
    assert!(literal("a: [1, 2]").is_err());
}

#[test]
fn t22_a_missing_value_is_an_error_and_an_index_of_it_is_empty() {
    let data = |text: &str| {
        let template = json!({"template": {"data": {"out": text}}});
        built(template, None, &[("k", "v")])
    };
    assert!(data("{{ .nope }}").is_err());
    for (text, out) in [("<{{ index . \"nope\" }}>", "<>"), ("{{ .k }}", "v")] {
        assert_eq!(shown(&written(data(text))), pairs(&[("out", out)]));
    }
    // What would panic in Go is an error.
    assert!(data("{{ index (list 1) 7 }}").is_err());
}

#[test]
fn a_template_has_no_paths_into_a_secret_of_the_cluster() {
    for target in ["Spec", "metadata.labels", "type"] {
        let template = json!({"templateFrom": [{"literal": "", "target": target}]});
        let Err(error) = built(json!({"template": template}), None, &[]) else {
            panic!("{target} is a target")
        };
        assert_eq!(
            error.to_string(),
            "spec.target.template.templateFrom[0].target: the target is neither Data nor Labels nor Annotations"
        );
        assert!(error.is_retried());
    }
}

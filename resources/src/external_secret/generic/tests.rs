use sealwright_crypto::secret::SecretBytes;

use super::super::render::{Options, Sources};
use super::*;

fn object(target: Value) -> ExternalSecret {
    let spec = serde_json::from_value(json!({ "target": target })).unwrap();
    let mut object = ExternalSecret::new("es", spec);
    object.metadata.namespace = Some("ns".to_owned());
    object.metadata.uid = Some("u".to_owned());
    object
}

fn values() -> Values {
    [("k", "one"), ("evil", "{{ .k }}")]
        .map(|(key, value)| (key.to_owned(), SecretBytes::copy_of(value.as_bytes())))
        .into()
}

fn built(object: &ExternalSecret, existing: Option<&Value>) -> Result<Write, GenericError> {
    let mut sources = Sources::default();
    let map = [("t".to_owned(), "x{{ .evil }}".to_owned())].into();
    sources.config_maps.insert("cm".to_owned(), map);
    let manifest = object.spec.target.manifest.clone().unwrap();
    let inputs = Inputs {
        sources: &sources,
        options: &Options::default(),
        budget: &Budget::default(),
    };
    build(object, &manifest, existing, &values(), inputs)
}

fn created(object: &ExternalSecret) -> Value {
    match built(object, None).unwrap() {
        Write::Create(made) => made,
        other => panic!("{other:?}"),
    }
}

const MAP: &str = "ConfigMap";

fn map(more: Value) -> ExternalSecret {
    let mut target = json!({"name": "out", "manifest": {"apiVersion": "v1", "kind": MAP}});
    let more = more.as_object().unwrap().clone();
    target.as_object_mut().unwrap().extend(more);
    object(target)
}

#[test]
fn a_config_map_has_the_values_and_others_have_them_in_their_spec() {
    let made = created(&map(json!({})));
    assert_eq!(made["data"], json!({"k": "one", "evil": "{{ .k }}"}));
    assert_eq!(made["metadata"]["labels"][MANAGED_LABEL], "true");
    assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "es");
    let other = object(json!({"manifest": {"apiVersion": "v1", "kind": "Secret"}}));
    let made = created(&other);
    assert_eq!(made["spec"]["data"]["k"], "one");
    assert_eq!(made["data"], json!({}));
}

#[test]
fn what_was_edited_is_seen_and_put_back() {
    let object = map(json!({}));
    let mut there = created(&object);
    there["metadata"]["resourceVersion"] = "7".into();
    there["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(state(&object, Some(&there)), State::Valid);
    there["data"]["k"] = "edited".into();
    assert_eq!(state(&object, Some(&there)), State::Invalid);
    match built(&object, Some(&there)) {
        Ok(Write::Update(made)) => {
            assert_eq!(made["data"]["k"], "one");
            assert_eq!(made["metadata"]["resourceVersion"], "7");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(state(&object, None), State::Invalid);
    let nothing = json!({"metadata": {}});
    assert_eq!(state(&object, Some(&nothing)), State::Unknowable);
    // What was left behind on purpose is not looked at before the next refresh.
    let left = map(json!({"creationPolicy": "Orphan"}));
    for existing in [None, Some(&there), Some(&nothing)] {
        assert_eq!(state(&left, existing), State::Valid);
    }
}

#[test]
fn templates_reach_paths() {
    let template = json!({"templateFrom": [
        {"literal": "a: {{ .k }}\n", "target": "spec.rules[1].hosts"},
        {"literal": "x: 1\n", "target": "Labels"},
        {"literal": "b: two", "target": "spec.rules[1].hosts"},
    ]});
    let target = json!({"manifest": {"apiVersion": "e/v1", "kind": "Thing"}, "template": template});
    let made = created(&object(target));
    let rules = json!([null, {"hosts": {"a": "one", "b": "two"}}]);
    assert_eq!(made["spec"]["rules"], rules);
    assert_eq!(made["metadata"]["labels"]["x"], "1");
    // A field is named as it is spelled; a path of one step replaces what is there.
    let template = json!({"templateFrom": [
        {"literal": "a: one", "target": "spec"},
        {"literal": "b: two", "target": "spec"},
        {"literal": "c: three", "target": "Spec"},
    ]});
    let target = json!({"manifest": {"apiVersion": "e/v1", "kind": "Thing"}, "template": template});
    let made = created(&object(target));
    assert_eq!(made["spec"], json!({"b": "two"}));
    assert_eq!(made["Spec"], json!({"c": "three"}));
    for bad in ["spec..x", "[0]", "spec.x[10001]", "spec.x[a]", "spec.x[0"] {
        assert_eq!(Destination::of(Some(bad)), None, "{bad}");
    }
}

#[test]
fn t49_templates_of_config_maps_are_rendered_twice() {
    let from = json!({"configMap": {"name": "cm", "items": [{"key": "t"}]}});
    let object = map(json!({"template": {"templateFrom": [from]}}));
    assert!(renders_twice(&object));
    assert_eq!(created(&object)["data"]["t"], "xone");
    let object = map(json!({"template": {"data": {"t": "x{{ .evil }}"}}}));
    assert!(!renders_twice(&object));
    assert_eq!(created(&object)["data"]["t"], "x{{ .k }}");
}

#[test]
fn objects_of_templates_that_are_missing_are_errors_for_every_target() {
    for target in ["Data", "Labels", "spec.rules"] {
        for kind in ["configMap", "secret"] {
            let from = json!({kind: {"name": "missing", "items": []}, "target": target});
            let object = map(json!({"template": {"templateFrom": [from]}}));
            assert!(built(&object, None).is_err(), "{kind} {target}");
        }
    }
}

#[test]
fn a_template_makes_no_other_object() {
    for (target, literal) in [
        ("kind", "Pod"),
        ("metadata", "{name: other, namespace: kube-system}"),
        ("metadata.namespace", "kube-system"),
    ] {
        let from = json!({"literal": literal, "target": target});
        let object = map(json!({"template": {"templateFrom": [from]}}));
        assert_eq!(
            built(&object, None),
            Err(GenericError::OtherObject),
            "{target}"
        );
    }
}

#[test]
fn a_privileged_secret_is_not_made() {
    let template = json!({"templateFrom": [
        {"literal": "bootstrap.kubernetes.io/token", "target": "type"},
    ]});
    let manifest = json!({"apiVersion": "v1", "kind": "Secret"});
    let object = object(json!({"manifest": manifest, "template": template}));
    assert!(matches!(
        built(&object, None),
        Err(GenericError::Privileged(_))
    ));
}

#[test]
fn an_object_of_another_owner_is_left_alone() {
    let owned = |kind: &str, version: &str| {
        json!({"apiVersion": "v1", "kind": MAP, "data": {}, "metadata": {"name": "out", "namespace": "ns",
            "ownerReferences": [{"apiVersion": version, "kind": kind, "name": "x", "controller": true}]}})
    };
    let object = map(json!({}));
    let other = owned("ExternalSecret", "external-secrets.io/v1");
    assert_eq!(
        built(&object, Some(&other)),
        Err(GenericError::OwnedByOther)
    );
    let foreign = owned("Deployment", "apps/v1");
    assert_eq!(built(&object, Some(&foreign)), Err(GenericError::CannotOwn));
    let merging = map(json!({"creationPolicy": "Merge"}));
    assert!(matches!(
        built(&merging, Some(&foreign)),
        Ok(Write::Update(_))
    ));
}

#[test]
fn only_what_carries_our_label_is_deleted() {
    let object = map(json!({}));
    let labels = |pairs: &[(&str, &str)]| ObjectMeta {
        labels: Some(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        ),
        ..ObjectMeta::default()
    };
    let own = hash::of_owner("ns", "es");
    assert!(!may_delete(&object, &ObjectMeta::default()));
    assert!(may_delete(&object, &labels(&[(MANAGED_LABEL, "true")])));
    let ours = labels(&[(MANAGED_LABEL, "true"), (OWNER_LABEL, &own)]);
    assert!(may_delete(&object, &ours));
    let other = labels(&[(MANAGED_LABEL, "true"), (OWNER_LABEL, "other")]);
    assert!(!may_delete(&object, &other));
}

#[test]
fn a_path_that_makes_far_more_than_it_says_is_refused() {
    let at = |target: &str, times: usize| {
        let one = json!({"target": target, "literal": "x"});
        map(json!({"template": {"templateFrom": vec![one; times]}}))
    };
    assert!(built(&at("spec.a[2].b", 1), None).is_ok());
    // It would be dropped level by level.
    let deep = at(&format!("spec{}", ".a".repeat(200_000)), 1);
    assert!(built(&deep, None).is_err());
    // Two thousand lists of ten thousand nulls.
    let steps: Vec<Value> = (0..2000)
        .map(|number| json!({"target": format!("spec.a{number}[9999]"), "literal": "x"}))
        .collect();
    let many = built(&map(json!({"template": {"templateFrom": steps}})), None);
    let Err(GenericError::Template(error)) = many else {
        panic!("another outcome");
    };
    assert_eq!(error.problem, RenderProblem::Budget { line: None });
}

#[test]
fn documents_that_take_far_more_than_their_text_are_refused() {
    let at = |target: &str, literal: &str| {
        let one = json!({"target": target, "literal": literal});
        built(&map(json!({"template": {"templateFrom": [one]}})), None)
    };
    for (target, literal) in [
        ("spec.a", "{{ repeat 4000000 \"- a\\n\" }}"),
        ("data", "{{ range until 400000 }}k{{ . }}: a\n{{ end }}"),
        ("spec.a", "{{ repeat 1000000 \"- \" }}a"),
    ] {
        assert!(at(target, literal).is_err(), "{literal}");
    }
    assert!(at("spec.a", "{{ repeat 100 \"- \" }}a").is_ok());
}

#[test]
fn aliases_of_long_texts_share_the_budget_of_the_object() {
    let literal = |aliases: usize| {
        format!(
            "a: &x {{{{ repeat 60000 \"x\" }}}}\n{{{{ range until {aliases} }}}}k{{{{ . }}}}: *x\n{{{{ end }}}}"
        )
    };
    let made = |target: &str, aliases: usize, times: usize| {
        let from: Vec<Value> = (0..times)
            .map(|number| {
                let target = target.replace('#', &number.to_string());
                json!({"target": target, "literal": literal(aliases)})
            })
            .collect();
        built(&map(json!({"template": {"templateFrom": from}})), None)
    };
    for target in ["data", "spec.a#"] {
        assert!(made(target, 30, 2).is_ok(), "{target}");
        // Each alone is larger than any object.
        assert!(made(target, 1000, 1).is_err(), "{target}");
        let Err(GenericError::Template(error)) = made(target, 30, 20) else {
            panic!("{target}: another outcome");
        };
        assert_eq!(error.problem, RenderProblem::Budget { line: None });
    }
}

#[test]
fn only_the_first_document_of_a_text_counts() {
    let one = json!({"target": "spec.a", "literal": "x: 1\n---\ny: ["});
    let made = created(&map(json!({"template": {"templateFrom": [one]}})));
    assert_eq!(made["spec"]["a"], json!({"x": 1}));
}

//! The CustomResourceDefinition, as near upstream's as its defects allow.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::SealedSecret;

/// Builds the CRD of the SealedSecret.
///
/// It differs from upstream's where that one is at fault: the values of `template.data` are
/// nullable, because a null there is meant to leave an item out and an API server would prune it.
#[must_use]
pub fn custom_resource_definition() -> CustomResourceDefinition {
    let generated = serde_json::to_value(SealedSecret::crd()).expect("a CRD is JSON");
    let mut crd = generated;
    let root = "/spec/versions/0/schema/openAPIV3Schema";
    let spec = format!("{root}/properties/spec");
    let template = format!("{spec}/properties/template");

    put(&mut crd, &format!("{root}/required"), json!(["spec"]));
    put(
        &mut crd,
        &format!("{spec}/required"),
        json!(["encryptedData"]),
    );
    put(
        &mut crd,
        &format!("{spec}/properties/data"),
        json!({
            "description": "Data is deprecated and will be removed eventually. Use per-value EncryptedData instead.",
            "format": "byte",
            "type": "string",
        }),
    );
    put(
        &mut crd,
        &format!("{spec}/properties/encryptedData"),
        json!({
            "additionalProperties": {"type": "string"},
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
        }),
    );
    put(
        &mut crd,
        &format!("{template}/properties/data/nullable"),
        json!(true),
    );
    put(
        &mut crd,
        &format!("{template}/properties/data/additionalProperties"),
        json!({"type": "string", "nullable": true}),
    );
    let texts = json!({"additionalProperties": {"type": "string"}, "type": "object"});
    put(
        &mut crd,
        &format!("{template}/properties/metadata"),
        json!({
            "description": "Standard object's metadata.\nMore info: https://git.k8s.io/community/contributors/devel/api-conventions.md#metadata",
            "nullable": true,
            "properties": {
                "annotations": texts,
                "finalizers": {"items": {"type": "string"}, "type": "array"},
                "labels": texts,
                "name": {"type": "string"},
                "namespace": {"type": "string"},
            },
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
        }),
    );
    tidy(&mut crd["spec"]["versions"][0]["schema"]);
    serde_json::from_value(crd).expect("still a CRD")
}

fn put(crd: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a path");
    let parent = crd.pointer_mut(parent).expect("the schema has this place");
    parent[key] = value;
}

/// Removes what the schema generator adds and upstream does not have: defaults and nullable
/// marks of optional fields. An API server writes defaults into every object it stores, and
/// objects taken over from upstream must stay as they are.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("default");
            let keeps_null = fields.contains_key("x-kubernetes-preserve-unknown-fields")
                || fields.get("description").is_some_and(|text| {
                    text.as_str()
                        .is_some_and(|text| text.starts_with("Keys that should be templated"))
                })
                || fields.len() == 2;
            if !keeps_null {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

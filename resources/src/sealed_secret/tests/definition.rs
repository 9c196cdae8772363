//! The definition of the resource.

use super::*;

/// Upstream's CRD, field by field; the named differences are wanted.
#[test]
fn the_crd_is_upstreams_with_nullable_template_values() {
    let crd = serde_json::to_value(custom_resource_definition()).unwrap();
    assert_eq!(crd["metadata"]["name"], "sealedsecrets.bitnami.com");
    let spec = &crd["spec"];
    assert_eq!(spec["group"], GROUP);
    assert_eq!(spec["scope"], "Namespaced");
    let names = &spec["names"];
    assert_eq!(names["kind"], KIND);
    assert_eq!(names["plural"], "sealedsecrets");
    assert_eq!(names["singular"], "sealedsecret");
    let version = &spec["versions"][0];
    assert_eq!(version["name"], "v1alpha1");
    assert_eq!(version["subresources"], json!({"status": {}}));
    assert_eq!(
        version["additionalPrinterColumns"],
        json!([
            {"jsonPath": ".status.conditions[0].message", "name": "Status", "type": "string"},
            {"jsonPath": ".status.conditions[0].status", "name": "Synced", "type": "string"},
            {"jsonPath": ".metadata.creationTimestamp", "name": "Age", "type": "date"},
        ])
    );
    let schema = without_descriptions(&version["schema"]["openAPIV3Schema"]);
    let texts = json!({"additionalProperties": {"type": "string"}, "type": "object"});
    assert_eq!(
        schema["properties"]["spec"],
        json!({
            "type": "object",
            "required": ["encryptedData"],
            "properties": {
                "data": {"type": "string", "format": "byte"},
                "encryptedData": {
                    "additionalProperties": {"type": "string"}, "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                },
                "template": {
                    "type": "object",
                    "properties": {
                        "data": {
                            "additionalProperties": {"type": "string", "nullable": true},
                            "nullable": true, "type": "object",
                        },
                        "immutable": {"type": "boolean"},
                        "metadata": {
                            "nullable": true, "type": "object",
                            "x-kubernetes-preserve-unknown-fields": true,
                            "properties": {
                                "annotations": texts, "labels": texts,
                                "finalizers": {"items": {"type": "string"}, "type": "array"},
                                "name": {"type": "string"}, "namespace": {"type": "string"},
                            },
                        },
                        "type": {"type": "string"},
                    },
                },
            },
        })
    );
    let time = json!({"type": "string", "format": "date-time"});
    assert_eq!(
        schema["properties"]["status"],
        json!({
            "type": "object",
            "properties": {
                "observedGeneration": {"type": "integer", "format": "int64"},
                "conditions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["status", "type"],
                        "properties": {
                            "lastTransitionTime": time, "lastUpdateTime": time,
                            "message": {"type": "string"}, "reason": {"type": "string"},
                            "status": {"type": "string"}, "type": {"type": "string"},
                        },
                    },
                },
            },
        })
    );
    assert_eq!(schema["required"], json!(["spec"]));
    assert_eq!(schema["type"], "object");
}

fn without_descriptions(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, value)| *key != "description" || !value.is_string())
            .map(|(key, value)| (key.clone(), without_descriptions(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_descriptions).collect(),
        other => other.clone(),
    }
}

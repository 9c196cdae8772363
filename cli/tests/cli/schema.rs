//! The published schema of `--output json`, and whether an object is as it says. The cases against a cluster use it, too.

use serde_json::{Map, Value};

/// The schema as it is published in the docs.
pub(crate) fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/src/json-output.schema.json")).unwrap()
}

/// Whether a value is as a part of the schema says; the part of JSON Schema that ours is written in.
pub(crate) fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return schema == &Value::Bool(true);
    };
    schema.iter().all(|(word, says)| match word.as_str() {
        "$ref" => {
            let name = says.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            fits(&root["$defs"][name], root, value)
        }
        "anyOf" => {
            let mut parts = says.as_array().unwrap().iter();
            parts.any(|part| fits(part, root, value))
        }
        "enum" => says.as_array().unwrap().contains(value),
        "type" => match says {
            Value::Array(types) => types.iter().any(|name| is_of(name, value)),
            name => is_of(name, value),
        },
        "required" => {
            !value.is_object()
                || says
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap()).is_some())
        }
        "properties" => {
            let says = says.as_object().unwrap();
            entries(value)
                .all(|(name, value)| says.get(name).is_none_or(|part| fits(part, root, value)))
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            entries(value)
                .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)))
                .all(|(_, value)| fits(says, root, value))
        }
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| fits(says, root, item))),
        "description" | "title" | "$schema" | "$defs" => true,
        other => panic!("the test does not know {other}"),
    })
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the test does not know {other}"),
    }
}

/// Fails unless a line is one object that the named part of the schema describes.
#[track_caller]
pub(crate) fn assert_is(name: &str, line: &str) -> Value {
    let schema = schema();
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(
        fits(&schema["$defs"][name], &schema, &value),
        "{name}: {line}"
    );
    value
}

//! With `--output json` every verb writes objects that the published schema describes.

use serde_json::{Map, Value};

use super::desk::{Desk, KEYS};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/src/json-output.schema.json")).unwrap()
}

/// Whether a value is as a part of the schema says; the part of JSON Schema that ours is written in.
fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return schema == &Value::Bool(true);
    };
    schema.iter().all(|(word, says)| match word.as_str() {
        "$ref" => {
            let name = says.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            fits(&root["$defs"][name], root, value)
        }
        "oneOf" => {
            let parts = says.as_array().unwrap().iter();
            parts.filter(|part| fits(part, root, value)).count() == 1
        }
        "enum" => says.as_array().unwrap().contains(value),
        "type" => match says {
            Value::Array(types) => types.iter().any(|name| is_of(name, value)),
            name => is_of(name, value),
        },
        "required" => says
            .as_array()
            .unwrap()
            .iter()
            .all(|name| value.get(name.as_str().unwrap()).is_some()),
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

#[test]
fn every_object_is_as_the_published_schema_says() {
    let mut desk = Desk::with_rule();
    desk.set("EDITOR", "sh -c 'echo \"more: 1\" >> \"$0\"'");
    desk.encrypted("a.yaml", "a: 1\nb: {c: x}\n");
    desk.write("plain.yaml", "a: 1\n");
    desk.write(
        "s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\nstringData:\n  x: y\n",
    );
    let schema = schema();
    let verbs: [&[&str]; 26] = [
        &["status", "."],
        &["encrypt", "-i", "plain.yaml"],
        &["encrypt", "-i", "plain.yaml"],
        &["encrypt", "-i", "--dry-run", "."],
        &["get", "a.yaml", "a"],
        &["get", "a.yaml", "b"],
        &["get", "a.yaml", "missing"],
        &["set", "a.yaml", "a", "2"],
        &["set", "a.yaml", "a", "x"],
        &["unset", "a.yaml", "a"],
        &["edit", "a.yaml"],
        &["edit", "--resume"],
        &["rotate", "."],
        &["rotate", "--rm-age", KEYS[1].0, "a.yaml"],
        &["updatekeys", "--check", "."],
        &["groups", "delete", "a.yaml", "3"],
        &["config", "check"],
        &["config", "explain", "a.yaml"],
        &["keygen", "--out", "k.txt"],
        &[
            "sealing-key",
            "--bits",
            "2048",
            "--key",
            "k.pem",
            "--cert",
            "c.pem",
        ],
        &["seal", "s.yaml", "--cert", "c.pem", "--out", "sealed.yaml"],
        &[
            "reseal", "--key", "k.pem", "--cert", "c.pem", "--check", ".",
        ],
        &["decrypt", "-i", "."],
        &["decrypt", "nofile.yaml"],
        &["decrypt", "--nonsense"],
        &["nonsense"],
    ];
    let mut objects = 0;
    for words in verbs {
        let all = [&["--output", "json"], words].concat();
        let ran = desk.run(&all);
        for line in ran.out.lines().chain(ran.err.lines()) {
            let value: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{words:?}: {error}: {line}"));
            assert!(fits(&schema, &schema, &value), "{words:?}: {line}");
            objects += 1;
        }
        assert!(
            !ran.out.is_empty() || !ran.err.is_empty() || ran.code == 0,
            "{words:?} fails without a word"
        );
    }
    assert!(
        objects >= verbs.len(),
        "{objects} objects of {} verbs",
        verbs.len()
    );
}

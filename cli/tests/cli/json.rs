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

/// What only verbs that ask a cluster write, and a message, which few verbs have.
const NEED_A_CLUSTER: [&str; 5] = [
    "message",
    "validated",
    "cluster",
    "exported_keys",
    "imported_keys",
];

/// Each verb with the part of the schema that its standard output fits. What stands on standard error is a failure or a
/// message.
const VERBS: [(&str, &[&str]); 50] = [
    ("setup", &["init", "--yes"]),
    ("setup", &["init", "--yes"]),
    ("health", &["doctor"]),
    ("build", &["--version", "--verbose"]),
    ("status", &["status", "."]),
    ("by_recipient", &["status", "--by", "recipient", "."]),
    ("report", &["encrypt", "-i", "plain.yaml"]),
    ("report", &["encrypt", "-i", "plain.yaml"]),
    ("report", &["encrypt", "-i", "--dry-run", "."]),
    ("value", &["get", "a.yaml", "a"]),
    ("value", &["get", "a.yaml", "b"]),
    ("value", &["get", "a.yaml", "missing"]),
    ("report", &["set", "a.yaml", "a", "2"]),
    ("report", &["set", "a.yaml", "a", "x"]),
    ("report", &["unset", "a.yaml", "a"]),
    ("differences", &["diff"]),
    ("differences", &["diff", "--reveal"]),
    ("differences", &["diff", "nowhere"]),
    ("edited", &["edit", "a.yaml"]),
    ("edited", &["edit", "--resume"]),
    ("report", &["rotate", "."]),
    ("report", &["rotate", "--rm-age", KEYS[1].0, "a.yaml"]),
    ("report", &["updatekeys", "--check", "."]),
    ("recipients", &["recipients", "list"]),
    (
        "report",
        &["recipients", "add", KEYS[2].0, "--dry-run", "--name", "eve"],
    ),
    (
        "report",
        &["recipients", "add", KEYS[2].0, "--yes", "--name", "eve"],
    ),
    ("report", &["recipients", "add", KEYS[2].0, "--yes"]),
    ("report", &["recipients", "remove", "eve"]),
    ("report", &["recipients", "remove", "eve", "--yes"]),
    ("report", &["recipients", "remove", "nobody", "--yes"]),
    ("report", &["groups", "delete", "a.yaml", "3"]),
    ("problems", &["config", "check"]),
    ("explanation", &["config", "explain", "a.yaml"]),
    ("recipient", &["keygen", "--out", "k.txt"]),
    ("recipient", &["keygen", "--out", "k.txt"]),
    (
        "sealing_key",
        &[
            "sealing-key",
            "--bits",
            "2048",
            "--key",
            "k.pem",
            "--cert",
            "c.pem",
        ],
    ),
    ("certificate", &["cert", "--cert", "c.pem"]),
    (
        "report",
        &["seal", "s.yaml", "--cert", "c.pem", "--out", "sealed.yaml"],
    ),
    (
        "report",
        &[
            "reseal", "--key", "k.pem", "--cert", "c.pem", "--check", ".",
        ],
    ),
    ("validated", &["validate", "nowhere.yaml"]),
    (
        "pushed",
        &["push", "file:vault/db#user", "--from-file", "value"],
    ),
    (
        "pushed",
        &[
            "push",
            "file:vault/db#user",
            "--from-file",
            "value",
            "--dry-run",
        ],
    ),
    ("values", &["fetch", "file:vault/db#user"]),
    ("values", &["fetch", "file:vault/nothing"]),
    ("store_health", &["store", "check", "--store", "store.yaml"]),
    ("store_keys", &["store", "ls", "--store", "store.yaml"]),
    ("report", &["decrypt", "-i", "."]),
    ("report", &["decrypt", "nofile.yaml"]),
    ("report", &["decrypt", "--nonsense"]),
    ("report", &["nonsense"]),
];

#[test]
fn every_object_is_as_the_published_schema_says() {
    let mut desk = Desk::with_rule();
    desk.set("EDITOR", "sh -c 'echo \"more: 1\" >> \"$0\"'");
    for name in ["AUTHOR", "COMMITTER"] {
        desk.set(&format!("GIT_{name}_NAME"), "alice");
        desk.set(&format!("GIT_{name}_EMAIL"), "alice@example.com");
    }
    desk.encrypted("a.yaml", "a: 1\nb: {c: x}\n");
    desk.git(&["init", "--quiet"]);
    desk.git(&["add", "a.yaml"]);
    desk.git(&["commit", "--quiet", "--message", "first"]);
    desk.write("plain.yaml", "a: 1\n");
    desk.write("value", "admin");
    desk.write("vault/.keep", "");
    desk.write(".gitignore", "vault\nstore.yaml\nvalue\n");
    desk.write(
        "store.yaml",
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: s, namespace: n }\n\
         spec: { provider: { file: { path: vault } } }\n",
    );
    desk.write(
        "s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b\nstringData:\n  x: y\n",
    );
    let schema = schema();
    let part = |name: &str| &schema["$defs"][name];
    let object = |words: &[&str], line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{words:?}: {error}: {line}"))
    };
    let mut seen = std::collections::BTreeSet::new();
    for (name, words) in VERBS {
        let all = [&["--output", "json"], words].concat();
        let ran = desk.run(&all);
        for line in ran.out.lines() {
            assert!(part(name).is_object(), "the schema has {name}");
            let value = object(words, line);
            assert!(fits(part(name), &schema, &value), "{words:?}: {line}");
            assert!(fits(&schema, &schema, &value), "{words:?}: {line}");
            seen.insert(name);
        }
        for line in ran.err.lines() {
            let value = object(words, line);
            let told = ["failure", "message"].into_iter();
            let mut told = told.filter(|name| fits(part(name), &schema, &value));
            seen.insert(told.next().unwrap_or_else(|| panic!("{words:?}: {line}")));
        }
        assert!(
            !ran.out.is_empty() || !ran.err.is_empty() || ran.code == 0,
            "{words:?} fails without a word"
        );
    }
    // What needs a server is tried where the servers are.
    let published = schema["anyOf"].as_array().unwrap().iter();
    let unseen: Vec<&str> = published
        .map(|part| part["$ref"].as_str().unwrap().rsplit('/').next().unwrap())
        .filter(|name| !seen.contains(name) && !NEED_A_CLUSTER.contains(name))
        .collect();
    assert!(unseen.is_empty(), "no verb wrote {unseen:?}");
}

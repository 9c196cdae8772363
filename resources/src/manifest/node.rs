//! The content of a manifest before it has types.

use std::rc::Rc;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_template::yaml::{NODE_SIZE, Node, float_text};

/// Fields of objects whose spelling is mended when only the case is wrong.
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "status",
    "type",
    "immutable",
    "data",
    "stringData",
    "encryptedData",
    "template",
    "name",
    "namespace",
    "generateName",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "selfLink",
    "generation",
];

/// Maps whose keys are the user's own and whose values are texts.
const TEXT_MAPS: &[&str] = &["labels", "annotations", "stringData", "encryptedData"];

/// Fields that are not texts although a scalar stands there.
const TYPED_FIELDS: &[&str] = &[
    "immutable",
    "controller",
    "blockOwnerDeletion",
    "generation",
    "deletionGracePeriodSeconds",
    "observedGeneration",
];

/// Writes a part of an object as JSON: scalars in text fields become texts, names of fields get their case.
pub(super) fn to_json(node: &Node, path: &[&str]) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(1024);
    let mut path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
    write_json(node, &mut path, &mut out);
    out.finish()
}

fn write_json(node: &Node, path: &mut Vec<String>, out: &mut SecretWriter) {
    match node {
        Node::List(items) => {
            out.push_byte(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                write_json(item, path, out);
            }
            out.push_byte(b']');
        }
        Node::Map(entries) => {
            let own_keys = holds_own_keys(path);
            out.push_byte(b'{');
            for (index, (key, value)) in last_of_each(entries).into_iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                let known = FIELDS
                    .iter()
                    .find(|known| !own_keys && known.eq_ignore_ascii_case(&key));
                let key = known.map_or(key, |known| (*known).to_owned());
                write_json_text(&key, out);
                out.push_byte(b':');
                path.push(key);
                write_json(value, path, out);
                path.pop();
            }
            out.push_byte(b'}');
        }
        Node::Text(text) => write_json_text(text, out),
        // Kubernetes reads nothing in a map of texts as the empty text.
        Node::Null if is_in_text_map(path) => out.push(b"\"\""),
        Node::Null => out.push(b"null"),
        scalar if wants_text(path) => {
            write_json_text(
                &scalar
                    .as_text()
                    .flatten()
                    .expect("a scalar that is not null"),
                out,
            );
        }
        Node::Bool(value) => out.push(if *value { b"true" } else { b"false" }),
        Node::Int(value) => out.push(value.to_string().as_bytes()),
        // JSON has no infinities; a field that gets a text instead refuses it.
        Node::Float(value) if value.is_finite() => out.push(format!("{value:?}").as_bytes()),
        Node::Float(value) => write_json_text(&float_text(*value), out),
    }
}

/// Of equal keys the last value, at the place of the first.
pub(super) fn last_of_each(entries: &[(Rc<Node>, Rc<Node>)]) -> Vec<(String, &Node)> {
    let mut kept: Vec<(String, &Node)> = Vec::with_capacity(entries.len());
    let mut places = std::collections::HashMap::with_capacity(entries.len());
    for (key, value) in entries {
        let key = key.as_key();
        match places.get(&key) {
            Some(place) => {
                let place: &usize = place;
                kept[*place].1 = value;
            }
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

/// About how many bytes [`to_value`] needs: what an alias stands for is there as often as it is named.
pub(crate) fn weight(node: &Node) -> usize {
    let below = match node {
        Node::Text(text) => text.len(),
        Node::List(items) => items.iter().map(|item| weight(item)).sum(),
        Node::Map(entries) => entries
            .iter()
            .map(|(key, value)| weight(key) + weight(value))
            .sum(),
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) => 0,
    };
    NODE_SIZE + below
}

/// The same as a plain value, of which nothing is wiped.
pub(crate) fn to_value(node: &Node) -> serde_json::Value {
    use serde_json::Value;
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(value), _) => Value::from(value),
            (_, Ok(value)) => Value::from(value),
            _ => Value::String(value.to_string()),
        },
        Node::Float(value) => serde_json::Number::from_f64(*value)
            .map_or_else(|| Value::String(float_text(*value)), Value::Number),
        Node::Text(text) => Value::String(text.to_string()),
        Node::List(items) => items.iter().map(|item| to_value(item)).collect(),
        Node::Map(entries) => {
            let entries = last_of_each(entries).into_iter();
            Value::Object(entries.map(|(key, value)| (key, to_value(value))).collect())
        }
    }
}

fn holds_own_keys(path: &[String]) -> bool {
    let last = path.last().map_or("", String::as_str);
    TEXT_MAPS.contains(&last)
        || (last == "data" && path.len() > 1)
        || path.iter().any(|step| step == "fieldsV1")
}

fn wants_text(path: &[String]) -> bool {
    let field = path.last().map_or("", String::as_str);
    is_in_text_map(path)
        || (parent(path) == "data" && path.len() > 2)
        || !TYPED_FIELDS.contains(&field)
}

fn is_in_text_map(path: &[String]) -> bool {
    TEXT_MAPS.contains(&parent(path))
}

fn parent(path: &[String]) -> &str {
    path.len().checked_sub(2).map_or("", |at| path[at].as_str())
}

pub(super) fn write_json_text(text: &str, out: &mut SecretWriter) {
    serde_json::to_writer(out, text).expect("memory takes it");
}

/// Go prints an empty value of `data` as null, so the programs that parse it expect that.
pub(super) fn print_empty_data_as_null(node: &mut Node) {
    let Node::Map(fields) = node else { return };
    for (_, data) in fields
        .iter_mut()
        .filter(|(key, _)| key.as_string() == Some("data"))
    {
        let Node::Map(entries) = Rc::make_mut(data) else {
            continue;
        };
        for (_, value) in entries
            .iter_mut()
            .filter(|(_, value)| value.as_string() == Some(""))
        {
            *value = Rc::new(Node::Null);
        }
    }
}

//! The content of a manifest before it has types, wiped when dropped.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A value of a manifest.
#[derive(Clone)]
pub(super) enum Node {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number within 64 bits, signed or not.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Rc<Zeroizing<String>>),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map in the order of the input; of equal keys the last one counts.
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

static_assertions::assert_not_impl_any!(Node: fmt::Debug, fmt::Display);

impl Node {
    pub(super) fn text(text: String) -> Self {
        Node::Text(Rc::new(Zeroizing::new(text)))
    }

    /// Go prints an empty value of `data` as null, so the programs that parse it expect that.
    pub(super) fn print_empty_data_as_null(&mut self) {
        let Node::Map(fields) = self else { return };
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

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a text, and nothing else.
    pub(super) fn as_string(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar where a text is expected; `Some(None)` for null.
    pub(super) fn as_text(&self) -> Option<Option<Cow<'_, str>>> {
        Some(Some(match self {
            Node::Null => return Some(None),
            Node::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Node::Int(value) => Cow::Owned(value.to_string()),
            Node::Float(value) => Cow::Owned(float_text(*value)),
            Node::Text(text) => Cow::Borrowed(text.as_str()),
            Node::List(_) | Node::Map(_) => return None,
        }))
    }

    /// The text of a scalar that is a key: as [`Node::as_text`], but infinite as YAML spells it.
    pub(super) fn as_key(&self) -> String {
        let text = self.as_text().flatten().unwrap_or_default();
        let spelled = match (self, &*text) {
            (Node::Float(_), "+Inf") => ".inf",
            (Node::Float(_), "-Inf") => "-.inf",
            (Node::Float(_), "NaN") => ".nan",
            _ => return text.into_owned(),
        };
        spelled.to_owned()
    }

    /// The field of a map, in any case if there is no exact match.
    pub(super) fn field(&self, name: &str) -> Option<&Node> {
        let Node::Map(entries) = self else {
            return None;
        };
        let find = |matches: &dyn Fn(&str) -> bool| {
            entries
                .iter()
                .rev()
                .find(|(key, _)| key.as_text().flatten().is_some_and(|key| matches(&key)))
                .map(|(_, value)| &**value)
        };
        find(&|key| key == name).or_else(|| find(&|key| key.eq_ignore_ascii_case(name)))
    }
}

/// A number as `kubectl` writes it into a text field: the shortest digits of single precision, with an exponent below
/// `1e-4` and from `1e6` on (the reference formats with Go's `%g` and 32 bits).
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "single precision is what the reference writes"
    )]
    let single = value as f32;
    if single.is_infinite() {
        return if single > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{single:e}");
    let (digits, exponent) = scientific
        .split_once('e')
        .expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    if (-4..6).contains(&exponent) && value != 0.0 {
        format!("{single}")
    } else if value == 0.0 {
        if value.is_sign_negative() { "-0" } else { "0" }.to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

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

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfJson;
        impl<'de> Visitor<'de> for OfJson {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Int(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Int(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Float(value))
            }
            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(Rc::new(item));
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some((key, value)) = entries.next_entry::<String, Node>()? {
                    map.push((Rc::new(Node::text(key)), Rc::new(value)));
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(OfJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k54_numbers_in_text_fields() {
        let cases = [
            (1.5, "1.5"),
            (1000.0, "1000"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
            (1.234_567_9e29, "1.2345679e+29"),
        ];
        for (value, text) in cases {
            assert_eq!(float_text(value), text);
        }
    }
}

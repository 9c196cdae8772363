//! YAML as Kubernetes' programs read and write it (`sigs.k8s.io/yaml`).

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::budget::{Charge, Exceeded};
use crate::function::Parameter::{Any, Text as TextParameter};
use crate::function::{Entry, Environment, bytes, fixed};
use crate::text::Text;
use crate::value::{ENTRY_SIZE, MAX_DEPTH, Value, too_deep};
use crate::yaml::{self, Node};

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "toYaml",
        fixed(&[Any], |e, a| {
            let mut charge = e.budget.charge(0)?;
            let written = match node(e, &mut charge, &a[0], 0)? {
                Some(node) => yaml::text(&node),
                // What JSON has no word for gives nothing.
                None => return Ok(Value::text("")),
            };
            e.budget.tick(written.len())?;
            let text = written.expose();
            Ok(Value::text(text.strip_suffix(b"\n").unwrap_or(text)))
        }),
    ),
    (
        "fromYaml",
        fixed(&[TextParameter], |e, a| {
            let read = from_yaml(e, bytes(a, 0))?;
            Ok(Value::dict(read.unwrap_or_else(|error| {
                BTreeMap::from([(Text::from("Error"), Value::text(error))])
            })))
        })
        // Two bytes of YAML can be a node.
        .growing(60),
    ),
];

/// A value as a node. A text that is written may be folded and escaped, so it counts several times.
fn node(
    e: &Environment,
    charge: &mut Charge,
    value: &Value,
    depth: usize,
) -> Result<Option<Node>, String> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    e.budget.tick(32)?;
    let size = |value: &Value| match value {
        Value::Text(text) => 6 * text.bytes().len(),
        _ => 0,
    };
    charge.grow(size_of::<Node>() + 32 + size(value) + 2 * depth)?;
    let text = |text: String| Node::text(text);
    Ok(Some(match value {
        Value::Nil => Node::Null,
        Value::Bool(value) => Node::Bool(*value),
        Value::Int(value) | Value::Int64(value) => Node::Int(i128::from(*value)),
        Value::Uint8(value) => Node::Int(i128::from(*value)),
        Value::Uint64(value) => Node::Int(i128::from(*value)),
        Value::Float(value) if !value.is_finite() => return Ok(None),
        Value::Float(value) => float(*value),
        Value::Text(value) => match readable(value) {
            Some(value) => text(value),
            None => return Ok(None),
        },
        Value::List(list) if list.is_nil() => Node::Null,
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.items().len());
            for item in list.items() {
                match node(e, charge, item, depth + 1)? {
                    Some(node) => items.push(Rc::new(node)),
                    None => return Ok(None),
                }
            }
            Node::List(items)
        }
        Value::TextMap(_) | Value::Dict(_) => {
            let entries: Vec<(Text, Value)> = match value {
                Value::TextMap(map) => map
                    .entries()
                    .iter()
                    .map(|(key, value)| (key.clone(), Value::Text(value.clone())))
                    .collect(),
                Value::Dict(dict) if dict.is_nil() => return Ok(Some(Node::Null)),
                Value::Dict(dict) => dict.entries().into_iter().collect(),
                _ => Vec::new(),
            };
            charge.grow(entries.len() * ENTRY_SIZE)?;
            let mut pairs = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                charge.grow(6 * key.bytes().len())?;
                let Some(node) = node(e, charge, &value, depth + 1)? else {
                    return Ok(None);
                };
                let Some(key) = readable(&key) else {
                    return Ok(None);
                };
                let key = text(key);
                pairs.push((Rc::new(key), Rc::new(node)));
            }
            Node::Map(pairs)
        }
        Value::Time(time) => text(time.to_rfc3339()),
        Value::Version(version) => text(version.to_string()),
        Value::Duration(nanoseconds) => Node::Int(i128::from(*nanoseconds)),
        Value::Certificate(pair) => Node::Map(
            [("Cert", &pair.cert), ("Key", &pair.key)]
                .map(|(name, part)| {
                    let part = String::from_utf8_lossy(part.bytes()).into_owned();
                    (Rc::new(text(name.to_owned())), Rc::new(text(part)))
                })
                .into(),
        ),
    }))
}

/// A text as a reader of YAML finds it in JSON; none if it takes a character for none of a text. Those below a blank are
/// escaped in JSON.
fn readable(text: &Text) -> Option<String> {
    let text = String::from_utf8_lossy(text.bytes()).into_owned();
    let is_unreadable = |letter: char| letter > '~' && yaml::is_control(letter);
    (!text.contains(is_unreadable)).then_some(text)
}

/// A number as it is after a way through JSON: whole ones below 1e21 have no point there.
fn float(value: f64) -> Node {
    let is_whole = value.fract() == 0.0 && value.abs() < 1e21;
    if is_whole {
        #[allow(clippy::cast_possible_truncation)] // checked
        let whole = value as i128;
        let fits = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&whole);
        if fits {
            // JSON shows the shortest digits that give the number back.
            if let Ok(shown) = format!("{value}").parse() {
                return Node::Int(shown);
            }
        }
    }
    Node::Float(value)
}

type Entries = BTreeMap<Text, Value>;

/// Reads the first document, which must be a map; the inner error is what the result tells.
fn from_yaml(e: &Environment, text: &[u8]) -> Result<Result<Entries, String>, Exceeded> {
    e.budget.tick(16 * text.len())?;
    // A text of two bytes for each node takes eighty times as much as nodes.
    let most_nodes = e.budget.room() / yaml::NODE_SIZE;
    let document = match yaml::first_within(text, most_nodes) {
        Ok(document) => document,
        Err(error) => {
            let words = match error.known_as {
                Some(words) => words,
                None => format!("line {}: {}", error.line, error.reason),
            };
            return Ok(Err(format!("error converting YAML to JSON: yaml: {words}")));
        }
    };
    e.budget.tick(16 * text.len())?;
    let Some(node) = document else {
        return Ok(Ok(Entries::new()));
    };
    let mut charge = e.budget.charge(0)?;
    let value = match value(e, &mut charge, &node, 0)? {
        Ok(value) => value,
        Err(error) => return Ok(Err(format!("error converting YAML to JSON: {error}"))),
    };
    Ok(match value {
        Value::Dict(entries) => Ok(entries.entries()),
        other => {
            let kind = match other {
                Value::List(_) => "array",
                Value::Bool(_) => "bool",
                Value::Float(_) => "number",
                _ => "string",
            };
            Err(format!(
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into \
                 Go value of type map[string]interface {{}}"
            ))
        }
    })
}

/// A node as JSON's generic values: every number is a `float64`.
fn value(
    e: &Environment,
    charge: &mut Charge,
    node: &Node,
    depth: usize,
) -> Result<Result<Value, String>, Exceeded> {
    // An alias is one node in memory and many values here.
    charge.grow(2 * size_of::<Value>())?;
    e.budget.tick(32)?;
    if depth > MAX_DEPTH {
        return Ok(Err(too_deep()));
    }
    Ok(Ok(match node {
        Node::Null => Value::Nil,
        Node::Bool(value) => Value::Bool(*value),
        #[allow(clippy::cast_precision_loss)] // as Go's JSON loses it
        Node::Int(value) => Value::Float(*value as f64),
        Node::Float(value) if value.is_finite() => Value::Float(*value),
        Node::Float(value) => {
            let word = match value {
                value if value.is_nan() => "NaN",
                value if *value > 0.0 => "+Inf",
                _ => "-Inf",
            };
            return Ok(Err(format!("json: unsupported value: {word}")));
        }
        Node::Text(text) => Value::text(text.as_str()).counted(&e.budget)?,
        Node::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                match value(e, charge, item, depth + 1)? {
                    Ok(value) => list.push(value),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Value::list(list).counted(&e.budget)?
        }
        Node::Map(pairs) => {
            let mut map = Entries::new();
            for (key, node) in pairs {
                // A key may be an alias, too.
                let key = Text::from(key.as_key());
                key.adopt(&e.budget)?;
                charge.grow(ENTRY_SIZE)?;
                match value(e, charge, node, depth + 1)? {
                    Ok(value) => map.insert(key, value),
                    Err(error) => return Ok(Err(error)),
                };
            }
            Value::dict(map).counted(&e.budget)?
        }
    }))
}

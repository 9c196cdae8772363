//! JSON: a stream of objects in, Go's indented form out.

use std::rc::Rc;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_template::yaml::{Node, SyntaxError};

use super::node::write_json_text;

/// What stands behind the objects of a stream and is no JSON.
pub(super) struct Rest {
    /// Where the last object ends.
    pub(super) offset: usize,
    /// Why it is no JSON.
    pub(super) error: SyntaxError,
}

/// Reads concatenated objects, each with the line on which it starts, as far as there are any.
pub(super) fn read(text: &[u8]) -> (Vec<(usize, Node)>, Option<Rest>) {
    let mut objects = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(text).into_iter::<Node>();
    let (mut line, mut counted) = (1, 0);
    loop {
        let start = stream.byte_offset();
        let blank = text[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let before = text[counted..start + blank].iter();
        line += before.filter(|byte| **byte == b'\n').count();
        counted = start + blank;
        match stream.next() {
            None => return (objects, None),
            Some(Ok(node)) => objects.push((line, node)),
            Some(Err(error)) => {
                let error = SyntaxError {
                    line: error.line(),
                    column: error.column(),
                    reason: if error.is_eof() {
                        "the JSON ends too early"
                    } else {
                        "no valid JSON"
                    }
                    .to_owned(),
                    known_as: None,
                };
                let rest = Rest {
                    offset: start,
                    error,
                };
                return (objects, Some(rest));
            }
        }
    }
}

/// The order in which Go writes the fields of objects; other fields follow in the order of their names.
const ORDER: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "spec",
    "status",
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
const ORDER_OF_SPEC: &[&str] = &["template", "data", "encryptedData"];
const ORDER_OF_TEMPLATE: &[&str] = &["metadata", "type", "immutable", "data"];
const ORDER_OF_SECRET: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "immutable",
    "data",
    "type",
];
const ORDER_OF_OWNER: &[&str] = &[
    "apiVersion",
    "kind",
    "name",
    "uid",
    "controller",
    "blockOwnerDeletion",
];
const ORDER_OF_MANAGER: &[&str] = &[
    "manager",
    "operation",
    "apiVersion",
    "time",
    "fieldsType",
    "fieldsV1",
    "subresource",
];

/// Writes an object with an indent of two blanks and a final newline, `<`, `>` and `&` escaped.
pub(super) fn pretty(node: &Node) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(4096);
    let is_secret = node.field("kind").and_then(Node::as_string) == Some("Secret");
    write(
        node,
        if is_secret { ORDER_OF_SECRET } else { ORDER },
        0,
        &mut out,
    );
    out.push_byte(b'\n');
    escape_for_html(out)
}

fn write(node: &Node, order: &[&str], depth: usize, out: &mut SecretWriter) {
    let new_line = |depth: usize, out: &mut SecretWriter| {
        out.push_byte(b'\n');
        for _ in 0..depth {
            out.push(b"  ");
        }
    };
    match node {
        Node::Map(entries) if entries.is_empty() => out.push(b"{}"),
        Node::List(items) if items.is_empty() => out.push(b"[]"),
        Node::Map(entries) => {
            out.push_byte(b'{');
            for (index, (key, value)) in sorted(entries, order).into_iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                new_line(depth + 1, out);
                write_json_text(key, out);
                out.push(b": ");
                write(value, order_below(order, key), depth + 1, out);
            }
            new_line(depth, out);
            out.push_byte(b'}');
        }
        Node::List(items) => {
            out.push_byte(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                new_line(depth + 1, out);
                write(item, order, depth + 1, out);
            }
            new_line(depth, out);
            out.push_byte(b']');
        }
        Node::Text(text) => write_json_text(text, out),
        Node::Null => out.push(b"null"),
        Node::Bool(value) => out.push(if *value { b"true" } else { b"false" }),
        Node::Int(value) => out.push(value.to_string().as_bytes()),
        Node::Float(value) => out.push(value.to_string().as_bytes()),
    }
}

/// The order of the fields below a field. Maps of the user's own keys are sorted.
fn order_below(order: &[&str], key: &str) -> &'static [&'static str] {
    match key {
        "metadata" if !order.is_empty() => ORDER,
        "spec" => ORDER_OF_SPEC,
        "template" => ORDER_OF_TEMPLATE,
        "ownerReferences" => ORDER_OF_OWNER,
        "managedFields" => ORDER_OF_MANAGER,
        _ => &[],
    }
}

fn sorted<'a>(entries: &'a [(Rc<Node>, Rc<Node>)], order: &[&str]) -> Vec<(&'a str, &'a Node)> {
    let mut sorted: Vec<(&str, &Node)> = entries
        .iter()
        .map(|(key, value)| (key.as_string().unwrap_or_default(), &**value))
        .collect();
    let rank = |key: &str| {
        order
            .iter()
            .position(|known| *known == key)
            .unwrap_or(order.len())
    };
    sorted.sort_by(|(a, _), (b, _)| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    sorted
}

/// Go escapes what a browser could mistake; these bytes stand only within texts.
fn escape_for_html(text: SecretWriter) -> SecretBytes {
    let text = text.finish();
    let special = |bytes: &[u8]| match bytes {
        [b'<', ..] => Some((1, &b"\\u003c"[..])),
        [b'>', ..] => Some((1, &b"\\u003e"[..])),
        [b'&', ..] => Some((1, &b"\\u0026"[..])),
        [0xE2, 0x80, 0xA8, ..] => Some((3, &b"\\u2028"[..])),
        [0xE2, 0x80, 0xA9, ..] => Some((3, &b"\\u2029"[..])),
        _ => None,
    };
    let bytes = text.expose();
    if !(0..bytes.len()).any(|at| special(&bytes[at..]).is_some()) {
        return text;
    }
    let mut out = SecretWriter::with_capacity(bytes.len() + 64);
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        if let Some((len, escape)) = special(&bytes[at..]) {
            out.push(&bytes[copied..at]);
            out.push(escape);
            at += len;
            copied = at;
        } else {
            at += 1;
        }
    }
    out.push(&bytes[copied..]);
    out.finish()
}

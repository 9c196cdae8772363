//! What the modifiers (`@keys`, `@flatten` and the others) make of a value.

use sealwright_crypto::secret::SecretWriter;

use super::super::{Html, Json, Kind, write_text};
use super::Found;

pub(super) fn modify<'a>(value: Json<'a>, name: &str, argument: &str) -> Option<Found<'a>> {
    let mut out = SecretWriter::default();
    match name {
        "this" | "valid" => return Some(Found::Part(value)),
        "reverse" => match value.kind() {
            Kind::Array => {
                let elements: Vec<Json<'_>> = value.elements().collect();
                write_array(elements.into_iter().rev(), &mut out);
            }
            Kind::Object => {
                let members: Vec<_> = value.members().collect();
                out.push_byte(b'{');
                for (count, (name, value)) in members.iter().rev().enumerate() {
                    if count > 0 {
                        out.push_byte(b',');
                    }
                    write_text(name.expose().as_bytes(), Html::Plain, &mut out);
                    out.push_byte(b':');
                    out.push(value.raw());
                }
                out.push_byte(b'}');
            }
            _ => return Some(Found::Part(value)),
        },
        "keys" => {
            // What has no names has null for each of its values.
            let nameless = match value.kind() {
                Kind::Object => 0,
                Kind::Array => value.elements().count(),
                _ => 1,
            };
            out.push_byte(b'[');
            for (count, (name, _)) in value.members().enumerate() {
                if count > 0 {
                    out.push_byte(b',');
                }
                write_text(name.expose().as_bytes(), Html::Plain, &mut out);
            }
            for count in 0..nameless {
                out.push(if count > 0 { b",null" } else { b"null" });
            }
            out.push_byte(b']');
        }
        "values" => match value.kind() {
            Kind::Array => return Some(Found::Part(value)),
            Kind::Object => write_array(value.members().map(|(_, value)| value), &mut out),
            _ => write_array(std::iter::once(value), &mut out),
        },
        "ugly" => write_compact(value, &mut out),
        "flatten" => {
            if value.kind() != Kind::Array {
                return Some(Found::Part(value));
            }
            let deep = argument.contains("\"deep\":true");
            out.push_byte(b'[');
            flatten(value, deep, &mut out);
            out.push_byte(b']');
        }
        "tostr" => write_text(value.raw(), Html::Escaped, &mut out),
        _ if value.kind() == Kind::Null => return None,
        _ if value.kind() != Kind::Text => return Some(Found::Part(value)),
        _ => {
            let text = value.string()?;
            let inner = Json::parse(text.expose().as_bytes()).ok()?;
            out.push(inner.raw());
        }
    }
    Some(Found::Made(out.finish()))
}

/// What a modifier makes of nothing: names and values of nothing are empty lists.
pub(super) fn of_nothing(name: &str) -> Option<&'static [u8]> {
    match name {
        "keys" | "values" => Some(b"[]"),
        "tostr" => Some(b"\"\""),
        _ => None,
    }
}

fn write_array<'a>(elements: impl Iterator<Item = Json<'a>>, out: &mut SecretWriter) {
    out.push_byte(b'[');
    for (count, element) in elements.enumerate() {
        if count > 0 {
            out.push_byte(b',');
        }
        out.push(element.raw());
    }
    out.push_byte(b']');
}

fn flatten(array: Json<'_>, deep: bool, out: &mut SecretWriter) {
    for element in array.elements() {
        if element.kind() == Kind::Array {
            if deep {
                flatten(element, true, out);
                continue;
            }
            for inner in element.elements() {
                push_item(inner.raw(), out);
            }
            continue;
        }
        push_item(element.raw(), out);
    }
}

fn push_item(raw: &[u8], out: &mut SecretWriter) {
    if out.expose().last() != Some(&b'[') || out.len() > 1 {
        out.push_byte(b',');
    }
    out.push(raw);
}

fn write_compact(value: Json<'_>, out: &mut SecretWriter) {
    let (mut quoted, mut escaped) = (false, false);
    for byte in value.raw() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => continue,
            _ => {}
        }
        out.push_byte(*byte);
    }
}

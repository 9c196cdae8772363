//! The functions of Go's template language itself.

use std::cmp::Ordering;

use crate::format;
use crate::function::Parameter::{Any, Text as TextParameter};
use crate::function::{Entry, Environment, bytes, fixed, variadic};
use crate::sink::Sink;
use crate::text::Text;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "call",
        variadic(&[Any, Any], |_, a| match &a[0] {
            Value::Nil => Err("call of nil".to_owned()),
            other => Err(format!("non-function of type {}", other.type_name())),
        }),
    ),
    (
        "html",
        variadic(&[Any], |e, a| Ok(Value::text(html(joined(e, a)?.bytes())))).growing(6),
    ),
    ("index", variadic(&[Any, Any], |_, a| index(a))),
    (
        "js",
        variadic(&[Any], |e, a| Ok(Value::text(js(joined(e, a)?.bytes())))).growing(8),
    ),
    ("len", fixed(&[Any], |_, a| length(&a[0]).map(Value::Int))),
    (
        "not",
        fixed(&[Any], |_, a| Ok(Value::Bool(!a[0].is_true()))),
    ),
    (
        "print",
        variadic(&[Any], |e, a| {
            Ok(Value::Text(format::sprint_all(a, &e.budget)?))
        })
        .growing(1),
    ),
    (
        "printf",
        variadic(&[TextParameter, Any], |e, a| {
            let text = format::sprintf(bytes(a, 0), &a[1..], &e.budget)?;
            Ok(Value::Text(text))
        })
        .growing(1),
    ),
    (
        "println",
        variadic(&[Any], |e, a| {
            let mut line = Sink::new(&e.budget);
            for (index, value) in a.iter().enumerate() {
                if index > 0 {
                    line.push(b' ');
                }
                format::push(&mut line, value, 0);
            }
            line.push(b'\n');
            Ok(Value::Text(line.finish()?))
        })
        .growing(1),
    ),
    (
        "urlquery",
        variadic(&[Any], |e, a| {
            Ok(Value::text(url_query(joined(e, a)?.bytes())))
        })
        .growing(4),
    ),
    (
        "eq",
        variadic(&[Any, Any], |_, a| {
            if a.len() < 2 {
                return Err("missing argument for comparison".to_owned());
            }
            for other in &a[1..] {
                if equal(&a[0], other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }),
    ),
    (
        "ne",
        fixed(&[Any, Any], |_, a| Ok(Value::Bool(!equal(&a[0], &a[1])?))),
    ),
    (
        "lt",
        fixed(&[Any, Any], |_, a| Ok(Value::Bool(less(&a[0], &a[1])?))),
    ),
    (
        "le",
        fixed(&[Any, Any], |_, a| {
            Ok(Value::Bool(less_or_equal(&a[0], &a[1])?))
        }),
    ),
    (
        "gt",
        fixed(&[Any, Any], |_, a| {
            Ok(Value::Bool(!less_or_equal(&a[0], &a[1])?))
        }),
    ),
    (
        "ge",
        fixed(&[Any, Any], |_, a| Ok(Value::Bool(!less(&a[0], &a[1])?))),
    ),
];

/// The arguments of an escaper as one text; no value is told as such.
fn joined(e: &Environment, arguments: &[Value]) -> Result<Text, String> {
    let arguments: Vec<_> = match arguments {
        [Value::Text(text)] => return Ok(text.clone()),
        _ => arguments
            .iter()
            .map(|value| match value {
                Value::Nil => Value::text("<no value>"),
                other => other.clone(),
            })
            .collect(),
    };
    let text = format::sprint_all(&arguments, &e.budget)?;
    e.budget.check_room(6 * text.bytes().len())?;
    Ok(text)
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut item = arguments[0].clone();
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    for key in &arguments[1..] {
        item = match &item {
            Value::List(list) => {
                let at = position(key, list.items().len())?;
                let item = list.items().get(at);
                item.ok_or_else(out_of_range)?.clone()
            }
            Value::Text(text) => {
                let at = position(key, text.bytes().len())?;
                let byte = text.bytes().get(at);
                Value::Uint8(*byte.ok_or_else(out_of_range)?)
            }
            Value::TextMap(map) => {
                let text = map.entries().get(map_key(key)?).cloned();
                Value::Text(text.unwrap_or_else(|| Text::from("")))
            }
            Value::Dict(dict) => dict.get(map_key(key)?.bytes()).unwrap_or(Value::Nil),
            Value::Nil => return Err("index of nil pointer".to_owned()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn position(key: &Value, length: usize) -> Result<usize, String> {
    let at = match key {
        Value::Int(at) | Value::Int64(at) => *at,
        Value::Uint8(at) => i64::from(*at),
        Value::Uint64(at) => i64::try_from(*at).unwrap_or(-1),
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => {
            return Err(format!(
                "cannot index slice/array with type {}",
                other.type_name()
            ));
        }
    };
    usize::try_from(at)
        .ok()
        .filter(|&at| at <= length)
        .ok_or_else(out_of_range)
}

/// Go tells the index, which here may be made of a value.
fn out_of_range() -> String {
    "index out of range".to_owned()
}

fn map_key(key: &Value) -> Result<&Text, String> {
    match key {
        Value::Text(text) => Ok(text),
        Value::Nil => Err("value is nil; should be of type string".to_owned()),
        other => Err(format!(
            "value has type {}; should be string",
            other.type_name()
        )),
    }
}

fn length(item: &Value) -> Result<i64, String> {
    let length = match item {
        Value::Text(text) => text.bytes().len(),
        Value::List(list) => list.items().len(),
        Value::TextMap(map) => map.entries().len(),
        Value::Dict(dict) => dict.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

/// A value that can be compared, by what Go calls its basic kind.
enum Basic<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'a Text),
}

fn basic(value: &Value) -> Option<Basic<'_>> {
    Some(match value {
        Value::Bool(value) => Basic::Bool(*value),
        Value::Int(value) | Value::Int64(value) | Value::Duration(value) => Basic::Int(*value),
        Value::Uint8(value) => Basic::Uint(u64::from(*value)),
        Value::Uint64(value) => Basic::Uint(*value),
        Value::Float(value) => Basic::Float(*value),
        Value::Text(text) => Basic::Text(text),
        _ => return None,
    })
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    let incompatible = || {
        Err(format!(
            "incompatible types for comparison: {} and {}",
            left.type_name(),
            right.type_name()
        ))
    };
    match (basic(left), basic(right)) {
        (Some(Basic::Bool(a)), Some(Basic::Bool(b))) => Ok(a == b),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => Ok(a == b),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => Ok(a == b),
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => Ok(a == b),
        (Some(Basic::Uint(a)), Some(Basic::Uint(b))) => Ok(a == b),
        (Some(Basic::Int(a)), Some(Basic::Uint(b)))
        | (Some(Basic::Uint(b)), Some(Basic::Int(a))) => Ok(u64::try_from(a) == Ok(b)),
        (None, None) => match (left, right) {
            (Value::Nil, other) | (other, Value::Nil) => Ok(is_nil(other)),
            (Value::Time(a), Value::Time(b)) => Ok(a == b),
            (Value::Certificate(a), Value::Certificate(b)) => Ok(a == b),
            (Value::Version(a), Value::Version(b)) => Ok(std::sync::Arc::ptr_eq(a, b)),
            _ if left.kind_name() != right.kind_name() => Err(format!(
                "non-comparable types {}, {}",
                left.type_name(),
                right.type_name()
            )),
            _ if is_nil(left) || is_nil(right) => Ok(is_nil(left) == is_nil(right)),
            _ => Err(format!("non-comparable type {}", right.type_name())),
        },
        _ if matches!(left, Value::Nil) || matches!(right, Value::Nil) => Ok(false),
        _ => incompatible(),
    }
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::List(list) => list.is_nil(),
        Value::Dict(dict) => dict.is_nil(),
        _ => false,
    }
}

fn less(left: &Value, right: &Value) -> Result<bool, String> {
    let bad = || Err("invalid type for comparison".to_owned());
    let ordering = match (basic(left), basic(right)) {
        (None, _) | (_, None) | (Some(Basic::Bool(_)), Some(Basic::Bool(_))) => return bad(),
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => a.cmp(&b),
        (Some(Basic::Uint(a)), Some(Basic::Uint(b))) => a.cmp(&b),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => a.cmp(b),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => return Ok(a < b),
        (Some(Basic::Int(a)), Some(Basic::Uint(b))) => {
            u64::try_from(a).map_or(Ordering::Less, |a| a.cmp(&b))
        }
        (Some(Basic::Uint(a)), Some(Basic::Int(b))) => {
            u64::try_from(b).map_or(Ordering::Greater, |b| a.cmp(&b))
        }
        _ => {
            return Err(format!(
                "incompatible types for comparison: {} and {}",
                left.type_name(),
                right.type_name()
            ));
        }
    };
    Ok(ordering == Ordering::Less)
}

fn less_or_equal(left: &Value, right: &Value) -> Result<bool, String> {
    Ok(less(left, right)? || equal(left, right)?)
}

fn html(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        out.extend_from_slice(match byte {
            0 => "\u{fffd}".as_bytes(),
            b'"' => b"&#34;",
            b'\'' => b"&#39;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            _ => {
                out.push(byte);
                continue;
            }
        });
    }
    out
}

fn js(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (rune, raw) in format::runes(bytes) {
        match rune {
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\'') => out.extend_from_slice(b"\\'"),
            Some('"') => out.extend_from_slice(b"\\\""),
            Some(rune @ ('<' | '>' | '&' | '=' | '\0'..='\u{1f}')) => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(rune)).as_bytes());
            }
            Some(rune) if rune.is_ascii() || format::is_printable(rune) => {
                out.extend_from_slice(raw);
            }
            Some(rune) => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(rune)).as_bytes());
            }
            None => out.extend_from_slice(raw),
        }
    }
    out
}

/// As in a query: a blank becomes `+`.
fn url_query(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

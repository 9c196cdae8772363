//! Strings: bytes that are mostly UTF-8.

mod cases;
mod wrapping;

use memchr::memmem;

use crate::format::{self, runes};
use crate::function::Parameter::{Any, Int, Text as TextParameter};
use crate::function::{
    Entry, Function, MAX_TEXT, bytes, fixed, int, out_of_bounds, text, too_large, variadic,
};
use crate::text::Text;
use crate::value::Value;

const TRIM_ALL: Function = fixed(&[TextParameter, TextParameter], |_, a| {
    let unwanted: Vec<_> = runes(bytes(a, 0)).map(|(rune, _)| rune).collect();
    Ok(Value::text(trim(bytes(a, 1), |rune| {
        unwanted.contains(&rune)
    })))
});

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "abbrev",
        fixed(&[Int, TextParameter], |_, a| {
            wrapping::abbreviate(bytes(a, 1), 0, int(a, 0))
        }),
    ),
    (
        "abbrevboth",
        fixed(&[Int, Int, TextParameter], |_, a| {
            let (left, right) = (int(a, 0), int(a, 1));
            if right < 4 || left > 0 && right < 7 {
                return Ok(a[2].clone());
            }
            wrapping::abbreviate(bytes(a, 2), left, right)
        }),
    ),
    (
        "trunc",
        fixed(&[Int, TextParameter], |_, a| {
            let all = bytes(a, 1);
            let (count, length) = (int(a, 0), i64::try_from(all.len()).unwrap_or(i64::MAX));
            let cut = match usize::try_from(count) {
                Ok(count) => &all[..count.min(all.len())],
                Err(_) if count.saturating_add(length) > 0 => {
                    &all[usize::try_from(length + count).unwrap_or(0)..]
                }
                Err(_) => all,
            };
            Ok(Value::text(cut))
        }),
    ),
    (
        "trim",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(trim(bytes(a, 0), |rune| {
                rune.is_some_and(is_space)
            })))
        }),
    ),
    ("trimAll", TRIM_ALL),
    ("trimall", TRIM_ALL),
    (
        "trimSuffix",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let all = bytes(a, 1);
            Ok(Value::text(all.strip_suffix(bytes(a, 0)).unwrap_or(all)))
        }),
    ),
    (
        "trimPrefix",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let all = bytes(a, 1);
            Ok(Value::text(all.strip_prefix(bytes(a, 0)).unwrap_or(all)))
        }),
    ),
    (
        "upper",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(map(bytes(a, 0), cases::upper)))
        }),
    ),
    (
        "lower",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(map(bytes(a, 0), cases::lower)))
        }),
    ),
    (
        "title",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::title(bytes(a, 0))))
        }),
    ),
    (
        "untitle",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::untitle(bytes(a, 0))))
        }),
    ),
    (
        "swapcase",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::swap(bytes(a, 0))))
        }),
    ),
    (
        "snakecase",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::separated(bytes(a, 0), b'_')))
        }),
    ),
    (
        "kebabcase",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::separated(bytes(a, 0), b'-')))
        }),
    ),
    (
        "camelcase",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::camel(bytes(a, 0))))
        }),
    ),
    (
        "substr",
        fixed(&[Int, Int, TextParameter], |_, a| {
            let all = bytes(a, 2);
            let (start, end) = (usize::try_from(int(a, 0)), usize::try_from(int(a, 1)));
            let cut = match (start, end) {
                (Err(_), end) => end.ok().and_then(|end| all.get(..end)),
                (Ok(start), Ok(end)) if end <= all.len() => all.get(start..end),
                (Ok(start), _) => all.get(start..),
            };
            cut.map(Value::text).ok_or_else(out_of_bounds)
        }),
    ),
    (
        "repeat",
        fixed(&[Int, TextParameter], |_, a| {
            let count = usize::try_from(int(a, 0)).map_err(|_| "strings: negative Repeat count")?;
            let all = bytes(a, 1);
            if all.len().saturating_mul(count) > MAX_TEXT {
                return Err(too_large());
            }
            Ok(Value::text(all.repeat(count)))
        }),
    ),
    (
        "nospace",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(no_space(bytes(a, 0))))
        }),
    ),
    (
        "initials",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(initials(bytes(a, 0))))
        }),
    ),
    (
        "wrap",
        fixed(&[Int, TextParameter], |_, a| {
            Ok(Value::text(wrapping::wrap(
                bytes(a, 1),
                int(a, 0),
                b"\n",
                false,
            )))
        }),
    ),
    (
        "wrapWith",
        fixed(&[Int, TextParameter, TextParameter], |_, a| {
            let line_break = if bytes(a, 1).is_empty() {
                b"\n"
            } else {
                bytes(a, 1)
            };
            Ok(Value::text(wrapping::wrap(
                bytes(a, 2),
                int(a, 0),
                line_break,
                true,
            )))
        }),
    ),
    (
        "contains",
        fixed(&[TextParameter, TextParameter], |_, a| {
            Ok(Value::Bool(
                memmem::find(bytes(a, 1), bytes(a, 0)).is_some(),
            ))
        }),
    ),
    (
        "hasPrefix",
        fixed(&[TextParameter, TextParameter], |_, a| {
            Ok(Value::Bool(bytes(a, 1).starts_with(bytes(a, 0))))
        }),
    ),
    (
        "hasSuffix",
        fixed(&[TextParameter, TextParameter], |_, a| {
            Ok(Value::Bool(bytes(a, 1).ends_with(bytes(a, 0))))
        }),
    ),
    (
        "quote",
        variadic(&[Any], |_, a| {
            let words = a.iter().filter(|value| !matches!(value, Value::Nil));
            let words: Vec<_> = words
                .map(|value| format::quote(to_text(value).bytes()))
                .collect();
            Ok(Value::text(words.join(&b' ')))
        }),
    ),
    (
        "squote",
        variadic(&[Any], |_, a| {
            let words = a.iter().filter(|value| !matches!(value, Value::Nil));
            let words: Vec<_> = words
                .map(|value| [b"'", format::sprint(value).bytes(), b"'"].concat())
                .collect();
            Ok(Value::text(words.join(&b' ')))
        }),
    ),
    (
        "cat",
        variadic(&[Any], |_, a| {
            let words = a.iter().filter(|value| !matches!(value, Value::Nil));
            let words: Vec<_> = words
                .map(|value| format::sprint(value).bytes().to_vec())
                .collect();
            Ok(Value::text(words.join(&b' ')))
        }),
    ),
    (
        "indent",
        fixed(&[Int, TextParameter], |_, a| indent(a, b"")),
    ),
    (
        "nindent",
        fixed(&[Int, TextParameter], |_, a| indent(a, b"\n")),
    ),
    (
        "replace",
        fixed(&[TextParameter, TextParameter, TextParameter], |_, a| {
            replace(bytes(a, 2), bytes(a, 0), bytes(a, 1)).map(Value::text)
        }),
    ),
    (
        "plural",
        fixed(&[TextParameter, TextParameter, Int], |_, a| {
            Ok(a[if int(a, 2) == 1 { 0 } else { 1 }].clone())
        }),
    ),
    (
        "toString",
        fixed(&[Any], |_, a| Ok(Value::Text(to_text(&a[0])))),
    ),
    (
        "splitList",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let parts = split(bytes(a, 1), bytes(a, 0), usize::MAX);
            Ok(Value::texts(parts.into_iter().map(Text::from).collect()))
        }),
    ),
    (
        "split",
        fixed(&[TextParameter, TextParameter], |_, a| {
            Ok(numbered(split(bytes(a, 1), bytes(a, 0), usize::MAX)))
        }),
    ),
    (
        "splitn",
        fixed(&[TextParameter, Int, TextParameter], |_, a| {
            let count = usize::try_from(int(a, 1)).unwrap_or(usize::MAX);
            Ok(numbered(split(bytes(a, 2), bytes(a, 0), count)))
        }),
    ),
    (
        "shuffle",
        fixed(&[TextParameter], |_, a| {
            let mut order: Vec<_> = runes(bytes(a, 0))
                .map(|(rune, raw)| rune.map_or("\u{fffd}".as_bytes(), |_| raw))
                .collect();
            crate::random::shuffle(&mut order)?;
            Ok(Value::text(order.concat()))
        }),
    ),
    (
        "regexQuoteMeta",
        fixed(&[TextParameter], |_, a| {
            let mut out = Vec::new();
            for &byte in text(a, 0).bytes() {
                if b"\\.+*?()|[]{}^$".contains(&byte) {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            Ok(Value::text(out))
        }),
    ),
];

/// What sprig makes of any value where it wants a text.
pub(super) fn to_text(value: &Value) -> Text {
    format::sprint(value)
}

/// What sprig makes of any value where it wants texts.
pub(super) fn to_texts(value: &Value) -> Vec<Text> {
    match value {
        Value::List(list) => {
            let items = list.items().iter();
            items
                .filter(|item| !matches!(item, Value::Nil))
                .map(to_text)
                .collect()
        }
        Value::Nil => Vec::new(),
        other => vec![to_text(other)],
    }
}

/// `unicode.IsSpace`.
fn is_space(rune: char) -> bool {
    rune.is_whitespace()
}

fn trim(all: &[u8], unwanted: impl Fn(Option<char>) -> bool) -> &[u8] {
    let mut start = None;
    let mut end = 0;
    let mut at = 0;
    for (rune, raw) in runes(all) {
        if !unwanted(rune) {
            start.get_or_insert(at);
            end = at + raw.len();
        }
        at += raw.len();
    }
    start.map_or(&[], |start| &all[start..end])
}

/// Maps every character; what is none becomes the replacement character, as in Go.
fn map(all: &[u8], change: impl Fn(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(all.len());
    for (rune, _) in runes(all) {
        push(&mut out, change(rune.unwrap_or('\u{fffd}')));
    }
    out
}

fn push(out: &mut Vec<u8>, rune: char) {
    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
}

fn indent(arguments: &[Value], start: &[u8]) -> Result<Value, String> {
    let spaces =
        usize::try_from(int(arguments, 0)).map_err(|_| "strings: negative Repeat count")?;
    let all = bytes(arguments, 1);
    let lines = 1 + all.iter().filter(|&&byte| byte == b'\n').count();
    if lines.saturating_mul(spaces) > MAX_TEXT {
        return Err(too_large());
    }
    let padding = vec![b' '; spaces];
    let mut out = start.to_vec();
    for (index, line) in all.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(&padding);
        out.extend_from_slice(line);
    }
    Ok(Value::text(out))
}

fn replace(all: &[u8], old: &[u8], new: &[u8]) -> Result<Vec<u8>, String> {
    if old == new {
        return Ok(all.to_vec());
    }
    let mut out = Vec::with_capacity(all.len());
    let mut push_checked = |parts: [&[u8]; 2]| {
        parts.iter().for_each(|part| out.extend_from_slice(part));
        if out.len() > MAX_TEXT {
            Err(too_large())
        } else {
            Ok(())
        }
    };
    if old.is_empty() {
        push_checked([new, b""])?;
        for (_, raw) in runes(all) {
            push_checked([raw, new])?;
        }
        return Ok(out);
    }
    let mut done = 0;
    for at in memmem::find_iter(all, old) {
        push_checked([&all[done..at], new])?;
        done = at + old.len();
    }
    push_checked([&all[done..], b""])?;
    Ok(out)
}

/// `strings.SplitN`; an empty separator splits into characters.
fn split<'a>(all: &'a [u8], separator: &[u8], count: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    if count == 0 {
        return parts;
    }
    let mut rest = all;
    if separator.is_empty() {
        for (_, raw) in runes(all) {
            if parts.len() + 1 == count {
                break;
            }
            parts.push(raw);
            rest = &rest[raw.len()..];
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
        return parts;
    }
    while parts.len() + 1 < count
        && let Some(at) = memmem::find(rest, separator)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

/// A map `_0`, `_1`, …
fn numbered(parts: Vec<&[u8]>) -> Value {
    let entries = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| (Text::from(format!("_{index}")), Text::from(part)));
    Value::TextMap(std::sync::Arc::new(entries.collect()))
}

/// The bytes as if each were a character, which is how the incumbent walks the text.
fn latin1(all: &[u8]) -> impl Iterator<Item = char> {
    all.iter().map(|&byte| char::from(byte))
}

fn no_space(all: &[u8]) -> Vec<u8> {
    if !latin1(all).any(is_space) {
        return all.to_vec();
    }
    let mut out = Vec::with_capacity(all.len());
    latin1(all)
        .filter(|&rune| !is_space(rune))
        .for_each(|rune| push(&mut out, rune));
    out
}

fn initials(all: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut was_gap = true;
    for rune in latin1(all) {
        if is_space(rune) {
            was_gap = true;
        } else if was_gap {
            push(&mut out, rune);
            was_gap = false;
        }
    }
    out
}

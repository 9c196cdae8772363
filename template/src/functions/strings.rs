//! Strings: bytes that are mostly UTF-8.

mod cases;
mod wrapping;

use std::collections::BTreeSet;

use memchr::memmem;

use crate::format::{self, runes};
use crate::function::Parameter::{Any, Int, Text as TextParameter};
use crate::function::{
    Entry, Environment, Function, bytes, fixed, int, out_of_bounds, text, variadic,
};
use crate::sink::Sink;
use crate::text::{TEXT_SIZE, Text};
use crate::value::{ENTRY_SIZE, TextMap, Value};

const TRIM_ALL: Function = fixed(&[TextParameter, TextParameter], |_, a| {
    let unwanted: BTreeSet<_> = runes(bytes(a, 0)).map(|(rune, _)| rune).collect();
    Ok(Value::text(trim(bytes(a, 1), |rune| {
        unwanted.contains(&rune)
    })))
})
.growing(16);

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
        })
        .growing(32),
    ),
    (
        "kebabcase",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::separated(bytes(a, 0), b'-')))
        })
        .growing(32),
    ),
    (
        "camelcase",
        fixed(&[TextParameter], |_, a| {
            Ok(Value::text(cases::camel(bytes(a, 0))))
        })
        .growing(32),
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
        fixed(&[Int, TextParameter], |e, a| {
            let count = usize::try_from(int(a, 0)).map_err(|_| "strings: negative Repeat count")?;
            let all = bytes(a, 1);
            let size = all.len().saturating_mul(count);
            e.budget.check_room(size)?;
            e.budget.tick(size)?;
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
        fixed(&[Int, TextParameter], |e, a| {
            wrapping::wrap(e, bytes(a, 1), int(a, 0), b"\n", false)
        }),
    ),
    (
        "wrapWith",
        fixed(&[Int, TextParameter, TextParameter], |e, a| {
            let line_break = if bytes(a, 1).is_empty() {
                b"\n"
            } else {
                bytes(a, 1)
            };
            wrapping::wrap(e, bytes(a, 2), int(a, 0), line_break, true)
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
        variadic(&[Any], |e, a| {
            words(e, a, |out, value| {
                let mut text = out.beside();
                format::push(&mut text, value, 0);
                out.absorb(&text, format::quote);
            })
        })
        .growing(2),
    ),
    (
        "squote",
        variadic(&[Any], |e, a| {
            words(e, a, |out, value| {
                out.push(b'\'');
                format::push(out, value, 0);
                out.push(b'\'');
            })
        })
        .growing(1),
    ),
    (
        "cat",
        variadic(&[Any], |e, a| {
            words(e, a, |out, value| format::push(out, value, 0))
        })
        .growing(1),
    ),
    (
        "indent",
        fixed(&[Int, TextParameter], |e, a| indent(e, a, b"")),
    ),
    (
        "nindent",
        fixed(&[Int, TextParameter], |e, a| indent(e, a, b"\n")),
    ),
    (
        "replace",
        fixed(&[TextParameter, TextParameter, TextParameter], |e, a| {
            replace(e, text(a, 2), bytes(a, 0), bytes(a, 1))
        })
        .growing(1),
    ),
    (
        "plural",
        fixed(&[TextParameter, TextParameter, Int], |_, a| {
            Ok(a[if int(a, 2) == 1 { 0 } else { 1 }].clone())
        }),
    ),
    (
        "toString",
        fixed(&[Any], |e, a| {
            Ok(Value::Text(format::sprint(&a[0], &e.budget)?))
        }),
    ),
    (
        "splitList",
        fixed(&[TextParameter, TextParameter], |e, a| {
            let parts = split(e, bytes(a, 1), bytes(a, 0), usize::MAX)?;
            Ok(Value::texts(parts.into_iter().map(Text::from).collect()))
        }),
    ),
    (
        "split",
        fixed(&[TextParameter, TextParameter], |e, a| {
            Ok(numbered(split(e, bytes(a, 1), bytes(a, 0), usize::MAX)?))
        }),
    ),
    (
        "splitn",
        fixed(&[TextParameter, Int, TextParameter], |e, a| {
            let count = usize::try_from(int(a, 1)).unwrap_or(usize::MAX);
            Ok(numbered(split(e, bytes(a, 2), bytes(a, 0), count)?))
        }),
    ),
    (
        "shuffle",
        fixed(&[TextParameter], |e, a| {
            let mut order: Vec<_> = runes(bytes(a, 0))
                .map(|(rune, raw)| rune.map_or("\u{fffd}".as_bytes(), |_| raw))
                .collect();
            crate::random::shuffle(&mut order, &e.budget)?;
            Ok(Value::text(order.concat()))
        })
        .growing(20),
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

/// The values but nil as words of a line.
fn words(
    e: &Environment,
    values: &[Value],
    write: impl Fn(&mut Sink<'_>, &Value),
) -> Result<Value, String> {
    let mut out = Sink::new(&e.budget);
    let values = values.iter().filter(|value| !matches!(value, Value::Nil));
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write(&mut out, value);
        if out.is_full() {
            break;
        }
    }
    Ok(Value::Text(out.finish()?))
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

fn indent(e: &Environment, arguments: &[Value], start: &[u8]) -> Result<Value, String> {
    let spaces =
        usize::try_from(int(arguments, 0)).map_err(|_| "strings: negative Repeat count")?;
    let mut out = Sink::new(&e.budget);
    out.extend_from_slice(start);
    for (index, line) in bytes(arguments, 1).split(|&byte| byte == b'\n').enumerate() {
        if out.is_full() {
            break;
        }
        if index > 0 {
            out.push(b'\n');
        }
        out.fill(b' ', spaces);
        out.extend_from_slice(line);
    }
    Ok(Value::Text(out.finish()?))
}

fn replace(e: &Environment, all: &Text, old: &[u8], new: &[u8]) -> Result<Value, String> {
    if old == new {
        return Ok(Value::Text(all.clone()));
    }
    let all = all.bytes();
    let mut out = Sink::new(&e.budget);
    if old.is_empty() {
        out.extend_from_slice(new);
        for (_, raw) in runes(all) {
            out.extend_from_slice(raw);
            out.extend_from_slice(new);
            if out.is_full() {
                break;
            }
        }
        return Ok(Value::Text(out.finish()?));
    }
    let mut done = 0;
    for at in memmem::find_iter(all, old) {
        out.extend_from_slice(&all[done..at]);
        out.extend_from_slice(new);
        done = at + old.len();
        if out.is_full() {
            break;
        }
    }
    out.extend_from_slice(&all[done..]);
    Ok(Value::Text(out.finish()?))
}

/// `strings.SplitN`; an empty separator splits into characters.
fn split<'a>(
    e: &Environment,
    all: &'a [u8],
    separator: &[u8],
    count: usize,
) -> Result<Vec<&'a [u8]>, String> {
    let mut parts = Vec::new();
    if count == 0 {
        return Ok(parts);
    }
    // Every part becomes a text of its own, and with `split` an entry of a map.
    let most = e.budget.room() / (2 * TEXT_SIZE + ENTRY_SIZE);
    let mut rest = all;
    let push = |parts: &mut Vec<&'a [u8]>, part| {
        parts.push(part);
        match parts.len() > most {
            true => Err(String::from(e.budget.no_room())),
            false => Ok(()),
        }
    };
    if separator.is_empty() {
        for (_, raw) in runes(all) {
            if parts.len() + 1 == count {
                break;
            }
            push(&mut parts, raw)?;
            rest = &rest[raw.len()..];
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
        return Ok(parts);
    }
    while parts.len() + 1 < count
        && let Some(at) = memmem::find(rest, separator)
    {
        push(&mut parts, &rest[..at])?;
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    Ok(parts)
}

/// A map `_0`, `_1`, …
fn numbered(parts: Vec<&[u8]>) -> Value {
    let entries = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| (Text::from(format!("_{index}")), Text::from(part)));
    Value::TextMap(TextMap::new(entries.collect()))
}

/// The bytes as if each were a character, which is how upstream walks the text.
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

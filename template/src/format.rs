//! How Go prints values: `fmt`, `strconv` and `encoding/json`.

mod floats;
mod json;
mod verbs;

pub(crate) use json::{JsonStyle, from_json, to_json};
pub(crate) use verbs::sprintf;

use crate::budget::{Budget, Exceeded};
use crate::sink::Sink;
use crate::text::Text;
use crate::value::{MAX_DEPTH, Value};

/// `fmt.Sprint` of one value, which is also `%v`.
pub(crate) fn sprint(value: &Value, budget: &Budget) -> Result<Text, Exceeded> {
    if let Value::Text(text) = value {
        return Ok(text.clone());
    }
    let mut out = Sink::new(budget);
    push(&mut out, value, 0);
    out.finish()
}

/// `fmt.Sprint` of several values: blanks only between two that are no strings.
pub(crate) fn sprint_all(values: &[Value], budget: &Budget) -> Result<Text, Exceeded> {
    let mut out = Sink::new(budget);
    for (index, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            out.push(b' ');
        }
        push(&mut out, value, 0);
    }
    out.finish()
}

/// Appends `%v`.
pub(crate) fn push(out: &mut Sink<'_>, value: &Value, depth: usize) {
    if depth > MAX_DEPTH || out.is_full() {
        out.extend_from_slice(b"...");
        return;
    }
    match value {
        Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Int(value) | Value::Int64(value) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Value::Uint8(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Uint64(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) => out.extend_from_slice(float(*value, 6).as_bytes()),
        Value::Text(text) => out.extend_from_slice(text.bytes()),
        Value::List(list) => {
            out.push(b'[');
            for (index, item) in list.items().iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                push(out, item, depth + 1);
            }
            out.push(b']');
        }
        Value::TextMap(map) => {
            let entries = map.entries().iter();
            let entries = entries.map(|(k, v)| (k, Value::Text(v.clone())));
            push_map(out, entries, depth);
        }
        Value::Dict(dict) => push_map(
            out,
            dict.entries().iter().map(|(k, v)| (k, v.clone())),
            depth,
        ),
        Value::Duration(nanoseconds) => {
            let text = crate::go_duration::to_text(jiff::SignedDuration::from_nanos(*nanoseconds));
            out.extend_from_slice(text.as_bytes());
        }
        Value::Time(time) => out.extend_from_slice(time.to_string().as_bytes()),
        Value::Certificate(pair) => {
            for (mark, part) in [(b'{', &pair.cert), (b' ', &pair.key)] {
                out.push(mark);
                out.extend_from_slice(part.bytes());
            }
            out.push(b'}');
        }
        Value::Version(version) => out.extend_from_slice(version.to_string().as_bytes()),
    }
}

fn push_map<'a>(
    out: &mut Sink<'_>,
    entries: impl Iterator<Item = (&'a Text, Value)>,
    depth: usize,
) {
    out.extend_from_slice(b"map[");
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(key.bytes());
        out.push(b':');
        push(out, &value, depth + 1);
    }
    out.push(b']');
}

/// The shortest digits that give the number back: with an exponent below 1e-4 and from
/// `10^threshold` on (6 in `%v`).
pub(crate) fn float(value: f64, threshold: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a small number");
    if value != 0.0 && !(-4..threshold).contains(&exponent) {
        with_exponent(digits, exponent)
    } else {
        format!("{value}")
    }
}

/// Go writes at least two digits of exponent and always its sign.
fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `strconv.Quote`.
pub(crate) fn quote(out: &mut Sink<'_>, bytes: &[u8]) {
    quote_as(out, bytes, false);
}

/// The same, or `strconv.QuoteToASCII`.
fn quote_as(out: &mut Sink<'_>, bytes: &[u8], ascii: bool) {
    out.push(b'"');
    for (rune, raw) in runes(bytes) {
        match rune {
            None => out.extend_from_slice(format!("\\x{:02x}", raw[0]).as_bytes()),
            Some('"') => out.extend_from_slice(b"\\\""),
            Some(rune) => push_escaped(out, rune, ascii),
        }
        if out.is_full() {
            return;
        }
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Sink<'_>, rune: char, ascii: bool) {
    let escape: &[u8] = match rune {
        '\\' => b"\\\\",
        '\u{7}' => b"\\a",
        '\u{8}' => b"\\b",
        '\u{c}' => b"\\f",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '\u{b}' => b"\\v",
        _ if is_printable(rune) && (rune.is_ascii() || !ascii) => {
            out.push_char(rune);
            return;
        }
        _ => {
            let code = u32::from(rune);
            let text = match code {
                0..0x80 => format!("\\x{code:02x}"),
                0x80..0x1_0000 => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            };
            out.extend_from_slice(text.as_bytes());
            return;
        }
    };
    out.extend_from_slice(escape);
}

/// `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII blank.
pub(crate) fn is_printable(rune: char) -> bool {
    if rune.is_ascii() {
        return (' '..='~').contains(&rune);
    }
    // Behind another character a mark is not escaped, so only what is not printable is.
    let pair: String = ['a', rune].into_iter().collect();
    pair.escape_debug().count() == 2
}

/// The characters of a Go string with their bytes; an invalid byte stands alone and is `None`.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = (Option<char>, &[u8])> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let good = valid.char_indices().map(move |(at, rune)| {
            let raw = &valid.as_bytes()[at..at + rune.len_utf8()];
            (Some(rune), raw)
        });
        good.chain(chunk.invalid().chunks(1).map(|raw| (None, raw)))
    })
}

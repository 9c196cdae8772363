//! JSON as Go writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::ends::Ends;
use super::scan::{DEPTH, compare, is_whole, skip_value};
use super::{Json, Kind};
use crate::outcome::{StoreError, shown};

/// How numbers are written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As they are spelled.
    Literal,
    /// As Go writes the nearest float64; whole numbers keep their digits, where Go loses those beyond 2^53.
    Float,
}

/// Writes a value as Go's encoder writes it after having decoded it: members sorted, of equal names the last, `<`, `>`
/// and `&` escaped.
pub fn encode(value: Json<'_>, numbers: Numbers, out: &mut SecretWriter) {
    encode_with(value, numbers, Html::Escaped, out);
}

/// Writes a value as [`encode`] does, with the choice whether `<`, `>` and `&` are escaped.
pub fn encode_with(value: Json<'_>, numbers: Numbers, html: Html, out: &mut SecretWriter) {
    let ends = Ends::of(value.0);
    let whole = (0..value.0.len(), 0);
    encode_range(value.0, &ends, whole, (numbers, html), out);
}

/// Writes the value that stands there, on a level of a text whose deep values have these ends.
fn encode_range(
    text: &[u8],
    ends: &Ends,
    (range, level): (Range<usize>, usize),
    how: (Numbers, Html),
    out: &mut SecretWriter,
) {
    let (numbers, html) = how;
    let further_in = level + 1;
    let mut at = range.start + 1;
    let value = Json(&text[range]);
    match value.kind() {
        Kind::Object => {
            // Where the names begin: there may be millions of them, so nothing else is kept.
            let mut names = Vec::new();
            while let Some(name) = ends.next(text, &mut at, further_in)
                && ends.next(text, &mut at, further_in).is_some()
            {
                names.push(name.start);
            }
            // Equal names stay in the order of the text, and the last counts.
            names.sort_unstable_by(|one, other| compare(text, *one, *other).then(one.cmp(other)));
            out.push_byte(b'{');
            let mut first = true;
            for (count, start) in names.iter().enumerate() {
                let next = names.get(count + 1);
                if next.is_some_and(|next| compare(text, *start, *next).is_eq()) {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push_byte(b',');
                }
                write_text(&name_at(text, *start), html, out);
                out.push_byte(b':');
                let mut at = *start;
                let member = ends
                    .next(text, &mut at, further_in)
                    .and_then(|_| ends.next(text, &mut at, further_in));
                if let Some(member) = member {
                    encode_range(text, ends, (member, further_in), how, out);
                }
            }
            out.push_byte(b'}');
        }
        Kind::Array => {
            out.push_byte(b'[');
            let mut first = true;
            while let Some(element) = ends.next(text, &mut at, further_in) {
                if !std::mem::take(&mut first) {
                    out.push_byte(b',');
                }
                encode_range(text, ends, (element, further_in), how, out);
            }
            out.push_byte(b']');
        }
        Kind::Text => write_text(
            value.string().unwrap_or_default().expose().as_bytes(),
            html,
            out,
        ),
        Kind::Number if numbers == Numbers::Float && !is_whole(value.0) => {
            let number: f64 = std::str::from_utf8(value.0)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or_default();
            out.push(float_in_json(number).as_bytes());
        }
        _ => out.push(value.0),
    }
}

/// The name that begins there, unescaped. Names are not wiped: they are no values.
fn name_at(text: &[u8], start: usize) -> Cow<'_, [u8]> {
    let end = skip_value(text, start, DEPTH).unwrap_or(start);
    let quoted = text.get(start..end).unwrap_or_default();
    let inside = quoted
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    match inside {
        Some(plain) if !plain.contains(&b'\\') => Cow::Borrowed(plain),
        Some(_) => {
            let name = Json(quoted).string().unwrap_or_default();
            Cow::Owned(name.expose().as_bytes().to_vec())
        }
        None => Cow::default(),
    }
}

/// Gives a member as bytes, as upstream's `GetByteValue` does: strings without their quotes, nothing for null, and everything
/// else as Go writes it again. Numbers that count as floats are in plain decimal.
pub fn converted(value: Json<'_>, numbers: Numbers) -> SecretBytes {
    match value.kind() {
        Kind::Text | Kind::Null => value.unquoted(),
        Kind::Number if numbers == Numbers::Float => value.text(),
        _ => {
            let mut out = SecretWriter::with_capacity(value.raw().len());
            encode(value, numbers, &mut out);
            out.finish()
        }
    }
}

/// A float64 as Go's JSON encoder writes it.
fn float_in_json(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        };
    }
    number.to_string()
}

/// Whether `<`, `>` and `&` are escaped, as Go's encoder does unless it is told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Html {
    /// They are.
    Escaped,
    /// They stay.
    Plain,
}

/// Writes a JSON string as Go does. What is not UTF-8 becomes the replacement character.
pub fn write_text(text: &[u8], html: Html, out: &mut SecretWriter) {
    out.push_byte(b'"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            write_character(character, html, out);
        }
        for _ in chunk.invalid() {
            out.push(b"\\ufffd");
        }
    }
    out.push_byte(b'"');
}

fn write_character(character: char, html: Html, out: &mut SecretWriter) {
    let escape = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\u{2028}' => "\\u2028",
        '\u{2029}' => "\\u2029",
        '<' if html == Html::Escaped => "\\u003c",
        '>' if html == Html::Escaped => "\\u003e",
        '&' if html == Html::Escaped => "\\u0026",
        '\0'..='\u{1f}' => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let code = character as usize;
            out.push(b"\\u00");
            out.push(&[DIGITS[code >> 4], DIGITS[code & 15]]);
            return;
        }
        _ => {
            let mut buffer = [0; 4];
            out.push(character.encode_utf8(&mut buffer).as_bytes());
            return;
        }
    };
    out.push(escape.as_bytes());
}

/// Writes a map as a JSON object of strings, without escaping `<`, `>` and `&`.
///
/// # Errors
///
/// Says which value is no text: JSON cannot carry it, and nothing is replaced silently.
pub fn object_of_texts(map: &BTreeMap<String, SecretBytes>) -> Result<SecretBytes, StoreError> {
    let size = map.iter().map(|(name, value)| name.len() + value.len() + 8);
    let mut out = SecretWriter::with_capacity(size.sum::<usize>() + 2);
    out.push_byte(b'{');
    for (count, (name, value)) in map.iter().enumerate() {
        if std::str::from_utf8(value.expose()).is_err() {
            return Err(StoreError::invalid(format!(
                "the value of {:?} is not valid UTF-8, which a JSON object cannot carry",
                shown(name)
            ))
            .with_hint("push that key by itself"));
        }
        if count > 0 {
            out.push_byte(b',');
        }
        write_text(name.as_bytes(), Html::Plain, &mut out);
        out.push_byte(b':');
        write_text(value.expose(), Html::Plain, &mut out);
    }
    out.push_byte(b'}');
    Ok(out.finish())
}

/// Writes an object of members that are JSON already.
pub fn object_of_raw(members: &BTreeMap<String, SecretBytes>) -> SecretBytes {
    let size = members.iter().map(|(name, raw)| name.len() + raw.len() + 6);
    let mut out = SecretWriter::with_capacity(size.sum::<usize>() + 2);
    out.push_byte(b'{');
    for (count, (name, raw)) in members.iter().enumerate() {
        if count > 0 {
            out.push_byte(b',');
        }
        write_text(name.as_bytes(), Html::Plain, &mut out);
        out.push_byte(b':');
        out.push(raw.expose());
    }
    out.push_byte(b'}');
    out.finish()
}

//! Secret values that are JSON: their members, and their text as Go writes it.

use std::collections::BTreeMap;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde_json::value::RawValue;

/// Values nested deeper than this are refused.
const MOST_LEVELS: u32 = 128;

/// The members of a JSON object, each as its own JSON text; of equal names the last one counts. Null has none.
///
/// Returns `None` for anything else.
#[must_use]
pub fn members(text: &[u8]) -> Option<Vec<(String, SecretBytes)>> {
    let members: Option<BTreeMap<String, &RawValue>> = serde_json::from_slice(text).ok()?;
    let owned = members.unwrap_or_default().into_iter().map(|(name, raw)| {
        let raw = SecretBytes::copy_of(raw.get().as_bytes());
        (name, raw)
    });
    Some(owned.collect())
}

/// The value of a Secret that a JSON value becomes once Go has read it as any value: texts without quotes, numbers as
/// doubles without an exponent, objects and lists as JSON with sorted names, null as nothing.
///
/// Returns `None` for a text that is no JSON.
#[must_use]
pub fn to_bytes(json: &[u8]) -> Option<SecretBytes> {
    match first(json)? {
        b'"' => text(json).map(SecretBytes::from),
        b'n' => Some(SecretBytes::default()),
        b't' | b'f' => Some(SecretBytes::copy_of(json.trim_ascii())),
        b'{' | b'[' => normalized(json),
        _ => {
            let number: f64 = serde_json::from_slice(json).ok()?;
            Some(SecretBytes::from(format!("{number}").into_bytes()))
        }
    }
}

/// Writes an object of JSON values as Go does that was told not to escape `<`, `>` and `&`: names sorted, numbers as doubles.
#[must_use]
pub fn object(members: &BTreeMap<String, SecretBytes>) -> Option<SecretBytes> {
    let mut out = SecretWriter::with_capacity(256);
    out.push_byte(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push_byte(b',');
        }
        write_text(name, Markup::Plain, &mut out);
        out.push_byte(b':');
        write(value.expose(), MOST_LEVELS, Markup::Plain, &mut out)?;
    }
    out.push_byte(b'}');
    Some(out.finish())
}

fn normalized(json: &[u8]) -> Option<SecretBytes> {
    let mut out = SecretWriter::with_capacity(json.len() + 16);
    write(json, MOST_LEVELS, Markup::Escaped, &mut out)?;
    Some(out.finish())
}

/// What becomes of `<`, `>` and `&`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Markup {
    Plain,
    Escaped,
}

fn write(json: &[u8], levels: u32, markup: Markup, out: &mut SecretWriter) -> Option<()> {
    let levels = levels.checked_sub(1)?;
    match first(json)? {
        b'"' => {
            let text = sealwright_crypto::secret::SecretText::from(text_of(json)?);
            write_text(text.expose(), markup, out);
        }
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_slice(json).ok()?;
            out.push_byte(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                write_text(name, markup, out);
                out.push_byte(b':');
                write(value.get().as_bytes(), levels, markup, out)?;
            }
            out.push_byte(b'}');
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_slice(json).ok()?;
            out.push_byte(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_byte(b',');
                }
                write(item.get().as_bytes(), levels, markup, out)?;
            }
            out.push_byte(b']');
        }
        b'n' | b't' | b'f' => out.push(json.trim_ascii()),
        _ => {
            let number: f64 = serde_json::from_slice(json).ok()?;
            out.push(number_text(number).as_bytes());
        }
    }
    Some(())
}

/// Writes a text as Go's JSON does.
fn write_text(text: &str, markup: Markup, out: &mut SecretWriter) {
    out.push_byte(b'"');
    let mut buffer = [0; 4];
    for rune in text.chars() {
        match rune {
            '"' => out.push(b"\\\""),
            '\\' => out.push(b"\\\\"),
            '\n' => out.push(b"\\n"),
            '\r' => out.push(b"\\r"),
            '\t' => out.push(b"\\t"),
            '\u{8}' => out.push(b"\\b"),
            '\u{c}' => out.push(b"\\f"),
            '<' | '>' | '&' if markup == Markup::Plain => {
                out.push(rune.encode_utf8(&mut buffer).as_bytes())
            }
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push(format!("\\u{:04x}", u32::from(rune)).as_bytes());
            }
            rune => out.push(rune.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out.push_byte(b'"');
}

/// A double as Go's JSON writes it: an exponent below `1e-6` and from `1e21` on.
fn number_text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return format!("{number}");
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => scientific,
    }
}

fn first(json: &[u8]) -> Option<u8> {
    json.trim_ascii_start().first().copied()
}

fn text(json: &[u8]) -> Option<Vec<u8>> {
    text_of(json).map(String::into_bytes)
}

fn text_of(json: &[u8]) -> Option<String> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t20_values_become_bytes_as_in_go() {
        for (json, bytes) in [
            (r#""a\u00e9\n""#, "aé\n"),
            ("null", ""),
            (" true ", "true"),
            ("1.50", "1.5"),
            ("1e21", "1000000000000000000000"),
            ("12345678901234567890", "12345678901234567000"),
            ("-0.0", "-0"),
            (
                r#"{"b":[1, 2.0,"<"], "a":{"z":null,"y":1e21}}"#,
                r#"{"a":{"y":1e+21,"z":null},"b":[1,2,"\u003c"]}"#,
            ),
            ("[]", "[]"),
            ("[1e-7]", "[1e-7]"),
        ] {
            let read = to_bytes(json.as_bytes()).unwrap();
            assert_eq!(std::str::from_utf8(read.expose()).unwrap(), bytes, "{json}");
        }
        for json in ["", "x", "{", "[1", "\"", "1 2"] {
            assert!(to_bytes(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn a_merged_object_is_written_without_escapes_of_markup() {
        let read = members(br#"{"s": "<&>", "o": {"t": "<"}, "n": 1e21}"#).unwrap();
        let object = object(&read.into_iter().collect()).unwrap();
        let text = std::str::from_utf8(object.expose()).unwrap();
        assert_eq!(text, r#"{"n":1e+21,"o":{"t":"<"},"s":"<&>"}"#);
    }

    #[test]
    fn members_keep_their_text() {
        let read = members(br#" {"b": 1.50, "a": {"x" : [ ]}, "a": "t" } "#).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(name, raw)| (name.as_str(), std::str::from_utf8(raw.expose()).unwrap()))
            .collect();
        assert_eq!(read, [("a", "\"t\""), ("b", "1.50")]);
        assert!(members(b"[1]").is_none());
        assert_eq!(members(b" null ").map(|none| none.len()), Some(0));
    }

    #[test]
    fn deep_values_are_refused() {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert!(to_bytes(deep.as_bytes()).is_some());
        let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(to_bytes(deeper.as_bytes()).is_none());
    }
}

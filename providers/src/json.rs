//! JSON over secret bytes: values are found as slices of the text they stand in, so that nothing is copied that would
//! have to be wiped.
//!
//! Go's rules where they can be seen: of two members of one name the last counts, numbers keep their spelling, and text
//! that is written is escaped as Go escapes it.

#[cfg(feature = "clients")]
pub mod edit;
pub mod path;

use std::collections::BTreeMap;

use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::SecretMap;

/// How deep values may be nested.
const DEPTH: usize = 200;

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// A JSON value that was checked: its text without what stands around it.
#[derive(Clone, Copy)]
pub struct Json<'a>(&'a [u8]);

static_assertions::assert_not_impl_any!(Json<'static>: std::fmt::Debug, std::fmt::Display);

/// The text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}")]
pub struct NotJson {
    /// Where that was seen.
    pub at: usize,
}

impl<'a> Json<'a> {
    /// Checks a text: RFC 8259, UTF-8, at most 200 levels deep.
    ///
    /// # Errors
    ///
    /// Says at which byte it stops being JSON.
    pub fn parse(text: &'a [u8]) -> Result<Self, NotJson> {
        if let Err(error) = std::str::from_utf8(text) {
            return Err(NotJson {
                at: error.valid_up_to(),
            });
        }
        let start = skip_space(text, 0);
        let end = skip_value(text, start, DEPTH)?;
        let rest = skip_space(text, end);
        if rest < text.len() {
            return Err(NotJson { at: rest });
        }
        Ok(Self(&text[start..end]))
    }

    /// The text of the value.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        match self.0[0] {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::Text,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The members of an object, in the order of the text; nothing for other kinds.
    pub fn members(self) -> impl Iterator<Item = (SecretText, Json<'a>)> {
        let mut at = 1;
        let object = self.kind() == Kind::Object;
        std::iter::from_fn(move || {
            if !object {
                return None;
            }
            let name = next_item(self.0, &mut at)?;
            let value = next_item(self.0, &mut at)?;
            Some((name.string().unwrap_or_default(), value))
        })
    }

    /// The elements of an array; nothing for other kinds.
    pub fn elements(self) -> impl Iterator<Item = Json<'a>> {
        let mut at = 1;
        let array = self.kind() == Kind::Array;
        std::iter::from_fn(move || {
            if array {
                next_item(self.0, &mut at)
            } else {
                None
            }
        })
    }

    /// The member of that name; of several the last.
    pub fn member(self, name: &str) -> Option<Json<'a>> {
        self.members()
            .filter(|(key, _)| key.expose() == name)
            .map(|(_, value)| value)
            .last()
    }

    /// The text that a string stands for; nothing for other kinds.
    pub fn string(self) -> Option<SecretText> {
        if self.kind() != Kind::Text {
            return None;
        }
        let mut out = SecretWriter::with_capacity(self.0.len());
        unescape(self.0, &mut out);
        SecretText::from_bytes(out.finish()).ok()
    }

    /// The whole number that a value stands for.
    pub fn integer(self) -> Option<i64> {
        std::str::from_utf8(self.0).ok()?.parse().ok()
    }

    /// True for `true`.
    pub fn is_true(self) -> bool {
        self.0 == b"true"
    }

    /// The value as text, as gjson gives it: a string without its quotes, nothing for null, numbers in plain decimal,
    /// and everything else as it stands there.
    pub fn text(self) -> SecretBytes {
        match self.kind() {
            Kind::Text => self.string().unwrap_or_default().into(),
            Kind::Null => SecretBytes::default(),
            Kind::Number => plain_number(self.0),
            _ => SecretBytes::copy_of(self.0),
        }
    }

    /// The value as `GetSecretMap` of most stores gives it: a string without its quotes, nothing for null, and everything
    /// else as it stands there.
    pub fn unquoted(self) -> SecretBytes {
        match self.kind() {
            Kind::Text => self.string().unwrap_or_default().into(),
            Kind::Null => SecretBytes::default(),
            _ => SecretBytes::copy_of(self.0),
        }
    }
}

/// The text of a number: whole numbers as they stand, others in the shortest plain decimal (gjson).
fn plain_number(raw: &[u8]) -> SecretBytes {
    if is_whole(raw) {
        return SecretBytes::copy_of(raw);
    }
    let number: Option<f64> = std::str::from_utf8(raw)
        .ok()
        .and_then(|text| text.parse().ok());
    SecretBytes::from(
        number
            .map(|number| number.to_string())
            .unwrap_or_default()
            .into_bytes(),
    )
}

/// Returns true if the text of a number is digits only.
fn is_whole(raw: &[u8]) -> bool {
    raw.strip_prefix(b"-")
        .unwrap_or(raw)
        .iter()
        .all(u8::is_ascii_digit)
}

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
    match value.kind() {
        Kind::Object => {
            let mut members: BTreeMap<Vec<u8>, (SecretText, Json<'_>)> = BTreeMap::new();
            for (name, value) in value.members() {
                // Names are not wiped: they are no values.
                members.insert(name.expose().as_bytes().to_vec(), (name, value));
            }
            out.push_byte(b'{');
            for (count, (_, (name, value))) in members.iter().enumerate() {
                if count > 0 {
                    out.push_byte(b',');
                }
                write_text(name.expose().as_bytes(), html, out);
                out.push_byte(b':');
                encode_with(*value, numbers, html, out);
            }
            out.push_byte(b'}');
        }
        Kind::Array => {
            out.push_byte(b'[');
            for (count, element) in value.elements().enumerate() {
                if count > 0 {
                    out.push_byte(b',');
                }
                encode_with(element, numbers, html, out);
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
pub fn object_of_texts(map: &SecretMap) -> Result<SecretBytes, StoreError> {
    let size = map.iter().map(|(name, value)| name.len() + value.len() + 8);
    let mut out = SecretWriter::with_capacity(size.sum::<usize>() + 2);
    out.push_byte(b'{');
    for (count, (name, value)) in map.iter().enumerate() {
        if std::str::from_utf8(value.expose()).is_err() {
            return Err(StoreError::invalid(format!(
                "the value of {:?} is no text (UTF-8), which a JSON object cannot carry",
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

/// Reads the members of a JSON object as names and values: strings without their quotes, everything else as it stands.
///
/// # Errors
///
/// Says that it is no JSON object, and never what it is.
pub fn object_values(text: &[u8]) -> Result<SecretMap, StoreError> {
    let value = Json::parse(text).map_err(|_| not_an_object())?;
    // To upstream, null is an object without members.
    if value.kind() == Kind::Null {
        return Ok(SecretMap::new());
    }
    if value.kind() != Kind::Object {
        return Err(not_an_object());
    }
    Ok(value
        .members()
        .map(|(name, value)| (name.expose().to_owned(), value.unquoted()))
        .collect())
}

fn not_an_object() -> StoreError {
    StoreError::new(Trouble::Missing, "the value is no JSON object").public()
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The next value behind `at`, past the comma or colon before it; nothing at the end of the object or array.
fn next_item<'a>(text: &'a [u8], at: &mut usize) -> Option<Json<'a>> {
    let mut start = skip_space(text, *at);
    if matches!(text.get(start), Some(b',' | b':')) {
        start = skip_space(text, start + 1);
    }
    if matches!(text.get(start), None | Some(b'}' | b']')) {
        return None;
    }
    let end = skip_value(text, start, DEPTH).ok()?;
    *at = end;
    Some(Json(&text[start..end]))
}

/// Returns where the value that begins at `at` ends.
fn skip_value(text: &[u8], at: usize, depth: usize) -> Result<usize, NotJson> {
    let wrong = NotJson { at };
    match text.get(at).ok_or(wrong)? {
        b'{' => skip_items(text, at, depth, b'}', true),
        b'[' => skip_items(text, at, depth, b']', false),
        b'"' => skip_text(text, at),
        b't' => skip_word(text, at, b"true"),
        b'f' => skip_word(text, at, b"false"),
        b'n' => skip_word(text, at, b"null"),
        b'-' | b'0'..=b'9' => skip_number(text, at),
        _ => Err(wrong),
    }
}

fn skip_items(
    text: &[u8],
    open: usize,
    depth: usize,
    close: u8,
    named: bool,
) -> Result<usize, NotJson> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(NotJson { at: open });
    };
    let mut at = skip_space(text, open + 1);
    if text.get(at) == Some(&close) {
        return Ok(at + 1);
    }
    loop {
        if named {
            if text.get(at) != Some(&b'"') {
                return Err(NotJson { at });
            }
            at = skip_space(text, skip_text(text, at)?);
            if text.get(at) != Some(&b':') {
                return Err(NotJson { at });
            }
            at = skip_space(text, at + 1);
        }
        at = skip_space(text, skip_value(text, at, depth)?);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(byte) if *byte == close => return Ok(at + 1),
            _ => return Err(NotJson { at }),
        }
    }
}

fn skip_text(text: &[u8], open: usize) -> Result<usize, NotJson> {
    let mut at = open + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u')
                    if text
                        .get(at + 2..at + 6)
                        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) =>
                {
                    at += 6;
                }
                _ => return Err(NotJson { at }),
            },
            Some(0..=0x1f) | None => return Err(NotJson { at }),
            Some(_) => at += 1,
        }
    }
}

fn skip_word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, NotJson> {
    if text[at..].starts_with(word) {
        Ok(at + word.len())
    } else {
        Err(NotJson { at })
    }
}

fn skip_number(text: &[u8], start: usize) -> Result<usize, NotJson> {
    let digits = |mut at: usize| {
        let first = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at == first {
            Err(NotJson { at })
        } else {
            Ok(at)
        }
    };
    let mut at = start + usize::from(text[start] == b'-');
    if text.get(at) == Some(&b'0') {
        at += 1;
    } else {
        at = digits(at)?;
    }
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
    }
    Ok(at)
}

/// Writes what a checked string literal stands for; half a surrogate pair becomes the replacement character.
fn unescape(literal: &[u8], out: &mut SecretWriter) {
    let inner = &literal[1..literal.len() - 1];
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            let run = inner[at..]
                .iter()
                .position(|byte| *byte == b'\\')
                .unwrap_or(inner.len() - at);
            out.push(&inner[at..at + run]);
            at += run;
            continue;
        }
        at += 2;
        match inner[at - 1] {
            b'n' => out.push_byte(b'\n'),
            b'r' => out.push_byte(b'\r'),
            b't' => out.push_byte(b'\t'),
            b'b' => out.push_byte(8),
            b'f' => out.push_byte(12),
            b'u' => {
                let unit = hex_unit(inner, at);
                at += 4;
                let mut character = char::from_u32(unit);
                if (0xd800..0xdc00).contains(&unit) && inner[at..].starts_with(b"\\u") {
                    let low = hex_unit(inner, at + 2);
                    if (0xdc00..0xe000).contains(&low) {
                        at += 6;
                        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        character = char::from_u32(code);
                    }
                }
                let mut buffer = [0; 4];
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.push(character.encode_utf8(&mut buffer).as_bytes());
            }
            other => out.push_byte(other),
        }
    }
}

fn hex_unit(text: &[u8], at: usize) -> u32 {
    let digits = text.get(at..at + 4).unwrap_or_default();
    digits.iter().fold(0, |unit, digit| {
        unit * 16 + char::from(*digit).to_digit(16).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, numbers: Numbers) -> String {
        let mut out = SecretWriter::default();
        encode(Json::parse(text.as_bytes()).unwrap(), numbers, &mut out);
        String::from_utf8(out.expose().to_vec()).unwrap()
    }

    #[test]
    fn only_json_is_json() {
        for good in [
            "null",
            " {} ",
            "[1, -0.5e+7, \"\\ud83d\\ude00\"]",
            r#"{"a": {"b": [true, false]}}"#,
        ] {
            assert!(Json::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "nul",
            "{",
            "[1,]",
            "{\"a\"}",
            "01",
            "1.",
            "\"\t\"",
            "\"\\x\"",
            "1 2",
            "<html>",
            "{a: 1}",
            "\"\\u12\"",
        ] {
            assert!(Json::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        let deep = "[".repeat(300) + &"]".repeat(300);
        assert!(Json::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn strings_are_unescaped() {
        let text = br#""a\"\\\/\n\u0436\ud83d\ude00\ud800x""#;
        let value = Json::parse(text).unwrap().string().unwrap();
        assert_eq!(value.expose(), "a\"\\/\nж😀\u{fffd}x");
    }

    #[test]
    fn members_keep_their_spelling() {
        let map =
            object_values(br#"{"a": "x", "n": 1e3, "o": { "y": 1 }, "z": null, "a": "last"}"#)
                .unwrap();
        assert_eq!(map["a"].expose(), b"last");
        assert_eq!(map["n"].expose(), b"1e3");
        assert_eq!(map["o"].expose(), br#"{ "y": 1 }"#);
        assert_eq!(map["z"].expose(), b"");
        assert!(object_values(b" null ").unwrap().is_empty());
        let error = object_values(b"[\"canary\"]").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn encoding_again_is_gos() {
        let text = r#"{"b": 1.0, "a": "<&>", "b": [1e3, 12345678901234567890, 1e21, 1e-7]}"#;
        assert_eq!(
            encoded(text, Numbers::Literal),
            r#"{"a":"\u003c\u0026\u003e","b":[1e3,12345678901234567890,1e21,1e-7]}"#
        );
        assert_eq!(
            encoded(text, Numbers::Float),
            r#"{"a":"\u003c\u0026\u003e","b":[1000,12345678901234567890,1e+21,1e-7]}"#
        );
        let mut out = SecretWriter::default();
        let value = Json::parse(br#"{"<b>": ["&", {"a": "\u003e"}]}"#).unwrap();
        encode_with(value, Numbers::Float, Html::Plain, &mut out);
        assert_eq!(out.expose(), br#"{"<b>":["&",{"a":">"}]}"#);
    }

    #[test]
    fn texts_become_an_object() {
        let map = SecretMap::from([
            (
                "b".to_owned(),
                SecretBytes::copy_of("<\u{1}ж\u{2028}".as_bytes()),
            ),
            ("a".to_owned(), SecretBytes::copy_of(b"1")),
        ]);
        let text = object_of_texts(&map).unwrap();
        assert_eq!(
            String::from_utf8(text.expose().to_vec()).unwrap(),
            "{\"a\":\"1\",\"b\":\"<\\u0001ж\\u2028\"}"
        );
        let map = SecretMap::from([("x".to_owned(), SecretBytes::copy_of(b"\xff"))]);
        assert!(object_of_texts(&map).is_err());
    }
}

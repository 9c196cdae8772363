//! JSON as Go's `encoding/json` writes and reads it.

use std::collections::BTreeMap;

use sealwright_crypto::secret::SecretWriter;

use super::{float, runes};
use crate::budget::{Budget, Charge, Exceeded};
use crate::sink::Sink;
use crate::text::Text;
use crate::value::{List, ListKind, MAX_DEPTH, Value};

/// The three ways in which templates write JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonStyle {
    /// On one line, `<`, `>` and `&` escaped.
    Compact,
    /// Two blanks of indentation, `<`, `>` and `&` escaped.
    Pretty,
    /// On one line, nothing escaped that need not be.
    Raw,
}

/// Writes a value; fails for what JSON has no word for.
pub(crate) fn to_json(value: &Value, style: JsonStyle, budget: &Budget) -> Result<Text, String> {
    let mut out = Sink::new(budget);
    push(&mut out, value, style, 0)?;
    Ok(out.finish()?)
}

fn push(out: &mut Sink<'_>, value: &Value, style: JsonStyle, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("json: the value is nested too deeply".to_owned());
    }
    if out.is_full() {
        return Ok(());
    }
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Int(value) | Value::Int64(value) | Value::Duration(value) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Value::Uint8(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Uint64(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) => push_float(out, *value)?,
        Value::Text(text) => push_text(out, text.bytes(), style),
        Value::List(list) if list.is_nil() => out.extend_from_slice(b"null"),
        Value::List(list) => {
            let items = list.items().iter().map(|item| (None, item.clone()));
            push_all(out, items, style, depth, [b'[', b']'])?;
        }
        Value::TextMap(map) => {
            let entries = map
                .entries()
                .iter()
                .map(|(k, v)| (Some(k.clone()), Value::Text(v.clone())));
            push_all(out, entries, style, depth, [b'{', b'}'])?;
        }
        Value::Dict(dict) if dict.is_nil() => out.extend_from_slice(b"null"),
        Value::Dict(dict) => {
            let entries = dict.entries().into_iter().map(|(k, v)| (Some(k), v));
            push_all(out, entries, style, depth, [b'{', b'}'])?;
        }
        Value::Time(time) => push_text(out, time.to_rfc3339().as_bytes(), style),
        Value::Certificate(pair) => {
            let fields = [("Cert", &pair.cert), ("Key", &pair.key)]
                .map(|(name, text)| (Some(Text::from(name)), Value::Text(text.clone())));
            push_all(out, fields.into_iter(), style, depth, [b'{', b'}'])?;
        }
        Value::Version(version) => push_text(out, version.to_string().as_bytes(), style),
    }
    Ok(())
}

fn push_all(
    out: &mut Sink<'_>,
    items: impl Iterator<Item = (Option<Text>, Value)>,
    style: JsonStyle,
    depth: usize,
    [open, close]: [u8; 2],
) -> Result<(), String> {
    let break_line = |out: &mut Sink<'_>, depth: usize| {
        if style == JsonStyle::Pretty {
            out.push(b'\n');
            out.fill(b' ', 2 * depth);
        }
    };
    out.push(open);
    let mut is_empty = true;
    for (key, value) in items {
        if !is_empty {
            out.push(b',');
        }
        is_empty = false;
        break_line(out, depth + 1);
        if let Some(key) = key {
            push_text(out, key.bytes(), style);
            out.push(b':');
            if style == JsonStyle::Pretty {
                out.push(b' ');
            }
        }
        push(out, &value, style, depth + 1)?;
    }
    if !is_empty {
        break_line(out, depth);
    }
    out.push(close);
    Ok(())
}

/// As in JavaScript: an exponent below 1e-6 and from 1e21 on, without a leading zero.
fn push_float(out: &mut Sink<'_>, value: f64) -> Result<(), String> {
    if !value.is_finite() {
        return Err("json: unsupported value".to_owned());
    }
    let size = value.abs();
    let text = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        float(value, -5).replace("e-0", "e-").replace("e+0", "e+")
    } else {
        format!("{value}")
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

pub(crate) fn push_text(out: &mut Sink<'_>, bytes: &[u8], style: JsonStyle) {
    out.push(b'"');
    for (rune, raw) in runes(bytes) {
        let escape: &[u8] = match rune {
            None => b"\\ufffd",
            Some('"') => b"\\\"",
            Some('\\') => b"\\\\",
            Some('\u{8}') => b"\\b",
            Some('\u{c}') => b"\\f",
            Some('\n') => b"\\n",
            Some('\r') => b"\\r",
            Some('\t') => b"\\t",
            Some('\u{2028}') => b"\\u2028",
            Some('\u{2029}') => b"\\u2029",
            Some(rune @ ('<' | '>' | '&')) if style != JsonStyle::Raw => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(rune)).as_bytes());
                continue;
            }
            Some(rune) if rune < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(rune)).as_bytes());
                continue;
            }
            Some(_) => raw,
        };
        out.extend_from_slice(escape);
    }
    out.push(b'"');
}

/// Reads JSON into Go's generic values: numbers become `float64`, later keys win, and what is no
/// UTF-8 is replaced. The error never quotes the input.
pub(crate) fn from_json(bytes: &[u8], budget: &Budget) -> Result<Value, String> {
    let mut reader = Reader {
        bytes,
        at: 0,
        budget,
        charge: budget.charge(0)?,
        exceeded: None,
    };
    let value = reader.value(0).and_then(|value| {
        reader.skip_blanks();
        (reader.at == bytes.len()).then_some(value)
    });
    budget.tick(bytes.len())?;
    match (value, reader.exceeded) {
        (_, Some(exceeded)) => Err(exceeded.into()),
        (Some(value), None) => Ok(value),
        (None, None) => Err(format!("invalid JSON at byte {}", reader.at)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: &'a Budget,
    /// The lists and maps that are being read; values count themselves when they are there.
    charge: Charge,
    exceeded: Option<Exceeded>,
}

/// A number or an empty list takes two bytes of JSON, and this as a value.
const ITEM_SIZE: usize = 2 * size_of::<Value>();

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        // Go reads 10,000 levels; printing them again is what has to be kept in bounds.
        if depth > MAX_DEPTH {
            return None;
        }
        let counted = self.charge.grow(ITEM_SIZE);
        self.within_budget(counted)?;
        self.skip_blanks();
        let value = match self.peek()? {
            b'n' => self.word("null", Value::Nil)?,
            b't' => self.word("true", Value::Bool(true))?,
            b'f' => self.word("false", Value::Bool(false))?,
            b'"' => Value::Text(self.text()?),
            b'[' => Value::List(List::new(ListKind::Any, self.list(depth)?)),
            b'{' => Value::dict(self.object(depth)?),
            _ => self.number()?,
        };
        self.within_budget(value.counted(self.budget))
    }

    fn within_budget<T>(&mut self, result: Result<T, Exceeded>) -> Option<T> {
        result
            .map_err(|exceeded| self.exceeded = Some(exceeded))
            .ok()
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Value>> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.eat(b']') {
            return Some(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.eat(b']') {
                self.charge.shrink(items.len() * ITEM_SIZE);
                return Some(items);
            }
            self.eat(b',').then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<BTreeMap<Text, Value>> {
        self.at += 1;
        let mut entries = BTreeMap::new();
        self.skip_blanks();
        if self.eat(b'}') {
            return Some(entries);
        }
        loop {
            self.skip_blanks();
            (self.peek() == Some(b'"')).then_some(())?;
            let key = self.text()?;
            let counted = key.adopt(self.budget);
            self.within_budget(counted)?;
            self.skip_blanks();
            self.eat(b':').then_some(())?;
            entries.insert(key, self.value(depth + 1)?);
            self.skip_blanks();
            if self.eat(b'}') {
                self.charge.shrink(entries.len() * ITEM_SIZE);
                return Some(entries);
            }
            self.eat(b',').then_some(())?;
        }
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).ok()?;
        let number: f64 = text.parse().ok()?;
        number.is_finite().then_some(Value::Float(number))
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn text(&mut self) -> Option<Text> {
        self.at += 1;
        let mut out = SecretWriter::default();
        loop {
            let start = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            for (rune, raw) in runes(&self.bytes[start..self.at]) {
                out.push(if rune.is_some() {
                    raw
                } else {
                    "\u{fffd}".as_bytes()
                });
            }
            match self.next()? {
                b'"' => return Some(Text::from(out.finish())),
                b'\\' => self.escape(&mut out)?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut SecretWriter) -> Option<()> {
        let byte = match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 0xc,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let rune = self.unicode()?;
                out.push(rune.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        };
        out.push_byte(byte);
        Some(())
    }

    /// One `\u` escape or a pair; a lonely half of a pair is replaced.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first);
        }
        let back = self.at;
        if first < 0xdc00 && self.eat(b'\\') && self.eat(b'u') {
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
        }
        self.at = back;
        Some('\u{fffd}')
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, &digit| {
            Some(code << 4 | char::from(digit).to_digit(16)?)
        })
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.bytes[self.at..].starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            value
        })
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }
}

//! Spells values and whole documents as JSON.

use std::io::Write as _;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::format::{Layout, indentation};
use crate::scalar::Scalar;

/// Which characters of a string are escaped although JSON does not ask for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// None.
    Few,
    /// Those that matter in HTML and JavaScript, as the reference escapes them.
    Reference,
}

/// The columns per level that a layout may ask for.
pub const WIDEST_INDENT: i32 = 1_000;

/// How collections are laid out.
#[derive(Clone)]
pub(super) struct Style {
    /// What one more level adds in front of a line.
    pub(super) indent: Vec<u8>,
    /// What ends a line; empty when everything stands on one line.
    pub(super) newline: &'static [u8],
    /// What stands between a key and its value.
    pub(super) colon: Vec<u8>,
    /// What stands between two members on one line.
    pub(super) comma: &'static [u8],
    /// How strings are escaped.
    pub(super) escapes: Escapes,
}

impl Style {
    /// As the reference prints: a line per value, a tab per level unless the layout says otherwise.
    pub(super) fn of_reference(layout: Layout) -> Result<Self, EmitError> {
        let indent = match layout.indent {
            None | Some(-1) => b"\t".to_vec(),
            Some(columns) if columns > WIDEST_INDENT => {
                let reason =
                    format!("JSON indentation larger than {WIDEST_INDENT} is not accepted");
                return Err(EmitError::new("", reason));
            }
            Some(columns) => match usize::try_from(columns) {
                Ok(columns) => vec![b' '; columns],
                Err(_) => {
                    return Err(EmitError::new(
                        "",
                        "JSON indentation smaller than -1 is not accepted",
                    ));
                }
            },
        };
        Ok(Self {
            indent,
            newline: b"\n",
            colon: b": ".to_vec(),
            comma: b",",
            escapes: Escapes::Reference,
        })
    }

    fn is_one_line(&self) -> bool {
        self.newline.is_empty()
    }

    /// Starts a member or element, or the line of a closing bracket, at `depth` levels below `base`.
    pub(super) fn start_line(&self, base: &[u8], depth: usize, out: &mut SecretWriter) {
        if self.is_one_line() {
            return;
        }
        out.push(self.newline);
        out.push(base);
        if !self.indent.is_empty() {
            (0..depth).for_each(|_| out.push(&self.indent));
        }
    }
}

/// Writes a value of which the first line is already indented by `base`. Comments are left out.
pub(super) fn data(
    value: &Data,
    style: &Style,
    base: &[u8],
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    let mut open = Vec::new();
    let (start, mut blanks) = (out.len(), 0);
    begin(value, &mut open, style, out).map_err(|reason| EmitError::new("", reason))?;
    while let Some(top) = open.last_mut() {
        let (key, next) = match &mut top.content {
            Content::Map(entries) => match entries.find(|(_, value)| !is_comment(value)) {
                Some((key, value)) => (Some(key), Some(value)),
                None => (None, None),
            },
            Content::List(elements) => (None, elements.find(|value| !is_comment(value))),
        };
        let Some(next) = next else {
            let closing = top.content.brackets()[1];
            let was_empty = top.written == 0;
            open.pop();
            if !was_empty {
                style.start_line(base, open.len(), out);
            }
            out.push_byte(closing);
            continue;
        };
        if top.written > 0 {
            out.push(style.comma);
        }
        top.written += 1;
        top.key = key;
        if !style.is_one_line() {
            blanks += base.len() + open.len() * style.indent.len();
        }
        let others = (out.len() - start).saturating_sub(blanks);
        if indentation::is_excessive(blanks, others, indentation::IN_A_DOCUMENT) {
            return Err(EmitError::new(path_of(&open), indentation::EXCESSIVE));
        }
        style.start_line(base, open.len(), out);
        let begun = match key {
            Some(key) => string(key.expose(), style.escapes, out).map(|()| out.push(&style.colon)),
            None => Ok(()),
        }
        .and_then(|()| begin(next, &mut open, style, out));
        begun.map_err(|reason| EmitError::new(path_of(&open), reason))?;
    }
    Ok(())
}

/// A collection of which the opening bracket is written.
struct Open<'a> {
    content: Content<'a>,
    key: Option<&'a SecretBytes>,
    written: usize,
}

enum Content<'a> {
    Map(std::slice::Iter<'a, (SecretBytes, Data)>),
    List(std::slice::Iter<'a, Data>),
}

impl Content<'_> {
    fn brackets(&self) -> [u8; 2] {
        match self {
            Content::Map(_) => *b"{}",
            Content::List(_) => *b"[]",
        }
    }
}

fn begin<'a>(
    value: &'a Data,
    open: &mut Vec<Open<'a>>,
    style: &Style,
    out: &mut SecretWriter,
) -> Result<(), &'static str> {
    let content = match value {
        Data::Map(entries) => Content::Map(entries.iter()),
        Data::List(elements) => Content::List(elements.iter()),
        leaf => return scalar(leaf.as_scalar().expect("a leaf"), style.escapes, out),
    };
    out.push_byte(content.brackets()[0]);
    open.push(Open {
        content,
        key: None,
        written: 0,
    });
    Ok(())
}

fn is_comment(value: &Data) -> bool {
    matches!(value, Data::Comment { .. })
}

fn path_of(open: &[Open<'_>]) -> String {
    let mut path = String::new();
    for level in open {
        match level.key {
            Some(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(key.expose()));
            }
            None if level.written > 0 => path.push_str(&format!("[{}]", level.written - 1)),
            None => {}
        }
    }
    path
}

/// Writes a scalar.
pub(super) fn scalar(
    value: Scalar<'_>,
    escapes: Escapes,
    out: &mut SecretWriter,
) -> Result<(), &'static str> {
    match value {
        Scalar::Null => out.push(b"null"),
        Scalar::Bool(true) => out.push(b"true"),
        Scalar::Bool(false) => out.push(b"false"),
        Scalar::Int(value) => write!(out, "{value}").expect("memory takes it"),
        Scalar::Float(value) if value.is_finite() => {
            crate::float::write_json(value, out);
        }
        Scalar::Float(_) => return Err("JSON has no infinity and no NaN"),
        Scalar::Time(text) | Scalar::Str(text) => return string(text, escapes, out),
        Scalar::Comment(_) => return Err("JSON has no comments"),
    }
    Ok(())
}

/// Writes a string in quotes.
pub(super) fn string(
    text: &[u8],
    escapes: Escapes,
    out: &mut SecretWriter,
) -> Result<(), &'static str> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Err("JSON cannot hold bytes that are not UTF-8");
    };
    quoted(text.as_bytes(), escapes, out);
    Ok(())
}

/// Writes bytes in quotes, be they text or not.
pub(super) fn quoted(bytes: &[u8], escapes: Escapes, out: &mut SecretWriter) {
    out.push_byte(b'"');
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let mut unit = [0; 6];
        let (skipped, escaped): (usize, &[u8]) = match *byte {
            b'"' => (1, b"\\\""),
            b'\\' => (1, b"\\\\"),
            b'\n' => (1, b"\\n"),
            b'\r' => (1, b"\\r"),
            b'\t' => (1, b"\\t"),
            8 => (1, b"\\b"),
            12 => (1, b"\\f"),
            byte @ (0..0x20) => {
                unit.copy_from_slice(b"\\u0000");
                unit[4] = HEX[usize::from(byte >> 4)];
                unit[5] = HEX[usize::from(byte & 15)];
                (1, &unit)
            }
            _ if escapes == Escapes::Few => continue,
            b'<' => (1, b"\\u003c"),
            b'>' => (1, b"\\u003e"),
            b'&' => (1, b"\\u0026"),
            0xE2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => (3, b"\\u2028"),
            0xE2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => (3, b"\\u2029"),
            _ => continue,
        };
        out.push(&bytes[copied..at]);
        out.push(escaped);
        copied = at + skipped;
    }
    out.push(&bytes[copied..]);
    out.push_byte(b'"');
}

const HEX: &[u8; 16] = b"0123456789abcdef";

//! How a scalar is written: the style that the reference would choose, at the place where it stands.

use std::io::Write as _;

use sealwright_crypto::secret::SecretWriter;

use crate::error::EmitError;
use crate::float;
use crate::format::indentation;
use crate::scalar::Scalar;

use super::characters::{break_len, wide_break};
use super::resolve;
use super::token::Style;

/// Where a scalar is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// In a flow collection, where no block may stand.
    pub(super) in_flow: bool,
    /// Whether a block may stand here: nothing follows on the line.
    pub(super) allows_block: bool,
    /// Whether a block may end in empty lines: what follows is no empty line.
    pub(super) allows_keep: bool,
    /// The column of the collection around it, 0 at the top.
    pub(super) column: usize,
    /// Columns per level.
    pub(super) unit: usize,
}

impl Spot {
    /// The column of the lines of a block.
    fn block_column(&self) -> usize {
        next_level(self.column, self.unit)
    }
}

/// The next multiple of the unit.
pub(super) fn next_level(column: usize, unit: usize) -> usize {
    unit * (column / unit + 1)
}

/// Writes any scalar but a comment.
pub(super) fn scalar(
    scalar: Scalar<'_>,
    spot: &Spot,
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    match scalar {
        Scalar::Null => out.push(b"null"),
        Scalar::Bool(value) => out.push(if value { b"true" } else { b"false" }),
        Scalar::Int(value) => write!(out, "{value}").expect("memory takes it"),
        Scalar::Float(value) if value.is_nan() => out.push(b".nan"),
        Scalar::Float(f64::INFINITY) => out.push(b".inf"),
        Scalar::Float(f64::NEG_INFINITY) => out.push(b"-.inf"),
        Scalar::Float(value) => float::write_general(value, out),
        Scalar::Time(text) => out.push(text),
        Scalar::Str(text) => string(text, spot, out),
        Scalar::Comment(_) => return Err(EmitError::new("", "a comment is no value")),
    }
    Ok(())
}

/// Writes a text.
pub(super) fn string(text: &[u8], spot: &Spot, out: &mut SecretWriter) {
    if std::str::from_utf8(text).is_err() {
        out.push(b"!!binary ");
        write_base64(text, out);
        return;
    }
    if text == b"<<" {
        out.push(b"!!merge <<");
        return;
    }
    match choose(text, spot) {
        Form::Plain => out.push(text),
        Form::Single => write_single(text, out),
        Form::Double => write_double(text, out),
        Form::Literal => write_literal(text, spot, out),
    }
}

/// Writes a text in the quotes that stood there before, if it had some and fits between them.
pub(super) fn quoted(text: &[u8], style: Style, out: &mut SecretWriter) -> bool {
    let is_line = memchr::memchr(b'\n', text).is_none() && std::str::from_utf8(text).is_ok();
    match style {
        Style::Single if is_line && Shape::of(text).single => write_single(text, out),
        Style::Double if is_line => write_double(text, out),
        _ => return false,
    }
    true
}

/// Writes a line of text below the mark of the block that stood there before, if it was one and the line fits.
pub(super) fn below_mark(text: &[u8], style: Style, former: &[u8], out: &mut SecretWriter) -> bool {
    let is_block = matches!(style, Style::Literal | Style::Folded);
    let mark_end = former.iter().position(|byte| *byte == b'\n');
    let (Some(mark_end), true) = (mark_end, is_block) else {
        return false;
    };
    let (header, lines) = former.split_at(mark_end + 1);
    let mark = header.iter().position(|byte| matches!(byte, b'|' | b'>'));
    let signs = &header[mark.unwrap_or(0)..];
    let signs = &signs[..signs
        .iter()
        .position(|byte| *byte == b'#')
        .unwrap_or(signs.len())];
    let indent = lines.iter().take_while(|byte| **byte == b' ').count();
    // What ends in a line break stands below a mark that keeps one.
    let line = match signs.contains(&b'-') {
        true => Some(text),
        false => text.strip_suffix(b"\n"),
    };
    let fits = |line: &&[u8]| {
        let is_plain = |byte: &u8| matches!(byte, b'!'..=b'~');
        indent > 0 && !line.is_empty() && line.iter().all(is_plain)
    };
    match line.filter(fits) {
        Some(line) if !signs.contains(&b'+') => {
            out.push(header);
            out.push(&lines[..indent]);
            out.push(line);
            true
        }
        _ => false,
    }
}

/// Writes a text without quotes where that is possible, else in double quotes.
pub(super) fn plain_or_double(text: &[u8], spot: &Spot, out: &mut SecretWriter) {
    match choose(text, spot) {
        Form::Plain if !spot.in_flow => out.push(text),
        _ => write_double(text, out),
    }
}

enum Form {
    Plain,
    Single,
    Double,
    Literal,
}

fn choose(text: &[u8], spot: &Spot) -> Form {
    let shape = Shape::of(text);
    if memchr::memchr(b'\n', text).is_some() {
        // Other breaks beside LF are safer as escapes, though the reference writes them raw.
        let fits = spot.allows_block && !spot.in_flow && shape.block && !shape.wide_break;
        let keeps = text.ends_with(b"\n\n") || text == b"\n";
        // So is what would be mostly indentation.
        let lines = memchr::memchr_iter(b'\n', text).count() + 1;
        let blanks = lines.saturating_mul(spot.block_column());
        let fits = fits && !indentation::is_excessive(blanks, text.len(), indentation::IN_A_VALUE);
        return match fits && (spot.allows_keep || !keeps) {
            true => Form::Literal,
            false => Form::Double,
        };
    }
    if !resolve::is_text(text) || is_old_bool(text) || is_base_60(text) {
        return Form::Double;
    }
    let plain = if spot.in_flow {
        shape.flow_plain
    } else {
        shape.block_plain
    };
    match plain {
        true => Form::Plain,
        false if shape.single => Form::Single,
        false => Form::Double,
    }
}

/// The characters that allow every form wherever they stand but first: nearly all of a ciphertext.
static ORDINARY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        table[byte] = !matches!(
            byte as u8,
            b',' | b'?' | b'[' | b']' | b'{' | b'}' | b':' | b'#'
        );
        byte += 1;
    }
    table
};

/// Which forms the characters of a text allow.
struct Shape {
    flow_plain: bool,
    block_plain: bool,
    single: bool,
    block: bool,
    wide_break: bool,
}

impl Shape {
    fn of(text: &[u8]) -> Self {
        let Some(first) = text.first() else {
            return Self {
                flow_plain: false,
                block_plain: false,
                single: true,
                block: false,
                wide_break: false,
            };
        };
        let blank_at = |at: usize| matches!(text.get(at), None | Some(b' ' | b'\t'));
        let (mut flow_plain, mut block_plain) = (true, true);
        if text.starts_with(b"---") || text.starts_with(b"...") {
            (flow_plain, block_plain) = (false, false);
        }
        match first {
            b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
            | b'"' | b'%' | b'@' | b'`' => (flow_plain, block_plain) = (false, false),
            b'?' | b':' => {
                flow_plain = false;
                block_plain &= !blank_at(1);
            }
            b'-' if blank_at(1) => (flow_plain, block_plain) = (false, false),
            _ => {}
        }
        let (mut special, mut tab, mut breaks, mut wide) = (false, false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let (mut after_space, mut after_break, mut after_blank) = (false, false, true);
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            if ORDINARY[usize::from(byte)] {
                (after_space, after_break, after_blank) = (false, false, false);
                let rest = &text[at..];
                let is_ordinary = |byte: &u8| ORDINARY[usize::from(*byte)];
                at += rest.iter().take_while(|byte| is_ordinary(byte)).count();
                continue;
            }
            let width = width(byte);
            if at > 0 {
                match byte {
                    b',' | b'?' | b'[' | b']' | b'{' | b'}' => flow_plain = false,
                    b':' => {
                        flow_plain = false;
                        block_plain &= !blank_at(at + 1);
                    }
                    b'#' if after_blank => (flow_plain, block_plain) = (false, false),
                    _ => {}
                }
            }
            let is_break = break_len(&text[at..]) > 0;
            tab |= byte == b'\t';
            special |= byte != b'\t' && !is_printable(&text[at..]);
            if byte == b' ' {
                break_space |= after_break;
            } else if is_break {
                breaks = true;
                wide |= byte != b'\n';
                space_break |= after_space;
            }
            after_space = byte == b' ';
            after_break = is_break;
            after_blank = is_break || matches!(byte, b' ' | b'\t');
            at += width;
        }
        let edge = |byte: Option<&u8>| matches!(byte, Some(b' '));
        let ends_in_break = after_break || break_len(text) > 0;
        let plain = !edge(text.first())
            && !edge(text.last())
            && !ends_in_break
            && !breaks
            && !tab
            && !special;
        Self {
            flow_plain: plain && flow_plain,
            block_plain: plain && block_plain,
            single: !break_space && !space_break && !tab && !special,
            block: !edge(text.last()) && !space_break && !special,
            wide_break: wide,
        }
    }
}

/// Whether a character may stand as it is: astral ones may not, by the reference's rule.
fn is_printable(text: &[u8]) -> bool {
    match text {
        [b'\n' | 0x20..=0x7E, ..] => true,
        [0xC2, next, ..] => *next >= 0xA0,
        [0xEF, 0xBB, 0xBF, ..] | [0xEF, 0xBF, 0xBE | 0xBF, ..] => false,
        [0xC3..=0xEF, ..] => true,
        _ => false,
    }
}

/// What YAML 1.1 reads as a truth value.
fn is_old_bool(text: &[u8]) -> bool {
    matches!(
        text,
        b"y" | b"Y"
            | b"yes"
            | b"Yes"
            | b"YES"
            | b"on"
            | b"On"
            | b"ON"
            | b"n"
            | b"N"
            | b"no"
            | b"No"
            | b"NO"
            | b"off"
            | b"Off"
            | b"OFF"
    )
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(text: &[u8]) -> bool {
    let text = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let mut parts = text.split(|byte| *byte == b':');
    let first = parts.next().unwrap_or_default();
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let is_number = |text: &[u8]| text.iter().all(|byte| is_digit(byte) || *byte == b'_');
    if !first.first().is_some_and(is_digit) || !is_number(first) {
        return false;
    }
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return false;
    }
    while let Some(part) = parts.next() {
        let digits = match memchr::memchr(b'.', part) {
            Some(dot) if parts.peek().is_none() && is_number(&part[dot + 1..]) => &part[..dot],
            _ => part,
        };
        let fits = match digits {
            [digit] => is_digit(digit),
            [b'0'..=b'5', digit] => is_digit(digit),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

fn write_single(text: &[u8], out: &mut SecretWriter) {
    out.push_byte(b'\'');
    for (index, part) in text.split(|byte| *byte == b'\'').enumerate() {
        if index > 0 {
            out.push(b"''");
        }
        out.push(part);
    }
    out.push_byte(b'\'');
}

pub(super) fn write_double(text: &[u8], out: &mut SecretWriter) {
    out.push_byte(b'"');
    let text = std::str::from_utf8(text).expect("bytes that are no text are written as base64");
    for character in text.chars() {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        let is_break = break_len(bytes) > 0 || wide_break(bytes).is_some();
        if is_printable(bytes) && !is_break && !matches!(character, '"' | '\\') {
            out.push(bytes);
            continue;
        }
        let code = character as u32;
        let short = match character {
            '\0' => b'0',
            '\x07' => b'a',
            '\x08' => b'b',
            '\t' => b't',
            '\n' => b'n',
            '\x0b' => b'v',
            '\x0c' => b'f',
            '\r' => b'r',
            '\x1b' => b'e',
            '"' => b'"',
            '\\' => b'\\',
            '\u{85}' => b'N',
            '\u{a0}' => b'_',
            '\u{2028}' => b'L',
            '\u{2029}' => b'P',
            _ => {
                match code {
                    0..=0xFF => write!(out, "\\x{code:02X}"),
                    0x100..=0xFFFF => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                }
                .expect("memory takes it");
                continue;
            }
        };
        out.push(&[b'\\', short]);
    }
    out.push_byte(b'"');
}

/// Writes a literal block without the line break that ends its last line.
fn write_literal(text: &[u8], spot: &Spot, out: &mut SecretWriter) {
    let column = spot.block_column();
    out.push_byte(b'|');
    // What starts with a blank hides where the indentation ends. The reference always writes its unit here, which is
    // wrong wherever a level is less than that deep.
    if matches!(text.first(), Some(b' ' | b'\t')) || break_len(text) > 0 {
        write!(out, "{}", column - spot.column).expect("memory takes it");
    }
    if text.ends_with(b"\n\n") || text == b"\n" {
        out.push_byte(b'+');
    } else if !text.ends_with(b"\n") {
        out.push_byte(b'-');
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        out.push_byte(b'\n');
        if !line.is_empty() {
            for _ in 0..column {
                out.push_byte(b' ');
            }
        }
        out.push(line);
    }
}

/// Standard base64 with padding.
fn write_base64(bytes: &[u8], out: &mut SecretWriter) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
            out.push_byte(if index <= group.len() { digit } else { b'=' });
        }
    }
}

fn width(byte: u8) -> usize {
    match byte {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

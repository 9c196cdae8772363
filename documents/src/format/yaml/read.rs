//! Spellings at the place of a node: written, and read back.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::format::indentation;
use crate::scalar::Scalar;
use crate::tree::{Key, NodeId, Tree, Value};

use super::characters::break_len;
use super::compose;
use super::place::Place;
use super::spell::{self, Spot};
use super::token::Style;

/// The reference's own unit.
pub(super) const UNIT: usize = 4;

/// The columns per level of a file.
pub(super) fn unit(tree: &Tree) -> usize {
    let shown = tree
        .nodes
        .first()
        .map_or(0, |root| Place::of(root.place).unit());
    if (2..=9).contains(&shown) {
        shown
    } else {
        UNIT
    }
}

/// Writes a scalar at a node's place.
pub(super) fn spell(
    tree: &Tree,
    at: NodeId,
    scalar: Scalar<'_>,
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    if let Value::Comment { .. } = tree.nodes[at].value {
        return match scalar {
            Scalar::Comment(text) => spell_comment(tree, at, text, out),
            _ => Err(EmitError::new("", "a value cannot stand in a comment")),
        };
    }
    let site = tree.nodes[at].site;
    let place = Place::of(tree.nodes[at].place);
    if place.style() == Style::Absent && site.is_empty() {
        let before = tree.text.expose()[..site.start as usize].last();
        if !matches!(before, None | Some(b' ' | b'\n')) {
            out.push_byte(b' ');
        }
    }
    if is_glued(tree, at) {
        match scalar {
            Scalar::Str(text) if std::str::from_utf8(text).is_ok() => {
                spell::write_double(text, out)
            }
            _ => {
                spell::scalar(scalar, &spot(tree, at, false), out)?;
                out.push_byte(b' ');
            }
        }
        return Ok(());
    }
    match scalar {
        // Texts without a line break do not depend on what follows.
        Scalar::Str(text) if memchr::memchr(b'\n', text).is_none() => {
            spell::string(text, &spot(tree, at, false), out);
            Ok(())
        }
        _ => spell::scalar(scalar, &spot(tree, at, true), out),
    }
}

/// Whether a comment follows without a blank, as it may behind quotes.
fn is_glued(tree: &Tree, at: NodeId) -> bool {
    tree.text.expose().get(tree.nodes[at].site.end as usize) == Some(&b'#')
}

/// Writes the `ENC[…]` text at a node's place.
pub(super) fn spell_encrypted(tree: &Tree, at: NodeId, text: &[u8], out: &mut SecretWriter) {
    match tree.nodes[at].value {
        Value::Comment { .. } => out.push(text),
        _ if Place::of(tree.nodes[at].place).in_flow() || is_glued(tree, at) => {
            spell::write_double(text, out);
        }
        _ if is_ordinary_ciphertext(text) => out.push(text),
        _ => spell::plain_or_double(text, &spot(tree, at, false), out),
    }
}

/// Whether a text is as the cipher writes it: it begins like no other kind of value, and without blanks nothing inside
/// of it counts in a block. This looks at many bytes at once, where the rule for all texts goes byte by byte.
fn is_ordinary_ciphertext(text: &[u8]) -> bool {
    let has_only_visible = |text: &[u8]| {
        let odd = |byte: &u8| u8::from(byte.wrapping_sub(0x21) > 0x7E - 0x21);
        text.iter().fold(0, |any, byte| any | odd(byte)) == 0
    };
    text.starts_with(b"ENC[") && text.ends_with(b"]") && has_only_visible(text)
}

fn spot(tree: &Tree, at: NodeId, look_around: bool) -> Spot {
    let end = tree.nodes[at].site.end as usize;
    spot_before(tree, at, look_around.then_some(end), unit(tree))
}

/// The spot of a node when what it replaces ends there.
pub(super) fn spot_until(tree: &Tree, at: NodeId, end: usize, unit: usize) -> Spot {
    spot_before(tree, at, Some(end), unit)
}

fn spot_before(tree: &Tree, at: NodeId, end: Option<usize>, unit: usize) -> Spot {
    let place = Place::of(tree.nodes[at].place);
    let (mut allows_block, mut allows_keep) = (false, false);
    if let Some(end) = end {
        let rest = &tree.text.expose()[end..];
        let blanks = blanks(rest);
        allows_block = rest.len() == blanks || break_len(&rest[blanks..]) > 0;
        let next = &rest[blanks + break_len(&rest[blanks..])..];
        let next = &next[self::blanks(next)..];
        allows_keep = blanks == 0 && (next.is_empty() || break_len(next) == 0);
        // A file with other line ends shows a block by them, too.
        allows_block &= !rest[blanks..].starts_with(b"\r");
    }
    Spot {
        in_flow: place.in_flow(),
        allows_block,
        allows_keep,
        column: usize::try_from(place.indent()).unwrap_or(0),
        unit,
    }
}

fn blanks(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// A comment with several lines repeats its mark and its indentation.
fn spell_comment(
    tree: &Tree,
    at: NodeId,
    text: &[u8],
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    super::characters::check(text).map_err(|(_, reason)| EmitError::new("", reason))?;
    let file = tree.text.expose();
    let mark = (tree.nodes[at].site.start as usize).saturating_sub(1);
    let line = file[..mark]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let indent = &file[line..mark];
    let breaks = (0..text.len()).filter(|at| break_len(&text[*at..]) > 0);
    let blanks = breaks.count().saturating_mul(indent.len());
    if indentation::is_excessive(blanks, text.len(), indentation::IN_A_VALUE) {
        return Err(EmitError::new(
            "",
            "a comment with too many lines for its place",
        ));
    }
    let mut rest = text;
    loop {
        let end = (0..rest.len()).find(|at| break_len(&rest[*at..]) > 0);
        out.push(&rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else {
            return Ok(());
        };
        if indent.iter().any(|byte| *byte != b' ') {
            return Err(EmitError::new("", "a comment beside a value has one line"));
        }
        out.push_byte(b'\n');
        out.push(indent);
        out.push_byte(b'#');
        rest = &rest[end + break_len(&rest[end..])..];
    }
}

/// What a spelling would be read as at a node's place.
pub(super) fn read_spelling(tree: &Tree, at: NodeId, spelling: &[u8]) -> Option<Data> {
    let node = tree.nodes[at];
    if let Value::Comment { inline, .. } = node.value {
        let is_line = super::characters::check(spelling).is_ok()
            && (0..spelling.len()).all(|at| break_len(&spelling[at..]) == 0);
        return is_line.then(|| Data::Comment {
            text: SecretBytes::copy_of(spelling),
            inline,
        });
    }
    let place = Place::of(node.place);
    let column = usize::try_from(place.indent()).unwrap_or(0);
    let is_element = matches!(node.key, Key::None);
    let indentation = if place.in_flow() { 0 } else { 2 * column };
    let mut text = SecretWriter::with_capacity(indentation + spelling.len() + 32);
    let indent = |text: &mut SecretWriter| (0..column).for_each(|_| text.push_byte(b' '));
    // A lone CR at the end of a block must not become one break with ours.
    let line_break: &[u8] = if spelling.ends_with(b"\r") {
        b"\r\n"
    } else {
        b"\n"
    };
    // A document of which this is the one value, as deep as in the file, and with what may end it behind.
    if place.in_flow() {
        text.push(if is_element { b"k: [ " } else { b"k: {k: " });
        text.push(spelling);
        // A colon at the end of a plain text is part of it only where no blank follows.
        let next = tree.text.expose().get(node.site.end as usize);
        if matches!(
            next,
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | 0xC2 | 0xE2)
        ) {
            text.push_byte(b' ');
        }
        text.push(if is_element { b"]\n" } else { b"}\n" });
    } else if is_element {
        text.push(b"k:\n");
        indent(&mut text);
        text.push(b"- ");
        text.push(spelling);
        text.push(line_break);
    } else {
        indent(&mut text);
        text.push(b"k: ");
        text.push(spelling);
        text.push(line_break);
        indent(&mut text);
        text.push(b"e:\n");
    }
    let read = compose::compose(text.finish()).ok()?.tree;
    let is_nested = place.in_flow() || is_element;
    let leaf = if is_nested { 2 } else { 1 };
    let fits = read.nodes.len() == 3
        && read.documents.len() == 1
        && (is_nested || read.key(2) == Some(b"e"));
    (fits && read.scalar(leaf).is_some()).then(|| Data::of(&read, leaf))
}

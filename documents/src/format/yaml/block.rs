//! Writes the `sops` block: the last key of every document, the same in each.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::format::Layout;
use crate::splice::Edit;
use crate::tree::{Block, Span, Tree};

use super::characters::at_line_start;
use super::emit::{self, Emitter};
use super::place::Place;
use super::read;

/// The edits that put the block into each document.
pub(super) fn write_block(
    tree: &Tree,
    block: &Data,
    layout: Layout,
) -> Result<Vec<Edit>, EmitError> {
    let Data::Map(fields) = block else {
        return Err(EmitError::new("sops", "the block is a map"));
    };
    let unit = emit::unit_of(layout, read::unit(tree))?;
    let mut edits = Vec::new();
    let mut blocks = tree.blocks.iter().peekable();
    for root in &tree.documents {
        let root = &tree.nodes[*root as usize];
        let end = root.site.end;
        let mut is_written = false;
        if let Some(present) = blocks.next_if(|block| block.cut.start < end) {
            is_written = true;
            if Place::of(root.place).is_flow() {
                edits.extend(rewrite_flow(tree, present, block)?);
            } else if present.fields.is_empty() {
                if !is_same(&present.data, block) {
                    let text = lines(tree, fields, unit)?;
                    edits.push(edit(present.cut, text));
                }
            } else {
                update(tree, present, fields, &mut edits)?;
            }
        }
        if !is_written {
            if Place::of(root.place).needs_rewrite() {
                return Err(EmitError::new(
                    "",
                    "this layout has no place for the `sops` block",
                ));
            }
            let mut text = SecretWriter::default();
            let before = &tree.text.expose()[..end as usize];
            if !at_line_start(before) {
                text.push(line_break(tree));
            }
            text.push(lines(tree, fields, unit)?.expose());
            edits.push(edit(Span { start: end, end }, text.finish()));
        }
    }
    Ok(edits)
}

fn edit(span: Span, text: SecretBytes) -> Edit {
    Edit { span, text }
}

fn lines(
    tree: &Tree,
    fields: &[(SecretBytes, Data)],
    unit: usize,
) -> Result<SecretBytes, EmitError> {
    let mut emitter = Emitter::new(unit);
    emitter.out.push(b"sops:\n");
    emitter.map(fields, unit, false)?;
    Ok(with_line_breaks(tree, emitter.out.finish()))
}

/// Rewrites the fields that differ, and no others.
fn update(
    tree: &Tree,
    present: &Block,
    fields: &[(SecretBytes, Data)],
    edits: &mut Vec<Edit>,
) -> Result<(), EmitError> {
    let text = tree.text.expose();
    let first = present.fields[0].1;
    let column = text[first.range()]
        .iter()
        .take_while(|byte| **byte == b' ')
        .count();
    let field_lines = |name: &str, value: &Data| -> Result<SecretBytes, EmitError> {
        let mut emitter = Emitter::new(column.clamp(2, 9));
        for _ in 0..column {
            emitter.out.push_byte(b' ');
        }
        emitter.entry(name.as_bytes(), value, &[], column)?;
        Ok(with_line_breaks(tree, emitter.out.finish()))
    };
    let mut wanted = fields
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name.expose()).into_owned(), value))
        .peekable();
    let known = |name: &str| present.fields.iter().any(|(known, _)| known == name);
    for (name, span) in &present.fields {
        let mut insert = SecretWriter::default();
        while let Some((new, value)) = wanted.next_if(|(new, _)| new < name || known(new)) {
            if !known(&new) {
                insert.push(field_lines(&new, value)?.expose());
            }
        }
        let value = fields
            .iter()
            .find(|(new, _)| new.expose() == name.as_bytes());
        let old = present.data.get(name).unwrap_or(&Data::Null);
        let replaced = match value {
            Some((_, value)) if is_same(old, value) => None,
            Some((_, value)) => Some(field_lines(name, value)?),
            None if is_nothing(old) => None,
            None => Some(SecretBytes::default()),
        };
        match replaced {
            Some(lines) => {
                insert.push(lines.expose());
                edits.push(edit(*span, insert.finish()));
            }
            None if !insert.is_empty() => {
                let at = Span {
                    start: span.start,
                    end: span.start,
                };
                edits.push(edit(at, insert.finish()));
            }
            None => {}
        }
    }
    let mut rest = SecretWriter::default();
    for (name, value) in wanted {
        if !known(&name) {
            rest.push(field_lines(&name, value)?.expose());
        }
    }
    if !rest.is_empty() {
        let end = present.cut.end;
        let mut text = SecretWriter::default();
        if !at_line_start(&tree.text.expose()[..end as usize]) {
            text.push(line_break(tree));
        }
        text.push(rest.expose());
        edits.push(edit(Span { start: end, end }, text.finish()));
    }
    Ok(())
}

/// In a flow map the block is one more entry.
fn rewrite_flow(tree: &Tree, present: &Block, block: &Data) -> Result<Option<Edit>, EmitError> {
    if is_same(&present.data, block) {
        return Ok(None);
    }
    let old = &tree.text.expose()[present.cut.range()];
    let mut text = SecretWriter::default();
    let trimmed = old.trim_ascii_start();
    if trimmed.starts_with(b",") {
        text.push(b", ");
    }
    text.push(b"\"sops\": ");
    emit::flow(block, &mut text)?;
    if !trimmed.starts_with(b",") && old.trim_ascii_end().ends_with(b",") {
        text.push(b", ");
    }
    Ok(Some(edit(present.cut, text.finish())))
}

/// Whether both say the same; a timestamp may be quoted or not.
fn is_same(old: &Data, new: &Data) -> bool {
    match (old, new) {
        (Data::Time(old), Data::Str(new)) => old.as_bytes() == new.expose(),
        (Data::List(old), Data::List(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_same(old, new))
        }
        (Data::Map(old), Data::Map(new)) => {
            // Old writers had another order.
            old.len() == new.len()
                && new.iter().all(|(name, new)| {
                    old.iter()
                        .any(|(key, old)| key == name && is_same(old, new))
                })
        }
        _ => old == new,
    }
}

/// What old writers put where they had nothing to say.
fn is_nothing(old: &Data) -> bool {
    match old {
        Data::Null => true,
        Data::List(items) => items.is_empty(),
        Data::Map(entries) => entries.is_empty(),
        Data::Str(text) => text.is_empty(),
        _ => false,
    }
}

/// The line break of the file: that of its first line. A lone CR, which ends lines in YAML, does not count: it may go
/// with a value.
pub(super) fn line_break(tree: &Tree) -> &'static [u8] {
    let text = tree.text.expose();
    match memchr::memchr(b'\n', text) {
        Some(at) if text[..at].ends_with(b"\r") => b"\r\n",
        _ => b"\n",
    }
}

/// Gives lines the line breaks of the file.
pub(super) fn with_line_breaks(tree: &Tree, text: SecretBytes) -> SecretBytes {
    if line_break(tree) == b"\n" {
        return text;
    }
    let mut out = SecretWriter::with_capacity(text.len() + text.len() / 16);
    for line in text.expose().split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                out.push(line);
                out.push(b"\r\n");
            }
            None => out.push(line),
        }
    }
    out.finish()
}

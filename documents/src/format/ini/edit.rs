//! Changes an INI text in place: the `sops` section, one value, one key.

use std::ops::Range;

use sealwright_crypto::secret::SecretWriter;

use crate::data::Data;
use crate::error::EmitError;
use crate::flatten::Flat;
use crate::format::Step;
use crate::format::flat_block::{OldLine, break_at_end, rewrite};
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{NodeId, Span, Tree, Value};

use super::prepare::newline_of;
use super::read::{BLOCK, block_line};
use super::scan::{Entry, Kind, Name, scan};
use super::spell;

/// The edits that write the `sops` section.
pub(super) fn write_block(tree: &Tree, new: &[Flat]) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let mut newline = newline_of(text);
    for line in new {
        // Spelled once to see that it can be: what follows has no way to fail.
        let mut trial = SecretWriter::default();
        spell::name(&line.key, &mut trial)
            .and_then(|()| spell_value(line, &mut trial))
            .map_err(|reason| EmitError::new(String::from_utf8_lossy(&line.key), reason))?;
    }
    let spell_line = |line: &Flat, out: &mut SecretWriter| {
        spell::name(&line.key, out).expect("tried before");
        out.push(b" = ");
        spell_value(line, out).expect("tried before");
    };
    if tree.blocks.is_empty() {
        let mut out = SecretWriter::default();
        let is_empty = matches!(text, b"" | b"\xEF\xBB\xBF");
        let ends_open = !is_empty && !text.ends_with(b"\n");
        if text.ends_with(b"\r") {
            newline = b"\r\n"; // its first byte must not join the one before it
        }
        if ends_open {
            out.push(newline);
        }
        if !is_empty {
            out.push(newline);
        }
        out.push(b"[sops]");
        for line in new {
            out.push(newline);
            spell_line(line, &mut out);
        }
        if !ends_open {
            out.push(newline);
        }
        return Ok(vec![edit(text.len()..text.len(), out)]);
    }
    let entries = entries_of(text);
    let is_block = |entry: &Entry| match &entry.kind {
        Kind::Section { name, .. } => text[name.clone()] == *BLOCK,
        Kind::Key { .. } => false,
    };
    let header = entries
        .iter()
        .position(is_block)
        .expect("a tree with a block has its section");
    let old: Vec<OldLine> = entries[header + 1..]
        .iter()
        .map_while(|entry| {
            let Kind::Key { site, .. } = &entry.kind else {
                return None;
            };
            let (key, value) = block_line(text, entry);
            Some(OldLine {
                flat: Flat { key, value },
                whole: entry.start..entry.end,
                value: site.clone(),
            })
        })
        .collect();
    if old.is_empty() {
        let mut out = SecretWriter::default();
        for line in new {
            spell_line(line, &mut out);
            out.push(newline);
        }
        let end = entries[header].end;
        return Ok(vec![edit(end..end, out)]);
    }
    let spell = |line: &Flat, out: &mut SecretWriter| spell_value(line, out).expect("tried before");
    Ok(rewrite(text, &old, new, newline, &spell_line, &spell))
}

/// A line break in a value of the block is two characters.
fn spell_value(line: &Flat, out: &mut SecretWriter) -> Result<(), &'static str> {
    let mut escaped = Vec::with_capacity(line.value.len());
    for byte in &line.value {
        match byte {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            byte => escaped.push(*byte),
        }
    }
    spell::value(Scalar::Str(&escaped), b"\n", out)
}

/// The edits that set a value; none when it is there already.
pub(super) fn set(tree: &Tree, path: &[Step], value: &Data) -> Result<Vec<Edit>, EmitError> {
    let (section, key) = match path {
        [Step::Key(section)] => (section, None),
        [Step::Key(section), Step::Key(key)] => (section, Some(key)),
        _ => return Err(EmitError::new("", "a path in INI is a section and a key")),
    };
    if section.as_bytes() == BLOCK {
        return Err(EmitError::new(
            section,
            "the section is reserved for the sops block",
        ));
    }
    let found = tree
        .children(0)
        .find(|node| tree.key(*node) == Some(section.as_bytes()));
    match (key, value) {
        (Some(key), value) => match found {
            Some(node) => set_key(tree, node, key.as_bytes(), value),
            None => add_section(tree, section, &[(key.as_bytes(), value)]),
        },
        (None, Data::Map(entries)) => {
            let wanted: Vec<(&[u8], &Data)> = entries
                .iter()
                .filter(|(_, value)| !matches!(value, Data::Comment { .. }))
                .map(|(key, value)| (key.expose(), value))
                .collect();
            match found {
                Some(node) => set_section(tree, node, &wanted),
                None => add_section(tree, section, &wanted),
            }
        }
        (None, _) => Err(EmitError::new(section, "a section of INI is a map")),
    }
}

fn set_section(
    tree: &Tree,
    section: NodeId,
    wanted: &[(&[u8], &Data)],
) -> Result<Vec<Edit>, EmitError> {
    let mut edits = Vec::new();
    for node in tree.children(section) {
        let is_key = |key: &[u8]| wanted.iter().any(|(name, _)| *name == key);
        if tree.key(node).is_some_and(|key| !is_key(key)) {
            edits.extend(remove(tree, node));
        }
    }
    for (key, value) in wanted {
        edits.extend(set_key(tree, section, key, value)?);
    }
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    Ok(edits)
}

fn set_key(tree: &Tree, section: NodeId, key: &[u8], value: &Data) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let wrong = |reason: &str| EmitError::new(String::from_utf8_lossy(key), reason);
    let scalar = scalar_of(value).map_err(wrong)?;
    let Some(node) = tree
        .children(section)
        .find(|node| tree.key(*node) == Some(key))
    else {
        return add_key(tree, section, key, value);
    };
    if Data::of(tree, node) == *value {
        return Ok(Vec::new());
    }
    // Of a key that is there twice, the last value counts.
    let (start, site) = entries_with(tree, section, key)
        .last()
        .and_then(|entry| match &entry.kind {
            Kind::Key { site, .. } => Some((entry.start, site.clone())),
            Kind::Section { .. } => None,
        })
        .expect("a key has its entry");
    let mut out = SecretWriter::default();
    if spell::value(scalar, &text[site.end..], &mut out).is_ok() {
        return Ok(vec![edit(site, out)]);
    }
    // Quotes of some kinds hide the comment beside a value: it moves to a line above.
    let line = memchr::memchr(b'\n', &text[site.end..]).map_or(text.len(), |at| site.end + at);
    let line = site.end + super::scan::trim_end(&text[site.end..line]);
    let Some(comment) = memchr::memchr2(b'#', b';', &text[site.end..line]) else {
        return Err(wrong("INI cannot hold this text"));
    };
    spell::value(scalar, &text[line..], &mut out).map_err(wrong)?;
    let mut above = SecretWriter::default();
    above.push(&text[site.end + comment..line]);
    above.push(newline_of(text));
    Ok(vec![edit(start..start, above), edit(site.start..line, out)])
}

fn add_key(tree: &Tree, section: NodeId, key: &[u8], value: &Data) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let entries = entries_of(text);
    let last = tree
        .children(section)
        .filter(|node| tree.key(*node).is_some())
        .last();
    let (at, gap) = match last {
        Some(node) => {
            let start = tree.nodes[node].place as usize;
            let entry = entries.iter().find(|entry| entry.start == start);
            let entry = entry.expect("a key has its entry");
            let Kind::Key { name_end, site, .. } = &entry.kind else {
                unreachable!("the place of a key is that of a key");
            };
            (entry.end, &text[*name_end..site.start])
        }
        None => {
            let place = tree.nodes[section].place as usize;
            let header = |entry: &&Entry| {
                entry.start == place && matches!(entry.kind, Kind::Section { .. }) && section > 1
            };
            let mark = if text.starts_with(b"\xEF\xBB\xBF") {
                3
            } else {
                0
            };
            let end = entries.iter().find(header).map_or(mark, |entry| entry.end);
            (end, &b" = "[..])
        }
    };
    let gap = if gap.iter().all(|byte| b" \t=:".contains(byte)) {
        gap
    } else {
        b" = "
    };
    let mut out = SecretWriter::default();
    let newline = newline_of(text);
    let ends_open = at > 0 && !text[..at].ends_with(b"\n") && at == text.len();
    if ends_open {
        out.push(newline);
    }
    write_line(key, gap, value, &mut out)?;
    if !ends_open {
        out.push(newline);
    }
    Ok(vec![edit(at..at, out)])
}

fn add_section(
    tree: &Tree,
    section: &str,
    entries: &[(&[u8], &Data)],
) -> Result<Vec<Edit>, EmitError> {
    if section.is_empty() || section.contains('\n') {
        return Err(EmitError::new(
            section,
            "INI cannot hold a section of this name",
        ));
    }
    let text = tree.text.expose();
    let newline = newline_of(text);
    let cut = tree.blocks.last().map(|block| block.cut.range());
    let at = cut
        .filter(|cut| cut.end == text.len())
        .map_or(text.len(), |cut| cut.start);
    let is_empty = at == 0 || (at == 3 && text.starts_with(b"\xEF\xBB\xBF"));
    let ends_open = !is_empty && !text[..at].ends_with(b"\n");
    let mut out = SecretWriter::default();
    if ends_open {
        out.push(newline);
    }
    if !is_empty {
        out.push(newline);
    }
    out.push_byte(b'[');
    out.push(section.as_bytes());
    out.push_byte(b']');
    for (key, value) in entries {
        out.push(newline);
        write_line(key, b" = ", value, &mut out)?;
    }
    if !ends_open {
        out.push(newline);
    }
    Ok(vec![edit(at..at, out)])
}

pub(super) fn write_line(
    key: &[u8],
    gap: &[u8],
    value: &Data,
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    let wrong = |reason: &str| EmitError::new(String::from_utf8_lossy(key), reason);
    spell::name(key, out).map_err(wrong)?;
    out.push(gap);
    let scalar = scalar_of(value).map_err(wrong)?;
    spell::value(scalar, b"\n\n", out).map_err(wrong)
}

fn scalar_of(value: &Data) -> Result<Scalar<'_>, &'static str> {
    match value.as_scalar() {
        Some(Scalar::Comment(_)) => Err("a comment is no value"),
        Some(scalar) => Ok(scalar),
        None => Err("INI cannot hold lists, or maps in a section"),
    }
}

/// The edit that removes a key with its lines, a section with all of its own, or a comment.
pub(super) fn remove(tree: &Tree, node: NodeId) -> Vec<Edit> {
    let text = tree.text.expose();
    let removed = match tree.nodes[node].value {
        Value::Map => {
            let start = region_start(tree, node);
            let next = tree.children(0).find(|other| *other > node);
            let end = next.map(|next| region_start(tree, next));
            let block = tree.blocks.first().map(|block| block.cut.start as usize);
            let after = [end, block].into_iter().flatten().filter(|at| *at >= start);
            start..after.min().unwrap_or(text.len())
        }
        Value::Comment { inline: true, .. } => {
            let mark = tree.nodes[node].place as usize;
            let blanks = text[..mark].iter().rev();
            let blanks = blanks.take_while(|byte| matches!(byte, b' ' | b'\t'));
            mark - blanks.count()..tree.nodes[node].site.end as usize
        }
        Value::Comment { .. } => {
            let start = line_start(text, tree.nodes[node].place as usize);
            lines(text, start, tree.nodes[node].site.end as usize)
        }
        _ => {
            let section = (0..node)
                .rev()
                .find(|outer| tree.nodes[*outer].end as usize > node);
            let key = tree.key(node).unwrap_or_default();
            let entries = entries_with(tree, section.unwrap_or(1), key);
            return entries
                .iter()
                .map(|entry| edit(lines(text, entry.start, entry.end), SecretWriter::default()))
                .collect();
        }
    };
    vec![edit(removed, SecretWriter::default())]
}

/// Where the comment above a section, or its header, starts.
fn region_start(tree: &Tree, section: NodeId) -> usize {
    let text = tree.text.expose();
    if section == 1 {
        return if text.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        };
    }
    let header = tree.nodes[section].place as usize;
    let comment = tree
        .children(section)
        .map(|node| tree.nodes[node].place as usize)
        .find(|place| *place < header);
    line_start(text, comment.unwrap_or(header))
}

/// Whole lines; at the end of a file without a final line break, the break before them instead.
fn lines(text: &[u8], start: usize, end: usize) -> Range<usize> {
    if text[..end].ends_with(b"\n") && end > start {
        return start..end;
    }
    match memchr::memchr(b'\n', &text[end..]) {
        Some(at) => start..end + at + 1,
        None => start - break_at_end(&text[..start])..text.len(),
    }
}

fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1)
}

/// The lines of a section that have this key, more than one when it is there twice.
fn entries_with(tree: &Tree, section: NodeId, key: &[u8]) -> Vec<Entry> {
    let text = tree.text.expose();
    let wanted = tree.children(0).position(|node| node == section);
    let mut current = Some(0);
    let mut count = 0;
    let mut found = entries_of(text);
    found.retain(|entry| match &entry.kind {
        Kind::Section { name, .. } => {
            current = (text[name.clone()] != *BLOCK).then(|| {
                count += 1;
                count
            });
            false
        }
        Kind::Key { name, .. } => {
            current == wanted
                && match name {
                    Name::Text(range) => text[range.clone()] == *key,
                    Name::Counted(number) => format!("#{number}").as_bytes() == key,
                }
        }
    });
    found
}

fn entries_of(text: &[u8]) -> Vec<Entry> {
    match scan(text) {
        Ok(scan) => scan.entries,
        Err(_) => Vec::new(), // the text of a tree was read before
    }
}

fn edit(range: Range<usize>, text: SecretWriter) -> Edit {
    Edit {
        span: Span::new(range),
        text: text.finish(),
    }
}

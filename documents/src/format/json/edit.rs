//! Changes a JSON text in place: the `sops` block, one value, one member. New text takes over the style of its
//! neighbours.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::format::{Layout, Reached, Step, follow};
use crate::splice::Edit;
use crate::tree::{NodeId, Span, Tree};

use super::parse::{BLOCK, parse_scalar};
use super::write::{self, Escapes, Style};

/// The edits that write the `sops` block.
pub(super) fn write_block(
    tree: &Tree,
    block: &Data,
    layout: Layout,
) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let root = Container::at(text, root_of(tree));
    match root.members.iter().find(|member| member.is(text, BLOCK)) {
        Some(member) => rewrite_block(tree, &root, member, block, layout),
        None => insert_block(text, &root, block, layout),
    }
}

fn insert_block(
    text: &[u8],
    root: &Container,
    block: &Data,
    layout: Layout,
) -> Result<Vec<Edit>, EmitError> {
    let style = Style {
        escapes: Escapes::Reference,
        ..file_style(text, root, layout)?
    };
    let indent = style.indent.clone();
    let mut out = SecretWriter::default();
    let at = match root.members.last() {
        Some(last) => {
            out.push_byte(b',');
            last.value.end
        }
        None => root.open + 1,
    };
    style.start_line(b"", 1, &mut out);
    out.push(b"\"sops\": ");
    write::data(block, &style, &indent, &mut out)?;
    Ok(vec![edit(at..at, out)])
}

fn rewrite_block(
    tree: &Tree,
    root: &Container,
    member: &Member,
    block: &Data,
    layout: Layout,
) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let mut style = Style {
        escapes: Escapes::Reference,
        ..file_style(text, root, layout)?
    };
    let base = line_indent(text, member.start);
    let replace_all = |style: &Style| {
        let mut out = SecretWriter::default();
        write::data(block, style, &base, &mut out)?;
        Ok(vec![edit(member.value.clone(), out)])
    };
    let (Some(old_block), Data::Map(new)) = (tree.blocks.first(), block) else {
        return replace_all(&style);
    };
    let (Data::Map(old), b'{') = (&old_block.data, text[member.value.start]) else {
        return replace_all(&style);
    };
    let container = Container::at(text, member.value.start);
    let Some(first) = container.members.first() else {
        return replace_all(&style);
    };
    let separator = container.separator(text);
    if !separator.contains(&b'\n') {
        style.newline = b"";
        style.comma = if separator.is_empty() { b"," } else { b", " };
    }
    style.colon = first.colon(text);
    // Of equal names the first counts.
    let values: HashMap<&[u8], &Data> = new
        .iter()
        .rev()
        .map(|(name, value)| (name.expose(), value))
        .collect();
    let new_value = |name: &SecretBytes| values.get(name.expose()).copied();
    let stays: Vec<bool> = old
        .iter()
        .map(|(name, value)| new_value(name).is_some() || is_empty(value))
        .collect();
    let names: HashSet<&[u8]> = old.iter().map(|(name, _)| name.expose()).collect();
    let has_twins = names.len() < old.len();
    let (Some(first_kept), false) = (stays.iter().position(|stays| *stays), has_twins) else {
        return replace_all(&style);
    };

    let field_indent = line_indent(text, first.start);
    let added: Vec<_> = new
        .iter()
        .filter(|(name, _)| !names.contains(name.expose()))
        .map(|(name, value)| {
            // A new field stands behind the last kept one that sorts before it, or before all.
            let sorts_before = |at: &usize| stays[*at] && old[*at].0.expose() < name.expose();
            ((0..old.len()).rfind(sorts_before), name, value)
        })
        .collect();
    let write_added = |after: Option<usize>, edits: &mut Vec<Edit>| -> Result<(), EmitError> {
        let mut out = SecretWriter::default();
        for (_, name, value) in added.iter().filter(|(place, ..)| *place == after) {
            if after.is_some() {
                out.push_byte(b',');
                out.push(&separator);
            }
            write_key(name.expose(), &style, &mut out)?;
            write::data(value, &style, &field_indent, &mut out)?;
            if after.is_none() {
                out.push_byte(b',');
                out.push(&separator);
            }
        }
        if !out.is_empty() {
            let at = match after {
                Some(at) => container.members[at].value.end,
                None => container.members[first_kept].start,
            };
            edits.push(edit(at..at, out));
        }
        Ok(())
    };

    let mut edits = Vec::new();
    for (at, (name, value)) in old.iter().enumerate() {
        let field = &container.members[at];
        if at == first_kept {
            write_added(None, &mut edits)?;
        }
        if !stays[at] {
            let cut = match at.checked_sub(1) {
                Some(before) if at > first_kept => {
                    container.members[before].value.end..field.value.end
                }
                _ => field.start..container.members[at + 1].start,
            };
            edits.push(edit(cut, SecretWriter::default()));
            continue;
        }
        if let Some(new) = new_value(name).filter(|new| *new != value) {
            let mut out = SecretWriter::default();
            write::data(new, &style, &field_indent, &mut out)?;
            edits.push(edit(field.value.clone(), out));
        }
        write_added(Some(at), &mut edits)?;
    }
    Ok(edits)
}

/// Whether a field says nothing: older writers list what is not there (`"kms": []`, `"pgp": null`).
fn is_empty(value: &Data) -> bool {
    match value {
        Data::Null => true,
        Data::Str(text) => text.is_empty(),
        Data::List(elements) => elements.is_empty(),
        Data::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

/// The edits that set a value; none when it is there already.
pub(super) fn set(
    tree: &Tree,
    path: &[Step],
    value: &Data,
    layout: Layout,
) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let root = Container::at(text, root_of(tree));
    let style = file_style(text, &root, layout)?;
    match follow(tree, path)? {
        Reached::Place(node) if Data::of(tree, node) == *value => Ok(Vec::new()),
        Reached::Place(node) => replace(tree, node, &[], value, &style),
        Reached::Scalar(node, rest) => replace(tree, node, rest, value, &style),
        Reached::Collection(node, rest) => insert(tree, node, rest, value, style),
    }
}

fn replace(
    tree: &Tree,
    node: NodeId,
    path: &[Step],
    value: &Data,
    style: &Style,
) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let site = tree.nodes[node].site.range();
    let start = tree.nodes[node].place as usize;
    let base = line_indent(text, start);
    let mut style = style.clone();
    if !tree.spelling(node).contains(&b'\n') && !starts_line(text, start) {
        style = one_line(style, text);
    }
    let mut out = SecretWriter::default();
    nested(path, value, &style, &base, &mut out)?;
    Ok(vec![edit(site, out)])
}

fn insert(
    tree: &Tree,
    parent: NodeId,
    path: &[Step],
    value: &Data,
    mut style: Style,
) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let container = Container::at(text, tree.nodes[parent].site.start as usize);
    let is_root = tree.documents.contains(&(parent as u32));
    let mut out = SecretWriter::default();
    let member = |style: &Style, base: &[u8], out: &mut SecretWriter| {
        if let Step::Key(key) = &path[0] {
            write_key(key.as_bytes(), style, out)?;
        }
        nested(&path[1..], value, style, base, out)
    };
    let Some(first) = container.members.first() else {
        if !text.contains(&b'\n') {
            style = one_line(style, text);
        }
        let base = line_indent(text, container.open);
        let inner = [&base[..], &style.indent].concat();
        style.start_line(&base, 1, &mut out);
        member(&style, &inner, &mut out)?;
        style.start_line(&base, 0, &mut out);
        return Ok(vec![edit(container.open + 1..container.close, out)]);
    };
    let separator = container.separator(text);
    if !separator.contains(&b'\n') {
        style = one_line(style, text);
        style.comma = if separator.is_empty() { b"," } else { b", " };
    }
    if matches!(path[0], Step::Key(_)) {
        style.colon = first.colon(text);
    }
    let base = line_indent(text, first.start);
    let is_block = |member: &Member| is_root && member.is(text, BLOCK);
    match container.members.iter().rev().find(|m| !is_block(m)) {
        Some(last) => {
            out.push_byte(b',');
            out.push(&separator);
            member(&style, &base, &mut out)?;
            Ok(vec![edit(last.value.end..last.value.end, out)])
        }
        None => {
            member(&style, &base, &mut out)?;
            out.push_byte(b',');
            out.push(&separator);
            Ok(vec![edit(first.start..first.start, out)])
        }
    }
}

/// Writes a value inside the new collections that lead to it.
fn nested(
    path: &[Step],
    value: &Data,
    style: &Style,
    base: &[u8],
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    for (depth, step) in path.iter().enumerate() {
        out.push_byte(if matches!(step, Step::Key(_)) {
            b'{'
        } else {
            b'['
        });
        style.start_line(base, depth + 1, out);
        if let Step::Key(key) = step {
            write_key(key.as_bytes(), style, out)?;
        }
    }
    let mut inner = base.to_vec();
    for _ in path {
        inner.extend_from_slice(&style.indent);
    }
    write::data(value, style, &inner, out)?;
    for (depth, step) in path.iter().enumerate().rev() {
        style.start_line(base, depth, out);
        out.push_byte(if matches!(step, Step::Key(_)) {
            b'}'
        } else {
            b']'
        });
    }
    Ok(())
}

fn write_key(key: &[u8], style: &Style, out: &mut SecretWriter) -> Result<(), EmitError> {
    write::string(key, style.escapes, out).map_err(|reason| EmitError::new("", reason))?;
    out.push(&style.colon);
    Ok(())
}

/// The edit that removes a member or an element with its comma.
pub(super) fn remove(tree: &Tree, node: NodeId) -> Vec<Edit> {
    let text = tree.text.expose();
    let Some(parent) = (0..node)
        .rev()
        .find(|before| tree.nodes[*before].end as usize > node)
    else {
        return Vec::new();
    };
    let container = Container::at(text, tree.nodes[parent].site.start as usize);
    let start = tree.nodes[node].site.start as usize;
    let Some(at) = container
        .members
        .iter()
        .position(|member| member.value.start == start)
    else {
        return Vec::new();
    };
    let members = &container.members;
    let cut = match (at.checked_sub(1), members.get(at + 1)) {
        (Some(before), _) => members[before].value.end..members[at].value.end,
        (None, Some(after)) => members[at].start..after.start,
        (None, None) => container.open + 1..container.close,
    };
    vec![edit(cut, SecretWriter::default())]
}

/// The edit that removes a list element which decrypts to a comment.
///
/// Several may follow each other, and each is asked for alone, in order: those at the head of a list take the comma after
/// them, others the one before them, so that the cuts never overlap. `done` is where the cut before this one ended.
pub(super) fn drop_list_comment(tree: &Tree, at: NodeId, done: u32) -> Edit {
    let text = tree.text.expose();
    let site = tree.nodes[at].site.range();
    let is_first = at
        .checked_sub(1)
        .is_some_and(|before| tree.nodes[before].end as usize > at);
    // Where all before it went, the last of them took the comma up to here.
    let at_head = is_first || done as usize == site.start;
    let after = skip_space(text, site.end);
    let cut = if !at_head {
        let comma = trim_space(text, site.start) - 1;
        trim_space(text, comma)..site.end
    } else if text.get(after) == Some(&b',') {
        site.start..skip_space(text, after + 1)
    } else {
        site
    };
    edit(cut, SecretWriter::default())
}

/// A collection as it stands in the text, the `sops` block included.
struct Container {
    open: usize,
    close: usize,
    members: Vec<Member>,
}

/// A member of an object, or an element of a list, which starts with its value.
struct Member {
    start: usize,
    key_end: usize,
    value: Range<usize>,
}

impl Container {
    /// Reads the collection that opens at `open` in a text that was parsed before.
    fn at(text: &[u8], open: usize) -> Self {
        let mut members = Vec::new();
        let is_map = text[open] == b'{';
        let mut at = skip_space(text, open + 1);
        while !matches!(text[at], b'}' | b']') {
            let start = at;
            let mut key_end = start;
            if is_map {
                key_end = skip_value(text, start);
                at = skip_space(text, skip_space(text, key_end) + 1);
            }
            let end = skip_value(text, at);
            members.push(Member {
                start,
                key_end,
                value: at..end,
            });
            at = skip_space(text, end);
            if text[at] == b',' {
                at = skip_space(text, at + 1);
            }
        }
        Self {
            open,
            close: at,
            members,
        }
    }

    /// What stands between a comma and the next member.
    fn separator(&self, text: &[u8]) -> Vec<u8> {
        let Some(member) = self.members.get(1).or(self.members.first()) else {
            return Vec::new();
        };
        text[trim_space(text, member.start)..member.start].to_vec()
    }
}

impl Member {
    fn is(&self, text: &[u8], name: &[u8]) -> bool {
        match parse_scalar(&text[self.start..self.key_end]) {
            Some(Data::Str(key)) => key.expose() == name,
            _ => false,
        }
    }

    fn colon(&self, text: &[u8]) -> Vec<u8> {
        text[self.key_end..self.value.start].to_vec()
    }
}

/// The end of the value that starts at `at`.
fn skip_value(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    loop {
        match text[at] {
            b'"' => {
                at += 1;
                while text[at] != b'"' {
                    at += memchr::memchr2(b'"', b'\\', &text[at..]).expect("strings end");
                    if text[at] == b'\\' {
                        at += 2;
                    }
                }
                at += 1;
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            _ => {
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
                at += text[at..].iter().position(ends).unwrap_or(text.len() - at);
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).copied().is_some_and(is_space) {
        at += 1;
    }
    at
}

/// Where the white space before `at` begins.
fn trim_space(text: &[u8], mut at: usize) -> usize {
    while at > 0 && is_space(text[at - 1]) {
        at -= 1;
    }
    at
}

fn root_of(tree: &Tree) -> usize {
    tree.nodes[tree.documents[0] as usize].site.start as usize
}

/// The style of a file: its own indentation and line ends, or else those of the layout, or a tab.
fn file_style(text: &[u8], root: &Container, layout: Layout) -> Result<Style, EmitError> {
    let mut style = Style::of_reference(layout)?;
    style.escapes = Escapes::Few;
    if text.windows(2).any(|pair| pair == b"\r\n") {
        style.newline = b"\r\n";
    }
    if let Some(first) = root.members.first()
        && starts_line(text, first.start)
    {
        style.indent = line_indent(text, first.start);
    }
    Ok(style)
}

/// The same for a value that stands on one line among others.
fn one_line(mut style: Style, text: &[u8]) -> Style {
    style.newline = b"";
    let spaced = memchr::memmem::find(text, b"\": ").is_some();
    style.comma = if spaced { b", " } else { b"," };
    if !spaced {
        style.colon = b":".to_vec();
    }
    style
}

/// The white space at the start of the line of `at`.
fn line_indent(text: &[u8], at: usize) -> Vec<u8> {
    let line = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
    text[line..at]
        .iter()
        .copied()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .collect()
}

fn starts_line(text: &[u8], at: usize) -> bool {
    text[trim_space(text, at)..at].contains(&b'\n')
}

fn edit(range: Range<usize>, text: SecretWriter) -> Edit {
    Edit {
        span: Span::new(range),
        text: text.finish(),
    }
}

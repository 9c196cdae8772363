//! Makes a plain file ready to be encrypted in place, and keeps what it looked like.

mod alias;
mod before_block;
mod last_line;
mod rewrite;

use std::cell::OnceCell;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::ParseError;
use crate::format::{Prepared, indentation};
use crate::scalar::Scalar;
use crate::splice::{Edit, apply};
use crate::tree::{Key, Node, NodeId, Span, Tree, Value};
use crate::visits::Visits;

use super::characters::{at_line_start, break_len, ends_in_wide_break};
use super::compose::{self, Composition};
use super::emit;
use super::place::Place;
use super::spell;
use super::token::Style;

pub(super) use alias::alias_has_comments;
pub(super) use rewrite::is_too_deep;

use alias::{as_block, comment_above, has_comments_in_flow, starts_of_value};
use before_block::ready_for_a_block;
use last_line::end_last_line;
use rewrite::{Above, rewrite, too_deep};

/// Prepares a tree; most come back as they are.
pub(super) fn prepare(tree: Tree) -> Result<Prepared, ParseError> {
    make_ready(tree).map(ready_for_a_block)
}

/// Prepares a tree by rewriting all documents, with comments in the order in which upstream lists them.
pub(super) fn prepare_listed(tree: Tree) -> Result<Prepared, ParseError> {
    if is_too_deep(&tree) {
        return Err(too_deep(&tree));
    }
    let (mut edits, mut written) = (Vec::new(), Written::default());
    let visits = Visits::of(&tree);
    for (index, root) in tree.documents.iter().enumerate() {
        let root = *root as usize;
        edits.push(rewrite(&tree, &visits, root, index == 0, Above::IsListed)?);
        written.count(&tree, &edits)?;
    }
    let prepared = read_again(&tree, &edits)?;
    Ok(ready_for_a_block(Prepared {
        tree: prepared,
        former: Vec::new(),
        former_text: Some(tree.text),
    }))
}

/// Reads what edits make of a tree; it must hold the same values.
fn read_again(tree: &Tree, edits: &[Edit]) -> Result<Tree, ParseError> {
    let in_order = edits.is_sorted_by(|one, next| one.span.end <= next.span.start);
    let read = in_order.then(|| compose::compose(apply(tree.text.expose(), edits)));
    match read {
        Some(Ok(Composition { tree: read, .. })) if is_same(tree, &read) => Ok(read),
        _ => Err(ParseError::layout(tree.text.expose())),
    }
}

fn make_ready(tree: Tree) -> Result<Prepared, ParseError> {
    let needs = Needs::of(&tree);
    if !needs.any() {
        return Ok(Prepared {
            tree,
            former: Vec::new(),
            former_text: None,
        });
    }
    if (needs.rewrite || needs.aliases) && is_too_deep(&tree) {
        return Err(too_deep(&tree));
    }
    // What only the format knows is found again.
    let Composition {
        tree,
        starts,
        has_alias_keys,
    } = compose::compose(tree.text)?;
    let mut edits = Vec::new();
    let mut written = Written::default();
    // Of the whole tree, for documents and aliases that are written again: there may be many of them.
    let visits = OnceCell::new();
    let mut former = Vec::new();
    for (index, root) in tree.documents.iter().enumerate() {
        let root = *root as usize;
        if Place::of(tree.nodes[root].place).needs_rewrite() || has_comments_in_flow(&tree, root) {
            let visits = visits.get_or_init(|| Visits::of(&tree));
            edits.push(rewrite(&tree, visits, root, index == 0, Above::Stays)?);
            written.count(&tree, &edits)?;
            continue;
        }
        let end = tree.nodes[root].site.end;
        if ends_wide(&tree, root as u32) && (end as usize) < tree.text.len() {
            edits.push(Edit {
                span: Span { start: end, end },
                text: SecretBytes::copy_of(b"\n"),
            });
        }
        for node in root + 1..tree.nodes[root].end as usize {
            replace(&tree, &starts, &visits, node, &mut edits, &mut former)?;
            written.count(&tree, &edits)?;
        }
    }
    if needs.final_break {
        end_last_line(&tree, &mut edits);
    }
    let has_written_comments = (0..tree.nodes.len()).any(|node| {
        alias_has_comments(&tree, node) || comment_above(&tree, &starts, node).is_some()
    });
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let prepared = read_again(&tree, &edits)?;
    let keeps_text = needs.rewrite
        || needs.final_break
        || needs.comment_in_header
        || needs.glued
        || needs.blank_lines
        || needs.wide_end
        || has_written_comments
        // Comments inside of what an alias stands for are gone, and the nodes have other numbers.
        || prepared.nodes.len() != tree.nodes.len()
        || has_alias_keys;
    Ok(Prepared {
        former: if keeps_text { Vec::new() } else { former },
        former_text: keeps_text.then_some(tree.text),
        tree: prepared,
    })
}

/// Gives the first document braces when it holds no value and nothing else tells that it is there: with the block gone, the
/// next one would be taken for it.
pub(super) fn with_first_document(tree: &Tree) -> Option<Tree> {
    let root = *tree.documents.first()? as usize;
    let is_value = |child: NodeId| !matches!(tree.nodes[child].value, Value::Comment { .. });
    if tree.children(root).any(is_value) {
        return None;
    }
    let text = tree.text.expose();
    let read = compose::compose(SecretBytes::copy_of(text));
    if read.is_ok_and(|read| read.tree.documents.len() == tree.documents.len()) {
        return None;
    }
    let end = tree.nodes[root].site.end as usize;
    let mut braces = SecretWriter::default();
    if !at_line_start(&text[..end]) {
        braces.push(super::block::line_break(tree));
    }
    braces.push(b"{}");
    braces.push(super::block::line_break(tree));
    let edit = Edit {
        span: Span::new(end..end),
        text: braces.finish(),
    };
    let read = compose::compose(apply(text, &[edit])).ok()?;
    Some(read.tree)
}

/// An encrypted file with aliases, or with comments inside of block scalars, was edited by hand: it is read as if they
/// had been written out.
pub(super) fn expand_encrypted(tree: Tree) -> Result<Tree, ParseError> {
    let needs = Needs::of(&tree);
    if tree.blocks.is_empty() || !(needs.aliases || needs.comment_in_header) {
        return Ok(tree);
    }
    prepare(tree).map(|prepared| prepared.tree)
}

/// How much is written in the place of what was there. Documents and aliases are bounded each, and there may be many.
#[derive(Default)]
struct Written {
    edits: usize,
    bytes: usize,
}

impl Written {
    /// Counts the edits that were added last.
    fn count(&mut self, tree: &Tree, edits: &[Edit]) -> Result<(), ParseError> {
        let added = edits[self.edits..].iter();
        self.bytes += added.map(|edit| edit.text.len()).sum::<usize>();
        self.edits = edits.len();
        let text = tree.text.expose();
        match indentation::is_excessive(self.bytes, text.len(), 2 * indentation::IN_A_DOCUMENT) {
            false => Ok(()),
            true => Err(ParseError::at(text, 0, indentation::EXCESSIVE)),
        }
    }
}

/// What stands in the way of encrypting in place.
#[derive(Default)]
struct Needs {
    rewrite: bool,
    aliases: bool,
    comment_in_header: bool,
    /// A value begins right behind the name of its anchor, which ends at a colon.
    glued: bool,
    /// A text keeps the blank lines before a comment.
    blank_lines: bool,
    /// A document ends in a line break that is not ASCII.
    wide_end: bool,
    final_break: bool,
}

impl Needs {
    fn of(tree: &Tree) -> Self {
        let mut needs = Needs {
            final_break: !at_line_start(tree.text.expose()),
            ..Needs::default()
        };
        needs.wide_end = tree.documents.iter().any(|root| ends_wide(tree, *root));
        for node in &tree.nodes {
            if matches!(node.value, Value::Comment { .. }) {
                continue;
            }
            let place = Place::of(node.place);
            needs.rewrite |= place.needs_rewrite();
            needs.aliases |= place.is_alias() || place.has_alias_key();
            needs.comment_in_header |= place.holds_comment();
            needs.glued |= is_glued(tree, node);
            needs.blank_lines |= blank_lines_before_a_comment(tree, node).is_some();
        }
        needs
    }

    fn any(&self) -> bool {
        self.rewrite
            || self.aliases
            || self.comment_in_header
            || self.glued
            || self.blank_lines
            || self.wide_end
            || self.final_break
    }
}

/// Whether a document ends in a line break that is not ASCII, behind which no block can be written without a trace.
fn ends_wide(tree: &Tree, root: u32) -> bool {
    let end = tree.nodes[root as usize].site.end as usize;
    ends_in_wide_break(&tree.text.expose()[..end])
}

/// Whether a value begins right behind the name of its anchor: `&an:chor` is `:chor` with an anchor.
fn is_glued(tree: &Tree, node: &Node) -> bool {
    let is_leaf = !matches!(node.value, Value::Map | Value::List);
    let before = &tree.text.expose()[..node.site.start as usize];
    is_leaf
        && !node.site.is_empty()
        && !Place::of(node.place).is_copy()
        && before
            .last()
            .is_some_and(|byte| super::characters::is_word(*byte))
}

/// The blank lines at the end of a block scalar that keeps them, where a comment follows. On one line the scalar would lose
/// them, and upstream would take the comment for one about the entry before it.
fn blank_lines_before_a_comment<'a>(tree: &'a Tree, node: &Node) -> Option<&'a [u8]> {
    let place = Place::of(node.place);
    let is_block = matches!(place.style(), Style::Literal | Style::Folded);
    if !is_block || place.is_copy() {
        return None;
    }
    let text = tree.text.expose();
    let site = &text[node.site.range()];
    let content = site.trim_ascii_end();
    let line = content.len()
        + site[content.len()..]
            .iter()
            .position(|byte| *byte == b'\n')?;
    let rest = text[node.site.end as usize..].trim_ascii_start();
    rest.starts_with(b"#").then(|| &site[line..])
}

/// Replaces what cannot stay at one node.
fn replace(
    tree: &Tree,
    starts: &[u32],
    visits: &OnceCell<Visits>,
    at: NodeId,
    edits: &mut Vec<Edit>,
    former: &mut Vec<(NodeId, SecretBytes)>,
) -> Result<(), ParseError> {
    let node = tree.nodes[at];
    let place = Place::of(node.place);
    let text = tree.text.expose();
    if place.is_copy() {
        return Ok(());
    }
    if place.has_alias_key() {
        let start = starts[at] as usize;
        let name = text[start + 1..]
            .iter()
            .take_while(|byte| super::characters::is_word(**byte));
        let span = Span::new(start..start + 1 + name.count());
        let mut out = SecretWriter::default();
        spell::write_double(tree.key(at).unwrap_or_default(), &mut out);
        if !matches!(node.key, Key::Text(_)) {
            return Err(ParseError::at(
                text,
                start,
                "keys that are no text are not supported",
            ));
        }
        edits.push(Edit {
            span,
            text: out.finish(),
        });
    }
    if is_glued(tree, &node) {
        let start = node.site.start;
        edits.push(Edit {
            span: Span { start, end: start },
            text: SecretBytes::copy_of(b" "),
        });
    }
    if alias_has_comments(tree, at) {
        let visits = visits.get_or_init(|| Visits::of(tree));
        return as_block(tree, starts, visits, at, edits);
    }
    edits.extend(comment_above(tree, starts, at).into_iter().flatten());
    if place.is_alias() {
        let mut out = SecretWriter::default();
        let refuse = |reason: String| ParseError::at(text, node.site.start as usize, reason);
        if matches!(node.value, Value::Unsupported(_)) {
            return Err(refuse("unsigned numbers are not supported".into()));
        }
        emit::flow(&Data::of(tree, at), &mut out).map_err(|error| refuse(error.reason))?;
        edits.push(Edit {
            span: node.site,
            text: out.finish(),
        });
        former.push((at, SecretBytes::copy_of(tree.spelling(at))));
    }
    if place.needs_rewrite() && !matches!(node.value, Value::Map | Value::List) {
        let deeper =
            SecretBytes::from(vec![b' '; usize::try_from(place.indent() + 1).unwrap_or(0)]);
        let start = starts_of_value(tree, at);
        edits.push(Edit {
            span: Span { start, end: start },
            text: deeper,
        });
    }
    let blank_lines = blank_lines_before_a_comment(tree, &node);
    if let (Some(blank_lines), Some(Scalar::Str(content))) = (blank_lines, tree.scalar(at))
        && !place.holds_comment()
        && std::str::from_utf8(content).is_ok()
    {
        let mut out = SecretWriter::default();
        spell::write_double(content, &mut out);
        out.push(blank_lines);
        edits.push(Edit {
            span: node.site,
            text: out.finish(),
        });
    }
    if place.holds_comment() {
        // In double quotes, and the comment behind them.
        let mut out = SecretWriter::default();
        match tree.scalar(at) {
            Some(Scalar::Str(content)) if std::str::from_utf8(content).is_ok() => {
                spell::write_double(content, &mut out);
            }
            _ => return Ok(()),
        }
        let site = tree.spelling(at);
        let line_end = (0..site.len()).find(|at| break_len(&site[*at..]) > 0);
        let header = &site[..line_end.unwrap_or(site.len())];
        // Neither a tag nor the mark has a `#`, but for a tag's own escapes there is a blank before it.
        let comment = (1..header.len()).find(|at| {
            header[*at] == b'#'
                && matches!(
                    header[at - 1],
                    b' ' | b'\t' | b'|' | b'>' | b'+' | b'-' | b'1'..=b'9'
                )
        });
        if let Some(comment) = comment.filter(|_| !place.in_flow()) {
            out.push_byte(b' ');
            out.push(&header[comment..]);
            out.push(blank_lines.unwrap_or_default());
        }
        edits.push(Edit {
            span: node.site,
            text: out.finish(),
        });
    }
    Ok(())
}

/// Whether two trees hold the same, comments aside.
fn is_same(one: &Tree, other: &Tree) -> bool {
    let values = |tree: &Tree| -> Vec<NodeId> {
        let is_value = |at: &NodeId| !matches!(tree.nodes[*at].value, Value::Comment { .. });
        (0..tree.nodes.len()).filter(is_value).collect()
    };
    let (ours, theirs) = (values(one), values(other));
    ours.len() == theirs.len()
        && one.documents.len() == other.documents.len()
        && ours.iter().zip(&theirs).all(|(a, b)| {
            let kinds = |key: Key| matches!(key, Key::None);
            kinds(one.nodes[*a].key) == kinds(other.nodes[*b].key)
                && one.key(*a) == other.key(*b)
                && match (one.scalar(*a), other.scalar(*b)) {
                    (Some(a), Some(b)) => a == b || is_nan(a, b),
                    (None, None) => true,
                    _ => false,
                }
        })
}

fn is_nan(one: Scalar<'_>, other: Scalar<'_>) -> bool {
    matches!((one, other), (Scalar::Float(one), Scalar::Float(other)) if one.is_nan() && other.is_nan())
}

#[cfg(test)]
mod tests;

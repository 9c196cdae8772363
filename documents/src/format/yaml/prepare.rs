//! Makes a plain file ready to be encrypted in place, and keeps what it looked like.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::attachment::Visits;
use crate::data::Data;
use crate::error::ParseError;
use crate::format::{Layout, Prepared};
use crate::scalar::Scalar;
use crate::splice::{Edit, apply};
use crate::tree::{Key, Node, NodeId, Span, Tree, Value};

use super::characters::{at_line_start, break_len, ends_in_wide_break};
use super::compose::{self, Composition};
use super::emit::{self, Emitter};
use super::place::Place;
use super::read;
use super::spell;
use super::token::Style;

/// Prepares a tree; most come back as they are.
pub(super) fn prepare(tree: Tree) -> Result<Prepared, ParseError> {
    make_ready(tree).map(ready_for_a_block)
}

/// Prepares a tree by writing all documents anew, with comments in the order in which upstream lists them.
pub(super) fn prepare_listed(tree: Tree) -> Result<Prepared, ParseError> {
    if is_too_deep(&tree) {
        return Err(too_deep(&tree));
    }
    let roots = tree.documents.iter().enumerate();
    let edits = roots.map(|(index, root)| rewrite(&tree, *root as usize, index == 0));
    let edits = edits.collect::<Result<Vec<_>, _>>()?;
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

fn too_deep(tree: &Tree) -> ParseError {
    let reason = format!("aliases and flow documents may be {MAX_DEPTH} levels deep");
    ParseError::at(tree.text.expose(), 0, reason)
}

fn ready_for_a_block(mut prepared: Prepared) -> Prepared {
    if has_comments_at_the_end(&prepared.tree) {
        let spaced = spaced_from_the_block(&prepared.tree);
        if let Some(spaced) = spaced {
            prepared = prepared.with_tree(spaced);
        }
        prepared.tree = with_comments_before_a_block(prepared.tree);
    }
    prepared
}

/// The tree with a blank line at its end, when that keeps the last comments with the list that they belong to: right before
/// the key of the block they would belong to that key.
fn spaced_from_the_block(tree: &Tree) -> Option<Tree> {
    let text = tree.text.expose();
    if tree.documents.len() != 1 || !at_line_start(text) {
        return None;
    }
    let before_a_block = |tree: &Tree| -> Option<Vec<Option<NodeId>>> {
        let block = Data::Map(vec![(Data::key("mac"), Data::Null)]);
        let edits = super::block::write_block(tree, &block, Layout::default()).ok()?;
        let read = compose::compose(apply(tree.text.expose(), &edits))
            .ok()?
            .tree;
        Some(owners(&read))
    };
    let wanted = owners(tree);
    if before_a_block(tree)? == wanted {
        return None;
    }
    let end = Edit {
        span: Span::new(text.len()..text.len()),
        text: SecretBytes::copy_of(super::block::line_break(tree)),
    };
    let spaced = compose::compose(apply(text, &[end])).ok()?.tree;
    (before_a_block(&spaced)? == wanted).then_some(spaced)
}

/// For each comment, which of the values the collection is that it belongs to.
fn owners(tree: &Tree) -> Vec<Option<NodeId>> {
    let Visits { parents, .. } = Visits::of(tree);
    let is_comment = |node: &NodeId| matches!(tree.nodes[*node].value, Value::Comment { .. });
    let mut values = 0;
    let numbers: Vec<usize> = (0..tree.nodes.len())
        .map(|node| {
            values += usize::from(!is_comment(&node));
            values
        })
        .collect();
    let comments = (0..tree.nodes.len()).filter(is_comment);
    comments
        .map(|comment| numbers.get(parents[comment] as usize).copied())
        .collect()
}

/// Whether a comment comes last in some document.
fn has_comments_at_the_end(tree: &Tree) -> bool {
    tree.documents.iter().any(|root| {
        let end = tree.nodes[*root as usize].end as usize;
        matches!(tree.nodes[end - 1].value, Value::Comment { .. })
    })
}

/// Gives the comments at the end of a document to the collection to which they belong when the `sops` block follows, as
/// it will: readers of the encrypted file bind them to their place there.
fn with_comments_before_a_block(tree: Tree) -> Tree {
    let block = Data::Map(vec![(Data::key("mac"), Data::Null)]);
    let Ok(edits) = super::block::write_block(&tree, &block, Layout::default()) else {
        return tree;
    };
    let text = apply(tree.text.expose(), &edits);
    let Ok(Composition { tree: read, .. }) = compose::compose(text) else {
        return tree;
    };
    if read.nodes.len() != tree.nodes.len() || read.documents != tree.documents {
        return tree;
    }
    let nodes = tree.nodes.iter().zip(&read.nodes);
    let is_same = |(old, new): (&Node, &Node)| old.site.len() == new.site.len();
    let is_leaf = |(old, _): &(&Node, &Node)| !matches!(old.value, Value::Map | Value::List);
    if !nodes.filter(is_leaf).all(is_same) {
        return tree;
    }
    let mut tree = tree;
    for (node, read) in tree.nodes.iter_mut().zip(read.nodes) {
        node.end = read.end;
        if let (Value::Comment { above, .. }, Value::Comment { above: new, .. }) =
            (&mut node.value, read.value)
        {
            *above = new;
        }
    }
    tree.attachments = read.attachments;
    tree
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
    let mut former = Vec::new();
    for (index, root) in tree.documents.iter().enumerate() {
        let root = *root as usize;
        if Place::of(tree.nodes[root].place).needs_rewrite() || has_comments_in_flow(&tree, root) {
            edits.push(rewrite(&tree, root, index == 0)?);
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
            replace(&tree, &starts, node, &mut edits, &mut former)?;
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

/// More levels than this are not written anew: that takes a stack frame for each.
const MAX_DEPTH: usize = 1_000;

/// Whether a tree has more levels than can be written anew.
pub(super) fn is_too_deep(tree: &Tree) -> bool {
    let mut open: Vec<u32> = Vec::new();
    for (at, node) in tree.nodes.iter().enumerate() {
        while open.last().is_some_and(|end| *end as usize <= at) {
            open.pop();
        }
        if matches!(node.value, Value::Map | Value::List) {
            open.push(node.end);
        }
        if open.len() > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// What stands in the way of encrypting in place.
#[derive(Default)]
struct Needs {
    rewrite: bool,
    aliases: bool,
    comment_in_header: bool,
    /// A value begins right behind the name of its anchor, which ends at a colon.
    glued: bool,
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
        }
        needs
    }

    fn any(&self) -> bool {
        self.rewrite
            || self.aliases
            || self.comment_in_header
            || self.glued
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

/// Writes a document anew whose root is no block map at the first column.
fn rewrite(tree: &Tree, root: NodeId, is_first: bool) -> Result<Edit, ParseError> {
    let site = tree.nodes[root].site;
    let text = tree.text.expose();
    let refuse = |reason: &str| ParseError::at(text, site.start as usize, reason);
    let range = root..tree.nodes[root].end as usize;
    let is_lossy = tree.nodes[range].iter().any(|node| {
        matches!(node.key, Key::NotText(_)) || matches!(node.value, Value::Unsupported(_))
    });
    if is_lossy {
        return Err(refuse(
            "keys that are no text, and unsigned numbers, are not supported",
        ));
    }
    let mut emitter = Emitter::exact(read::unit(tree));
    let before = &text[..site.start as usize];
    let line = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let is_blank = before[line..].iter().all(|byte| *byte == b' ');
    if !is_blank && before != b"\xef\xbb\xbf" {
        emitter.out.push_byte(b'\n');
    }
    let start = if is_blank { line } else { site.start as usize };
    if tree.nodes[root].value != Value::Map {
        return Err(refuse("a document must be a map"));
    }
    // Comments around what is written stay in the text.
    let visits = Visits::of(tree);
    let is_around = |child: &NodeId| {
        let Some(node) = tree.nodes.get(*child) else {
            return false;
        };
        matches!(node.value, Value::Comment { .. })
            && !Place::of(node.place).is_copy()
            && !(start as u32..site.end).contains(&node.site.start)
    };
    let entries: Vec<(SecretBytes, Data)> = visits
        .children(root)
        .filter(|child| !is_around(child))
        .map(|child| {
            let key = match tree.nodes.get(child) {
                Some(_) => tree.key(child).unwrap_or_default(),
                None => b"",
            };
            (
                SecretBytes::copy_of(key),
                Data::listed_by(tree, child, &visits),
            )
        })
        .collect();
    let has_marker = before.windows(3).any(|window| window == b"---");
    let is_value = |child: NodeId| !matches!(tree.nodes[child].value, Value::Comment { .. });
    if !tree.children(root).any(is_value) && is_first && !has_marker {
        // An empty text would be no document at all.
        emitter.out.push(b"---\n");
    }
    emitter
        .map(&entries, 0, false)
        .map_err(|error| refuse(&error.reason))?;
    Ok(Edit {
        span: Span::new(start..site.end as usize),
        text: emitter.out.finish(),
    })
}

/// Replaces what cannot stay at one node.
fn replace(
    tree: &Tree,
    starts: &[u32],
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
        return as_block(tree, starts, at, edits);
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
        }
        edits.push(Edit {
            span: node.site,
            text: out.finish(),
        });
    }
    Ok(())
}

/// Whether a node is an alias of a collection with values and comments in it. Rules about comments look at the comments, so
/// they are written.
pub(super) fn alias_has_comments(tree: &Tree, at: NodeId) -> bool {
    let node = &tree.nodes[at];
    let place = Place::of(node.place);
    let is_comment = |node: &Node| matches!(node.value, Value::Comment { .. });
    let inside = || tree.nodes[at + 1..node.end as usize].iter();
    matches!(node.value, Value::Map | Value::List)
        && place.is_alias()
        && !place.is_copy()
        && inside().any(is_comment)
        && !inside().all(is_comment)
}

/// Whether comments would have to be written between brackets.
fn has_comments_in_flow(tree: &Tree, root: NodeId) -> bool {
    (root + 1..tree.nodes[root].end as usize)
        .any(|at| Place::of(tree.nodes[at].place).in_flow() && alias_has_comments(tree, at))
}

/// Replaces an alias by lines with what it stands for, comments included.
fn as_block(
    tree: &Tree,
    starts: &[u32],
    at: NodeId,
    edits: &mut Vec<Edit>,
) -> Result<(), ParseError> {
    let node = tree.nodes[at];
    let text = tree.text.expose();
    let site = node.site.range();
    let refuse = |error: crate::error::EmitError| ParseError::at(text, site.start, error.reason);
    let column = usize::try_from(Place::of(node.place).indent()).unwrap_or(0);
    let is_element = matches!(node.key, Key::None);
    let deeper = match is_element {
        true => column + 2,
        false => spell::next_level(column, read::unit(tree)),
    };
    let mut emitter = Emitter::exact(read::unit(tree));
    match &Data::listed(tree, at) {
        Data::Map(entries) => emitter.map(entries, deeper, false).map_err(refuse)?,
        Data::List(items) => emitter.list(items, deeper, false).map_err(refuse)?,
        _ => return Ok(()),
    }
    let lines = super::block::with_line_breaks(tree, emitter.out.finish());
    let line_end = (site.end..text.len())
        .find(|at| break_len(&text[*at..]) > 0)
        .unwrap_or(text.len());
    let line_break = super::block::line_break(tree);
    let mut out = SecretWriter::default();
    // A comment beside the alias goes above its entry, or stays beside the key.
    let mut beside = &text[site.end..line_end];
    if let Some([above, _]) = comment_above(tree, starts, at) {
        edits.push(above);
        beside = b"";
    }
    out.push(beside);
    out.push(line_break);
    let lines = lines.expose();
    out.push(lines.strip_suffix(line_break).unwrap_or(lines));
    edits.push(Edit {
        span: Span::new(site.start..line_end),
        text: out.finish(),
    });
    Ok(())
}

/// The edits that move a comment beside an alias of a collection to a line above its entry: beside the collection, it would
/// belong into it. `None` when there is none, or no such line.
fn comment_above(tree: &Tree, starts: &[u32], at: NodeId) -> Option<[Edit; 2]> {
    let node = tree.nodes[at];
    let place = Place::of(node.place);
    let is_alias = place.is_alias() && !place.is_copy() && !place.in_flow();
    if !is_alias || !matches!(node.value, Value::Map | Value::List) {
        return None;
    }
    let text = tree.text.expose();
    let site = node.site.range();
    let rest = &text[site.end..];
    let len = (0..rest.len()).find(|at| break_len(&rest[*at..]) > 0);
    let beside = rest[..len.unwrap_or(rest.len())].trim_ascii();
    if !beside.starts_with(b"#") {
        return None;
    }
    let line = starts_of_value(tree, at) as usize;
    let before = &text[line..site.start];
    let indent = before.iter().take_while(|byte| **byte == b' ').count();
    let opens_line = match node.key {
        Key::None => {
            let dash = before[indent..].strip_prefix(b"-");
            dash.is_some_and(|rest| rest.trim_ascii().is_empty())
        }
        _ => starts[at] as usize == line + indent,
    };
    opens_line.then(|| {
        let mut above = SecretWriter::default();
        above.push(&before[..indent]);
        above.push(beside);
        above.push(super::block::line_break(tree));
        let end = site.end + len.unwrap_or(rest.len());
        [
            Edit {
                span: Span::new(line..line),
                text: above.finish(),
            },
            Edit {
                span: Span::new(site.end..end),
                text: SecretBytes::default(),
            },
        ]
    })
}

/// Where the anchor of a value stands, or the value itself.
fn starts_of_value(tree: &Tree, at: NodeId) -> u32 {
    let start = tree.nodes[at].site.start;
    let text = &tree.text.expose()[..start as usize];
    let line = (0..text.len())
        .rev()
        .find(|at| break_len(&text[*at..]) > 0)
        .map_or(0, |at| at + break_len(&text[at..]));
    line as u32
}

/// Ends a file in a line break; a block at its end that has none must not gain one.
fn end_last_line(tree: &Tree, edits: &mut Vec<Edit>) {
    let text = tree.text.expose();
    let len = text.len();
    if edits
        .iter()
        .any(|edit| edit.span.end as usize == len && edit.text.expose().ends_with(b"\n"))
    {
        return;
    }
    let blanks = text.iter().rev().take_while(|byte| **byte == b' ').count();
    if matches!(text[..len - blanks].last(), Some(b'\n' | b'\r')) && !reaches_end(tree) {
        edits.push(Edit {
            span: Span::new(len - blanks..len),
            text: SecretBytes::default(),
        });
        return;
    }
    let last = tree.nodes.iter().rev().find(|node| {
        matches!(
            Place::of(node.place).style(),
            Style::Literal | Style::Folded
        ) && node.site.end as usize == len
            && !Place::of(node.place).holds_comment()
    });
    if let Some(last) = last {
        let start = last.site.start as usize;
        let site = &text[last.site.range()];
        let header_end = (0..site.len())
            .find(|at| break_len(&site[*at..]) > 0)
            .unwrap_or(site.len());
        let header = &site[..header_end];
        let mark = header.iter().position(|byte| matches!(byte, b'|' | b'>'));
        if let (Some(mark), true) = (mark, header_end < site.len()) {
            let signs = header[mark + 1..]
                .iter()
                .take_while(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9'));
            let end = mark + 1 + signs.clone().count();
            let mut new = SecretWriter::default();
            new.push_byte(b'-');
            signs
                .filter(|byte| byte.is_ascii_digit())
                .for_each(|digit| new.push_byte(*digit));
            edits.push(Edit {
                span: Span::new(start + mark + 1..start + end),
                text: new.finish(),
            });
        }
    }
    edits.push(Edit {
        span: Span::new(len..len),
        text: SecretBytes::copy_of(super::block::line_break(tree)),
    });
}

fn reaches_end(tree: &Tree) -> bool {
    let len = tree.text.len();
    tree.nodes.iter().rev().any(|node| {
        !matches!(node.value, Value::Map | Value::List) && node.site.end as usize == len
    })
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

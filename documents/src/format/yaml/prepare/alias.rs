//! Aliases of collections that hold comments: they are written out, because rules about comments look at the comments.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::ParseError;
use crate::splice::Edit;
use crate::tree::{Key, Node, NodeId, Span, Tree, Value};
use crate::visits::Visits;

use super::super::block::{line_break, with_line_breaks};
use super::super::characters::break_len;
use super::super::emit::Emitter;
use super::super::place::Place;
use super::super::{read, spell};

/// Whether a node is an alias of a collection with values and comments in it. Rules about comments look at the comments, so
/// they are written.
pub(in super::super) fn alias_has_comments(tree: &Tree, at: NodeId) -> bool {
    let node = &tree.nodes[at];
    let place = Place::of(node.place);
    let is_comment = |node: &Node| matches!(node.value, Value::Comment { .. });
    let inside = || tree.nodes[at + 1..node.end as usize].iter();
    // Those amidst the bytes of values are in the order of their collections.
    let has_hidden = || {
        let from = tree.hidden.partition_point(|it| (it.parent as usize) < at);
        let first = tree.hidden.get(from);
        first.is_some_and(|it| it.parent < node.end)
    };
    matches!(node.value, Value::Map | Value::List)
        && place.is_alias()
        && !place.is_copy()
        && (inside().any(is_comment) || has_hidden())
        && !inside().all(is_comment)
}

/// Whether comments would have to be written between brackets.
pub(super) fn has_comments_in_flow(tree: &Tree, root: NodeId) -> bool {
    (root + 1..tree.nodes[root].end as usize)
        .any(|at| Place::of(tree.nodes[at].place).in_flow() && alias_has_comments(tree, at))
}

/// Replaces an alias by lines with what it stands for, comments included.
pub(super) fn as_block(
    tree: &Tree,
    starts: &[u32],
    visits: &Visits,
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
    match &Data::listed_by(tree, at, visits) {
        Data::Map(entries) => emitter.map(entries, deeper, false).map_err(refuse)?,
        Data::List(items) => emitter.list(items, deeper, false).map_err(refuse)?,
        _ => return Ok(()),
    }
    let lines = with_line_breaks(tree, emitter.out.finish());
    let line_end = (site.end..text.len())
        .find(|at| break_len(&text[*at..]) > 0)
        .unwrap_or(text.len());
    let line_break = line_break(tree);
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
    let lines = lines.strip_suffix(line_break).unwrap_or(lines);
    out.push(lines);
    let mut end = line_end;
    let last_line = lines.rsplit(|byte| *byte == b'\n').next();
    if is_element && last_line.is_some_and(|line| line.trim_ascii_start().starts_with(b"#")) {
        // Upstream loses a comment that stands behind one further in, and nothing between them.
        while let Some((comment, comment_end)) = comment_on_next_line(text, end) {
            out.push(line_break);
            (0..deeper).for_each(|_| out.push_byte(b' '));
            out.push(comment);
            end = comment_end;
        }
    }
    edits.push(Edit {
        span: Span::new(site.start..end),
        text: out.finish(),
    });
    Ok(())
}

/// The comment on the line behind a line that ends at an offset, and where that line ends.
fn comment_on_next_line(text: &[u8], line_end: usize) -> Option<(&[u8], usize)> {
    let start = line_end + break_len(&text[line_end..]);
    let rest = &text[start..];
    let len = (0..rest.len()).find(|at| break_len(&rest[*at..]) > 0);
    let comment = rest[..len.unwrap_or(rest.len())].trim_ascii_start();
    comment
        .starts_with(b"#")
        .then(|| (comment, start + len.unwrap_or(rest.len())))
}

/// The edits that move a comment beside an alias of a collection to a line above its entry: beside the collection, it would
/// belong into it. `None` when there is none, or no such line.
pub(super) fn comment_above(tree: &Tree, starts: &[u32], at: NodeId) -> Option<[Edit; 2]> {
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
        above.push(line_break(tree));
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
pub(super) fn starts_of_value(tree: &Tree, at: NodeId) -> u32 {
    let start = tree.nodes[at].site.start;
    let text = &tree.text.expose()[..start as usize];
    let line = (0..text.len())
        .rev()
        .find(|at| break_len(&text[*at..]) > 0)
        .map_or(0, |at| at + break_len(&text[at..]));
    line as u32
}

//! Writes a whole document again, because its root cannot take a `sops` block as it stands.

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::error::ParseError;
use crate::splice::Edit;
use crate::tree::{Key, NodeId, Span, Tree, Value};
use crate::visits::Visits;

use super::super::emit::Emitter;
use super::super::place::Place;
use super::super::read;

/// Whether the comments right above a document are written again with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    Stays,
    IsListed,
}

/// Writes a document again whose root is no block map at the first column, or whose comments stand in another order than
/// upstream lists them in.
pub(super) fn rewrite(
    tree: &Tree,
    visits: &Visits,
    root: NodeId,
    is_first: bool,
    above: Above,
) -> Result<Edit, ParseError> {
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
    let mut start = if is_blank { line } else { site.start as usize };
    if is_blank && above == Above::IsListed {
        start = first_comment_above(text, start);
    }
    if tree.nodes[root].value != Value::Map {
        return Err(refuse("a document must be a map"));
    }
    // Comments around what is written stay in the text.
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
                Data::listed_by(tree, child, visits),
            )
        })
        .collect();
    let has_marker = || before.windows(3).any(|window| window == b"---");
    let is_value = |child: NodeId| !matches!(tree.nodes[child].value, Value::Comment { .. });
    if !tree.children(root).any(is_value) && is_first && !has_marker() {
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

/// Whether a tree has more levels than can be rewritten.
pub(in super::super) fn is_too_deep(tree: &Tree) -> bool {
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

pub(super) fn too_deep(tree: &Tree) -> ParseError {
    let reason = format!("aliases and flow documents may be {MAX_DEPTH} levels deep");
    ParseError::at(tree.text.expose(), 0, reason)
}

/// More levels than this are not rewritten, because each takes a stack frame.
const MAX_DEPTH: usize = 1_000;

/// Where the lines of comments right above this line begin, or the line itself.
fn first_comment_above(text: &[u8], line: usize) -> usize {
    let mut start = line;
    loop {
        let lines = text[..start].strip_suffix(b"\n").unwrap_or_default();
        let above = lines.iter().rposition(|byte| *byte == b'\n');
        let above = above.map_or(0, |at| at + 1);
        if !lines[above..].trim_ascii_start().starts_with(b"#") {
            return start;
        }
        start = above;
    }
}

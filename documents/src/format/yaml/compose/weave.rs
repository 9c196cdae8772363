//! Puts comments between the nodes where they stand in the text, below the collection that they belong to.

use crate::tree::{Key, Node, Span, Text, Value};

/// A comment that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Behind its mark.
    pub(super) text: Span,
    pub(super) parent: u32,
    pub(super) inline: bool,
}

/// Gives nodes, where they start, and roots, with the comments among them. Sites ascend: a comment that stands amidst
/// another collection than its own lies in that one, and says how far above its own is.
pub(super) fn weave(
    nodes: Vec<Node>,
    starts: Vec<u32>,
    documents: Vec<u32>,
    mut found: Vec<Found>,
) -> (Vec<Node>, Vec<u32>, Vec<u32>) {
    if found.is_empty() {
        return (nodes, starts, documents);
    }
    found.sort_unstable_by_key(|comment| comment.text.start);
    let mut weaver = Weaver {
        out: Vec::with_capacity(nodes.len() + found.len()),
        starts: Vec::with_capacity(nodes.len() + found.len()),
        open: Vec::new(),
        found: &found,
        next: 0,
    };
    let mut roots = Vec::with_capacity(documents.len());
    let mut document = documents.iter().copied().peekable();
    for (index, node) in nodes.iter().enumerate() {
        let index = index as u32;
        let is_root = document.next_if_eq(&index).is_some();
        if is_root {
            // All that belongs to the documents before comes first.
            weaver.take_before(u32::MAX, index, index..u32::MAX);
            weaver.close_to(0);
            roots.push(weaver.out.len() as u32);
        } else {
            // A comment of a collection that opens here or further down waits for it.
            let coming = match node.value {
                Value::Map | Value::List => index..node.end,
                _ => index..index,
            };
            weaver.take_before(node.site.start, index, coming);
            let depth = weaver
                .open
                .iter()
                .take_while(|open| open.old_end > index)
                .count();
            weaver.close_to(depth);
        }
        weaver.push(*node, starts[index as usize], index);
    }
    weaver.take_before(u32::MAX, u32::MAX, u32::MAX..u32::MAX);
    weaver.close_to(0);
    (weaver.out, weaver.starts, roots)
}

struct Open {
    new: usize,
    old: u32,
    old_end: u32,
}

struct Weaver<'a> {
    out: Vec<Node>,
    starts: Vec<u32>,
    open: Vec<Open>,
    found: &'a [Found],
    next: usize,
}

impl Weaver<'_> {
    fn push(&mut self, node: Node, start: u32, old: u32) {
        let new = self.out.len();
        self.out.push(node);
        self.starts.push(start);
        if matches!(node.value, Value::Map | Value::List) {
            self.open.push(Open {
                new,
                old,
                old_end: node.end,
            });
        } else {
            self.out[new].end = new as u32 + 1;
        }
    }

    fn close_to(&mut self, depth: usize) {
        let end = self.out.len() as u32;
        for open in self.open.drain(depth.min(self.open.len())..) {
            self.out[open.new].end = end;
        }
    }

    /// Puts in the comments that stand before an offset, but those that belong to what is coming.
    fn take_before(&mut self, offset: u32, next_node: u32, coming: std::ops::Range<u32>) {
        while let Some(comment) = self.found.get(self.next) {
            if comment.text.start > offset || coming.contains(&comment.parent) {
                return;
            }
            let wanted = self
                .open
                .iter()
                .rposition(|open| open.old == comment.parent);
            // Collections with nodes to come stay open, and so does the root.
            let has_more = |open: &&Open| open.old_end > next_node;
            let least = self.open.iter().take_while(has_more).count().max(1);
            let wanted = wanted.map_or(least, |index| index + 1);
            let depth = wanted.max(least);
            let above = u16::try_from(depth - wanted).unwrap_or(0);
            if depth < self.open.len() {
                self.close_to(depth);
            }
            let new = self.out.len();
            self.out.push(Node {
                key: Key::None,
                value: Value::Comment {
                    text: Text::File(comment.text),
                    inline: comment.inline,
                    above,
                },
                site: comment.text,
                end: new as u32 + 1,
                place: 0,
            });
            self.starts.push(comment.text.start.saturating_sub(1));
            self.next += 1;
        }
    }
}

//! Where things stand in a text: lines, signs before values, ends of entries.

use std::ops::Range;

use crate::tree::{Key, NodeId, Tree, Value};

use super::super::characters::break_len;
use super::super::compose::Composition;
use super::super::place::Place;

/// A text with its nodes, to look around in.
pub(super) struct Surroundings<'a> {
    tree: &'a Tree,
    starts: &'a [u32],
    text: &'a [u8],
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(composition: &'a Composition) -> Self {
        Self {
            tree: &composition.tree,
            starts: &composition.starts,
            text: composition.tree.text.expose(),
        }
    }

    /// Where a node begins, with its key, its anchor and its tag.
    pub(super) fn start_of(&self, node: NodeId) -> usize {
        self.starts[node] as usize
    }

    /// The end of a node with everything below it, comments included.
    pub(super) fn end_of(&self, node: NodeId) -> usize {
        self.last_of(node, |_| true)
    }

    /// The end of a node with everything below it but comments behind its last value.
    pub(super) fn end_of_value(&self, node: NodeId) -> usize {
        self.last_of(node, |value| !matches!(value, Value::Comment { .. }))
    }

    fn last_of(&self, node: NodeId, counts: impl Fn(&Value) -> bool) -> usize {
        let own = self.tree.nodes[node];
        let below = self.tree.nodes[node..own.end as usize].iter();
        let ends = below.filter(|node| counts(&node.value) && !Place::of(node.place).is_copy());
        ends.map(|node| node.site.end).max().unwrap_or(own.site.end) as usize
    }

    /// The values of a collection, without its comments.
    pub(super) fn values_of(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let is_value = |at: &NodeId| !matches!(self.tree.nodes[*at].value, Value::Comment { .. });
        self.tree.children(node).filter(is_value)
    }

    /// Whether a collection has comments on lines of their own.
    pub(super) fn has_comments(&self, node: NodeId) -> bool {
        self.tree.children(node).any(|at| {
            matches!(
                self.tree.nodes[at].value,
                Value::Comment { inline: false, .. }
            )
        })
    }

    pub(super) fn parent_of(&self, node: NodeId) -> Option<NodeId> {
        let is_around = |at: &NodeId| self.tree.nodes[*at].end as usize > node;
        (0..node).rev().find(is_around)
    }

    /// The start of the line of an offset.
    fn line_start(&self, offset: usize) -> usize {
        let before = &self.text[..offset];
        let start = before
            .iter()
            .rposition(|byte| matches!(byte, b'\n' | b'\r'))
            .map_or(0, |at| at + 1);
        match start {
            0 if self.text.starts_with(b"\xef\xbb\xbf") && offset >= 3 => 3,
            _ => start,
        }
    }

    /// The start of the line of an offset, when nothing but spaces stands before it.
    pub(super) fn line_of(&self, offset: usize) -> Option<usize> {
        let start = self.line_start(offset);
        let is_blank = self.text[start..offset].iter().all(|byte| *byte == b' ');
        is_blank.then_some(start)
    }

    /// The start of the line after the one of an offset.
    pub(super) fn next_line(&self, offset: usize) -> usize {
        let rest = &self.text[offset..];
        let end = (0..rest.len()).find(|at| break_len(&rest[*at..]) > 0);
        match end {
            Some(end) => offset + end + break_len(&rest[end..]),
            None => self.text.len(),
        }
    }

    /// Whether nothing follows on the line.
    pub(super) fn rest_is_blank(&self, offset: usize) -> bool {
        let rest = &self.text[offset..self.next_line(offset)];
        rest.iter()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    }

    /// Where a comment on the same line begins.
    pub(super) fn comment_behind(&self, offset: usize) -> Option<usize> {
        let rest = &self.text[offset..];
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let blanks = rest.iter().take_while(is_blank).count();
        (rest.get(blanks) == Some(&b'#')).then_some(offset + blanks)
    }

    /// The offset just behind the colon or the dash before an offset, when only blanks lie between.
    pub(super) fn sign_before(&self, offset: usize) -> Option<usize> {
        let before = self.text[..offset].trim_ascii_end();
        let end = before.len();
        let is_in_comment = self.tree.nodes.iter().any(|node| {
            matches!(node.value, Value::Comment { .. })
                && (node.site.start as usize..=node.site.end as usize).contains(&end)
        });
        (matches!(before.last(), Some(b':' | b'-')) && !is_in_comment).then_some(end)
    }

    /// Where an entry of a block begins: its key, or its dash.
    pub(super) fn sign_of(&self, node: NodeId) -> Option<usize> {
        let start = self.start_of(node);
        if !matches!(self.tree.nodes[node].key, Key::None) {
            let line = self.line_start(start);
            let question = self.text[line..start]
                .iter()
                .rposition(|byte| *byte == b'?')
                .map(|at| line + at);
            let is_between = |at: &usize| self.text[at + 1..start].iter().all(|byte| *byte == b' ');
            return Some(question.filter(is_between).unwrap_or(start));
        }
        let column = usize::try_from(Place::of(self.tree.nodes[node].place).indent()).ok()?;
        let mut line = self.line_start(start);
        loop {
            let dash = line + column;
            if dash < start && self.text[dash] == b'-' {
                return Some(dash);
            }
            if line == 0 {
                return None;
            }
            line = self.line_start(line - 1);
        }
    }

    /// What to cut so that a comment is gone: its line, or its part of a line.
    pub(super) fn comment(&self, node: NodeId) -> Range<usize> {
        let site = self.tree.nodes[node].site.range();
        let mark = site.start.saturating_sub(1);
        match self.line_of(mark) {
            Some(line) => line..self.next_line(site.end),
            None => self.text[..mark].trim_ascii_end().len()..site.end,
        }
    }
}

//! One entry less.

use sealwright_crypto::secret::SecretWriter;

use crate::data::Data;
use crate::error::EmitError;
use crate::splice::Edit;
use crate::tree::{Node, NodeId, Span, Value};
use crate::visits::Visits;

use super::super::block;
use super::super::place::Place;
use super::{Editor, edit};

impl Editor<'_> {
    /// Removes an entry with the comments that upstream lists in it. The comments that it lists beside the entry stay.
    pub(super) fn remove(&self, at: NodeId) -> Result<Option<Vec<Edit>>, EmitError> {
        let tree = self.tree;
        if matches!(tree.nodes[at].value, Value::Comment { .. }) {
            return Ok(Some(vec![self.cut(self.around.comment(at))]));
        }
        let inside = self.comments_in(at);
        let Some(mut edits) = self.remove_value(at, &inside)? else {
            return Ok(None);
        };
        for edit in &mut edits {
            self.keep_comments(at, &inside, edit);
        }
        for comment in inside {
            let cut = Span::new(self.around.comment(comment));
            let is_apart = |edit: &Edit| edit.span.end <= cut.start || edit.span.start >= cut.end;
            if edits.iter().all(is_apart) {
                edits.push(self.cut(cut.range()));
            }
        }
        Ok(Some(edits))
    }

    /// Puts back the comments that whole lines of an entry take with them, though upstream lists them beside the entry.
    pub(super) fn keep_comments(&self, at: NodeId, inside: &[NodeId], edit: &mut Edit) {
        let tree = self.tree;
        let cut = edit.span.range();
        if !edit.text.expose().is_empty() || self.around.line_of(cut.start) != Some(cut.start) {
            return;
        }
        let mut lines = SecretWriter::default();
        for (comment, node) in tree.nodes.iter().enumerate() {
            let Value::Comment { text, .. } = node.value else {
                continue;
            };
            let is_cut = cut.contains(&(node.site.start as usize));
            if !is_cut || Place::of(node.place).is_copy() || inside.contains(&comment) {
                continue;
            }
            (0..self.column(at)).for_each(|_| lines.push_byte(b' '));
            lines.push_byte(b'#');
            lines.push(tree.content(text));
            lines.push(block::line_break(tree));
        }
        edit.text = lines.finish();
    }

    /// The comments that upstream lists in a value.
    pub(super) fn comments_in(&self, at: NodeId) -> Vec<NodeId> {
        let tree = self.tree;
        if !matches!(tree.nodes[at].value, Value::Map | Value::List) {
            return Vec::new();
        }
        let range = at..tree.nodes[at].end as usize;
        let parents = Visits::of(tree).parents;
        let is_inside = |node: &NodeId| {
            let Node { value, place, .. } = tree.nodes[*node];
            matches!(value, Value::Comment { .. })
                && !Place::of(place).is_copy()
                && range.contains(&(parents[*node] as usize))
        };
        (0..tree.nodes.len()).filter(is_inside).collect()
    }

    pub(super) fn remove_value(
        &self,
        at: NodeId,
        inside: &[NodeId],
    ) -> Result<Option<Vec<Edit>>, EmitError> {
        let tree = self.tree;
        let Some(parent) = self.around.parent_of(at) else {
            return Ok(None);
        };
        let siblings: Vec<NodeId> = self.around.values_of(parent).collect();
        let index = siblings.iter().position(|sibling| *sibling == at);
        let Some(index) = index else {
            return Ok(None);
        };
        let before = index.checked_sub(1).map(|before| siblings[before]);
        let after = siblings.get(index + 1).copied();
        let end = self.around.end_of_value(at);
        let is_map = matches!(tree.nodes[parent].value, Value::Map);
        if Place::of(tree.nodes[parent].place).is_flow() {
            let start = self.around.start_of(at);
            let cut = match (before, after) {
                (Some(before), _) => self.around.end_of_value(before)..end,
                (None, Some(after)) => start..self.around.start_of(after),
                (None, None) => {
                    let pair = tree.nodes[parent].site.start as usize;
                    if is_map && tree.text.expose().get(pair) != Some(&b'{') {
                        // A pair in a list has no braces of its own, and is an element.
                        let mut out = SecretWriter::default();
                        out.push(b"{}");
                        return Ok(Some(vec![edit(Span::new(pair..end), out)]));
                    }
                    start..end
                }
            };
            return Ok(Some(vec![self.cut(cut)]));
        }
        let Some(start) = self.around.sign_of(at) else {
            return Ok(None);
        };
        let is_only = before.is_none() && after.is_none();
        let is_root = tree.documents.contains(&(parent as u32));
        let empty: &[u8] = if is_map { b"{}" } else { b"[]" };
        match self.around.line_of(start) {
            _ if self.on_one_line => Ok(Some(vec![self.cut(start..end)])),
            Some(line) if is_only && is_root => {
                let mut out = SecretWriter::default();
                if tree.blocks.is_empty() {
                    out.push(empty);
                    return Ok(Some(vec![edit(Span::new(line..end), out)]));
                }
                Ok(Some(vec![self.cut(line..self.around.next_line(end))]))
            }
            Some(line) if is_only && self.around.has_comments(parent) => {
                let mut out = SecretWriter::default();
                out.push(&tree.text.expose()[line..start]);
                // A list may stand in the column of its key, and brackets may not.
                let is_key = !matches!(tree.nodes[parent].key, crate::tree::Key::None);
                let column = self.column(parent) + usize::from(is_key);
                (start - line..column).for_each(|_| out.push_byte(b' '));
                out.push(empty);
                Ok(Some(vec![edit(Span::new(line..end), out)]))
            }
            _ if is_only => {
                let value = if is_map {
                    Data::Map(Vec::new())
                } else {
                    Data::List(Vec::new())
                };
                self.replace(parent, &value)
            }
            Some(line) => Ok(Some(vec![self.cut(
                match self.around.comment_behind(end) {
                    Some(comment) if !self.is_one_of(inside, comment) => start..comment,
                    _ => line..self.around.next_line(end),
                },
            )])),
            // The first entry on the line of a dash.
            None => match after.filter(|after| *after == tree.nodes[at].end as usize) {
                Some(after) => {
                    let next = self.around.sign_of(after);
                    Ok(next.map(|next| vec![self.cut(start..next)]))
                }
                None => Ok(Some(vec![self.cut(start..end)])),
            },
        }
    }

    /// Whether one of these comments begins at an offset.
    pub(super) fn is_one_of(&self, comments: &[NodeId], offset: usize) -> bool {
        let begins = |comment: &NodeId| self.tree.nodes[*comment].site.start as usize == offset + 1;
        comments.iter().any(begins)
    }

    pub(super) fn cut(&self, range: std::ops::Range<usize>) -> Edit {
        edit(Span::new(range), SecretWriter::default())
    }
}

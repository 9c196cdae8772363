//! Takes the `sops` block out of a document.

use std::ops::Range;

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::tree::{Block, Key, NodeId, Span, Value};

use super::super::place::Place;
use super::{Composed, Composer};

/// Metadata is at most this deep; what is deeper is none.
const MAX_DEPTH: usize = 32;

impl Composer<'_> {
    /// Takes every top-level `sops` entry of the last document out of its nodes.
    pub(super) fn extract_blocks(&mut self, root: NodeId) -> Composed<()> {
        let mut child = root + 1;
        let mut before = None;
        let blocks = self.blocks.len();
        while child < self.nodes[root].end as usize {
            let end = self.nodes[child].end as usize;
            if matches!(self.nodes[child].key, Key::Text(_))
                && self.key_name(child) == Some(b"sops")
            {
                if self.blocks.len() > blocks {
                    let at = self.starts[child] as usize;
                    return Err(self.error(at, "a second sops block in one document"));
                }
                self.extract_block(root, before, child)?;
            } else {
                before = Some(child);
                child = end;
            }
        }
        Ok(())
    }

    fn extract_block(
        &mut self,
        root: NodeId,
        before: Option<NodeId>,
        node: NodeId,
    ) -> Composed<()> {
        let end = self.nodes[node].end as usize;
        let data = self.data(node, 0)?;
        let value = self.nodes[node];
        let place = Place::of(value.place);
        let start = self.line_start(self.starts[node] as usize);
        let (cut, fields) = match start {
            Some(start) if !Place::of(self.nodes[root].place).is_flow() => {
                let cut_end = self.next_line(value.site.end as usize);
                let is_plain = value.value == Value::Map && !place.is_flow() && !place.is_alias();
                let fields = if is_plain {
                    self.fields(node, cut_end)
                } else {
                    Vec::new()
                };
                (start..cut_end, fields)
            }
            _ => {
                // In a flow map: with the comma that parts it from the entry before or behind.
                let from = before.map_or(self.starts[node], |before| self.nodes[before].site.end);
                let next = self
                    .starts
                    .get(end)
                    .filter(|_| end < self.nodes[root].end as usize);
                let to = match (before, next) {
                    (None, Some(next)) => *next,
                    _ => value.site.end,
                };
                (from as usize..to as usize, Vec::new())
            }
        };
        let (label, cut) = self.around_comment(root, cut);
        self.blocks.push(Block {
            cut,
            label,
            fields,
            data,
        });
        self.forget_nodes(root, node..end, cut);
        Ok(())
    }

    /// Leaves a comment of the document on the line of the key out of what is cut. Upstream writes a comment there that
    /// stood beside an alias of a collection at the end.
    fn around_comment(&self, root: NodeId, cut: Range<usize>) -> (Span, Span) {
        let line_end = self.events.scanner.line_end(cut.start);
        let on_line = (cut.start as u32)..(line_end as u32);
        let of_document = &self.found[self.found_before..];
        let comment = of_document.iter().rev().find(|comment| {
            comment.parent as usize == root && on_line.contains(&comment.text.start)
        });
        match comment {
            Some(comment) => (
                Span::new(cut.start..comment.text.start as usize - 1),
                Span::new(self.next_line(comment.text.end as usize).min(cut.end)..cut.end),
            ),
            None => (Span::default(), Span::new(cut)),
        }
    }

    /// The fields with their lines; none when they are not one below the other.
    fn fields(&self, node: NodeId, cut_end: usize) -> Vec<(String, Span)> {
        let end = self.nodes[node].end as usize;
        let mut fields: Vec<(String, usize)> = Vec::new();
        let mut child = node + 1;
        while child < end {
            let name = self.key_name(child).unwrap_or_default();
            let Some(start) = self.line_start(self.starts[child] as usize) else {
                return Vec::new();
            };
            fields.push((String::from_utf8_lossy(name).into_owned(), start));
            child = self.nodes[child].end as usize;
        }
        let ends: Vec<usize> = fields
            .iter()
            .skip(1)
            .map(|field| field.1)
            .chain([cut_end])
            .collect();
        let spans = fields.into_iter().zip(ends);
        spans
            .map(|((name, start), end)| (name, Span::new(start..end)))
            .collect()
    }

    /// The start of the line of an offset, when nothing but blanks (and `? `) stands before it.
    fn line_start(&self, offset: usize) -> Option<usize> {
        let src = self.events.scanner.src();
        let before = &src[..offset];
        let start = before
            .iter()
            .rposition(|byte| matches!(byte, b'\n' | b'\r'))
            .map_or(0, |at| at + 1);
        let start = if start == 0 && src.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            start
        };
        let is_indent = |byte: &u8| matches!(byte, b' ' | b'\t' | b'?');
        before[start..].iter().all(is_indent).then_some(start)
    }

    /// The start of the line after the one of an offset.
    fn next_line(&self, offset: usize) -> usize {
        let src = self.events.scanner.src();
        let end = self.events.scanner.line_end(offset);
        end + super::super::characters::break_len(&src[end..])
    }

    fn forget_nodes(&mut self, root: NodeId, taken: std::ops::Range<usize>, cut: Span) {
        let count = taken.len() as u32;
        let (from, to) = (taken.start as u32, taken.end as u32);
        for node in &mut self.nodes[taken.end..] {
            node.end -= count;
        }
        self.nodes[root].end -= count;
        self.nodes.drain(taken.clone());
        self.starts.drain(taken.clone());
        self.anchors.forget(taken);
        let mut of_document = self.found.split_off(self.found_before);
        of_document.retain_mut(|comment| {
            let is_inside = (from..to).contains(&comment.parent)
                || (cut.start..cut.end).contains(&comment.text.start);
            if comment.parent >= to {
                comment.parent -= count;
            }
            // What was attached to the block is listed where the block stood.
            comment.spot = comment.spot.moved(|node| match node {
                node if node >= to => node - count,
                node => node.min(from),
            });
            !is_inside
        });
        self.found.append(&mut of_document);
    }

    fn data(&self, node: NodeId, depth: usize) -> Composed<Data> {
        if depth > MAX_DEPTH {
            let at = self.starts[node] as usize;
            return Err(self.error(at, "the `sops` block is nested too deeply"));
        }
        let copy = |text| SecretBytes::copy_of(self.events.scanner.content(text));
        let end = self.nodes[node].end as usize;
        let children = || {
            let mut next = node + 1;
            std::iter::from_fn(move || {
                (next < end).then(|| {
                    let child = next;
                    next = self.nodes[child].end as usize;
                    child
                })
            })
        };
        Ok(match self.nodes[node].value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Bool(value),
            Value::Int(value) => Data::Int(value),
            Value::Float(value) => Data::Float(value),
            Value::Time(text) => {
                let text = self.events.scanner.content(text);
                Data::Time(String::from_utf8_lossy(text).into_owned())
            }
            Value::Str(text) | Value::Unsupported(text) | Value::Comment { text, .. } => {
                Data::Str(copy(text))
            }
            Value::List => Data::List(
                children()
                    .map(|child| self.data(child, depth + 1))
                    .collect::<Composed<_>>()?,
            ),
            Value::Map => Data::Map(
                children()
                    .map(|child| {
                        let key = self.key_name(child).unwrap_or_default();
                        Ok((SecretBytes::copy_of(key), self.data(child, depth + 1)?))
                    })
                    .collect::<Composed<_>>()?,
            ),
        })
    }
}

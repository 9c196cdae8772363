//! Anchors, and the copies that aliases stand for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use crate::tree::{Key, Node, NodeId, Span, Text, Value};

use super::super::events::Event;
use super::super::place::Place;
use super::super::token::Style;
use super::comments::OwnComments;
use super::{Composed, Composer};

/// What an anchor names.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The node, unless it is a key.
    pub(super) node: Option<NodeId>,
    /// As a key; `None` for collections.
    pub(super) key: Option<Key>,
    /// The value of a scalar.
    value: Option<Value>,
}

/// The anchors seen so far; a name may be given again.
#[derive(Default)]
pub(super) struct Anchors {
    targets: HashMap<Vec<u8>, Target>,
    /// The names that were given in the last document.
    recent: Vec<Vec<u8>>,
    /// How many nodes are copies.
    copied: usize,
    /// How many bytes of content are there once more through aliases.
    copied_bytes: usize,
    /// Comments of anchored list elements that stand outside of them.
    own: BTreeMap<NodeId, Rc<OwnComments>>,
    copies: Vec<Copy>,
}

/// An alias of a collection, which stands for a copy of it, with its comments.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    /// The alias, or the root of a document that is one.
    pub(super) alias: u32,
    /// The collection.
    pub(super) target: u32,
    /// Comments of the collection that stand outside of it.
    pub(super) own: Rc<OwnComments>,
}

/// What is said of documents with too much behind their aliases.
pub(super) const EXCESSIVE: &str =
    "aliases blow this document up too much, write out what they stand for";

/// Aliases may add so many bytes to any document, and to a long one in proportion to its length.
const FREE_BYTES: usize = 4 << 20;
const BYTES_PER_BYTE: usize = 8;

impl Anchors {
    pub(super) fn find(&self, name: &[u8]) -> Option<Target> {
        self.targets.get(name).copied()
    }

    pub(super) fn define_key(&mut self, name: Vec<u8>, key: Key, value: Value) {
        let target = Target {
            node: None,
            key: Some(key),
            value: Some(value),
        };
        self.define(name, target);
    }

    fn define(&mut self, name: Vec<u8>, target: Target) {
        self.recent.push(name.clone());
        self.targets.insert(name, target);
    }

    /// Another document begins.
    pub(super) fn begin_document(&mut self) {
        self.recent.clear();
    }

    /// The copies, in ascending order of aliases.
    pub(super) fn copies(self) -> Vec<Copy> {
        self.copies
    }

    /// The comments of an anchored list element that stand outside of it.
    pub(super) fn own(&mut self, node: NodeId) -> &mut OwnComments {
        Rc::make_mut(self.own.entry(node).or_default())
    }

    /// Moves what lies behind nodes of the last document that are taken out. What belongs to documents before stays, and is
    /// not looked at: there may be as many documents as anchors.
    pub(super) fn forget(&mut self, taken: Range<usize>) {
        let moved = |node: NodeId| match node {
            node if taken.contains(&node) => None,
            node if node >= taken.end => Some(node - taken.len()),
            node => Some(node),
        };
        let own = self.own.split_off(&taken.start).into_iter();
        let own = own.filter_map(|(node, own)| Some((moved(node)?, own)));
        self.own.extend(own);
        // An alias stands behind what it names.
        let first = |copy: &Copy| (copy.alias as usize) < taken.start;
        let behind = self.copies.split_off(self.copies.partition_point(first));
        self.copies.extend(behind.into_iter().filter_map(|copy| {
            Some(Copy {
                alias: moved(copy.alias as usize)? as u32,
                target: moved(copy.target as usize)? as u32,
                ..copy
            })
        }));
        let recent: BTreeSet<Vec<u8>> = std::mem::take(&mut self.recent).into_iter().collect();
        for name in recent {
            let Some(target) = self.targets.get_mut(&name) else {
                continue;
            };
            match target.node.map(moved) {
                Some(None) => {
                    self.targets.remove(&name);
                }
                Some(Some(node)) => {
                    target.node = Some(node);
                    self.recent.push(name);
                }
                None => self.recent.push(name),
            }
        }
    }
}

impl Composer<'_> {
    pub(super) fn define_anchor(&mut self, event: &Event, node: NodeId) {
        let Some(anchor) = event.anchor else {
            return;
        };
        let name = self.events.scanner.src()[anchor.range()].to_vec();
        let value = self.nodes[node].value;
        let (key, value) = match value {
            Value::Map | Value::List => (None, None),
            Value::Str(text) => (Some(Key::Text(text)), Some(value)),
            _ => (Some(Key::NotText(event.text)), Some(value)),
        };
        let target = Target {
            node: Some(node),
            key,
            value,
        };
        self.anchors.define(name, target);
    }

    /// Puts what an alias stands for in its place.
    pub(super) fn alias(&mut self, key: Key, start: usize, event: &Event) -> Composed<()> {
        let name = self.events.scanner.content(event.text);
        let Some(target) = self.anchors.find(name) else {
            return Err(self.error(event.start, "unknown anchor"));
        };
        let root = self.nodes.len();
        let place = Place::new(Style::Plain, event.flow, event.indent).alias();
        let mut node = Node {
            key,
            value: Value::Null,
            site: Span::new(event.start..event.end),
            end: root as u32 + 1,
            place: place.bits(),
        };
        match (target.value, target.node) {
            (Some(value), _) => {
                node.value = value;
                self.count_copied(content_len(value), event)?;
                self.push_node(node, start);
            }
            (None, Some(from)) => {
                node.value = self.nodes[from].value;
                if self.nodes[from].end == 0 {
                    return Err(self.error(event.start, "an anchor that contains itself"));
                }
                self.push_node(node, start);
                self.copy_children(root, from, event)?;
                self.nodes[root].end = self.nodes.len() as u32;
            }
            (None, None) => return Err(self.error(event.start, "unknown anchor")),
        }
        Ok(())
    }

    /// Appends copies of everything below a node, without bytes of their own.
    pub(super) fn copy_children(
        &mut self,
        alias: NodeId,
        from: NodeId,
        event: &Event,
    ) -> Composed<()> {
        let range = from + 1..self.nodes[from].end as usize;
        self.anchors.copied += range.len() + 1;
        let total = self.nodes.len() + range.len();
        if is_excessive(self.anchors.copied, total) {
            return Err(self.error(event.start, EXCESSIVE));
        }
        let bytes = self.nodes[range.clone()].iter();
        let bytes = bytes
            .map(|node| key_len(node.key) + content_len(node.value))
            .sum();
        self.count_copied(bytes, event)?;
        self.anchors.copies.push(Copy {
            alias: alias as u32,
            target: from as u32,
            own: self.anchors.own.get(&from).cloned().unwrap_or_default(),
        });
        let moved = (self.nodes.len() - range.start) as u32;
        for index in range {
            let node = self.nodes[index];
            let copy = Node {
                site: Span::new(event.end..event.end),
                end: node.end + moved,
                place: Place::of(node.place).copy().bits(),
                ..node
            };
            self.push_node(copy, event.end);
        }
        Ok(())
    }

    /// Counts a key that is an alias as a copy.
    pub(super) fn count_alias_key(&mut self, key: Key, event: &Event) -> Composed<()> {
        self.count_copied(key_len(key), event)
    }

    /// Bounds what aliases make of a document: each key and value is written as often as it is named.
    fn count_copied(&mut self, bytes: usize, event: &Event) -> Composed<()> {
        self.anchors.copied_bytes += bytes;
        let limit = most_copied(self.events.scanner.src().len());
        match self.anchors.copied_bytes <= limit {
            true => Ok(()),
            false => Err(self.error(event.start, EXCESSIVE)),
        }
    }
}

/// How many bytes aliases may repeat in a document of so many.
pub(super) fn most_copied(length: usize) -> usize {
    FREE_BYTES + BYTES_PER_BYTE * length
}

/// How long the content of a key is.
fn key_len(key: Key) -> usize {
    match key {
        Key::None => 0,
        Key::Text(text) | Key::NotText(text) => text_len(text),
    }
}

/// How long the content of a value is.
fn content_len(value: Value) -> usize {
    match value {
        Value::Str(text) | Value::Time(text) | Value::Unsupported(text) => text_len(text),
        _ => 1,
    }
}

pub(super) fn text_len(text: Text) -> usize {
    match text {
        Text::File(span) | Text::Decoded(span) => span.len(),
    }
}

/// The limit of yaml.v3: copies may be 99 % of a small document and 10 % of one with millions of nodes.
fn is_excessive(copied: usize, total: usize) -> bool {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    // It counts keys as well as values.
    let (copied, total) = (copied as f64 * 2.0, total as f64 * 2.0);
    let allowed = 0.99 - 0.89 * ((total - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    copied > 100.0 && total > 1000.0 && copied / total > allowed
}

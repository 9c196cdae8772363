//! From events to a tree: keys, types, aliases, duplicate keys, and the collection that each comment belongs to.

mod anchors;
mod block;
mod comments;
mod keys;
mod weave;

use std::collections::hash_map::RandomState;
use std::ops::Range;

use sealwright_crypto::secret::SecretBytes;

use crate::attachment::Spot;
use crate::error::ParseError;
use crate::tree::{Block, Key, Node, NodeId, Span, Text, Tree, Value};

use super::events::{Event, Events, What};
use super::place::Place;
use super::resolve::{self, Resolved};
use super::token::Style;

use anchors::Anchors;
use comments::{Found, Rank};

type Composed<T> = Result<T, ParseError>;

/// A tree and what only the format itself needs to know about it.
pub(super) struct Composition {
    pub(super) tree: Tree,
    /// Where each node begins: its key, its anchor or its tag.
    pub(super) starts: Vec<u32>,
    /// Whether a key is written as an alias, which what it names must outlive.
    pub(super) has_alias_keys: bool,
}

/// Reads a whole text.
pub(super) fn compose(text: SecretBytes) -> Composed<Composition> {
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError::at(
            &[],
            0,
            "files of 4 GiB and more are not supported",
        ));
    }
    if text.is_empty() {
        return Err(ParseError::no_document());
    }
    let mut composer = Composer::new(text.expose())?;
    composer.run()?;
    let Composer {
        events,
        nodes,
        starts,
        documents,
        blocks,
        found,
        anchors,
        unit,
        has_alias_keys,
        ..
    } = composer;
    let (mut nodes, mut found) = (nodes, found);
    let hidden = take_hidden_comments(&mut nodes, &mut found);
    let copies = anchors.copies();
    let most_copied = anchors::most_copied(text.len());
    let woven = weave::weave(
        nodes,
        starts,
        documents,
        (found, hidden),
        copies,
        most_copied,
    );
    let Some(woven) = woven else {
        return Err(ParseError::at(text.expose(), 0, anchors::EXCESSIVE));
    };
    let weave::Woven {
        mut nodes,
        starts,
        documents,
        attachments,
        hidden,
    } = woven;
    if let Some(root) = nodes.first_mut() {
        root.place = Place::of(root.place).with_unit(unit).bits();
    }
    let decoded = events.scanner.decoded.finish();
    Ok(Composition {
        tree: Tree {
            text,
            decoded,
            nodes,
            documents,
            blocks,
            attachments,
            hidden,
        },
        starts,
        has_alias_keys,
    })
}

/// Takes out the comments between a tag and its value, or behind the mark of a block scalar: they lie amidst the bytes that
/// a new value replaces, and are no nodes.
fn take_hidden_comments(nodes: &mut [Node], found: &mut Vec<Found>) -> Vec<Found> {
    let mut hidden = Vec::new();
    if found.is_empty() {
        return hidden;
    }
    found.sort_by_key(|comment| comment.text.start);
    let mut leaf = 0;
    found.retain(|comment| {
        let at = comment.text.start;
        let is_behind = |node: &Node| {
            matches!(node.value, Value::Map | Value::List)
                || Place::of(node.place).is_copy()
                || node.site.end <= at
        };
        while nodes.get(leaf).is_some_and(is_behind) {
            leaf += 1;
        }
        match nodes.get_mut(leaf) {
            Some(node) if node.site.start < at => {
                node.place = Place::of(node.place).holding_comment().bits();
                hidden.push(*comment);
                false
            }
            _ => true,
        }
    });
    hidden
}

/// A collection that is being read.
struct Frame {
    node: NodeId,
    is_map: bool,
    is_flow: bool,
    /// The column of a block collection.
    column: i32,
    key: Option<PendingKey>,
    /// The last complete entry, to which the comments at the foot of the next key belong.
    last: Option<Entry>,
    /// Whether an anchor names it.
    is_anchored: bool,
    /// Whether the value of the merge key is being read as a list.
    is_merge_list: bool,
}

/// An entry of a map, and which of the comments that were found are at the foot of its key.
#[derive(Clone)]
struct Entry {
    node: NodeId,
    foot: Range<usize>,
}

/// A key whose value comes next.
struct PendingKey {
    key: Key,
    start: usize,
    is_merge: bool,
    is_alias: bool,
    /// Which of the comments that were found are at its foot.
    foot: Range<usize>,
}

struct Composer<'a> {
    events: Events<'a>,
    nodes: Vec<Node>,
    starts: Vec<u32>,
    documents: Vec<u32>,
    blocks: Vec<Block>,
    frames: Vec<Frame>,
    found: Vec<Found>,
    /// How many comments were found before the last document.
    found_before: usize,
    anchors: Anchors,
    hasher: RandomState,
    hashes: Vec<(u64, u32)>,
    unit: i32,
    has_alias_keys: bool,
}

impl<'a> Composer<'a> {
    fn new(src: &'a [u8]) -> Composed<Self> {
        Ok(Self {
            events: Events::new(src)?,
            nodes: Vec::with_capacity(src.len() / 64),
            starts: Vec::with_capacity(src.len() / 64),
            documents: Vec::new(),
            blocks: Vec::new(),
            frames: Vec::new(),
            found: Vec::new(),
            found_before: 0,
            anchors: Anchors::default(),
            hasher: RandomState::new(),
            hashes: Vec::new(),
            unit: 0,
            has_alias_keys: false,
        })
    }

    fn error(&self, offset: usize, reason: impl Into<String>) -> ParseError {
        self.events.scanner.error(offset, reason)
    }

    fn run(&mut self) -> Composed<()> {
        loop {
            let event = self.events.next()?;
            match event.what {
                What::StreamEnd if self.documents.is_empty() => {
                    return Err(self.error(event.start, "no document, only blanks and comments"));
                }
                What::StreamEnd => return Ok(()),
                _ => self.document(&event)?,
            }
        }
    }

    fn is_first_document(&self) -> bool {
        self.documents.len() == 1
    }

    // -- documents ---------------------------------------------------------------------------------------------------

    fn document(&mut self, start: &Event) -> Composed<()> {
        let root = self.nodes.len();
        self.documents.push(root as u32);
        self.found_before = self.found.len();
        self.anchors.begin_document();
        self.take_comments(
            start,
            [
                (root, Spot::lead(root, Rank::DOCUMENT_HEAD)),
                (root, Spot::DROPPED),
                (root, Spot::DROPPED),
            ],
        );
        let content = self.events.next()?;
        self.push_node(
            Node {
                key: Key::None,
                value: Value::Map,
                site: Span::new(content.node_start..content.node_start),
                end: 0,
                place: Place::new(Style::Absent, false, -1).bits(),
            },
            content.node_start,
        );
        match content.what {
            What::MappingStart => {
                self.take_start_comments(&content, root);
                self.define_anchor(&content, root);
                let column = if content.flow { 0 } else { content.indent };
                if content.flow || column != 0 {
                    self.set_place(root, Place::rewrite);
                }
                self.open(&content, root);
                while !self.frames.is_empty() {
                    let event = self.events.next()?;
                    self.node(&event)?;
                }
            }
            What::Scalar => self.null_document(&content, root)?,
            What::Alias => self.alias_document(&content, root)?,
            _ => {
                return Err(self.error(
                    content.start,
                    "a document that is a list is not supported, only maps are",
                ));
            }
        }
        let end = self.events.next()?;
        self.take_comments(
            &end,
            [
                (root, Spot::DROPPED),
                (root, Spot::DROPPED),
                (root, Spot::tail(Rank::DOCUMENT_FOOT)),
            ],
        );
        self.nodes[root].site.end = end.start as u32;
        self.nodes[root].end = self.nodes.len() as u32;
        self.extract_blocks(root)
    }

    fn null_document(&mut self, content: &Event, root: NodeId) -> Composed<()> {
        let text = self.events.scanner.content(content.text);
        let quoted = !matches!(content.style, Style::Plain | Style::Absent);
        if resolve::resolve(content.tag, quoted, text) != Ok(Resolved::Null) {
            return Err(self.error(
                content.start,
                "a document that is a single value is not supported, only maps are",
            ));
        }
        self.take_comments(
            content,
            [
                (root, Spot::lead(root, Rank::HEAD)),
                (root, Spot::lead(root, Rank::LINE)),
                (root, Spot::DROPPED),
            ],
        );
        if content.node_start < content.end {
            self.set_place(root, Place::rewrite);
        }
        Ok(())
    }

    /// A document that is an alias to a map of a document before it.
    fn alias_document(&mut self, content: &Event, root: NodeId) -> Composed<()> {
        self.take_comments(
            content,
            [
                (root, Spot::lead(root, Rank::ALIAS_HEAD)),
                (root, Spot::lead(root, Rank::ALIAS_LINE)),
                (root, Spot::tail(Rank::ALIAS_FOOT)),
            ],
        );
        let target = self.anchors.find(self.events.scanner.content(content.text));
        let node = target.and_then(|target| target.node);
        match node {
            Some(node) if self.nodes[node].value == Value::Map && self.nodes[node].end != 0 => {
                self.set_place(root, Place::rewrite);
                self.copy_children(root, node, content)
            }
            _ => Err(self.error(content.start, "a document must be a map")),
        }
    }

    // -- nodes -------------------------------------------------------------------------------------------------------

    fn node(&mut self, event: &Event) -> Composed<()> {
        let frame = self.frames.last().expect("checked by the caller");
        let parent = frame.node;
        if matches!(event.what, What::MappingEnd | What::SequenceEnd) {
            return self.close(event);
        }
        if frame.is_map && frame.key.is_none() {
            return self.key(event);
        }
        let node = self.nodes.len();
        let (key, start) = match &frame.key {
            Some(pending) => (pending.key, pending.start),
            None => (Key::None, event.node_start),
        };
        match event.what {
            What::Scalar => {
                self.take_leaf_comments(event, parent, node);
                let value = self.value(event)?;
                let site = Span::new(event.start..event.end);
                let mut place = Place::new(event.style, event.flow, event.indent);
                if self.is_block_at_margin(event) {
                    place = place.rewrite();
                }
                let place = place.bits();
                self.push_node(
                    Node {
                        key,
                        value,
                        site,
                        end: node as u32 + 1,
                        place,
                    },
                    start,
                );
                self.define_anchor(event, node);
                self.entry_done(node, event)
            }
            What::Alias => {
                self.take_leaf_comments(event, parent, node);
                self.alias(key, start, event)?;
                self.entry_done(node, event)
            }
            _ => {
                let in_list = !frame.is_map;
                let (in_flow, column) = (frame.is_flow, frame.column);
                let is_merge_list = self.is_first_document()
                    && frame.key.as_ref().is_some_and(|key| key.is_merge)
                    && event.what == What::SequenceStart;
                if in_list {
                    self.take_item_comments(event, parent, node);
                } else {
                    self.take_start_comments(event, node);
                }
                let place = Place::new(Style::Absent, in_flow, column);
                let value = if event.what == What::MappingStart {
                    Value::Map
                } else {
                    Value::List
                };
                if !event.flow && !in_list && self.unit == 0 && !self.is_in_block(key) {
                    self.unit = (event.indent - column).clamp(0, 9);
                }
                self.push_node(
                    Node {
                        key,
                        value,
                        site: Span::new(event.node_start..event.node_start),
                        end: 0,
                        place: place.bits(),
                    },
                    start,
                );
                self.define_anchor(event, node);
                self.open(event, node);
                self.frames.last_mut().expect("just opened").is_merge_list = is_merge_list;
                Ok(())
            }
        }
    }

    /// Whether a value is part of the `sops` block, which shows how its writer indents and not how the document does.
    fn is_in_block(&self, key: Key) -> bool {
        let top = match self.frames.get(1) {
            Some(frame) => self.nodes[frame.node].key,
            None => key,
        };
        matches!(top, Key::Text(text) if self.events.scanner.content(text) == b"sops")
    }

    /// Whether a block scalar stands on a line of its own and no deeper than its parent, where no other value may.
    fn is_block_at_margin(&self, event: &Event) -> bool {
        if !matches!(event.style, Style::Literal | Style::Folded) {
            return false;
        }
        let text = self.events.scanner.src();
        let is_at_margin = |start: usize| {
            let before = &text[..start];
            let blanks = before.iter().rev();
            let blanks = blanks.take_while(|byte| **byte == b' ').count();
            let line = before.len() - blanks;
            let starts_line = line == 0
                || (1..=3.min(line))
                    .any(|len| super::characters::break_len(&before[line - len..line]) == len);
            starts_line && i32::try_from(blanks).is_ok_and(|column| column <= event.indent)
        };
        // An anchor may stand on the same line or on one above.
        is_at_margin(event.node_start) || is_at_margin(event.start)
    }

    fn push_node(&mut self, node: Node, start: usize) {
        self.nodes.push(node);
        self.starts.push(start as u32);
    }

    fn set_place(&mut self, node: NodeId, change: impl Fn(Place) -> Place) {
        let place = &mut self.nodes[node].place;
        *place = change(Place::of(*place)).bits();
    }

    fn open(&mut self, event: &Event, node: NodeId) {
        if event.flow {
            self.set_place(node, Place::flow);
        }
        self.frames.push(Frame {
            node,
            is_map: event.what == What::MappingStart,
            is_flow: event.flow,
            column: event.indent,
            key: None,
            last: None,
            is_anchored: event.anchor.is_some(),
            is_merge_list: false,
        });
    }

    fn close(&mut self, event: &Event) -> Composed<()> {
        let frame = self.frames.pop().expect("every end has its start");
        let node = frame.node;
        let end = self.nodes.len();
        self.nodes[node].end = end as u32;
        let site_end = if frame.is_flow {
            event.end
        } else {
            let last = self.nodes[end - 1].site.end as usize;
            last.max(self.nodes[node].site.end as usize)
        };
        self.nodes[node].site.end = self.nodes[node].site.end.max(site_end as u32);
        // A pair in a flow list ends where its value ends.
        if frame.is_flow && frame.is_map && event.start == event.end {
            self.nodes[node].site.end = self.nodes[end - 1].site.end;
        }
        if frame.is_map && self.is_first_document() {
            self.check_keys(node)?;
        }
        if frame.is_merge_list {
            self.check_merge_list(node)?;
        }
        self.take_end_comments(event, &frame);
        match self.frames.is_empty() {
            true => Ok(()),
            false => self.entry_done(node, event),
        }
    }

    /// An entry of the innermost collection is complete.
    fn entry_done(&mut self, node: NodeId, event: &Event) -> Composed<()> {
        let is_first_document = self.is_first_document();
        let frame = self.frames.last_mut().expect("an entry has a collection");
        let key = frame.key.take();
        frame.last = Some(Entry {
            node,
            foot: key.as_ref().map_or(0..0, |key| key.foot.clone()),
        });
        let is_merge = key.as_ref().is_some_and(|key| key.is_merge);
        if key.is_some_and(|key| key.is_alias) {
            let place = &mut self.nodes[node].place;
            *place = Place::of(*place).alias_key().bits();
        }
        let end = self.nodes[node].site.end;
        let owner = frame.node;
        let site = &mut self.nodes[owner].site;
        site.end = site.end.max(end);
        let fits = match self.nodes[node].value {
            Value::Map => true,
            Value::List => !Place::of(self.nodes[node].place).is_alias(),
            _ => false,
        };
        if is_merge && is_first_document && !fits {
            return Err(self.error(event.start, "`<<` takes a map or a list of maps"));
        }
        Ok(())
    }

    fn value(&mut self, event: &Event) -> Composed<Value> {
        let quoted = !matches!(event.style, Style::Plain | Style::Absent);
        let text = self.events.scanner.content(event.text);
        let resolved = match resolve::resolve(event.tag, quoted, text) {
            Ok(resolved) => resolved,
            Err(reason) => return Err(self.error(event.start, reason)),
        };
        Ok(match resolved {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            Resolved::Int(value) => Value::Int(value),
            Resolved::Unsigned => Value::Unsupported(event.text),
            Resolved::Float(value) => Value::Float(value),
            Resolved::Str => Value::Str(event.text),
            Resolved::Time(time) if time.text().as_bytes() == text => Value::Time(event.text),
            Resolved::Time(time) => Value::Time(self.decoded(time.text().as_bytes())),
            Resolved::Binary(bytes) => Value::Str(self.decoded(&bytes)),
        })
    }

    fn decoded(&mut self, bytes: &[u8]) -> Text {
        let decoded = &mut self.events.scanner.decoded;
        let from = decoded.len();
        decoded.push(bytes);
        Text::Decoded(Span::new(from..decoded.len()))
    }
}

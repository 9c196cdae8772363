//! To which collection a comment belongs, and where upstream lists it there.
//!
//! yaml.v3 gives the comments of an event to the node that the event opens or ends, moves some of them to a key, and lets
//! later ones take the place of earlier ones, which are lost. Upstream then lists what is left.

use std::ops::Range;

use crate::attachment::Spot;
use crate::tree::{NodeId, Span};

use super::super::events::{Event, What};
use super::{Composer, Frame};

/// A comment that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Behind its mark.
    pub(super) text: Span,
    pub(super) parent: u32,
    pub(super) spot: Spot,
    pub(super) inline: bool,
}

/// The order of comments at one place.
pub(super) struct Rank;

impl Rank {
    // Before all values of a collection.
    pub(super) const DOCUMENT_HEAD: u8 = 0;
    pub(super) const ALIAS_HEAD: u8 = 2;
    pub(super) const ALIAS_LINE: u8 = 3;
    pub(super) const HEAD: u8 = 4;
    pub(super) const LINE: u8 = 5;
    // Before a value.
    const KEY_HEAD: u8 = 0;
    const KEY_LINE: u8 = 1;
    const VALUE_HEAD: u8 = 2;
    const VALUE_LINE: u8 = 3;
    // Behind a value.
    const VALUE_FOOT: u8 = 0;
    const KEY_FOOT: u8 = 1;
    // Behind all values.
    pub(super) const FOOT: u8 = 0;
    pub(super) const ALIAS_FOOT: u8 = 1;
    pub(super) const DOCUMENT_FOOT: u8 = 2;
}

/// A collection and a place in it.
type Home = (NodeId, Spot);

/// The comments of an anchored list element that stand outside of it. An alias has them inside.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnComments {
    pub(super) head: Vec<Span>,
    pub(super) line: Vec<Span>,
    pub(super) foot: Vec<Span>,
}

impl Composer<'_> {
    /// Notes the comments of an event: head, line and foot. Those on the line of a value share it with that value.
    pub(super) fn take_comments(&mut self, event: &Event, homes: [Home; 3]) {
        if !event.has_comments {
            return;
        }
        let is_value = matches!(event.what, What::Scalar | What::Alias)
            && self
                .frames
                .last()
                .is_some_and(|frame| !frame.is_map || frame.key.is_some());
        let comments = std::mem::take(&mut self.events.comments);
        let [head, line, foot] = homes;
        self.note(&comments.head, head, false);
        self.note(&comments.line, line, is_value);
        self.note(&comments.foot, foot, false);
    }

    /// Notes the comments of a key that is about to be read, and returns which of those found are at its foot.
    pub(super) fn take_key_comments(&mut self, event: &Event, map: NodeId) -> Range<usize> {
        let entry = self.nodes.len();
        let frame = self.frames.last().expect("a key stands in a map");
        let last = match &frame.last {
            Some(last) if !frame.is_flow => Some(last.clone()),
            _ => None,
        };
        let has_foot = event.has_comments && has_text(&self.events.comments.foot);
        let foot = match &last {
            // The foot of a key is about the entry before, when there is one.
            Some(last) => Spot::after(last.node, Rank::KEY_FOOT),
            None => Spot::after(entry, Rank::KEY_FOOT),
        };
        self.take_comments(
            event,
            [
                (map, Spot::before(entry, Rank::KEY_HEAD)),
                (map, Spot::before(entry, Rank::KEY_LINE)),
                (map, foot),
            ],
        );
        match last {
            Some(last) => {
                if has_foot {
                    self.drop_found(last.foot);
                }
                0..0
            }
            None => self.feet(entry),
        }
    }

    /// Notes the comments of a scalar or an alias.
    pub(super) fn take_leaf_comments(&mut self, event: &Event, parent: NodeId, node: NodeId) {
        let frame = self.frames.last().expect("a value stands in a collection");
        let (is_map, key_has_foot) = (frame.is_map, self.key_has_foot());
        let foot = if is_map && !key_has_foot {
            Rank::KEY_FOOT
        } else {
            Rank::VALUE_FOOT
        };
        self.take_comments(
            event,
            [
                (parent, Spot::before(node, Rank::VALUE_HEAD)),
                (parent, Spot::before(node, Rank::VALUE_LINE)),
                (parent, Spot::after(node, foot)),
            ],
        );
        if is_map && !key_has_foot {
            self.foot_becomes_that_of_the_key(node);
        }
    }

    /// Notes the comments at the start of a collection. What stands on its line there is lost when it ends.
    pub(super) fn take_start_comments(&mut self, event: &Event, node: NodeId) {
        self.take_comments(
            event,
            [
                (node, Spot::lead(node, Rank::HEAD)),
                (node, Spot::DROPPED),
                (node, Spot::DROPPED),
            ],
        );
    }

    /// Notes the comments at the start of a collection that is an element of a list.
    pub(super) fn take_item_comments(&mut self, event: &Event, list: NodeId, node: NodeId) {
        if event.anchor.is_some() && event.has_comments {
            let head = self.events.comments.head.clone();
            self.anchors.own(node).head = head;
        }
        self.take_comments(
            event,
            [
                (list, Spot::before(node, Rank::VALUE_HEAD)),
                (list, Spot::DROPPED),
                (list, Spot::DROPPED),
            ],
        );
    }

    /// Notes the comments at the end of a collection, which is no longer open.
    pub(super) fn take_end_comments(&mut self, event: &Event, frame: &Frame) {
        if !event.has_comments {
            return;
        }
        let node = frame.node;
        let is_block_map = frame.is_map && !frame.is_flow;
        let comments = std::mem::take(&mut self.events.comments);
        let around = self.frames.last();
        let (parent, in_list) =
            around.map_or((node, false), |around| (around.node, !around.is_map));
        let is_root = around.is_none();
        if in_list && frame.is_anchored {
            let own = self.anchors.own(node);
            own.line.clone_from(&comments.line);
            if !is_block_map {
                own.foot.clone_from(&comments.foot);
            }
        }
        self.note(&comments.head, (parent, Spot::DROPPED), false);
        let line = match in_list {
            true => (parent, Spot::before(node, Rank::VALUE_LINE)),
            false => (node, Spot::lead(node, Rank::LINE)),
        };
        self.note(&comments.line, line, in_list);
        match &frame.last {
            Some(last) if is_block_map => {
                if has_text(&comments.foot) {
                    self.drop_found(last.foot.clone());
                }
                let foot = Spot::after(last.node, Rank::KEY_FOOT);
                self.note(&comments.foot, (node, foot), false);
            }
            _ if in_list => {
                let foot = Spot::after(node, Rank::VALUE_FOOT);
                self.note(&comments.foot, (parent, foot), false);
            }
            _ if is_root || self.key_has_foot() => {
                let foot = Spot::tail(Rank::FOOT);
                self.note(&comments.foot, (node, foot), false);
            }
            _ => {
                let foot = Spot::after(node, Rank::KEY_FOOT);
                self.note(&comments.foot, (parent, foot), false);
                self.foot_becomes_that_of_the_key(node);
            }
        }
    }

    fn key_has_foot(&self) -> bool {
        let frame = self.frames.last();
        let key = frame.and_then(|frame| frame.key.as_ref());
        key.is_some_and(|key| !key.foot.is_empty())
    }

    fn foot_becomes_that_of_the_key(&mut self, node: NodeId) {
        let feet = self.feet(node);
        let frame = self.frames.last_mut();
        if let Some(key) = frame.and_then(|frame| frame.key.as_mut()) {
            key.foot = feet;
        }
    }

    /// The comments found last that are at the foot of a key.
    fn feet(&self, entry: NodeId) -> Range<usize> {
        let spot = Spot::after(entry, Rank::KEY_FOOT);
        let last = self.found.iter().rev();
        let count = last.take_while(|found| found.spot == spot).count();
        self.found.len() - count..self.found.len()
    }

    /// Later comments take the place of these.
    fn drop_found(&mut self, range: Range<usize>) {
        for found in &mut self.found[range] {
            found.spot = Spot::DROPPED;
        }
    }

    fn note(&mut self, lines: &[Span], (parent, spot): Home, inline: bool) {
        let lines = lines.iter().filter(|line| !line.is_empty());
        self.found.extend(lines.map(|line| Found {
            // Behind the `#`.
            text: Span::new(line.start as usize + 1..line.end as usize),
            parent: parent as u32,
            spot,
            inline,
        }));
    }
}

fn has_text(lines: &[Span]) -> bool {
    lines.iter().any(|line| !line.is_empty())
}

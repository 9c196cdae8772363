//! Puts comments between the nodes where they stand in the text, below the collection that they belong to.

use std::collections::HashMap;
use std::iter::Peekable;

use crate::attachment::{Attachment, HiddenComment, Spot};
use crate::tree::{Key, Node, Span, Text, Value};

use super::super::place::Place;
use super::anchors::{Copy, text_len};
use super::comments::{Found, Rank};

/// Nodes with the comments among them.
pub(super) struct Woven {
    pub(super) nodes: Vec<Node>,
    /// Where each node starts.
    pub(super) starts: Vec<u32>,
    /// The roots.
    pub(super) documents: Vec<u32>,
    pub(super) attachments: Vec<Attachment>,
    /// Comments that are no nodes.
    pub(super) hidden: Vec<HiddenComment>,
}

/// Aliases may repeat so many comments in any document, and in a long one in proportion to its nodes.
const FREE_COPIES: usize = 10_000;
const COPIES_PER_NODE: usize = 8;

/// Gives nodes, where they start, and roots, with the comments among them. Sites ascend: a comment that stands amidst
/// another collection than its own lies in that one, and says how far above its own is. An alias of a collection has
/// copies of the comments in it. `None` when these are too many, or have more than `most_bytes` together.
pub(super) fn weave(
    nodes: Vec<Node>,
    starts: Vec<u32>,
    documents: Vec<u32>,
    (mut found, hidden): (Vec<Found>, Vec<Found>),
    copies: Vec<Copy>,
    most_bytes: usize,
) -> Option<Woven> {
    if found.is_empty() && hidden.is_empty() {
        return Some(Woven {
            nodes,
            starts,
            documents,
            attachments: Vec::new(),
            hidden: Vec::new(),
        });
    }
    found.sort_by_key(|comment| comment.text.start);
    let room = nodes.len() + found.len();
    let last_of = found.iter().enumerate();
    let last_of = last_of.map(|(at, comment)| (comment.parent, at)).collect();
    let mut weaver = Weaver {
        out: Vec::with_capacity(room),
        starts: Vec::with_capacity(room),
        attachments: Vec::with_capacity(found.len()),
        open: Vec::new(),
        found: &found,
        next: 0,
        last_of,
        targets: copies.iter().map(|copy| (copy.target, u32::MAX)).collect(),
        new_of: vec![u32::MAX; nodes.len() + 1],
        hidden: HashMap::new(),
        hidden_to_come: hidden.iter().peekable(),
        copied: 0,
        limit: FREE_COPIES + COPIES_PER_NODE * room,
        copied_bytes: 0,
        most_bytes,
    };
    let mut roots = Vec::with_capacity(documents.len());
    let mut document = documents.iter().copied().peekable();
    let mut copies = copies.into_iter().peekable();
    let mut copied_to = 0;
    for (index, node) in nodes.iter().enumerate() {
        let index = index as u32;
        if index < copied_to {
            continue; // there already, with the comments among them
        }
        let is_root = document.next_if_eq(&index).is_some();
        if is_root {
            // All that belongs to the documents before comes first.
            weaver.take_before(u32::MAX, index);
            weaver.close_to(0);
            roots.push(weaver.out.len() as u32);
        } else {
            weaver.take_before(node.site.start, index);
            // From the innermost outwards: there may be thousands around a long list.
            let around = weaver.open.iter().rposition(|open| open.old_end > index);
            weaver.close_to(around.map_or(0, |at| at + 1));
        }
        weaver.push(*node, starts[index as usize], index);
        if let Some(copy) = copies.next_if(|copy| copy.alias == index) {
            weaver.copy(&copy, &nodes)?;
            copied_to = node.end;
        }
    }
    weaver.take_before(u32::MAX, u32::MAX);
    weaver.close_to(0);
    weaver.hide_before(u32::MAX);
    let mut hidden: Vec<_> = weaver.hidden.into_values().flatten().collect();
    hidden.sort_by_key(|comment| (comment.parent, comment.text.start));
    let new_of = weaver.new_of;
    let mut attachments = weaver.attachments;
    for (attachment, is_old) in &mut attachments {
        if *is_old {
            attachment.spot = attachment.spot.moved(|old| new_of[old as usize]);
        }
    }
    Some(Woven {
        nodes: weaver.out,
        starts: weaver.starts,
        documents: roots,
        attachments: attachments.into_iter().map(|(it, _)| it).collect(),
        hidden,
    })
}

struct Open {
    new: usize,
    old: u32,
    old_end: u32,
}

struct Weaver<'a> {
    out: Vec<Node>,
    starts: Vec<u32>,
    /// With whether the spot still has the old number of its node.
    attachments: Vec<(Attachment, bool)>,
    open: Vec<Open>,
    found: &'a [Found],
    next: usize,
    /// The last comment of each collection that has some.
    last_of: HashMap<u32, usize>,
    /// Where the targets of aliases are now.
    targets: HashMap<u32, u32>,
    /// The new numbers of nodes.
    new_of: Vec<u32>,
    /// Hidden comments of collections that are there already, and the ones still to come.
    hidden: HashMap<u32, Vec<HiddenComment>>,
    hidden_to_come: Peekable<std::slice::Iter<'a, Found>>,
    /// How many comments are copies.
    copied: usize,
    limit: usize,
    /// How long these are together: each is written, and may be encrypted, as often as it is repeated.
    copied_bytes: usize,
    most_bytes: usize,
}

impl Weaver<'_> {
    fn push(&mut self, node: Node, start: u32, old: u32) {
        let new = self.out.len();
        self.out.push(node);
        self.starts.push(start);
        self.new_of[old as usize] = new as u32;
        if let Some(target) = self.targets.get_mut(&old) {
            *target = new as u32;
        }
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

    /// Puts in the comments that stand before an offset. One of a collection that is not open yet waits for it: only
    /// collections and absent values can stand between, because any other value takes the comments before it.
    fn take_before(&mut self, offset: u32, next_node: u32) {
        while let Some(comment) = self.found.get(self.next) {
            if comment.text.start > offset || comment.parent >= next_node {
                return;
            }
            let wanted = self
                .open
                .iter()
                .rposition(|open| open.old == comment.parent);
            // Collections with nodes or comments to come stay open, and so does the root.
            let has_more = |open: &Open| {
                let last = self.last_of.get(&open.old);
                open.old_end > next_node || last.is_some_and(|last| *last > self.next)
            };
            let least = self.open.iter().rposition(has_more);
            let least = least.map_or(1, |index| index + 1);
            let wanted = wanted.map_or(least, |index| index + 1);
            let depth = wanted.max(least);
            let above = u16::try_from(depth - wanted).unwrap_or(0);
            if depth < self.open.len() {
                self.close_to(depth);
            }
            self.comment(comment.text, comment.inline, above, comment.spot, true);
            self.next += 1;
        }
    }

    fn comment(&mut self, text: Span, inline: bool, above: u16, spot: Spot, is_old: bool) {
        let new = self.out.len();
        self.out.push(Node {
            key: Key::None,
            value: Value::Comment {
                text: Text::File(text),
                inline,
                above,
            },
            site: text,
            end: new as u32 + 1,
            place: 0,
        });
        self.starts.push(text.start.saturating_sub(1));
        let comment = new as u32;
        self.attachments
            .push((Attachment { comment, spot }, is_old));
    }

    /// Notes the hidden comments before an offset, of nodes that are there by then.
    fn hide_before(&mut self, offset: u32) {
        while let Some(comment) = self
            .hidden_to_come
            .next_if(|comment| comment.text.start < offset)
        {
            let new_of = |old: u32| self.new_of[old as usize];
            let parent = new_of(comment.parent);
            let spot = comment.spot.moved(new_of);
            let of_parent = self.hidden.entry(parent).or_default();
            of_parent.push(HiddenComment {
                text: comment.text,
                parent,
                spot,
            });
        }
    }

    /// Counts comments that an alias repeats; `None` when there is too much of them.
    fn count_copied(&mut self, comments: usize, bytes: usize) -> Option<()> {
        self.copied += comments;
        self.copied_bytes += bytes;
        (self.copied <= self.limit && self.copied_bytes <= self.most_bytes).then_some(())
    }

    /// Puts a comment that an alias repeats.
    fn copied_comment(&mut self, site: Span, text: Text, above: u16, spot: Spot) -> Option<()> {
        self.count_copied(1, text_len(text))?;
        self.comment(site, false, above, spot, false);
        let new = self.out.len() - 1;
        self.out[new].value = Value::Comment {
            text,
            inline: false,
            above,
        };
        self.out[new].place = Place::of(0).copy().bits();
        Some(())
    }

    /// Puts what an alias stands for behind the alias, which is open: the nodes of its target and the comments in it.
    fn copy(&mut self, copy: &Copy, old_nodes: &[Node]) -> Option<()> {
        let alias = self
            .open
            .last()
            .expect("an alias of a collection is one")
            .new;
        let target = self.targets.get(&copy.target).copied()? as usize;
        let old_alias = &old_nodes[copy.alias as usize];
        let site = Span {
            start: old_alias.site.end,
            end: old_alias.site.end,
        };
        let own = |this: &mut Self, lines: &[Span], spot: Spot| {
            lines
                .iter()
                .filter(|line| !line.is_empty())
                .try_for_each(|line| {
                    let text = Span::new(line.start as usize + 1..line.end as usize);
                    this.copied_comment(site, Text::File(text), 0, spot)
                })
        };
        own(self, &copy.own.head, Spot::lead(alias, Rank::HEAD))?;
        own(self, &copy.own.line, Spot::lead(alias, Rank::LINE))?;
        // The collections that are being copied: their end in the target, and their own number.
        let mut open: Vec<(u32, usize)> = Vec::new();
        let mut moved: HashMap<u32, u32> = HashMap::from([(target as u32, alias as u32)]);
        let from = self
            .attachments
            .partition_point(|(it, _)| (it.comment as usize) <= target);
        let mut attached = from;
        let end = self.out[target].end as usize;
        let mut late: Vec<(usize, Spot)> = Vec::new();
        for at in target + 1..end {
            while open.last().is_some_and(|(end, _)| *end as usize <= at) {
                let (_, new) = open.pop().expect("just seen");
                self.out[new].end = self.out.len() as u32;
            }
            let node = self.out[at];
            if let Value::Comment { text, above, .. } = node.value {
                let (attachment, is_old) = self.attachments[attached];
                attached += 1;
                // What lies in the target and belongs to a collection around it is not repeated.
                if usize::from(above) > open.len() {
                    continue;
                }
                let spot = match is_old {
                    true => attachment.spot.moved(|old| self.new_of[old as usize]),
                    false => attachment.spot,
                };
                late.push((self.attachments.len(), spot));
                self.copied_comment(site, text, above, Spot::DROPPED)?;
                continue;
            }
            let new = self.out.len();
            moved.insert(at as u32, new as u32);
            self.out.push(Node {
                site,
                end: new as u32 + 1,
                place: Place::of(node.place).copy().bits(),
                ..node
            });
            self.starts.push(site.end);
            if matches!(node.value, Value::Map | Value::List) {
                open.push((node.end, new));
            }
        }
        for (_, new) in open.drain(..) {
            self.out[new].end = self.out.len() as u32;
        }
        for (at, spot) in late {
            let is_document = spot == Spot::lead(target, Rank::DOCUMENT_HEAD)
                || spot >= Spot::tail(Rank::ALIAS_FOOT);
            self.attachments[at].0.spot = match is_document {
                true => Spot::DROPPED,
                false => spot.moved(|node| moved.get(&node).copied().unwrap_or(node)),
            };
        }
        self.hide_before(site.start);
        for (target, parent) in &moved {
            let Some(comments) = self.hidden.get(target) else {
                continue;
            };
            let new_of = |node| moved.get(&node).copied().unwrap_or(node);
            let copies = comments.iter().map(|comment| HiddenComment {
                text: comment.text,
                parent: *parent,
                spot: comment.spot.moved(new_of),
            });
            let copies: Vec<HiddenComment> = copies.collect();
            let bytes = copies.iter().map(|comment| comment.text.len()).sum();
            self.count_copied(copies.len(), bytes)?;
            self.hidden.insert(*parent, copies);
        }
        own(self, &copy.own.foot, Spot::tail(Rank::FOOT))
    }
}

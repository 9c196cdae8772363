//! Where upstream's tree has a comment, which is not always where the file has it.
//!
//! Upstream's YAML reader gives each comment to a node: its head, its line or its foot. Upstream then lists the comment
//! before or behind that node, or inside of it. Rules about comments, and the indices of list elements, go by that list.
//! Our tree keeps the order of the file, so each comment says where it is listed.

use crate::span::{NodeId, Span};

/// Which place in upstream's list a comment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The comment.
    pub comment: u32,
    /// Its place among the children of the collection that it belongs to.
    pub spot: Spot,
}

/// A comment amidst the bytes of a value: behind its tag, or behind the mark of a block scalar. Upstream lists it like any
/// other. A new value takes its place, so it is no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenComment {
    /// Where its text stands, behind the mark.
    pub text: Span,
    /// The collection that it belongs to.
    pub parent: u32,
    /// Its place among the children of the collection.
    pub spot: Spot,
}

/// What upstream lists in a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A value or a comment that is a node.
    Node(NodeId),
    /// A comment amidst the bytes of a value.
    Hidden(Span),
}

/// A place among the children of a collection: near one of them, or at an end. Spots of one collection are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    node: u32,
    rank: u8,
}

impl Spot {
    /// Upstream does not list the comment at all.
    pub const DROPPED: Self = Self {
        node: u32::MAX,
        rank: u8::MAX,
    };

    /// The rank of a value among the comments that are attached to it.
    const VALUE: u8 = 8;

    /// Before all values of `collection`; `rank` orders several comments there.
    pub fn lead(collection: NodeId, rank: u8) -> Self {
        Self {
            node: id(collection),
            rank,
        }
    }

    /// Before `value`, a child of the collection.
    pub fn before(value: NodeId, rank: u8) -> Self {
        debug_assert!(rank < Self::VALUE);
        Self {
            node: id(value),
            rank,
        }
    }

    /// Behind `value` with everything in it.
    pub fn after(value: NodeId, rank: u8) -> Self {
        Self {
            node: id(value),
            rank: Self::VALUE + 1 + rank,
        }
    }

    /// Behind all values of the collection.
    pub fn tail(rank: u8) -> Self {
        Self {
            node: u32::MAX,
            rank,
        }
    }

    /// Returns the spot after node numbers have changed.
    pub fn moved(self, new: impl Fn(u32) -> u32) -> Self {
        match self.node {
            u32::MAX => self,
            node => Self {
                node: new(node),
                ..self
            },
        }
    }

    /// The value or the collection that it is near to; `None` at the end.
    pub fn node(self) -> Option<NodeId> {
        (self.node != u32::MAX).then_some(self.node as usize)
    }

    pub(crate) fn value(node: NodeId) -> Self {
        Self {
            node: id(node),
            rank: Self::VALUE,
        }
    }
}

pub(crate) fn id(node: NodeId) -> u32 {
    u32::try_from(node).expect("there are fewer nodes than bytes")
}

//! Where things lie: bytes in a buffer, and nodes in a tree.

use std::ops::Range;

/// Where some bytes lie in a buffer. Files are limited to 4 GiB, so that a node stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Just past the last byte.
    pub end: u32,
}

impl Span {
    /// A span of a buffer that is known to be shorter than 4 GiB.
    pub fn new(range: Range<usize>) -> Self {
        let at =
            |offset: usize| u32::try_from(offset).expect("formats refuse files of 4 GiB and more");
        Self {
            start: at(range.start),
            end: at(range.end),
        }
    }

    /// As a range to index with.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// How many bytes it covers.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it covers none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The index of a node.
pub type NodeId = usize;

//! What the scanner hands to the parser.

use crate::tree::{Span, Text};

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    /// `%YAML`; `text` is the number.
    VersionDirective,
    /// `%TAG`; `text` is the whole line.
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Not written at all: nothing stands where a value may.
    Absent,
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) style: Style,
    /// Where it counts as standing when comments are dealt out; a block end may stand before comments already read.
    pub(super) mark: i64,
    /// The bytes it is written with; a block scalar ends before the line break that ends its last line.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its content: an anchor's name, a scalar's value.
    pub(super) text: Text,
    /// The indentation of the block collection it stands in, -1 outside of all.
    pub(super) indent: i32,
    /// Whether it stands in a flow collection.
    pub(super) in_flow: bool,
}

/// A position as comments are compared by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) at: i64,
    pub(super) line: i64,
    pub(super) column: i64,
}

/// Where a comment stands in relation to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Already dealt out.
    Spent,
    Head,
    Line,
    Foot,
}

/// A run of comment lines that belong together.
#[derive(Debug)]
pub(super) struct Comment {
    pub(super) position: Position,
    /// Where the search for the next token began.
    pub(super) scan_mark: i64,
    /// The token it belongs to stands here or behind.
    pub(super) token_mark: i64,
    pub(super) start: Mark,
    pub(super) end: i64,
    /// The lines, mark included; an empty span is a blank line.
    pub(super) lines: Vec<Span>,
}

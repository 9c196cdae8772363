//! How and where a node is written, packed into [`Node::place`](crate::tree::Node::place).

use super::token::Style;

/// How and where a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

const IN_FLOW: u32 = 1 << 3;
const IS_FLOW: u32 = 1 << 4;
const COPY: u32 = 1 << 5;
const ALIAS: u32 = 1 << 6;
const REWRITE: u32 = 1 << 7;
const ALIAS_KEY: u32 = 1 << 8;
const HOLDS_COMMENT: u32 = 1 << 9;
const INDENT_SHIFT: u32 = 12;

impl Place {
    pub(super) fn new(style: Style, in_flow: bool, indent: i32) -> Self {
        let style = match style {
            Style::Absent => 0,
            Style::Plain => 1,
            Style::Single => 2,
            Style::Double => 3,
            Style::Literal => 4,
            Style::Folded => 5,
        };
        let indent = u32::try_from(indent.saturating_add(1)).unwrap_or(0);
        Self(style | if in_flow { IN_FLOW } else { 0 }).with_indent(indent)
    }

    pub(super) fn of(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// How a scalar is written.
    pub(super) fn style(self) -> Style {
        match self.0 & 7 {
            0 => Style::Absent,
            1 => Style::Plain,
            2 => Style::Single,
            3 => Style::Double,
            4 => Style::Literal,
            _ => Style::Folded,
        }
    }

    /// Whether it stands inside of a flow collection.
    pub(super) fn in_flow(self) -> bool {
        self.0 & IN_FLOW != 0
    }

    /// Whether it is a flow collection.
    pub(super) fn is_flow(self) -> bool {
        self.0 & IS_FLOW != 0
    }

    /// Whether it is part of what an alias stands for, and has no bytes of its own.
    pub(super) fn is_copy(self) -> bool {
        self.0 & COPY != 0
    }

    /// Whether it is written as an alias.
    pub(super) fn is_alias(self) -> bool {
        self.0 & ALIAS != 0
    }

    /// Whether a root cannot take a `sops` block as it is.
    pub(super) fn needs_rewrite(self) -> bool {
        self.0 & REWRITE != 0
    }

    /// Whether its key is written as an alias.
    pub(super) fn has_alias_key(self) -> bool {
        self.0 & ALIAS_KEY != 0
    }

    /// The column of the block collection around a node, -1 for none.
    pub(super) fn indent(self) -> i32 {
        (self.0 >> INDENT_SHIFT) as i32 - 1
    }

    /// For the first root: the columns per level of the file, 0 when it shows none.
    pub(super) fn unit(self) -> usize {
        (self.0 >> INDENT_SHIFT) as usize
    }

    pub(super) fn with_unit(self, unit: i32) -> Self {
        self.with_indent(u32::try_from(unit).unwrap_or(0))
    }

    pub(super) fn flow(self) -> Self {
        Self(self.0 | IS_FLOW)
    }

    pub(super) fn copy(self) -> Self {
        Self(self.0 | COPY)
    }

    pub(super) fn alias(self) -> Self {
        Self(self.0 | ALIAS)
    }

    pub(super) fn rewrite(self) -> Self {
        Self(self.0 | REWRITE)
    }

    /// Whether a comment stands behind the mark of this block scalar, which is no node then.
    pub(super) fn holds_comment(self) -> bool {
        self.0 & HOLDS_COMMENT != 0
    }

    pub(super) fn holding_comment(self) -> Self {
        Self(self.0 | HOLDS_COMMENT)
    }

    pub(super) fn alias_key(self) -> Self {
        Self(self.0 | ALIAS_KEY)
    }

    fn with_indent(self, indent: u32) -> Self {
        let low = self.0 & ((1 << INDENT_SHIFT) - 1);
        Self(low | indent.min((1 << (32 - INDENT_SHIFT)) - 1) << INDENT_SHIFT)
    }
}

//! What a template consists of once it is parsed.

use std::ops::Range;

use crate::text::Text;

/// Where something stands in the source of its template.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes before it.
    pub(crate) offset: usize,
    /// Its line, counted from 1.
    pub(crate) line: usize,
}

/// Nodes in the order in which they run.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) nodes: Vec<Node>,
}

/// One text, action or control structure.
pub(crate) enum Node {
    /// Text outside of actions: a part of the source.
    Text(Position, Range<usize>),
    /// A pipeline whose value is printed, unless it declares variables.
    Action(Pipe),
    /// `if` or `with`.
    Branch(Branch),
    /// `range`
    Loop(Box<Loop>),
    /// `template`
    Call(Call),
    /// `break`
    Break,
    /// `continue`
    Continue,
}

/// An `if` or `with` with all its `else if` and `else with`: a list, so that no number of them nests.
pub(crate) struct Branch {
    pub(crate) position: Position,
    /// Whether the value of an arm's pipeline becomes the dot inside of it.
    pub(crate) sets_dot: bool,
    pub(crate) arms: Vec<(Pipe, List)>,
    pub(crate) otherwise: Option<List>,
}

/// A `range`.
pub(crate) struct Loop {
    pub(crate) pipe: Pipe,
    pub(crate) body: List,
    pub(crate) otherwise: Option<List>,
}

/// A call of another template.
pub(crate) struct Call {
    pub(crate) position: Position,
    pub(crate) name: String,
    pub(crate) argument: Option<Pipe>,
    /// The call as it is written.
    pub(crate) source: Range<usize>,
}

/// Commands, each with the value of the one before as its last argument.
pub(crate) struct Pipe {
    pub(crate) position: Position,
    /// Variables that get the value, with their `$`.
    pub(crate) variables: Vec<String>,
    /// Whether the variables exist already (`=` instead of `:=`).
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand with its arguments.
pub(crate) struct Command {
    pub(crate) position: Position,
    pub(crate) operands: Vec<Operand>,
    /// The command as it is written.
    pub(crate) source: Range<usize>,
}

/// One operand.
pub(crate) struct Operand {
    pub(crate) position: Position,
    pub(crate) kind: OperandKind,
    /// The operand as it is written.
    pub(crate) source: Range<usize>,
}

/// What an operand is.
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Text),
    Function(String),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    /// `(…)`
    Pipe(Pipe),
    /// `(…).a.b` or `function.a.b`
    Chain(Box<Operand>, Vec<String>),
}

/// A numeric literal, as Go's constants become values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Number {
    Int(i64),
    /// An integer that only fits without a sign, which no operation takes.
    TooLarge,
    Float(f64),
}

impl List {
    /// Returns true if there is nothing but white space: such a tree replaces no other one.
    pub(crate) fn is_empty(&self, source: &str) -> bool {
        self.nodes.iter().all(|node| match node {
            Node::Text(_, range) => source[range.clone()].trim().is_empty(),
            _ => false,
        })
    }
}

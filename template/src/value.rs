//! The values templates work on, with the types that Go gives them.

mod containers;
mod equality;

pub(crate) use self::containers::{CONTAINER_SIZE, Dict, ENTRY_SIZE, List, ListKind, TextMap};

use std::sync::Arc;

use crate::budget::{Budget, Exceeded};
use crate::certificate::Certificate;
use crate::text::Text;
use crate::time::Time;
use crate::version::Version;

/// Lists and maps inside one another. Every walk over a value recurses, so this bounds the stack.
pub(crate) const MAX_DEPTH: usize = 100;

/// A value, by its Go type.
#[derive(Clone)]
pub(crate) enum Value {
    /// No value, or a nil interface.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `int64`
    Int64(i64),
    /// `uint8`, what indexing a string gives
    Uint8(u8),
    /// `uint64`
    Uint64(u64),
    /// `float64`
    Float(f64),
    /// `string`
    Text(Text),
    /// A slice.
    List(List),
    /// `map[string]string`, which no function changes
    TextMap(TextMap),
    /// `map[string]interface {}`
    Dict(Dict),
    /// `time.Time`
    Time(Time),
    /// `time.Duration`, in nanoseconds
    Duration(i64),
    /// `sprig.certificate`
    Certificate(Arc<Certificate>),
    /// `*semver.Version`
    Version(Arc<Version>),
}

static_assertions::assert_not_impl_any!(Value: std::fmt::Debug, std::fmt::Display);

impl Value {
    pub(crate) fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// A `[]interface {}`.
    pub(crate) fn list(items: Vec<Value>) -> Self {
        Self::List(List::new(ListKind::Any, items))
    }

    /// A `[]string`.
    pub(crate) fn texts(items: Vec<Text>) -> Self {
        let items = items.into_iter().map(Value::Text).collect();
        Self::List(List::new(ListKind::Text, items))
    }

    pub(crate) fn dict(entries: impl IntoIterator<Item = (Text, Value)>) -> Self {
        Self::Dict(Dict::new(entries.into_iter().collect()))
    }

    /// Lets a value that a function made count, with everything in it that does not count yet.
    ///
    /// # Errors
    ///
    /// Fails if the memory or the depth is used up.
    pub(crate) fn adopt(&self, budget: &Budget) -> Result<(), String> {
        if self.height() > MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(self.charge(budget)?)
    }

    /// The value, which counts from now on: for what grows while a function works.
    pub(crate) fn counted(self, budget: &Budget) -> Result<Self, Exceeded> {
        self.charge(budget)?;
        Ok(self)
    }

    fn charge(&self, budget: &Budget) -> Result<(), Exceeded> {
        match self {
            Self::Text(text) => text.adopt(budget),
            Self::List(list) => list.adopt(budget, &|value| value.charge(budget)),
            Self::TextMap(map) => map.adopt(budget),
            Self::Dict(dict) => dict.adopt(budget, &|value| value.charge(budget)),
            Self::Certificate(pair) => {
                pair.cert.adopt(budget)?;
                pair.key.adopt(budget)
            }
            _ => Ok(()),
        }
    }

    /// Levels of lists and maps in it.
    pub(crate) fn height(&self) -> usize {
        match self {
            Self::List(list) => list.height(),
            Self::Dict(dict) => dict.height(),
            Self::TextMap(_) => 1,
            _ => 0,
        }
    }

    /// The name of the type as Go prints it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint8(_) => "uint8",
            Self::Uint64(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(list) => match list.kind {
                ListKind::Any => "[]interface {}",
                ListKind::Text => "[]string",
                ListKind::Int => "[]int",
                ListKind::Lists => "[][]interface {}",
            },
            Self::TextMap(_) => "map[string]string",
            Self::Dict(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Certificate(_) => "sprig.certificate",
            Self::Version(_) => "*semver.Version",
        }
    }

    /// The kind of the type as Go's reflection names it.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(_) => "slice",
            Self::TextMap(_) | Self::Dict(_) => "map",
            Self::Time(_) | Self::Certificate(_) => "struct",
            Self::Version(_) => "ptr",
            Self::Duration(_) => "int64",
            other => other.type_name(),
        }
    }

    /// What `if` and `with` ask.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) | Self::Duration(value) => *value != 0,
            Self::Uint8(value) => *value != 0,
            Self::Uint64(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.bytes().is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::TextMap(map) => !map.entries().is_empty(),
            Self::Dict(dict) => dict.len() > 0,
            Self::Time(_) | Self::Certificate(_) | Self::Version(_) => true,
        }
    }
}

/// Says that a value nests too deeply.
pub(crate) fn too_deep() -> String {
    format!("values nest deeper than {MAX_DEPTH} levels")
}

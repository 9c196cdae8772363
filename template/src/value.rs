//! The values templates work on, with the types that Go gives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::certificate::Certificate;
use crate::text::Text;
use crate::time::Time;
use crate::version::Version;

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
    TextMap(Arc<BTreeMap<Text, Text>>),
    /// `map[string]interface {}`
    Dict(Dict),
    /// `time.Time`
    Time(Time),
    /// `sprig.certificate`
    Certificate(Arc<Certificate>),
    /// `*semver.Version`
    Version(Arc<Version>),
}

/// What a slice holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// `[]interface {}`
    Any,
    /// `[]string`
    Text,
    /// `[]int`
    Int,
    /// `[][]interface {}`
    Lists,
}

/// A slice; nil slices are empty, but JSON tells them apart.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) kind: ListKind,
    items: Option<Arc<Vec<Value>>>,
}

impl List {
    pub(crate) fn new(kind: ListKind, items: Vec<Value>) -> Self {
        Self {
            kind,
            items: Some(Arc::new(items)),
        }
    }

    pub(crate) fn nil(kind: ListKind) -> Self {
        Self { kind, items: None }
    }

    pub(crate) fn is_nil(&self) -> bool {
        self.items.is_none()
    }

    pub(crate) fn items(&self) -> &[Value] {
        self.items.as_ref().map_or(&[], |items| items.as_slice())
    }
}

/// A map that functions change in place: every holder sees the change, as in Go.
#[derive(Clone)]
pub(crate) struct Dict(Option<Arc<Mutex<BTreeMap<Text, Value>>>>);

impl Dict {
    pub(crate) fn new(entries: BTreeMap<Text, Value>) -> Self {
        Self(Some(Arc::new(Mutex::new(entries))))
    }

    pub(crate) fn nil() -> Self {
        Self(None)
    }

    pub(crate) fn is_nil(&self) -> bool {
        self.0.is_none()
    }

    /// The entries as they are now.
    pub(crate) fn entries(&self) -> BTreeMap<Text, Value> {
        self.lock()
            .map(|entries| entries.clone())
            .unwrap_or_default()
    }

    pub(crate) fn get(&self, key: &Text) -> Option<Value> {
        self.lock()?.get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().map_or(0, |entries| entries.len())
    }

    /// Sets an entry, unless the map would come to hold itself: Go dies of that when it prints
    /// the map, and here its values would never be wiped.
    pub(crate) fn set(&self, key: Text, value: Value) -> Result<(), String> {
        if self.is_nil() {
            return Err("assignment to entry in nil map".to_owned());
        }
        if self.is_inside(&value) {
            return Err("a map cannot hold itself".to_owned());
        }
        if let Some(mut entries) = self.lock() {
            entries.insert(key, value);
        }
        Ok(())
    }

    pub(crate) fn unset(&self, key: &Text) {
        if let Some(mut entries) = self.lock() {
            entries.remove(key);
        }
    }

    fn is_inside(&self, value: &Value) -> bool {
        match value {
            Value::Dict(other) => match (&self.0, &other.0) {
                (Some(own), Some(theirs)) if Arc::ptr_eq(own, theirs) => true,
                _ => other.entries().values().any(|value| self.is_inside(value)),
            },
            Value::List(list) => list.items().iter().any(|value| self.is_inside(value)),
            _ => false,
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, BTreeMap<Text, Value>>> {
        let entries = self.0.as_ref()?;
        Some(entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

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
            other => other.type_name(),
        }
    }

    /// What `if` and `with` ask.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Uint8(value) => *value != 0,
            Self::Uint64(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.bytes().is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::TextMap(map) => !map.is_empty(),
            Self::Dict(dict) => dict.len() > 0,
            Self::Time(_) | Self::Certificate(_) | Self::Version(_) => true,
        }
    }

    /// `reflect.DeepEqual`.
    pub(crate) fn deep_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Int64(a), Self::Int64(b)) => a == b,
            (Self::Uint8(a), Self::Uint8(b)) => a == b,
            (Self::Uint64(a), Self::Uint64(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.kind == b.kind
                    && a.is_nil() == b.is_nil()
                    && a.items().len() == b.items().len()
                    && a.items()
                        .iter()
                        .zip(b.items())
                        .all(|(a, b)| a.deep_equal(b))
            }
            (Self::TextMap(a), Self::TextMap(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => {
                let (left, right) = (a.entries(), b.entries());
                a.is_nil() == b.is_nil()
                    && left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, a)| right.get(key).is_some_and(|b| a.deep_equal(b)))
            }
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Certificate(a), Self::Certificate(b)) => a == b,
            (Self::Version(a), Self::Version(b)) => a == b,
            _ => false,
        }
    }
}

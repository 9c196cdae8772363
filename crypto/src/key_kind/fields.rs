//! Which master key: the fields of its entry.

use std::collections::BTreeMap;

use super::{KeyKind, Shape};

/// A master key without what it wrapped: what the entry of its kind says besides `enc` and `created_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyFields {
    kind: &'static KeyKind,
    /// One for each field of the kind, in its order.
    values: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Value {
    Text(String),
    Map(BTreeMap<String, String>),
}

impl KeyFields {
    /// A key of which nothing is said yet.
    pub fn new(kind: &'static KeyKind) -> Self {
        let values = kind.fields.iter().map(|field| match field.shape {
            Shape::Text => Value::Text(String::new()),
            Shape::Map => Value::Map(BTreeMap::new()),
        });
        Self {
            kind,
            values: values.collect(),
        }
    }

    /// A key of a kind that has one field.
    pub fn of(kind: &'static KeyKind, text: impl Into<String>) -> Self {
        let mut key = Self::new(kind);
        key.set_text(kind.fields[0].name, text);
        key
    }

    /// Its kind.
    pub fn kind(&self) -> &'static KeyKind {
        self.kind
    }

    /// The text of a field that the kind has.
    pub fn text(&self, field: &str) -> &str {
        match &self.values[self.place(field)] {
            Value::Text(text) => text,
            Value::Map(_) => "",
        }
    }

    /// The pairs of a field that the kind has.
    pub fn map(&self, field: &str) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        match &self.values[self.place(field)] {
            Value::Map(map) => map,
            Value::Text(_) => &NONE,
        }
    }

    /// Sets the text of a field that the kind has.
    pub fn set_text(&mut self, field: &str, text: impl Into<String>) {
        let place = self.place(field);
        self.values[place] = Value::Text(text.into());
    }

    /// Sets the pairs of a field that the kind has.
    pub fn set_map<K: Into<String>, V: Into<String>>(
        &mut self,
        field: &str,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) {
        let place = self.place(field);
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        self.values[place] = Value::Map(pairs.collect());
    }

    /// Returns true if a field says nothing.
    pub fn is_empty(&self, field: &str) -> bool {
        match &self.values[self.place(field)] {
            Value::Text(text) => text.is_empty(),
            Value::Map(map) => map.is_empty(),
        }
    }

    /// Returns true if the text that named the key has left something open, such as the version of a key in Azure.
    pub fn is_open(&self) -> bool {
        let mut fields = self.kind.fields.iter();
        fields.any(|field| field.may_be_open && self.is_empty(field.name))
    }

    /// Returns true if `other` is this key, or what this key becomes when what it leaves open is filled in.
    pub fn stands_for(&self, other: &Self) -> bool {
        let mut fields = self.kind.fields.iter().enumerate();
        self.kind == other.kind
            && fields.all(|(place, field)| {
                self.values[place] == other.values[place]
                    || field.may_be_open && self.is_empty(field.name)
            })
    }

    /// The text that tells keys of one kind apart: compared by `updatekeys`, named by reports and by `rotate`'s removals.
    pub fn identity(&self) -> String {
        (self.kind.identity)(self)
    }

    /// The key alone, without the settings by which it is reached.
    pub fn address(&self) -> String {
        (self.kind.address)(self)
    }

    /// Checks a key that a flag or a rule names, where that shows without using it.
    pub fn check_named(&self) -> Result<(), KeyTextError> {
        (self.kind.check_named)(self).map_err(|reason| KeyTextError {
            kind: self.kind.title,
            reason,
        })
    }

    /// How the key is announced to a person who is asked for consent.
    pub fn announced(&self) -> String {
        format!("{} {}", self.kind.announced, self.address())
    }

    fn place(&self, field: &str) -> usize {
        let place = self
            .kind
            .fields
            .iter()
            .position(|known| known.name == field);
        place.expect("the field is one of the kind's")
    }
}

/// A text does not name a key of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct KeyTextError {
    /// The kind, for people.
    pub kind: &'static str,
    /// What is wrong with the text, which it names.
    pub reason: String,
}

//! YAML as Kubernetes' programs read and print it, wiped when dropped.

mod read;
mod refusal;
mod write;

pub(crate) use self::read::is_control;
pub use self::read::{NODE_SIZE, SyntaxError, first_within, read, read_within};
pub use self::write::{document, text};

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A value of a document.
#[derive(Clone)]
pub enum Node {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number within 64 bits, signed or not.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Rc<Zeroizing<String>>),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map in the order of the input; of equal keys the last one counts.
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

static_assertions::assert_not_impl_any!(Node: fmt::Debug, fmt::Display);

impl Node {
    /// A text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Node::Text(Rc::new(Zeroizing::new(text)))
    }

    /// Returns true for null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    /// The value of a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a text, and nothing else.
    #[must_use]
    pub fn as_string(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar where a text is expected; `Some(None)` for null.
    #[must_use]
    pub fn as_text(&self) -> Option<Option<Cow<'_, str>>> {
        Some(Some(match self {
            Node::Null => return Some(None),
            Node::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Node::Int(value) => Cow::Owned(value.to_string()),
            Node::Float(value) => Cow::Owned(float_text(*value)),
            Node::Text(text) => Cow::Borrowed(text.as_str()),
            Node::List(_) | Node::Map(_) => return None,
        }))
    }

    /// The text of a scalar that is a key: as [`Node::as_text`], but infinite as YAML spells it.
    #[must_use]
    pub fn as_key(&self) -> String {
        let text = self.as_text().flatten().unwrap_or_default();
        let spelled = match (self, &*text) {
            (Node::Float(_), "+Inf") => ".inf",
            (Node::Float(_), "-Inf") => "-.inf",
            (Node::Float(_), "NaN") => ".nan",
            _ => return text.into_owned(),
        };
        spelled.to_owned()
    }

    /// The field of a map, in any case if there is no exact match.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Node> {
        let Node::Map(entries) = self else {
            return None;
        };
        let find = |matches: &dyn Fn(&str) -> bool| {
            entries
                .iter()
                .rev()
                .find(|(key, _)| key.as_text().flatten().is_some_and(|key| matches(&key)))
                .map(|(_, value)| &**value)
        };
        find(&|key| key == name).or_else(|| find(&|key| key.eq_ignore_ascii_case(name)))
    }
}

/// A number as `kubectl` writes it into a text field: the shortest digits of single precision, with an exponent below
/// `1e-4` and from `1e6` on (the reference formats with Go's `%g` and 32 bits).
#[must_use]
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "single precision is what the reference writes"
    )]
    let single = value as f32;
    if single.is_infinite() {
        return if single > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{single:e}");
    let (digits, exponent) = scientific
        .split_once('e')
        .expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    if (-4..6).contains(&exponent) && value != 0.0 {
        format!("{single}")
    } else if value == 0.0 {
        if value.is_sign_negative() { "-0" } else { "0" }.to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfJson;
        impl<'de> Visitor<'de> for OfJson {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Int(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Int(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Float(value))
            }
            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(Rc::new(item));
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some((key, value)) = entries.next_entry::<String, Node>()? {
                    map.push((Rc::new(Node::text(key)), Rc::new(value)));
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(OfJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k54_numbers_in_text_fields() {
        let cases = [
            (1.5, "1.5"),
            (1000.0, "1000"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
            (1.234_567_9e29, "1.2345679e+29"),
        ];
        for (value, text) in cases {
            assert_eq!(float_text(value), text);
        }
    }
}

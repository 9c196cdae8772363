//! JSON over secret bytes: values are found as slices of the text they stand in, so that nothing is copied that would
//! have to be wiped.
//!
//! Go's rules where they can be seen: of two members of one name the last counts, numbers keep their spelling, and text
//! that is written is escaped as Go escapes it.

#[cfg(feature = "clients")]
pub mod edit;
mod ends;
pub mod path;
mod scan;
mod write;

use std::collections::BTreeMap;

use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

pub use self::scan::NotJson;
use self::scan::{DEPTH, is_whole, next_start, skip_space, skip_value, unescape};
pub use self::write::{
    Html, Numbers, converted, encode, encode_with, object_of_raw, object_of_texts, write_text,
};
use crate::outcome::{Answer, Outcome, StoreError, Trouble, shown};

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// A JSON value that was checked: its text without what stands around it.
#[derive(Clone, Copy)]
pub struct Json<'a>(&'a [u8]);

static_assertions::assert_not_impl_any!(Json<'static>: std::fmt::Debug, std::fmt::Display);

impl<'a> Json<'a> {
    /// Checks a text: RFC 8259, UTF-8, at most 200 levels deep.
    ///
    /// # Errors
    ///
    /// Says at which byte it stops being JSON.
    pub fn parse(text: &'a [u8]) -> Result<Self, NotJson> {
        if let Err(error) = std::str::from_utf8(text) {
            return Err(NotJson {
                at: error.valid_up_to(),
            });
        }
        let start = skip_space(text, 0);
        let end = skip_value(text, start, DEPTH)?;
        let rest = skip_space(text, end);
        if rest < text.len() {
            return Err(NotJson { at: rest });
        }
        Ok(Self(&text[start..end]))
    }

    /// The text of the value.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        match self.0[0] {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::Text,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The members of an object, in the order of the text; nothing for other kinds.
    pub fn members(self) -> impl Iterator<Item = (SecretText, Json<'a>)> {
        let mut at = 1;
        let object = self.kind() == Kind::Object;
        std::iter::from_fn(move || {
            if !object {
                return None;
            }
            let name = next_item(self.0, &mut at)?;
            let value = next_item(self.0, &mut at)?;
            Some((name.string().unwrap_or_default(), value))
        })
    }

    /// The elements of an array; nothing for other kinds.
    pub fn elements(self) -> impl Iterator<Item = Json<'a>> {
        let mut at = 1;
        let array = self.kind() == Kind::Array;
        std::iter::from_fn(move || {
            if array {
                next_item(self.0, &mut at)
            } else {
                None
            }
        })
    }

    /// The member of that name; of several the last.
    pub fn member(self, name: &str) -> Option<Json<'a>> {
        self.members()
            .filter(|(key, _)| key.expose() == name)
            .map(|(_, value)| value)
            .last()
    }

    /// The text that a string stands for; nothing for other kinds.
    pub fn string(self) -> Option<SecretText> {
        if self.kind() != Kind::Text {
            return None;
        }
        let mut out = SecretWriter::with_capacity(self.0.len());
        unescape(self.0, &mut out);
        SecretText::from_bytes(out.finish()).ok()
    }

    /// The whole number that a value stands for.
    pub fn integer(self) -> Option<i64> {
        std::str::from_utf8(self.0).ok()?.parse().ok()
    }

    /// True for `true`.
    pub fn is_true(self) -> bool {
        self.0 == b"true"
    }

    /// The value as text, as gjson gives it: a string without its quotes, nothing for null, numbers in plain decimal,
    /// and everything else as it stands there.
    pub fn text(self) -> SecretBytes {
        match self.kind() {
            Kind::Text => self.string().unwrap_or_default().into(),
            Kind::Null => SecretBytes::default(),
            Kind::Number => plain_number(self.0),
            _ => SecretBytes::copy_of(self.0),
        }
    }

    /// The value as `GetSecretMap` of most stores gives it: a string without its quotes, nothing for null, and everything
    /// else as it stands there.
    pub fn unquoted(self) -> SecretBytes {
        match self.kind() {
            Kind::Text => self.string().unwrap_or_default().into(),
            Kind::Null => SecretBytes::default(),
            _ => SecretBytes::copy_of(self.0),
        }
    }
}

/// The text of a number: whole numbers as they stand, others in the shortest plain decimal (gjson).
fn plain_number(raw: &[u8]) -> SecretBytes {
    if is_whole(raw) {
        return SecretBytes::copy_of(raw);
    }
    let number: Option<f64> = std::str::from_utf8(raw)
        .ok()
        .and_then(|text| text.parse().ok());
    SecretBytes::from(
        number
            .map(|number| number.to_string())
            .unwrap_or_default()
            .into_bytes(),
    )
}

/// Reads the members of a JSON object as names and values: strings without their quotes, everything else as it stands.
///
/// # Errors
///
/// Says that it is no JSON object, and never what it is.
pub fn object_values(text: &[u8]) -> Result<BTreeMap<String, SecretBytes>, StoreError> {
    let value = Json::parse(text).map_err(|_| not_an_object())?;
    // To upstream, null is an object without members.
    if value.kind() == Kind::Null {
        return Ok(BTreeMap::new());
    }
    if value.kind() != Kind::Object {
        return Err(not_an_object());
    }
    values_of(value, Json::unquoted)
}

/// Reads what `store` holds under `key` as names and values; the error says of which store and key.
///
/// # Errors
///
/// Says that it is no JSON object, and never what it is.
pub fn map_at(text: &[u8], key: &str, store: &str) -> Outcome<BTreeMap<String, SecretBytes>> {
    object_values(text).map(Answer::Found).map_err(|error| {
        error
            .while_trying(format!("read {} as a map", shown(key)))
            .at_store(store)
    })
}

/// How many members of an object may become values. A Secret has no room for as many, and each takes ten times the memory of its
/// text.
const MOST_VALUES: usize = 100_000;

/// Makes a value of each member of an object; of equal names the last counts.
///
/// # Errors
///
/// When there are too many.
pub fn values_of<'a>(
    object: Json<'a>,
    value: impl Fn(Json<'a>) -> SecretBytes,
) -> Result<BTreeMap<String, SecretBytes>, StoreError> {
    let mut values = BTreeMap::new();
    for (name, member) in object.members() {
        values.insert(name.expose().to_owned(), value(member));
        check_count(values.len())?;
    }
    Ok(values)
}

/// Checks how many values there are so far.
///
/// # Errors
///
/// When there are too many.
pub fn check_count(values: usize) -> Result<(), StoreError> {
    if values <= MOST_VALUES {
        return Ok(());
    }
    let text = format!("the object has more than {MOST_VALUES} members");
    Err(StoreError::new(Trouble::TooLarge, text).public())
}

fn not_an_object() -> StoreError {
    StoreError::new(Trouble::Missing, "the value is no JSON object").public()
}

/// The next value behind `at`, past the comma or colon before it; nothing at the end of the object or array.
fn next_item<'a>(text: &'a [u8], at: &mut usize) -> Option<Json<'a>> {
    let start = next_start(text, *at)?;
    let end = skip_value(text, start, DEPTH).ok()?;
    *at = end;
    Some(Json(&text[start..end]))
}

#[cfg(test)]
mod tests;

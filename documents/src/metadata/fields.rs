//! Reading fields of a block with the conversions that the reference makes.

use sealwright_crypto::go_bool::read_bool;
use sealwright_crypto::key_kind;
use sealwright_crypto::secret::SecretWriter;

use super::{HINTS_FIELD, MetadataError, Timestamp};
use crate::data::Data;
use crate::selection::SelectionRule;

/// A map of the block and where it stands.
pub(super) struct Fields<'a> {
    entries: Vec<(&'a [u8], &'a Data)>,
    place: String,
}

impl<'a> Fields<'a> {
    /// The fields of a map, comments left out; `None` when it is none.
    pub(super) fn of(data: &'a Data, place: &str) -> Option<Self> {
        let Data::Map(entries) = data else {
            return None;
        };
        let fields = entries
            .iter()
            .filter(|(_, value)| !matches!(value, Data::Comment { .. }))
            .map(|(name, value)| (name.expose(), value));
        Some(Self {
            entries: fields.collect(),
            place: place.to_owned(),
        })
    }

    /// The path of a field, for messages.
    pub(super) fn path(&self, name: &str) -> String {
        if self.place.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.place)
        }
    }

    /// A field by its name: exactly so, else in any case.
    fn get(&self, name: &str) -> Option<&'a Data> {
        let exact = self.entries.iter().find(|(key, _)| *key == name.as_bytes());
        exact
            .or_else(|| {
                self.entries
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            })
            .map(|(_, value)| *value)
    }

    fn wrong(&self, name: &str, expected: &str, got: &Data) -> MetadataError {
        let got = match got {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::Time(_) => "a timestamp",
            Data::Str(_) => "text",
            Data::Comment { .. } => "a comment",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        };
        MetadataError::field(self.path(name), format!("{expected} expected, {got} found"))
    }

    /// Text; numbers and booleans become it, what is absent is empty.
    pub(super) fn text(&self, name: &str) -> Result<String, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(String::new());
        };
        Ok(match value {
            Data::Null => String::new(),
            Data::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
            Data::Int(value) => value.to_string(),
            Data::Time(text) => text.clone(),
            Data::Float(_) => {
                let mut out = SecretWriter::default();
                let scalar = value.as_scalar().expect("a float is a scalar");
                scalar.write_wire(&mut out);
                String::from_utf8_lossy(out.expose()).into_owned()
            }
            Data::Str(text) => std::str::from_utf8(text.expose())
                .map_err(|_| MetadataError::field(self.path(name), "not valid UTF-8"))?
                .to_owned(),
            Data::List(_) | Data::Map(_) | Data::Comment { .. } => {
                return Err(self.wrong(name, "text", value));
            }
        })
    }

    /// An integer; text is read in Go's base 0 (`0x`, `0o`, `0b`, leading `0`), what is absent is 0.
    pub(super) fn integer(&self, name: &str) -> Result<i64, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(0);
        };
        match value {
            Data::Null => Ok(0),
            Data::Bool(value) => Ok(i64::from(*value)),
            Data::Int(value) => Ok(*value),
            Data::Float(value) => Ok(*value as i64),
            Data::Str(_) => {
                let text = self.text(name)?;
                integer_of_any_base(&text)
                    .ok_or_else(|| MetadataError::field(self.path(name), "not an integer"))
            }
            _ => Err(self.wrong(name, "a number", value)),
        }
    }

    /// A boolean; text and numbers become it, what is absent is false.
    pub(super) fn boolean(&self, name: &str) -> Result<bool, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(false);
        };
        match value {
            Data::Null => Ok(false),
            Data::Bool(value) => Ok(*value),
            Data::Int(value) => Ok(*value != 0),
            Data::Float(value) => Ok(*value != 0.0),
            Data::Str(text) if text.is_empty() => Ok(false),
            Data::Str(text) => read_bool(text.expose())
                .ok_or_else(|| MetadataError::field(self.path(name), "neither true nor false")),
            _ => Err(self.wrong(name, "true or false", value)),
        }
    }

    /// A timestamp, quoted or not (D17); `None` when absent.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, MetadataError> {
        let text = self.text(name)?;
        if text.is_empty() && self.get(name).is_none_or(|value| *value == Data::Null) {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|error| MetadataError::field(self.path(name), error))
    }

    /// A list of maps; one map stands for a list of it, an empty map and null for an empty list. An element that is null is
    /// a map without fields.
    pub(super) fn maps(&self, name: &str) -> Result<Vec<Fields<'a>>, MetadataError> {
        let wrong = |value| self.wrong(name, "a list of maps", value);
        match self.get(name) {
            None | Some(Data::Null) => Ok(Vec::new()),
            Some(Data::List(items)) => items
                .iter()
                .filter(|item| !matches!(item, Data::Comment { .. }))
                .enumerate()
                .map(|(at, item)| {
                    let place = format!("{}[{at}]", self.path(name));
                    match item {
                        Data::Null => Ok(Fields {
                            entries: Vec::new(),
                            place,
                        }),
                        item => Fields::of(item, &place).ok_or_else(|| wrong(item)),
                    }
                })
                .collect(),
            Some(Data::Map(entries)) if entries.is_empty() => Ok(Vec::new()),
            Some(value) => Ok(vec![
                Fields::of(value, &format!("{}[0]", self.path(name)))
                    .ok_or_else(|| wrong(value))?,
            ]),
        }
    }

    /// A map of texts.
    pub(super) fn text_map(
        &self,
        name: &str,
    ) -> Result<std::collections::BTreeMap<String, String>, MetadataError> {
        match self.get(name) {
            None | Some(Data::Null) => Ok(std::collections::BTreeMap::new()),
            Some(value) => {
                let fields = Fields::of(value, &self.path(name))
                    .ok_or_else(|| self.wrong(name, "a map of texts", value))?;
                fields
                    .entries
                    .iter()
                    .map(|(key, _)| {
                        let key = String::from_utf8_lossy(key).into_owned();
                        let text = fields.text(&key)?;
                        Ok((key, text))
                    })
                    .collect()
            }
        }
    }
}

/// The name that a field goes by, for one that is written in another case.
pub(super) fn known_name(name: &str) -> Option<&'static str> {
    let fixed = [
        "key_groups",
        "lastmodified",
        "mac",
        "mac_only_encrypted",
        "shamir_threshold",
        "version",
        HINTS_FIELD,
    ];
    fixed
        .into_iter()
        .chain(key_kind::ALL.map(|kind| kind.section))
        .chain(SelectionRule::FIELDS)
        .find(|known| known.eq_ignore_ascii_case(name))
}

fn integer_of_any_base(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    i64::from_str_radix(&format!("{sign}{plain}"), base).ok()
}

#[cfg(test)]
mod tests {
    use super::integer_of_any_base;

    #[test]
    fn integers_are_read_in_every_base() {
        let cases = [
            ("", Some(0)),
            ("2", Some(2)),
            ("-3", Some(-3)),
            ("0x10", Some(16)),
            ("017", Some(15)),
            ("0b11", Some(3)),
            ("1_0", Some(10)),
            ("two", None),
            ("+-1", None),
            ("é2", None),
        ];
        for (text, value) in cases {
            assert_eq!(integer_of_any_base(text), value, "{text}");
        }
    }
}

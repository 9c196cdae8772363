//! Keys of Secrets: conversion of what a store calls its values, and the check of what comes out.

use sealwright_providers::remote::{KeyConversion, needs_conversion};
use thiserror::Error;

use super::remote_ref::ConversionStrategy;
use super::values::Values;

/// The longest key of a Secret.
const LONGEST_KEY: usize = 253;

/// A set of keys that no Secret can have. The text holds no key, since a rewrite may have made it out of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Two keys become the same.
    #[error("two keys are the same after their conversion")]
    Collision,
    /// A key is longer than a Secret allows.
    #[error("a key is longer than 253 characters")]
    TooLong,
    /// A key has characters that no Secret allows.
    #[error(
        "a key has characters that a Secret does not allow; use rewrite or conversionStrategy to change it"
    )]
    Invalid,
}

/// Converts the keys that a Secret cannot have.
///
/// # Errors
///
/// Two keys that become the same are an error.
pub fn convert(values: Values, strategy: ConversionStrategy) -> Result<Values, KeyError> {
    let mut converted = Values::new();
    for (key, value) in values {
        let key = convert_key(&key, strategy);
        if converted.insert(key, value).is_some() {
            return Err(KeyError::Collision);
        }
    }
    Ok(converted)
}

fn convert_key(key: &str, strategy: ConversionStrategy) -> String {
    KeyConversion::from(strategy).convert(key)
}

impl From<ConversionStrategy> for KeyConversion {
    fn from(strategy: ConversionStrategy) -> Self {
        match strategy {
            ConversionStrategy::Default => Self::Default,
            ConversionStrategy::Unicode => Self::Unicode,
        }
    }
}

/// Turns `_U002f_` back into the character that it stands for, for pushes.
#[must_use]
pub fn reverse_unicode(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(at) = rest.find("_U") {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 2..];
        let digits = tail
            .bytes()
            .take_while(u8::is_ascii_hexdigit)
            .take(5)
            .count();
        // Four or five digits, and then an underscore; the longer reading first.
        let read = [5, 4].into_iter().find_map(|len| {
            if digits < len || tail.as_bytes().get(len) != Some(&b'_') {
                return None;
            }
            let rune = u32::from_str_radix(&tail[..len], 16).ok()?;
            Some((char::from_u32(rune).unwrap_or('\u{fffd}'), len))
        });
        match read {
            Some((rune, len)) => {
                out.push(rune);
                rest = &tail[len + 1..];
            }
            None => {
                out.push_str("_U");
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Checks the keys, and drops the empty one, as upstream does.
///
/// Letters and digits of any script pass here; the API server is stricter and refuses the Secret then (T18).
///
/// # Errors
///
/// Says what is wrong with one of them.
pub fn validate(values: &mut Values) -> Result<(), KeyError> {
    values.remove("");
    for key in values.keys() {
        if key.len() > LONGEST_KEY {
            return Err(KeyError::TooLong);
        }
        if needs_conversion(key) {
            return Err(KeyError::Invalid);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;

    use super::*;

    fn values(keys: &[&str]) -> Values {
        keys.iter()
            .map(|key| ((*key).to_owned(), SecretBytes::copy_of(key.as_bytes())))
            .collect()
    }

    #[test]
    fn other_characters_are_converted() {
        let convert_key = |key, strategy| super::convert_key(key, strategy);
        assert_eq!(
            convert_key("a/b c-d.e_f", ConversionStrategy::Default),
            "a_b_c-d.e_f"
        );
        assert_eq!(
            convert_key("a/b😀é", ConversionStrategy::Unicode),
            "a_U002f_b_U1f600_é"
        );
    }

    #[test]
    fn two_keys_that_become_the_same_are_an_error() {
        let error = convert(values(&["a/b", "a_b"]), ConversionStrategy::Default);
        assert_eq!(error.err(), Some(KeyError::Collision));
        let kept = convert(values(&["a/b", "a_b"]), ConversionStrategy::Unicode).unwrap();
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a_U002f_b", "a_b"]);
    }

    #[test]
    fn t18_letters_of_other_scripts_pass_and_empty_keys_vanish() {
        let mut some = values(&["", "ключ", "a.b-c_d"]);
        validate(&mut some).unwrap();
        assert_eq!(some.len(), 2);
        assert_eq!(validate(&mut values(&["a b"])), Err(KeyError::Invalid));
        let long = "a".repeat(254);
        assert_eq!(validate(&mut values(&[&long])), Err(KeyError::TooLong));
    }

    #[test]
    fn unicode_comes_back() {
        for (converted, key) in [
            ("a_U002f_b", "a/b"),
            ("_U1f600_", "😀"),
            ("_U002f__U002F_", "//"),
            ("_U002_", "_U002_"),
            ("_U0000002f_", "_U0000002f_"),
            ("x_U", "x_U"),
            ("_U_U002f_", "_U/"),
        ] {
            assert_eq!(reverse_unicode(converted), key);
        }
    }
}

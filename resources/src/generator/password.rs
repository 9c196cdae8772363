//! Passwords.

use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::random::below;
use super::{GeneratorError, Values};

/// PasswordSpec controls how passwords are made.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "Password",
    plural = "passwords",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    doc = "Password makes random passwords."
)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSpec {
    /// The number of characters; 24 if it is not positive.
    #[serde(default = "default_length")]
    #[schemars(extend("x-default" = 24))]
    pub length: i64,
    /// The number of digits; a quarter of the length without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<i64>,
    /// The number of symbols; a quarter of the length without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols: Option<i64>,
    /// The symbols to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol_characters: Option<String>,
    /// Leaves out upper-case letters.
    #[serde(default)]
    #[schemars(extend("x-default" = false))]
    pub no_upper: bool,
    /// Lets characters come more than once.
    #[serde(default)]
    #[schemars(extend("x-default" = false))]
    pub allow_repeat: bool,
    /// The keys of the result, with a password each; without them one of the name password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub secret_keys: Vec<String>,
    /// How the passwords are encoded.
    #[serde(default)]
    #[schemars(extend("x-default" = "raw"))]
    pub encoding: Encoding,
    /// What stands before each password; it is neither counted nor encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What stands behind each password; it is neither counted nor encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

fn default_length() -> i64 {
    24
}

/// Encodings of a password.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Base64.
    Base64,
    /// Base64 for URLs.
    Base64url,
    /// Base32.
    Base32,
    /// Hexadecimal digits.
    Hex,
    /// The password as it is.
    #[default]
    Raw,
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const SYMBOLS: &str = "~!@#$%^&*()_+`-={}|[]\\:\"<>?,./";
/// Longer passwords are refused; a Secret holds at most 1 MiB.
const MAX_LENGTH: usize = 65_536;
/// What all passwords of one generator may need together, in characters: those that they have once they are encoded, those around them
/// and those that are chosen from.
const MOST_CHARACTERS: usize = 1 << 20;

impl PasswordSpec {
    /// Makes the passwords.
    ///
    /// # Errors
    ///
    /// Refuses keys that are empty or stand twice, and lengths that the characters do not suffice for.
    pub fn generate(&self) -> Result<Values, GeneratorError> {
        let length = match usize::try_from(self.length) {
            Ok(length) if length > 0 => length,
            _ => 24,
        };
        let part = |given: Option<i64>| match given {
            None => Ok(length / 4),
            Some(count) => {
                usize::try_from(count).map_err(|_| GeneratorError::Invalid("a count is negative"))
            }
        };
        let (digits, symbols) = (part(self.digits)?, part(self.symbols)?);
        let keys = match self.secret_keys.as_slice() {
            [] => vec!["password".to_owned()],
            keys => keys.to_vec(),
        };
        let symbol_characters = self.symbol_characters.as_deref().unwrap_or_default();
        let each = [
            encoded_length(length, self.encoding),
            symbol_characters.len(),
            self.prefix.as_deref().map_or(0, str::len),
            self.suffix.as_deref().map_or(0, str::len),
        ];
        let each = each.into_iter().fold(0, usize::saturating_add);
        if each.saturating_mul(keys.len()) > MOST_CHARACTERS {
            return Err(GeneratorError::Invalid(
                "the passwords are together longer than a Secret can be",
            ));
        }
        let mut values = Values::new();
        for key in keys {
            if key.is_empty() {
                return Err(GeneratorError::Invalid("a key is empty"));
            }
            let password = self.password(length, digits, symbols)?;
            if values
                .insert(key, self.framed(encoded(password, self.encoding)))
                .is_some()
            {
                return Err(GeneratorError::Invalid("a key stands twice"));
            }
        }
        Ok(values)
    }

    fn framed(&self, password: SecretBytes) -> SecretBytes {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let suffix = self.suffix.as_deref().unwrap_or_default();
        if prefix.is_empty() && suffix.is_empty() {
            return password;
        }
        let length = prefix.len() + password.len() + suffix.len();
        let mut whole = SecretWriter::with_capacity(length);
        whole.push(prefix.as_bytes());
        whole.push(password.expose());
        whole.push(suffix.as_bytes());
        whole.finish()
    }

    fn password(
        &self,
        length: usize,
        digits: usize,
        symbols: usize,
    ) -> Result<SecretBytes, GeneratorError> {
        let others = digits.checked_add(symbols);
        let letters = others.and_then(|others| length.checked_sub(others));
        let letters = letters.ok_or(GeneratorError::Invalid(
            "the digits and symbols are more than the length",
        ))?;
        if length > MAX_LENGTH {
            return Err(GeneratorError::Invalid("the length is too great"));
        }
        let alphabet = match self.no_upper {
            true => LOWER.to_owned(),
            false => [LOWER, UPPER].concat(),
        };
        let symbol_characters = match self.symbol_characters.as_deref() {
            None | Some("") => SYMBOLS,
            Some(characters) => characters,
        };
        let mut password: Zeroizing<Vec<char>> = Zeroizing::new(Vec::with_capacity(length));
        let mut used: Zeroizing<Vec<char>> = Zeroizing::default();
        for (characters, count) in [
            (alphabet.as_str(), letters),
            (DIGITS, digits),
            (symbol_characters, symbols),
        ] {
            let mut choice: Vec<char> = characters.chars().collect();
            if !self.allow_repeat {
                // What came in another part cannot come again either.
                used.clear();
                used.extend_from_slice(&password);
                used.sort_unstable();
                choice.sort_unstable();
                choice.dedup();
                choice.retain(|character| used.binary_search(character).is_err());
                if count > choice.len() {
                    return Err(GeneratorError::Invalid(
                        "there are too few characters for a password without repetition",
                    ));
                }
            }
            for _ in 0..count {
                let at = below(choice.len())?;
                let character = match self.allow_repeat {
                    true => choice[at],
                    false => choice.swap_remove(at),
                };
                password.push(character);
            }
        }
        // Every order is as likely as the others.
        for end in (1..password.len()).rev() {
            let place = below(end + 1)?;
            password.swap(place, end);
        }
        let mut text = SecretWriter::with_capacity(length * 4);
        for character in password.iter() {
            text.push(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(text.finish())
    }
}

/// How many characters so many bytes take.
fn encoded_length(length: usize, encoding: Encoding) -> usize {
    match encoding {
        Encoding::Raw => length,
        Encoding::Base64 | Encoding::Base64url => length.div_ceil(3).saturating_mul(4),
        Encoding::Base32 => length.div_ceil(5).saturating_mul(8),
        Encoding::Hex => length.saturating_mul(2),
    }
}

fn encoded(password: SecretBytes, encoding: Encoding) -> SecretBytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let bytes = password.expose();
    let text = match encoding {
        Encoding::Raw => return password,
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64url => URL_SAFE.encode(bytes),
        Encoding::Base32 => super::base32::encode(bytes),
        Encoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    SecretBytes::from(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: serde_json::Value) -> Result<String, GeneratorError> {
        let spec: PasswordSpec = serde_json::from_value(json).unwrap();
        let values = spec.generate()?;
        assert_eq!(values.len(), 1);
        let value = values["password"].expose().to_vec();
        Ok(String::from_utf8(value).unwrap())
    }

    #[test]
    fn a_password_has_the_parts_that_are_asked_for() {
        let password = one(serde_json::json!({})).unwrap();
        assert_eq!(password.len(), 24);
        let count = |of: &str| password.chars().filter(|c| of.contains(*c)).count();
        assert_eq!((count(DIGITS), count(SYMBOLS)), (6, 6));
        let mut characters: Vec<char> = password.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        assert_eq!(characters.len(), 24, "nothing comes twice");
        let password = one(serde_json::json!({
            "length": 100, "digits": 50, "symbols": 10, "symbolCharacters": "-", "noUpper": true, "allowRepeat": true,
        }))
        .unwrap();
        assert_eq!(password.chars().filter(|c| *c == '-').count(), 10);
        assert!(!password.contains(|c: char| c.is_ascii_uppercase()));
        assert_eq!(one(serde_json::json!({"length": -1})).unwrap().len(), 24);
    }

    #[test]
    fn encodings_and_keys() {
        let spec = serde_json::json!({
            "length": 5, "digits": 5, "symbols": 0, "allowRepeat": true, "secretKeys": ["a", "b"], "encoding": "base32",
        });
        let spec: PasswordSpec = serde_json::from_value(spec).unwrap();
        let values = spec.generate().unwrap();
        assert_eq!(values.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(values["a"] != values["b"]);
        assert_eq!(values["a"].len(), 8);
        for (encoding, length) in [("base64", 8), ("base64url", 8), ("hex", 10), ("raw", 5)] {
            let spec =
                serde_json::json!({"length": 5, "digits": 0, "symbols": 0, "encoding": encoding});
            assert_eq!(one(spec).unwrap().len(), length);
        }
    }

    #[test]
    fn a_prefix_and_a_suffix_are_neither_counted_nor_encoded() {
        let spec = serde_json::json!({
            "length": 5, "digits": 5, "symbols": 0, "allowRepeat": true, "encoding": "hex", "prefix": "p-", "suffix": "!",
        });
        let password = one(spec).unwrap();
        assert_eq!(password.len(), 2 + 10 + 1);
        assert!(password.starts_with("p-") && password.ends_with('!'));
    }

    #[test]
    fn what_stands_around_passwords_and_their_encoding_count() {
        let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
        let made = |change: serde_json::Value| {
            let mut spec = serde_json::json!({"length": 30_000, "allowRepeat": true});
            spec["secretKeys"] = serde_json::json!(keys);
            for (name, value) in change.as_object().unwrap() {
                spec[name] = value.clone();
            }
            let spec: PasswordSpec = serde_json::from_value(spec).unwrap();
            spec.generate().map(|values| values.len())
        };
        assert_eq!(made(serde_json::json!({})).unwrap(), 20);
        let around = "x".repeat(30_000);
        for change in [
            serde_json::json!({"prefix": around}),
            serde_json::json!({"suffix": around}),
            serde_json::json!({"encoding": "hex"}),
        ] {
            assert!(made(change).is_err());
        }
        for encoding in ["base64", "base64url", "base32", "hex", "raw"] {
            for length in 1..20 {
                let spec = serde_json::json!({
                    "length": length, "digits": 0, "symbols": 0, "allowRepeat": true, "encoding": encoding,
                });
                let read: PasswordSpec = serde_json::from_value(spec.clone()).unwrap();
                let expected = encoded_length(length, read.encoding);
                assert_eq!(one(spec).unwrap().len(), expected, "{encoding}");
            }
        }
    }

    #[test]
    fn the_longest_password_takes_an_instant() {
        let symbols: String = (0x4e00..0x4e00 + 20_000u32)
            .filter_map(char::from_u32)
            .collect();
        let began = std::time::Instant::now();
        let unique = one(serde_json::json!({
            "length": 15_000, "digits": 0, "symbols": 15_000, "symbolCharacters": symbols,
        }));
        assert_eq!(unique.unwrap().chars().count(), 15_000);
        let long = one(serde_json::json!({"length": 65_536, "allowRepeat": true}));
        assert_eq!(long.unwrap().chars().count(), 65_536);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let many: Vec<String> = (0..50_000).map(|number| format!("k{number}")).collect();
        for spec in [
            serde_json::json!({"length": 5, "digits": 3, "symbols": 3}),
            serde_json::json!({"length": 60, "digits": 0, "symbols": 0}),
            serde_json::json!({"length": 20, "digits": 11, "symbols": 0}),
            serde_json::json!({"length": 20, "digits": -1}),
            serde_json::json!({"secretKeys": [""]}),
            serde_json::json!({"secretKeys": ["a", "a"]}),
            serde_json::json!({"length": 100_000_000, "allowRepeat": true}),
            serde_json::json!({"length": 60_000, "allowRepeat": true, "secretKeys": many}),
            serde_json::json!({"symbolCharacters": "x".repeat(1_000_000), "allowRepeat": true, "secretKeys": many}),
        ] {
            let spec: PasswordSpec = serde_json::from_value(spec).unwrap();
            assert!(spec.generate().is_err());
        }
    }
}

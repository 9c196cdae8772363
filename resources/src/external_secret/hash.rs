//! The hashes that labels, annotations and statuses carry.
//!
//! All of them are SHA3-224 in lower-case hexadecimal over the text that Go's `fmt` makes of a value with `%+v`. They decide
//! whether a Secret is up to date, so a cluster that upstream has left behind is taken over without a rewrite only if the
//! text is the same, byte for byte (T1).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::secret::SecretBytes;
use sha3::{Digest, Sha3_224};

/// Hashes the data of a Secret: `map[k1:[100 101] k2:[]]`, keys in the order of their bytes.
#[must_use]
pub fn of_data<'a>(values: impl IntoIterator<Item = (&'a str, &'a SecretBytes)>) -> String {
    let mut hash = Hash::default();
    hash.push("map[");
    for (index, (key, value)) in values.into_iter().enumerate() {
        if index > 0 {
            hash.push(" ");
        }
        hash.push(key);
        hash.push(":[");
        for (index, byte) in value.expose().iter().enumerate() {
            if index > 0 {
                hash.push(" ");
            }
            let mut digits = [0; 3];
            hash.push(decimal(*byte, &mut digits));
        }
        hash.push("]");
    }
    hash.push("]");
    hash.finish()
}

/// Hashes a text, which `%+v` leaves as it is.
#[must_use]
pub fn of_text(text: &str) -> String {
    let mut hash = Hash::default();
    hash.push(text);
    hash.finish()
}

/// Hashes the namespace and name of an ExternalSecret, for the label of the Secrets it owns.
#[must_use]
pub fn of_owner(namespace: &str, name: &str) -> String {
    of_text(&format!("{namespace}/{name}"))
}

/// The version of an object that a status says was synced: its generation, and the hash of its labels and annotations.
#[must_use]
pub fn synced_version(metadata: &ObjectMeta) -> String {
    let mut hash = Hash::default();
    hash.push("{annotations:");
    hash.push_texts(metadata.annotations.as_ref());
    hash.push(" labels:");
    hash.push_texts(metadata.labels.as_ref());
    hash.push("}");
    format!(
        "{}-{}",
        metadata.generation.unwrap_or_default(),
        hash.finish()
    )
}

/// Hashes the content of an object of another kind: its `spec`, or its `data` if it has none.
///
/// Returns `None` for an object that has neither; null is nothing.
#[must_use]
pub fn of_object(object: &serde_json::Value) -> Option<String> {
    let part = |name: &str| object.get(name).filter(|content| !content.is_null());
    let content = part("spec").or_else(|| part("data"))?;
    let mut hash = Hash::default();
    hash.push_value(content);
    Some(hash.finish())
}

/// The first of the names a field manager of this object has.
///
/// Field managers are limited: a longer one ends in the hash of the object's name (T2).
#[must_use]
pub fn field_manager(name: &str) -> String {
    const LONGEST: usize = 63;
    let plain = plain_field_manager(name);
    if plain.len() <= LONGEST {
        return plain;
    }
    format!("externalsecrets.external-secrets.io/sha3/{}", of_text(name))
}

/// The field manager of an object, however long.
pub(super) fn plain_field_manager(name: &str) -> String {
    format!("externalsecrets.external-secrets.io/{name}")
}

#[derive(Default)]
struct Hash(Sha3_224);

impl Hash {
    fn push(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    fn push_texts(&mut self, texts: Option<&BTreeMap<String, String>>) {
        self.push("map[");
        for (index, (key, value)) in texts.into_iter().flatten().enumerate() {
            if index > 0 {
                self.push(" ");
            }
            self.push(key);
            self.push(":");
            self.push(value);
        }
        self.push("]");
    }

    fn push_value(&mut self, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::Null => self.push("<nil>"),
            Value::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => self.push(&number.to_string()),
                (None, Some(number)) => self.push(&go_float(number)),
                (None, None) => self.push(&number.to_string()),
            },
            Value::String(text) => self.push(text),
            Value::Array(items) => {
                self.push("[");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.push(" ");
                    }
                    self.push_value(item);
                }
                self.push("]");
            }
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(key, _)| *key);
                self.push("map[");
                for (index, (key, value)) in fields.into_iter().enumerate() {
                    if index > 0 {
                        self.push(" ");
                    }
                    self.push(key);
                    self.push(":");
                    self.push_value(value);
                }
                self.push("]");
            }
        }
    }

    fn finish(self) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(56);
        for byte in self.0.finalize() {
            write!(text, "{byte:02x}").expect("memory takes it");
        }
        text
    }
}

/// Go's `%v` of a float, as the API server gives it back: the shortest digits, with an exponent below `1e-4` and from `1e6` on. Whole
/// ones have no point in its JSON, and are integers when they are read again.
fn go_float(value: f64) -> String {
    const INTEGERS: std::ops::Range<f64> =
        -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && INTEGERS.contains(&value) {
        return format!("{value}");
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn decimal(byte: u8, digits: &mut [u8; 3]) -> &str {
    *digits = [b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10];
    let skipped = match byte {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    std::str::from_utf8(&digits[skipped..]).expect("digits are text")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(values: &[(&str, &str)]) -> String {
        let values: BTreeMap<_, _> = values
            .iter()
            .map(|(key, value)| (*key, SecretBytes::copy_of(value.as_bytes())))
            .collect();
        of_data(values.iter().map(|(key, value)| (*key, value)))
    }

    #[test]
    fn t1_the_vectors_of_upstream() {
        assert_eq!(
            data(&[("foo", "value1"), ("bar", "value2")]),
            "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64"
        );
        assert_eq!(
            data(&[]),
            "74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b"
        );
        assert_eq!(
            of_owner("default", "example"),
            "5b1224068cc3cca5aa3071e518838346f821fe1761229559d4959980"
        );
        assert_eq!(
            of_text("ExternalSecret-default-example-0"),
            "68acf9d5252a84c1f971baf160e2470900799587dc9f655c73d21eab"
        );
        let mut metadata = ObjectMeta {
            generation: Some(7),
            ..ObjectMeta::default()
        };
        assert_eq!(
            synced_version(&metadata),
            "7-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2"
        );
        let texts = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Some(pairs.collect())
        };
        metadata.annotations = texts(&[("b", "2"), ("a", "1")]);
        metadata.labels = texts(&[("app", "web")]);
        assert_eq!(
            synced_version(&metadata),
            "7-f27e0fe23f97f0eb94014b020d1502f26602dfc9d585b3342fca9b88"
        );
    }

    #[test]
    fn every_byte_is_in_decimal() {
        let all: Vec<u8> = (0..=255).collect();
        let value = SecretBytes::copy_of(&all);
        let text = all.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(
            of_data([("k", &value)]),
            of_text(&format!("map[k:[{text}]]"))
        );
    }

    #[test]
    fn objects_of_other_kinds_are_hashed_as_go_prints_them() {
        let object =
            json!({"spec": {"b": [1, 1.5, "x y", null, true], "a": {"c": 1e21}}, "data": 1});
        assert_eq!(
            of_object(&object).unwrap(),
            of_text("map[a:map[c:1e+21] b:[1 1.5 x y <nil> true]]")
        );
        // The ConfigMap of a recorded answer.
        let object = json!({"data": {"k": "one", "l": "two"}});
        assert_eq!(
            of_object(&object).unwrap(),
            "3ae9bd3cae951c77e8891f2682c521cd5a6d78522c9ecb83497e6801"
        );
        assert_eq!(of_object(&json!({"other": 1})), None);
        // What is null is not there.
        let object = json!({"spec": null, "data": {"k": "one", "l": "two"}});
        assert_eq!(
            of_object(&object).unwrap(),
            "3ae9bd3cae951c77e8891f2682c521cd5a6d78522c9ecb83497e6801"
        );
        assert_eq!(of_object(&json!({"spec": null, "data": null})), None);
    }

    /// As Go 1.26 prints them.
    #[test]
    fn large_and_small_numbers_have_an_exponent_as_in_go() {
        let object = json!({"spec": {"a": 1_234_567.5, "b": 999_999.5, "c": -12_345_678.9, "d": 1e-5,
            "e": 0.0001, "f": u64::MAX, "g": 1e20, "h": i64::MAX, "i": 1_000_000}});
        assert_eq!(
            of_object(&object).unwrap(),
            of_text(
                "map[a:1.2345675e+06 b:999999.5 c:-1.23456789e+07 d:1e-05 e:0.0001 \
                 f:1.8446744073709552e+19 g:1e+20 h:9223372036854775807 i:1000000]"
            )
        );
        // The API server writes both in the same way.
        let object = |number: serde_json::Value| of_object(&json!({"spec": {"n": number}}));
        assert_eq!(object(json!(1e6)), object(json!(1_000_000)));
    }

    #[test]
    fn t2_a_long_field_manager_is_hashed() {
        let name = "a".repeat(27);
        assert!(field_manager(&name).ends_with(&name));
        assert_eq!(
            field_manager("c-ces-selector-singular-list"),
            "externalsecrets.external-secrets.io/sha3/4e866dc8dd7658aedd51d3ccf3a922e90467b34afc2212b26573980c"
        );
    }
}

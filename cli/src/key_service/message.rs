//! The messages, in protocol buffers, by hand: there are four small ones, and what is in them must be wiped.

use sealwright_crypto::key_kind::{KeyFields, KeyKind, Shape};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

/// `EncryptRequest` and `DecryptRequest`, which look the same: a key and bytes.
pub(super) struct Request {
    /// `None` when the key is missing or of a kind from the future.
    pub(super) key: Option<KeyFields>,
    pub(super) input: SecretBytes,
}

pub(super) fn encode_request(key: &KeyFields, input: &[u8]) -> SecretBytes {
    let key = encode_key(key);
    let mut message = SecretWriter::with_capacity(key.len() + input.len() + 24);
    put(&mut message, 1, &key);
    put_unless_empty(&mut message, 2, input);
    message.finish()
}

pub(super) fn decode_request(message: &SecretBytes) -> Result<Request, Malformed> {
    let mut request = Request {
        key: None,
        input: SecretBytes::default(),
    };
    for field in Fields(message.expose()) {
        match field? {
            (1, Value::Bytes(key)) => request.key = decode_key(key)?,
            (2, Value::Bytes(input)) => request.input = SecretBytes::copy_of(input),
            _ => {}
        }
    }
    Ok(request)
}

/// `EncryptResponse` and `DecryptResponse`: bytes.
pub(super) fn encode_response(output: &[u8]) -> SecretBytes {
    let mut message = SecretWriter::with_capacity(output.len() + 12);
    put_unless_empty(&mut message, 1, output);
    message.finish()
}

pub(super) fn decode_response(message: &SecretBytes) -> Result<SecretBytes, Malformed> {
    let mut output = SecretBytes::default();
    for field in Fields(message.expose()) {
        if let (1, Value::Bytes(bytes)) = field? {
            output = SecretBytes::copy_of(bytes);
        }
    }
    Ok(output)
}

/// Bytes that are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is malformed")]
pub(super) struct Malformed;

fn encode_key(key: &KeyFields) -> Vec<u8> {
    let mut fields = SecretWriter::default();
    for field in key.kind().fields {
        match field.shape {
            Shape::Text => {
                put_unless_empty(&mut fields, field.number, key.text(field.name).as_bytes())
            }
            Shape::Map => {
                for (name, value) in key.map(field.name) {
                    let mut pair = SecretWriter::default();
                    put(&mut pair, 1, name.as_bytes());
                    put(&mut pair, 2, value.as_bytes());
                    put(&mut fields, field.number, pair.expose());
                }
            }
        }
    }
    let mut message = SecretWriter::default();
    put(&mut message, key.kind().message, fields.expose());
    message.expose().to_vec()
}

fn decode_key(message: &[u8]) -> Result<Option<KeyFields>, Malformed> {
    let mut key = None;
    for field in Fields(message) {
        // Of several kinds the last counts, as for every oneof.
        if let (number, Value::Bytes(fields)) = field?
            && let Some(kind) = KeyKind::of_message(number)
        {
            key = Some(decode_fields(kind, fields)?);
        }
    }
    Ok(key)
}

fn decode_fields(kind: &'static KeyKind, message: &[u8]) -> Result<KeyFields, Malformed> {
    let mut key = KeyFields::new(kind);
    for field in Fields(message) {
        let (number, Value::Bytes(bytes)) = field? else {
            continue;
        };
        let Some(field) = kind.fields.iter().find(|field| field.number == number) else {
            continue;
        };
        match field.shape {
            Shape::Text => key.set_text(field.name, text(bytes)?),
            Shape::Map => {
                let mut entry: [String; 2] = Default::default();
                for field in Fields(bytes) {
                    if let (at @ 1..=2, Value::Bytes(bytes)) = field? {
                        entry[at as usize - 1] = text(bytes)?;
                    }
                }
                let mut pairs = key.map(field.name).clone();
                let [name, value] = entry;
                pairs.insert(name, value);
                key.set_map(field.name, pairs);
            }
        }
    }
    Ok(key)
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
}

fn put_unless_empty(message: &mut SecretWriter, number: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put(message, number, bytes);
    }
}

/// Appends a field of wire type 2: bytes after their length.
fn put(message: &mut SecretWriter, number: u32, bytes: &[u8]) {
    put_varint(message, u64::from(number) << 3 | 2);
    put_varint(message, bytes.len() as u64);
    message.push(bytes);
}

fn put_varint(message: &mut SecretWriter, mut number: u64) {
    while number > 0x7f {
        message.push_byte((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push_byte(number as u8);
}

/// The fields of a message, one after the other, with their numbers.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    /// A wire type that none of our messages uses: skipped, as fields from the future are.
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        if number == 0 {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            0 => {
                self.varint()?;
                Value::Other
            }
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Other
            }
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::key_kind::{self, AGE, PGP};

    use super::*;

    fn all_kinds() -> Vec<KeyFields> {
        let kinds = key_kind::ALL.into_iter();
        let keys = kinds.map(|kind| {
            let mut key = KeyFields::new(kind);
            for field in kind.fields {
                match field.shape {
                    Shape::Text => key.set_text(field.name, format!("{} text", field.name)),
                    Shape::Map => key.set_map(field.name, [("a", "1"), ("b", "")]),
                }
            }
            key
        });
        let long = KeyFields::of(&AGE, "age1".repeat(600));
        keys.chain([long]).collect()
    }

    #[test]
    fn every_kind_of_key_comes_back() {
        for key in all_kinds() {
            let message = encode_request(&key, b"\0input");
            let request = decode_request(&message).unwrap();
            assert_eq!(request.key, Some(key));
            assert_eq!(request.input.expose(), b"\0input");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let key = KeyFields::of(&PGP, "AB");
        assert_eq!(
            encode_request(&key, b"in").expose(),
            b"\x0a\x06\x12\x04\x0a\x02AB\x12\x02in"
        );
        assert_eq!(encode_response(b"out").expose(), b"\x0a\x03out");
        let answer = decode_response(&SecretBytes::copy_of(b"\x10\x07\x0a\x03out")).unwrap();
        assert_eq!(answer.expose(), b"out");
    }

    #[test]
    fn a_key_that_is_missing_or_from_the_future_is_none() {
        for message in [
            &b""[..],
            b"\x12\x02in",
            b"\x0a\x00",
            b"\x0a\x04\x42\x02\x0a\x00",
        ] {
            let request = decode_request(&SecretBytes::copy_of(message)).unwrap();
            assert!(request.key.is_none());
        }
    }

    #[test]
    fn malformed_messages_are_refused_and_never_panic() {
        for key in all_kinds() {
            let message = encode_request(&key, b"input");
            for at in 0..message.len().min(300) {
                drop(decode_request(&SecretBytes::copy_of(
                    &message.expose()[..at],
                )));
                let mut changed = message.expose().to_vec();
                changed[at] ^= 0x81;
                drop(decode_request(&SecretBytes::from(changed)));
            }
        }
        for message in [
            &b"\x0a"[..],
            b"\x0a\x05a",
            b"\x0b",
            b"\x02\x00",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0a\x05\x12\x03\x0a\x01\xff",
        ] {
            assert!(
                decode_request(&SecretBytes::copy_of(message)).is_err(),
                "{message:?}"
            );
        }
    }
}

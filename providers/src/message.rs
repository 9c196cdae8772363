//! JSON bodies of calls: what is sent is built in wiped memory, and what is answered is read without a copy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use crate::json::{Html, Json, write_text};
use crate::outcome::{StoreError, Trouble};

/// The JSON text of a request; what is secret in it is wiped.
pub(crate) struct Body {
    text: SecretWriter,
    empty: bool,
    carries_secret: bool,
}

impl Body {
    /// An object without members.
    pub(crate) fn new() -> Self {
        let mut text = SecretWriter::default();
        text.push_byte(b'{');
        Self {
            text,
            empty: true,
            carries_secret: false,
        }
    }

    /// Adds a text that is no secret.
    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        write_text(value.as_bytes(), Html::Plain, &mut self.text);
        self
    }

    /// Adds a text that is no secret, if there is one.
    pub(crate) fn optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a member that holds no secret.
    pub(crate) fn value(mut self, name: &str, value: &serde_json::Value) -> Self {
        self.name(name);
        self.text.push(value.to_string().as_bytes());
        self
    }

    /// Adds a member that is JSON already, and may hold a secret.
    pub(crate) fn secret_json(mut self, name: &str, json: &[u8]) -> Self {
        self.carries_secret = true;
        self.name(name);
        self.text.push(json);
        self
    }

    /// Adds a secret text.
    pub(crate) fn secret_text(mut self, name: &str, value: &[u8]) -> Self {
        self.carries_secret = true;
        self.name(name);
        write_text(value, Html::Plain, &mut self.text);
        self
    }

    /// Adds secret bytes, in base64.
    pub(crate) fn secret_bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.carries_secret = true;
        self.name(name);
        self.text.push_byte(b'"');
        let place = self.text.extend_zeroed(value.len().div_ceil(3) * 4);
        STANDARD
            .encode_slice(value, place)
            .expect("the place is of that size");
        self.text.push_byte(b'"');
        self
    }

    /// The text, and whether there is a secret in it.
    pub(crate) fn finish(mut self) -> (SecretBytes, bool) {
        self.text.push_byte(b'}');
        (self.text.finish(), self.carries_secret)
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.text.push_byte(b',');
        }
        self.empty = false;
        write_text(name.as_bytes(), Html::Plain, &mut self.text);
        self.text.push_byte(b':');
    }
}

/// What the service has answered with: a JSON object, a list where the service has lists, or the bytes of a file.
pub(crate) struct Reply(SecretBytes);

impl Reply {
    /// A body that was parsed when it came.
    pub(crate) fn checked(body: SecretBytes) -> Self {
        Self(body)
    }

    /// The JSON, unless the call asked for the bytes of a file.
    pub(crate) fn json(&self) -> Json<'_> {
        // It was checked when it came.
        Json::parse(self.0.expose()).expect("it is JSON")
    }

    /// The whole answer as it came.
    pub(crate) fn into_bytes(self) -> SecretBytes {
        self.0
    }

    /// A text that is no secret.
    pub(crate) fn name(&self, member: &str) -> Option<String> {
        name_in(self.json(), member)
    }
}

/// A text that is no secret, in an object; an empty one counts as none.
pub(crate) fn name_in(object: Json<'_>, member: &str) -> Option<String> {
    let text = object.member(member)?.string()?;
    Some(text.expose().to_owned()).filter(|text| !text.is_empty())
}

/// Reads bytes that stand in base64 under a name, if there is a text of that name.
pub(crate) fn optional_bytes_in(
    object: Json<'_>,
    name: &str,
    dialect: &impl Engine,
) -> Result<Option<SecretBytes>, StoreError> {
    let Some(text) = object.member(name).and_then(Json::string) else {
        return Ok(None);
    };
    let bytes = decoded(&text, dialect).ok_or_else(|| malformed(name, "is not base64"))?;
    Ok(Some(bytes))
}

/// Reads bytes that stand in base64 under a name.
pub(crate) fn bytes_in(
    object: Json<'_>,
    name: &str,
    dialect: &impl Engine,
) -> Result<SecretBytes, StoreError> {
    optional_bytes_in(object, name, dialect)?.ok_or_else(|| malformed(name, "is missing"))
}

fn malformed(name: &str, what: &str) -> StoreError {
    StoreError::new(
        Trouble::Malformed,
        format!("the `{name}` of the answer {what}"),
    )
}

/// Decodes base64 into wiped memory.
pub(crate) fn decoded(text: &SecretText, dialect: &impl Engine) -> Option<SecretBytes> {
    let text = text.expose();
    let mut bytes = SecretWriter::default();
    let length = dialect
        .decode_slice(text, bytes.extend_zeroed(text.len().div_ceil(4) * 3 + 3))
        .ok()?;
    bytes.truncate(length);
    Some(bytes.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_decoded_or_refused() {
        let json = Json::parse(br#"{"a": "AP8=", "b": "??"}"#).unwrap();
        assert_eq!(bytes_in(json, "a", &STANDARD).unwrap().expose(), b"\0\xff");
        for name in ["b", "c"] {
            let error = bytes_in(json, name, &STANDARD).unwrap_err();
            assert_eq!(error.trouble(), Trouble::Malformed);
        }
        assert!(optional_bytes_in(json, "c", &STANDARD).unwrap().is_none());
    }

    #[test]
    fn a_body_knows_whether_it_carries_a_secret() {
        let (text, secret) = Body::new().value("a", &serde_json::json!([1])).finish();
        assert_eq!(text.expose(), br#"{"a":[1]}"#);
        assert!(!secret);
        let (text, secret) = Body::new()
            .secret_bytes("b", b"\0\xff")
            .secret_text("c", b"\"")
            .finish();
        assert_eq!(text.expose(), br#"{"b":"AP8=","c":"\""}"#);
        assert!(secret);
    }
}

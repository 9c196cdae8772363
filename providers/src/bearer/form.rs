//! Forms that token endpoints take; what is secret in them is wiped.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::http::url::is_unreserved;

/// Names and values as `application/x-www-form-urlencoded`.
#[derive(Default)]
pub(crate) struct Form(SecretWriter);

impl Form {
    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push_byte(b'&');
        }
        escape(name, &mut self.0);
        self.0.push_byte(b'=');
        escape(value, &mut self.0);
        self
    }

    /// The text of the form.
    pub(crate) fn finish(self) -> SecretBytes {
        self.0.finish()
    }
}

/// Escapes a text as it stands in a form or a query.
pub(crate) fn escape(text: &str, out: &mut SecretWriter) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push_byte(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.push(&[b'%', DIGITS[high], DIGITS[low]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped() {
        let form = Form::default()
            .field("scope", "https://v/.default")
            .field("secret", "a&b=c d");
        let text = form.finish();
        assert_eq!(
            text.expose(),
            b"scope=https%3A%2F%2Fv%2F.default&secret=a%26b%3Dc%20d"
        );
    }
}

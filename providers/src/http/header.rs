//! Headers that carry credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use super::shared;
use crate::outcome::{StoreError, Trouble};

/// Makes a header value of a credential, in wiped memory.
///
/// # Errors
///
/// When it holds a line break or another control character, which no header can carry.
pub fn secret_header(value: SecretBytes) -> Result<HeaderValue, StoreError> {
    let ends_with_break = value.expose().last().is_some_and(|byte| *byte == b'\n');
    let mut header = HeaderValue::from_maybe_shared(shared(value)).map_err(|_| {
        let error = StoreError::new(
            Trouble::Unauthenticated,
            "the credential holds a line break or a control character, which no request can carry",
        )
        .public();
        if ends_with_break {
            error.with_hint("remove the line break at its end")
        } else {
            error
        }
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The header for a user and a password as they stand in an address, where what is escaped counts as what it stands for.
///
/// # Errors
///
/// As [`secret_header`].
pub fn basic_auth(user: &SecretText) -> Result<HeaderValue, StoreError> {
    let (name, password) = user.expose().split_once(':').unwrap_or((user.expose(), ""));
    let mut plain = SecretWriter::with_capacity(user.expose().len() + 1);
    unescape(name, &mut plain);
    plain.push_byte(b':');
    unescape(password, &mut plain);
    let plain = plain.finish();
    let mut basic = SecretWriter::default();
    basic.push(b"Basic ");
    let length = base64::encoded_len(plain.len(), true).unwrap_or_default();
    // The place is as long as the text.
    let _ = STANDARD.encode_slice(plain.expose(), basic.extend_zeroed(length));
    secret_header(basic.finish())
}

/// Resolves `%` and two digits; anything else stays as it is.
fn unescape(text: &str, out: &mut SecretWriter) {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                out.push_byte(byte);
                rest = &after[2..];
            }
            None => {
                out.push_byte(*first);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_with_a_line_break_is_no_header() {
        let error = secret_header(SecretBytes::copy_of(b"canary\n")).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Unauthenticated);
        assert!(!format!("{error:?}").contains("canary"));
        let header = secret_header(SecretBytes::copy_of(b"canary")).unwrap();
        assert!(!format!("{header:?}").contains("canary"));
    }

    #[test]
    fn users_of_addresses_are_unescaped() {
        for (user, header) in [
            ("user:pass", "Basic dXNlcjpwYXNz"),
            ("me:p%40ss", "Basic bWU6cEBzcw=="),
            ("onlyme", "Basic b25seW1lOg=="),
            ("a:b:c", "Basic YTpiOmM="),
            ("a:100%", "Basic YToxMDAl"),
            ("a:%zz%4", "Basic YTolenolNA=="),
        ] {
            let made = basic_auth(&SecretText::copy_of(user)).unwrap();
            assert_eq!(made.to_str().unwrap(), header, "{user}");
            assert!(made.is_sensitive());
        }
    }
}

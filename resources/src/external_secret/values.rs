//! Values and how they are decoded.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sealwright_crypto::secret::SecretBytes;
use thiserror::Error;

use super::remote_ref::DecodingStrategy;

/// Values by their keys, wiped when dropped.
pub type Values = BTreeMap<String, SecretBytes>;

/// A value is not of the encoding that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a value cannot be decoded as {0}")]
pub struct DecodingError(pub &'static str);

/// Decodes a value.
///
/// # Errors
///
/// Base64 of the wrong alphabet, without padding, or with other characters than line breaks in it.
pub fn decode(
    value: SecretBytes,
    strategy: DecodingStrategy,
) -> Result<SecretBytes, DecodingError> {
    match strategy {
        DecodingStrategy::None => Ok(value),
        DecodingStrategy::Base64 => base64(&value, &STANDARD).ok_or(DecodingError("Base64")),
        DecodingStrategy::Base64Url => base64(&value, &URL).ok_or(DecodingError("Base64URL")),
        // A short text that happens to be Base64 is decoded as well (T19).
        DecodingStrategy::Auto => Ok(base64(&value, &STANDARD)
            .or_else(|| base64(&value, &URL))
            .unwrap_or(value)),
    }
}

/// As Go decodes: padding is needed, the bits behind the end are not looked at, line breaks are skipped.
fn base64(value: &SecretBytes, engine: &GeneralPurpose) -> Option<SecretBytes> {
    let text = value.expose();
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !text.iter().any(is_break) {
        return Some(SecretBytes::from(engine.decode(text).ok()?));
    }
    let mut compact = Vec::with_capacity(text.len());
    compact.extend(text.iter().filter(|byte| !is_break(byte)));
    let compact = SecretBytes::from(compact);
    Some(SecretBytes::from(engine.decode(compact.expose()).ok()?))
}

const AS_GO: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, AS_GO);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, AS_GO);

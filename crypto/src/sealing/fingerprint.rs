//! The name of a key pair.

use std::fmt;

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD_NO_PAD;
use aws_lc_rs::digest::{SHA256, digest};

use super::der::without_leading_zeros;

/// Fingerprint of an RSA public key as `ssh-keygen -l` prints it:
/// `SHA256:base64(SHA-256("ssh-rsa" || e || n))` over the SSH wire encoding (RFC 4253, 6.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Computes the fingerprint of the key with this modulus and exponent (big endian).
    pub(super) fn of(modulus: &[u8], exponent: &[u8]) -> Self {
        let mut wire = Vec::with_capacity(modulus.len() + 32);
        push_string(&mut wire, b"ssh-rsa");
        push_mpint(&mut wire, exponent);
        push_mpint(&mut wire, modulus);
        let hash = digest(&SHA256, &wire);
        Self(format!("SHA256:{}", STANDARD_NO_PAD.encode(hash)))
    }

    /// The fingerprint as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn push_string(wire: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("RSA keys are far below 4 GiB");
    wire.extend_from_slice(&length.to_be_bytes());
    wire.extend_from_slice(bytes);
}

/// A positive number: a zero byte in front where the first bit would read as a sign.
fn push_mpint(wire: &mut Vec<u8>, number: &[u8]) {
    let number = without_leading_zeros(number);
    if number.first().is_some_and(|first| first & 0x80 != 0) {
        push_string(wire, &[&[0], number].concat());
    } else {
        push_string(wire, number);
    }
}

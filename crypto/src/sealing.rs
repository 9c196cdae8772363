//! Sealing of single values for one cluster: anyone with the certificate can seal, only the
//! holder of the private key can unseal.
//!
//! The wire format is that of Sealed Secrets. With `K` a fresh 32-byte session key and `L` the
//! label of the value's scope:
//!
//! ```text
//! sealed = len(C) as u16 big endian || C || AES-256-GCM(K, nonce = 0^12, plaintext)
//! C      = RSA-OAEP(SHA-256, MGF1-SHA-256, label = L, K)
//! ```
//!
//! The all-zero nonce is sound because no session key is ever used twice. The label is what ties
//! a value to its place: under another label it does not open.
//!
//! ```
//! use sealwright_crypto::sealing::{Certificate, PrivateKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PrivateKey::generate(2048)?;
//! let certificate = Certificate::self_signed(&key, "", 1_700_000_000, 3600)?;
//! let sealed = certificate.seal(b"s3cr3t", b"ns/name")?;
//! assert_eq!(key.unseal(&sealed, b"ns/name")?.expose(), b"s3cr3t");
//! assert!(key.unseal(&sealed, b"ns/other").is_err());
//! # Ok(())
//! # }
//! ```

pub mod base64;
mod certificate;
pub mod der;
mod fingerprint;
pub mod pem;
mod private_key;

pub use certificate::{Certificate, CertificateError};
pub use fingerprint::Fingerprint;
pub use private_key::{KeyError, PrivateKey};

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// Length of a session key as we write it.
const SESSION_KEY_LEN: usize = 32;
/// Length of the AES-GCM tag.
const TAG_LEN: usize = 16;
/// Length of the field that holds the length of the RSA ciphertext.
const LENGTH_LEN: usize = 2;

/// A value could not be sealed: the system's source of randomness or the RSA operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cannot encrypt with the sealing certificate")]
pub struct SealError;

/// A value does not open: wrong key, wrong label, or damaged.
///
/// It is one error on purpose, because telling these cases apart would answer questions of
/// those who may send ciphertexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key does not open the value")]
pub struct UnsealError;

/// Seals `plaintext` under `label` for the holder of the private half of `key`.
fn seal(
    key: &OaepPublicEncryptingKey,
    plaintext: &[u8],
    label: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut session_key = Zeroizing::new([0u8; SESSION_KEY_LEN]);
    getrandom::fill(session_key.as_mut()).map_err(|_| SealError)?;

    let wrapped_len = key.ciphertext_size();
    let length = u16::try_from(wrapped_len).map_err(|_| SealError)?;
    let body = LENGTH_LEN + wrapped_len;
    let mut sealed = vec![0u8; body + plaintext.len() + TAG_LEN];
    sealed[..LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
    let wrapped = key
        .encrypt(
            &OAEP_SHA256_MGF1SHA256,
            session_key.as_ref(),
            &mut sealed[LENGTH_LEN..body],
            Some(label),
        )
        .map_err(|_| SealError)?;
    if wrapped.len() != wrapped_len {
        return Err(SealError);
    }

    let cipher = UnboundKey::new(&AES_256_GCM, session_key.as_ref()).map_err(|_| SealError)?;
    let (text, tag_space) = sealed[body..].split_at_mut(plaintext.len());
    text.copy_from_slice(plaintext);
    let tag = LessSafeKey::new(cipher)
        .seal_in_place_separate_tag(zero_nonce(), Aad::empty(), text)
        .map_err(|_| SealError)?;
    tag_space.copy_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens what [`seal`] made under the same label.
///
/// Session keys of 16 and 24 bytes are taken too, as upstream takes whatever AES takes.
fn unseal(
    key: &OaepPrivateDecryptingKey,
    sealed: &[u8],
    label: &[u8],
) -> Result<SecretBytes, UnsealError> {
    let (length, rest) = sealed
        .split_first_chunk::<LENGTH_LEN>()
        .ok_or(UnsealError)?;
    let (wrapped, body) = rest
        .split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or(UnsealError)?;
    if wrapped.len() != key.key_size_bytes() || body.len() < TAG_LEN {
        return Err(UnsealError);
    }

    let mut space = Zeroizing::new(vec![0u8; key.min_output_size()]);
    let session_key = key
        .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut space, Some(label))
        .map_err(|_| UnsealError)?;
    let algorithm = match session_key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        _ => return Err(UnsealError),
    };
    let cipher = UnboundKey::new(algorithm, session_key).map_err(|_| UnsealError)?;

    // Decrypted into its final place, so that no other copy has to be wiped.
    let mut plaintext = Zeroizing::new(vec![0u8; body.len() - TAG_LEN]);
    let (text, tag) = body.split_at(body.len() - TAG_LEN);
    LessSafeKey::new(cipher)
        .open_separate_gather(zero_nonce(), Aad::empty(), text, tag, &mut plaintext)
        .map_err(|_| UnsealError)?;
    Ok(SecretBytes::from(std::mem::take(&mut *plaintext)))
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0u8; NONCE_LEN])
}

#[cfg(test)]
mod tests;

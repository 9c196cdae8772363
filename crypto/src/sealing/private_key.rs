//! The private half of a sealing key.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use thiserror::Error;

use super::der;
use super::{Fingerprint, UnsealError, pem};
use crate::secret::SecretBytes;

/// A private key that unseals; the RSA operations run in constant time on AWS-LC, whose buffers
/// are wiped when the key is dropped.
pub struct PrivateKey {
    oaep: OaepPrivateDecryptingKey,
    /// The same key, by reference count, for writing it out and for signing its certificate.
    key: PrivateDecryptingKey,
    public: PublicParts,
}

static_assertions::assert_not_impl_any!(PrivateKey: Clone, std::fmt::Debug, std::fmt::Display);
static_assertions::assert_impl_all!(PrivateKey: Send, Sync);

/// What a public key consists of.
pub(super) struct PublicParts {
    /// PKCS#1 `RSAPublicKey` in DER.
    pub(super) pkcs1: Vec<u8>,
    pub(super) fingerprint: Fingerprint,
}

/// Why a private key cannot be read, made or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no private key in the text.
    #[error("no private key found: a PEM block RSA PRIVATE KEY or PRIVATE KEY is needed")]
    Missing,
    /// There is a key of a kind that cannot unseal.
    #[error("the private key is not a plain RSA key (PEM block {label})")]
    NotRsa {
        /// The words of the PEM block.
        label: String,
    },
    /// The RSA key is too small or too large.
    #[error("an RSA key of {bits} bits is not supported: sealing keys have 2048 to 8192 bits")]
    Size {
        /// The length of the modulus.
        bits: usize,
    },
    /// Keys of this size cannot be generated.
    #[error(
        "cannot generate an RSA key of {bits} bits: the sizes offered are 2048, 3072, 4096 and 8192"
    )]
    GeneratedSize {
        /// The size asked for.
        bits: usize,
    },
    /// The block is damaged or its numbers do not belong together.
    #[error("the RSA private key is damaged")]
    Damaged,
    /// The system could not generate or write a key.
    #[error("cannot generate or write an RSA key")]
    Failed,
}

impl PrivateKey {
    /// Generates a key of 2048, 3072, 4096 or 8192 bits with the public exponent 65537.
    ///
    /// This takes about half a second for 4096 bits: keep it off threads that must answer.
    ///
    /// # Errors
    ///
    /// Refuses other sizes.
    pub fn generate(bits: usize) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => return Err(KeyError::GeneratedSize { bits }),
        };
        Self::new(PrivateDecryptingKey::generate(size).map_err(|_| KeyError::Failed)?)
    }

    /// Reads the first RSA private key of a PEM text, PKCS#1 or unencrypted PKCS#8; other blocks,
    /// certificates for one, are skipped.
    ///
    /// # Errors
    ///
    /// Says whether there is no key, another kind of key, one of an unsupported size, or a
    /// damaged one.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        Self::all_from_pem(text)?
            .into_iter()
            .next()
            .ok_or(KeyError::Missing)
    }

    /// Reads every RSA private key of a PEM text, in order; none is not an error.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem), for the first key that cannot be used.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for block in pem::read(text) {
            if !block.label.ends_with("PRIVATE KEY") {
                continue;
            }
            let not_rsa = || KeyError::NotRsa {
                label: block.label.to_owned(),
            };
            let content = match (&block.content, !block.headers.is_empty()) {
                (_, true) => return Err(not_rsa()),
                (None, _) => return Err(KeyError::Damaged),
                (Some(content), _) => content,
            };
            keys.push(match block.label {
                "RSA PRIVATE KEY" => Self::from_pkcs1(content)?,
                "PRIVATE KEY" => {
                    Self::from_pkcs1(der::pkcs1_from_pkcs8(content).ok_or_else(not_rsa)?)?
                }
                _ => return Err(not_rsa()),
            });
        }
        Ok(keys)
    }

    fn from_pkcs1(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let bits = der::modulus_bits(pkcs1).ok_or(KeyError::Damaged)?;
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::Size { bits });
        }
        let key = PrivateDecryptingKey::from_pkcs8(&der::pkcs8_from_pkcs1(pkcs1))
            .map_err(|_| KeyError::Damaged)?;
        Self::new(key)
    }

    fn new(key: PrivateDecryptingKey) -> Result<Self, KeyError> {
        let oaep = OaepPrivateDecryptingKey::new(key.clone()).map_err(|_| KeyError::Failed)?;
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| KeyError::Failed)?;
        let public = PublicParts::from_spki(spki.as_ref()).ok_or(KeyError::Failed)?;
        Ok(Self { oaep, key, public })
    }

    /// Opens a value sealed under `label` for this key.
    ///
    /// # Errors
    ///
    /// One error for every reason: wrong key, wrong label, damaged value.
    pub fn unseal(&self, sealed: &[u8], label: &[u8]) -> Result<SecretBytes, UnsealError> {
        super::unseal(&self.oaep, sealed, label)
    }

    /// Makes a proof over `message` that only a holder of this private key can make or check:
    /// `HMAC-SHA256(HMAC-SHA256(context, PKCS#8), message)`.
    ///
    /// It costs a thousandth of an RSA operation and tells nothing about the key.
    ///
    /// # Errors
    ///
    /// Fails only if the key cannot be serialized.
    pub fn prove(&self, message: &[u8]) -> Result<[u8; 32], KeyError> {
        const CONTEXT: &[u8] = b"sealwright proof of a sealing key, version 1";
        let der = self.pkcs8()?;
        let context = hmac::Key::new(hmac::HMAC_SHA256, CONTEXT);
        let derived = hmac::sign(&context, der.as_ref());
        let key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        hmac::sign(&key, message)
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::Failed)
    }

    /// Signs `message` with RSASSA-PKCS1-v1_5 and SHA-256, as `RS256` of JSON Web Tokens wants it.
    ///
    /// # Errors
    ///
    /// Fails only if the key cannot be serialized or the system has no randomness.
    pub fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
        let pair = RsaKeyPair::from_pkcs8(self.pkcs8()?.as_ref()).map_err(|_| KeyError::Failed)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )
        .map_err(|_| KeyError::Failed)?;
        Ok(signature)
    }

    /// Writes the key as PEM `RSA PRIVATE KEY` (PKCS#1), the form that key Secrets have.
    ///
    /// # Errors
    ///
    /// Fails only if the key cannot be serialized.
    pub fn to_pkcs1_pem(&self) -> Result<SecretBytes, KeyError> {
        let pkcs8 = self.pkcs8()?;
        let pkcs1 = der::pkcs1_from_pkcs8(pkcs8.as_ref()).ok_or(KeyError::Failed)?;
        let mut text = pem::write("RSA PRIVATE KEY", pkcs1);
        Ok(SecretBytes::from(std::mem::take(&mut *text)))
    }

    /// The key in PKCS#8 DER; the buffer is wiped when dropped.
    pub(super) fn pkcs8(&self) -> Result<Pkcs8V1Der<'static>, KeyError> {
        self.key.as_der().map_err(|_| KeyError::Failed)
    }

    pub(super) fn public(&self) -> &PublicParts {
        &self.public
    }

    /// The fingerprint of the key pair.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.public.fingerprint
    }

    /// The length of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.oaep.key_size_bits()
    }
}

impl PublicParts {
    /// Picks an RSA `SubjectPublicKeyInfo` apart; `None` for other algorithms.
    pub(super) fn from_spki(spki: &[u8]) -> Option<Self> {
        use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
        use x509_parser::public_key::PublicKey;

        let (_, info) = SubjectPublicKeyInfo::from_der(spki).ok()?;
        let PublicKey::RSA(key) = info.parsed().ok()? else {
            return None;
        };
        Some(Self {
            pkcs1: info.subject_public_key.data.to_vec(),
            fingerprint: Fingerprint::of(key.modulus, key.exponent),
        })
    }
}

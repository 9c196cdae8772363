//! The public half of a sealing key, as an X.509 certificate.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, KeyUsagePurpose,
    PKCS_RSA_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::private_key::PublicParts;
use super::{Fingerprint, PrivateKey, SealError, der, pem};

/// A certificate that anybody may seal with.
#[derive(Debug)]
pub struct Certificate {
    key: OaepPublicEncryptingKey,
    der: Vec<u8>,
    fingerprint: Fingerprint,
    not_before: i64,
    not_after: i64,
}

static_assertions::assert_impl_all!(Certificate: Send, Sync);

/// Why a certificate cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is no certificate in the text.
    #[error("data does not contain any valid RSA or ECDSA certificates")]
    Missing,
    /// The first certificate cannot be parsed.
    #[error("the certificate is damaged")]
    Damaged,
    /// The certificate holds another kind of key.
    #[error("expected RSA public key but found another kind")]
    NotRsa,
    /// The RSA key is too small or too large.
    #[error(
        "a certificate with an RSA key of {bits} bits is not supported: sealing keys have 2048 to 8192 bits"
    )]
    Size {
        /// The length of the modulus.
        bits: usize,
    },
    /// The certificate could not be made.
    #[error("cannot make a certificate")]
    Failed,
}

impl Certificate {
    /// Reads the first certificate of a PEM text; other blocks and blocks with headers are
    /// skipped.
    ///
    /// Neither signature nor dates are judged here: see [`is_expired`](Self::is_expired).
    ///
    /// # Errors
    ///
    /// Fails if there is none, or if its key cannot seal.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        let content = pem::read(text)
            .into_iter()
            .find(|block| block.label == "CERTIFICATE" && block.headers.is_empty())
            .ok_or(CertificateError::Missing)?
            .content
            .ok_or(CertificateError::Damaged)?;
        Self::from_der(&content)
    }

    /// Reads one certificate in DER.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be parsed or if its key cannot seal.
    pub fn from_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) =
            X509Certificate::from_der(bytes).map_err(|_| CertificateError::Damaged)?;
        let spki = parsed.public_key();
        let public = PublicParts::from_spki(spki.raw).ok_or(CertificateError::NotRsa)?;
        let bits = modulus_bits(&public.pkcs1).ok_or(CertificateError::Damaged)?;
        let key = PublicEncryptingKey::from_der(spki.raw)
            .and_then(|key| OaepPublicEncryptingKey::new(key).map_err(Into::into))
            .map_err(|_| CertificateError::Size { bits })?;
        Ok(Self {
            key,
            der: bytes.to_vec(),
            fingerprint: public.fingerprint,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }

    /// Makes the certificate of a new sealing key, signed by itself.
    ///
    /// It has the fields that upstream's have: a random 128-bit serial number, subject and
    /// issuer `CN=<common_name>` or entirely empty, key usage `encipherOnly`, CA without a path
    /// length, a subject key identifier. `not_before` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Fails if the dates cannot be written or the signature cannot be made.
    pub fn self_signed(
        key: &PrivateKey,
        common_name: &str,
        not_before: i64,
        valid_seconds: u64,
    ) -> Result<Self, CertificateError> {
        let start = u64::try_from(not_before).map_err(|_| CertificateError::Failed)?;
        // The calendar of X.509 ends with the year 9999; leaving it would panic below.
        const END_OF_9999: u64 = 253_402_300_799;
        let end = start.saturating_add(valid_seconds);
        if end > END_OF_9999 {
            return Err(CertificateError::Failed);
        }
        let mut serial = [0u8; 16];
        getrandom::fill(&mut serial).map_err(|_| CertificateError::Failed)?;

        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let mut params = CertificateParams::default();
        params.not_before = epoch + Duration::from_secs(start);
        params.not_after = epoch + Duration::from_secs(end);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = name(common_name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::EncipherOnly];
        let signed = params
            .self_signed(&Signer::new(key)?)
            .map_err(|_| CertificateError::Failed)?;
        Self::from_der(signed.der())
    }

    /// Seals `plaintext` under `label`; the result is what goes, as base64, into a manifest.
    ///
    /// # Errors
    ///
    /// Fails only if the system has no randomness or no memory.
    pub fn seal(&self, plaintext: &[u8], label: &[u8]) -> Result<Vec<u8>, SealError> {
        super::seal(&self.key, plaintext, label)
    }

    /// Writes the certificate as PEM, as upstream does.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let text = pem::write("CERTIFICATE", &self.der);
        String::from_utf8(text.to_vec()).expect("PEM is ASCII")
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The fingerprint of the key pair.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns true if `key` opens what this certificate seals.
    #[must_use]
    pub fn belongs_to(&self, key: &PrivateKey) -> bool {
        self.fingerprint == *key.fingerprint()
    }

    /// The length of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.key.key_size_bits()
    }

    /// The start of its validity, in seconds since 1970.
    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The end of its validity, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Tells whether its validity has ended at `now` (seconds since 1970); the start is not
    /// looked at, as in upstream.
    #[must_use]
    pub fn is_expired(&self, now: i64) -> bool {
        now > self.not_after
    }
}

/// `CN=<common_name>`, or no name at all.
fn name(common_name: &str) -> Result<DistinguishedName, CertificateError> {
    let mut name = DistinguishedName::new();
    if !common_name.is_empty() {
        // Go writes a PrintableString when it can.
        let value = match rcgen::string::PrintableString::try_from(common_name) {
            Ok(printable) => DnValue::PrintableString(printable),
            Err(_) => DnValue::Utf8String(common_name.to_owned()),
        };
        name.push(DnType::CommonName, value);
    }
    Ok(name)
}

/// The length in bits of the modulus of a PKCS#1 `RSAPublicKey`.
fn modulus_bits(pkcs1: &[u8]) -> Option<usize> {
    let (key, _) = der::read(pkcs1, der::SEQUENCE)?;
    let (modulus, _) = der::read(key, der::INTEGER)?;
    Some(der::bit_length(modulus))
}

/// Signs with a sealing key without handing its bytes to the certificate writer.
struct Signer<'a> {
    pair: KeyPair,
    public: &'a PublicParts,
}

impl<'a> Signer<'a> {
    fn new(key: &'a PrivateKey) -> Result<Self, CertificateError> {
        let pkcs8 = key.pkcs8().map_err(|_| CertificateError::Failed)?;
        let pair = KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| CertificateError::Failed)?;
        Ok(Self {
            pair,
            public: key.public(),
        })
    }
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public.pkcs1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = vec![0u8; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(signature)
    }
}

//! Signed assertions (JWT, RS256): how a program proves that it has a private key.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright_crypto::sealing::{der, pem};
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use crate::outcome::{StoreError, Trouble};

/// A private RSA key that signs assertions.
pub(crate) struct Signer(RsaKeyPair);

impl Signer {
    /// Reads a key in PEM, as PKCS#8 or PKCS#1; other blocks of the text are skipped.
    pub(crate) fn from_pem(text: &[u8]) -> Option<Self> {
        pem::read(text).into_iter().find_map(|block| {
            let content = block.content.as_ref()?;
            match block.label {
                "PRIVATE KEY" => Self::from_pkcs8(content),
                "RSA PRIVATE KEY" => Self::from_pkcs8(&der::pkcs8_from_pkcs1(content)),
                _ => None,
            }
        })
    }

    /// Reads a key in PKCS#8.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        RsaKeyPair::from_pkcs8(der).ok().map(Self)
    }

    /// Returns true if a certificate (DER) is for this key.
    #[cfg(feature = "azure")]
    pub(crate) fn is_of(&self, certificate: &[u8]) -> bool {
        use aws_lc_rs::signature::KeyPair;

        // A certificate holds the public key as it stands here.
        let public = self.0.public_key().as_ref();
        certificate.windows(public.len()).any(|part| part == public)
    }

    /// Signs header and claims.
    pub(crate) fn sign(
        &self,
        header: &serde_json::Value,
        claims: &serde_json::Value,
    ) -> Result<SecretText, StoreError> {
        let mut text = SecretWriter::with_capacity(2048);
        encode(header.to_string().as_bytes(), &mut text);
        text.push_byte(b'.');
        encode(claims.to_string().as_bytes(), &mut text);
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.expose(),
                &mut signature,
            )
            .map_err(|_| StoreError::new(Trouble::Invalid, "the private key cannot sign"))?;
        text.push_byte(b'.');
        encode(&signature, &mut text);
        Ok(text_of(text))
    }
}

fn text_of(text: SecretWriter) -> SecretText {
    SecretText::from_bytes(text.finish()).expect("base64 is text")
}

fn encode(bytes: &[u8], out: &mut SecretWriter) {
    let length = base64::encoded_len(bytes.len(), false).expect("it is small");
    let place = out.extend_zeroed(length);
    URL_SAFE_NO_PAD
        .encode_slice(bytes, place)
        .expect("the place is of that size");
}

/// The time in seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A text without blanks around it, as files of tokens have it.
pub(crate) fn trimmed(bytes: &SecretBytes) -> Option<SecretText> {
    let bytes = SecretBytes::copy_of(bytes.expose().trim_ascii());
    SecretText::from_bytes(bytes)
        .ok()
        .filter(|text| !text.expose().is_empty())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_is_verified_with_the_public_key() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let key: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let body = base64::engine::general_purpose::STANDARD.encode(key.as_ref());
        let text = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        let signer = Signer::from_pem(text.as_bytes()).unwrap();
        let signed = signer
            .sign(
                &serde_json::json!({"alg": "RS256"}),
                &serde_json::json!({"iss": "me"}),
            )
            .unwrap();
        let (message, signature) = signed.expose().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key())
            .verify(message.as_bytes(), &signature)
            .unwrap();
        assert!(Signer::from_pem(b"-----BEGIN PRIVATE KEY-----\nAAAA\n").is_none());
    }
}

//! SSH key pairs in the form of OpenSSH.

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_crypto::sealing::{PrivateKey, base64, der, pem};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::random::fill;
use super::{GeneratorError, Values};

/// SSHKeySpec says what kind of key pair is made.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "SSHKey",
    root = "SshKey",
    plural = "sshkeys",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    doc = "SSHKey makes SSH key pairs."
)]
#[serde(rename_all = "camelCase")]
pub struct SshKeySpec {
    /// The kind of key.
    #[serde(default)]
    #[schemars(extend("x-default" = "rsa"))]
    pub key_type: KeyType,
    /// The size in bits: 2048 for RSA and 256 for ECDSA without it; Ed25519 has one size only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 256, max = 8192))]
    pub key_size: Option<i64>,
    /// The comment behind the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Kinds of SSH keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// RSA.
    #[default]
    Rsa,
    /// ECDSA on P-256, P-384 or P-521.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

/// A pair as the wire format has it.
struct Pair {
    name: &'static str,
    public: Vec<u8>,
    /// What follows the name in the private part.
    private: Zeroizing<Vec<u8>>,
}

impl SshKeySpec {
    /// Makes a key pair, under the keys `privateKey` and `publicKey`.
    ///
    /// # Errors
    ///
    /// Fails for sizes that this build does not make, and if the system has no randomness.
    pub fn generate(&self) -> Result<Values, GeneratorError> {
        let comment = self.comment.as_deref().unwrap_or_default();
        if comment.contains(['\n', '\r']) {
            return Err(GeneratorError::Invalid("the comment has several lines"));
        }
        let pair = match self.key_type {
            KeyType::Rsa => rsa(self.key_size.unwrap_or(2048))?,
            KeyType::Ecdsa => ecdsa(self.key_size.unwrap_or(256))?,
            KeyType::Ed25519 => ed25519()?,
        };
        let mut line = format!("{} {}", pair.name, base64::encode(&pair.public));
        if !comment.is_empty() {
            line.push(' ');
            line.push_str(comment);
        }
        line.push('\n');
        let private = private_text(&pair, comment)?;
        Ok(Values::from([
            ("privateKey".to_owned(), private),
            ("publicKey".to_owned(), SecretBytes::from(line.into_bytes())),
        ]))
    }
}

/// The file of OpenSSH (`PROTOCOL.key`), not encrypted.
fn private_text(pair: &Pair, comment: &str) -> Result<SecretBytes, GeneratorError> {
    let mut check = [0u8; 4];
    fill(&mut check)?;
    let mut inner = SecretWriter::with_capacity(pair.private.len() + comment.len() + 128);
    inner.push(&check);
    inner.push(&check);
    inner.push(&string(pair.name.as_bytes()));
    inner.push(&pair.private);
    inner.push(&string(comment.as_bytes()));
    for padding in 1..=8u8 {
        if inner.len().is_multiple_of(8) {
            break;
        }
        inner.push_byte(padding);
    }
    let inner = inner.finish();
    let mut out = SecretWriter::with_capacity(inner.len() + pair.public.len() + 128);
    out.push(b"openssh-key-v1\0");
    out.push(&string(b"none"));
    out.push(&string(b"none"));
    out.push(&string(b""));
    out.push(&1u32.to_be_bytes());
    out.push(&string(&pair.public));
    out.push(&string(inner.expose()));
    let text = pem::write("OPENSSH PRIVATE KEY", out.finish().expose());
    Ok(SecretBytes::copy_of(&text))
}

fn string(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    Zeroizing::new([&length, bytes].concat())
}

/// A positive number: no zeros in front but for one where the first bit is set.
fn number(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let bytes = der::without_leading_zeros(bytes);
    let zero: &[u8] = match bytes.first() {
        Some(&first) if first >= 0x80 => &[0],
        _ => &[],
    };
    string(&Zeroizing::new([zero, bytes].concat()))
}

fn failed<T>(_: T) -> GeneratorError {
    GeneratorError::NoKey
}

fn rsa(bits: i64) -> Result<Pair, GeneratorError> {
    // AWS-LC makes keys of these sizes only; Go makes any from 1024 bits on.
    let bits = usize::try_from(bits)
        .ok()
        .filter(|bits| matches!(bits, 2048 | 3072 | 4096 | 8192));
    let bits = bits.ok_or(GeneratorError::Invalid(
        "RSA keys are made with 2048, 3072, 4096 or 8192 bits",
    ))?;
    let key = PrivateKey::generate(bits).map_err(failed)?;
    let text = key.to_pkcs1_pem().map_err(failed)?;
    let blocks = pem::read(text.expose());
    let content = blocks.first().and_then(|block| block.content.as_ref());
    let content = content.ok_or(GeneratorError::NoKey)?;
    let (mut rest, _) = der::read(content, der::SEQUENCE).ok_or(GeneratorError::NoKey)?;
    let mut numbers = Vec::new();
    while !rest.is_empty() {
        let (number, more) = der::read(rest, der::INTEGER).ok_or(GeneratorError::NoKey)?;
        numbers.push(number);
        rest = more;
    }
    // Version, n, e, d, p, q, d mod p-1, d mod q-1, q^-1 mod p.
    let [_, n, e, d, p, q, _, _, inverse] = numbers[..] else {
        return Err(GeneratorError::NoKey);
    };
    let mut private = Zeroizing::new(Vec::with_capacity(content.len() + 64));
    for part in [n, e, d, inverse, p, q] {
        private.extend_from_slice(&number(part));
    }
    Ok(Pair {
        name: "ssh-rsa",
        public: [&string(b"ssh-rsa")[..], &number(e), &number(n)].concat(),
        private,
    })
}

fn ecdsa(bits: i64) -> Result<Pair, GeneratorError> {
    let (algorithm, name, curve) = match bits {
        384 => (
            &ECDSA_P384_SHA384_ASN1_SIGNING,
            "ecdsa-sha2-nistp384",
            "nistp384",
        ),
        521 => (
            &ECDSA_P521_SHA512_ASN1_SIGNING,
            "ecdsa-sha2-nistp521",
            "nistp521",
        ),
        // Any other size means this one, as upstream.
        _ => (
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            "ecdsa-sha2-nistp256",
            "nistp256",
        ),
    };
    let pair = EcdsaKeyPair::generate(algorithm).map_err(failed)?;
    let point = pair.public_key().as_ref();
    let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(failed)?;
    let head = [&string(curve.as_bytes())[..], &string(point)].concat();
    let mut private = Zeroizing::new(Vec::with_capacity(head.len() + 80));
    private.extend_from_slice(&head);
    private.extend_from_slice(&number(secret.as_ref()));
    Ok(Pair {
        name,
        public: [&string(name.as_bytes())[..], &head].concat(),
        private,
    })
}

fn ed25519() -> Result<Pair, GeneratorError> {
    const NAME: &str = "ssh-ed25519";
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let seed = pair.seed().map_err(failed)?;
    let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(failed)?;
    let public = pair.public_key().as_ref();
    let both = Zeroizing::new([seed.as_ref(), public].concat());
    let mut private = Zeroizing::new(Vec::with_capacity(128));
    private.extend_from_slice(&string(public));
    private.extend_from_slice(&string(&both));
    Ok(Pair {
        name: NAME,
        public: [&string(NAME.as_bytes())[..], &string(public)].concat(),
        private,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// `ssh-keygen` derives the public key from the private one and must find the one that was made.
    #[test]
    fn ssh_keygen_reads_the_private_keys() {
        for (kind, size) in [
            ("rsa", None),
            ("ecdsa", Some(384)),
            ("ecdsa", Some(521)),
            ("ecdsa", None),
            ("ed25519", None),
        ] {
            let mut spec = serde_json::json!({"keyType": kind, "comment": "me@host"});
            if let Some(size) = size {
                spec["keySize"] = serde_json::json!(size);
            }
            let spec: SshKeySpec = serde_json::from_value(spec).unwrap();
            let values = spec.generate().unwrap();
            let public = String::from_utf8(values["publicKey"].expose().to_vec()).unwrap();
            assert!(public.ends_with(" me@host\n"));
            let folder = std::env::temp_dir().join(format!(
                "sealwright-ssh-{kind}-{size:?}-{}",
                std::process::id()
            ));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("key");
            let private = values["privateKey"].expose();
            {
                use std::io::Write as _;
                use std::os::unix::fs::OpenOptionsExt as _;
                let mut options = std::fs::OpenOptions::new();
                let mut file = options
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&path)
                    .unwrap();
                file.write_all(private).unwrap();
            }
            let output = Command::new("ssh-keygen")
                .arg("-y")
                .arg("-f")
                .arg(&path)
                .output();
            std::fs::remove_dir_all(&folder).unwrap();
            let Ok(output) = output else {
                assert!(private.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----\n"));
                continue;
            };
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(String::from_utf8_lossy(&output.stdout), public, "{kind}");
        }
    }

    #[test]
    fn sizes_that_are_not_made_are_refused() {
        for size in [1024, 2500, 16384] {
            let spec = SshKeySpec {
                key_size: Some(size),
                ..SshKeySpec::default()
            };
            assert!(matches!(
                spec.generate(),
                Err(GeneratorError::Invalid(text)) if text.contains("2048, 3072, 4096 or 8192")
            ));
        }
    }
}

//! The hybrid post-quantum recipient of age 1.3, which the age crate does not have: `age1pq1…` and
//! `AGE-SECRET-KEY-PQ-1…`.
//!
//! The file key is sealed with HPKE (RFC 9180, base mode, HKDF-SHA256, ChaCha20-Poly1305) under the key-encapsulation
//! method 0x647a, also called X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519, joined by SHA3-256. Both
//! must be broken to open it. The stanza is `mlkem768x25519` with the encapsulation as its one argument.

use std::collections::HashSet;

use ::age::{DecryptError, EncryptError};
use age_core::{
    format::{FileKey, Stanza},
    primitives::{bech32_decode, bech32_encode},
    secrecy::ExposeSecret,
};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, UnparsedPublicKey, X25519},
    hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bech32::Hrp;
use ml_kem::{
    Ciphertext, EncapsulateDeterministic, Encoded, EncodedSizeUser, KemCore, MlKem768,
    kem::Decapsulate,
};
use sha3::{
    Digest, Sha3_256, Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};
use zeroize::Zeroizing;

use crate::secret::SecretText;

pub(super) const RECIPIENT_START: &str = "age1pq1";
pub(super) const IDENTITY_START: &str = "AGE-SECRET-KEY-PQ-1";
pub(super) const STANZA: &str = "mlkem768x25519";

const RECIPIENT_HRP: Hrp = Hrp::parse_unchecked("age1pq");
const IDENTITY_HRP: Hrp = Hrp::parse_unchecked("AGE-SECRET-KEY-PQ-");
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const FILE_KEY: usize = 16;
const TAG: usize = 16;
const ML_KEM_PUBLIC: usize = 1184;
const ML_KEM_CIPHERTEXT: usize = 1088;
const X25519_BYTES: usize = 32;

type Encapsulating = <MlKem768 as KemCore>::EncapsulationKey;
type Decapsulating = <MlKem768 as KemCore>::DecapsulationKey;

/// The public half.
#[derive(Clone)]
pub(super) struct Recipient {
    bytes: Box<[u8; ML_KEM_PUBLIC + X25519_BYTES]>,
}

impl Recipient {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = decode(text, RECIPIENT_HRP)?;
        let recipient = Self {
            bytes: Box::new(
                bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| "it has the wrong length")?,
            ),
        };
        // FIPS 203, 7.2: the encoding must be the canonical one.
        let encoded: &Encoded<Encapsulating> = recipient.bytes[..ML_KEM_PUBLIC]
            .try_into()
            .expect("the lengths are constants");
        if Encapsulating::from_bytes(encoded).as_bytes() != *encoded {
            return Err("its ML-KEM key is not canonical");
        }
        Ok(recipient)
    }

    pub(super) fn text(&self) -> String {
        bech32_encode(RECIPIENT_HRP, &*self.bytes)
    }

    /// Encapsulates: `(shared secret, encapsulation)`.
    fn encapsulate(&self) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), Refused> {
        let (ml_kem_public, x25519_public) = self.bytes.split_at(ML_KEM_PUBLIC);
        let ml_kem_public: &Encoded<Encapsulating> =
            ml_kem_public.try_into().expect("the lengths are constants");
        let mut random = Zeroizing::new([0; 64]);
        getrandom::fill(&mut random[..]).expect("the operating system's random source answers");
        let (message, ephemeral) = random.split_at(32);
        let message = message.try_into().expect("it was split there");

        let (ml_kem_ciphertext, ml_kem_secret) = Encapsulating::from_bytes(ml_kem_public)
            .encapsulate_deterministic(message)
            .map_err(|()| Refused)?;
        let ml_kem_secret = Zeroizing::new(<[u8; 32]>::from(ml_kem_secret));
        let x25519_ciphertext = x25519_public_of(ephemeral)?;
        let x25519_secret = agree(ephemeral, x25519_public)?;

        let shared = join(
            &ml_kem_secret,
            &x25519_secret,
            &x25519_ciphertext,
            x25519_public,
        );
        let mut encapsulation = ml_kem_ciphertext.to_vec();
        encapsulation.extend_from_slice(&x25519_ciphertext);
        Ok((shared, encapsulation))
    }
}

impl ::age::Recipient for Recipient {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let refused = |_| EncryptError::Io(std::io::Error::other("the recipient is a weak key"));
        let (shared, encapsulation) = self.encapsulate().map_err(refused)?;
        let (key, nonce) = hpke_key(&shared).map_err(refused)?;
        let mut body = file_key.expose_secret().to_vec();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut body)
            .expect("a file key is short");
        let stanza = Stanza {
            tag: STANZA.to_owned(),
            args: vec![STANDARD_NO_PAD.encode(encapsulation)],
            body,
        };
        // The label keeps classic recipients out of the same file: one of them would undo the protection.
        Ok((vec![stanza], HashSet::from(["postquantum".to_owned()])))
    }
}

/// The secret half: a seed, from which both private keys follow.
pub(super) struct Identity {
    seed: Box<Zeroizing<[u8; 32]>>,
}

static_assertions::assert_not_impl_any!(Identity: Clone, std::fmt::Debug, std::fmt::Display);

impl Identity {
    pub(super) fn generate() -> Self {
        let mut identity = Self {
            seed: Box::new(Zeroizing::new([0; 32])),
        };
        getrandom::fill(&mut identity.seed[..])
            .expect("the operating system's random source answers");
        identity
    }

    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = decode(text, IDENTITY_HRP)?;
        if bytes.len() != 32 {
            return Err("it has the wrong length");
        }
        let mut identity = Self {
            seed: Box::new(Zeroizing::new([0; 32])),
        };
        identity.seed.copy_from_slice(&bytes);
        Ok(identity)
    }

    pub(super) fn text(&self) -> SecretText {
        let mut text = bech32_encode(IDENTITY_HRP, &self.seed[..]);
        text.make_ascii_uppercase();
        SecretText::from(text)
    }

    pub(super) fn recipient(&self) -> Recipient {
        let (ml_kem, x25519) = self.expand();
        let mut bytes = Box::new([0; ML_KEM_PUBLIC + X25519_BYTES]);
        bytes[..ML_KEM_PUBLIC].copy_from_slice(&ml_kem.encapsulation_key().as_bytes());
        bytes[ML_KEM_PUBLIC..].copy_from_slice(
            &x25519_public_of(&x25519[..]).expect("every 32 bytes are an X25519 key"),
        );
        Recipient { bytes }
    }

    fn expand(&self) -> (Decapsulating, Zeroizing<[u8; 32]>) {
        let mut stream = Shake256::default().chain(&self.seed[..]).finalize_xof();
        let mut seeds = Zeroizing::new([[0; 32]; 2]);
        let mut x25519 = Zeroizing::new([0; 32]);
        stream.read(&mut seeds[0]);
        stream.read(&mut seeds[1]);
        stream.read(&mut x25519[..]);
        let (ml_kem, _) = MlKem768::generate_deterministic((&seeds[0]).into(), (&seeds[1]).into());
        (ml_kem, x25519)
    }

    fn decapsulate(&self, encapsulation: &[u8]) -> Result<Zeroizing<[u8; 32]>, Refused> {
        if encapsulation.len() != ML_KEM_CIPHERTEXT + X25519_BYTES {
            return Err(Refused);
        }
        let (ml_kem_ciphertext, x25519_ciphertext) = encapsulation.split_at(ML_KEM_CIPHERTEXT);
        let ml_kem_ciphertext: &Ciphertext<MlKem768> =
            ml_kem_ciphertext.try_into().map_err(|_| Refused)?;
        let (ml_kem, x25519) = self.expand();
        let ml_kem_secret = ml_kem
            .decapsulate(ml_kem_ciphertext)
            .map_err(|()| Refused)?;
        let ml_kem_secret = Zeroizing::new(<[u8; 32]>::from(ml_kem_secret));
        let x25519_secret = agree(&x25519[..], x25519_ciphertext)?;
        Ok(join(
            &ml_kem_secret,
            &x25519_secret,
            x25519_ciphertext,
            &x25519_public_of(&x25519[..])?,
        ))
    }
}

impl ::age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != STANZA {
            return None;
        }
        let invalid = || Some(Err(DecryptError::InvalidHeader));
        let [encapsulation] = stanza.args.as_slice() else {
            return invalid();
        };
        let Ok(encapsulation) = STANDARD_NO_PAD.decode(encapsulation) else {
            return invalid();
        };
        if stanza.body.len() != FILE_KEY + TAG {
            return invalid();
        }
        let Ok((key, nonce)) = self
            .decapsulate(&encapsulation)
            .and_then(|shared| hpke_key(&shared))
        else {
            return invalid();
        };
        let mut body = Zeroizing::new(stanza.body.clone());
        // A stranger's stanza fails here and nowhere before: ML-KEM answers every ciphertext with some secret.
        let plain = key.open_in_place(nonce, Aad::empty(), &mut body).ok()?;
        Some(Ok(FileKey::init_with_mut(|file_key| {
            file_key.copy_from_slice(plain);
        })))
    }
}

/// One of the two halves cannot be used: a point of low order, a wrong length.
#[derive(Debug)]
struct Refused;

fn decode(text: &str, hrp: Hrp) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    bech32_decode(
        text,
        |_| "it is not Bech32",
        |found| (found == hrp).then_some(()).ok_or("it has another prefix"),
        |_, data| {
            // Sized before it is filled: a growing buffer would leave copies behind.
            let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
            bytes.extend(data);
            Ok(bytes)
        },
    )
}

fn x25519_public_of(private: &[u8]) -> Result<[u8; X25519_BYTES], Refused> {
    let private = agreement::PrivateKey::from_private_key(&X25519, private).map_err(|_| Refused)?;
    let public = private.compute_public_key().map_err(|_| Refused)?;
    public.as_ref().try_into().map_err(|_| Refused)
}

/// Diffie-Hellman on Curve25519; refuses points of low order, whose result is zero whatever the key.
fn agree(private: &[u8], public: &[u8]) -> Result<Zeroizing<[u8; 32]>, Refused> {
    let private = agreement::PrivateKey::from_private_key(&X25519, private).map_err(|_| Refused)?;
    agreement::agree(
        &private,
        UnparsedPublicKey::new(&X25519, public),
        Refused,
        |secret| Ok(Zeroizing::new(secret.try_into().map_err(|_| Refused)?)),
    )
}

/// `SHA3-256(ss_M || ss_X || ct_X || pk_X || label)`
fn join(
    ml_kem_secret: &[u8; 32],
    x25519_secret: &[u8; 32],
    x25519_ciphertext: &[u8],
    x25519_public: &[u8],
) -> Zeroizing<[u8; 32]> {
    let hash = Sha3_256::new()
        .chain(ml_kem_secret)
        .chain(x25519_secret)
        .chain(x25519_ciphertext)
        .chain(x25519_public)
        .chain(br"\.//^\");
    Zeroizing::new(hash.finalize().into())
}

/// The key schedule of RFC 9180, 5.1, in base mode, for one message.
fn hpke_key(shared: &[u8; 32]) -> Result<(LessSafeKey, Nonce), Refused> {
    let mut context = vec![0]; // mode_base
    context.extend_from_slice(&labeled_extract(b"", b"psk_id_hash", b"")[..]);
    context.extend_from_slice(&labeled_extract(b"", b"info_hash", INFO)[..]);
    let secret = labeled_extract(shared, b"secret", b"");
    let key = labeled_expand(&secret, b"key", &context, 32);
    let nonce = labeled_expand(&secret, b"base_nonce", &context, 12);
    Ok((
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key[..]).map_err(|_| Refused)?),
        Nonce::try_assume_unique_for_key(&nonce[..12]).map_err(|_| Refused)?,
    ))
}

/// KEM 0x647a, KDF 1 (HKDF-SHA256), AEAD 3 (ChaCha20-Poly1305).
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";

fn labeled_extract(salt: &[u8], label: &[u8], material: &[u8]) -> Zeroizing<[u8; 32]> {
    hmac(salt, &[b"HPKE-v1", SUITE, label, material])
}

/// HKDF-Expand of at most one block, so that its counter is always 1.
fn labeled_expand(
    secret: &[u8; 32],
    label: &[u8],
    context: &[u8],
    length: u16,
) -> Zeroizing<[u8; 32]> {
    let mut block = hmac(
        secret,
        &[
            &length.to_be_bytes(),
            b"HPKE-v1",
            SUITE,
            label,
            context,
            &[1],
        ],
    );
    block[usize::from(length)..].fill(0);
    block
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut tag = Zeroizing::new([0; 32]);
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

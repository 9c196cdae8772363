//! Passwords into keys, and what they encrypt.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use des::cipher::{BlockCipherDecrypt, KeyInit};
use sealwright_crypto::sealing::der;
use zeroize::Zeroizing;

use super::{ITERATIONS, OBJECT, Pkcs12Error, SALT_LENGTH};
use crate::random::random_bytes;

/// A password in the two forms that files use.
pub(super) struct Password {
    utf8: Zeroizing<Vec<u8>>,
    /// Big-endian UTF-16 with an end of two zero bytes.
    utf16: Zeroizing<Vec<u8>>,
}

impl Password {
    pub(super) fn new(text: &str) -> Self {
        let units = text.encode_utf16().chain([0]);
        Self {
            utf8: Zeroizing::new(text.as_bytes().to_vec()),
            utf16: Zeroizing::new(units.flat_map(u16::to_be_bytes).collect()),
        }
    }

    /// An empty password without its end, as some programs have it.
    pub(super) fn nothing() -> Self {
        Self {
            utf8: Zeroizing::default(),
            utf16: Zeroizing::default(),
        }
    }
}

/// A hash function of files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(super) fn of_digest(object: &[u8]) -> Result<Self, Pkcs12Error> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|hash| hash.object() == object)
            .ok_or(Pkcs12Error::Unsupported)
    }

    pub(super) fn object(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
            Self::Sha256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
            Self::Sha384 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
            Self::Sha512 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03],
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    pub(super) fn length(self) -> usize {
        self.digest().output_len()
    }
}

/// Reads a number of iterations.
pub(super) fn iterations(number: &[u8]) -> Result<u32, Pkcs12Error> {
    let number = der::without_leading_zeros(number);
    if number.len() > 3 || number.is_empty() {
        return Err(Pkcs12Error::TooSlow);
    }
    Ok(number
        .iter()
        .fold(0, |number, &byte| number << 8 | u32::from(byte)))
}

/// Counts iterations of the whole file.
pub(super) fn spend(budget: &mut u32, iterations: u32) -> Result<(), Pkcs12Error> {
    *budget = budget.checked_sub(iterations).ok_or(Pkcs12Error::TooSlow)?;
    Ok(())
}

/// The key derivation of PKCS#12 (RFC 7292, appendix B.2), with `purpose` 1 for keys, 2 for IVs, 3 for MACs.
pub(super) fn derive(
    hash: Hash,
    purpose: u8,
    password: &Password,
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let algorithm = hash.digest();
    let block = algorithm.block_len();
    let fill = |text: &[u8]| -> Vec<u8> {
        let size = text.len().div_ceil(block) * block;
        text.iter().copied().cycle().take(size).collect()
    };
    let mut input = Zeroizing::new(fill(salt));
    input.extend_from_slice(&Zeroizing::new(fill(&password.utf16)));
    let mut out = Zeroizing::new(Vec::with_capacity(length + block));
    loop {
        let mut first = digest::Context::new(algorithm);
        first.update(&vec![purpose; block]);
        first.update(&input);
        let mut hashed = first.finish();
        for _ in 1..iterations {
            hashed = digest::digest(algorithm, hashed.as_ref());
        }
        out.extend_from_slice(hashed.as_ref());
        if out.len() >= length {
            out.truncate(length);
            return out;
        }
        let addend: Vec<u8> = hashed
            .as_ref()
            .iter()
            .copied()
            .cycle()
            .take(block)
            .collect();
        for chunk in input.chunks_mut(block) {
            let mut carry = 1u16;
            for (byte, added) in chunk.iter_mut().zip(&addend).rev() {
                let sum = u16::from(*byte) + u16::from(*added) + carry;
                *byte = u8::try_from(sum & 0xff).expect("a byte");
                carry = sum >> 8;
            }
        }
    }
}

/// `1.2.840.113549.1.12.1`, before the number of the scheme.
const OLD_SCHEMES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
/// `1.2.840.113549.2`, before the number of the hash.
const HMACS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];
/// `2.16.840.1.101.3.4.1`, before the number of the mode.
const AES: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01];

/// Decrypts octets by their `AlgorithmIdentifier`.
pub(super) fn decrypt(
    algorithm: &[u8],
    octets: &[u8],
    password: &Password,
    budget: &mut u32,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let malformed = Pkcs12Error::Malformed;
    let (object, parameters) = der::read(algorithm, OBJECT).ok_or(malformed)?;
    let (parameters, _) = der::read(parameters, der::SEQUENCE).ok_or(malformed)?;
    if object == PBES2 {
        return decrypt_pbes2(parameters, octets, password, budget);
    }
    let (salt, rest) = der::read(parameters, der::OCTET_STRING).ok_or(malformed)?;
    let (count, _) = der::read(rest, der::INTEGER).ok_or(malformed)?;
    let count = iterations(count)?;
    spend(budget, count.saturating_mul(3))?;
    let key = |length| derive(Hash::Sha1, 1, password, salt, count, length);
    let iv = derive(Hash::Sha1, 2, password, salt, count, 8);
    let mut text = Zeroizing::new(octets.to_vec());
    match object.strip_prefix(OLD_SCHEMES) {
        Some([3]) => {
            let cipher = des::TdesEde3::new_from_slice(&key(24)).map_err(|_| malformed)?;
            cbc(&mut text, &iv, |block| cipher.decrypt_block(block.into()))?;
        }
        Some([5]) => {
            let cipher = rc2::Rc2::new_with_eff_key_len(&key(16), 128);
            cbc(&mut text, &iv, |block| cipher.decrypt_block(block.into()))?;
        }
        Some([6]) => {
            let cipher = rc2::Rc2::new_with_eff_key_len(&key(5), 40);
            cbc(&mut text, &iv, |block| cipher.decrypt_block(block.into()))?;
        }
        _ => return Err(Pkcs12Error::Unsupported),
    }
    Ok(text)
}

/// Decrypts blocks of 8 bytes that are chained, and takes the padding off.
fn cbc(text: &mut Vec<u8>, iv: &[u8], decrypt: impl Fn(&mut [u8; 8])) -> Result<(), Pkcs12Error> {
    if text.is_empty() || !text.len().is_multiple_of(8) {
        return Err(Pkcs12Error::Malformed);
    }
    let mut before: [u8; 8] = iv.try_into().map_err(|_| Pkcs12Error::Malformed)?;
    for chunk in text.chunks_mut(8) {
        let block: &mut [u8; 8] = chunk.try_into().expect("whole blocks");
        let sealed = *block;
        decrypt(block);
        for (byte, other) in block.iter_mut().zip(before) {
            *byte ^= other;
        }
        before = sealed;
    }
    let padding = usize::from(*text.last().expect("not empty"));
    let is_padded = (1..=8).contains(&padding)
        && text[text.len() - padding..]
            .iter()
            .all(|&byte| usize::from(byte) == padding);
    if !is_padded {
        return Err(Pkcs12Error::Password);
    }
    text.truncate(text.len() - padding);
    Ok(())
}

fn decrypt_pbes2(
    parameters: &[u8],
    octets: &[u8],
    password: &Password,
    budget: &mut u32,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let malformed = Pkcs12Error::Malformed;
    let (derivation, rest) = der::read(parameters, der::SEQUENCE).ok_or(malformed)?;
    let (scheme, _) = der::read(rest, der::SEQUENCE).ok_or(malformed)?;
    let (object, derivation) = der::read(derivation, OBJECT).ok_or(malformed)?;
    if object != PBKDF2 {
        return Err(Pkcs12Error::Unsupported);
    }
    let (derivation, _) = der::read(derivation, der::SEQUENCE).ok_or(malformed)?;
    let (salt, derivation) = der::read(derivation, der::OCTET_STRING).ok_or(malformed)?;
    let (count, mut derivation) = der::read(derivation, der::INTEGER).ok_or(malformed)?;
    let count = iterations(count)?;
    if let Some((_length, rest)) = der::read(derivation, der::INTEGER) {
        derivation = rest;
    }
    let hash = match der::read(derivation, der::SEQUENCE) {
        None => Hash::Sha1,
        Some((algorithm, _)) => {
            let (object, _) = der::read(algorithm, OBJECT).ok_or(malformed)?;
            match object.strip_prefix(HMACS) {
                Some([7]) => Hash::Sha1,
                Some([9]) => Hash::Sha256,
                Some([10]) => Hash::Sha384,
                Some([11]) => Hash::Sha512,
                _ => return Err(Pkcs12Error::Unsupported),
            }
        }
    };
    let (object, scheme) = der::read(scheme, OBJECT).ok_or(malformed)?;
    let (cipher, length): (&Algorithm, usize) = match object.strip_prefix(AES) {
        Some([0x02]) => (&AES_128, 16),
        Some([0x16]) => (&AES_192, 24),
        Some([0x2a]) => (&AES_256, 32),
        _ => return Err(Pkcs12Error::Unsupported),
    };
    let (iv, _) = der::read(scheme, der::OCTET_STRING).ok_or(malformed)?;
    let iv: [u8; 16] = iv.try_into().map_err(|_| malformed)?;
    spend(budget, count.saturating_mul(2))?;
    let key = stretch(hash, password, salt, count, length)?;
    let key = UnboundCipherKey::new(cipher, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .map_err(|_| malformed)?;
    let mut text = Zeroizing::new(octets.to_vec());
    let length = key
        .decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(|_| Pkcs12Error::Password)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn stretch(
    hash: Hash,
    password: &Password,
    salt: &[u8],
    count: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let count = NonZeroU32::new(count).ok_or(Pkcs12Error::Malformed)?;
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(hash.pbkdf2(), count, salt, &password.utf8, &mut key);
    Ok(key)
}

/// Encrypts with PBES2; gives the `AlgorithmIdentifier` and the octets.
#[allow(clippy::type_complexity)] // two parts that nothing else needs together
pub(super) fn encrypt(
    plain: &[u8],
    password: &Password,
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), Pkcs12Error> {
    let failed = Pkcs12Error::Encrypt;
    let salt = random_bytes(SALT_LENGTH).map_err(|_| failed)?;
    let key = stretch(Hash::Sha256, password, &salt, ITERATIONS, 32)?;
    let key = UnboundCipherKey::new(&AES_256, &key)
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .map_err(|_| failed)?;
    let mut octets = Vec::with_capacity(plain.len() + 16);
    octets.extend_from_slice(plain);
    let context = key.encrypt(&mut octets).map_err(|_| failed)?;
    let DecryptionContext::Iv128(iv) = context else {
        return Err(failed);
    };
    let object = |parts: &[&[u8]]| der::value(OBJECT, parts);
    let prf = der::value(der::SEQUENCE, &[&object(&[HMACS, &[9]])]);
    let salt = der::value(der::OCTET_STRING, &[&salt]);
    let count = der::value(der::INTEGER, &[&[0x08, 0x00]]);
    let derivation = der::value(der::SEQUENCE, &[&salt, &count, &prf]);
    let derivation = der::value(der::SEQUENCE, &[&object(&[PBKDF2]), &derivation]);
    let iv = der::value(der::OCTET_STRING, &[iv.as_ref()]);
    let scheme = der::value(der::SEQUENCE, &[&object(&[AES, &[0x2a]]), &iv]);
    let parameters = der::value(der::SEQUENCE, &[&derivation, &scheme]);
    let algorithm = der::value(der::SEQUENCE, &[&object(&[PBES2]), &parameters]);
    Ok((algorithm, octets))
}

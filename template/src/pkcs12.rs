//! PKCS#12 (RFC 7292): keys and certificates in one file with a password.
//!
//! Read is what Java, OpenSSL and Go write: PBES2 with AES, and the old schemes with 3DES and RC2. Written is what Go's
//! `go-pkcs12` calls modern: PBES2 with AES-256-CBC, HMAC-SHA-256. A file says itself how often its password is hashed,
//! and that is bounded: such a file may come from anyone.

mod contents;
mod encryption;

use aws_lc_rs::hmac;
use sealwright_crypto::sealing::der;
use thiserror::Error;
use zeroize::Zeroizing;

use self::contents::Bags;
use self::encryption::{Hash, Password};
use crate::random::random_bytes;

/// How often all passwords of one file may be hashed together.
const MAX_ITERATIONS: u32 = 2_000_000;
/// What we write, as upstream does.
const ITERATIONS: u32 = 2048;
const SALT_LENGTH: usize = 16;

/// Why a file is not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Pkcs12Error {
    /// The bytes are something else.
    #[error("pkcs12: the data is no PKCS#12")]
    Malformed,
    /// The password is not that of the file.
    #[error("pkcs12: decryption password incorrect")]
    Password,
    /// The file is encrypted or hashed in a way that is not known here.
    #[error("pkcs12: an algorithm is not supported")]
    Unsupported,
    /// Opening it would take too long.
    #[error("pkcs12: the password is hashed too often")]
    TooSlow,
    /// The file holds no private key.
    #[error("pkcs12: private key missing")]
    NoKey,
    /// The file holds several private keys.
    #[error("pkcs12: expected exactly one key bag")]
    ManyKeys,
    /// The file holds no certificate.
    #[error("pkcs12: certificate missing")]
    NoCertificate,
    /// It cannot be written.
    #[error("pkcs12: cannot encrypt")]
    Encrypt,
}

/// A key with its certificates, all in DER, in the order of the file.
pub struct Chain {
    /// The private key as PKCS#8.
    pub key: Zeroizing<Vec<u8>>,
    /// The certificates.
    pub certificates: Vec<Vec<u8>>,
}

const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
const OBJECT: u8 = 0x06;
const CONTEXT_0: u8 = 0xa0;

/// Reads a file with exactly one key.
///
/// # Errors
///
/// Says why it cannot be opened.
pub fn read(file: &[u8], password: &str) -> Result<Chain, Pkcs12Error> {
    read_file(file, password).and_then(|bags| {
        let mut keys = bags.keys.into_iter();
        let key = keys.next().ok_or(Pkcs12Error::NoKey)?;
        if keys.next().is_some() {
            return Err(Pkcs12Error::ManyKeys);
        }
        if bags.certificates.is_empty() {
            return Err(Pkcs12Error::NoCertificate);
        }
        Ok(Chain {
            key,
            certificates: bags.certificates,
        })
    })
}

fn read_file(file: &[u8], password: &str) -> Result<Bags, Pkcs12Error> {
    let malformed = Pkcs12Error::Malformed;
    let (pfx, rest) = der::read(file, der::SEQUENCE).ok_or(malformed)?;
    if !rest.is_empty() {
        return Err(malformed);
    }
    let (version, pfx) = der::read(pfx, der::INTEGER).ok_or(malformed)?;
    if version != [3] {
        return Err(malformed);
    }
    let (safe, pfx) = der::read(pfx, der::SEQUENCE).ok_or(malformed)?;
    let (kind, safe) = der::read(safe, OBJECT).ok_or(malformed)?;
    if kind != DATA {
        return Err(Pkcs12Error::Unsupported);
    }
    let (safe, _) = der::read(safe, CONTEXT_0).ok_or(malformed)?;
    let (safe, _) = der::read(safe, der::OCTET_STRING).ok_or(malformed)?;
    let mut budget = MAX_ITERATIONS;
    let password = check_mac(pfx, safe, password, &mut budget)?;
    let mut bags = Bags::default();
    let (mut contents, _) = der::read(safe, der::SEQUENCE).ok_or(malformed)?;
    while !contents.is_empty() {
        let (info, rest) = der::read(contents, der::SEQUENCE).ok_or(malformed)?;
        contents = rest;
        let (kind, info) = der::read(info, OBJECT).ok_or(malformed)?;
        let (content, _) = der::read(info, CONTEXT_0).ok_or(malformed)?;
        if kind == DATA {
            let (plain, _) = der::read(content, der::OCTET_STRING).ok_or(malformed)?;
            bags.read(plain, &password, &mut budget)?;
        } else if kind == ENCRYPTED_DATA {
            let plain = decrypt_content(content, &password, &mut budget)?;
            bags.read(&plain, &password, &mut budget)?;
        } else {
            return Err(Pkcs12Error::Unsupported);
        }
    }
    Ok(bags)
}

/// Opens an `EncryptedData`.
fn decrypt_content(
    content: &[u8],
    password: &Password,
    budget: &mut u32,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    const IMPLICIT_OCTETS: u8 = 0x80;
    const IMPLICIT_PARTS: u8 = 0xa0;
    let malformed = Pkcs12Error::Malformed;
    let (data, _) = der::read(content, der::SEQUENCE).ok_or(malformed)?;
    let (_version, data) = der::read(data, der::INTEGER).ok_or(malformed)?;
    let (info, _) = der::read(data, der::SEQUENCE).ok_or(malformed)?;
    let (_kind, info) = der::read(info, OBJECT).ok_or(malformed)?;
    let (algorithm, info) = der::read(info, der::SEQUENCE).ok_or(malformed)?;
    if let Some((octets, _)) = der::read(info, IMPLICIT_OCTETS) {
        return encryption::decrypt(algorithm, octets, password, budget);
    }
    // Some programs write the octets in parts.
    let (mut parts, _) = der::read(info, IMPLICIT_PARTS).ok_or(malformed)?;
    let mut octets = Vec::with_capacity(parts.len());
    while !parts.is_empty() {
        let (part, rest) = der::read(parts, der::OCTET_STRING).ok_or(malformed)?;
        octets.extend_from_slice(part);
        parts = rest;
    }
    encryption::decrypt(algorithm, &octets, password, budget)
}

/// Checks the password by the file's MAC; for an empty one there are two spellings.
fn check_mac(
    pfx: &[u8],
    safe: &[u8],
    password: &str,
    budget: &mut u32,
) -> Result<Password, Pkcs12Error> {
    let malformed = Pkcs12Error::Malformed;
    let (mac, _) = der::read(pfx, der::SEQUENCE).ok_or(malformed)?;
    let (info, mac) = der::read(mac, der::SEQUENCE).ok_or(malformed)?;
    let (algorithm, info) = der::read(info, der::SEQUENCE).ok_or(malformed)?;
    let (digest, _) = der::read(info, der::OCTET_STRING).ok_or(malformed)?;
    let (object, _) = der::read(algorithm, OBJECT).ok_or(malformed)?;
    let (salt, mac) = der::read(mac, der::OCTET_STRING).ok_or(malformed)?;
    let iterations = match der::read(mac, der::INTEGER) {
        Some((number, _)) => encryption::iterations(number)?,
        None => 1,
    };
    let hash = Hash::of_digest(object)?;
    let given = Password::new(password);
    let spellings = [Some(given), password.is_empty().then(Password::nothing)];
    for password in spellings.into_iter().flatten() {
        encryption::spend(budget, iterations)?;
        let key = encryption::derive(hash, 3, &password, salt, iterations, hash.length());
        let key = hmac::Key::new(hash.hmac(), &key);
        if hmac::verify(&key, safe, digest).is_ok() {
            return Ok(password);
        }
    }
    Err(Pkcs12Error::Password)
}

/// Writes a key with its certificate and those of its authorities.
pub(crate) fn write(chain: &Chain, password: &str) -> Result<Vec<u8>, Pkcs12Error> {
    let password = Password::new(password);
    let first = chain
        .certificates
        .first()
        .ok_or(Pkcs12Error::NoCertificate)?;
    let id = contents::local_key_id(first);
    let certificates: Vec<_> = chain
        .certificates
        .iter()
        .enumerate()
        .map(|(index, der)| contents::certificate_bag(der, (index == 0).then_some(&id[..])))
        .collect();
    let key = contents::key_bag(&chain.key, &id, &password)?;
    let safes = [
        encrypted(&sequence(&certificates), &password)?,
        plain(&sequence(&[key])),
    ];
    finish(&sequence(&safes), &password)
}

/// Writes certificates as Java keeps those it trusts, each with a name.
pub(crate) fn write_trust_store(
    certificates: &[(Vec<u8>, String)],
    password: &str,
) -> Result<Vec<u8>, Pkcs12Error> {
    let password = Password::new(password);
    let bags: Vec<_> = certificates
        .iter()
        .map(|(der, name)| contents::trusted_bag(der, name))
        .collect();
    let safes = [encrypted(&sequence(&bags), &password)?];
    finish(&sequence(&safes), &password)
}

fn sequence(parts: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_slice()).collect();
    der::value(der::SEQUENCE, &parts)
}

/// A `ContentInfo` of octets as they are.
fn plain(content: &[u8]) -> Zeroizing<Vec<u8>> {
    let octets = der::value(der::OCTET_STRING, &[content]);
    let explicit = der::value(CONTEXT_0, &[&octets]);
    der::value(der::SEQUENCE, &[&der::value(OBJECT, &[DATA]), &explicit])
}

/// A `ContentInfo` of encrypted octets.
fn encrypted(content: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (algorithm, octets) = encryption::encrypt(content, password)?;
    let octets = der::value(0x80, &[&octets]);
    let kind = der::value(OBJECT, &[DATA]);
    let info = der::value(der::SEQUENCE, &[&kind, &algorithm, &octets]);
    let data = der::value(der::SEQUENCE, &[&[der::INTEGER, 1, 0], &info]);
    let explicit = der::value(CONTEXT_0, &[&data]);
    let kind = der::value(OBJECT, &[ENCRYPTED_DATA]);
    Ok(der::value(der::SEQUENCE, &[&kind, &explicit]))
}

/// The file around the safes, with its MAC.
fn finish(safes: &[u8], password: &Password) -> Result<Vec<u8>, Pkcs12Error> {
    let hash = Hash::Sha256;
    let salt = random_bytes(SALT_LENGTH).map_err(|_| Pkcs12Error::Encrypt)?;
    let key = encryption::derive(hash, 3, password, &salt, ITERATIONS, hash.length());
    let tag = hmac::sign(&hmac::Key::new(hash.hmac(), &key), safes);
    let object = der::value(OBJECT, &[hash.object()]);
    let algorithm = der::value(der::SEQUENCE, &[&object]);
    let digest = der::value(der::OCTET_STRING, &[tag.as_ref()]);
    let info = der::value(der::SEQUENCE, &[&algorithm, &digest]);
    let salt = der::value(der::OCTET_STRING, &[&salt]);
    let count = der::value(der::INTEGER, &[&[0x08, 0x00]]);
    let mac = der::value(der::SEQUENCE, &[&info, &salt, &count]);
    let file = der::value(der::SEQUENCE, &[&[der::INTEGER, 1, 3], &plain(safes), &mac]);
    Ok(file.to_vec())
}

//! The few lines of DER that turn a PKCS#1 key into PKCS#8 and back, and pick keys and containers apart.

use zeroize::Zeroizing;

/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of an OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;

/// `AlgorithmIdentifier { rsaEncryption, NULL }`.
const RSA_ENCRYPTION: &[u8] = &[
    SEQUENCE, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Wraps a PKCS#1 `RSAPrivateKey` into a PKCS#8 `PrivateKeyInfo` (RFC 5958), which is what the
/// RSA implementation reads.
#[must_use]
pub fn pkcs8_from_pkcs1(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut octets = header(OCTET_STRING, pkcs1.len());
    let inner = 3 + RSA_ENCRYPTION.len() + octets.len() + pkcs1.len();
    let mut out = header(SEQUENCE, inner);
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(out.len() + inner));
    pkcs8.append(&mut out);
    pkcs8.extend_from_slice(&[INTEGER, 1, 0]);
    pkcs8.extend_from_slice(RSA_ENCRYPTION);
    pkcs8.append(&mut octets);
    pkcs8.extend_from_slice(pkcs1);
    pkcs8
}

/// Cuts the PKCS#1 `RSAPrivateKey` out of a PKCS#8 `PrivateKeyInfo`; `None` for anything else,
/// other algorithms included.
#[must_use]
pub fn pkcs1_from_pkcs8(pkcs8: &[u8]) -> Option<&[u8]> {
    let (info, _) = read(pkcs8, SEQUENCE)?;
    let (_version, info) = read(info, INTEGER)?;
    let (algorithm, info) = read(info, SEQUENCE)?;
    // The object identifier inside the constant, with its tag and length.
    if !algorithm.starts_with(&RSA_ENCRYPTION[2..13]) {
        return None;
    }
    let (key, _) = read(info, OCTET_STRING)?;
    Some(key)
}

/// The length in bits of the modulus of a PKCS#1 `RSAPrivateKey`.
#[must_use]
pub fn modulus_bits(pkcs1: &[u8]) -> Option<usize> {
    let (key, _) = read(pkcs1, SEQUENCE)?;
    let (_version, key) = read(key, INTEGER)?;
    let (modulus, _) = read(key, INTEGER)?;
    Some(bit_length(modulus))
}

/// The number of significant bits of a big-endian number.
#[must_use]
pub fn bit_length(number: &[u8]) -> usize {
    let number = without_leading_zeros(number);
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// A big-endian number without the zero bytes in front.
#[must_use]
pub fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}

/// Reads one value with the given tag: its content, and what follows it.
#[must_use]
pub fn read(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, input) = input.split_first()?;
    let (&first, input) = input.split_first()?;
    if found != tag {
        return None;
    }
    let (length, input) = match first {
        0..=0x7f => (usize::from(first), input),
        0x81..=0x84 => {
            let (bytes, input) = input.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0usize, |length, &byte| length << 8 | usize::from(byte));
            (length, input)
        }
        _ => return None,
    };
    input.split_at_checked(length)
}

/// Tag and length of a value.
#[must_use]
pub fn header(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let digits = without_leading_zeros(&bytes);
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length.to_be_bytes()[bytes.len() - 1]),
        _ => {
            out.push(0x80 | u8::try_from(digits.len()).expect("a usize has few bytes"));
            out.extend_from_slice(digits);
        }
    }
    out
}

/// One value: its tag, its length, and its parts one after another.
#[must_use]
pub fn value(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut start = header(tag, length);
    let mut out = Zeroizing::new(Vec::with_capacity(start.len() + length));
    out.append(&mut start);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

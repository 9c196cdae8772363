//! JSON Web Keys (RFC 7517, 7518, 8037) as PEM.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use num_bigint::BigUint;
use sealwright_crypto::sealing::{der, pem};
use zeroize::Zeroizing;

use crate::budget::Budget;
use crate::format::from_json;
use crate::function::Parameter::Text as TextParameter;
use crate::function::{Entry, bytes, fixed};
use crate::value::{Dict, Value};

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "jwkPublicKeyPem",
        fixed(&[TextParameter], |e, a| {
            let key = parse(bytes(a, 0), &e.budget)?;
            if has(&key, "d") {
                return Err("x509: the key is not a public key".to_owned());
            }
            let spki = public(&key)?;
            Ok(Value::text(&pem::write("PUBLIC KEY", &spki)[..]))
        }),
    ),
    (
        "jwkPrivateKeyPem",
        fixed(&[TextParameter], |e, a| {
            let key = parse(bytes(a, 0), &e.budget)?;
            if !has(&key, "d") {
                return Err("x509: the key is not a private key".to_owned());
            }
            let pkcs8 = private(&key)?;
            Ok(Value::text(&pem::write("PRIVATE KEY", &pkcs8)[..]))
        }),
    ),
];

const OBJECT: u8 = 0x06;
const NULL: &[u8] = &[0x05, 0x00];
const BIT_STRING: u8 = 0x03;
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

fn parse(text: &[u8], budget: &Budget) -> Result<Dict, String> {
    match from_json(text, budget)? {
        Value::Dict(key) if !key.is_nil() => Ok(key),
        _ => Err("failed to parse the JSON Web Key".to_owned()),
    }
}

fn has(key: &Dict, name: &str) -> bool {
    key.get(name.as_bytes()).is_some()
}

fn text(key: &Dict, name: &str) -> Result<Vec<u8>, String> {
    match key.get(name.as_bytes()) {
        Some(Value::Text(text)) => Ok(text.bytes().to_vec()),
        _ => Err(format!("the JSON Web Key has no {name:?}")),
    }
}

/// A field in base64 for URLs, without padding.
fn field(key: &Dict, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    use base64::Engine;
    let text = Zeroizing::new(text(key, name)?);
    let trimmed = text.trim_ascii_end();
    let unpadded = trimmed
        .iter()
        .rposition(|&byte| byte != b'=')
        .map_or(0, |at| at + 1);
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(&trimmed[..unpadded])
        .map(Zeroizing::new)
        .map_err(|_| format!("{name:?} of the JSON Web Key is no base64"))
}

/// A curve: its object identifier and the length of its numbers.
fn curve(key: &Dict) -> Result<(&'static [u8], usize), String> {
    match &text(key, "crv")?[..] {
        b"P-256" => Ok((&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], 32)),
        b"P-384" => Ok((&[0x2b, 0x81, 0x04, 0x00, 0x22], 48)),
        b"P-521" => Ok((&[0x2b, 0x81, 0x04, 0x00, 0x23], 66)),
        _ => Err("the curve of the JSON Web Key is not supported".to_owned()),
    }
}

/// A curve of RFC 8410.
fn edwards(key: &Dict) -> Result<&'static [u8], String> {
    match &text(key, "crv")?[..] {
        b"Ed25519" => Ok(&[0x2b, 0x65, 0x70]),
        b"X25519" => Ok(&[0x2b, 0x65, 0x6e]),
        _ => Err("the curve of the JSON Web Key is not supported".to_owned()),
    }
}

/// The uncompressed point of a public key, which must lie on the curve.
fn point(key: &Dict, length: usize) -> Result<Vec<u8>, String> {
    let mut point = vec![4];
    for name in ["x", "y"] {
        point.extend_from_slice(&padded(&field(key, name)?, length)?);
    }
    let curve = match length {
        32 => &aws_lc_rs::agreement::ECDH_P256,
        48 => &aws_lc_rs::agreement::ECDH_P384,
        _ => &aws_lc_rs::agreement::ECDH_P521,
    };
    let unparsed = aws_lc_rs::agreement::UnparsedPublicKey::new(curve, &point);
    aws_lc_rs::agreement::ParsedPublicKey::try_from(&unparsed)
        .map_err(|_| "the point of the JSON Web Key is not on its curve")?;
    Ok(point)
}

fn padded(number: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let number = der::without_leading_zeros(number);
    let missing = length
        .checked_sub(number.len())
        .ok_or("a number of the JSON Web Key is too long")?;
    let mut out = Zeroizing::new(vec![0; length]);
    out[missing..].copy_from_slice(number);
    Ok(out)
}

/// A positive number as DER writes it.
fn integer(number: &[u8]) -> Zeroizing<Vec<u8>> {
    let number = der::without_leading_zeros(number);
    let needs_zero = number.first().is_none_or(|&first| first >= 0x80);
    let zero: &[u8] = if needs_zero { &[0] } else { &[] };
    der::value(der::INTEGER, &[zero, number])
}

fn algorithm(object: &[u8], parameters: &[u8]) -> Zeroizing<Vec<u8>> {
    let object = der::value(OBJECT, &[object]);
    der::value(der::SEQUENCE, &[&object, parameters])
}

/// `SubjectPublicKeyInfo`
fn public(key: &Dict) -> Result<Zeroizing<Vec<u8>>, String> {
    let (algorithm, bits) = match &text(key, "kty")?[..] {
        b"RSA" => {
            let numbers = [integer(&field(key, "n")?), integer(&field(key, "e")?)];
            let body = der::value(der::SEQUENCE, &[&numbers[0], &numbers[1]]);
            (algorithm(RSA, NULL), body.to_vec())
        }
        b"EC" => {
            let (object, length) = curve(key)?;
            let curve = der::value(OBJECT, &[object]);
            (algorithm(EC, &curve), point(key, length)?)
        }
        b"OKP" => {
            let object = edwards(key)?;
            (
                algorithm(object, &[]),
                padded(&field(key, "x")?, 32)?.to_vec(),
            )
        }
        _ => return Err("the type of the JSON Web Key is not supported".to_owned()),
    };
    let bits = der::value(BIT_STRING, &[&[0], &bits]);
    Ok(der::value(der::SEQUENCE, &[&algorithm, &bits]))
}

/// `PrivateKeyInfo` (PKCS#8)
fn private(key: &Dict) -> Result<Zeroizing<Vec<u8>>, String> {
    const VERSION: &[u8] = &[der::INTEGER, 1, 0];
    let (algorithm, body) = match &text(key, "kty")?[..] {
        b"RSA" => return Ok(der::pkcs8_from_pkcs1(&rsa_private(key)?)),
        b"EC" => {
            let (object, length) = curve(key)?;
            let secret = padded(&field(key, "d")?, length)?;
            let secret = der::value(der::OCTET_STRING, &[&secret]);
            let bits = der::value(BIT_STRING, &[&[0], &point(key, length)?]);
            let public = der::value(0xa1, &[&bits]);
            let version: &[u8] = &[der::INTEGER, 1, 1];
            let curve = der::value(OBJECT, &[object]);
            (
                algorithm(EC, &curve),
                der::value(der::SEQUENCE, &[version, &secret, &public]),
            )
        }
        b"OKP" => {
            let seed = padded(&field(key, "d")?, 32)?;
            let object = edwards(key)?;
            if object.ends_with(&[0x70]) {
                let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed);
                let pair = pair.map_err(|_| "the JSON Web Key is no key")?;
                let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
                verify_slices_are_equal(public.as_ref(), &padded(&field(key, "x")?, 32)?)
                    .map_err(|_| "the halves of the JSON Web Key do not belong together")?;
            }
            (
                algorithm(object, &[]),
                der::value(der::OCTET_STRING, &[&seed]),
            )
        }
        _ => return Err("the type of the JSON Web Key is not supported".to_owned()),
    };
    let body = der::value(der::OCTET_STRING, &[&body]);
    Ok(der::value(der::SEQUENCE, &[VERSION, &algorithm, &body]))
}

/// `RSAPrivateKey` (PKCS#1); what the key leaves out is computed from its primes.
fn rsa_private(key: &Dict) -> Result<Zeroizing<Vec<u8>>, String> {
    let number = |name: &str| field(key, name).map(|bytes| BigUint::from_bytes_be(&bytes));
    let (d, p, q) = (number("d")?, number("p")?, number("q")?);
    let one = BigUint::from(1u8);
    if p <= one || q <= one {
        return Err("the primes of the JSON Web Key are none".to_owned());
    }
    if p.bits() + q.bits() > 16_384 || &p * &q != number("n")? {
        return Err("the numbers of the JSON Web Key do not belong together".to_owned());
    }
    let bytes = |number: BigUint| Zeroizing::new(number.to_bytes_be());
    let inverse = q
        .modinv(&p)
        .ok_or("the primes of the JSON Web Key are none")?;
    let parts = [
        field(key, "n")?,
        field(key, "e")?,
        field(key, "d")?,
        field(key, "p")?,
        field(key, "q")?,
        bytes(&d % (&p - &one)),
        bytes(&d % (&q - &one)),
        bytes(inverse),
    ]
    .map(|part| integer(&part));
    let mut fields: Vec<&[u8]> = vec![&[der::INTEGER, 1, 0]];
    fields.extend(parts.iter().map(|part| part.as_slice()));
    Ok(der::value(der::SEQUENCE, &fields))
}

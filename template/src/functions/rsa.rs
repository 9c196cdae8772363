//! Decryption with RSA, and private keys of any kind and form.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepPrivateDecryptingKey,
    PrivateDecryptingKey,
};
use sealwright_crypto::sealing::{der, pem};
use zeroize::Zeroizing;

use crate::function::Parameter::Text as TextParameter;
use crate::function::{Entry, Environment, bytes, fixed};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[(
    "rsaDecrypt",
    fixed(
        &[TextParameter, TextParameter, TextParameter, TextParameter],
        |e, a| match bytes(a, 0) {
            b"None" => Ok(a[2].clone()),
            b"RSA-OAEP" => decrypt(e, bytes(a, 1), bytes(a, 2), bytes(a, 3)),
            _ => Err("the decryption scheme is not supported".to_owned()),
        },
    ),
)];

fn decrypt(e: &Environment, hash: &[u8], ciphertext: &[u8], key: &[u8]) -> Result<Value, String> {
    e.budget.check_time()?;
    let pkcs8 = pkcs8_of(key)?;
    if der::pkcs1_from_pkcs8(&pkcs8).is_none() {
        return Err("could not parse RSA private key".to_owned());
    }
    let key = PrivateDecryptingKey::from_pkcs8(&pkcs8)
        .ok()
        .and_then(|key| OaepPrivateDecryptingKey::new(key).ok())
        .ok_or("could not parse private key")?;
    let algorithm = match hash {
        b"SHA1" => &OAEP_SHA1_MGF1SHA1,
        b"SHA512" => &OAEP_SHA512_MGF1SHA512,
        _ => &OAEP_SHA256_MGF1SHA256,
    };
    let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
    let plaintext = key
        .decrypt(algorithm, ciphertext, &mut out, None)
        .map_err(|_| "error decrypting data with RSA")?;
    Ok(Value::text(&*plaintext))
}

/// The first key of a text in PKCS#8; it may be in PKCS#1, in PKCS#8 or in the form of SEC 1.
pub(super) fn pkcs8_of(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let blocks = pem::read(text);
    let first = blocks.iter().find_map(|block| block.content.as_ref());
    let content = first.ok_or("failed to decode PEM block")?;
    let unknown = || "failed to parse private key type".to_owned();
    let (body, _) = der::read(content, der::SEQUENCE).ok_or_else(unknown)?;
    let (_version, rest) = der::read(body, der::INTEGER).ok_or_else(unknown)?;
    match rest.first() {
        // A number follows in PKCS#1, an algorithm in PKCS#8, octets in SEC 1.
        Some(&der::INTEGER) => Ok(der::pkcs8_from_pkcs1(content)),
        Some(&der::SEQUENCE) => Ok(Zeroizing::new(content.to_vec())),
        Some(&der::OCTET_STRING) => pkcs8_of_sec1(rest).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

/// Moves the curve of an `ECPrivateKey` to where PKCS#8 has it.
fn pkcs8_of_sec1(rest: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let (secret, rest) = der::read(rest, der::OCTET_STRING)?;
    let (curve, rest) = der::read(rest, 0xa0)?;
    let algorithm = der::value(der::SEQUENCE, &[EC, curve]);
    let secret = der::value(der::OCTET_STRING, &[secret]);
    let version: &[u8] = &[der::INTEGER, 1, 1];
    let inner = der::value(der::SEQUENCE, &[version, &secret, rest]);
    let body = der::value(der::OCTET_STRING, &[&inner]);
    Some(der::value(
        der::SEQUENCE,
        &[&[der::INTEGER, 1, 0], &algorithm, &body],
    ))
}

//! PKCS#12 files out of PEM and back, as the External Secrets Operator converts them.

use sealwright_crypto::sealing::{base64, pem};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pem::{Link, certificates, ordered};
use super::rsa::pkcs8_of;
use crate::function::Parameter::Text as TextParameter;
use crate::function::{Entry, Environment, bytes, fixed};
use crate::pkcs12::{self, Chain, Pkcs12Error};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "pkcs12key",
        fixed(&[TextParameter], |e, a| key(e, b"", bytes(a, 0))),
    ),
    (
        "pkcs12keyPass",
        fixed(&[TextParameter, TextParameter], |e, a| {
            key(e, bytes(a, 0), bytes(a, 1))
        }),
    ),
    (
        "pkcs12cert",
        fixed(&[TextParameter], |e, a| chain(e, b"", bytes(a, 0))),
    ),
    (
        "pkcs12certPass",
        fixed(&[TextParameter, TextParameter], |e, a| {
            chain(e, bytes(a, 0), bytes(a, 1))
        }),
    ),
    (
        "pemToPkcs12",
        fixed(&[TextParameter, TextParameter], |e, a| {
            store(e, &first(bytes(a, 0))?, bytes(a, 1), b"")
        })
        .growing(6),
    ),
    (
        "pemToPkcs12Pass",
        fixed(&[TextParameter, TextParameter, TextParameter], |e, a| {
            store(e, &first(bytes(a, 0))?, bytes(a, 1), bytes(a, 2))
        })
        .growing(6),
    ),
    (
        "fullPemToPkcs12",
        fixed(&[TextParameter, TextParameter], |e, a| {
            store(e, &all(bytes(a, 0))?, bytes(a, 1), b"")
        })
        .growing(6),
    ),
    (
        "fullPemToPkcs12Pass",
        fixed(&[TextParameter, TextParameter, TextParameter], |e, a| {
            store(e, &all(bytes(a, 0))?, bytes(a, 1), bytes(a, 2))
        })
        .growing(6),
    ),
    (
        "pemTruststoreToPKCS12",
        fixed(&[TextParameter], |e, a| trust_store(e, bytes(a, 0), b"")).growing(6),
    ),
    (
        "pemTruststoreToPKCS12Pass",
        fixed(&[TextParameter, TextParameter], |e, a| {
            trust_store(e, bytes(a, 0), bytes(a, 1))
        })
        .growing(6),
    ),
];

fn text(password: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(password).map_err(|_| "the password is not UTF-8")?;
    // Upstream's library knows the characters of the Basic Multilingual Plane.
    match text.chars().all(|rune| u32::from(rune) < 0x1_0000) {
        true => Ok(text),
        false => {
            Err("pkcs12: string contains characters that cannot be encoded in UCS-2".to_owned())
        }
    }
}

fn open(e: &Environment, password: &[u8], file: &[u8]) -> Result<Chain, String> {
    e.budget.check_time()?;
    pkcs12::read(file, text(password)?).map_err(|error| error.to_string())
}

fn key(e: &Environment, password: &[u8], file: &[u8]) -> Result<Value, String> {
    let chain = open(e, password, file)?;
    Ok(Value::text(&pem::write("PRIVATE KEY", &chain.key)[..]))
}

fn chain(e: &Environment, password: &[u8], file: &[u8]) -> Result<Value, String> {
    let links = open(e, password, file)?
        .certificates
        .iter()
        .map(|der| Link::parse(der))
        .collect::<Result<Vec<_>, _>>()?;
    // What is no single chain stays as it is.
    let links = ordered(&links).unwrap_or(links);
    Ok(Value::text(certificates(&links)))
}

/// The first certificate of a text.
fn first(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let blocks = pem::read(text);
    let content = blocks.iter().find_map(|block| block.content.as_ref());
    let content = content.ok_or("failed to decode PEM block")?;
    Link::parse(content).map(|link| vec![link.der])
}

/// All certificates of a text, behind which nothing may follow.
fn all(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let blocks = pem::read(text);
    let end = blocks.last().map_or(0, |last| last.end);
    if end < text.len() || blocks.iter().any(|block| block.content.is_none()) {
        return Err("failed to decode PEM block".to_owned());
    }
    let contents = blocks.iter().filter_map(|block| block.content.as_ref());
    contents
        .map(|der| Link::parse(der).map(|link| link.der))
        .collect()
}

fn store(
    e: &Environment,
    certificates: &[Vec<u8>],
    key: &[u8],
    password: &[u8],
) -> Result<Value, String> {
    e.budget.check_time()?;
    let chain = Chain {
        key: pkcs8_of(key)?,
        certificates: certificates.to_vec(),
    };
    written(pkcs12::write(&chain, text(password)?))
}

fn trust_store(e: &Environment, certificates: &[u8], password: &[u8]) -> Result<Value, String> {
    e.budget.check_time()?;
    let named = all(certificates)?
        .into_iter()
        .map(|der| {
            let (_, certificate) =
                X509Certificate::from_der(&der).map_err(|_| "malformed certificate")?;
            let name = certificate.subject().to_string();
            Ok((der, name))
        })
        .collect::<Result<Vec<_>, String>>()?;
    written(pkcs12::write_trust_store(&named, text(password)?))
}

fn written(file: Result<Vec<u8>, Pkcs12Error>) -> Result<Value, String> {
    let file = file.map_err(|error| error.to_string())?;
    Ok(Value::text(base64::encode(&file)))
}

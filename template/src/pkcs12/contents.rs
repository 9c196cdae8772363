//! The bags of a file: keys and certificates with their attributes.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use sealwright_crypto::sealing::der;
use zeroize::Zeroizing;

use super::encryption::{self, Password};
use super::{CONTEXT_0, OBJECT, Pkcs12Error};

/// `1.2.840.113549.1.12.10.1`, before the number of the kind of bag.
const BAGS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];
const KEY: u8 = 1;
const SHROUDED_KEY: u8 = 2;
const CERTIFICATE: u8 = 3;
const SAFE: u8 = 6;
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
/// `2.16.840.1.113894.746875.1.1`: Java's mark of a certificate that it trusts.
const TRUSTED: &[u8] = &[
    0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01,
];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
const SET: u8 = 0x31;
const BMP_STRING: u8 = 0x1e;

/// What was found in a file, in its order.
#[derive(Default)]
pub(super) struct Bags {
    pub(super) keys: Vec<Zeroizing<Vec<u8>>>,
    pub(super) certificates: Vec<Vec<u8>>,
}

impl Bags {
    /// Reads a `SafeContents`.
    pub(super) fn read(
        &mut self,
        contents: &[u8],
        password: &Password,
        budget: &mut u32,
    ) -> Result<(), Pkcs12Error> {
        let malformed = Pkcs12Error::Malformed;
        let (mut bags, _) = der::read(contents, der::SEQUENCE).ok_or(malformed)?;
        while !bags.is_empty() {
            let (bag, rest) = der::read(bags, der::SEQUENCE).ok_or(malformed)?;
            bags = rest;
            let (kind, bag) = der::read(bag, OBJECT).ok_or(malformed)?;
            let (content, _) = der::read(bag, CONTEXT_0).ok_or(malformed)?;
            match kind.strip_prefix(BAGS) {
                Some([KEY]) => self.keys.push(Zeroizing::new(content.to_vec())),
                Some([SHROUDED_KEY]) => {
                    let (info, _) = der::read(content, der::SEQUENCE).ok_or(malformed)?;
                    let (algorithm, info) = der::read(info, der::SEQUENCE).ok_or(malformed)?;
                    let (octets, _) = der::read(info, der::OCTET_STRING).ok_or(malformed)?;
                    let key = encryption::decrypt(algorithm, octets, password, budget)?;
                    self.keys.push(key);
                }
                Some([CERTIFICATE]) => {
                    let (bag, _) = der::read(content, der::SEQUENCE).ok_or(malformed)?;
                    let (kind, bag) = der::read(bag, OBJECT).ok_or(malformed)?;
                    if kind != X509 {
                        return Err(Pkcs12Error::Unsupported);
                    }
                    let (value, _) = der::read(bag, CONTEXT_0).ok_or(malformed)?;
                    let (value, _) = der::read(value, der::OCTET_STRING).ok_or(malformed)?;
                    self.certificates.push(value.to_vec());
                }
                Some([SAFE]) => return Err(Pkcs12Error::Unsupported),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What ties a key to its certificate.
pub(super) fn local_key_id(certificate: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate)
        .as_ref()
        .to_vec()
}

pub(super) fn certificate_bag(certificate: &[u8], id: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
    let attributes: Vec<_> = id.map(id_attribute).into_iter().collect();
    bag(CERTIFICATE, &certificate_value(certificate), &attributes)
}

pub(super) fn trusted_bag(certificate: &[u8], name: &str) -> Zeroizing<Vec<u8>> {
    let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let name = der::value(BMP_STRING, &[&utf16]);
    let attributes = [
        attribute(FRIENDLY_NAME, &name),
        attribute(TRUSTED, &der::value(OBJECT, &[ANY_USAGE])),
    ];
    bag(CERTIFICATE, &certificate_value(certificate), &attributes)
}

pub(super) fn key_bag(
    pkcs8: &[u8],
    id: &[u8],
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let (algorithm, octets) = encryption::encrypt(pkcs8, password)?;
    let octets = der::value(der::OCTET_STRING, &[&octets]);
    let info = der::value(der::SEQUENCE, &[&algorithm, &octets]);
    Ok(bag(SHROUDED_KEY, &info, &[id_attribute(id)]))
}

fn certificate_value(certificate: &[u8]) -> Zeroizing<Vec<u8>> {
    let octets = der::value(der::OCTET_STRING, &[certificate]);
    let explicit = der::value(CONTEXT_0, &[&octets]);
    der::value(der::SEQUENCE, &[&der::value(OBJECT, &[X509]), &explicit])
}

fn id_attribute(id: &[u8]) -> Zeroizing<Vec<u8>> {
    attribute(LOCAL_KEY_ID, &der::value(der::OCTET_STRING, &[id]))
}

fn attribute(object: &[u8], value: &[u8]) -> Zeroizing<Vec<u8>> {
    let values = der::value(SET, &[value]);
    der::value(der::SEQUENCE, &[&der::value(OBJECT, &[object]), &values])
}

fn bag(kind: u8, content: &[u8], attributes: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let object = der::value(OBJECT, &[BAGS, &[kind]]);
    let explicit = der::value(CONTEXT_0, &[content]);
    let attributes: Vec<&[u8]> = attributes.iter().map(|one| one.as_slice()).collect();
    // Upstream's library writes the set even if there is nothing in it.
    let attributes = der::value(SET, &attributes);
    der::value(der::SEQUENCE, &[&object, &explicit, &attributes])
}

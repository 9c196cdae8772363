//! Keys and certificates made on the spot.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use sealwright_crypto::sealing::{PrivateKey, base64};
use zeroize::Zeroizing;

use super::dsa;
use crate::certificate::Certificate;
use crate::function::Parameter::{
    Certificate as Pair, Int, List as ListParameter, Text as TextParameter,
};
use crate::function::{Entry, Environment, bytes, fixed, int, list, text};
use crate::text::Text;
use crate::value::{List, Value};

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "genPrivateKey",
        fixed(&[TextParameter], |e, a| private_key(e, bytes(a, 0))),
    ),
    (
        "buildCustomCert",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let decode = |index: usize, what: &str| {
                base64::decode(bytes(a, index))
                    .map_err(|_| format!("unable to decode base64 {what}"))
            };
            let (cert, key) = (decode(0, "certificate")?, decode(1, "private key")?);
            x509_parser::pem::parse_x509_pem(&cert)
                .map_err(|_| "unable to decode certificate")?
                .1
                .parse_x509()
                .map_err(|_| "error parsing certificate")?;
            Key::parse(&key)?;
            Ok(pair(cert, key))
        }),
    ),
    (
        "genCA",
        fixed(&[TextParameter, Int], |e, a| {
            authority(e, bytes(a, 0), int(a, 1), Key::rsa(e)?)
        }),
    ),
    (
        "genCAWithKey",
        fixed(&[TextParameter, Int, TextParameter], |e, a| {
            authority(e, bytes(a, 0), int(a, 1), Key::parse(bytes(a, 2))?)
        }),
    ),
    (
        "genSelfSignedCert",
        fixed(
            &[TextParameter, ListParameter, ListParameter, Int],
            |e, a| self_signed(e, a, Key::rsa(e)?),
        ),
    ),
    (
        "genSelfSignedCertWithKey",
        fixed(
            &[
                TextParameter,
                ListParameter,
                ListParameter,
                Int,
                TextParameter,
            ],
            |e, a| self_signed(e, a, Key::parse(bytes(a, 4))?),
        ),
    ),
    (
        "genSignedCert",
        fixed(
            &[TextParameter, ListParameter, ListParameter, Int, Pair],
            |e, a| signed(e, a, Key::rsa(e)?),
        ),
    ),
    (
        "genSignedCertWithKey",
        fixed(
            &[
                TextParameter,
                ListParameter,
                ListParameter,
                Int,
                Pair,
                TextParameter,
            ],
            |e, a| signed(e, a, Key::parse(bytes(a, 5))?),
        ),
    ),
];

fn pair(cert: impl Into<Text>, key: impl Into<Text>) -> Value {
    Value::Certificate(std::sync::Arc::new(Certificate {
        cert: cert.into(),
        key: key.into(),
    }))
}

fn failed<T>(_: T) -> String {
    "error generating a key".to_owned()
}

/// A key and the text it is written as.
struct Key {
    pair: KeyPair,
    pem: Text,
}

impl Key {
    fn rsa(e: &Environment) -> Result<Self, String> {
        e.budget.check_time()?;
        let key = PrivateKey::generate(2048).map_err(failed)?;
        Self::parse(key.to_pkcs1_pem().map_err(failed)?.expose())
    }

    /// Reads a key; RSA is written as PKCS#1 again, a key of P-256 as SEC 1, other keys as they came.
    fn parse(pem: &[u8]) -> Result<Self, String> {
        let invalid = |_| "error parsing private key".to_owned();
        let text =
            Zeroizing::new(String::from_utf8(pem.to_vec()).map_err(|_| "no PEM data in input")?);
        let pair = KeyPair::from_pem(&text).map_err(invalid)?;
        let sec1 = (*pair.algorithm() == rcgen::PKCS_ECDSA_P256_SHA256)
            .then(|| sec1_from_pkcs8(&Zeroizing::new(pair.serialize_der())))
            .flatten();
        let written = match (PrivateKey::from_pem(pem), sec1) {
            (Ok(key), _) => Text::from(key.to_pkcs1_pem().map_err(failed)?.expose()),
            (Err(_), Some(sec1)) => Text::from(pem_text("EC PRIVATE KEY", &sec1)),
            (Err(_), None) => Text::from(pem),
        };
        Ok(Self { pair, pem: written })
    }
}

/// Generates a key. That cannot be interrupted, so the time is looked at before.
fn private_key(e: &Environment, kind: &[u8]) -> Result<Value, String> {
    e.budget.check_time()?;
    let algorithm = match kind {
        b"" | b"rsa" => {
            let key = PrivateKey::generate(4096).map_err(failed)?;
            let pem = key.to_pkcs1_pem().map_err(failed)?;
            return Ok(Value::text(pem.expose()));
        }
        b"ecdsa" => &rcgen::PKCS_ECDSA_P256_SHA256,
        b"ed25519" => &rcgen::PKCS_ED25519,
        b"dsa" => return dsa::private_key(),
        other => return Ok(Value::text([b"Unknown type ", other].concat())),
    };
    let pair = KeyPair::generate_for(algorithm).map_err(failed)?;
    let pkcs8 = Zeroizing::new(pair.serialize_der());
    if kind == b"ed25519" {
        return Ok(Value::text(pem_text("PRIVATE KEY", &pkcs8)));
    }
    let sec1 = sec1_from_pkcs8(&pkcs8).ok_or_else(|| failed(()))?;
    Ok(Value::text(pem_text("EC PRIVATE KEY", &sec1)))
}

/// Cuts the `ECPrivateKey` (RFC 5915) out of a PKCS#8 key of P-256 and names the curve in it.
fn sec1_from_pkcs8(pkcs8: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    /// `[0] { prime256v1 }`
    const CURVE: &[u8] = &[
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    // SEQUENCE { INTEGER 1, OCTET STRING (32 bytes), … }
    let start: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];
    let at = pkcs8
        .windows(start.len())
        .position(|window| window == start)?;
    let private = pkcs8.get(at..at + start.len() + 32)?;
    // [1] { BIT STRING (66 bytes: 0, then the point) }
    let mark: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00];
    let public = pkcs8
        .windows(mark.len())
        .position(|window| window == mark)?;
    let public = pkcs8.get(public..public + mark.len() + 65)?;
    let length = private.len() + CURVE.len() + public.len();
    let mut out = Zeroizing::new(Vec::with_capacity(length + 2));
    out.extend_from_slice(&[0x30, u8::try_from(length).ok()?]);
    for part in [private, CURVE, public] {
        out.extend_from_slice(part);
    }
    Some(out)
}

fn pem_text(label: &str, content: &[u8]) -> Vec<u8> {
    let encoded = Zeroizing::new(base64::encode(content));
    let mut out = format!("-----BEGIN {label}-----\n").into_bytes();
    out.reserve_exact(encoded.len() * 2 + 64);
    for line in encoded.as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    out
}

fn authority(e: &Environment, name: &[u8], days: i64, key: Key) -> Result<Value, String> {
    let mut params = params(e, name, days, &[], &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let cert = params.self_signed(&key.pair).map_err(not_made)?;
    Ok(pair(pem_text("CERTIFICATE", cert.der()), key.pem))
}

fn self_signed(e: &Environment, a: &[Value], key: Key) -> Result<Value, String> {
    let params = leaf(e, a)?;
    let cert = params.self_signed(&key.pair).map_err(not_made)?;
    Ok(pair(pem_text("CERTIFICATE", cert.der()), key.pem))
}

fn signed(e: &Environment, a: &[Value], key: Key) -> Result<Value, String> {
    let Value::Certificate(authority) = &a[4] else {
        unreachable!("checked against the signature");
    };
    let mut params = leaf(e, a)?;
    params.use_authority_key_identifier_extension = true;
    let cert = authority.cert.lossy();
    let signer = Key::parse(authority.key.bytes())?;
    let issuer = Issuer::from_ca_cert_pem(&cert, signer.pair)
        .map_err(|_| "error parsing certificate of the authority")?;
    let cert = params.signed_by(&key.pair, &issuer).map_err(not_made)?;
    Ok(pair(pem_text("CERTIFICATE", cert.der()), key.pem))
}

fn not_made<T>(_: T) -> String {
    "error creating certificate".to_owned()
}

fn leaf(e: &Environment, a: &[Value]) -> Result<CertificateParams, String> {
    /// `id-ce-basicConstraints`
    const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
    let addresses = texts(list(a, 1), "error parsing ip")?;
    let names = texts(list(a, 2), "error processing alternate dns name")?;
    let mut params = params(e, text(a, 0).bytes(), int(a, 3), &addresses, &names)?;
    let mut no_authority = CustomExtension::from_oid_content(BASIC_CONSTRAINTS, vec![0x30, 0x00]);
    no_authority.set_criticality(true);
    params.custom_extensions.push(no_authority);
    Ok(params)
}

fn texts(list: &List, complaint: &str) -> Result<Vec<String>, String> {
    let items = list.items().iter();
    items
        .map(|item| match item {
            Value::Text(text) => String::from_utf8(text.bytes().to_vec())
                .map_err(|_| format!("{complaint}: the text is no UTF-8")),
            other => Err(format!(
                "{complaint}: a {} is not a string",
                other.kind_name()
            )),
        })
        .collect()
}

/// What all certificates have in common.
fn params(
    e: &Environment,
    name: &[u8],
    days: i64,
    addresses: &[String],
    names: &[String],
) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    let mut serial = [0u8; 16];
    getrandom::fill(&mut serial).map_err(|_| "the system has no randomness")?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    if !name.is_empty() {
        let name = String::from_utf8_lossy(name).into_owned();
        params
            .distinguished_name
            .push(DnType::CommonName, DnValue::Utf8String(name));
    }
    let out_of_range = || "the time of validity is out of range".to_owned();
    let now = u64::try_from(e.now.as_second()).map_err(|_| out_of_range())?;
    let days = u64::try_from(days).ok().filter(|&days| days < 2_900_000);
    let end = now + days.ok_or_else(out_of_range)? * 86_400;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now);
    params.not_after = epoch + Duration::from_secs(end);
    for address in addresses {
        let address: IpAddr = address.parse().map_err(|_| "error parsing ip")?;
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    for name in names {
        let name = name
            .as_str()
            .try_into()
            .map_err(|_| "error processing alternate dns name")?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    // With `ExplicitNoCa` a certificate would get a key identifier, which sprig gives to authorities only.
    params.is_ca = IsCa::NoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

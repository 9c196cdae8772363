//! Private keys as Key Vault imports them: JSON Web Keys.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright_crypto::sealing::{der, pem};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

/// A key, ready to be imported.
pub(super) struct Jwk {
    /// The members that the vault shows again, and what they hold.
    pub(super) public: Vec<(&'static str, String)>,
    /// The whole key as JSON.
    pub(super) text: SecretBytes,
}

/// An elliptic curve: its name, its object identifier, and how it signs.
struct Curve {
    name: &'static str,
    id: &'static [u8],
    algorithm: &'static EcdsaSigningAlgorithm,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        id: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        algorithm: &ECDSA_P256_SHA256_ASN1_SIGNING,
    },
    Curve {
        name: "P-384",
        id: &[0x2b, 0x81, 0x04, 0x00, 0x22],
        algorithm: &ECDSA_P384_SHA384_ASN1_SIGNING,
    },
    Curve {
        name: "P-521",
        id: &[0x2b, 0x81, 0x04, 0x00, 0x23],
        algorithm: &ECDSA_P521_SHA512_ASN1_SIGNING,
    },
];

const OBJECT: u8 = 0x06;

impl Jwk {
    /// Reads a key: PEM with PKCS#8, PKCS#1 or SEC1; anything else is the bytes of a symmetric key. Nothing comes out if
    /// it is PEM of something else.
    pub(super) fn read(bytes: &SecretBytes) -> Option<Self> {
        let blocks = pem::read(bytes.expose());
        if blocks.is_empty() {
            let mut writer = Writer::of("oct");
            writer.secret("k", bytes.expose());
            return Some(writer.finish());
        }
        blocks.iter().find_map(|block| {
            let content = block.content.as_ref()?;
            match block.label {
                "RSA PRIVATE KEY" => of_rsa(content),
                "EC PRIVATE KEY" => of_curve(content, None),
                "PRIVATE KEY" => match der::pkcs1_from_pkcs8(content) {
                    Some(rsa) => of_rsa(rsa),
                    None => of_pkcs8(content),
                },
                _ => None,
            }
        })
    }
}

/// `RSAPrivateKey`: its numbers in their order.
fn of_rsa(pkcs1: &[u8]) -> Option<Jwk> {
    let (key, _) = der::read(pkcs1, der::SEQUENCE)?;
    let (_version, mut rest) = der::read(key, der::INTEGER)?;
    let mut writer = Writer::of("RSA");
    for (name, public) in [
        ("n", true),
        ("e", true),
        ("d", false),
        ("p", false),
        ("q", false),
        ("dp", false),
        ("dq", false),
        ("qi", false),
    ] {
        let (number, behind) = der::read(rest, der::INTEGER)?;
        rest = behind;
        let number = der::without_leading_zeros(number);
        match public {
            true => writer.public(name, &URL_SAFE_NO_PAD.encode(number)),
            false => writer.secret(name, number),
        }
    }
    Some(writer.finish())
}

/// `PrivateKeyInfo` of a key on a curve.
fn of_pkcs8(pkcs8: &[u8]) -> Option<Jwk> {
    const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let (info, _) = der::read(pkcs8, der::SEQUENCE)?;
    let (_version, info) = der::read(info, der::INTEGER)?;
    let (algorithm, info) = der::read(info, der::SEQUENCE)?;
    let (kind, parameters) = der::read(algorithm, OBJECT)?;
    let (curve, _) = der::read(parameters, OBJECT)?;
    let (key, _) = der::read(info, der::OCTET_STRING)?;
    (kind == EC_PUBLIC_KEY).then(|| of_curve(key, Some(curve)))?
}

/// `ECPrivateKey`, whose curve may stand around it.
fn of_curve(sec1: &[u8], around: Option<&[u8]>) -> Option<Jwk> {
    const PARAMETERS: u8 = 0xa0;
    let (key, _) = der::read(sec1, der::SEQUENCE)?;
    let (_version, key) = der::read(key, der::INTEGER)?;
    let (private, rest) = der::read(key, der::OCTET_STRING)?;
    let inside = der::read(rest, PARAMETERS).and_then(|(inner, _)| der::read(inner, OBJECT));
    let id = inside.map(|(id, _)| id).or(around)?;
    let curve = CURVES.iter().find(|curve| curve.id == id)?;
    let pair = EcdsaKeyPair::from_private_key_der(curve.algorithm, sec1).ok()?;
    // Uncompressed: a byte 4, then both coordinates.
    let point = pair.public_key().as_ref().get(1..)?;
    let (x, y) = point.split_at(point.len() / 2);
    let mut writer = Writer::of("EC");
    writer.public("crv", curve.name);
    writer.public("x", &URL_SAFE_NO_PAD.encode(x));
    writer.public("y", &URL_SAFE_NO_PAD.encode(y));
    writer.secret("d", private);
    Some(writer.finish())
}

struct Writer {
    public: Vec<(&'static str, String)>,
    text: SecretWriter,
}

impl Writer {
    fn of(kind: &'static str) -> Self {
        let mut text = SecretWriter::with_capacity(4096);
        text.push(format!("{{\"kty\":\"{kind}\"").as_bytes());
        Self {
            public: vec![("kty", kind.to_owned())],
            text,
        }
    }

    fn public(&mut self, name: &'static str, value: &str) {
        self.text
            .push(format!(",\"{name}\":\"{value}\"").as_bytes());
        self.public.push((name, value.to_owned()));
    }

    fn secret(&mut self, name: &str, bytes: &[u8]) {
        self.text.push(format!(",\"{name}\":\"").as_bytes());
        let length = base64::encoded_len(bytes.len(), false).expect("it is small");
        URL_SAFE_NO_PAD
            .encode_slice(bytes, self.text.extend_zeroed(length))
            .expect("the place is of that size");
        self.text.push_byte(b'"');
    }

    fn finish(mut self) -> Jwk {
        self.text.push_byte(b'}');
        Jwk {
            public: self.public,
            text: self.text.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwk(text: &str) -> Option<serde_json::Value> {
        let jwk = Jwk::read(&SecretBytes::copy_of(text.as_bytes()))?;
        let value: serde_json::Value = serde_json::from_slice(jwk.text.expose()).unwrap();
        for (name, held) in &jwk.public {
            assert_eq!(value[*name], held.as_str());
        }
        Some(value)
    }

    #[test]
    fn keys_of_every_kind_become_json() {
        let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let value = jwk(&rsa.serialize_pem()).unwrap();
        assert_eq!(value["kty"], "RSA");
        assert_eq!(value["e"], "AQAB");
        assert_eq!(value.as_object().unwrap().len(), 9);
        for (algorithm, name, length) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "P-256", 43),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "P-384", 64),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let value = jwk(&key.serialize_pem()).unwrap();
            assert_eq!(value["crv"], name);
            for coordinate in ["x", "y", "d"] {
                assert_eq!(value[coordinate].as_str().unwrap().len(), length);
            }
            let point = key.public_key_raw();
            let x = URL_SAFE_NO_PAD.encode(&point[1..=(point.len() - 1) / 2]);
            assert_eq!(value["x"], x);
        }
        assert_eq!(jwk("raw").unwrap()["k"], "cmF3");
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(jwk(certificate).is_none());
    }
}

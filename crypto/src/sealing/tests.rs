//! Known answers of upstream, a second implementation as judge, and damaged input.

use std::sync::LazyLock;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const KEY: &str = include_str!("vectors/key.pem");
const CERTIFICATE: &str = include_str!("vectors/certificate.pem");

static VECTOR_KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_pem(KEY.as_bytes()).unwrap());
static VECTOR_CERTIFICATE: LazyLock<Certificate> =
    LazyLock::new(|| Certificate::from_pem(CERTIFICATE.as_bytes()).unwrap());

fn vector(text: &str) -> Vec<u8> {
    base64::decode(text.as_bytes()).unwrap()
}

#[test]
fn a3_to_a7_known_ciphertexts_open() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        (
            include_str!("vectors/strict.b64"),
            b"vec-ns/vec-name",
            b"s3cr3t-value",
        ),
        (
            include_str!("vectors/namespace-wide.b64"),
            b"vec-ns",
            b"s3cr3t-value",
        ),
        (
            include_str!("vectors/cluster-wide.b64"),
            b"",
            b"s3cr3t-value",
        ),
        (include_str!("vectors/empty.b64"), b"", b""),
    ];
    for (text, label, plaintext) in cases {
        let sealed = vector(text);
        assert_eq!(
            VECTOR_KEY.unseal(&sealed, label).unwrap().expose(),
            plaintext
        );
        assert_eq!(VECTOR_KEY.unseal(&sealed, b"vec-ns/x"), Err(UnsealError));
    }
    let whole = VECTOR_KEY
        .unseal(
            &vector(include_str!("vectors/deprecated-data.b64")),
            b"vec-ns/vec-name",
        )
        .unwrap();
    assert!(whole.expose().starts_with(b"{") && whole.expose().ends_with(b"}\n"));
}

#[test]
fn a2_certificate_and_key_have_the_known_fingerprint() {
    let fingerprint = "SHA256:dp4SERH37F7I7AAz/hbYHNyPmSFaRsSfxYZfrs+5HQQ";
    assert_eq!(VECTOR_KEY.fingerprint().as_str(), fingerprint);
    assert_eq!(VECTOR_CERTIFICATE.fingerprint().as_str(), fingerprint);
    assert!(VECTOR_CERTIFICATE.belongs_to(&VECTOR_KEY));
    assert_eq!(VECTOR_CERTIFICATE.to_pem(), CERTIFICATE);
    assert_eq!(VECTOR_KEY.to_pkcs1_pem().unwrap().expose(), KEY.as_bytes());
    assert_eq!(VECTOR_KEY.bits(), 2048);
    assert_eq!(VECTOR_CERTIFICATE.bits(), 2048);
}

#[test]
fn dates_decide_expiry_and_nothing_else() {
    let (start, end) = (
        VECTOR_CERTIFICATE.not_before(),
        VECTOR_CERTIFICATE.not_after(),
    );
    assert_eq!(end - start, 3650 * 86_400);
    assert!(!VECTOR_CERTIFICATE.is_expired(start - 1));
    assert!(!VECTOR_CERTIFICATE.is_expired(end));
    assert!(VECTOR_CERTIFICATE.is_expired(end + 1));
}

#[test]
fn layout_is_length_wrapped_key_body_and_tag() {
    for length in [0usize, 1, 12, 10_000] {
        let sealed = VECTOR_CERTIFICATE.seal(&vec![7; length], b"x").unwrap();
        assert_eq!(sealed.len(), 274 + length);
        assert_eq!(sealed[..2], [1, 0]);
        assert_eq!(
            VECTOR_KEY.unseal(&sealed, b"x").unwrap().expose(),
            vec![7; length]
        );
    }
}

#[test]
fn every_value_gets_a_key_of_its_own() {
    let one = VECTOR_CERTIFICATE.seal(b"same", b"").unwrap();
    let two = VECTOR_CERTIFICATE.seal(b"same", b"").unwrap();
    assert_ne!(one[2..258], two[2..258]);
    assert_ne!(one[258..], two[258..]);
}

/// The `rsa` crate as second opinion, in both directions.
#[test]
fn another_rsa_implementation_agrees() {
    let private = RsaPrivateKey::from_pkcs1_pem(KEY).unwrap();
    let oaep = |label: &str| Oaep::new_with_mgf_hash_and_label::<Sha256, Sha256, _>(label);
    for label in ["", "ns", "ns/name", "ns/ключ"] {
        let sealed = VECTOR_CERTIFICATE.seal(b"value", label.as_bytes()).unwrap();
        let session = private.decrypt(oaep(label), &sealed[2..258]).unwrap();
        assert_eq!(session.len(), 32);
        assert_eq!(open(&session, &sealed[258..]), b"value");

        let wrapped = RsaPublicKey::from(&private)
            .encrypt(&mut rsa::rand_core::OsRng, oaep(label), &[9; 24])
            .unwrap();
        let mut foreign = vec![1, 0];
        foreign.extend_from_slice(&wrapped);
        foreign.extend_from_slice(&shut(&[9; 24], b"short session key"));
        let opened = VECTOR_KEY.unseal(&foreign, label.as_bytes()).unwrap();
        assert_eq!(opened.expose(), b"short session key");
    }
}

use rsa::sha2::Sha256;

fn cipher(session: &[u8]) -> LessSafeKey {
    let algorithm = match session.len() {
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, session).unwrap())
}

fn open(session: &[u8], body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    cipher(session)
        .open_in_place(zero_nonce(), Aad::empty(), &mut body)
        .unwrap()
        .to_vec()
}

fn shut(session: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    cipher(session)
        .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut body)
        .unwrap();
    body
}

#[test]
fn damaged_values_are_one_and_the_same_error() {
    let sealed = VECTOR_CERTIFICATE.seal(b"value", b"l").unwrap();
    for end in [0, 1, 2, 3, 257, 258, 259, 273, 274, sealed.len() - 1] {
        assert_eq!(
            VECTOR_KEY.unseal(&sealed[..end], b"l"),
            Err(UnsealError),
            "{end}"
        );
    }
    for at in [0, 1, 2, 100, 257, 258, sealed.len() - 1] {
        let mut broken = sealed.clone();
        broken[at] ^= 1;
        assert_eq!(
            VECTOR_KEY.unseal(&broken, b"l"),
            Err(UnsealError),
            "byte {at}"
        );
    }
}

#[test]
fn a_generated_certificate_looks_like_upstreams() {
    let key = PrivateKey::generate(2048).unwrap();
    for common_name in ["", "demo", "кот"] {
        let made = Certificate::self_signed(&key, common_name, 1_790_000_000, 87_600 * 3600)
            .expect("a certificate");
        assert_eq!(made.not_before(), 1_790_000_000);
        assert_eq!(made.not_after(), 1_790_000_000 + 87_600 * 3600);
        assert!(made.belongs_to(&key));

        let (_, parsed) = X509Certificate::from_der(made.der()).unwrap();
        assert_eq!(parsed.version(), x509_parser::x509::X509Version::V3);
        assert_eq!(parsed.subject(), parsed.issuer());
        let names: Vec<_> = parsed
            .subject()
            .iter_common_name()
            .map(|name| name.as_str().unwrap())
            .collect();
        match common_name {
            "" => assert_eq!(parsed.subject().as_raw(), [0x30, 0]),
            _ => assert_eq!(names, [common_name]),
        }
        let oids: Vec<_> = parsed
            .extensions()
            .iter()
            .map(|ext| (ext.oid.to_id_string(), ext.critical, ext.value.to_vec()))
            .collect();
        assert!(oids.contains(&("2.5.29.15".into(), true, vec![3, 2, 0, 1])));
        assert!(oids.contains(&("2.5.29.19".into(), true, vec![0x30, 3, 1, 1, 0xff])));
        let (_, _, identifier) = oids
            .iter()
            .find(|ext| ext.0 == "2.5.29.14")
            .expect("a subject key identifier");
        assert_eq!(identifier.len(), 22);
        assert_eq!(oids.len(), 3, "{oids:?}");
        assert_eq!(
            parsed.signature_algorithm.algorithm.to_id_string(),
            "1.2.840.113549.1.1.11"
        );
    }
}

#[test]
fn the_signature_of_a_generated_certificate_verifies() {
    let key = PrivateKey::generate(2048).unwrap();
    let made = Certificate::self_signed(&key, "x", 1_790_000_000, 60).unwrap();
    let (_, parsed) = X509Certificate::from_der(made.der()).unwrap();
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
        &parsed.public_key().subject_public_key.data,
    );
    public
        .verify(
            parsed.tbs_certificate.as_ref(),
            &parsed.signature_value.data,
        )
        .unwrap();
}

#[test]
fn generated_keys_come_back_from_their_pem() {
    let key = PrivateKey::generate(2048).unwrap();
    let text = key.to_pkcs1_pem().unwrap();
    assert!(
        text.expose()
            .starts_with(b"-----BEGIN RSA PRIVATE KEY-----\n")
    );
    let again = PrivateKey::from_pem(text.expose()).unwrap();
    assert_eq!(again.fingerprint(), key.fingerprint());

    let pkcs8 = pem::write("PRIVATE KEY", key.pkcs8().unwrap().as_ref());
    let mixed = [CERTIFICATE.as_bytes(), b"noise\r\n", &pkcs8[..]].concat();
    let again = PrivateKey::from_pem(&mixed).unwrap();
    assert_eq!(again.fingerprint(), key.fingerprint());
}

#[test]
fn keys_that_cannot_unseal_are_told_apart() {
    let error = |text: &str| PrivateKey::from_pem(text.as_bytes()).err();
    assert_eq!(error(""), Some(KeyError::Missing));
    assert_eq!(error(CERTIFICATE), Some(KeyError::Missing));
    assert_eq!(
        error("-----BEGIN RSA PRIVATE KEY-----\n!\n-----END RSA PRIVATE KEY-----\n"),
        Some(KeyError::Damaged)
    );
    for label in [
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
    ] {
        assert_eq!(
            error(&format!(
                "-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n"
            )),
            Some(KeyError::NotRsa {
                label: label.into()
            })
        );
    }
    assert!(matches!(
        PrivateKey::generate(1024),
        Err(KeyError::GeneratedSize { bits: 1024 })
    ));
    assert_eq!(
        error(include_str!("vectors/small-key.pem")),
        Some(KeyError::Size { bits: 1024 })
    );
}

#[test]
fn certificates_that_cannot_seal_are_told_apart() {
    let error = |text: &str| Certificate::from_pem(text.as_bytes()).err();
    assert_eq!(
        error("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"),
        Some(CertificateError::Missing)
    );
    assert_eq!(
        error(include_str!("vectors/small-certificate.pem")),
        Some(CertificateError::Size { bits: 1024 })
    );
    assert_eq!(
        error(include_str!("vectors/ec-certificate.pem")),
        Some(CertificateError::NotRsa)
    );
    let damaged = CERTIFICATE.replace("MIIC7j", "MIIC7k");
    assert_eq!(error(&damaged), Some(CertificateError::Damaged));
    let with_headers = CERTIFICATE.replacen("-----\n", "-----\nA: b\n\n", 1);
    assert_eq!(error(&with_headers), Some(CertificateError::Missing));
    assert!(Certificate::from_pem((with_headers + CERTIFICATE).as_bytes()).is_ok());
    assert!(Certificate::self_signed(&VECTOR_KEY, "", 1_790_000_000, u64::MAX).is_err());
}

#[test]
fn proofs_depend_on_the_key_and_on_the_message() {
    let (one, two) = (
        PrivateKey::generate(2048).unwrap(),
        PrivateKey::generate(2048).unwrap(),
    );
    assert_eq!(one.prove(b"a"), one.prove(b"a"));
    assert_ne!(one.prove(b"a"), one.prove(b"b"));
    assert_ne!(one.prove(b"a"), two.prove(b"a"));
    let again = PrivateKey::from_pem(one.to_pkcs1_pem().unwrap().expose()).unwrap();
    assert_eq!(again.prove(b"a"), one.prove(b"a"));
}

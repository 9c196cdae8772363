use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::key_kind::AGE;
use sealwright_crypto::master_key::Wrapped;

use super::*;
use crate::format::Layout;
use crate::format::json::Json;
use crate::metadata::{KeyEntry, KeyFields};
use crate::selection::SelectionRule;

mod json;
mod malformed;
mod many;
mod null;
mod traps;
mod vectors;

fn key() -> DataKey {
    DataKey::from_part(&KeyPart::from((0..32).collect::<Vec<u8>>())).unwrap()
}

fn now() -> jiff::Timestamp {
    "2024-05-06T07:08:09Z".parse().unwrap()
}

fn later() -> jiff::Timestamp {
    "2025-05-06T07:08:09Z".parse().unwrap()
}

fn metadata(rule: Option<SelectionRule>) -> Metadata {
    let entry = KeyEntry {
        key: KeyFields::of(&AGE, "age1a"),
        created_at: None,
        enc: Wrapped(
            "-----BEGIN AGE ENCRYPTED FILE-----\nYQ==\n-----END AGE ENCRYPTED FILE-----\n".into(),
        ),
    };
    Metadata::new(vec![vec![entry]], 0, rule, false)
}

fn encrypted(format: &'static dyn Format, text: &str, metadata: Metadata) -> String {
    let document = Document::parse(format, SecretBytes::copy_of(text.as_bytes())).unwrap();
    let out = encrypt(document, metadata, &key(), None, now(), Layout::default()).unwrap();
    String::from_utf8(out.text.expose().to_vec()).unwrap()
}

fn refusal(format: &'static dyn Format, plain: &str) -> EncryptError {
    let document = Document::parse(format, SecretBytes::copy_of(plain.as_bytes())).unwrap();
    let out = encrypt(
        document,
        metadata(None),
        &key(),
        None,
        now(),
        Layout::default(),
    );
    out.unwrap_err()
}

fn parsed(format: &'static dyn Format, text: &str) -> Encrypted {
    Encrypted::parse(format, SecretBytes::copy_of(text.as_bytes())).unwrap()
}

fn decrypted(format: &'static dyn Format, text: &str) -> String {
    let file = parsed(format, text);
    let out = decrypt(&file, &key()).unwrap();
    assert_eq!(out.warnings, []);
    assert_same_tree(format, out.document.tree());
    String::from_utf8(out.document.text().expose().to_vec()).unwrap()
}

/// The tree that decryption builds is the one that reading its text gives.
fn assert_same_tree(format: &'static dyn Format, tree: &Tree) {
    let again = format
        .parse(SecretBytes::copy_of(tree.text.expose()))
        .unwrap();
    assert_eq!(tree.nodes.len(), again.nodes.len());
    assert_eq!(tree.documents, again.documents);
    for at in 0..tree.nodes.len() {
        let (a, b) = (&tree.nodes[at], &again.nodes[at]);
        assert_eq!((a.site, a.end), (b.site, b.end), "node {at}");
        // The note of YAML says how a value was quoted when it was read, and how deep the block was indented.
        assert!(a.place == b.place || format.name() == "yaml", "node {at}");
        assert_eq!(tree.key(at), again.key(at));
        let same_value = match (tree.scalar(at), again.scalar(at)) {
            (Some(a), Some(b)) => a == b || matches!((a, b), (crate::scalar::Scalar::Float(_), _)),
            (None, None) => true,
            _ => false,
        };
        assert!(same_value, "node {at}");
    }
}

/// Lines that differ between two texts of the same number of lines.
fn changed_lines<'a>(a: &'a str, b: &'a str) -> Vec<&'a str> {
    assert_eq!(a.lines().count(), b.lines().count());
    let pairs = a.lines().zip(b.lines());
    pairs.filter(|(a, b)| a != b).map(|(_, b)| b).collect()
}

/// Decrypts, changes the plain text and encrypts again.
fn edited(
    format: &'static dyn Format,
    file: &str,
    change: impl Fn(&str) -> String,
) -> (String, bool) {
    let file = parsed(format, file);
    let (plain, memory) = decrypt_to_edit(&file, &key()).unwrap();
    let text = std::str::from_utf8(plain.document.text().expose()).unwrap();
    let document = Document::parse(format, SecretBytes::copy_of(change(text).as_bytes())).unwrap();
    let metadata = file.metadata().clone();
    let out = encrypt(
        document,
        metadata,
        &key(),
        Some(memory),
        later(),
        Layout::default(),
    );
    let out = out.unwrap();
    (
        String::from_utf8(out.text.expose().to_vec()).unwrap(),
        out.changed,
    )
}

use sealwright_crypto::cipher::{Kind, Nonces, ValueCipher};
use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::writer::padded;
use super::*;
use crate::format::Format;
use crate::format::json::Json;
use crate::scalar::Scalar;
use crate::tree::Tree;

fn tree(text: &str) -> Tree {
    Json.parse(SecretBytes::copy_of(text.as_bytes())).unwrap()
}

/// Hints for the leaves of a JSON text, as pairs of leaf and spelling.
fn hints(tree: &Tree, spellings: &[(u32, &str)]) -> Option<SecretBytes> {
    let mut writer = HintsWriter::default();
    for (leaf, spelling) in spellings {
        let node = *leaf as usize + 1;
        let mut canonical = SecretWriter::default();
        let scalar = tree.scalar(node).unwrap();
        Json.spell(tree, node, scalar, &mut canonical).unwrap();
        writer.leaf(*leaf, scalar, spelling.as_bytes(), canonical.expose());
    }
    writer.finish(tree, &[], None)
}

fn spelled(hints: &Hints, tree: &Tree, leaf: u32, scalar: Scalar<'_>) -> Option<String> {
    let mut out = SecretWriter::default();
    hints
        .spelling(leaf, &Json, tree, leaf as usize + 1, scalar, &mut out)
        .then(|| String::from_utf8(out.expose().to_vec()).unwrap())
}

const TEXT: &str = r#"{"a":"x","b":"<y>","c":1.0,"d":10.0,"e":"é"}"#;

#[test]
fn spellings_come_back() {
    let tree = tree(TEXT);
    assert!(
        hints(&tree, &[(0, "\"x\"")]).is_none(),
        "canonical needs no hint"
    );
    let cases = [
        (1, "\"\\u003cy\\u003E\""),
        (2, "1.0"),
        (3, "1e1"),
        (4, "\"\\u00e9\""),
    ];
    let bytes = hints(&tree, &cases).unwrap();
    let read = Hints::read(bytes, tree.nodes.len()).unwrap();
    for (leaf, spelling) in cases {
        let scalar = tree.scalar(leaf as usize + 1).unwrap();
        assert_eq!(
            spelled(&read, &tree, leaf, scalar).as_deref(),
            Some(spelling)
        );
    }
    assert!(!read.is_about_layout());
}

#[test]
fn data_always_wins() {
    let tree = tree(TEXT);
    let cases = [(1, "\"\\u003cy>\""), (2, "1.0")];
    let bytes = hints(&tree, &cases).unwrap();
    let read = Hints::read(bytes, tree.nodes.len()).unwrap();
    assert_eq!(spelled(&read, &tree, 1, Scalar::Str(b"other")), None);
    let read = Hints::read(hints(&tree, &cases).unwrap(), tree.nodes.len()).unwrap();
    assert_eq!(spelled(&read, &tree, 2, Scalar::Float(1e30)), None);
    let read = Hints::read(hints(&tree, &cases).unwrap(), tree.nodes.len()).unwrap();
    assert_eq!(
        spelled(&read, &tree, 2, Scalar::Int(1)),
        None,
        "the type counts"
    );
    assert!(Hints::read(hints(&tree, &cases).unwrap(), tree.nodes.len() + 1).is_none());
}

#[test]
fn only_the_right_key_and_the_right_place_open_them() {
    let tree = tree(TEXT);
    let bytes = hints(&tree, &[(2, "1.0")]).unwrap();
    let cipher = ValueCipher::new(&DataKey::generate());
    let mut text = Vec::new();
    cipher.encrypt(
        bytes.expose(),
        AAD,
        Kind::Str,
        &mut Nonces::default(),
        &mut text,
    );
    let text = String::from_utf8(text).unwrap();
    assert!(Hints::open(&text, &cipher, &tree).is_some());
    assert!(Hints::open(&text, &ValueCipher::new(&DataKey::generate()), &tree).is_none());
    let mut moved = Vec::new();
    cipher.encrypt(
        bytes.expose(),
        b"sealwright:",
        Kind::Str,
        &mut Nonces::default(),
        &mut moved,
    );
    let moved = String::from_utf8(moved).unwrap();
    assert!(Hints::open(&moved, &cipher, &tree).is_none());
}

#[test]
fn broken_hints_are_no_hints() {
    let tree = tree(TEXT);
    let bytes = hints(&tree, &[(1, "\"\\u003cy>\""), (2, "1.0"), (3, "1e1")]).unwrap();
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut broken = bytes.expose().to_vec();
            broken[at] = value;
            if let Some(hints) = Hints::read(SecretBytes::from(broken), tree.nodes.len()) {
                for leaf in 0..5 {
                    let scalar = tree.scalar(leaf as usize + 1).unwrap();
                    let _ = spelled(&hints, &tree, leaf, scalar);
                }
                let _ = hints.restore_layout(&Json, &tree);
            }
        }
        let cut = SecretBytes::copy_of(&bytes.expose()[..at]);
        let read = Hints::read(cut, tree.nodes.len());
        assert!(read.is_none() || bytes.expose()[at..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn lengths_are_padded() {
    assert_eq!(padded(1), 32);
    assert_eq!(padded(33), 36);
    assert_eq!(padded(100), 104);
    assert_eq!(padded(1000), 1024);
    for len in 1..5000 {
        assert!(padded(len) >= len && (len < 32 || padded(len) * 100 <= len * 112));
    }
}

//! The YAML test suite: every case that the format can represent is encrypted and decrypted, byte for byte.

use std::{collections::BTreeMap, process::Command};

use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::key_kind::AGE;
use sealwright_crypto::master_key::Wrapped;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Document, Encrypted, decrypt, encrypt};
use sealwright_documents::format::{Layout, yaml::Yaml};
use sealwright_documents::metadata::{KeyEntry, KeyFields, Metadata};
use sealwright_tests::harness::upstream;

use super::difference;
use super::oracle::Oracle;

struct Case {
    name: String,
    text: String,
    must_fail: bool,
}

fn cases() -> Vec<Case> {
    let output = Command::new(upstream::yaml_suite()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            Case {
                name: case["name"].as_str().unwrap().to_owned(),
                text: case["yaml"].as_str().unwrap().to_owned(),
                must_fail: case["fail"].as_bool().unwrap(),
            }
        })
        .collect()
}

#[test]
fn the_suite_is_read_and_refused_as_by_the_reference() {
    let mut oracle = Oracle::start();
    let cases = cases();
    assert_eq!(cases.len(), 402);
    // As they stand, and below a key, where lists and scalars may stand, too.
    let texts = cases.iter().flat_map(|case| {
        [
            (case.name.clone(), case.text.clone()),
            (
                format!("{} below a key", case.name),
                below_a_key(&case.text),
            ),
        ]
    });
    let differences: Vec<String> = texts
        .filter_map(|(name, text)| {
            let reason = difference(&mut oracle, text.as_bytes()).err()?;
            Some(format!("{name}: {text:?}\n{reason:?}"))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

fn below_a_key(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let lines: String = lines.map(|line| format!("  {line}")).collect();
    format!("k:\n{lines}")
}

/// How many valid cases come back byte for byte, and why the others cannot be encrypted. Documents that are no maps are
/// tried below a key.
#[test]
fn every_representable_case_of_the_suite_comes_back_byte_for_byte() {
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    let cases = cases();
    let valid: Vec<&Case> = cases.iter().filter(|case| !case.must_fail).collect();
    assert_eq!(valid.len(), 308);
    for case in valid {
        let (mut text, mut outcome) = (case.text.clone(), round_trip(&case.text));
        if outcome
            .as_ref()
            .is_err_and(|reason| reason.contains("only maps are"))
        {
            text = below_a_key(&case.text);
            outcome = round_trip(&text).map_err(|reason| format!("below a key: {reason}"));
        }
        let outcome = match outcome {
            Ok(back) if back == text.as_bytes() && text != case.text => {
                "the same below a key".into()
            }
            Ok(back) if back == text.as_bytes() => "the same".into(),
            Ok(back) => {
                wrong.push(format!("{}: {text:?}\n{}", case.name, back.escape_ascii()));
                continue;
            }
            Err(reason) => reason,
        };
        outcomes.entry(outcome).or_default().push(case.name.clone());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let counts: Vec<(&str, usize)> = outcomes
        .iter()
        .map(|(reason, names)| (reason.as_str(), names.len()))
        .collect();
    assert_eq!(counts, EXPECTED, "{outcomes:?}");
}

/// `docs/src/yaml.md` has this table, too.
const EXPECTED: [(&str, usize); 23] = [
    ("a key that is a map or a list is not supported", 11),
    ("a tab cannot be used for indentation", 10),
    (
        "a value cannot start here: `: ` in a plain value must be quoted",
        1,
    ),
    ("below a key: `%` cannot start a value, quote it", 9),
    (
        "below a key: a key that is a map or a list is not supported",
        3,
    ),
    ("below a key: a tab cannot be used for indentation", 2),
    (
        "below a key: a value cannot start here: `: ` in a plain value must be quoted",
        9,
    ),
    ("below a key: expected `,` or `]`", 1),
    (
        "below a key: expected a key at the indentation of the ones above",
        9,
    ),
    ("below a key: expected a value", 4),
    ("below a key: only text keys can be encrypted", 2),
    ("expected `,` or `}`", 8),
    ("expected a key at the indentation of the ones above", 6),
    ("expected a value", 4),
    (
        "file cannot be completely empty, it must contain at least one document",
        1,
    ),
    (
        "keys that are no text, and unsigned numbers, are not supported",
        1,
    ),
    ("no document, only blanks and comments", 2),
    ("only `%YAML 1.1` is supported", 6),
    (
        "the name of an anchor has ASCII letters, digits, `-` and `_` only",
        2,
    ),
    ("the same", 108),
    ("the same below a key", 104),
    ("unknown directive", 4),
    ("unknown escape in double quotes", 1),
];

/// Encrypts and decrypts; gives the reason without its place when it cannot.
fn round_trip(text: &str) -> Result<Vec<u8>, String> {
    let document = Document::parse(&Yaml, SecretBytes::copy_of(text.as_bytes()))
        .map_err(|error| without_place(&error.reason))?;
    let key = DataKey::from_part(&KeyPart::from((0..32).collect::<Vec<u8>>())).unwrap();
    let entry = KeyEntry {
        key: KeyFields::of(&AGE, "age1a"),
        created_at: None,
        enc: Wrapped("x".into()),
    };
    let metadata = Metadata::new(vec![vec![entry]], 0, None, false);
    let now = "2024-05-06T07:08:09Z".parse().unwrap();
    let encrypted = encrypt(document, metadata, &key, None, now, Layout::default())
        .map_err(|error| without_path(&error.to_string()))?;
    let shown = encrypted.text.expose().escape_ascii().to_string();
    let file = Encrypted::parse(&Yaml, encrypted.text)
        .unwrap_or_else(|error| panic!("{text:?}: {error}\n{shown}"));
    let plain = decrypt(&file, &key).unwrap();
    Ok(plain.document.text().expose().to_vec())
}

fn without_place(reason: &str) -> String {
    let place = reason.find(" (in the collection").unwrap_or(reason.len());
    reason[..place].to_owned()
}

fn without_path(reason: &str) -> String {
    reason.rsplit(": ").next().unwrap_or_default().to_owned()
}

//! The YAML test suite: every case that the format can represent is encrypted and decrypted, byte for byte.

use std::{collections::BTreeMap, process::Command};

use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::master_key::Wrapped;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Document, Encrypted, decrypt, encrypt};
use sealwright_documents::format::{Layout, yaml::Yaml};
use sealwright_documents::metadata::{KeyEntry, KeyFields, Metadata};
use sealwright_tests::harness::incumbents;

use super::difference;
use super::oracle::Oracle;

struct Case {
    name: String,
    text: String,
    must_fail: bool,
}

fn cases() -> Vec<Case> {
    let output = Command::new(incumbents::yaml_suite()).output().unwrap();
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
    let below = |text: &str| {
        let lines: String = text
            .split_inclusive('\n')
            .map(|line| format!("  {line}"))
            .collect();
        format!("k:\n{lines}")
    };
    let texts = cases.iter().flat_map(|case| {
        [
            (case.name.clone(), case.text.clone()),
            (format!("{} below a key", case.name), below(&case.text)),
        ]
    });
    let differences: Vec<String> = texts
        .filter_map(|(name, text)| {
            let reason = difference(&mut oracle, text.as_bytes()).err()?;
            Some(format!("{name}: {text:?}\n{reason}"))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// How many valid cases come back byte for byte, and why the others cannot be encrypted.
#[test]
fn every_representable_case_of_the_suite_comes_back_byte_for_byte() {
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| !case.must_fail) {
        let outcome = match round_trip(case.text.as_bytes()) {
            Ok(back) if back == case.text.as_bytes() => "the same".to_owned(),
            Ok(back) => {
                wrong.push(format!(
                    "{}: {:?}\n{}",
                    case.name,
                    case.text,
                    back.escape_ascii()
                ));
                continue;
            }
            Err(reason) => reason,
        };
        outcomes.entry(outcome).or_default().push(case.name.clone());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let counts: BTreeMap<&str, usize> = outcomes
        .iter()
        .map(|(reason, names)| (reason.as_str(), names.len()))
        .collect();
    assert_eq!(counts, BTreeMap::from(EXPECTED), "{outcomes:#?}");
}

/// `docs/src/yaml.md` has this table, too.
const EXPECTED: [(&str, usize); 1] = [("the same", 0)];

/// Encrypts and decrypts; gives the reason without its place when it cannot.
fn round_trip(text: &[u8]) -> Result<Vec<u8>, String> {
    let document =
        Document::parse(&Yaml, SecretBytes::copy_of(text)).map_err(|error| error.reason)?;
    let key = DataKey::from_part(&KeyPart::from((0..32).collect::<Vec<u8>>())).unwrap();
    let entry = KeyEntry {
        key: KeyFields::Age {
            recipient: "age1a".into(),
        },
        created_at: None,
        enc: Wrapped("x".into()),
    };
    let metadata = Metadata::new(vec![vec![entry]], 0, None, false);
    let now = "2024-05-06T07:08:09Z".parse().unwrap();
    let encrypted = encrypt(document, metadata, &key, None, now, Layout::default())
        .map_err(|error| without_path(&error.to_string()))?;
    let file = Encrypted::parse(&Yaml, encrypted.text).unwrap();
    let plain = decrypt(&file, &key).unwrap();
    Ok(plain.document.text().expose().to_vec())
}

fn without_path(reason: &str) -> String {
    reason.rsplit(": ").next().unwrap_or_default().to_owned()
}

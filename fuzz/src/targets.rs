//! What must hold for any bytes. A target panics when it does not.

use std::sync::LazyLock;

use regex::bytes::Regex;
use sealwright_crypto::cipher::{Kind, Nonces, ValueCipher, encrypted_kind, looks_encrypted};
use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_documents::data::Data;
use sealwright_documents::envelope::{Encrypted, decrypt, decrypt_unverified, write_metadata};
use sealwright_documents::flatten::{flatten, unflatten};
use sealwright_documents::format::{
    Format, Layout, binary::Binary, dotenv::Dotenv, ini::Ini, json::Json, yaml::Yaml,
};
use sealwright_documents::metadata::Metadata;
use sealwright_documents::rules::Config;
use sealwright_documents::selection::{Pattern, SelectionRule};
use sealwright_documents::splice::apply;
use sealwright_documents::tree::Value as TreeValue;
use serde_json::Value;

use super::laws;

/// JSON: the laws of documents, and agreement with another reader of JSON.
pub fn json(bytes: &[u8]) {
    document(&Json, bytes);
    if let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(bytes) {
        let tree = Json
            .parse(SecretBytes::copy_of(bytes))
            .unwrap_or_else(|error| panic!("another reader takes it: {error}"));
        if tree.blocks.is_empty() {
            assert_eq!(
                value_of(Data::of(&tree, 0)),
                value_of(of_json(&value)),
                "another reader reads it otherwise"
            );
        }
    }
}

/// YAML: the laws of documents; nodes lie within the text one behind the other, and what is set or removed anywhere leaves
/// a text that is read.
pub fn yaml(bytes: &[u8]) {
    document(&Yaml, bytes);
    let Ok(tree) = Yaml.parse(SecretBytes::copy_of(bytes)) else {
        return;
    };
    let mut last = 0;
    for (at, node) in tree.nodes.iter().enumerate() {
        assert!(node.end as usize > at && node.end as usize <= tree.nodes.len());
        assert!(node.site.start <= node.site.end);
        if !matches!(node.value, TreeValue::Map | TreeValue::List) {
            assert!(node.site.start >= last, "leaves ascend");
            last = node.site.end;
        }
    }
    assert!(last as usize <= tree.text.len());
    // Every node of a small file, the first ones of a large one.
    for node in (0..tree.nodes.len())
        .filter(|at| !tree.documents.contains(&(*at as u32)))
        .take(20)
    {
        if let Ok(edits) = Yaml.remove(&tree, node) {
            let text = apply(tree.text.expose(), &edits);
            assert!(Yaml.parse(text).is_ok(), "what is left of a file is read");
        }
    }
}

/// dotenv: the laws of documents.
pub fn dotenv(bytes: &[u8]) {
    document(&Dotenv, bytes);
}

/// INI: the laws of documents.
pub fn ini(bytes: &[u8]) {
    document(&Ini, bytes);
}

/// Binary: the laws of documents.
pub fn binary(bytes: &[u8]) {
    document(&Binary, bytes);
}

/// The reader of the `sops` block: what it takes it writes, and reads again as the same, nested and flat.
pub fn block(bytes: &[u8]) {
    let Ok(tree) = Json.parse(SecretBytes::copy_of(bytes)) else {
        return;
    };
    let data = Data::of(&tree, 0);
    if let Ok(flat) = flatten(&data) {
        let _ = unflatten(&flat);
    }
    let Ok(metadata) = Metadata::from_data(&data) else {
        return;
    };
    let written = metadata.to_data();
    let again = Metadata::from_data(&written).expect("what was written is read");
    assert!(
        again.to_data() == written,
        "the block is read again as another one"
    );
    let _ = metadata.version();
    let _ = metadata.has_mixed_contexts();
    let over = metadata.to_data_over(&data, &metadata);
    let over = Metadata::from_data(&over).expect("an unchanged block is read");
    assert!(
        over.to_data() == written,
        "an unchanged block is read as another one"
    );
    // A group without keys has no line, and a mark inside a key is taken for a step: so in the reference.
    let is_flat = metadata.groups.iter().all(|group| !group.is_empty())
        && !["__map_", "__list_"]
            .iter()
            .any(|mark| String::from_utf8_lossy(bytes).contains(mark));
    if is_flat
        && let Ok(flat) = flatten(&written)
        && let Ok(nested) = unflatten(&flat)
        && let Ok(again) = Metadata::from_data(&nested)
    {
        assert!(
            again.to_data() == written,
            "the flat block is read as another one"
        );
    }
}

/// The `ENC[…]` text: read as the reference's pattern reads it, and never opened when it was not written by us.
pub fn cipher_text(bytes: &[u8]) {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        let field = "((?-u:[^\\n])+)";
        let text = format!("^ENC\\[AES256_GCM,data:{field},iv:{field},tag:{field},type:{field}\\]");
        Regex::new(&text).expect("the reference's pattern")
    });
    let found = PATTERN.captures(bytes);
    assert_eq!(looks_encrypted(bytes), found.is_some());
    let kind = found.and_then(|found| Some(found.get(4)?.as_bytes()));
    match encrypted_kind(bytes) {
        Some(named) => assert_eq!(kind, Some(named.name().as_bytes())),
        None => assert!(!matches!(
            kind,
            Some(b"str" | b"int" | b"float" | b"bool" | b"time" | b"comment")
        )),
    }
    let key = DataKey::from_part(&KeyPart::from(vec![7; 32])).expect("32 bytes");
    let cipher = ValueCipher::new(&key);
    let mut out = SecretWriter::default();
    out.push(b"before");
    if cipher.decrypt(bytes, b"a:", &mut out).is_ok() {
        assert!(bytes.is_empty(), "what nobody encrypted opens");
    }
    assert_eq!(out.expose(), b"before");

    // The same bytes as plain text: what is written opens, in its place and nowhere else.
    let mut text = Vec::new();
    cipher.encrypt(bytes, b"a:", Kind::Str, &mut Nonces::default(), &mut text);
    let mut out = SecretWriter::default();
    assert_eq!(cipher.decrypt(&text, b"a:", &mut out), Ok(Kind::Str));
    assert_eq!(out.expose(), bytes);
    if !bytes.is_empty() {
        assert!(looks_encrypted(&text));
        assert!(cipher.decrypt(&text, b"b:", &mut out).is_err());
    }
}

/// The configuration with its rules: any answer but a panic.
pub fn rules(bytes: &[u8]) {
    for format in sealwright_documents::format::FORMATS {
        let Ok(tree) = format.parse(SecretBytes::copy_of(bytes)) else {
            continue;
        };
        let Ok(config) = Config::read(&tree) else {
            continue;
        };
        for path in ["", "a/b.yaml", "prod/secrets.enc.json", "\u{436}"] {
            let _ = config.creation_rule(path);
            let _ = config.destination_rule(path);
            let _ = config.explain(path);
        }
        let _ = config.problems();
    }
}

/// Selection: a pattern that is taken answers, and a strict rule is refused exactly when its pattern is.
pub fn selection(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, rest) = text.split_once('\n').unwrap_or((&text, "password"));
    let compiled = Pattern::new(pattern);
    for field in SelectionRule::FIELDS {
        let rule = SelectionRule::of_field(field, pattern.to_owned()).expect("a field");
        let strict = rule.compile();
        if field.ends_with("regex") {
            assert_eq!(strict.is_ok(), compiled.is_ok(), "{field}");
        }
        let _ = rule.compile_leniently();
    }
    if let Ok(compiled) = compiled {
        let _ = compiled.is_match(rest.as_bytes());
        let _ = compiled.is_match(bytes);
    }
}

/// The laws of plain documents, and for encrypted ones that nothing opens under a foreign key.
fn document(format: &'static dyn Format, bytes: &[u8]) {
    let seed = bytes.iter().fold(bytes.len() as u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    if let Err(reason) = laws::round_trip(format, bytes, seed) {
        panic!("{}: {reason}", format.name());
    }
    let Ok(file) = Encrypted::parse(format, SecretBytes::copy_of(bytes)) else {
        return;
    };
    let key = DataKey::from_part(&KeyPart::from(vec![7; 32])).expect("32 bytes");
    assert!(decrypt(&file, &key).is_err(), "a foreign MAC agrees");
    let _ = decrypt_unverified(&file, &key);
    if let Ok(written) = write_metadata(&file, file.metadata(), Layout::default()) {
        let again = Encrypted::parse(format, written.text).expect("a rewritten block is read");
        assert!(
            again.metadata().to_data() == file.metadata().to_data(),
            "a rewritten block says something else"
        );
    }
}

/// The other reader's value in our terms.
fn of_json(value: &Value) -> Data {
    match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(int) if !number.is_f64() => Data::Int(int),
            _ => Data::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Data::str(text),
        Value::Array(items) => Data::List(items.iter().map(of_json).collect()),
        Value::Object(map) => Data::Map(
            map.iter()
                .map(|(key, value)| (Data::key(key), of_json(value)))
                .collect(),
        ),
    }
}

/// A comparable form: the last of equal keys wins, floats are rounded to what all readers agree upon.
fn value_of(data: Data) -> Value {
    match data {
        Data::Null | Data::Comment { .. } => Value::Null,
        Data::Bool(value) => value.into(),
        Data::Int(value) => value.into(),
        Data::Float(0.0) => 0.into(), // whether `-0` is an integer is each reader's own affair
        Data::Float(value) => format!("{value:.12e}").into(),
        Data::Time(text) => text.into(),
        Data::Str(text) => String::from_utf8_lossy(text.expose()).into(),
        Data::List(items) => items.into_iter().map(value_of).collect(),
        Data::Map(entries) => {
            let mut map = serde_json::Map::new();
            for (key, value) in entries {
                let key = String::from_utf8_lossy(key.expose()).into_owned();
                map.insert(key, value_of(value));
            }
            map.into()
        }
    }
}

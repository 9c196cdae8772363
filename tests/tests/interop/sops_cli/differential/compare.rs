//! Whether two programs did the same.

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Document, Encrypted};
use sealwright_documents::format::{self, Format};
use serde_json::{Value, json};

use super::super::super::sops_format::value_of;
use super::super::{Ran, Whose};
use super::bench::{Bench, Deed};
use super::line::Line;

/// What clients search for on standard error; both say it, or neither.
const MARKERS: [&str; 16] = [
    "sops metadata not found",
    "config file not found, or has no creation rules, and no keys provided through command line options",
    "config file not found",
    "no matching creation rules found",
    "MAC mismatch",
    "Failed to get the data key required to decrypt the SOPS file.",
    "cannot operate on non-existent file",
    "cannot operate on both --output and --in-place",
    "must specify --filename-override when reading from stdin",
    "cannot use --in-place when reading from stdin",
    "error parsing --extract path",
    "Error: no file specified",
    "No help topic for",
    "flag provided but not defined",
    "File has not changed, exiting.",
    "Could not generate data key: [empty key group provided]",
];

pub(super) fn compare(
    bench: &Bench,
    line: &Line,
    theirs: &Deed,
    ours: &Deed,
) -> Result<(), String> {
    if theirs.ran.code != ours.ran.code {
        return Err("another exit code".into());
    }
    let names = |deed: &Deed| deed.written.keys().cloned().collect::<Vec<_>>();
    if (names(theirs), &theirs.gone) != (names(ours), &ours.gone) {
        return Err(format!(
            "they wrote {:?}, we {:?}",
            names(theirs),
            names(ours)
        ));
    }
    for (name, bytes) in &theirs.written {
        same_content(bench, bytes, &ours.written[name])
            .map_err(|reason| format!("{name}: {reason}"))?;
    }
    let help = |ran: &Ran| ran.out.starts_with(b"NAME:") || ran.out.starts_with(b"Incorrect Usage");
    if help(&theirs.ran) || help(&ours.ran) {
        if help(&theirs.ran) != help(&ours.ran) {
            return Err("one of the two printed help".into());
        }
    } else if line.words.iter().any(|word| word == "updatekeys") {
        // Where it fails, more or less was told before; questions are asked again or not.
        if theirs.ran.code == 0 && theirs.ran.out != ours.ran.out {
            return Err(format!(
                "standard output: {:?} against {:?}",
                theirs.ran.show_out(),
                ours.ran.show_out()
            ));
        }
    } else {
        same_content(bench, &theirs.ran.out, &ours.ran.out)
            .map_err(|reason| format!("standard output: {reason}"))?;
    }
    for marker in MARKERS {
        if theirs.ran.err.contains(marker) != ours.ran.err.contains(marker) {
            return Err(format!("only one of the two says {marker:?}"));
        }
    }
    Ok(())
}

fn same_content(bench: &Bench, theirs: &[u8], ours: &[u8]) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    let show = || {
        format!(
            "\n--- theirs\n{}\n--- ours\n{}",
            String::from_utf8_lossy(theirs),
            String::from_utf8_lossy(ours)
        )
    };
    match (encrypted(theirs), encrypted(ours)) {
        (Some(one), Some(other)) => {
            let (one_kind, other_kind) = (one.format(), other.format());
            if one_kind.name() != other_kind.name() {
                return Err(format!("{} against {}", one_kind.name(), other_kind.name()));
            }
            let (outer, inner) = (header(&one), header(&other));
            if outer != inner {
                return Err(format!("other metadata: {outer} against {inner}"));
            }
            let flat = matches!(one_kind.name(), "ini" | "dotenv");
            let (outer, inner) = (
                masked(value_of(one.tree()), flat),
                masked(value_of(other.tree()), flat),
            );
            if outer != inner {
                return Err(format!(
                    "other values are encrypted: {outer} against {inner}"
                ));
            }
            let only_data =
                matches!(&inner, Value::Object(map) if map.len() == 1 && map.contains_key("data"));
            let (one_kind, other_kind) = match format::by_name("binary") {
                Some(binary) if one_kind.name() == "json" && only_data => (binary, binary),
                _ => (one_kind, other_kind),
            };
            let outer = bench.decrypted(Whose::Ours, one_kind, theirs);
            let inner = bench.decrypted(Whose::Theirs, other_kind, ours);
            match (outer, inner) {
                (Ok(outer), Ok(inner)) if outer == inner => Ok(()),
                (Err(_), Err(_)) => Ok(()),
                (outer, inner) => Err(format!("other values: {outer:?} against {inner:?}")),
            }
        }
        (None, None) => {
            let same = ["json", "yaml", "dotenv", "ini"].iter().any(|name| {
                let kind = format::by_name(name).unwrap();
                matches!((plain(kind, theirs), plain(kind, ours)), (Some(one), Some(other)) if one == other)
            });
            if same {
                Ok(())
            } else {
                Err(format!("other content{}", show()))
            }
        }
        _ => Err(format!("only one of the two is encrypted{}", show())),
    }
}

fn encrypted(bytes: &[u8]) -> Option<Encrypted> {
    ["json", "yaml", "ini", "dotenv"].iter().find_map(|name| {
        let kind = format::by_name(name).unwrap();
        Encrypted::parse(kind, SecretBytes::copy_of(bytes)).ok()
    })
}

pub(super) fn plain(kind: &'static dyn Format, bytes: &[u8]) -> Option<Value> {
    let document = Document::parse(kind, SecretBytes::copy_of(bytes)).ok()?;
    Some(value_of(document.tree()))
}

/// What the metadata says, without what differs each time.
fn header(file: &Encrypted) -> Value {
    let metadata = file.metadata();
    let groups: Vec<Vec<String>> = metadata
        .groups
        .iter()
        .map(|group| group.iter().map(|entry| entry.key.identity()).collect())
        .collect();
    let selection = metadata.selection();
    json!({
        "groups": groups,
        "threshold": metadata.shamir_threshold,
        "selection": [selection.field(), selection.text()],
        "mac_only_encrypted": metadata.mac_only_encrypted,
        "version": metadata.version,
    })
}

/// Ciphertexts as their type. A number that `set` wrote has another type here (D5), and a flat format knows no types.
fn masked(value: Value, flat: bool) -> Value {
    match value {
        Value::String(text) if text.starts_with("ENC[AES256_GCM,") => {
            let kind = text.rsplit("type:").next().unwrap_or_default();
            let kind = if flat {
                "str"
            } else {
                kind.trim_end_matches(']')
            };
            Value::from(format!("ENC {}", kind.replace("float", "int")))
        }
        Value::Array(items) => items.into_iter().map(|item| masked(item, flat)).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, masked(value, flat)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Numbers as texts, for formats that know no others.
pub(super) fn texts(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.to_string()),
        Value::Bool(value) => Value::from(value.to_string()),
        Value::Array(items) => items.into_iter().map(texts).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, texts(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

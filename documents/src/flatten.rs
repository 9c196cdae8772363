//! The `sops` block of formats without nesting: a line per value, the path in its key.
//!
//! A step into a map is `__map_` and the key, a step into a list `__list_` and the index; the first step is the plain
//! key: `age__list_0__map_enc`.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;

const MAP: &[u8] = b"__map_";
const LIST: &[u8] = b"__list_";

/// How many steps a key may have; real ones have five.
const MOST_STEPS: usize = 64;

/// One line: its flattened key and its value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    /// The path.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Flattens a block, depth first. What is empty or null has no line.
pub fn flatten(block: &Data) -> Result<Vec<Flat>, EmitError> {
    let mut lines = Vec::new();
    let Data::Map(entries) = block else {
        return Err(EmitError::new("sops", "the block is not a map"));
    };
    for (key, value) in entries {
        descend(value, key.expose().to_vec(), &mut lines);
    }
    let mut seen = HashSet::new();
    for line in &lines {
        if !seen.insert(&line.key) {
            let key = String::from_utf8_lossy(&line.key);
            return Err(EmitError::new(
                key,
                "two values of the block have this flat key",
            ));
        }
    }
    Ok(lines)
}

/// The block that the writer knows is at most five levels deep: recursion is safe.
fn descend(value: &Data, path: Vec<u8>, lines: &mut Vec<Flat>) {
    match value {
        Data::Map(entries) => {
            for (key, value) in entries {
                descend(value, [&path, MAP, key.expose()].concat(), lines);
            }
        }
        Data::List(elements) => {
            let values = elements
                .iter()
                .filter(|element| !matches!(element, Data::Comment { .. }));
            for (index, value) in values.enumerate() {
                let step = format!("{index}");
                descend(value, [&path, LIST, step.as_bytes()].concat(), lines);
            }
        }
        Data::Null | Data::Comment { .. } => {}
        leaf => lines.push(Flat {
            key: path,
            value: flat_text(leaf),
        }),
    }
}

fn flat_text(leaf: &Data) -> Vec<u8> {
    let mut out = SecretWriter::default();
    if let Some(scalar) = leaf.as_scalar() {
        write_scalar(scalar, &mut out);
    }
    out.expose().to_vec()
}

/// Writes a scalar as formats without types have it. The caller has dealt with null.
pub(crate) fn write_scalar(scalar: crate::scalar::Scalar<'_>, out: &mut SecretWriter) {
    use crate::scalar::Scalar;
    match scalar {
        Scalar::Null => {}
        Scalar::Bool(value) => write!(out, "{value}").expect("memory takes it"),
        Scalar::Int(value) => write!(out, "{value}").expect("memory takes it"),
        Scalar::Float(value) => crate::float::write_flat(value, out),
        Scalar::Time(text) | Scalar::Str(text) | Scalar::Comment(text) => out.push(text),
    }
}

/// Rebuilds a block. An error names the line, counted from 0, or none when no single line is to blame.
pub fn unflatten(lines: &[Flat]) -> Result<Data, (Option<usize>, &'static str)> {
    let mut root = Branch::default();
    for (at, line) in lines.iter().enumerate() {
        root.place(&line.key, at)
            .map_err(|reason| (Some(at), reason))?;
    }
    if lines.is_empty() {
        return Ok(Data::Map(Vec::new()));
    }
    root.build(lines).map_err(|reason| (None, reason))
}

#[derive(Default)]
struct Branch {
    line: Option<usize>,
    keys: BTreeMap<Vec<u8>, Branch>,
    items: BTreeMap<i64, Branch>,
}

impl Branch {
    fn place(&mut self, path: &[u8], line: usize) -> Result<(), &'static str> {
        let mut at = self;
        let mut rest = path;
        let mut is_list = false;
        for _ in 0..MOST_STEPS {
            let end = next_mark(rest);
            let step = &rest[..end];
            at = if is_list {
                at.items.entry(index(step)).or_default()
            } else {
                at.keys.entry(step.to_vec()).or_default()
            };
            rest = &rest[end..];
            if rest.is_empty() {
                if at.line.replace(line).is_some() {
                    return Err("a field of the sops block is there twice");
                }
                return Ok(());
            }
            is_list = rest.starts_with(LIST);
            rest = &rest[if is_list { LIST.len() } else { MAP.len() }..];
        }
        Err("the key of a field of the sops block has too many steps")
    }

    fn build(self, lines: &[Flat]) -> Result<Data, &'static str> {
        match (self.line, self.keys.is_empty(), self.items.is_empty()) {
            (Some(line), true, true) => Ok(Data::Str(SecretBytes::copy_of(&lines[line].value))),
            (None, false, true) => {
                let entries = self.keys.into_iter().map(|(key, branch)| {
                    let value = branch.build(lines)?;
                    Ok((SecretBytes::from(key), value))
                });
                entries.collect::<Result<_, _>>().map(Data::Map)
            }
            (None, true, false) => {
                let is_complete = (0..).zip(self.items.keys()).all(|(at, key)| at == *key);
                if !is_complete {
                    return Err("a list of the sops block has gaps");
                }
                let values = self.items.into_values().map(|branch| branch.build(lines));
                values.collect::<Result<_, _>>().map(Data::List)
            }
            _ => Err("a field of the sops block is a value and a collection at once"),
        }
    }
}

/// A key as it is written: indices that are no number are the 0 that they are read as.
pub(crate) fn canonical(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len());
    let mut rest = key;
    let mut is_list = false;
    loop {
        let end = next_mark(rest);
        match is_list {
            true => out.extend(index(&rest[..end]).to_string().bytes()),
            false => out.extend(&rest[..end]),
        }
        rest = &rest[end..];
        if rest.is_empty() {
            return out;
        }
        is_list = rest.starts_with(LIST);
        let mark = if is_list { LIST } else { MAP };
        out.extend(mark);
        rest = &rest[mark.len()..];
    }
}

fn next_mark(text: &[u8]) -> usize {
    let starts = |at: &usize| text[*at..].starts_with(MAP) || text[*at..].starts_with(LIST);
    (0..text.len()).find(starts).unwrap_or(text.len())
}

/// What is no number counts as 0, as in the reference.
fn index(step: &[u8]) -> i64 {
    std::str::from_utf8(step)
        .ok()
        .and_then(|step| step.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SecretBytes {
        SecretBytes::copy_of(name.as_bytes())
    }

    fn lines(text: &[(&str, &str)]) -> Vec<Flat> {
        text.iter()
            .map(|(key, value)| Flat {
                key: key.as_bytes().to_vec(),
                value: value.as_bytes().to_vec(),
            })
            .collect()
    }

    #[test]
    fn blocks_are_flattened_and_come_back() {
        let entry = |enc: &str| {
            Data::Map(vec![
                (key("context"), Data::Map(vec![(key("k1"), Data::str("v"))])),
                (key("enc"), Data::str(enc)),
            ])
        };
        let groups = Data::List(vec![
            Data::Map(vec![(key("pgp"), Data::List(vec![entry("x")]))]),
            Data::Map(vec![
                (key("age"), Data::List(Vec::new())),
                (key("kms"), Data::List(vec![entry("y")])),
            ]),
        ]);
        let block = Data::Map(vec![
            (key("age"), Data::List(Vec::new())),
            (key("key_groups"), groups),
            (key("mac_only_encrypted"), Data::Bool(true)),
            (key("shamir_threshold"), Data::Int(2)),
        ]);
        let flat = lines(&[
            (
                "key_groups__list_0__map_pgp__list_0__map_context__map_k1",
                "v",
            ),
            ("key_groups__list_0__map_pgp__list_0__map_enc", "x"),
            (
                "key_groups__list_1__map_kms__list_0__map_context__map_k1",
                "v",
            ),
            ("key_groups__list_1__map_kms__list_0__map_enc", "y"),
            ("mac_only_encrypted", "true"),
            ("shamir_threshold", "2"),
        ]);
        assert_eq!(flatten(&block).unwrap(), flat);
        let back = unflatten(&flat).unwrap();
        assert_eq!(flatten(&back).unwrap(), flat);
        assert_eq!(back.get("shamir_threshold"), Some(&Data::str("2")));
    }

    #[test]
    fn broken_keys_are_refused_as_in_the_reference() {
        for (broken, line, reason) in [
            (lines(&[("a", "1"), ("a", "2")]), Some(1), "twice"),
            (lines(&[("a", "1"), ("a__map_b", "2")]), None, "at once"),
            (
                lines(&[("a__list_0", "1"), ("a__map_b", "2")]),
                None,
                "at once",
            ),
            (lines(&[("a__list_1", "1")]), None, "gaps"),
            (lines(&[("a__list_-1", "1")]), None, "gaps"),
            (
                lines(&[("a__list_0", "1"), ("a__list_2", "2")]),
                None,
                "gaps",
            ),
            (
                lines(&[("a__list_x", "1"), ("a__list_0", "2")]),
                Some(1),
                "twice",
            ),
            (lines(&[(&"a__map_".repeat(100), "1")]), Some(0), "too many"),
        ] {
            let (at, why) = unflatten(&broken).unwrap_err();
            assert_eq!(at, line);
            assert!(why.contains(reason), "{why}");
        }
        let twins = Data::Map(vec![
            (key("a__map_b"), Data::Int(1)),
            (key("a"), Data::Map(vec![(key("b"), Data::Int(2))])),
        ]);
        assert!(flatten(&twins).is_err());
    }

    #[test]
    fn keys_have_one_canonical_form() {
        for (key, form) in [
            ("mac", "mac"),
            (
                "age__list_x__map_enc__list_",
                "age__list_0__map_enc__list_0",
            ),
            ("age__list_+7__map_", "age__list_7__map_"),
        ] {
            assert_eq!(canonical(key.as_bytes()), form.as_bytes());
            let (one, other) = (unflatten(&lines(&[(key, "v")])), canonical(key.as_bytes()));
            let other = unflatten(&lines(&[(std::str::from_utf8(&other).unwrap(), "v")]));
            assert_eq!(one.ok(), other.ok());
        }
    }

    #[test]
    fn a_list_may_be_in_any_order() {
        let data = unflatten(&lines(&[("a__list_1", "y"), ("a__list_0", "x")])).unwrap();
        let list = Data::List(vec![Data::str("x"), Data::str("y")]);
        assert_eq!(data.get("a"), Some(&list));
    }
}

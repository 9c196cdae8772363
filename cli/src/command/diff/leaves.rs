//! The values of a tree under their paths, as `diff` and `git textconv` compare them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sealwright_crypto::cipher::looks_encrypted;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_documents::scalar::Scalar;
use sealwright_documents::tree::{NodeId, Tree, Value};

/// Values by their paths.
pub(super) type Leaves = BTreeMap<String, SecretBytes>;

/// A longer path is shortened. Every value below a key has the key in its path, so whole paths could take the square of the
/// size of a file.
const LONGEST_PATH: usize = 512;
/// How much of each end of a path is kept then.
const END: usize = 200;

/// A collection that is being read.
struct Collection {
    /// The index behind its last node.
    end: NodeId,
    is_list: bool,
    path: String,
    /// The number of its next element. Comments are no elements, as in the paths that `get` takes.
    next: usize,
}

/// The values of a tree by their paths; ciphertexts as masks.
pub(super) fn leaves(tree: &Tree) -> Leaves {
    let mut leaves = Leaves::new();
    let mut repeated: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: Vec<Collection> = Vec::new();
    let mut documents = 0;
    for (at, node) in tree.nodes.iter().enumerate() {
        while open.last().is_some_and(|collection| collection.end <= at) {
            open.pop();
        }
        if matches!(node.value, Value::Comment { .. }) {
            continue;
        }
        let is_collection = matches!(node.value, Value::Map | Value::List);
        let path = match open.last_mut() {
            Some(parent) => path_in(parent, tree.key(at)),
            None => {
                documents += 1;
                match documents {
                    1 => String::new(),
                    number => format!("document {number}: "),
                }
            }
        };
        if is_collection {
            open.push(Collection {
                end: node.end as usize,
                is_list: node.value == Value::List,
                path,
                next: 0,
            });
            continue;
        }
        let mut own = path.clone();
        while leaves.contains_key(&own) {
            let count = repeated.entry(path.clone()).or_insert(1);
            *count += 1;
            own = format!("{path} ({count})");
        }
        leaves.insert(own, text(tree, at));
    }
    leaves
}

/// The path of the next entry of a collection.
fn path_in(parent: &mut Collection, key: Option<&[u8]>) -> String {
    let mut path = parent.path.clone();
    if parent.is_list {
        write!(path, "[{}]", parent.next).expect("memory takes it");
        parent.next += 1;
    } else if let Some(key) = key {
        let key = String::from_utf8_lossy(key);
        if key.is_empty() || key.contains(['.', '[', '"']) {
            // As it is, it would look like a path of several keys.
            write!(path, "[{key:?}]").expect("memory takes it");
        } else {
            if !path.is_empty() && !path.ends_with(": ") {
                path.push('.');
            }
            path.push_str(&key);
        }
    }
    match path.len() > LONGEST_PATH {
        true => shortened(&path),
        false => path,
    }
}

/// Both ends of a path with a fingerprint of the whole between them.
fn shortened(path: &str) -> String {
    let start = path.floor_char_boundary(END);
    let end = path.ceil_char_boundary(path.len() - END);
    let print = fingerprint(path.as_bytes());
    format!("{}…{print:016x}…{}", &path[..start], &path[end..])
}

/// What stands for a value.
fn text(tree: &Tree, at: NodeId) -> SecretBytes {
    match tree.scalar(at) {
        Some(Scalar::Str(text) | Scalar::Time(text)) if looks_encrypted(text) => {
            SecretBytes::from(mask(text).into_bytes())
        }
        Some(Scalar::Str(text) | Scalar::Time(text)) => SecretBytes::copy_of(text),
        Some(scalar) => {
            let mut wire = SecretWriter::with_capacity(32);
            scalar.write_wire(&mut wire);
            wire.finish()
        }
        None => SecretBytes::default(),
    }
}

/// A short name of a ciphertext.
fn mask(ciphertext: &[u8]) -> String {
    format!(
        "[secret {:012x}]",
        fingerprint(ciphertext) & 0xffff_ffff_ffff
    )
}

fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use sealwright_documents::format::by_name;

    use super::*;

    fn read(format: &str, text: &str) -> Leaves {
        let format = by_name(format).unwrap();
        leaves(&format.parse(SecretBytes::copy_of(text.as_bytes())).unwrap())
    }

    fn paths(format: &str, text: &str) -> Vec<String> {
        read(format, text).into_keys().collect()
    }

    #[test]
    fn values_have_the_paths_that_get_takes() {
        let text = "a: {b: 1}\nl:\n# c\n- x\n# d\n- {k: y}\n---\na: 2\n";
        let wanted = ["a.b", "document 2: a", "l[0]", "l[1].k"];
        assert_eq!(paths("yaml", text), wanted);
    }

    /// A value that another one hides would change unseen.
    #[test]
    fn no_value_hides_another_one() {
        let text = "a.b: 1\na: {b: 2}\n'': 3\n";
        assert_eq!(paths("yaml", text), ["[\"\"]", "[\"a.b\"]", "a.b"]);
        let text = "a: 1\n---\na: 1\na: 2\na: 3\n";
        let wanted = [
            "a",
            "document 2: a",
            "document 2: a (2)",
            "document 2: a (3)",
        ];
        assert_eq!(paths("yaml", text), wanted);
    }

    #[test]
    fn long_paths_are_told_apart_and_cost_no_more_than_their_ends() {
        let key = "ä".repeat(100_000);
        let members: Vec<String> = (0..10_000).map(|at| format!("\"k{at}\": 1")).collect();
        let text = format!("{{\"{key}\": {{{}}}}}", members.join(","));
        let all = paths("json", &text);
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|path| path.len() <= LONGEST_PATH));
        assert!(all.iter().any(|path| path.ends_with(".k9999")));
        let deep = "{\"a\":".repeat(9_000) + "[1,2]" + &"}".repeat(9_000);
        assert_eq!(paths("json", &deep).len(), 2);
    }

    /// A search through all siblings for the path of each value takes minutes for these.
    #[test]
    fn a_wide_map_is_walked_once() {
        let members: Vec<String> = (0..200_000).map(|at| format!("\"k{at}\": 1")).collect();
        let all = read("json", &format!("{{{}}}", members.join(",")));
        assert_eq!(all.len(), 200_000);
    }
}

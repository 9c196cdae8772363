//! What a text ought to say after a change, comments aside.

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::tree::{NodeId, Tree, Value};

use super::Change;

/// All documents after a change.
pub(super) fn documents(tree: &Tree, change: &Change) -> Vec<Data> {
    let roots = tree.documents.iter();
    roots
        .filter_map(|root| value(tree, *root as usize, change))
        .collect()
}

/// One value after a change; `None` when it goes, or is a comment.
pub(super) fn value(tree: &Tree, node: NodeId, change: &Change) -> Option<Data> {
    match change {
        Change::Remove(at) if *at == node => return None,
        Change::Replace(at, value) if *at == node => return Some(value.copy()),
        _ => {}
    }
    let added = match change {
        Change::Append(at, key, value) if *at == node => Some((key, value)),
        _ => None,
    };
    Some(match tree.nodes[node].value {
        Value::Comment { .. } => return None,
        Value::Map => {
            let children = tree.children(node).filter_map(|child| {
                let key = SecretBytes::copy_of(tree.key(child).unwrap_or_default());
                Some((key, value(tree, child, change)?))
            });
            let mut entries: Vec<_> = children.collect();
            if let Some((Some(key), value)) = added {
                entries.push((SecretBytes::copy_of(key.expose()), value.copy()));
            }
            Data::Map(entries)
        }
        Value::List => {
            let children = tree
                .children(node)
                .filter_map(|child| value(tree, child, change));
            let mut items: Vec<_> = children.collect();
            items.extend(added.map(|(_, value)| value.copy()));
            Data::List(items)
        }
        _ => Data::of(tree, node),
    })
}

/// Whether a tree says just that.
pub(super) fn is_said(tree: &Tree, wanted: &[Data]) -> bool {
    tree.documents.len() == wanted.len()
        && tree
            .documents
            .iter()
            .zip(wanted)
            .all(|(root, wanted)| says(tree, *root as usize, wanted))
}

fn says(tree: &Tree, node: NodeId, wanted: &Data) -> bool {
    let values = || {
        tree.children(node)
            .filter(|child| !matches!(tree.nodes[*child].value, Value::Comment { .. }))
    };
    match (tree.nodes[node].value, wanted) {
        (Value::Map, Data::Map(entries)) => {
            let is_value = |entry: &&(SecretBytes, Data)| !matches!(entry.1, Data::Comment { .. });
            let mut entries = entries.iter().filter(is_value);
            values().all(|child| {
                entries.next().is_some_and(|(key, value)| {
                    tree.key(child) == Some(key.expose()) && says(tree, child, value)
                })
            }) && entries.next().is_none()
        }
        (Value::List, Data::List(items)) => {
            let is_value = |item: &&Data| !matches!(item, Data::Comment { .. });
            let mut items = items.iter().filter(is_value);
            values().all(|child| items.next().is_some_and(|item| says(tree, child, item)))
                && items.next().is_none()
        }
        (Value::Map | Value::List, _) | (_, Data::Map(_) | Data::List(_)) => false,
        // A float without a fraction is spelled like an integer, as in the reference.
        (Value::Int(read), Data::Float(wanted)) => read as f64 == *wanted,
        (Value::Float(read), Data::Float(wanted)) => {
            read == *wanted || (read.is_nan() && wanted.is_nan())
        }
        _ => Data::of(tree, node) == *wanted,
    }
}

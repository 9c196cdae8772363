//! Values that a change elsewhere would leave in clear.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use sealwright_crypto::secret::SecretWriter;

use super::Document;
use super::error::Place;
use super::walk::Walk;
use crate::metadata::Metadata;
use crate::selection::Selector;
use crate::tree::{NodeId, Value};

/// Returns the place of a value that was secret before a change and would be in clear after it, without being what was
/// changed. A comment that decides about a value can come to stand beside another one when an entry between them goes.
///
/// A person who edits a file may say so by a comment; a command that sets or removes one value must not.
pub fn uncovered(before: &Document, after: &Document, metadata: &Metadata) -> Option<Place> {
    let selector = metadata.selection().compile().ok()?;
    if !selector.is_on_comments() {
        return None;
    }
    let hasher = RandomState::new();
    let before = values(before, &selector, &hasher);
    let of_after = values(after, &selector, &hasher);
    let place = |value: &Found| Place::of(&after.tree, value.node);
    if before.len() == of_after.len() {
        // No value came or went, so each is compared with what stood in its place.
        let mut pairs = before.iter().zip(&of_after);
        let found = pairs.find(|(before, after)| before.is_secret && !after.is_secret);
        return found.map(|(_, value)| place(value));
    }
    // How often each value stood there in clear, if it was there.
    let mut known: HashMap<u64, usize> = HashMap::new();
    for value in &before {
        *known.entry(value.hash).or_default() += usize::from(!value.is_secret);
    }
    of_after
        .iter()
        .filter(|value| !value.is_secret && !value.is_empty)
        .find(|value| match known.get_mut(&value.hash) {
            Some(clear) if *clear > 0 => {
                *clear -= 1;
                false
            }
            known => known.is_some(),
        })
        .map(place)
}

/// A value: what it is as one number, and whether it is secret.
struct Found {
    node: NodeId,
    /// Of its path and content.
    hash: u64,
    is_secret: bool,
    /// Whether there is nothing to hide.
    is_empty: bool,
}

/// The values of a document.
fn values(document: &Document, selector: &Selector, hasher: &RandomState) -> Vec<Found> {
    let tree = &document.tree;
    let mut walk = Walk::new(tree, selector, false);
    let mut wire = SecretWriter::with_capacity(64);
    let mut found = Vec::new();
    while let Some(Ok(leaf)) = walk.next() {
        if matches!(tree.nodes[leaf.node].value, Value::Comment { .. }) {
            continue;
        }
        wire.truncate(0);
        if let Some(scalar) = tree.scalar(leaf.node) {
            scalar.write_wire(&mut wire);
        }
        found.push(Found {
            node: leaf.node,
            hash: hasher.hash_one((walk.aad(), wire.expose())),
            is_secret: leaf.is_secret,
            is_empty: wire.is_empty(),
        });
    }
    found
}

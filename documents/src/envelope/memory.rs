//! What an encrypted file held before it is written again.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use sealwright_crypto::secret::SecretBytes;

use super::Encrypted;
use crate::format::Layout;
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{NodeId, Tree};

/// The earlier version of a file that is encrypted again: which ciphertext stood for which value at which place, and
/// its block.
///
/// Values are found by a keyed hash of associated data, type and plaintext, with a key of this run: 128 bits, so nothing
/// has to be compared and nothing is told. Equal values at one place (in a list) are found in their order.
pub struct Memory<'a> {
    pub(super) file: &'a Encrypted,
    values: HashMap<[u64; 2], Slot>,
    /// For each remembered value the next one that is equal to it.
    entries: Vec<Entry>,
    hashers: [RandomState; 2],
    /// What writing the old block into the plain text of the file looks like; `None` when the format cannot.
    pub(super) insertions: Option<Vec<Edit>>,
    pub(super) mac: SecretBytes,
    same_key: bool,
}

static_assertions::assert_not_impl_any!(Memory<'static>: Clone, std::fmt::Debug);

#[derive(Clone, Copy)]
struct Slot {
    first: u32,
    last: u32,
}

struct Entry {
    node: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

impl<'a> Memory<'a> {
    pub(super) fn new(file: &'a Encrypted) -> Self {
        Self {
            file,
            values: HashMap::new(),
            entries: Vec::new(),
            hashers: [RandomState::new(), RandomState::new()],
            insertions: None,
            mac: SecretBytes::default(),
            same_key: true,
        }
    }

    /// Remembers the block and forgets the values, to encrypt them with another data key.
    pub fn for_new_key(mut self) -> Self {
        self.values.clear();
        self.entries.clear();
        self.same_key = false;
        self
    }

    /// Whether the data key is that of the earlier version.
    pub(super) fn is_same_key(&self) -> bool {
        self.same_key
    }

    pub(super) fn remember(&mut self, aad: &[u8], scalar: &Scalar<'_>, wire: &[u8], node: NodeId) {
        let index = u32::try_from(self.entries.len()).expect("files are limited to 4 GiB");
        self.entries.push(Entry {
            node: u32::try_from(node).expect("files are limited to 4 GiB"),
            next: NONE,
        });
        let slot = self
            .values
            .entry(hash(&self.hashers, aad, scalar, wire))
            .and_modify(|slot| {
                self.entries[slot.last as usize].next = index;
                slot.last = index;
            });
        slot.or_insert(Slot {
            first: index,
            last: index,
        });
    }

    /// The ciphertext that stood for this value at this place, each once as long as there are several.
    pub(super) fn recall(
        &mut self,
        aad: &[u8],
        scalar: &Scalar<'_>,
        wire: &[u8],
    ) -> Option<&'a [u8]> {
        let slot = self
            .values
            .get_mut(&hash(&self.hashers, aad, scalar, wire))?;
        let entry = &self.entries[slot.first as usize];
        if entry.next != NONE {
            slot.first = entry.next;
        }
        let tree: &'a Tree = &self.file.tree;
        match tree.scalar(entry.node as usize)? {
            Scalar::Str(text) | Scalar::Comment(text) => Some(text),
            _ => None,
        }
    }

    /// Computes what carries the block over, from the plain tree of the file. `cuts` are the places in its text where the
    /// blocks were, if they are known. A block that stood elsewhere than a new one would has other separators around it,
    /// and cannot be put there as it is.
    pub(super) fn note_insertions(&mut self, plain: &Tree, cuts: Option<&[u32]>) {
        let block = &self.file.tree.blocks[0].data;
        let format = self.file.format;
        let insertions = format.write_block(plain, block, Layout::default()).ok();
        let text = plain.text.expose();
        let is_there = |(edit, cut): (&Edit, &u32)| {
            let (at, cut) = (edit.span.start as usize, *cut as usize);
            let between = text.get(at.min(cut)..at.max(cut));
            between.is_some_and(|text| text.iter().all(u8::is_ascii_whitespace))
        };
        self.insertions = insertions.filter(|edits| match cuts {
            Some(cuts) => edits.iter().zip(cuts).all(is_there),
            None => true,
        });
    }
}

fn hash(hashers: &[RandomState; 2], aad: &[u8], scalar: &Scalar<'_>, wire: &[u8]) -> [u64; 2] {
    hashers.each_ref().map(|state| {
        let mut hasher = state.build_hasher();
        hasher.write_usize(aad.len());
        hasher.write(aad);
        hasher.write_u8(scalar.kind().map_or(0, |kind| kind as u8 + 1));
        hasher.write(wire);
        hasher.finish()
    })
}

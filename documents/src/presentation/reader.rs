//! Using hints while a document is decrypted.

use std::cell::Cell;
use std::ops::Range;

use sealwright_crypto::cipher::{Kind, ValueCipher};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::difference::{Difference, Input};
use super::{AAD, Base, EXACT, VERSION};
use crate::format::Format;
use crate::scalar::Scalar;
use crate::splice::{self, Splicer};
use crate::tree::{NodeId, Tree, Value};
use crate::visits::Visits;

/// The hints of one document.
pub(crate) struct Hints {
    bytes: SecretBytes,
    leaves: Vec<LeafHint>,
    former: Vec<(NodeId, Difference, Range<usize>)>,
    text: Option<(usize, Difference, Range<usize>)>,
    /// The record for which the last leaf was looked up: leaves are asked for in order.
    cursor: Cell<usize>,
}

struct LeafHint {
    leaves: Range<u32>,
    base: Base,
    /// `None` for exactly the base.
    difference: Option<(Difference, Range<usize>)>,
}

impl Hints {
    /// Decrypts and reads hints; `None` when they are not of this file, of a later form, or of another shape of document.
    pub(crate) fn open(text: &str, cipher: &ValueCipher, tree: &Tree) -> Option<Self> {
        let mut plain = SecretWriter::with_capacity(text.len());
        let kind = cipher.decrypt(text.as_bytes(), AAD, &mut plain).ok()?;
        if kind != Kind::Str {
            return None;
        }
        Self::read(plain.finish(), tree.nodes.len())
    }

    /// Decrypts hints, to compare them with new ones.
    pub(crate) fn open_raw(text: &str, cipher: &ValueCipher) -> Option<SecretBytes> {
        let mut plain = SecretWriter::with_capacity(text.len());
        cipher.decrypt(text.as_bytes(), AAD, &mut plain).ok()?;
        Some(plain.finish())
    }

    pub(super) fn read(bytes: SecretBytes, nodes: usize) -> Option<Self> {
        let mut input = Input::new(bytes.expose());
        if input.byte()? != VERSION || input.number()? as usize != nodes {
            return None;
        }
        let mut leaves = Vec::new();
        let mut expected = 0u32;
        for _ in 0..input.number()? {
            let start = expected.checked_add(input.number()?)?;
            let tag = input.byte()?;
            let base = *Base::ALL.get(usize::from(tag & !EXACT))?;
            let (count, difference) = if tag & EXACT != 0 {
                (input.number()?, None)
            } else {
                (1, Some(input.difference()?))
            };
            expected = start.checked_add(count)?;
            if expected as usize > nodes {
                return None;
            }
            leaves.push(LeafHint {
                leaves: start..expected,
                base,
                difference,
            });
        }
        let mut former = Vec::new();
        let mut expected = 0usize;
        for _ in 0..input.number()? {
            let node = expected.checked_add(input.number()? as usize)?;
            if node >= nodes {
                return None;
            }
            let (difference, middle) = input.difference()?;
            former.push((node, difference, middle));
            expected = node + 1;
        }
        let text = match input.byte()? {
            0 => None,
            1 => {
                let len = input.number()? as usize;
                let (difference, middle) = input.difference()?;
                Some((len, difference, middle))
            }
            _ => return None,
        };
        if !input.is_padding() {
            return None;
        }
        Some(Self {
            bytes,
            leaves,
            former,
            text,
            cursor: Cell::new(0),
        })
    }

    /// Appends the hinted spelling of a leaf and tells whether there is one that reads as the very value. On `false`,
    /// what was appended is to be dropped.
    pub(crate) fn spelling(
        &self,
        leaf: u32,
        format: &dyn Format,
        tree: &Tree,
        node: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> bool {
        let mut at = self.cursor.get();
        while self
            .leaves
            .get(at)
            .is_some_and(|hint| hint.leaves.end <= leaf)
        {
            at += 1;
        }
        self.cursor.set(at);
        let Some(hint) = self
            .leaves
            .get(at)
            .filter(|hint| hint.leaves.contains(&leaf))
        else {
            return false;
        };
        let start = out.len();
        match (hint.base, scalar) {
            (Base::Canonical, _) => {
                if format.spell(tree, node, scalar, out).is_err() {
                    return false;
                }
            }
            (base, Scalar::Str(content) | Scalar::Comment(content)) => {
                out.push(base.quote());
                out.push(content);
                out.push(base.quote());
            }
            _ => return false,
        }
        if let Some((difference, middle)) = &hint.difference {
            let base = SecretBytes::copy_of(&out.expose()[start..]);
            out.truncate(start);
            let middle = &self.bytes.expose()[middle.clone()];
            if !apply(base.expose(), *difference, middle, out) {
                return false;
            }
        }
        reads_as(format, tree, node, &out.expose()[start..], scalar)
    }

    /// Whether there are hints beyond single leaves.
    pub(crate) fn is_about_layout(&self) -> bool {
        !self.former.is_empty() || self.text.is_some()
    }

    /// Brings back what single leaves could not: the document as it was before it was made ready. `None` when making the
    /// result ready again does not lead to this very tree.
    pub(crate) fn restore_layout(&self, format: &dyn Format, tree: &Tree) -> Option<Tree> {
        let plain = tree.text.expose();
        let bytes = self.bytes.expose();
        let text = match &self.text {
            Some((len, difference, middle)) => {
                let mut out = SecretWriter::with_capacity(plain.len() + middle.len());
                if *len != plain.len()
                    || !apply(plain, *difference, &bytes[middle.clone()], &mut out)
                {
                    return None;
                }
                out.finish()
            }
            None => {
                let mut splicer = Splicer::new(plain, plain.len());
                for (node, difference, middle) in &self.former {
                    let site = tree.nodes[*node].site;
                    if site.start < splicer.copied() {
                        return None;
                    }
                    let out = splicer.replace(site);
                    if !apply(
                        tree.spelling(*node),
                        *difference,
                        &bytes[middle.clone()],
                        out,
                    ) {
                        return None;
                    }
                }
                splicer.finish()
            }
        };
        if ![false, true]
            .into_iter()
            .any(|listed| leads_to(format, text.expose(), listed, tree))
        {
            return None;
        }
        format
            .parse(text)
            .ok()
            .filter(|tree| tree.blocks.is_empty())
    }
}

/// Whether making a text ready leads to this tree; `listed` says in which of the two ways.
fn leads_to(format: &dyn Format, text: &[u8], listed: bool, tree: &Tree) -> bool {
    let ready = |again| match listed {
        false => format.prepare(again).map(Some),
        true => format.prepare_listed(again),
    };
    let Ok(Some(again)) = format.parse(SecretBytes::copy_of(text)).and_then(ready) else {
        return false;
    };
    if again.tree.text.expose() == tree.text.expose() {
        return true;
    }
    // Empty comments of encrypted lists are left out, and the rest is made ready once more.
    let without = |tree| without_empty_list_comments(format, tree);
    let (Some(left), Some(wanted)) = (without(&again.tree), without(tree)) else {
        return false;
    };
    left == wanted
        || format
            .parse(left)
            .and_then(|left| format.prepare(left))
            .is_ok_and(|again| *again.tree.text.expose() == *wanted.expose())
}

/// The text without all empty comments of lists.
fn without_empty_list_comments(format: &dyn Format, tree: &Tree) -> Option<SecretBytes> {
    let Visits { parents, .. } = Visits::of(tree);
    let mut edits = Vec::new();
    for (node, parent) in parents.iter().enumerate().take(tree.nodes.len()) {
        if let Value::Comment { text, .. } = tree.nodes[node].value
            && tree.content(text).is_empty()
            && tree.nodes[*parent as usize].value == Value::List
        {
            edits.extend(format.remove(tree, node).ok()?);
        }
    }
    Some(splice::apply(tree.text.expose(), &edits))
}

fn apply(base: &[u8], difference: Difference, middle: &[u8], out: &mut SecretWriter) -> bool {
    let Difference { prefix, suffix } = difference;
    if prefix
        .checked_add(suffix)
        .is_none_or(|both| both > base.len())
    {
        return false;
    }
    out.push(&base[..prefix]);
    out.push(middle);
    out.push(&base[base.len() - suffix..]);
    true
}

/// Whether a spelling reads as the value, and as one of the same type.
fn reads_as(
    format: &dyn Format,
    tree: &Tree,
    node: NodeId,
    spelling: &[u8],
    scalar: Scalar<'_>,
) -> bool {
    let Some(data) = format.read_spelling(tree, node, spelling) else {
        return false;
    };
    match (data.as_scalar(), scalar) {
        (Some(Scalar::Float(read)), Scalar::Float(value)) => {
            read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan()
        }
        (Some(read), value) => read == value,
        (None, _) => false,
    }
}

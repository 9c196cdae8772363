//! Comments at the end of a document, before the `sops` block that will follow them.

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::format::{Layout, Prepared};
use crate::splice::{Edit, apply};
use crate::tree::{Node, NodeId, Span, Tree, Value};
use crate::visits::Visits;

use super::super::block as sops_block;
use super::super::characters::at_line_start;
use super::super::compose::{self, Composition};

pub(super) fn ready_for_a_block(mut prepared: Prepared) -> Prepared {
    if has_comments_at_the_end(&prepared.tree) {
        let spaced = spaced_from_the_block(&prepared.tree);
        if let Some(spaced) = spaced {
            prepared = prepared.with_tree(spaced);
        }
        prepared.tree = with_comments_before_a_block(prepared.tree);
    }
    prepared
}

/// The tree with a blank line at its end, when that keeps the last comments with the list that they belong to: right before
/// the key of the block they would belong to that key.
fn spaced_from_the_block(tree: &Tree) -> Option<Tree> {
    let text = tree.text.expose();
    if tree.documents.len() != 1 || !at_line_start(text) {
        return None;
    }
    let before_a_block = |tree: &Tree| -> Option<Vec<Option<NodeId>>> {
        let block = Data::Map(vec![(Data::key("mac"), Data::Null)]);
        let edits = sops_block::write_block(tree, &block, Layout::default()).ok()?;
        let read = compose::compose(apply(tree.text.expose(), &edits))
            .ok()?
            .tree;
        Some(owners(&read))
    };
    let wanted = owners(tree);
    if before_a_block(tree)? == wanted {
        return None;
    }
    let end = Edit {
        span: Span::new(text.len()..text.len()),
        text: SecretBytes::copy_of(sops_block::line_break(tree)),
    };
    let spaced = compose::compose(apply(text, &[end])).ok()?.tree;
    (before_a_block(&spaced)? == wanted).then_some(spaced)
}

/// For each comment, which of the values the collection is that it belongs to.
fn owners(tree: &Tree) -> Vec<Option<NodeId>> {
    let Visits { parents, .. } = Visits::of(tree);
    let is_comment = |node: &NodeId| matches!(tree.nodes[*node].value, Value::Comment { .. });
    let mut values = 0;
    let numbers: Vec<usize> = (0..tree.nodes.len())
        .map(|node| {
            values += usize::from(!is_comment(&node));
            values
        })
        .collect();
    let comments = (0..tree.nodes.len()).filter(is_comment);
    comments
        .map(|comment| numbers.get(parents[comment] as usize).copied())
        .collect()
}

/// Whether a comment comes last in some document.
fn has_comments_at_the_end(tree: &Tree) -> bool {
    tree.documents.iter().any(|root| {
        let end = tree.nodes[*root as usize].end as usize;
        matches!(tree.nodes[end - 1].value, Value::Comment { .. })
    })
}

/// Gives the comments at the end of a document to the collection to which they belong when the `sops` block follows, as
/// it will: readers of the encrypted file bind them to their place there.
fn with_comments_before_a_block(tree: Tree) -> Tree {
    let block = Data::Map(vec![(Data::key("mac"), Data::Null)]);
    let Ok(edits) = sops_block::write_block(&tree, &block, Layout::default()) else {
        return tree;
    };
    let text = apply(tree.text.expose(), &edits);
    let Ok(Composition { tree: read, .. }) = compose::compose(text) else {
        return tree;
    };
    if read.nodes.len() != tree.nodes.len() || read.documents != tree.documents {
        return tree;
    }
    let nodes = tree.nodes.iter().zip(&read.nodes);
    let is_same = |(old, new): (&Node, &Node)| old.site.len() == new.site.len();
    let is_leaf = |(old, _): &(&Node, &Node)| !matches!(old.value, Value::Map | Value::List);
    if !nodes.filter(is_leaf).all(is_same) {
        return tree;
    }
    let mut tree = tree;
    for (node, read) in tree.nodes.iter_mut().zip(read.nodes) {
        node.end = read.end;
        if let (Value::Comment { above, .. }, Value::Comment { above: new, .. }) =
            (&mut node.value, read.value)
        {
            *above = new;
        }
    }
    tree.attachments = read.attachments;
    tree
}

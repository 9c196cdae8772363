//! Nodes of a tree whose text was changed, moved to where their bytes are now.

use sealwright_crypto::secret::SecretWriter;

use super::Encrypted;
use super::relocation::Relocation;
use crate::tree::{Key, Node, NodeId, Span, Text, Tree, Value};

/// Marks a node whose site was computed already.
pub(super) const NEW_PLACE: u32 = u32::MAX;

/// Moves the spans of all nodes to where their bytes are now.
pub(super) fn settle(
    nodes: &mut [Node],
    file: &Encrypted,
    relocation: &mut Relocation,
    decoded: &mut SecretWriter,
) {
    let text = |text: Text, relocation: &mut Relocation| match text {
        Text::File(span) => Text::File(relocation.span(span)),
        Text::Decoded(span) => Text::Decoded(span),
    };
    for (node, was) in nodes.iter_mut().zip(&file.tree.nodes) {
        let key = match was.key {
            // Binary: the key stands in what was cut.
            Key::Text(Text::File(span)) if relocation.is_gone(span.start) => {
                let start = decoded.len();
                decoded.push(&file.tree.text.expose()[span.range()]);
                Key::Text(Text::Decoded(Span::new(start..decoded.len())))
            }
            key => key,
        };
        node.key = match key {
            Key::None => Key::None,
            Key::Text(key) => Key::Text(text(key, relocation)),
            Key::NotText(key) => Key::NotText(text(key, relocation)),
        };
        if node.place == NEW_PLACE {
            node.place = was.place;
            continue;
        }
        // Contents that stayed in the file lie inside sites that were not replaced.
        node.value = match node.value {
            Value::Str(content) => Value::Str(text(content, relocation)),
            Value::Time(content) => Value::Time(text(content, relocation)),
            Value::Unsupported(content) => Value::Unsupported(text(content, relocation)),
            Value::Comment {
                text: content,
                inline,
                above,
            } => Value::Comment {
                text: text(content, relocation),
                inline,
                above,
            },
            other => other,
        };
        node.site = relocation.span(was.site);
        node.place = file
            .format
            .moved(was.place, &mut |offset| relocation.offset(offset));
    }
}

/// Takes out nodes whose bytes are gone.
pub(super) fn drop_nodes(tree: &mut Tree, dropped: &[NodeId]) {
    if dropped.is_empty() {
        return;
    }
    let before = |node: u32| dropped.partition_point(|gone| (*gone as u32) < node) as u32;
    for node in &mut tree.nodes {
        node.end -= before(node.end);
    }
    for root in &mut tree.documents {
        *root -= before(*root);
    }
    let mut at = 0;
    tree.nodes.retain(|_| {
        at += 1;
        dropped.binary_search(&(at - 1)).is_err()
    });
}

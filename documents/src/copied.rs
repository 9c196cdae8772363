//! The content of a tree, copied out of it.

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::tree::{NodeId, Tree, Value};
use crate::visits::{Visits, comment_text};

impl Data {
    /// Copies all documents of a tree as [`Data::of`] does, with comments where upstream lists them and none that it drops.
    pub fn listed(tree: &Tree) -> Vec<Self> {
        let has_comments = !(tree.attachments.is_empty() && tree.hidden.is_empty());
        let visits = has_comments.then(|| Visits::of(tree));
        let roots = tree.documents.iter().map(|root| *root as usize);
        roots
            .map(|root| match &visits {
                Some(visits) => Data::listed_by(tree, root, visits),
                None => Data::of(tree, root),
            })
            .collect()
    }

    /// Copies a node with comments where they come in the order of visits, which is that of the whole tree.
    pub(crate) fn listed_by(tree: &Tree, node: NodeId, visits: &Visits) -> Self {
        if let Some(text) = comment_text(tree, node) {
            // Upstream has it before its value, and not behind.
            return Data::Comment {
                text: SecretBytes::copy_of(text),
                inline: false,
            };
        }
        match tree.nodes[node].value {
            Value::Map => Data::Map(
                visits
                    .children(node)
                    .map(|child| {
                        let key = match tree.nodes.get(child) {
                            Some(_) => tree.key(child).unwrap_or_default(),
                            None => b"",
                        };
                        let value = Data::listed_by(tree, child, visits);
                        (SecretBytes::copy_of(key), value)
                    })
                    .collect(),
            ),
            Value::List => Data::List(
                visits
                    .children(node)
                    .map(|child| Data::listed_by(tree, child, visits))
                    .collect(),
            ),
            _ => Data::of(tree, node),
        }
    }

    /// Copies a node of a tree with everything below it. Scalars that the envelope cannot take become their spelling.
    pub fn of(tree: &Tree, node: NodeId) -> Self {
        match tree.nodes[node].value {
            Value::Map => Data::Map(
                tree.children(node)
                    .map(|child| {
                        (
                            SecretBytes::copy_of(tree.key(child).unwrap_or_default()),
                            Data::of(tree, child),
                        )
                    })
                    .collect(),
            ),
            Value::List => Data::List(
                tree.children(node)
                    .map(|child| Data::of(tree, child))
                    .collect(),
            ),
            Value::Comment { text, inline, .. } => Data::Comment {
                text: SecretBytes::copy_of(tree.content(text)),
                inline,
            },
            Value::Unsupported(text) => Data::Str(SecretBytes::copy_of(tree.content(text))),
            _ => Data::of_scalar(
                tree.scalar(node)
                    .expect("neither a collection nor unsupported"),
            ),
        }
    }
}

//! What a rule about comments makes of a whole tree.

use sealwright_crypto::cipher::{self, Kind};

use crate::selection::{Scope, Selector};
use crate::tree::{NodeId, Tree, Value};
use crate::visits::{Visits, comment_text};

/// Which nodes are secret by a rule about comments.
pub(super) struct Decisions {
    is_secret: Vec<bool>,
}

impl Decisions {
    /// Decides about all nodes, in the order in which upstream visits them.
    pub(super) fn of(tree: &Tree, selector: &Selector, encrypted: bool) -> Self {
        let Visits { order, parents, .. } = Visits::of(tree);
        let mut scopes = vec![Scope::default(); tree.nodes.len()];
        let mut visited = vec![false; tree.nodes.len()];
        let mut is_secret = vec![false; tree.nodes.len()];
        for node in order {
            let node = node as usize;
            let parent = parents[node] as usize;
            if node >= tree.nodes.len() {
                if let Some(text) = comment_text(tree, node) {
                    selector.is_secret_comment(&mut scopes[parent], text);
                }
                continue;
            }
            visited[node] = true;
            if parent == node {
                continue; // a root
            }
            let comment = match tree.nodes[node].value {
                // Upstream writes an encrypted comment of a list as an element; the rule must see what it was (D1).
                Value::Str(text) if encrypted && tree.nodes[parent].value == Value::List => {
                    let text = tree.content(text);
                    (cipher::encrypted_kind(text) == Some(Kind::Comment)).then_some(text)
                }
                _ => comment_text(tree, node),
            };
            is_secret[node] = match comment {
                Some(text) => selector.is_secret_comment(&mut scopes[parent], text),
                None => {
                    let scope = selector.enter(&mut scopes[parent], tree.key(node));
                    scopes[node] = scope;
                    selector.is_secret(scope)
                }
            };
        }
        for (node, decision) in is_secret.iter_mut().enumerate() {
            if !visited[node] {
                *decision = selector.is_secret_unseen(scopes[parents[node] as usize]);
            }
        }
        Self { is_secret }
    }

    /// Whether a node is secret.
    pub(super) fn is_secret(&self, node: NodeId) -> bool {
        self.is_secret[node]
    }
}

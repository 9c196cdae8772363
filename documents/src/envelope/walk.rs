//! The walk over a document set: which leaf comes next, under which associated data, and whether it is secret.

mod decisions;

use crate::selection::{Scope, Selector};
use crate::tree::{Key, NodeId, Tree, Value};

use decisions::Decisions;

/// A leaf on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) node: NodeId,
    pub(super) is_secret: bool,
    /// Whether it stands in a list.
    pub(super) in_list: bool,
}

/// What the walk cannot pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyIsNotText(pub(super) NodeId);

/// In how many other places a comment is looked for; people nest less deeply.
pub(super) const MOST_PLACES: usize = 64;

/// The walk. It keeps the path as one growing buffer (`a:b:`) and asks the rule once for each key.
pub(super) struct Walk<'a> {
    tree: &'a Tree,
    selector: &'a Selector,
    /// What a rule about comments says of each node: it goes by upstream's order, and the walk by that of the file.
    decisions: Option<Decisions>,
    next: NodeId,
    frames: Vec<Frame>,
    path: Vec<u8>,
    /// How much of `path` belongs to the last leaf.
    leaf_path: usize,
}

struct Frame {
    end: NodeId,
    path: usize,
    scope: Scope,
    is_list: bool,
}

impl<'a> Walk<'a> {
    /// Starts; `encrypted` says what the tree is.
    pub(super) fn new(tree: &'a Tree, selector: &'a Selector, encrypted: bool) -> Self {
        let by_comments = selector.is_on_comments();
        Self {
            tree,
            selector,
            decisions: by_comments.then(|| Decisions::of(tree, selector, encrypted)),
            next: 0,
            frames: Vec::new(),
            path: Vec::new(),
            leaf_path: 0,
        }
    }

    /// The associated data of the last leaf: the keys on the way, each with a colon; a single colon for none.
    pub(super) fn aad(&self) -> &[u8] {
        match self.leaf_path {
            0 => b":",
            len => &self.path[..len],
        }
    }

    /// Other places where upstream may have seen the comment that came last: the ends of a collection and what follows
    /// it are not told apart by everyone in the same way. At most [`MOST_PLACES`], the innermost collections first:
    /// each of them costs a decryption, and a file can have as many levels and comments as its author likes.
    pub(super) fn other_places(&self, comment: NodeId) -> Vec<Vec<u8>> {
        let mut places = vec![b":".to_vec()];
        let mut add = |path: &[u8]| {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b':');
            for (at, _) in ends.rev().take(MOST_PLACES / 2 - 1) {
                places.push(path[..=at].to_vec());
            }
        };
        add(&self.path); // the leaf before lies there
        let mut following = self.path[..self.leaf_path].to_vec();
        let nodes = &self.tree.nodes;
        let after = nodes[comment + 1..].iter().enumerate();
        for (at, node) in after.take(32) {
            match node.value {
                Value::Comment { .. } => continue,
                Value::Map | Value::List => {
                    if let Some(key) = self.tree.key(comment + 1 + at) {
                        following.extend_from_slice(key);
                        following.push(b':');
                    }
                }
                _ => break,
            }
        }
        add(&following);
        places.sort();
        places.dedup();
        places
    }

    /// The next leaf.
    pub(super) fn next(&mut self) -> Option<Result<Leaf, KeyIsNotText>> {
        loop {
            let node = self.next;
            if node == self.tree.nodes.len() {
                return None;
            }
            self.next += 1;
            while self.frames.last().is_some_and(|frame| frame.end <= node) {
                self.frames.pop();
            }
            let value = self.tree.nodes[node].value;
            let end = self.tree.nodes[node].end as usize;
            // What a comment is bound to, and which rule holds for it, the collection says that it belongs to.
            let above = match value {
                Value::Comment { above, .. } => usize::from(above),
                _ => 0,
            };
            let depth = self.frames.len().saturating_sub(above).max(1) - 1;
            let Some(frame) = self.frames.get_mut(depth) else {
                self.frames.push(Frame {
                    end,
                    path: 0,
                    scope: Scope::default(),
                    is_list: matches!(value, Value::List),
                });
                continue;
            };
            let in_list = frame.is_list;
            if let Value::Comment { text, .. } = value {
                self.leaf_path = frame.path;
                let is_secret = match &self.decisions {
                    Some(decisions) => decisions.is_secret(node),
                    None => {
                        let text = self.tree.content(text);
                        self.selector.is_secret_comment(&mut frame.scope, text)
                    }
                };
                return Some(Ok(Leaf {
                    node,
                    is_secret,
                    in_list,
                }));
            }
            if matches!(self.tree.nodes[node].key, Key::NotText(_)) {
                return Some(Err(KeyIsNotText(node)));
            }
            let is_collection = matches!(value, Value::Map | Value::List);
            let key = self.tree.key(node);
            let scope = self.selector.enter(&mut frame.scope, key);
            let mut len = frame.path;
            if let Some(key) = key {
                self.path.truncate(len);
                self.path.extend_from_slice(key);
                self.path.push(b':');
                len = self.path.len();
            }
            if is_collection {
                self.frames.push(Frame {
                    end,
                    path: len,
                    scope,
                    is_list: matches!(value, Value::List),
                });
                continue;
            }
            self.leaf_path = len;
            return Some(Ok(Leaf {
                node,
                is_secret: match &self.decisions {
                    Some(decisions) => decisions.is_secret(node),
                    None => self.selector.is_secret(scope),
                },
                in_list,
            }));
        }
    }
}

/// The values of a plain tree with whether each is secret, without comments. Null is never secret, whatever the rule says.
pub(super) fn secret_values(tree: &Tree, selector: &Selector) -> Vec<(NodeId, bool)> {
    let mut walk = Walk::new(tree, selector, false);
    let mut values = Vec::new();
    while let Some(Ok(leaf)) = walk.next() {
        if !matches!(tree.nodes[leaf.node].value, Value::Comment { .. }) {
            let is_null = tree.nodes[leaf.node].value == Value::Null;
            values.push((leaf.node, leaf.is_secret && !is_null));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;

    use super::*;
    use crate::format::by_name;
    use crate::selection::SelectionRule;

    #[test]
    fn a_comment_below_thousands_of_levels_is_looked_for_in_a_few_places() {
        const LEVELS: usize = 3_000;
        let mut text = String::new();
        for level in 0..LEVELS {
            text.push_str(&" ".repeat(level));
            text.push_str("a:\n");
        }
        let indent = " ".repeat(LEVELS);
        text.push_str(&format!("{indent}b: 1\n{indent}# last\n"));
        let yaml = by_name("yaml").unwrap();
        let tree = yaml.parse(SecretBytes::from(text.into_bytes())).unwrap();
        let selector = SelectionRule::default().compile().unwrap();
        let mut walk = Walk::new(&tree, &selector, true);
        let mut comments = 0;
        while let Some(Ok(leaf)) = walk.next() {
            if matches!(tree.nodes[leaf.node].value, Value::Comment { .. }) {
                comments += 1;
                let places = walk.other_places(leaf.node);
                assert!((2..=64).contains(&places.len()), "{}", places.len());
                assert!(places.contains(&b":".to_vec()), "the root is one of them");
            }
        }
        assert_eq!(comments, 1);
    }
}

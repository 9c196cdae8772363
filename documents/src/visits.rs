//! The nodes of a tree in the order in which upstream lists them.

use std::cmp::Ordering;

use crate::attachment::{Listed, Spot, id};
use crate::tree::{NodeId, Tree, Value};

/// The nodes of a tree in the order in which upstream visits them. A hidden comment has a number behind those of all nodes.
pub(crate) struct Visits {
    /// The nodes, without comments that upstream drops.
    pub(crate) order: Vec<u32>,
    /// The collection that each node belongs to; a root belongs to itself.
    pub(crate) parents: Vec<u32>,
    /// The children of all collections, in order, with the collection.
    children: Vec<(u32, u32)>,
}

impl Visits {
    /// Visits a whole tree.
    pub(crate) fn of(tree: &Tree) -> Self {
        let count = tree.nodes.len() + tree.hidden.len();
        let mut all = places(tree, 0..tree.nodes.len());
        all.extend(hidden(tree));
        let mut parents = vec![0; count];
        for child in &all {
            parents[child.node as usize] = child.parent;
        }
        all.retain(|child| child.spot != Spot::DROPPED && child.parent != child.node);
        all.sort_unstable_by(|one, other| {
            let by_parent = one.parent.cmp(&other.parent);
            by_parent.then_with(|| by_place(one, other))
        });
        let children = all.into_iter().map(|child| (child.parent, child.node));
        let mut visits = Self {
            order: Vec::with_capacity(count),
            parents,
            children: children.collect(),
        };
        // Each collection is entered where it stands.
        let mut order = Vec::with_capacity(count);
        let mut open: Vec<&[(u32, u32)]> = Vec::new();
        for root in &tree.documents {
            order.push(*root);
            open.push(visits.pairs(*root));
            while let Some(rest) = open.last_mut() {
                let Some(((_, child), more)) = rest.split_first() else {
                    open.pop();
                    continue;
                };
                *rest = more;
                order.push(*child);
                let value = tree.nodes.get(*child as usize).map(|node| node.value);
                if matches!(value, Some(Value::Map | Value::List)) {
                    open.push(visits.pairs(*child));
                }
            }
        }
        visits.order = order;
        visits
    }

    /// The children of a collection, in order.
    pub(crate) fn children(&self, collection: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let pairs = self.pairs(id(collection)).iter();
        pairs.map(|(_, child)| *child as usize)
    }

    fn pairs(&self, parent: u32) -> &[(u32, u32)] {
        let from = self.children.partition_point(|pair| pair.0 < parent);
        let to = self.children.partition_point(|pair| pair.0 <= parent);
        &self.children[from..to]
    }
}

/// The text of a node that is a comment, or of a hidden comment by its number.
pub(crate) fn comment_text(tree: &Tree, node: NodeId) -> Option<&[u8]> {
    match tree.nodes.get(node) {
        Some(node) => match node.value {
            Value::Comment { text, .. } => Some(tree.content(text)),
            _ => None,
        },
        None => {
            let comment = tree.hidden.get(node - tree.nodes.len())?;
            Some(&tree.text.expose()[comment.text.range()])
        }
    }
}

impl Tree {
    /// The children of a collection in the order in which upstream lists them, without comments that it drops.
    pub fn listed_children(&self, collection: NodeId) -> Vec<Listed> {
        listed_children(self, collection)
    }

    /// The element of a list at an index. Comments are no elements, but where `with_comments` says so, as upstream does.
    pub fn element(&self, list: NodeId, index: usize, with_comments: bool) -> Option<NodeId> {
        if with_comments {
            return match self.listed_children(list).get(index)? {
                Listed::Node(node) => Some(*node),
                Listed::Hidden(_) => None,
            };
        }
        let is_value = |child: &NodeId| !matches!(self.nodes[*child].value, Value::Comment { .. });
        self.children(list).filter(is_value).nth(index)
    }
}

/// The children of a collection as upstream lists them.
fn listed_children(tree: &Tree, collection: NodeId) -> Vec<Listed> {
    let end = tree.nodes[collection].end as usize;
    let mut children: Vec<Child> = places(tree, collection..end)
        .into_iter()
        .chain(hidden(tree))
        .filter(|child| child.parent as usize == collection && child.node as usize != collection)
        .filter(|child| child.spot != Spot::DROPPED)
        .collect();
    children.sort_unstable_by(by_place);
    let children = children.into_iter().map(|child| child.node as usize);
    children
        .map(|child| match child.checked_sub(tree.nodes.len()) {
            None => Listed::Node(child),
            Some(at) => Listed::Hidden(tree.hidden[at].text),
        })
        .collect()
}

/// A node, the collection that it belongs to, and its place there.
struct Child {
    node: u32,
    parent: u32,
    spot: Spot,
}

fn by_place(one: &Child, other: &Child) -> Ordering {
    (one.spot, one.node).cmp(&(other.spot, other.node))
}

fn hidden(tree: &Tree) -> impl Iterator<Item = Child> + '_ {
    tree.hidden.iter().enumerate().map(|(at, comment)| Child {
        node: id(tree.nodes.len() + at),
        parent: comment.parent,
        spot: comment.spot,
    })
}

/// The nodes of a range that begins with a collection, in the order of the file.
fn places(tree: &Tree, range: std::ops::Range<usize>) -> Vec<Child> {
    let mut out = Vec::with_capacity(range.len());
    let mut attachments = {
        let from = tree
            .attachments
            .partition_point(|it| (it.comment as usize) < range.start);
        tree.attachments[from..].iter().peekable()
    };
    let is_whole = range.start == 0;
    // The open collections, and the last value in each.
    let mut open: Vec<(u32, u32)> = Vec::new();
    for node in range {
        let number = id(node);
        while open
            .last()
            .is_some_and(|(parent, _)| tree.nodes[*parent as usize].end <= number)
        {
            open.pop();
        }
        let value = tree.nodes[node].value;
        let above = match value {
            Value::Comment { above, .. } => usize::from(above),
            _ => 0,
        };
        let attached = attachments.next_if(|it| it.comment == number);
        let depth = match open.len().checked_sub(above + 1) {
            Some(depth) => depth,
            None if is_whole || open.is_empty() => 0,
            // It stands in this range and belongs to a collection around it.
            None => continue,
        };
        let (parent, spot) = match open.get_mut(depth) {
            None => (number, Spot::value(node)),
            Some((parent, last)) => match (value, attached) {
                (Value::Comment { .. }, Some(attachment)) => (*parent, attachment.spot),
                (Value::Comment { .. }, None) => (*parent, Spot::after(*last as usize, 0)),
                _ => {
                    *last = number;
                    (*parent, Spot::value(node))
                }
            },
        };
        out.push(Child {
            node: number,
            parent,
            spot,
        });
        if matches!(value, Value::Map | Value::List) {
            open.push((number, number));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;

    use super::*;
    use crate::format;

    fn read(name: &str, text: &str) -> Tree {
        let format = format::by_name(name).unwrap();
        format.parse(SecretBytes::copy_of(text.as_bytes())).unwrap()
    }

    /// Keys, values and comments in upstream's order.
    fn visits(name: &str, text: &str) -> String {
        let tree = read(name, text);
        let shown = Visits::of(&tree).order.into_iter().map(|node| {
            let node = node as usize;
            if let Some(text) = comment_text(&tree, node) {
                return format!("#{}", String::from_utf8_lossy(text));
            }
            let key = tree.key(node).map(String::from_utf8_lossy);
            let key = key.map_or(String::new(), |key| format!("{key}:"));
            match tree.nodes[node].value {
                Value::Map => format!("{key}map"),
                Value::List => format!("{key}list"),
                _ => format!("{key}{}", String::from_utf8_lossy(tree.spelling(node))),
            }
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_visited_where_upstream_lists_them() {
        for (text, order) in [
            ("a: 1 # c\nb: 2\n", "map # c a:1 b:2"),
            ("a: [x, y] # c\nb: 2\n", "map a:list # c x y b:2"),
            ("- [] # c\n", ""),
            ("a:\n- [] # c\n- l\n", "map a:list # c list l"),
            ("a: # c\nb: 2\n", "map # c a: b:2"),
            ("a: [ # c\n x]\n", "map a:list x"),
            ("a: { # c\n x: y}\n", "map a:map x:y"),
            ("a:\n# c\n- x\n", "map a:list # c x"),
            ("a: | # c\n x\nb: 2\n", "map # c a:| # c\n x b:2"),
            ("a: !!str # c\n x\nb: 2\n", "map # c a:!!str # c\n x b:2"),
            // The first comment belongs to the list, the second one still to the map in it.
            (
                "q:\n-\n a: !!null # c\n # d\n- x\n",
                "map q:list # c map a:!!null # d x",
            ),
            (
                "a:\n- >+\n  text\n\n# c\n# d\nb: 1\n",
                "map a:list >+\n  text\n # c # d b:1",
            ),
        ] {
            if !order.is_empty() {
                assert_eq!(visits("yaml", text), order, "{text}");
            }
        }
        let ini = "; c\n[s]\n; d\na = 1\nb = 2 ; e\n";
        assert_eq!(visits("ini", ini), "map DEFAULT:map s:map #c a:1 #d b:2 #e");
    }

    #[test]
    fn a_comment_of_a_collection_around_is_no_element() {
        let text = "a:\n- - x\n  -\n  # c\nb: 1\n";
        let tree = read("yaml", text);
        let comment = (0..tree.nodes.len())
            .find(|node| matches!(tree.nodes[*node].value, Value::Comment { .. }))
            .unwrap();
        let is_list = |node: &NodeId| tree.nodes[*node].value == Value::List;
        let inner = (0..comment).rfind(is_list).unwrap();
        let outside = listed_children(&tree, inner);
        let everywhere = Visits::of(&tree);
        let inside: Vec<_> = everywhere.children(inner).map(Listed::Node).collect();
        assert_eq!(outside, inside);
    }

    #[test]
    fn upstream_counts_comments_as_elements() {
        let tree = read("yaml", "d: [a, b] # c\n");
        let shown: Vec<_> = listed_children(&tree, 1)
            .into_iter()
            .map(|child| match child {
                Listed::Node(node) => String::from_utf8_lossy(tree.spelling(node)).into_owned(),
                Listed::Hidden(_) => unreachable!("no value has a comment in it"),
            })
            .collect();
        assert_eq!(shown, [" c", "a", "b"]);
    }
}

//! A parsed document set: a flat list of nodes over one secret buffer.

use sealwright_crypto::secret::SecretBytes;

use crate::attachment::{Attachment, HiddenComment};
use crate::data::Data;
use crate::scalar::Scalar;
pub use crate::span::{NodeId, Span};

/// Where the content of a key or a value lies: in the file itself when it is spelled there as it is, otherwise decoded
/// beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// In the file's own bytes.
    File(Span),
    /// In the buffer of decoded texts.
    Decoded(Span),
}

/// The key under which a node stands in its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// An element of a list, a comment, or the root of a document.
    None,
    /// A text key.
    Text(Text),
    /// A key that the format allows and the envelope cannot take (YAML's `1:`, `null:`, `true:`); the text is its spelling.
    NotText(Text),
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A map; its entries follow, up to the node's `end`.
    Map,
    /// A list; its elements follow, up to the node's `end`.
    List,
    /// Null: never encrypted, never hashed.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A timestamp; the text is its RFC 3339 form.
    Time(Text),
    /// Text or bytes.
    Str(Text),
    /// A comment: the text after the mark. `inline` when it shares its line with a value, which then lies directly before it
    /// (nodes follow the text; the reference has such a comment before its value, and selection must look ahead).
    Comment {
        /// The text after the mark, leading space included.
        text: Text,
        /// Whether it shares its line with a value.
        inline: bool,
        /// How many collections further out than the one around it the one is that it belongs to. YAML has such comments:
        /// before an empty element of a list, for one.
        above: u16,
    },
    /// A scalar that the format reads and the envelope cannot take (an unsigned integer above `i64`); the text is its spelling.
    Unsupported(Text),
}

/// One node. Nodes lie in document order, a collection before its content (pre-order).
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The key it stands under.
    pub key: Key,
    /// What it is.
    pub value: Value,
    /// The bytes that a new value replaces: a scalar with its quotes and tags, the text of a comment after its mark, or
    /// the whole extent of a collection. Sites of leaves never overlap and ascend.
    pub site: Span,
    /// The index just past its last descendant; the node's own index plus one for a leaf.
    pub end: u32,
    /// The format's own note about how and where it is written (quoting, flow or block, column).
    pub place: u32,
}

/// One `sops` block (YAML repeats it in every document).
#[derive(Debug)]
pub struct Block {
    /// The bytes to cut so that the file is as if the block had never been written.
    pub cut: Span,
    /// Bytes before them to cut as well: the key, when a comment of the document stands on its line. Mostly empty.
    pub label: Span,
    /// The fields with the bytes that a new value of the field replaces (whole lines where the format has lines).
    pub fields: Vec<(String, Span)>,
    /// The content, unflattened.
    pub data: Data,
}

/// A parsed document set.
///
/// `nodes` does not contain the `sops` block. A `Tree` is plain or encrypted; the newtypes that say which belong to
/// the envelope.
pub struct Tree {
    /// The file as it was read.
    pub text: SecretBytes,
    /// Keys and values whose spelling differs from their content.
    pub decoded: SecretBytes,
    /// All nodes of all documents in order; each document's root is a map without a key.
    pub nodes: Vec<Node>,
    /// The roots of the documents.
    pub documents: Vec<u32>,
    /// The `sops` blocks, in file order; the first is the one that counts.
    pub blocks: Vec<Block>,
    /// Where upstream lists the comments, in ascending order of comments. One without an entry is listed where it stands.
    pub attachments: Vec<Attachment>,
    /// Comments amidst the bytes of a value, which are no nodes.
    pub hidden: Vec<HiddenComment>,
}

static_assertions::assert_not_impl_any!(Tree: Clone, std::fmt::Debug);

impl Tree {
    /// The content of a key or a value.
    pub fn content(&self, text: Text) -> &[u8] {
        match text {
            Text::File(span) => &self.text.expose()[span.range()],
            Text::Decoded(span) => &self.decoded.expose()[span.range()],
        }
    }

    /// The key of a node as bytes; `None` for list elements, comments and roots.
    pub fn key(&self, node: NodeId) -> Option<&[u8]> {
        match self.nodes[node].key {
            Key::None => None,
            Key::Text(text) | Key::NotText(text) => Some(self.content(text)),
        }
    }

    /// The scalar at a node; `None` for collections and for what the envelope cannot take.
    pub fn scalar(&self, node: NodeId) -> Option<Scalar<'_>> {
        Some(match self.nodes[node].value {
            Value::Map | Value::List | Value::Unsupported(_) => return None,
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(value),
            Value::Int(value) => Scalar::Int(value),
            Value::Float(value) => Scalar::Float(value),
            Value::Time(text) => Scalar::Time(self.content(text)),
            Value::Str(text) => Scalar::Str(self.content(text)),
            Value::Comment { text, .. } => Scalar::Comment(self.content(text)),
        })
    }

    /// The spelling of a node in the file: the bytes of its site.
    pub fn spelling(&self, node: NodeId) -> &[u8] {
        &self.text.expose()[self.nodes[node].site.range()]
    }

    /// The direct children of a collection, comments included.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = self.nodes[node].end as usize;
        let is_collection = matches!(self.nodes[node].value, Value::Map | Value::List);
        let mut next = if is_collection { node + 1 } else { end };
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let child = next;
                next = self.nodes[child].end as usize;
                child
            })
        })
    }

    /// How many levels a node has: one without children has one.
    pub fn depth(&self, node: NodeId) -> usize {
        let mut open: Vec<u32> = Vec::new();
        let mut deepest = 0;
        for at in node..self.nodes[node].end as usize {
            while open.last().is_some_and(|end| *end as usize <= at) {
                open.pop();
            }
            open.push(self.nodes[at].end);
            deepest = deepest.max(open.len());
        }
        deepest
    }

    /// The path of a node for messages, such as `a.b[0]`; documents after the first are told by their number.
    pub fn path(&self, node: NodeId) -> String {
        let mut path = String::new();
        let document = self
            .documents
            .iter()
            .rposition(|root| *root as usize <= node);
        let mut at = document.map_or(0, |at| self.documents[at] as usize);
        if document.is_some_and(|number| number > 0) {
            path = format!("document {}: ", document.unwrap_or_default() + 1);
        }
        let start = path.len();
        while at != node {
            let is_list = matches!(self.nodes[at].value, Value::List);
            // Comments are no elements, as in the paths that people type.
            let mut index = 0;
            let child = self.children(at).find(|child| {
                let is_on_the_way = (*child..self.nodes[*child].end as usize).contains(&node);
                let is_value = !matches!(self.nodes[*child].value, Value::Comment { .. });
                index += usize::from(!is_on_the_way && is_value);
                is_on_the_way
            });
            let Some(child) = child else {
                break;
            };
            if is_list {
                path.push_str(&format!("[{index}]"));
            } else if let Some(key) = self.key(child) {
                if path.len() > start {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(key));
            }
            at = child;
        }
        path
    }

    /// The line and column (both from 1; columns count characters) of an offset, for messages.
    pub fn position(&self, offset: u32) -> (usize, usize) {
        crate::error::position(self.text.expose(), offset as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::by_name;

    #[test]
    fn comments_do_not_count_in_paths() {
        let text = SecretBytes::copy_of(b"a:\n- x\n# c\n- {b: y}\n");
        let tree = by_name("yaml").unwrap().parse(text).unwrap();
        let last = (0..tree.nodes.len())
            .rfind(|node| tree.key(*node).is_some())
            .unwrap();
        assert_eq!(tree.path(last), "a[1].b");
    }
}

//! The document formats, and what each of them must be able to do.

pub mod binary;
pub mod dotenv;
mod flat_block;
mod indentation;
pub mod ini;
pub mod json;
#[cfg(test)]
mod properties;
pub mod yaml;

use std::path::Path;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::{EmitError, ParseError};
use crate::scalar::Scalar;
use crate::splice::{Edit, apply};
use crate::tree::{NodeId, Tree, Value};

/// How a format lays out what it writes afresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Columns per level; `None` for the format's own default (YAML 4, JSON one tab), `Some(-1)` for JSON's tab.
    pub indent: Option<i32>,
}

/// A step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, among its elements.
    Index(usize),
    /// Into a list, among its elements and comments, as upstream counts them.
    IndexWithComments(usize),
}

impl Step {
    /// The node that the step leads to from `node`, if it is there.
    pub fn find(&self, tree: &Tree, node: NodeId) -> Option<NodeId> {
        match (self, tree.nodes[node].value) {
            (Step::Key(key), Value::Map) => tree
                .children(node)
                .find(|child| tree.key(*child) == Some(key.as_bytes())),
            (Step::Index(index), Value::List) => tree.element(node, *index, false),
            (Step::IndexWithComments(index), Value::List) => tree.element(node, *index, true),
            _ => None,
        }
    }

    /// The index into a list.
    pub fn index(&self) -> Option<usize> {
        match self {
            Step::Key(_) => None,
            Step::Index(index) | Step::IndexWithComments(index) => Some(*index),
        }
    }

    /// A path for messages, such as `a.b[0]`.
    fn spell(path: &[Self]) -> String {
        let mut spelling = String::new();
        for step in path {
            match step {
                Step::Key(key) if spelling.is_empty() => spelling.push_str(key),
                Step::Key(key) => {
                    spelling.push('.');
                    spelling.push_str(key);
                }
                Step::Index(index) | Step::IndexWithComments(index) => {
                    spelling.push_str(&format!("[{index}]"));
                }
            }
        }
        spelling
    }
}

/// How far a path leads in a document, and the steps that are left.
enum Reached<'a> {
    /// The place is there.
    Place(NodeId),
    /// A scalar stands in the way; upstream replaces it.
    Scalar(NodeId, &'a [Step]),
    /// A map or list that has no such entry.
    Collection(NodeId, &'a [Step]),
}

/// Follows the path to a value that is to be set.
///
/// # Errors
///
/// Fails if the path leads nowhere, into the `sops` block, or through a map or list by a step of the wrong kind.
fn follow<'a>(tree: &Tree, path: &'a [Step]) -> Result<Reached<'a>, EmitError> {
    let refused = |reason| Err(EmitError::new(Step::spell(path), reason));
    match path.first() {
        None => return refused("the path is empty"),
        Some(Step::Key(key)) if key == "sops" => {
            return refused("the key is reserved for the sops block");
        }
        Some(_) => {}
    }
    let mut node = tree.documents[0] as usize;
    for (at, step) in path.iter().enumerate() {
        match (tree.nodes[node].value, step) {
            (Value::Map, Step::Key(_))
            | (Value::List, Step::Index(_) | Step::IndexWithComments(_)) => {}
            (Value::Map, _) => return refused("an index into a map"),
            (Value::List, _) => return refused("a key into a list"),
            _ => return Ok(Reached::Scalar(node, &path[at..])),
        }
        match step.find(tree, node) {
            Some(child) => node = child,
            None => return Ok(Reached::Collection(node, &path[at..])),
        }
    }
    Ok(Reached::Place(node))
}

/// A plain document made ready to be encrypted in place, and what brings its own look back.
pub struct Prepared {
    /// A tree of which every leaf can be replaced where it stands and every reader sees the same data.
    pub tree: Tree,
    /// Nodes of `tree` that looked otherwise before, in ascending order, with their former bytes: an alias instead of a
    /// copy of what it named, a flow map over several lines, a tag.
    pub former: Vec<(NodeId, SecretBytes)>,
    /// The whole former text, where single nodes cannot tell the difference (a byte order mark, a missing final
    /// newline, a layout that this format cannot carry); the envelope keeps only what differs. Then `former` is empty.
    pub former_text: Option<SecretBytes>,
}

impl Prepared {
    /// Goes on with a tree of another text; the former text is kept as a whole.
    pub fn with_tree(self, tree: Tree) -> Self {
        Self {
            former_text: Some(self.original_text()),
            tree,
            former: Vec::new(),
        }
    }

    /// The text as it was before.
    pub fn original_text(&self) -> SecretBytes {
        if let Some(text) = &self.former_text {
            return SecretBytes::copy_of(text.expose());
        }
        let edits = self.former.iter().map(|(node, text)| Edit {
            span: self.tree.nodes[*node].site,
            text: SecretBytes::copy_of(text.expose()),
        });
        apply(self.tree.text.expose(), &edits.collect::<Vec<_>>())
    }
}

/// One document format.
///
/// Formats splice: `spell…` writes the new bytes of one node's site, everything else is copied. What is rewritten as
/// a whole goes through [`Format::render`].
pub trait Format: Sync {
    /// Its name, as flags have it: `yaml`, `json`, `dotenv`, `ini`, `binary`.
    fn name(&self) -> &'static str;

    /// The ends of paths that are read in it, case and all; none for the format of everything else.
    fn suffixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads a plain or an encrypted text. An encrypted one has [`Tree::blocks`].
    fn parse(&self, text: SecretBytes) -> Result<Tree, ParseError>;

    /// The format that an encrypted tree is in, where it is another one: a name that says nothing tells what is written, and
    /// what lies there may be a whole document in the form of the encrypted files of this format.
    fn of_encrypted(&self, tree: &Tree) -> Option<&'static dyn Format> {
        let _ = tree;
        None
    }

    /// Makes a plain tree ready to be encrypted in place: no aliases, no tags on what will be replaced, nothing that
    /// another reader of the format refuses or reads otherwise. Most trees come back as they are.
    fn prepare(&self, tree: Tree) -> Result<Prepared, ParseError>;

    /// The same with the documents rewritten, so that upstream lists each comment in the prepared tree where it lists it
    /// in the plain one. For rules about comments, which go by that order. `None` in a format whose comments keep their
    /// order when a tree is prepared.
    fn prepare_listed(&self, tree: Tree) -> Result<Option<Prepared>, ParseError> {
        let _ = tree;
        Ok(None)
    }

    /// Whether a plain text has so many ways to be written in this format that its encrypted form is tried before it is
    /// handed out.
    fn is_intricate(&self, text: &[u8]) -> bool {
        let _ = text;
        false
    }

    /// A node's note after the text around it moved; a note that holds an offset asks `moved` where it went.
    fn moved(&self, place: u32, moved: &mut dyn FnMut(u32) -> u32) -> u32 {
        let _ = moved;
        place
    }

    /// How upstream writes null where the format has none. It stays in clear text in an encrypted file; there it is null
    /// only where a value is selected for encryption, and a text elsewhere (D12).
    fn null(&self) -> Option<&'static [u8]> {
        None
    }

    /// Writes a scalar at a node's place, as this format spells it by default.
    fn spell(
        &self,
        tree: &Tree,
        at: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError>;

    /// Writes a text at a node's place as the one there is written: in its quotes, as lines below its mark. What does not
    /// fit so is spelled as [`Format::spell`] does it.
    fn spell_alike(
        &self,
        tree: &Tree,
        at: NodeId,
        text: &[u8],
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        self.spell(tree, at, Scalar::Str(text), out)
    }

    /// Refuses a decrypted tree whose text is none in this format: encrypted, a file may hold what its plain text cannot.
    fn check_plain(&self, tree: &Tree) -> Result<(), EmitError> {
        let _ = tree;
        Ok(())
    }

    /// Writes the `ENC[…]` text of a value or of a comment at a node's place.
    fn spell_encrypted(&self, tree: &Tree, at: NodeId, text: &[u8], out: &mut SecretWriter);

    /// Writes a comment where a list element stands whose decrypted type is `comment`: upstream writes comments of lists
    /// so. A format without comments drops the element. `done` is where the edit before this one ended.
    fn spell_list_comment(
        &self,
        tree: &Tree,
        at: NodeId,
        comment: &[u8],
        done: u32,
    ) -> Result<Edit, EmitError> {
        let _ = (comment, done);
        Err(EmitError::new(tree.path(at), "this format has no lists"))
    }

    /// Writes out a decrypted document that would vanish with its block because it holds no value.
    fn complete(&self, tree: Tree) -> Tree {
        tree
    }

    /// What `spelling` would be read as if it stood at the node's site, or `None` when it is not one scalar there.
    /// The result is the content of one leaf.
    fn read_spelling(&self, tree: &Tree, at: NodeId, spelling: &[u8]) -> Option<Data>;

    /// The edits that put a `sops` block with this content into a tree: a new block when it has none, otherwise its
    /// blocks with only those fields rewritten whose content differs. `block` is a map, its keys sorted. An insertion at
    /// the very start of a site stands before it, one at its end behind it.
    fn write_block(
        &self,
        tree: &Tree,
        block: &Data,
        layout: Layout,
    ) -> Result<Vec<Edit>, EmitError>;

    /// Rewrites documents in upstream's own spelling.
    fn render(&self, documents: &[Data], layout: Layout) -> Result<SecretBytes, EmitError>;

    /// Writes one extracted value that is no document: text as it is, others as the reference prints them.
    fn render_value(&self, value: &Data, layout: Layout) -> Result<SecretBytes, EmitError>;

    /// The edits that set the value at a path of the first document, creating what is missing on the way. Replacing a
    /// scalar by a scalar changes the bytes of that scalar and no others.
    fn set(
        &self,
        tree: &Tree,
        path: &[Step],
        value: &Data,
        layout: Layout,
    ) -> Result<Vec<Edit>, EmitError>;

    /// The edits that remove a node (not a root) with its key, and its line where it has one of its own.
    fn remove(&self, tree: &Tree, node: NodeId) -> Result<Vec<Edit>, EmitError>;

    /// Whether a plain document may not have this key at the top level because the `sops` block lives there.
    fn reserves(&self, key: &[u8]) -> bool;
}

/// All formats. What no other one claims by its suffix is binary.
pub static FORMATS: [&dyn Format; 5] = [
    &yaml::Yaml,
    &json::Json,
    &dotenv::Dotenv,
    &ini::Ini,
    &binary::Binary,
];

/// The format of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Format> {
    FORMATS.into_iter().find(|format| format.name() == name)
}

/// The format of a path: the ends of its whole text count, case and all, so that `.env` is dotenv, and `env` and
/// `.env.local` are binary.
pub fn by_path(path: &Path) -> &'static dyn Format {
    let path = path.as_os_str().as_encoded_bytes();
    let claims = |format: &&dyn Format| {
        let mut suffixes = format.suffixes().iter();
        suffixes.any(|suffix| path.ends_with(suffix.as_bytes()))
    };
    FORMATS.into_iter().find(claims).unwrap_or(&binary::Binary)
}

/// The format of a path unless `name`, as `--input-type` and `--output-type` give it, is one of a format. Other names
/// and none are as if nothing had been said, as in the reference.
pub fn choose(name: Option<&str>, path: &Path) -> &'static dyn Format {
    name.and_then(by_name).unwrap_or_else(|| by_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_chosen_by_the_whole_path() {
        for (path, name) in [
            ("a/b.yaml", "yaml"),
            (".yml", "yaml"),
            ("a/b.json", "json"),
            (".env", "dotenv"),
            ("prod.env", "dotenv"),
            (".json", "json"),
            ("env", "binary"),
            ("dotenv", "binary"),
            (".env.local", "binary"),
            ("a.JSON", "binary"),
            ("json", "binary"),
            ("", "binary"),
        ] {
            assert_eq!(by_path(Path::new(path)).name(), name, "{path}");
        }
    }

    #[test]
    fn t59_a_type_that_is_no_format_is_as_if_not_given() {
        let path = Path::new("a.json");
        assert_eq!(choose(Some("dotenv"), path).name(), "dotenv");
        assert_eq!(choose(Some(""), path).name(), "json");
        assert_eq!(choose(Some("JSON"), path).name(), "json");
        assert_eq!(choose(None, path).name(), "json");
        assert_eq!(choose(Some("yaml2"), Path::new("x")).name(), "binary");
    }
}

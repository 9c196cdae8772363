//! YAML: a stream of documents, the `sops` block is the last key of each.
//!
//! Read by the rules of the reference's own reader (yaml.v3, the grammar of libyaml): what a file means decides its
//! MAC. Everything between the values stays as it is: comments, blank lines, indentation, anchors, `---`.

mod block;
mod characters;
mod compose;
mod edit;
mod emit;
mod events;
mod list_comment;
mod place;
mod prepare;
mod read;
mod resolve;
mod scanner;
mod spell;
mod tag;
mod token;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::{EmitError, ParseError};
use crate::format::{Format, Layout, Prepared, Step};
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{NodeId, Tree};

use emit::Emitter;
use place::Place;

/// The YAML format.
pub struct Yaml;

impl Format for Yaml {
    fn name(&self) -> &'static str {
        "yaml"
    }

    fn suffixes(&self) -> &'static [&'static str] {
        &[".yaml", ".yml"]
    }

    fn parse(&self, text: SecretBytes) -> Result<Tree, ParseError> {
        prepare::expand_encrypted(compose::compose(text)?.tree)
    }

    fn prepare(&self, tree: Tree) -> Result<Prepared, ParseError> {
        prepare::prepare(tree)
    }

    fn prepare_listed(&self, tree: Tree) -> Result<Option<Prepared>, ParseError> {
        prepare::prepare_listed(tree).map(Some)
    }

    /// Anything but lines of keys with plain or quoted values.
    fn is_intricate(&self, text: &[u8]) -> bool {
        let begins_indented = matches!(text.first(), Some(b' ' | b'\xef'));
        begins_indented
            || memchr::memchr3(b'&', b'*', b'!', text).is_some()
            || memchr::memchr3(b'[', b'{', b'#', text).is_some()
            || memchr::memchr3(b'|', b'>', b'?', text).is_some()
            || memchr::memchr2(b'\r', b'%', text).is_some()
    }

    fn spell(
        &self,
        tree: &Tree,
        at: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        read::spell(tree, at, scalar, out)
    }

    fn spell_alike(
        &self,
        tree: &Tree,
        at: NodeId,
        text: &[u8],
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        let style = Place::of(tree.nodes[at].place).style();
        let is_done = spell::quoted(text, style, out)
            || spell::below_mark(text, style, tree.spelling(at), out);
        match is_done {
            true => Ok(()),
            false => self.spell(tree, at, Scalar::Str(text), out),
        }
    }

    fn spell_encrypted(&self, tree: &Tree, at: NodeId, text: &[u8], out: &mut SecretWriter) {
        read::spell_encrypted(tree, at, text, out);
    }

    fn spell_list_comment(
        &self,
        tree: &Tree,
        at: NodeId,
        comment: &[u8],
        _: u32,
    ) -> Result<Edit, EmitError> {
        list_comment::spell(tree, at, comment)
    }

    fn complete(&self, tree: Tree) -> Tree {
        match prepare::with_first_document(&tree) {
            Some(complete) => complete,
            None => tree,
        }
    }

    fn read_spelling(&self, tree: &Tree, at: NodeId, spelling: &[u8]) -> Option<Data> {
        read::read_spelling(tree, at, spelling)
    }

    fn write_block(
        &self,
        tree: &Tree,
        block: &Data,
        layout: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        block::write_block(tree, block, layout)
    }

    fn render(&self, documents: &[Data], layout: Layout) -> Result<SecretBytes, EmitError> {
        emit::documents(documents, emit::unit_of(layout, read::UNIT)?)
    }

    fn render_value(&self, value: &Data, layout: Layout) -> Result<SecretBytes, EmitError> {
        if let Data::Str(text) = value {
            return Ok(SecretBytes::copy_of(text.expose()));
        }
        let mut emitter = Emitter::new(emit::unit_of(layout, read::UNIT)?);
        emitter.lone(value)?;
        Ok(emitter.out.finish())
    }

    fn set(
        &self,
        tree: &Tree,
        path: &[Step],
        value: &Data,
        layout: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        edit::set(tree, path, value, layout)
    }

    fn remove(&self, tree: &Tree, node: NodeId) -> Result<Vec<Edit>, EmitError> {
        edit::remove(tree, node)
    }

    fn reserves(&self, key: &[u8]) -> bool {
        key == b"sops"
    }
}

#[cfg(test)]
mod tests;

//! JSON: one object per file, the `sops` block is its last member.
//!
//! Everything between the values stays as it is. What the reference reads and drops silently (text after the object,
//! invalid UTF-8) is an error here.

mod edit;
mod parse;
mod write;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::{EmitError, ParseError};
use crate::format::{Format, Layout, Prepared, Step};
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{NodeId, Tree};

pub use self::write::WIDEST_INDENT;

use write::{Escapes, Style};

/// The JSON format.
pub struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn suffixes(&self) -> &'static [&'static str] {
        &[".json"]
    }

    fn parse(&self, text: SecretBytes) -> Result<Tree, ParseError> {
        parse::parse(text)
    }

    /// The reference refuses a byte order mark, and so it comes off; nothing else needs a change.
    fn prepare(&self, tree: Tree) -> Result<Prepared, ParseError> {
        let start = parse::without_mark(tree.text.expose());
        if start == 0 {
            return Ok(Prepared {
                tree,
                former: Vec::new(),
                former_text: None,
            });
        }
        let stripped = SecretBytes::copy_of(&tree.text.expose()[start..]);
        Ok(Prepared {
            tree: parse::parse(stripped)?,
            former: Vec::new(),
            former_text: Some(tree.text),
        })
    }

    /// The note is where the member or the element starts.
    fn moved(&self, place: u32, moved: &mut dyn FnMut(u32) -> u32) -> u32 {
        moved(place)
    }

    fn spell(
        &self,
        _: &Tree,
        _: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        match scalar {
            // Encrypted, JSON holds any bytes and all floats: they are decrypted for other formats, and to be encrypted again.
            Scalar::Str(text) => write::quoted(text, Escapes::Few, out),
            Scalar::Float(value) if !value.is_finite() => out.push(b"NaN"),
            scalar => {
                let written = write::scalar(scalar, Escapes::Few, out);
                return written.map_err(|reason| EmitError::new("", reason));
            }
        }
        Ok(())
    }

    fn check_plain(&self, tree: &Tree) -> Result<(), EmitError> {
        for node in 0..tree.nodes.len() {
            let reason = match tree.scalar(node) {
                Some(Scalar::Str(text)) if std::str::from_utf8(text).is_err() => {
                    "JSON cannot hold bytes that are not UTF-8"
                }
                Some(Scalar::Float(value)) if !value.is_finite() => {
                    "JSON has no infinity and no NaN"
                }
                _ => continue,
            };
            return Err(EmitError::new(tree.path(node), reason));
        }
        Ok(())
    }

    fn spell_encrypted(&self, _: &Tree, _: NodeId, text: &[u8], out: &mut SecretWriter) {
        out.push_byte(b'"');
        out.push(text);
        out.push_byte(b'"');
    }

    /// JSON has no comments: the element goes, with its comma.
    fn spell_list_comment(
        &self,
        tree: &Tree,
        at: NodeId,
        _: &[u8],
        done: u32,
    ) -> Result<Edit, EmitError> {
        Ok(edit::drop_list_comment(tree, at, done))
    }

    fn read_spelling(&self, _: &Tree, _: NodeId, spelling: &[u8]) -> Option<Data> {
        parse::parse_scalar(spelling)
    }

    fn write_block(
        &self,
        tree: &Tree,
        block: &Data,
        layout: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        edit::write_block(tree, block, layout)
    }

    fn render(&self, documents: &[Data], layout: Layout) -> Result<SecretBytes, EmitError> {
        let [document] = documents else {
            return Err(EmitError::new("", "a JSON file holds exactly one document"));
        };
        if !matches!(document, Data::Map(_)) {
            return Err(EmitError::new("", "a JSON document must be an object"));
        }
        let mut out = SecretWriter::default();
        write::data(document, &Style::of_reference(layout)?, b"", &mut out)?;
        out.push_byte(b'\n');
        Ok(out.finish())
    }

    fn render_value(&self, value: &Data, layout: Layout) -> Result<SecretBytes, EmitError> {
        let mut out = SecretWriter::default();
        match value {
            Data::Str(text) => out.push(text.expose()),
            _ => write::data(value, &Style::of_reference(layout)?, b"", &mut out)?,
        }
        Ok(out.finish())
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
        Ok(edit::remove(tree, node))
    }

    fn reserves(&self, key: &[u8]) -> bool {
        key == parse::BLOCK
    }
}

#[cfg(test)]
mod tests;

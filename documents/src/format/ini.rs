//! INI: sections of keys, in the dialect of the library that the reference uses.
//!
//! Keys before any header are in the section `DEFAULT`, which is always there. The `sops` block is a section of that name
//! at the end, flattened. The user's bytes stay: what cannot be encrypted where it stands is rewritten in plain lines
//! first, and its former text comes back on decryption. Comments stand before their key here, where the file has them;
//! the reference lists them after it.

mod edit;
mod prepare;
mod read;
mod render;
mod scan;
mod spell;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::{EmitError, ParseError};
use crate::flatten::flatten;
use crate::format::json::Json;
use crate::format::{Format, Layout, Prepared, Step};
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{NodeId, Tree, Value};

/// The INI format.
pub struct Ini;

impl Format for Ini {
    fn name(&self) -> &'static str {
        "ini"
    }

    fn suffixes(&self) -> &'static [&'static str] {
        &[".ini"]
    }

    fn parse(&self, text: SecretBytes) -> Result<Tree, ParseError> {
        read::parse(text)
    }

    fn prepare(&self, tree: Tree) -> Result<Prepared, ParseError> {
        if tree.nodes[0].place != read::IRREGULAR {
            return Ok(Prepared {
                tree,
                former: Vec::new(),
                former_text: None,
            });
        }
        let text = tree.text.expose();
        let regular =
            prepare::regular(text).map_err(|(at, reason)| ParseError::at(text, at, reason))?;
        Ok(Prepared {
            tree: read::parse(regular)?,
            former: Vec::new(),
            former_text: Some(tree.text),
        })
    }

    fn null(&self) -> Option<&'static [u8]> {
        Some(b"<nil>")
    }

    fn moved(&self, place: u32, moved: &mut dyn FnMut(u32) -> u32) -> u32 {
        match place {
            read::IRREGULAR => place,
            offset => moved(offset),
        }
    }

    fn spell(
        &self,
        tree: &Tree,
        at: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        let node = &tree.nodes[at];
        let spelled = match (scalar, node.value) {
            (Scalar::Comment(text), Value::Comment { inline, .. }) => {
                spell::comment(text, inline, out)
            }
            (Scalar::Comment(_), _) => Err("a comment where a value stands"),
            (_, Value::Comment { .. }) => Err("a value where a comment stands"),
            (scalar, _) => {
                let rest = &tree.text.expose()[node.site.end as usize..];
                spell::value(scalar, rest, out)
            }
        };
        spelled.map_err(|reason| {
            let key = tree.key(at).unwrap_or_default();
            EmitError::new(String::from_utf8_lossy(key), reason)
        })
    }

    fn spell_encrypted(&self, _: &Tree, _: NodeId, text: &[u8], out: &mut SecretWriter) {
        out.push(text);
    }

    fn read_spelling(&self, tree: &Tree, at: NodeId, spelling: &[u8]) -> Option<Data> {
        let node = &tree.nodes[at];
        match node.value {
            Value::Comment { .. } => spell::read_comment(tree, at, spelling),
            Value::Null if spelling == b"<nil>" => Some(Data::Null),
            _ => {
                let rest = &tree.text.expose()[node.site.end as usize..];
                spell::read_value(spelling, rest).map(Data::Str)
            }
        }
    }

    fn write_block(&self, tree: &Tree, block: &Data, _: Layout) -> Result<Vec<Edit>, EmitError> {
        edit::write_block(tree, &flatten(block)?)
    }

    fn render(&self, documents: &[Data], _: Layout) -> Result<SecretBytes, EmitError> {
        let [Data::Map(sections)] = documents else {
            return Err(EmitError::new("", "an INI file holds exactly one map"));
        };
        render::document(sections)
    }

    /// Text as it is, a map of sections as a file, everything else as JSON.
    fn render_value(&self, value: &Data, layout: Layout) -> Result<SecretBytes, EmitError> {
        match value {
            Data::Map(entries)
                if !entries.is_empty()
                    && entries
                        .iter()
                        .all(|(_, entry)| matches!(entry, Data::Map(_))) =>
            {
                render::document(entries)
            }
            other => Json.render_value(other, layout),
        }
    }

    fn set(
        &self,
        tree: &Tree,
        path: &[Step],
        value: &Data,
        _: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        edit::set(tree, path, value)
    }

    fn remove(&self, tree: &Tree, node: NodeId) -> Result<Vec<Edit>, EmitError> {
        Ok(edit::remove(tree, node))
    }

    fn reserves(&self, key: &[u8]) -> bool {
        key == read::BLOCK
    }
}

#[cfg(test)]
mod tests;

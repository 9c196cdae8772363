//! Encrypting and decrypting a whole document: each secret leaf where it stands, everything else as it is.
//!
//! Flow: one walk over the nodes in document order. Each secret leaf goes through the value cipher with its path as
//! associated data, each value into the MAC, and the result is spliced into the text that was read.
//!
//! Guarantees: a [`Document`] comes out only after the MAC agrees, or as [`Unverified`]. What is encrypted over an
//! earlier version of itself ([`Memory`]) keeps the ciphertext of every value that did not change and every byte of the
//! block that means the same; when nothing changed, it is that version. The look of the plain text that the file cannot
//! carry rides along as [presentation hints](crate::presentation) and never changes the data.
//!
//! Assumption: the format spells a value in the encrypted tree as it spells it in the plain one.

mod ahead;
mod decrypt;
mod encrypt;
mod error;
mod memory;
mod ready;
mod relocation;
mod settle;
#[cfg(test)]
mod tests;
mod uncovered;
mod walk;

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::error::ParseError;
use crate::format::Format;
use crate::metadata::{Metadata, MetadataError};
use crate::tree::{Block, NodeId, Span, Tree};

pub use decrypt::{Decrypted, decrypt, decrypt_to_edit, decrypt_unverified};
pub use encrypt::{EncryptedText, encrypt, write_metadata};
pub use error::{DecryptError, EncryptError, Place, ReadError, Warning};
pub use memory::Memory;
pub use uncovered::uncovered;

/// A plain document.
pub struct Document {
    format: &'static dyn Format,
    tree: Tree,
}

static_assertions::assert_not_impl_any!(Document: Clone, std::fmt::Debug);

impl Document {
    /// Reads a plain text. A text with a `sops` block is read, too; [`encrypt`] refuses it.
    pub fn parse(format: &'static dyn Format, text: SecretBytes) -> Result<Self, ParseError> {
        Ok(Self {
            format,
            tree: format.parse(text)?,
        })
    }

    /// The format it is in.
    pub fn format(&self) -> &'static dyn Format {
        self.format
    }

    /// Its content.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Its text.
    pub fn text(&self) -> &SecretBytes {
        &self.tree.text
    }

    /// Its text, without a copy.
    pub fn into_text(self) -> SecretBytes {
        self.tree.text
    }

    /// The top-level key that a plain document may not have: it belongs to the `sops` block.
    pub fn reserved_key(&self) -> Option<(NodeId, String)> {
        if let Some(block) = self.tree.blocks.first() {
            let root = self.tree.documents.first().map_or(0, |root| *root as usize);
            let _ = block;
            return Some((root, "sops".to_owned()));
        }
        self.tree
            .documents
            .iter()
            .flat_map(|root| self.tree.children(*root as usize))
            .find_map(|node| {
                let key = self.tree.key(node)?;
                self.format
                    .reserves(key)
                    .then(|| (node, String::from_utf8_lossy(key).into_owned()))
            })
    }
}

/// An encrypted document: a text with a `sops` block.
pub struct Encrypted {
    format: &'static dyn Format,
    tree: Tree,
    metadata: Metadata,
}

static_assertions::assert_not_impl_any!(Encrypted: Clone, std::fmt::Debug);

impl Encrypted {
    /// Reads an encrypted text. [`Encrypted::format`] may be another one than was asked for.
    pub fn parse(format: &'static dyn Format, text: SecretBytes) -> Result<Self, ReadError> {
        let mut format = format;
        let mut tree = format.parse(text)?;
        if let Some(other) = format.of_encrypted(&tree) {
            format = other;
            tree = format.parse(tree.text)?;
        }
        let block = tree.blocks.first().ok_or(MetadataError::NotFound)?;
        let is_empty = matches!(&block.data, Data::Map(fields) if fields.is_empty());
        if is_empty && format.name() != "yaml" {
            // As good as none, says upstream of all formats but one.
            return Err(MetadataError::NotFound.into());
        }
        let metadata = Metadata::from_data(&block.data).map_err(|source| {
            let (line, column) = position_in(&tree, block, source.field_name());
            ReadError::Block {
                line,
                column,
                source,
            }
        })?;
        Ok(Self {
            format,
            tree,
            metadata,
        })
    }

    /// The format it is in.
    pub fn format(&self) -> &'static dyn Format {
        self.format
    }

    /// Its `sops` block.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Its content, ciphertexts included and without the block.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Its text.
    pub fn text(&self) -> &SecretBytes {
        &self.tree.text
    }
}

/// Where a field of a block stands, or the block itself.
fn position_in(tree: &Tree, block: &Block, field: Option<&str>) -> (usize, usize) {
    let of_field = field.and_then(|name| {
        let mut fields = block.fields.iter();
        fields.find(|(known, _)| known == name)
    });
    let span = of_field.map_or(block.cut, |(_, span)| *span);
    // Fields and blocks are whole lines where the format has lines: what is meant begins behind the blanks.
    let text = &tree.text.expose()[span.range()];
    let blank = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == b',');
    tree.position(span.start + u32::try_from(blank.count()).unwrap_or(0))
}

/// What came out without the MAC agreeing, or without it having been asked.
pub struct Unverified<T> {
    inner: T,
    mac: Result<(), DecryptError>,
}

impl<T> Unverified<T> {
    /// Takes it all the same.
    pub fn accept(self) -> T {
        self.inner
    }

    /// What the MAC would have said.
    pub fn mac(&self) -> &Result<(), DecryptError> {
        &self.mac
    }
}

impl Place {
    fn of(tree: &Tree, node: NodeId) -> Self {
        Self::at(tree, node, tree.nodes[node].site)
    }

    fn at(tree: &Tree, node: NodeId, site: Span) -> Self {
        let (line, column) = tree.position(site.start);
        Self {
            path: tree.path(node),
            line,
            column,
        }
    }
}

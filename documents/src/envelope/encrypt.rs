//! From a plain document to an encrypted one.

use sealwright_crypto::cipher::{Kind, Nonces, ValueCipher};
use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::mac::{Mac, MacText};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::ahead::Ahead;
use super::error::{EncryptError, Place};
use super::memory::Memory;
use super::ready::make_ready;
use super::relocation::Relocation;
use super::walk::{KeyIsNotText, Leaf, Walk};
use super::{Document, Encrypted, decrypt, position_in};
use crate::data::Data;
use crate::error::ParseError;
use crate::format::{Format, Layout, Prepared};
use crate::metadata::{Metadata, Timestamp};
use crate::presentation::{AAD, Hints, HintsWriter};
use crate::scalar::Scalar;
use crate::selection::Selector;
use crate::splice::{Edit, Splicer, apply};
use crate::tree::{Block, Span, Tree};

/// The text of an encrypted document.
#[derive(Debug)]
pub struct EncryptedText {
    /// The text.
    pub text: SecretBytes,
    /// Whether it differs from the earlier version; true when there was none.
    pub changed: bool,
    /// Whether the document has values and the selection rule left every one of them in plaintext.
    pub left_plain: bool,
}

/// Encrypts a document under `key`, which the groups of `metadata` hold. Its `lastmodified`, `mac` and hints are written
/// here.
///
/// With the memory of an earlier version, what did not change keeps its bytes; when nothing did, the earlier version
/// comes out.
pub fn encrypt(
    document: Document,
    mut metadata: Metadata,
    key: &DataKey,
    memory: Option<Memory<'_>>,
    now: jiff::Timestamp,
    layout: Layout,
) -> Result<EncryptedText, EncryptError> {
    if let Some((node, name)) = document.reserved_key() {
        return Err(EncryptError::AlreadyEncrypted {
            place: match document.tree.blocks.first() {
                Some(block) => {
                    let (line, column) = position_in(&document.tree, block, None);
                    let path = String::new();
                    Place { path, line, column }
                }
                None => Place::of(&document.tree, node),
            },
            key: name,
        });
    }
    let format = document.format;
    let is_intricate = format.is_intricate(document.text().expose());
    let selector = metadata.selection().compile()?;
    let prepared = make_ready(format, document.tree, &selector)?;
    let cipher = ValueCipher::new(key);
    let mut nonces = Nonces::default();
    let work = Work {
        format,
        tree: &prepared.tree,
        selector: &selector,
        cipher: &cipher,
        nonces: &mut nonces,
        mac: Mac::new(metadata.mac_only_encrypted),
        mac_only_encrypted: metadata.mac_only_encrypted,
        memory,
        hints: HintsWriter::default(),
    };
    let Values {
        text,
        relocation,
        mac,
        hints,
        memory,
        left_plain,
    } = work.run()?;
    let hints = hints.finish(
        &prepared.tree,
        &prepared.former,
        prepared.former_text.as_ref(),
    );
    metadata.hints = hints.map(|hints| {
        kept_hints(&hints, memory.as_ref(), &cipher)
            .unwrap_or_else(|| encrypt_text(hints.expose(), AAD, &cipher, &mut nonces))
    });
    let mut assembly = Assembly {
        format,
        prepared: &prepared,
        values: text,
        relocation,
        memory: memory.as_ref(),
        layout,
    };
    if let Some(memory) = &memory
        && memory.is_same_key()
        && mac.agrees_with(memory.mac.expose())
    {
        let was = &memory.file.metadata;
        metadata.last_modified = was.last_modified.clone();
        metadata.mac = was.mac.clone();
        let text = assembly.with_block(&metadata)?;
        if text.expose() == memory.file.tree.text.expose() {
            return Ok(EncryptedText {
                text,
                changed: false,
                left_plain,
            });
        }
    }
    metadata.last_modified = Timestamp::from(now);
    let aad = metadata.last_modified.as_str().as_bytes();
    metadata.mac = encrypt_text(mac.expose(), aad, &cipher, &mut nonces);
    let text = assembly.with_block(&metadata)?;
    if is_intricate && !opens(format, &text, key) {
        return Err(ParseError::layout(prepared.tree.text.expose()).into());
    }
    Ok(EncryptedText {
        text,
        changed: true,
        left_plain,
    })
}

/// Tells whether what was written can be read again. It may be about to take the place of the only plain copy.
fn opens(format: &'static dyn Format, text: &SecretBytes, key: &DataKey) -> bool {
    let file = Encrypted::parse(format, SecretBytes::copy_of(text.expose()));
    file.is_ok_and(|file| decrypt(&file, key).is_ok())
}

/// Writes another block into an encrypted file; values, `lastmodified` and MAC stay as they are (T39).
pub fn write_metadata(
    file: &Encrypted,
    metadata: &Metadata,
    layout: Layout,
) -> Result<EncryptedText, EncryptError> {
    let tree = &file.tree;
    let data = metadata.to_data_over(&tree.blocks[0].data, &file.metadata);
    let edits = file
        .format
        .write_block(tree, &data, layout)
        .map_err(EncryptError::Block)?;
    let text = apply(tree.text.expose(), &edits);
    let changed = text.expose() != tree.text.expose();
    Ok(EncryptedText {
        text,
        changed,
        left_plain: false,
    })
}

struct Work<'w, 'm> {
    format: &'static dyn Format,
    tree: &'w Tree,
    selector: &'w Selector,
    cipher: &'w ValueCipher,
    nonces: &'w mut Nonces,
    mac: Mac,
    mac_only_encrypted: bool,
    memory: Option<Memory<'m>>,
    hints: HintsWriter,
}

struct Values<'m> {
    text: SecretBytes,
    relocation: Relocation,
    mac: MacText,
    hints: HintsWriter,
    memory: Option<Memory<'m>>,
    left_plain: bool,
}

impl<'m> Work<'_, 'm> {
    fn run(self) -> Result<Values<'m>, EncryptError> {
        let (tree, selector, cipher) = (self.tree, self.selector, self.cipher);
        std::thread::scope(|scope| {
            let ahead = match self.memory {
                None => Ahead::start(scope, tree, |results| {
                    let mut walk = Walk::new(tree, selector, false);
                    let (mut wire, mut nonces) =
                        (SecretWriter::with_capacity(64), Nonces::default());
                    let mut text = Vec::new();
                    while let Some(Ok(leaf)) = walk.next() {
                        let Some((scalar, kind)) = scalar_of(tree, leaf) else {
                            continue;
                        };
                        let bytes = wire_of(&scalar, &mut wire);
                        if leaf.is_secret && !bytes.is_empty() {
                            text.clear();
                            cipher.encrypt(bytes, walk.aad(), kind, &mut nonces, &mut text);
                            results.add(leaf.node, |out| out.push(&text))?;
                        }
                    }
                    Ok(())
                }),
                // What did not change is not encrypted at all.
                Some(_) => None,
            };
            self.put_in_place(ahead)
        })
    }

    /// Takes `ahead` over: when this thread stops early, the other one ends with it.
    fn put_in_place(mut self, mut ahead: Option<Ahead<()>>) -> Result<Values<'m>, EncryptError> {
        let tree = self.tree;
        let plain = tree.text.expose();
        let leaves = tree.nodes.len();
        let mut splicer = Splicer::new(plain, plain.len() * 4 / 3 + leaves * 128);
        let mut relocation = Relocation::with_capacity(leaves);
        let mut walk = Walk::new(tree, self.selector, false);
        let mut wire = SecretWriter::with_capacity(64);
        let mut spelled = SecretWriter::with_capacity(64);
        let mut text = Vec::new();
        let mut ordinal = 0;
        let (mut has_values, mut selected) = (false, false);
        while let Some(leaf) = walk.next() {
            let Leaf {
                node, is_secret, ..
            } = leaf.map_err(|KeyIsNotText(node)| EncryptError::Key(Place::of(tree, node)))?;
            let number = ordinal;
            ordinal += 1;
            let scalar = tree
                .scalar(node)
                .ok_or_else(|| EncryptError::Unsupported(Place::of(tree, node)))?;
            let Some(kind) = scalar.kind() else {
                continue;
            };
            let bytes = wire_of(&scalar, &mut wire);
            if kind != Kind::Comment {
                has_values = true;
                selected |= is_secret;
                if is_secret || !self.mac_only_encrypted {
                    self.mac.update(bytes);
                }
            }
            if !is_secret || bytes.is_empty() {
                continue;
            }
            let aad = walk.aad();
            let kept = self
                .memory
                .as_mut()
                .and_then(|memory| memory.recall(aad, &scalar, bytes));
            let done = ahead.as_mut().and_then(|ahead| ahead.take(node));
            let ciphertext = match kept.or(done.map(|((), text)| text)) {
                Some(ciphertext) => ciphertext,
                None => {
                    text.clear();
                    self.cipher
                        .encrypt(bytes, aad, kind, self.nonces, &mut text);
                    &text
                }
            };
            if kind == Kind::Comment && self.selector.mistakes(ciphertext) {
                return Err(EncryptError::CommentMatches(Place::of(tree, node)));
            }
            let site = tree.nodes[node].site;
            let start = splicer.position_of(site.start);
            let out = splicer.replace(site);
            self.format.spell_encrypted(tree, node, ciphertext, out);
            relocation.push(site, Span::new(start..out.len()));

            spelled.truncate(0);
            let spelling = tree.spelling(node);
            match self.format.spell(tree, node, scalar, &mut spelled) {
                Ok(()) => self.hints.leaf(number, scalar, spelling, spelled.expose()),
                Err(_) => self.hints.leaf(number, scalar, spelling, b""),
            }
        }
        Ok(Values {
            text: splicer.finish(),
            relocation,
            mac: self.mac.finish(),
            hints: self.hints,
            memory: self.memory,
            left_plain: has_values && !selected,
        })
    }
}

/// The scalar of a leaf that can be encrypted, and its kind.
fn scalar_of(tree: &Tree, leaf: Leaf) -> Option<(Scalar<'_>, Kind)> {
    let scalar = tree.scalar(leaf.node)?;
    Some((scalar, scalar.kind()?))
}

/// The wire form of a scalar, in `room` where it is none of the tree's own texts.
fn wire_of<'a>(scalar: &Scalar<'a>, room: &'a mut SecretWriter) -> &'a [u8] {
    match scalar {
        Scalar::Str(text) | Scalar::Comment(text) | Scalar::Time(text) => text,
        _ => {
            room.truncate(0);
            scalar.write_wire(room);
            room.expose()
        }
    }
}

fn encrypt_text(plain: &[u8], aad: &[u8], cipher: &ValueCipher, nonces: &mut Nonces) -> String {
    let mut text = Vec::new();
    cipher.encrypt(plain, aad, Kind::Str, nonces, &mut text);
    String::from_utf8(text).expect("the text form is ASCII")
}

/// The earlier hints when they say the same.
fn kept_hints(
    hints: &SecretBytes,
    memory: Option<&Memory<'_>>,
    cipher: &ValueCipher,
) -> Option<String> {
    let text = memory?.file.metadata.hints.as_ref()?;
    let earlier = Hints::open_raw(text, cipher)?;
    (earlier == *hints).then(|| text.clone())
}

/// The text with its values encrypted, and what is needed to put the block into it.
struct Assembly<'a> {
    format: &'static dyn Format,
    prepared: &'a Prepared,
    values: SecretBytes,
    relocation: Relocation,
    memory: Option<&'a Memory<'a>>,
    layout: Layout,
}

impl Assembly<'_> {
    fn with_block(&mut self, metadata: &Metadata) -> Result<SecretBytes, EncryptError> {
        let edits = match self.carried(metadata)? {
            Some(edits) => edits,
            None => self.fresh(&metadata.to_data())?,
        };
        let moved: Vec<Edit> = edits
            .into_iter()
            .map(|edit| Edit {
                span: self.relocation.span(edit.span),
                text: edit.text,
            })
            .collect();
        let end = self.values.len();
        let is_behind = |edit: &Edit| edit.span.start as usize == end;
        if self.memory.is_none() && moved.iter().all(is_behind) {
            // The values are not needed again, and a block at the end needs no copy of them.
            let mut text = SecretWriter::from(std::mem::take(&mut self.values));
            moved.iter().for_each(|edit| text.push(edit.text.expose()));
            return Ok(text.finish());
        }
        Ok(apply(self.values.expose(), &moved))
    }

    fn fresh(&self, block: &Data) -> Result<Vec<Edit>, EncryptError> {
        self.format
            .write_block(&self.prepared.tree, block, self.layout)
            .map_err(EncryptError::Block)
    }

    /// The block of the earlier version with only those fields rewritten that changed, to stand where a new one would.
    /// `None` when it does not fit there: the surroundings differ.
    fn carried(&self, metadata: &Metadata) -> Result<Option<Vec<Edit>>, EncryptError> {
        let Some(memory) = self.memory else {
            return Ok(None);
        };
        let Encrypted {
            tree,
            metadata: was,
            format,
        } = memory.file;
        let Some(insertions) = &memory.insertions else {
            return Ok(None);
        };
        let old = &tree.blocks[0].data;
        let here = self
            .format
            .write_block(&self.prepared.tree, old, Layout::default())
            .map_err(EncryptError::Block)?;
        let fits = format.name() == self.format.name()
            && here.len() == insertions.len()
            && here.len() == tree.blocks.len()
            && tree.blocks.iter().all(|block| block.label.is_empty())
            && here.iter().zip(insertions).all(|(here, there)| {
                here.span.is_empty() && there.span.is_empty() && here.text == there.text
            });
        if !fits {
            return Ok(None);
        }
        let data = metadata.to_data_over(old, was);
        let changes = format
            .write_block(tree, &data, self.layout)
            .map_err(EncryptError::Block)?;
        let mut changes = changes.into_iter().peekable();
        let mut edits = Vec::new();
        for (Block { cut, .. }, here) in tree.blocks.iter().zip(here) {
            let text = &tree.text.expose()[cut.range()];
            let mut splicer = Splicer::new(text, text.len() + 256);
            while let Some(change) = changes.peek()
                && change.span.end <= cut.end
            {
                if change.span.start < cut.start {
                    return Ok(None);
                }
                let inside = Span {
                    start: change.span.start - cut.start,
                    end: change.span.end - cut.start,
                };
                splicer.replace(inside).push(change.text.expose());
                changes.next();
            }
            edits.push(Edit {
                span: here.span,
                text: splicer.finish(),
            });
        }
        Ok(changes.peek().is_none().then_some(edits))
    }
}

//! From an encrypted document to a plain one.

use sealwright_crypto::cipher::{CipherError, Kind, ValueCipher, looks_encrypted};
use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::mac::Mac;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::ahead::Ahead;
use super::error::{DecryptError, Place, Warning};
use super::memory::Memory;
use super::relocation::Relocation;
use super::settle::{NEW_PLACE, drop_nodes, settle};
use super::walk::{KeyIsNotText, Leaf, Walk};
use super::{Document, Encrypted, Unverified};
use crate::error::EmitError;
use crate::presentation::Hints;
use crate::scalar::Scalar;
use crate::selection::Selector;
use crate::splice::Splicer;
use crate::tree::{Node, NodeId, Span, Text, Tree, Value};

/// A decrypted document.
pub struct Decrypted {
    /// The document.
    pub document: Document,
    /// What was odd about the file.
    pub warnings: Vec<Warning>,
}

/// Decrypts a document; it comes out only when its MAC agrees.
pub fn decrypt(file: &Encrypted, key: &DataKey) -> Result<Decrypted, DecryptError> {
    let (decrypted, mac) = open(file, key, None)?;
    mac?;
    Ok(decrypted)
}

/// Decrypts a document to change it, and remembers what is needed to encrypt it again quietly.
pub fn decrypt_to_edit<'a>(
    file: &'a Encrypted,
    key: &DataKey,
) -> Result<(Decrypted, Memory<'a>), DecryptError> {
    let mut memory = Memory::new(file);
    let (decrypted, mac) = open(file, key, Some(&mut memory))?;
    mac?;
    Ok((decrypted, memory))
}

/// Decrypts a document whatever its MAC says.
pub fn decrypt_unverified(
    file: &Encrypted,
    key: &DataKey,
) -> Result<Unverified<Decrypted>, DecryptError> {
    let (inner, mac) = open(file, key, None)?;
    Ok(Unverified { inner, mac })
}

type Opened = (Decrypted, Result<(), DecryptError>);

fn open(
    file: &Encrypted,
    key: &DataKey,
    memory: Option<&mut Memory<'_>>,
) -> Result<Opened, DecryptError> {
    let cipher = ValueCipher::new(key);
    let mut warnings = Vec::new();
    let hints = match &file.metadata.hints {
        Some(text) => {
            let hints = Hints::open(text, &cipher, &file.tree);
            if hints.is_none() {
                warnings.push(Warning::HintsLeft);
            }
            hints
        }
        None => None,
    };
    let mut work = Work::new(file, &cipher, hints.as_ref(), memory);
    work.run()?;
    warnings.append(&mut work.warnings);
    warnings.extend(work.kept.rest().map(Warning::CommentsKept));
    warnings.extend(work.looks_encrypted.rest().map(Warning::LookEncrypted));
    let mac = work.check_mac();
    let Work {
        splicer,
        mut decoded,
        mut relocation,
        mut nodes,
        dropped,
        moved_comments,
        memory,
        ..
    } = work;
    settle(&mut nodes, file, &mut relocation, &mut decoded);
    let blocks = file.tree.blocks.iter();
    let cuts: Vec<u32> = blocks.map(|it| relocation.offset(it.cut.start)).collect();
    let mut tree = Tree {
        text: splicer.finish(),
        decoded: decoded.finish(),
        nodes,
        documents: file.tree.documents.clone(),
        blocks: Vec::new(),
        attachments: file.tree.attachments.clone(),
        hidden: Vec::new(),
    };
    drop_nodes(&mut tree, &dropped);
    if moved_comments {
        // A comment may belong to another collection than the element that it was, so the text is asked again.
        tree = file.format.complete(tree);
        let read = file.format.parse(SecretBytes::copy_of(tree.text.expose()));
        tree = read.map_err(|_| {
            let reason = "the comments of this list cannot be written";
            EmitError::new(String::new(), reason)
        })?;
    }
    if let Some(memory) = memory {
        memory.note_insertions(&tree, (!moved_comments).then_some(&cuts[..]));
    }
    if let Some(hints) = hints
        && hints.is_about_layout()
    {
        match hints.restore_layout(file.format, &tree) {
            Some(restored) => tree = restored,
            None => {
                warnings.push(Warning::HintsLeft);
                tree = file.format.complete(tree);
            }
        }
    } else {
        tree = file.format.complete(tree);
    }
    let document = Document {
        format: file.format,
        tree,
    };
    Ok((Decrypted { document, warnings }, mac))
}

/// How many warnings of a kind name a place. To find one takes a look at all that stands before it, and no one reads more.
const MOST_PLACES: usize = 100;

/// How many warnings of a kind there are.
#[derive(Default)]
struct Count(usize);

impl Count {
    /// Counts one more. Returns true if it names its place.
    fn names(&mut self) -> bool {
        self.0 += 1;
        self.0 <= MOST_PLACES
    }

    /// How many do not name their place, if there are any.
    fn rest(&self) -> Option<usize> {
        self.0.checked_sub(MOST_PLACES).filter(|rest| *rest > 0)
    }
}

/// Values that another thread opens.
type Opening = Ahead<Result<Kind, CipherError>>;

struct Work<'w, 'm> {
    file: &'w Encrypted,
    cipher: &'w ValueCipher,
    hints: Option<&'w Hints>,
    memory: Option<&'w mut Memory<'m>>,
    mac: Mac,
    splicer: Splicer<'w>,
    /// Decrypted contents, behind what the encrypted tree had decoded.
    decoded: SecretWriter,
    relocation: Relocation,
    nodes: Vec<Node>,
    /// Nodes whose new site is known already.
    dropped: Vec<NodeId>,
    /// Whether an element of a list became a comment.
    moved_comments: bool,
    /// The blocks, to be cut.
    cuts: Vec<Span>,
    next_cut: usize,
    leaf: u32,
    search: Search,
    wire: SecretWriter,
    spelled: SecretWriter,
    warnings: Vec<Warning>,
    /// Comments that did not open.
    kept: Count,
    /// Values that the rule leaves plain and that look encrypted.
    looks_encrypted: Count,
}

impl<'w, 'm> Work<'w, 'm> {
    fn new(
        file: &'w Encrypted,
        cipher: &'w ValueCipher,
        hints: Option<&'w Hints>,
        memory: Option<&'w mut Memory<'m>>,
    ) -> Self {
        let tree = &file.tree;
        let text = tree.text.expose();
        let mut decoded = SecretWriter::with_capacity(tree.decoded.len() + text.len() / 4 + 64);
        decoded.push(tree.decoded.expose());
        Self {
            file,
            cipher,
            hints,
            memory,
            mac: Mac::new(file.metadata.mac_only_encrypted),
            splicer: Splicer::new(text, text.len() / 2 + 64),
            decoded,
            relocation: Relocation::with_capacity(tree.nodes.len()),
            nodes: tree.nodes.clone(),
            dropped: Vec::new(),
            moved_comments: false,
            cuts: tree
                .blocks
                .iter()
                .flat_map(|block| {
                    [
                        Some(block.label).filter(|it| !it.is_empty()),
                        Some(block.cut),
                    ]
                })
                .flatten()
                .collect(),
            next_cut: 0,
            leaf: 0,
            search: Search::in_file(text.len()),
            wire: SecretWriter::with_capacity(64),
            spelled: SecretWriter::with_capacity(64),
            warnings: Vec::new(),
            kept: Count::default(),
            looks_encrypted: Count::default(),
        }
    }

    fn run(&mut self) -> Result<(), DecryptError> {
        let (file, cipher) = (self.file, self.cipher);
        let selector = file.metadata.selection().compile_leniently();
        std::thread::scope(|scope| {
            let ahead = Ahead::start(scope, &file.tree, |results| {
                let mut walk = Walk::new(&file.tree, &selector, true);
                while let Some(Ok(leaf)) = walk.next() {
                    if let Some((text, _)) = stored(file, leaf) {
                        results.add(leaf.node, |out| cipher.decrypt(text, walk.aad(), out))?;
                    }
                }
                Ok(())
            });
            self.put_in_place(&selector, ahead)
        })
    }

    /// Takes `ahead` over: when this thread stops early, the other one ends with it.
    fn put_in_place(
        &mut self,
        selector: &Selector,
        mut ahead: Option<Opening>,
    ) -> Result<(), DecryptError> {
        let tree = &self.file.tree;
        let mut walk = Walk::new(tree, selector, true);
        while let Some(leaf) = walk.next() {
            let leaf =
                leaf.map_err(|KeyIsNotText(node)| DecryptError::Key(Place::of(tree, node)))?;
            self.leaf(leaf, &walk, ahead.as_mut())?;
            self.leaf += 1;
        }
        self.cut_blocks(u32::MAX);
        Ok(())
    }

    fn leaf(
        &mut self,
        leaf: Leaf,
        walk: &Walk<'_>,
        ahead: Option<&mut Opening>,
    ) -> Result<(), DecryptError> {
        let tree = &self.file.tree;
        let node = leaf.node;
        let scalar = tree
            .scalar(node)
            .ok_or_else(|| DecryptError::Unsupported(Place::of(tree, node)))?;
        if scalar == Scalar::Null {
            return Ok(());
        }
        if !leaf.is_secret {
            if let Scalar::Str(text) = scalar
                && looks_encrypted(text)
                && self.looks_encrypted.names()
            {
                let place = Place::of(tree, node);
                self.warnings.push(Warning::LooksEncrypted(place));
            }
            if !self.file.metadata.mac_only_encrypted && !matches!(scalar, Scalar::Comment(_)) {
                self.hash(&scalar);
            }
            return Ok(());
        }
        if !matches!(scalar, Scalar::Str(_) | Scalar::Comment(_)) {
            return Err(DecryptError::NotEncrypted(Place::of(tree, node)));
        }
        if is_null(self.file, leaf) {
            self.nodes[node].value = Value::Null;
            return Ok(());
        }
        let Some((stored, is_comment)) = stored(self.file, leaf) else {
            return Ok(());
        };
        let start = self.decoded.len();
        let mut elsewhere = None;
        let kind = match self.open_value(node, stored, walk.aad(), ahead) {
            Ok(kind) => kind,
            Err(error) if is_comment => {
                let others = match error {
                    CipherError::Refused if self.search.has_budget() => walk.other_places(node),
                    _ => Vec::new(),
                };
                let found = others.into_iter().find_map(|aad| {
                    if !self.search.pay(aad.len() + stored.len()) {
                        return None;
                    }
                    let kind = self.cipher.decrypt(stored, &aad, &mut self.decoded).ok();
                    Some((kind?, aad))
                });
                match found {
                    Some((kind, aad)) => {
                        elsewhere = Some(aad);
                        kind
                    }
                    None => {
                        if self.kept.names() {
                            let place = Place::of(tree, node);
                            self.warnings.push(Warning::CommentKept(place));
                        }
                        return Ok(());
                    }
                }
            }
            Err(source) => {
                return Err(DecryptError::Value {
                    place: Place::of(tree, node),
                    source,
                });
            }
        };
        let content = Text::Decoded(Span::new(start..self.decoded.len()));
        let kind = if is_comment { Kind::Comment } else { kind };
        // The decoded buffer must not move while the scalar borrows it, so it is taken out meanwhile.
        let decoded = std::mem::take(&mut self.decoded);
        let done = self.decrypted(
            leaf,
            kind,
            &decoded.expose()[start..],
            content,
            elsewhere.as_deref().unwrap_or(walk.aad()),
        );
        self.decoded = decoded;
        done
    }

    /// Opens a value into the decoded ones, or takes it from those that are open already.
    fn open_value(
        &mut self,
        node: NodeId,
        stored: &[u8],
        aad: &[u8],
        ahead: Option<&mut Opening>,
    ) -> Result<Kind, CipherError> {
        match ahead.and_then(|ahead| ahead.take(node)) {
            Some((opened, plain)) => {
                self.decoded.push(plain);
                opened
            }
            None => self.cipher.decrypt(stored, aad, &mut self.decoded),
        }
    }

    /// Hashes, spells and notes a decrypted value.
    fn decrypted(
        &mut self,
        leaf: Leaf,
        kind: Kind,
        plain: &[u8],
        content: Text,
        aad: &[u8],
    ) -> Result<(), DecryptError> {
        let (tree, format) = (&self.file.tree, self.file.format);
        let node = leaf.node;
        let scalar = Scalar::read_wire(kind, plain).map_err(|source| DecryptError::Kind {
            place: Place::of(tree, node),
            source,
        })?;
        let was_comment = matches!(tree.nodes[node].value, Value::Comment { .. });
        if kind != Kind::Comment {
            self.hash(&scalar);
        }
        if self.memory.is_some() {
            self.wire.truncate(0);
            scalar.write_wire(&mut self.wire);
            if let Some(memory) = &mut self.memory {
                memory.remember(aad, &scalar, self.wire.expose(), node);
            }
        }
        if kind == Kind::Comment && !was_comment && leaf.in_list {
            return self.list_comment(node, plain, content);
        }
        // A comment is never the value of a key; its text is kept.
        let scalar = match scalar {
            Scalar::Comment(text) if !was_comment => Scalar::Str(text),
            other => other,
        };
        let site = tree.nodes[node].site;
        self.cut_blocks(site.start);
        let hinted = self.hints.is_some_and(|hints| {
            self.spelled.truncate(0);
            hints.spelling(self.leaf, format, tree, node, scalar, &mut self.spelled)
        });
        let start = self.splicer.position_of(site.start);
        let out = self.splicer.replace(site);
        if hinted {
            out.push(self.spelled.expose());
        } else {
            format.spell(tree, node, scalar, out).map_err(|mut error| {
                error.path = tree.path(node);
                error
            })?;
        }
        let new = Span::new(start..out.len());
        self.relocation.push(site, new);
        self.nodes[node].value = match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Int(value),
            Scalar::Float(value) => Value::Float(value),
            Scalar::Time(_) => Value::Time(content),
            Scalar::Str(_) => Value::Str(content),
            Scalar::Comment(_) => match tree.nodes[node].value {
                Value::Comment { inline, above, .. } => Value::Comment {
                    text: content,
                    inline,
                    above,
                },
                _ => Value::Str(content),
            },
        };
        Ok(())
    }

    /// Puts a comment where the reference had written a list element for it.
    fn list_comment(
        &mut self,
        node: NodeId,
        plain: &[u8],
        content: Text,
    ) -> Result<(), DecryptError> {
        let (tree, format) = (&self.file.tree, self.file.format);
        let done = self.splicer.copied();
        let edit = format.spell_list_comment(tree, node, plain, done)?;
        // Neighbours that go both would cut the separator between them twice.
        let span = Span {
            start: edit.span.start.max(done),
            end: edit.span.end.max(done),
        };
        self.cut_blocks(span.start);
        let start = self.splicer.position_of(span.start);
        let out = self.splicer.replace(span);
        out.push(edit.text.expose());
        self.relocation.push(span, Span::new(start..out.len()));
        if edit.text.is_empty() {
            self.dropped.push(node);
            return Ok(());
        }
        self.moved_comments = true;
        self.nodes[node].value = Value::Comment {
            text: content,
            inline: false,
            above: 0,
        };
        let inside = memchr::memmem::rfind(edit.text.expose(), plain).unwrap_or(0);
        let site = start + inside..start + inside + plain.len();
        self.nodes[node].site = Span::new(site);
        self.nodes[node].place = NEW_PLACE;
        Ok(())
    }

    fn hash(&mut self, scalar: &Scalar<'_>) {
        match scalar {
            Scalar::Str(text) | Scalar::Time(text) => self.mac.update(text),
            _ => {
                self.wire.truncate(0);
                scalar.write_wire(&mut self.wire);
                self.mac.update(self.wire.expose());
            }
        }
    }

    /// Cuts the blocks that lie before an offset.
    fn cut_blocks(&mut self, before: u32) {
        while let Some(cut) = self.cuts.get(self.next_cut)
            && cut.start < before
        {
            let at = self.splicer.position_of(cut.start);
            self.splicer.replace(*cut);
            self.relocation.push(*cut, Span::new(at..at));
            self.next_cut += 1;
        }
    }

    fn check_mac(&mut self) -> Result<(), DecryptError> {
        let metadata = &self.file.metadata;
        let mac = std::mem::replace(&mut self.mac, Mac::new(false)).finish();
        if let Some(memory) = &mut self.memory {
            memory.mac = SecretBytes::copy_of(mac.expose());
        }
        if metadata.mac.is_empty() {
            return Err(DecryptError::NoMac);
        }
        let mut stored = SecretWriter::with_capacity(160);
        let aad = metadata.last_modified.as_str().as_bytes();
        self.cipher
            .decrypt(metadata.mac.as_bytes(), aad, &mut stored)
            .map_err(DecryptError::Mac)?;
        if mac.agrees_with(stored.expose()) {
            Ok(())
        } else {
            Err(DecryptError::MacMismatch)
        }
    }
}

/// What the search for the places of comments may still cost, in bytes that are authenticated. Without an end, a small
/// file of many levels and comments would keep a processor busy for minutes.
struct Search {
    left: usize,
}

impl Search {
    /// The budget of a file: what a comment in each of its lines needs when it is one level off, and more.
    fn in_file(len: usize) -> Self {
        Self {
            left: (1 << 20) + len.saturating_mul(16),
        }
    }

    fn has_budget(&self) -> bool {
        self.left > 0
    }

    /// Takes the cost of one attempt; false when the budget does not cover it, and then nothing more is tried.
    fn pay(&mut self, bytes: usize) -> bool {
        const EACH: usize = 64;
        match self.left.checked_sub(bytes + EACH) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left = 0;
                false
            }
        }
    }
}

/// The text of a leaf that is to be opened, and whether it is a comment.
fn stored(file: &Encrypted, leaf: Leaf) -> Option<(&[u8], bool)> {
    let (text, is_comment) = match file.tree.scalar(leaf.node)? {
        Scalar::Str(text) => (text, false),
        Scalar::Comment(text) => (text, true),
        _ => return None,
    };
    (leaf.is_secret && !text.is_empty() && !is_null(file, leaf)).then_some((text, is_comment))
}

/// Whether a leaf that should be encrypted is what the format has for null: upstream leaves that in clear text (D12).
fn is_null(file: &Encrypted, leaf: Leaf) -> bool {
    let tree = &file.tree;
    leaf.is_secret
        && file.format.null().is_some_and(|null| {
            matches!(tree.nodes[leaf.node].value, Value::Str(_)) && tree.spelling(leaf.node) == null
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_for_comments_ends_however_many_there_are() {
        let mut search = Search::in_file(100_000);
        let mut spent = 0;
        while search.pay(20_000) {
            spent += 20_000;
        }
        assert!((1 << 20..4 << 20).contains(&spent), "{spent}");
        assert!(!search.has_budget() && !search.pay(0));
    }
}

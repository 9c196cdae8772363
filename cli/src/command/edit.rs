//! `edit`: decrypted into an editor, encrypted when it comes back.
//!
//! The plaintext lies in a private folder only ([`crate::private`]). The file itself is read once before and written once
//! after; when somebody else wrote it meanwhile, it is left alone and the edited text is offered again.

use std::path::PathBuf;

use jiff::Timestamp;
use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::envelope::{Document, Encrypted, Memory, decrypt_to_edit};
use sealwright_documents::error::ParseError;
use sealwright_documents::format::{Format, Layout};
use sealwright_documents::metadata::{Metadata, VERSION};

use super::new_keys::NewKeys;
use super::{Change, Input, KeyTexts, Output, SelectionTexts, Settings, document, encrypt, stores};
use crate::editor::Session;
use crate::error::{Error, Kind, Result};
use crate::file::Content;
use crate::terminal::Terminal;
use crate::world::World;

/// Edits a file.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) file: PathBuf,
    /// What types and rules go by.
    pub(crate) name: PathBuf,
    pub(crate) keys: KeyTexts,
    pub(crate) aws_profile: Option<String>,
    pub(crate) encryption_context: Option<String>,
    pub(crate) selection: SelectionTexts,
    pub(crate) threshold: u32,
    pub(crate) mac_only_encrypted: bool,
    /// Show the `sops` block too.
    pub(crate) show_master_keys: bool,
    pub(crate) ignore_mac: bool,
    pub(crate) settings: Settings,
}

impl Edit {
    /// Does it.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let stores = stores::load(world, &self.settings)?;
        let input = document::input_format(&self.settings, &self.name);
        let output = document::output_format(&self.settings, &self.name);
        let layout = document::layout(&self.settings, &stores, output)?;
        if self.file.exists() {
            self.edit_existing(world, input, output, layout)
        } else {
            self.edit_new(world, output, layout)
        }
    }

    fn edit_existing(
        &self,
        world: &World,
        input: &'static dyn Format,
        output: &'static dyn Format,
        layout: Layout,
    ) -> Result<()> {
        let from = Input::File(self.file.clone());
        let mut original = document::read(&from, false)?;
        let file = document::parse_encrypted(input, original.take_bytes())?;
        let key = document::key_to_decrypt(world, &self.settings, &from, &file)?;
        let (plain, memory) = self.decrypt(world, &file, &key)?;
        let memory = (input.name() == output.name()).then_some(memory).flatten();
        let mut metadata = file.metadata().clone();
        raise_version(&mut metadata)?;
        let plain = encrypt::in_format(plain, output, layout)?;
        let shown = self.shown(&plain, &metadata, output, layout)?;
        let edited = self.edit_until_good(world, &shown, output)?;
        if let Some(block) = edited.metadata {
            keep_keys(&mut metadata, block)?;
        }
        let (bytes, _) = encrypt::Writing {
            world,
            from: &from,
            now: Timestamp::now(),
            layout,
        }
        .write(edited.document, metadata, &key, memory)?;
        Change {
            from,
            to: Output::InPlace,
            original: Some(original),
            bytes: Some(bytes),
            content: Content::Encrypted,
            keys: Vec::new(),
            notes: Vec::new(),
        }
        .deliver(&world.terminal)
    }

    /// A new file begins with a sample. The data key is made first: without keys there is nothing to edit for (S112).
    fn edit_new(&self, world: &World, format: &'static dyn Format, layout: Layout) -> Result<()> {
        let now = Timestamp::now();
        let recipe = NewKeys {
            name: &self.name,
            keys: &self.keys,
            aws_profile: self.aws_profile.as_deref(),
            encryption_context: self.encryption_context.as_deref(),
            selection: &self.selection,
            threshold: self.threshold,
            mac_only_encrypted: self.mac_only_encrypted,
            format,
            settings: &self.settings,
        }
        .resolve(world)?;
        let (metadata, key) = recipe
            .make(world, &self.settings, now)
            .map_err(|error| Error {
                kind: Kind::NoDataKey,
                text: error.text.replacen(
                    "Could not generate data key:",
                    "Error encrypting the data key with one or more master keys:",
                    1,
                ),
                ..error
            })?;
        let sample = sample(format, layout)?;
        let plain = encrypt::parse_plain(format, sample)?;
        let shown = self.shown(&plain, &metadata, format, layout)?;
        let edited = self.edit_until_good(world, &shown, format)?;
        let from = Input::File(self.file.clone());
        let (bytes, _) = encrypt::Writing {
            world,
            from: &from,
            now: Timestamp::now(),
            layout,
        }
        .write(edited.document, metadata, &key, None)?;
        Change {
            from,
            to: Output::InPlace,
            original: None,
            bytes: Some(bytes),
            content: Content::Encrypted,
            keys: Vec::new(),
            notes: Vec::new(),
        }
        .deliver(&world.terminal)
    }

    fn decrypt<'a>(
        &self,
        world: &World,
        file: &'a Encrypted,
        key: &DataKey,
    ) -> Result<(Document, Option<Memory<'a>>)> {
        if self.ignore_mac {
            return Ok((document::decrypt_with(world, file, key, true)?, None));
        }
        let (decrypted, memory) =
            decrypt_to_edit(file, key).map_err(|error| document::decrypt_error(&error))?;
        Ok((document::take(world, decrypted), Some(memory)))
    }

    /// What the editor shows: the plain text, with the block behind it when asked for.
    fn shown(
        &self,
        plain: &Document,
        metadata: &Metadata,
        format: &'static dyn Format,
        layout: Layout,
    ) -> Result<SecretBytes> {
        if !self.show_master_keys {
            return Ok(SecretBytes::copy_of(plain.text().expose()));
        }
        let edits = format
            .write_block(plain.tree(), &metadata.to_data(), layout)
            .map_err(|error| document::emit_error(&error))?;
        Ok(document::apply(plain.text(), edits))
    }

    /// Runs the editor until what it leaves can be encrypted. A person is asked before it opens again; when nobody is
    /// there, the edit is given up (D4).
    fn edit_until_good(
        &self,
        world: &World,
        shown: &SecretBytes,
        format: &'static dyn Format,
    ) -> Result<Good> {
        let mut session = Session::open(&world.terminal, &self.file, shown)?;
        let mut line = None;
        loop {
            let edited = session.run(&world.terminal, line)?;
            if edited.text == *shown {
                let mut unchanged = Error::new(Kind::Unchanged, "File has not changed, exiting.");
                if edited.returned_at_once
                    && let Some(hint) = session.waiting_hint()
                {
                    unchanged = unchanged.hint(hint);
                }
                return Err(unchanged);
            }
            match self.judge(edited.text, format) {
                Ok(good) => return Ok(good),
                Err(bad) => {
                    line = bad.line;
                    ask_again(&world.terminal, &bad)?;
                }
            }
        }
    }

    /// Whether an edited text can be encrypted.
    fn judge(
        &self,
        text: SecretBytes,
        format: &'static dyn Format,
    ) -> std::result::Result<Good, Bad> {
        let metadata = if self.show_master_keys {
            let tree = format
                .parse(SecretBytes::copy_of(text.expose()))
                .map_err(Bad::from)?;
            let block = tree.blocks.first().ok_or_else(|| Bad {
                line: None,
                reason: "the sops block is gone".into(),
            })?;
            let metadata = Metadata::from_data(&block.data).map_err(|error| Bad {
                line: None,
                reason: error.to_string(),
            })?;
            Some((metadata, cut_blocks(&tree)))
        } else {
            None
        };
        let (metadata, text) = match metadata {
            Some((metadata, text)) => (Some(metadata), text),
            None => (None, text),
        };
        let document = Document::parse(format, text).map_err(Bad::from)?;
        if let Some((node, key)) = document.reserved_key() {
            let site = document.tree().nodes[node].site;
            return Err(Bad {
                line: Some(document.tree().position(site.start).0),
                reason: format!("the top-level key {key:?} is reserved for encrypted files"),
            });
        }
        Ok(Good { document, metadata })
    }
}

/// An edited text that can be encrypted.
struct Good {
    document: Document,
    metadata: Option<Metadata>,
}

/// What is wrong with an edited text.
struct Bad {
    line: Option<usize>,
    reason: String,
}

impl From<ParseError> for Bad {
    fn from(error: ParseError) -> Self {
        Self {
            line: Some(error.line),
            reason: error.to_string(),
        }
    }
}

fn ask_again(terminal: &Terminal, bad: &Bad) -> Result<()> {
    terminal.tell(&format!(
        "{}: {}",
        terminal.paint("31", "The edited text cannot be encrypted"),
        bad.reason
    ));
    terminal
        .tell("Press Enter to edit it again, or Ctrl+C to give up and leave the file as it is.");
    match terminal.ask_line("") {
        Some(_) => Ok(()),
        None => Err(Error::generic(format!(
            "the edited text cannot be encrypted and nobody is there to correct it: {}",
            bad.reason
        ))),
    }
}

/// The text without its `sops` blocks.
fn cut_blocks(tree: &sealwright_documents::tree::Tree) -> SecretBytes {
    let edits = tree
        .blocks
        .iter()
        .map(|block| sealwright_documents::splice::Edit {
            span: block.cut,
            text: SecretBytes::default(),
        })
        .collect();
    document::apply(&tree.text, edits)
}

/// Takes over what a person may change in the block: the keys that stay, the threshold, the selection (D3). A new key
/// would have nothing wrapped.
fn keep_keys(metadata: &mut Metadata, edited: Metadata) -> Result<()> {
    for entry in edited.groups.iter().flatten() {
        let known = metadata.groups.iter().flatten().any(|old| old == entry);
        if !known {
            return Err(Error::generic(format!(
                "the key {} cannot be added or changed by hand: it would not hold the data key",
                entry.key.identity()
            ))
            .hint("add keys with rotate --add-… or updatekeys"));
        }
    }
    if edited.groups.len() != metadata.groups.len() || edited.groups.iter().any(Vec::is_empty) {
        return Err(Error::generic(
            "key groups cannot be added or removed by hand: use `groups`",
        ));
    }
    metadata.groups = edited.groups;
    metadata.selection = edited.selection;
    metadata.mac_only_encrypted = edited.mac_only_encrypted;
    Ok(())
}

/// A file that an older program wrote gets our version (T40).
fn raise_version(metadata: &mut Metadata) -> Result<()> {
    let version = metadata
        .version()
        .map_err(|error| Error::new(Kind::Version, error.to_string()))?;
    if version.is_older_than_ours() {
        metadata.version = VERSION.to_owned();
    }
    Ok(())
}

/// What a new file shows.
fn sample(format: &'static dyn Format, layout: Layout) -> Result<SecretBytes> {
    let key = |name: &str| SecretBytes::copy_of(name.as_bytes());
    let comment = |text: &str| {
        (
            SecretBytes::default(),
            Data::Comment {
                text: SecretBytes::copy_of(text.as_bytes()),
                inline: false,
            },
        )
    };
    let hello = || {
        (
            key("hello"),
            Data::str("Welcome! Edit this file as you please."),
        )
    };
    let example = || (key("example_key"), Data::str("example_value"));
    let list = |values: Vec<Data>| Data::List(values);
    let content = match format.name() {
        "binary" => {
            return Ok(SecretBytes::copy_of(
                b"Welcome! Edit this file as you please.",
            ));
        }
        "dotenv" => Data::Map(vec![
            comment(" An example comment"),
            hello(),
            example(),
            (
                key("example_multiline"),
                Data::str("this is a\nmulti-line\nvalue"),
            ),
        ]),
        "ini" => Data::Map(vec![(
            key("Welcome!"),
            Data::Map(vec![comment(" An example comment"), hello(), example()]),
        )]),
        _ => {
            let mut entries = vec![hello(), example()];
            if format.name() == "yaml" {
                entries.push(comment(" An example comment"));
            }
            entries.push((
                key("example_array"),
                list(vec![
                    Data::str("example_value1"),
                    Data::str("example_value2"),
                ]),
            ));
            entries.push((key("example_number"), Data::Float(1_234.567_89)));
            entries.push((
                key("example_booleans"),
                list(vec![Data::Bool(true), Data::Bool(false)]),
            ));
            Data::Map(entries)
        }
    };
    format
        .render(&[content], layout)
        .map_err(|error| document::emit_error(&error))
}

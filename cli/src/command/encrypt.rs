//! `encrypt`: from a plain document to an encrypted one.

use std::path::PathBuf;

use jiff::Timestamp;
use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Document, EncryptError, Memory, encrypt};
use sealwright_documents::format::{Format, Layout};
use sealwright_documents::metadata::Metadata;
use sealwright_documents::selection::SelectionRule;

use super::found::is_sealed;
use super::new_keys::{NewKeys, Recipe};
use super::{Change, Input, KeyTexts, Output, SelectionTexts, Settings, conflict, document};
use crate::audit::Action;
use crate::config::Config;
use crate::error::{Error, Fault, Kind, Result};
use crate::file::{Content, Original};
use crate::world::World;

/// Encrypts a document.
#[derive(Debug)]
pub(crate) struct Encrypt {
    pub(crate) from: Input,
    pub(crate) to: Output,
    /// What types and rules go by.
    pub(crate) name: PathBuf,
    pub(crate) keys: KeyTexts,
    pub(crate) selection: SelectionTexts,
    pub(crate) threshold: u32,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) settings: Settings,
}

impl Encrypt {
    /// Does it and delivers the result.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        self.change(world)?.finish(&world.terminal)
    }

    /// Finds the keys and the selection, and no more.
    pub(crate) fn check(&self, world: &World) -> Result<()> {
        let input = document::input_format(&self.settings, &self.name);
        self.recipe(world, input).map(drop)
    }

    fn recipe(&self, world: &World, input: &'static dyn Format) -> Result<Recipe> {
        NewKeys {
            name: &self.name,
            keys: &self.keys,
            selection: &self.selection,
            threshold: self.threshold,
            mac_only_encrypted: self.mac_only_encrypted,
            format: input,
            settings: &self.settings,
        }
        .resolve(world)
    }

    /// Computes the result.
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        let settings = &self.settings;
        let config = world.configuration(settings)?;
        let input = document::input_format(settings, &self.name);
        let output = document::encrypted_output_format(settings, &self.name, input);
        let new_keys = self.recipe(world, input)?;
        // Keys and rules before the file, as upstream does.
        let original = document::read(&self.from, self.to == Output::InPlace)?;
        self.encrypted(
            world,
            original,
            new_keys,
            (input, output, config.as_deref()),
        )
    }

    /// Computes the result for a text that was read or made already.
    pub(crate) fn change_of(self, world: &World, original: Original) -> Result<Change> {
        let settings = &self.settings;
        let config = world.configuration(settings)?;
        let input = document::input_format(settings, &self.name);
        let output = document::encrypted_output_format(settings, &self.name, input);
        let new_keys = self.recipe(world, input)?;
        self.encrypted(
            world,
            original,
            new_keys,
            (input, output, config.as_deref()),
        )
    }

    fn encrypted(
        self,
        world: &World,
        mut original: Original,
        new_keys: Recipe,
        (input, output, config): (&'static dyn Format, &'static dyn Format, Option<&Config>),
    ) -> Result<Change> {
        let settings = &self.settings;
        let layout = document::encrypted_layout(settings, config, &self.name)?;
        let plain = parse_plain(input, original.take_bytes())?;
        refuse_encrypted(&plain)?;
        let plain = in_format(plain, output, layout)?;
        let now = Timestamp::now();
        let (metadata, key) = new_keys.make(world, settings, now)?;
        let keys = super::key_names(&metadata);
        let writing = Writing {
            world,
            from: &self.from,
            now,
            layout,
        };
        let written = writing.write(plain, metadata, &key, None)?;
        Ok(Change {
            from: self.from,
            to: self.to,
            original: Some(original),
            bytes: Some(written.bytes),
            content: Content::Encrypted,
            keys,
            notes: Vec::new(),
            warnings: written.warnings,
        })
    }
}

/// Reads a plain text.
pub(crate) fn parse_plain(format: &'static dyn Format, text: SecretBytes) -> Result<Document> {
    if format.name() != "binary"
        && let Some(line) = conflict::unresolved(text.expose())
    {
        return Err(Error::of(Fault::ParsePlain(format.name()))
            .because(format!("line {line}: an unresolved merge conflict")));
    }
    Document::parse(format, text).map_err(|error| {
        if error.empty {
            Error::of(Fault::Empty)
        } else {
            Error::of(Fault::ParsePlain(format.name())).because(error)
        }
    })
}

/// Refuses a document that has the key of the `sops` block (S80).
pub(crate) fn refuse_encrypted(document: &Document) -> Result<()> {
    match document.reserved_key() {
        None => Ok(()),
        Some((_, key)) => Err(Error::of(Fault::Reserved(key))),
    }
}

/// Refuses a manifest whose Secrets are sealed: it is safe to commit as it is.
pub(crate) fn refuse_sealed(from: &Input, settings: &Settings) -> Result<()> {
    match from {
        Input::File(path) if is_sealed(path, settings) => Err(Error::new(
            Kind::AlreadyEncrypted,
            format!(
                "{} holds SealedSecrets, which are safe to commit as they are",
                crate::visible::shown(path)
            ),
        )),
        _ => Ok(()),
    }
}

/// A plain document in another format. Its keys are checked first, as upstream does, and nothing of it is left out.
pub(crate) fn in_format(
    document: Document,
    format: &'static dyn Format,
    layout: Layout,
) -> Result<Document> {
    if document.format().name() == format.name() {
        return Ok(document);
    }
    let tree = document.tree();
    let root = tree.documents.first().map_or(0, |root| *root as usize);
    let reserved = tree
        .children(root)
        .filter_map(|child| tree.key(child))
        .find(|key| format.reserves(key))
        .map(|key| String::from_utf8_lossy(key).into_owned());
    if let Some(key) = reserved {
        return Err(Error::of(Fault::Reserved(key)));
    }
    let has_more = tree.children(root).count() > 1;
    let text = document::text_in(document, format, layout)?;
    if has_more && format.name() == "binary" {
        let reason = "a binary file has a single value, and the document has more than its data";
        return Err(Error::of(Fault::Emit).because(reason));
    }
    parse_plain(format, text)
}

/// The circumstances in which a document is encrypted.
pub(crate) struct Writing<'a> {
    pub(crate) world: &'a World,
    /// Where the document came from, for the record.
    pub(crate) from: &'a Input,
    pub(crate) now: Timestamp,
    pub(crate) layout: Layout,
}

impl Writing<'_> {
    /// Encrypts a document, over an earlier version of it when there is one. A rule that leaves every value in plaintext
    /// gets a warning, and an error where the run is strict: otherwise people learn of it when the secret is public.
    pub(crate) fn write(
        &self,
        document: Document,
        metadata: Metadata,
        key: &DataKey,
        memory: Option<Memory<'_>>,
    ) -> Result<Written> {
        let rule = metadata.selection();
        self.world.record(Action::Encrypt, self.from)?;
        let written =
            encrypt(document, metadata, key, memory, self.now, self.layout).map_err(|error| {
                match &error {
                    EncryptError::AlreadyEncrypted { key, .. } => {
                        Error::of(Fault::Reserved(key.clone()))
                    }
                    EncryptError::Rule(_) => Error::generic(error.to_string()),
                    EncryptError::Block(error) => document::emit_error(error),
                    _ => Error::of(Fault::Encrypt).because(error.to_string()),
                }
            })?;
        let mut warnings = Vec::new();
        if written.left_plain {
            let text = left_plain(self.from, &rule);
            if self.world.strict {
                return Err(
                    Error::new(Kind::LeftPlain, format!("{text}; nothing was written"))
                        .hint("correct the selection rule, or leave out --strict"),
                );
            }
            warnings.push(text);
        }
        Ok(Written {
            bytes: written.text,
            changed: written.changed,
            warnings,
        })
    }
}

/// An encrypted document.
pub(crate) struct Written {
    pub(crate) bytes: SecretBytes,
    /// Whether it differs from the earlier version.
    pub(crate) changed: bool,
    /// What is wrong with it.
    pub(crate) warnings: Vec<String>,
}

/// Says that a rule selects nothing.
fn left_plain(from: &Input, rule: &SelectionRule) -> String {
    let place = match from {
        Input::File(path) => crate::visible::shown(path),
        Input::Stdin => "standard input".to_owned(),
    };
    format!(
        "{place}: no value is encrypted: {} {:?} leaves all of them in plaintext",
        rule.field(),
        rule.text()
    )
}

//! `decrypt`, and `get`, which is a decryption of one value.

use std::path::PathBuf;

use sealwright_documents::format::Step;

use super::{Change, Input, Output, Settings, document};
use crate::config::Config;
use crate::error::Result;
use crate::file::{Content, Original};
use crate::world::World;

/// Decrypts a document.
#[derive(Debug)]
pub(crate) struct Decrypt {
    pub(crate) from: Input,
    pub(crate) to: Output,
    /// What types and rules go by.
    pub(crate) name: PathBuf,
    /// Only the value there; empty for the whole document.
    pub(crate) extract: Vec<Step>,
    /// The value that is extracted as JSON, whatever it is.
    pub(crate) as_json: bool,
    pub(crate) ignore_mac: bool,
    /// Whether a format of one document gets the first of several, as upstream does, instead of an error.
    pub(crate) first_of_several: bool,
    pub(crate) settings: Settings,
}

impl Decrypt {
    /// Does it and delivers the result.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        self.change(world)?.finish(&world.terminal)
    }

    /// Computes the result. In place, a file that is not encrypted is an error as everywhere.
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        let config = world.configuration(&self.settings)?;
        let original = document::read(&self.from, self.to == Output::InPlace)?;
        self.decrypted(world, original, config.as_deref())
    }

    /// Computes the result for a text that was read already.
    pub(crate) fn change_of(self, world: &World, original: Original) -> Result<Change> {
        let config = world.configuration(&self.settings)?;
        self.decrypted(world, original, config.as_deref())
    }

    fn decrypted(
        self,
        world: &World,
        mut original: Original,
        config: Option<&Config>,
    ) -> Result<Change> {
        let settings = &self.settings;
        let input = document::input_format(settings, &self.name);
        let output = document::output_format(settings, &self.name);
        let text = original.take_bytes();
        let file = document::parse_encrypted(input, text)?;
        // Before a key is used, so that a wrong order costs no one a touch.
        let key = document::key_to_decrypt(world, settings, &self.from, &file)?;
        let plain = document::decrypt_with(world, &file, &key, self.ignore_mac)?;
        let layout = document::layout(settings, config, output)?;
        let bytes = if self.as_json {
            document::extract_json(plain.tree(), &self.extract)?
        } else if !self.extract.is_empty() {
            document::extract(plain.tree(), &self.extract, output, layout)?
        } else if self.first_of_several {
            document::text_as_upstream(world, settings, plain, output, layout)?
        } else {
            document::text_in(plain, output, layout)?
        };
        Ok(Change {
            from: self.from,
            to: self.to,
            original: Some(original),
            bytes: Some(bytes),
            content: Content::Plain,
            keys: super::key_names(file.metadata()),
            notes: Vec::new(),
            warnings: Vec::new(),
        })
    }
}

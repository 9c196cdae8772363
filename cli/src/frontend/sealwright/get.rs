//! `sealwright get`, as clap reads it.

use std::path::PathBuf;

use clap::Args;
use sealwright_documents::data::Data;

use super::everywhere::Everywhere;
use super::files::Formats;
use super::sealed::SealedOptions;
use super::value_path;
use crate::command::seal::SealedFile;
use crate::command::{self, Input, Output, absolute};
use crate::command::{document, found};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Print one value of an encrypted file, or of a SealedSecret.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sealwright get app.yaml db.password\n  \
    sealwright get app.yaml '[\"a.b\"][0]'")]
pub(super) struct Get {
    /// The file.
    file: PathBuf,
    #[arg(help = value_path::HELP)]
    path: String,
    #[command(flatten)]
    formats: Formats,
    #[command(flatten)]
    sealed: SealedOptions,
}

impl Get {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        Some(self.file.clone())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        if found::is_sealed(&self.file, &everywhere.settings()) {
            let keys = self.sealed.keys(world, everywhere)?;
            let value = SealedFile::open(&absolute(&self.file)?)?.get(&self.path, &keys)?;
            return match everywhere.json() {
                true => world
                    .terminal
                    .out(document::value_json(Data::Str(value))?.expose()),
                false => world.terminal.out(value.expose()),
            };
        }
        let from = match self.file.as_os_str() == "-" {
            true => Input::Stdin,
            false => Input::File(absolute(&self.file)?),
        };
        let name = match &from {
            Input::File(file) => file.clone(),
            Input::Stdin => PathBuf::new(),
        };
        let mut settings = self.formats.settings(everywhere);
        if everywhere.json() {
            settings.output_type = Some("json");
        }
        let change = command::Decrypt {
            from,
            to: Output::Stdout,
            name,
            extract: value_path::read(&self.path).map_err(|reason| {
                Error::new(Kind::ExtractPath, format!("cannot read the path: {reason}"))
            })?,
            as_json: everywhere.json(),
            ignore_mac: false,
            first_of_several: false,
            settings,
        }
        .change(world)?;
        change.finish(&world.terminal)
    }
}

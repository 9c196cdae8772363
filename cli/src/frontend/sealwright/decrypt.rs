//! `sealwright decrypt`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::files::{Files, Formats};
use super::words;
use crate::command;
use crate::command::found::Wanted;
use crate::error::Result;
use crate::world::World;

/// Decrypt files, or standard input.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sealwright decrypt app.yaml\n  \
    sealwright decrypt --output-type json app.yaml | jq .")]
pub(super) struct Decrypt {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    formats: Formats,
    /// Decrypt even if the MAC does not match: someone may have changed the file.
    #[arg(long)]
    ignore_mac: bool,
}

impl Decrypt {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        words::one(self.files.paths())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let settings = self.formats.settings(everywhere);
        let over = (Wanted::Encrypted, &settings);
        self.files
            .each(world, everywhere, "decrypted", over, &|from, to, name| {
                command::Decrypt {
                    from,
                    to,
                    name,
                    extract: Vec::new(),
                    as_json: false,
                    ignore_mac: self.ignore_mac,
                    first_of_several: false,
                    settings: settings.clone(),
                }
                .change(world)
            })
    }
}

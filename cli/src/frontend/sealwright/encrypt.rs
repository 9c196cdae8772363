//! `sealwright encrypt`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::files::{Files, Formats, SelectionOptions};
use super::key_options::{KeyOptions, Use};
use super::words;
use crate::command;
use crate::command::found::Wanted;
use crate::error::Result;
use crate::world::World;

/// Encrypt files, or standard input.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright encrypt --age age1… app.yaml > app.enc.yaml\n  \
    sealwright encrypt --in-place --dry-run secrets/\n  generate | sealwright encrypt --name app.env > app.env"
)]
pub(super) struct Encrypt {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    keys: KeyOptions<Use>,
    #[command(flatten)]
    selection: SelectionOptions,
    #[command(flatten)]
    formats: Formats,
}

impl Encrypt {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        words::one(self.files.paths())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let settings = self.formats.settings(everywhere);
        let over = (Wanted::Plain, &settings);
        self.files
            .each(world, everywhere, "encrypted", over, &|from, to, name| {
                command::refuse_sealed(&from, &settings)?;
                command::Encrypt {
                    from,
                    to,
                    name,
                    keys: self.keys.texts(),
                    selection: self.selection.texts(),
                    threshold: 0,
                    mac_only_encrypted: false,
                    settings: settings.clone(),
                }
                .change(world)
            })
    }
}

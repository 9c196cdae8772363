//! `sealwright unset`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::files::one_change;
use super::value_path;
use crate::command::found;
use crate::command::seal::SealedFile;
use crate::command::{self, absolute};
use crate::error::Result;
use crate::world::World;

/// Remove one value of an encrypted file, or of a SealedSecret.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sealwright unset app.yaml db.password\n  \
    sealwright unset --dry-run app.yaml '[\"db\"][\"password\"]'")]
pub(super) struct Unset {
    /// The file.
    file: PathBuf,
    #[arg(help = value_path::HELP)]
    path: String,
    /// Show what would be done, write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Unset {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        Some(self.file.clone())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let file = absolute(&self.file)?;
        if found::is_sealed(&file, &everywhere.settings()) {
            let mut sealed = SealedFile::open(&file)?;
            sealed.unset(&self.path)?;
            return one_change(world, everywhere, self.dry_run, "unset", &file, || {
                sealed.change()
            });
        }
        let unset = command::Unset {
            name: file.clone(),
            file: file.clone(),
            path: value_path::of(&self.path)?,
            idempotent: false,
            ignore_mac: false,
            settings: everywhere.settings(),
        };
        one_change(world, everywhere, self.dry_run, "unset", &file, || {
            unset.change(world)
        })
    }
}

//! `sealwright updatekeys`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::files::{Caution, Consent};
use super::words;
use crate::command::found::Wanted;
use crate::command::update_keys;
use crate::error::Result;
use crate::world::World;

/// Update the master keys of files to those in the configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright updatekeys --check .   # in CI\n  \
    sealwright updatekeys secrets/"
)]
pub(super) struct UpdateKeys {
    /// Files and folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    caution: Caution,
}

impl UpdateKeys {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        words::one(&self.paths)
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let settings = everywhere.settings();
        let over = (Wanted::Encrypted, &settings);
        self.caution
            .each(world, everywhere, "updated", &self.paths, over, &|path| {
                update_keys::change(world, path, &settings, self.consent.lockout())
            })
    }
}

//! `sealwright doctor`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use crate::command;
use crate::error::Result;
use crate::world::World;

/// Report the configuration and keys that are found, and which files they open.
///
/// Exits with 1 when something has to be done: a configuration that cannot be used, plaintext files that a rule covers, files
/// whose recipients differ from their rule, files that cannot be read. Files for other recipients are a problem only with
/// --strict.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright doctor\n  sealwright doctor secrets/\n  \
        sealwright --output json doctor --strict .   # in CI"
)]
pub(super) struct Doctor {
    /// Files and folders; by default all below the working folder.
    paths: Vec<PathBuf>,
}

impl Doctor {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Doctor {
            paths: self.paths,
            json: everywhere.json(),
            settings: everywhere.settings(),
        }
        .run(world)
    }
}

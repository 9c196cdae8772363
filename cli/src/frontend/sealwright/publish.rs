//! `sealwright publish`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use crate::command;
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Put encrypted files where the destination_rules of the configuration say: a bucket, or decrypted into Vault.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright publish --dry-run secrets/app.yaml\n  \
    sealwright publish --dry-run --recursive secrets/"
)]
pub(super) struct Publish {
    /// The encrypted files; the rules match these paths as they are typed.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Publish all files in a folder, under their paths in it.
    #[arg(long, short = 'r')]
    recursive: bool,
    /// Ask nothing.
    #[arg(long, short)]
    yes: bool,
    /// Say what would be published, and publish nothing.
    #[arg(long)]
    dry_run: bool,
    /// Leave out the ends of names, such as .yaml.
    #[arg(long)]
    omit_extensions: bool,
}

impl Publish {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let json = everywhere.json();
        if json && !self.yes && !self.dry_run {
            let text = "--output json asks nothing: give --yes or --dry-run as well";
            return Err(Error::new(Kind::Usage, text));
        }
        for typed in self.files {
            command::Publish {
                typed,
                recursive: self.recursive,
                yes: self.yes,
                dry_run: self.dry_run,
                omit_extensions: self.omit_extensions,
                json,
                settings: everywhere.settings(),
            }
            .run(world)?;
        }
        Ok(())
    }
}

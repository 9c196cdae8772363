//! `sealwright config`, as clap reads it.

use std::path::PathBuf;

use clap::Subcommand;

use super::everywhere::Everywhere;
use crate::command::config;
use crate::error::Result;
use crate::world::World;

/// What can be asked about the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Check it strictly: unknown fields, keys that cannot be read, rules that can never match.
    #[command(after_help = "Example:\n  sealwright config check   # in CI")]
    Check,
    /// Print its JSON schema, for editors.
    #[command(after_help = "Example:\n  sealwright config schema > sops.schema.json")]
    Schema,
    /// Explain which rule applies to a file, and why.
    #[command(after_help = "Example:\n  sealwright config explain secrets/db.yaml")]
    Explain {
        /// The file, which need not exist.
        file: PathBuf,
    },
}

impl ConfigVerb {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let (path, json) = (everywhere.config.as_deref(), everywhere.json());
        match self {
            Self::Check => config::check(world, path, json),
            Self::Schema => config::schema(world),
            Self::Explain { file } => config::explain(world, path, &file, json),
        }
    }
}

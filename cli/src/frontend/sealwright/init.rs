//! `sealwright init`, as clap reads it.

use clap::Args;

use super::everywhere::Everywhere;
use crate::command::{self, KeyOrName};
use crate::error::Result;
use crate::world::World;

/// Set up a folder for encrypted files: an age key, .sops.yaml, .gitignore, .gitattributes.
///
/// Asks at most three questions, and none with --yes. Existing files and lines are kept, so it is safe to run again: in a
/// clone of a repository it only lets `git diff` show encrypted files.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright init\n  sealwright init --yes --name alice --path-regex '^secrets/'\n  \
        sealwright init --dry-run"
)]
pub(super) struct Init {
    /// Encrypt for this age recipient instead of the key of this machine (repeatable).
    #[arg(long, value_name = "RECIPIENT")]
    key: Vec<String>,
    /// Your name among the recipients; by default that of the user.
    #[arg(long)]
    name: Option<String>,
    /// Which files are encrypted: those whose path has a match of this regular expression.
    #[arg(long, value_name = "REGEX")]
    path_regex: Option<String>,
    /// Ask nothing, and take what would be proposed.
    #[arg(long, short)]
    yes: bool,
    /// Show what would be done, write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Init {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Init {
            keys: self.key.into_iter().map(KeyOrName).collect(),
            name: self.name,
            path_regex: self.path_regex,
            yes: self.yes,
            dry_run: self.dry_run,
            json: everywhere.json(),
            settings: everywhere.settings(),
        }
        .run(world)
    }
}

//! `sealwright diff` and `sealwright git`, as clap reads them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::everywhere::Everywhere;
use crate::command;
use crate::error::Result;
use crate::world::World;

/// Show what changed in encrypted files since a revision of Git.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sealwright diff\n  sealwright diff --reveal HEAD~1 secrets/")]
pub(super) struct Diff {
    /// The revision to compare with.
    #[arg(default_value = "HEAD")]
    revision: String,
    /// Files and folders; by default all below the working folder.
    paths: Vec<PathBuf>,
    /// Show the values, and not only which of them changed.
    #[arg(long)]
    reveal: bool,
}

impl Diff {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Diff {
            revision: self.revision,
            paths: self.paths,
            reveal: self.reveal,
            json: everywhere.json(),
            settings: everywhere.settings(),
        }
        .run(world)
    }
}

/// What Git can be helped with.
#[derive(Debug, Subcommand)]
pub(super) enum GitVerb {
    /// Print a file as `git diff` should compare it; plain files as they are.
    #[command(
        after_help = "Examples:\n  git config diff.sealwright.textconv 'sealwright git textconv'\n  \
        echo '*.yaml diff=sealwright' >> .gitattributes\n  sealwright git textconv app.yaml"
    )]
    Textconv {
        /// The file.
        file: PathBuf,
        /// Print the values decrypted, where a key here opens the file.
        #[arg(long)]
        reveal: bool,
    },
}

impl GitVerb {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        match self {
            Self::Textconv { file, reveal } => command::Textconv {
                file,
                reveal,
                settings: everywhere.settings(),
            }
            .run(world),
        }
    }
}

//! `sealwright push`, as clap reads it.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::place::{Place, settings};
use crate::command;
use crate::error::Result;
use crate::world::World;

/// Write a value into a store, from standard input or a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    printf %s \"$PASSWORD\" | sealwright push --store store.yaml app/db#password\n  \
    sealwright push --dry-run --from-file tls.key vault:secret/web#tls.key")]
pub(super) struct Push {
    #[command(flatten)]
    place: Place,
    /// Where it goes: KEY[#property], or a store address.
    key: String,
    /// Read the value from this file.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Metadata to store with the value, as in a PushSecret: a JSON object PushSecretMetadata.
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// Check everything and write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Push {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Push {
            place: self.place.of_command()?,
            key: self.key,
            from_file: self.from_file,
            metadata: self.metadata,
            dry_run: self.dry_run,
            json: everywhere.json(),
            settings: settings(everywhere),
        }
        .run(world)
    }
}

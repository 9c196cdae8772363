//! `sealwright validate`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::sealed::{ClusterArguments, read_input};
use crate::command::seal;
use crate::error::Result;
use crate::world::World;

/// Ask the controller whether SealedSecrets can be unsealed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright validate sealed.yaml",
    mut_arg("namespace", |arg| arg.help("No effect: each SealedSecret names its own namespace"))
)]
pub(super) struct Validate {
    /// Files of SealedSecrets; standard input without a file.
    files: Vec<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl Validate {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let Self { files, cluster } = self;
        let json = everywhere.json();
        let inputs = match &files[..] {
            [] => vec![(None, read_input(world, None)?)],
            files => files
                .iter()
                .map(|file| Ok((Some(file.as_path()), seal::read_input(Some(file))?)))
                .collect::<Result<_>>()?,
        };
        let valid = seal::validate_each(&inputs, &cluster.service(), &cluster.options())?;
        if json {
            return world
                .terminal
                .say_json(&serde_json::json!({ "valid": valid }));
        }
        Ok(())
    }
}

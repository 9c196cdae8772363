//! `sealwright groups`, as clap reads it.

use std::path::PathBuf;

use clap::Subcommand;

use super::everywhere::Everywhere;
use super::files::{Acceptance, Consent, one_change};
use super::key_options::{Group, KeyOptions};
use crate::command::{GroupsAdd, GroupsDelete, absolute};
use crate::error::Result;
use crate::world::World;

/// What can be done with key groups.
#[derive(Debug, Subcommand)]
pub(super) enum GroupVerb {
    /// Add a key group.
    #[command(after_help = "Example:\n  sealwright groups add app.yaml --age age1… --threshold 2")]
    Add {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        keys: KeyOptions<Group>,
        /// How many groups it then takes.
        #[arg(long, value_name = "N")]
        threshold: Option<u32>,
        #[command(flatten)]
        acceptance: Acceptance,
        #[command(flatten)]
        consent: Consent,
    },
    /// Remove a key group.
    #[command(after_help = "Example:\n  sealwright groups delete app.yaml 1 --threshold 1")]
    Delete {
        /// The file.
        file: PathBuf,
        /// Its index; the first is 0.
        index: usize,
        /// How many groups it then takes.
        #[arg(long, value_name = "N")]
        threshold: Option<u32>,
        #[command(flatten)]
        acceptance: Acceptance,
        #[command(flatten)]
        consent: Consent,
    },
}

impl GroupVerb {
    /// The file that the verb works on.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        let (Self::Add { file, .. } | Self::Delete { file, .. }) = self;
        Some(file.clone())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let (Self::Add { file, .. } | Self::Delete { file, .. }) = &self;
        let file = absolute(file)?;
        let path = file.clone();
        one_change(world, everywhere, false, "updated", &path, || match self {
            Self::Add {
                keys,
                threshold,
                acceptance,
                consent,
                ..
            } => GroupsAdd {
                file,
                keys: keys.texts(),
                in_place: true,
                threshold: threshold.unwrap_or(0),
                recipients: acceptance.recipients(),
                lockout: consent.lockout(),
                settings: everywhere.settings(),
            }
            .change(world),
            Self::Delete {
                index,
                threshold,
                acceptance,
                consent,
                ..
            } => GroupsDelete {
                file,
                index,
                in_place: true,
                threshold: threshold.unwrap_or(0),
                recipients: acceptance.recipients(),
                lockout: consent.lockout(),
                settings: everywhere.settings(),
            }
            .change(world),
        })
    }
}

//! `sealwright store`, as clap reads it.

use clap::Subcommand;

use super::everywhere::Everywhere;
use super::place::{Place, settings};
use crate::command::{StoreCheck, StoreList};
use crate::error::Result;
use crate::world::World;

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(super) enum StoreVerb {
    /// Check whether a store can be used: with which identity, what is allowed, which call fails and why.
    #[command(
        after_help = "Examples:\n  sealwright store check --store store.yaml app/db\n  \
        sealwright store check vault:secret/app/db"
    )]
    Check {
        #[command(flatten)]
        place: Place,
        /// A key that is read as well, or a store address.
        key: Option<String>,
    },
    /// List the keys of a store; values are not read.
    #[command(
        after_help = "Example:\n  sealwright store ls --store store.yaml --path app --name 'db$'"
    )]
    Ls {
        #[command(flatten)]
        place: Place,
        /// A regular expression that names match.
        #[arg(long, value_name = "REGEXP")]
        name: Option<String>,
        /// Where to look.
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
}

impl StoreVerb {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let (json, settings) = (everywhere.json(), settings(everywhere));
        match self {
            Self::Check { place, key } => StoreCheck {
                place: place.of_command()?,
                key,
                json,
                settings,
            }
            .run(world),
            Self::Ls { place, name, path } => StoreList {
                place: place.of_command()?,
                name,
                path,
                json,
                settings,
            }
            .run(world),
        }
    }
}

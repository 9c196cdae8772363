//! `sealwright recipients`, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::everywhere::Everywhere;
use crate::command::{KeyOrName, RecipientsAdd, RecipientsList, RecipientsRemove, RecipientsScope};
use crate::error::Result;
use crate::world::World;

/// What can be done about recipients.
#[derive(Debug, Subcommand)]
pub(super) enum RecipientsVerb {
    /// Let someone open files: the rule and all of its files get the key.
    #[command(
        after_help = "Examples:\n  sealwright recipients add age1… --name bob --yes\n  \
        sealwright recipients add bob secrets/prod/ --yes\n  sealwright recipients add --dry-run age1…"
    )]
    Add {
        /// A key, or the name that a key has in the configuration.
        who: String,
        #[command(flatten)]
        scope: ScopeOptions,
        /// The name of the key's holder: it stands behind the key in the configuration.
        #[arg(long)]
        name: Option<String>,
        /// The key group that the key joins; the first is 0.
        #[arg(long, value_name = "N", default_value_t = 0)]
        group: usize,
    },
    /// Take someone out: the rule loses the key, and its files get new data keys.
    #[command(after_help = "Examples:\n  sealwright recipients remove bob --yes\n  \
        sealwright recipients remove --dry-run age1… secrets/prod/")]
    Remove {
        /// A key, or the name that a key has in the configuration.
        who: String,
        #[command(flatten)]
        scope: ScopeOptions,
    },
    /// List the keys of the rules with the names of their holders.
    #[command(
        after_help = "Examples:\n  sealwright recipients list\n  sealwright recipients list secrets/db.yaml"
    )]
    List {
        /// A file: only its rule is listed.
        path: Option<PathBuf>,
    },
}

/// Which rules are meant, and how careful the verb is.
#[derive(Debug, Args)]
pub(super) struct ScopeOptions {
    /// A file or folder: the rules of its files are meant. By default the only rule; when someone leaves, all rules.
    path: Option<PathBuf>,
    /// All rules are meant.
    #[arg(long, conflicts_with = "path")]
    all: bool,
    /// Do it without a question.
    #[arg(long, short)]
    yes: bool,
    /// Show the plan, write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl ScopeOptions {
    fn of_command(self, everywhere: &Everywhere) -> RecipientsScope {
        RecipientsScope {
            path: self.path,
            all: self.all,
            yes: self.yes,
            dry_run: self.dry_run,
            json: everywhere.json(),
            settings: everywhere.settings(),
        }
    }
}

impl RecipientsVerb {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        match self {
            Self::Add {
                who,
                scope,
                name,
                group,
            } => RecipientsAdd {
                who: KeyOrName(who),
                name,
                scope: scope.of_command(everywhere),
                group,
            }
            .run(world),
            Self::Remove { who, scope } => RecipientsRemove {
                who: KeyOrName(who),
                scope: scope.of_command(everywhere),
            }
            .run(world),
            Self::List { path } => RecipientsList {
                path,
                json: everywhere.json(),
                settings: everywhere.settings(),
            }
            .run(world),
        }
    }
}

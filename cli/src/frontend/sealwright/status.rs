//! `sealwright status`, as clap reads it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::everywhere::Everywhere;
use super::sealed::ClusterArguments;
use crate::command::{self, StatusBy};
use crate::error::Result;
use crate::world::World;

/// Report which files are encrypted, when and with which keys; nothing is decrypted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright status secrets/\n  \
    sealwright status --check secrets/   # in CI\n  \
    sealwright status --check-secrets .   # no Secret in plaintext\n  sealwright --output json status . | jq .files[].keys",
    mut_arg("namespace", |arg| arg.help("With --cluster: report only the objects of this namespace"))
)]
pub(super) struct Status {
    /// Files and folders.
    #[arg(required_unless_present = "cluster", conflicts_with = "cluster")]
    paths: Vec<PathBuf>,
    /// Fail when a file that a rule names is not encrypted.
    #[arg(long)]
    check: bool,
    /// Fail when a manifest holds a Secret with values in plaintext.
    #[arg(long, conflicts_with = "cluster")]
    check_secrets: bool,
    /// List the files of each recipient instead.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["check", "check_secrets"])]
    by: Option<By>,
    /// Report the objects of a cluster instead: state, age and next reconciliation. With --check, fail when one is not
    /// ready.
    #[arg(long, conflicts_with = "by")]
    cluster: bool,
    #[command(flatten)]
    at: ClusterArguments,
}

/// What the lines of a status are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Files.
    File,
    /// Recipients.
    Recipient,
}

impl Status {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        if self.cluster {
            return command::ClusterStatus {
                namespace: self.at.namespace(),
                cluster: self.at.options(),
                check: self.check,
                json: everywhere.json(),
            }
            .run(world);
        }
        command::Status {
            paths: self.paths,
            check: self.check,
            check_secrets: self.check_secrets,
            by: match self.by {
                Some(By::Recipient) => StatusBy::Recipient,
                Some(By::File) | None => StatusBy::File,
            },
            json: everywhere.json(),
            settings: everywhere.settings(),
        }
        .run(world)
    }
}

//! The command line of our own verbs, as clap reads it.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Result;
use crate::world::World;

use super::adopt::Adopt;
use super::cert::Cert;
use super::config::ConfigVerb;
use super::decrypt::Decrypt;
use super::diff::{Diff, GitVerb};
use super::doctor::Doctor;
use super::edit::Edit;
use super::encrypt::Encrypt;
use super::everywhere::Everywhere;
use super::exec_env::ExecEnv;
use super::exec_file::ExecFile;
use super::fetch::Fetch;
use super::get::Get;
use super::groups::GroupVerb;
use super::init::Init;
use super::keygen::Keygen;
use super::manual;
use super::publish::Publish;
use super::push::Push;
use super::recipients::RecipientsVerb;
use super::reseal::Reseal;
use super::rotate::Rotate;
use super::seal::Seal;
use super::sealing_key::SealingKey;
use super::set::Set;
use super::status::Status;
use super::store::StoreVerb;
use super::template::Template;
use super::unseal::Unseal;
use super::unset::Unset;
use super::update_keys::UpdateKeys;
use super::validate::Validate;

/// Keeps secrets safe from the editor to the pod.
#[derive(Debug, Parser)]
#[command(
    name = "sealwright",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Called as `sealwright sops …`, or through a link named sops, it is a drop-in for sops.\n\n\
                  Examples:\n  sealwright init\n  \
                  sealwright encrypt --in-place secrets/\n  sealwright edit secrets/db.yaml\n  \
                  sealwright get secrets/db.yaml db.password"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) everywhere: Everywhere,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Seal(Seal),
    Unseal(Unseal),
    Reseal(Reseal),
    Cert(Cert),
    Validate(Validate),
    SealingKey(SealingKey),
    Fetch(Fetch),
    Push(Push),
    Publish(Publish),
    Template(Template),
    /// Look at a store.
    Store {
        #[command(subcommand)]
        verb: StoreVerb,
    },
    Init(Init),
    Doctor(Doctor),
    Adopt(Adopt),
    /// Say who can open which files: add, remove and list recipients.
    Recipients {
        #[command(subcommand)]
        verb: RecipientsVerb,
    },
    Encrypt(Encrypt),
    Decrypt(Decrypt),
    Get(Get),
    Edit(Edit),
    Set(Set),
    Unset(Unset),
    Rotate(Rotate),
    #[command(name = "updatekeys")]
    UpdateKeys(UpdateKeys),
    /// Add and remove key groups.
    Groups {
        #[command(subcommand)]
        verb: GroupVerb,
    },
    ExecEnv(ExecEnv),
    ExecFile(ExecFile),
    Keygen(Keygen),
    Status(Status),
    Diff(Diff),
    /// Help Git to compare encrypted files.
    Git {
        #[command(subcommand)]
        verb: GitVerb,
    },
    /// Look at the configuration file.
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  \
        sealwright completions bash > ~/.local/share/bash-completion/completions/sealwright")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual, or write the pages of all verbs into a folder.
    #[command(after_help = "Examples:\n  sealwright man | man -l -\n  \
        sealwright man ~/.local/share/man/man1")]
    Man {
        /// The folder.
        folder: Option<PathBuf>,
    },
}

impl Verb {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        match self {
            Self::Encrypt(verb) => verb.subject(),
            Self::Decrypt(verb) => verb.subject(),
            Self::Get(verb) => verb.subject(),
            Self::Edit(verb) => verb.subject(),
            Self::Set(verb) => verb.subject(),
            Self::Unset(verb) => verb.subject(),
            Self::Rotate(verb) => verb.subject(),
            Self::UpdateKeys(verb) => verb.subject(),
            Self::ExecEnv(verb) => verb.subject(),
            Self::ExecFile(verb) => verb.subject(),
            Self::Groups { verb } => verb.subject(),
            _ => None,
        }
    }

    /// Whether the verb only prints what the program knows of itself.
    pub(super) fn needs_nothing(&self) -> bool {
        matches!(self, Self::Completions { .. } | Self::Man { .. })
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        if everywhere.env() && !matches!(self, Self::Fetch(_)) {
            return Err(super::place::only_for_fetch());
        }
        match self {
            Self::Init(verb) => verb.perform(world, everywhere),
            Self::Adopt(verb) => verb.perform(world, everywhere),
            Self::Doctor(verb) => verb.perform(world, everywhere),
            Self::Encrypt(verb) => verb.perform(world, everywhere),
            Self::Decrypt(verb) => verb.perform(world, everywhere),
            Self::Get(verb) => verb.perform(world, everywhere),
            Self::Edit(verb) => verb.perform(world, everywhere),
            Self::Set(verb) => verb.perform(world, everywhere),
            Self::Unset(verb) => verb.perform(world, everywhere),
            Self::Rotate(verb) => verb.perform(world, everywhere),
            Self::UpdateKeys(verb) => verb.perform(world, everywhere),
            Self::ExecEnv(verb) => verb.perform(world, everywhere),
            Self::ExecFile(verb) => verb.perform(world, everywhere),
            Self::Keygen(verb) => verb.perform(world, everywhere),
            Self::Status(verb) => verb.perform(world, everywhere),
            Self::Diff(verb) => verb.perform(world, everywhere),
            Self::Recipients { verb } => verb.perform(world, everywhere),
            Self::Groups { verb } => verb.perform(world, everywhere),
            Self::Git { verb } => verb.perform(world, everywhere),
            Self::Config { verb } => verb.perform(world, everywhere),
            Self::Seal(verb) => verb.perform(world, everywhere),
            Self::Unseal(verb) => verb.perform(world, everywhere),
            Self::Reseal(verb) => verb.perform(world, everywhere),
            Self::Cert(verb) => verb.perform(world, everywhere),
            Self::Validate(verb) => verb.perform(world, everywhere),
            Self::SealingKey(verb) => verb.perform(world, everywhere),
            Self::Fetch(verb) => verb.perform(world, everywhere),
            Self::Push(verb) => verb.perform(world, everywhere),
            Self::Publish(verb) => verb.perform(world, everywhere),
            Self::Template(verb) => verb.perform(world, everywhere),
            Self::Store { verb } => verb.perform(world, everywhere),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                let mut command = Arguments::command();
                clap_complete::generate(shell, &mut command, "sealwright", &mut script);
                world.terminal.out(&script)
            }
            Self::Man { folder } => manual::write(world, Arguments::command(), folder.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}

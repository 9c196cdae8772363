//! The command line of our own verbs, as clap reads it.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::error;
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
use super::later::{self, Later};
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

impl Arguments {
    /// Reads a command line; the first word is the program.
    pub(super) fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let read = |command: Command| Self::from_arg_matches(&command.try_get_matches_from(words)?);
        match read(Self::command()) {
            // Help and errors tell of every verb.
            Err(error) if error.kind() != ErrorKind::DisplayVersion => read(Self::whole()),
            read => read,
        }
    }

    /// The command line with the options of all verbs.
    pub(super) fn whole() -> Command {
        later::at_once(Self::command)
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Seal(Later<Seal>),
    Unseal(Later<Unseal>),
    Reseal(Later<Reseal>),
    Cert(Later<Cert>),
    Validate(Later<Validate>),
    SealingKey(Later<SealingKey>),
    Fetch(Later<Fetch>),
    Push(Later<Push>),
    Publish(Later<Publish>),
    Template(Later<Template>),
    /// Look at a store.
    Store {
        #[command(subcommand)]
        verb: StoreVerb,
    },
    Init(Later<Init>),
    Doctor(Later<Doctor>),
    Adopt(Later<Adopt>),
    /// Say who can open which files: add, remove and list recipients.
    Recipients {
        #[command(subcommand)]
        verb: RecipientsVerb,
    },
    Encrypt(Later<Encrypt>),
    Decrypt(Later<Decrypt>),
    Get(Later<Get>),
    Edit(Later<Edit>),
    Set(Later<Set>),
    Unset(Later<Unset>),
    Rotate(Later<Rotate>),
    #[command(name = "updatekeys")]
    UpdateKeys(Later<UpdateKeys>),
    /// Add and remove key groups.
    Groups {
        #[command(subcommand)]
        verb: GroupVerb,
    },
    ExecEnv(Later<ExecEnv>),
    ExecFile(Later<ExecFile>),
    Keygen(Later<Keygen>),
    Status(Later<Status>),
    Diff(Later<Diff>),
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
            Self::Encrypt(verb) => verb.0.subject(),
            Self::Decrypt(verb) => verb.0.subject(),
            Self::Get(verb) => verb.0.subject(),
            Self::Edit(verb) => verb.0.subject(),
            Self::Set(verb) => verb.0.subject(),
            Self::Unset(verb) => verb.0.subject(),
            Self::Rotate(verb) => verb.0.subject(),
            Self::UpdateKeys(verb) => verb.0.subject(),
            Self::ExecEnv(verb) => verb.0.subject(),
            Self::ExecFile(verb) => verb.0.subject(),
            Self::Groups { verb } => verb.subject(),
            _ => None,
        }
    }

    /// Whether the verb only prints what the program knows of itself.
    pub(super) fn needs_nothing(&self) -> bool {
        matches!(self, Self::Completions { .. } | Self::Man { .. })
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> error::Result<()> {
        if everywhere.env() && !matches!(self, Self::Fetch(_)) {
            return Err(super::place::only_for_fetch());
        }
        match self {
            Self::Init(verb) => verb.0.perform(world, everywhere),
            Self::Adopt(verb) => verb.0.perform(world, everywhere),
            Self::Doctor(verb) => verb.0.perform(world, everywhere),
            Self::Encrypt(verb) => verb.0.perform(world, everywhere),
            Self::Decrypt(verb) => verb.0.perform(world, everywhere),
            Self::Get(verb) => verb.0.perform(world, everywhere),
            Self::Edit(verb) => verb.0.perform(world, everywhere),
            Self::Set(verb) => verb.0.perform(world, everywhere),
            Self::Unset(verb) => verb.0.perform(world, everywhere),
            Self::Rotate(verb) => verb.0.perform(world, everywhere),
            Self::UpdateKeys(verb) => verb.0.perform(world, everywhere),
            Self::ExecEnv(verb) => verb.0.perform(world, everywhere),
            Self::ExecFile(verb) => verb.0.perform(world, everywhere),
            Self::Keygen(verb) => verb.0.perform(world, everywhere),
            Self::Status(verb) => verb.0.perform(world, everywhere),
            Self::Diff(verb) => verb.0.perform(world, everywhere),
            Self::Recipients { verb } => verb.perform(world, everywhere),
            Self::Groups { verb } => verb.perform(world, everywhere),
            Self::Git { verb } => verb.perform(world, everywhere),
            Self::Config { verb } => verb.perform(world, everywhere),
            Self::Seal(verb) => verb.0.perform(world, everywhere),
            Self::Unseal(verb) => verb.0.perform(world, everywhere),
            Self::Reseal(verb) => verb.0.perform(world, everywhere),
            Self::Cert(verb) => verb.0.perform(world, everywhere),
            Self::Validate(verb) => verb.0.perform(world, everywhere),
            Self::SealingKey(verb) => verb.0.perform(world, everywhere),
            Self::Fetch(verb) => verb.0.perform(world, everywhere),
            Self::Push(verb) => verb.0.perform(world, everywhere),
            Self::Publish(verb) => verb.0.perform(world, everywhere),
            Self::Template(verb) => verb.0.perform(world, everywhere),
            Self::Store { verb } => verb.perform(world, everywhere),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                let mut command = Arguments::whole();
                clap_complete::generate(shell, &mut command, "sealwright", &mut script);
                world.terminal.out(&script)
            }
            Self::Man { folder } => manual::write(world, Arguments::whole(), folder.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::whole().debug_assert();
    }

    #[test]
    fn only_the_verb_that_is_called_is_described() {
        let options = |command: &Command, verb: &str| {
            let verb = command.find_subcommand(verb).unwrap();
            verb.get_opts()
                .filter(|option| !option.is_global_set())
                .count()
        };
        assert!(options(&Arguments::whole(), "encrypt") > 5);
        let mut command = Arguments::command();
        assert_eq!(options(&command, "encrypt"), 0);
        let words = ["sealwright", "decrypt", "app.yaml"];
        command.try_get_matches_from_mut(words).unwrap();
        assert!(options(&command, "decrypt") > 0);
        assert_eq!(options(&command, "encrypt"), 0);
    }
}

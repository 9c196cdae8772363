//! `sealwright exec-env`, as clap reads it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::quote::quote_words;
use crate::command::{self, absolute};
use crate::error::Result;
use crate::world::World;

/// Run a command with the decrypted values in its environment.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealwright exec-env app.env -- ./server --port 80")]
pub(super) struct ExecEnv {
    /// The file.
    file: PathBuf,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
    /// Give it no variables but the decrypted ones.
    #[arg(long)]
    pristine: bool,
    /// Run it as this user.
    #[arg(long)]
    user: Option<String>,
}

impl ExecEnv {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        Some(self.file.clone())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::ExecEnv {
            file: absolute(&self.file)?,
            command: quote_words(&self.command),
            how: command::ExecHow {
                pristine: self.pristine,
                user: self.user,
                ..command::ExecHow::default()
            },
            settings: everywhere.settings(),
        }
        .run(world)
    }
}

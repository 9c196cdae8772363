//! `sealwright exec-file`, as clap reads it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::quote::{has_quotes, quote_words};
use crate::command::{self, absolute};
use crate::error::Result;
use crate::world::World;

/// Run a command with the decrypted file as a named pipe; {} stands for its path.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealwright exec-file config.json -- server --config {}")]
pub(super) struct ExecFile {
    /// The file.
    file: PathBuf,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
    /// Hand over a regular file, in memory where the system can, instead of a named pipe.
    #[arg(long)]
    no_fifo: bool,
    /// The name of the file that the command gets.
    #[arg(long)]
    filename: Option<String>,
    /// Run it as this user.
    #[arg(long)]
    user: Option<String>,
}

impl ExecFile {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        Some(self.file.clone())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::ExecFile {
            file: absolute(&self.file)?,
            in_quotes: has_quotes(&self.command),
            command: quote_words(&self.command),
            how: command::ExecHow {
                user: self.user,
                ..command::ExecHow::default()
            },
            no_fifo: self.no_fifo,
            filename: self.filename,
            first_of_several: false,
            settings: everywhere.settings(),
        }
        .run(world)
    }
}

//! `exec-file`: a command with the decrypted document in a named pipe or a file.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{ExecHow, Input, Settings, document};
use crate::error::Result;
use crate::exec::{self, FileOptions};
use crate::world::World;

/// Runs a command on a decrypted file.
#[derive(Debug)]
pub(crate) struct ExecFile {
    pub(crate) file: PathBuf,
    pub(crate) command: OsString,
    /// Whether the command is made of words in single quotes.
    pub(crate) in_quotes: bool,
    pub(crate) how: ExecHow,
    pub(crate) no_fifo: bool,
    pub(crate) filename: Option<String>,
    /// Whether a format of one document gets the first of several, as upstream does, instead of an error.
    pub(crate) first_of_several: bool,
    pub(crate) settings: Settings,
}

impl ExecFile {
    /// Does it.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let config = world.configuration(&self.settings)?;
        let how = self.how.resolve(world)?;
        let from = Input::File(self.file.clone());
        let original = document::read(&from, false)?;
        let input = document::input_format(&self.settings, &self.file);
        let output = document::output_format(&self.settings, &self.file);
        let file = document::parse_encrypted(input, original.into_bytes())?;
        let plain = document::open(world, &self.settings, &from, &file)?;
        let layout = document::layout(&self.settings, config.as_deref(), output)?;
        let content = match self.first_of_several {
            true => document::text_as_upstream(world, &self.settings, plain, output, layout)?,
            false => document::text_in(plain, output, layout)?,
        };
        let options = FileOptions {
            no_fifo: self.no_fifo,
            name: self.filename,
            in_quotes: self.in_quotes,
        };
        exec::with_file(&how, &self.command, content, &options)
    }
}

//! What a command would write: from where, to where, and what.

use std::path::PathBuf;

use sealwright_crypto::secret::SecretBytes;

use crate::error::{Error, Kind, Result};
use crate::file::{self, Content, Original};
use crate::terminal::Terminal;

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file, by absolute path.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// Over the input.
    InPlace,
    /// Into another file.
    File(PathBuf),
}

/// What a command would write.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) from: Input,
    pub(crate) to: Output,
    /// What the input was; with it a file that changed meanwhile is not overwritten.
    pub(crate) original: Option<Original>,
    /// The result; `None` when there is nothing to do.
    pub(crate) bytes: Option<SecretBytes>,
    /// What the result is.
    pub(crate) content: Content,
    /// The master keys that are used, for people.
    pub(crate) keys: Vec<String>,
    /// What else there is to say about it.
    pub(crate) notes: Vec<String>,
    /// What is wrong with the result, in sentences that name the file.
    pub(crate) warnings: Vec<String>,
}

impl Change {
    /// Shows what is wrong with the result, and writes it where it belongs.
    pub(crate) fn finish(&self, terminal: &Terminal) -> Result<()> {
        for warning in &self.warnings {
            terminal.advise(warning);
        }
        self.deliver(terminal)
    }

    /// Writes the result where it belongs.
    pub(crate) fn deliver(&self, terminal: &Terminal) -> Result<()> {
        let Some(bytes) = &self.bytes else {
            return Ok(());
        };
        match (&self.to, &self.from) {
            (Output::Stdout, _) => terminal.out(bytes.expose()),
            (Output::File(path), _) => file::replace(terminal, path, bytes, self.content, None),
            (Output::InPlace, Input::File(path)) => {
                file::replace(terminal, path, bytes, self.content, self.original.as_ref())
            }
            (Output::InPlace, Input::Stdin) => Err(Error::new(
                Kind::Conflict,
                "standard input cannot be changed in place",
            )),
        }
    }
}

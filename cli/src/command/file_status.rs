//! `filestatus`: whether a file is encrypted, for programs.

use std::path::PathBuf;

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Encrypted, ReadError};
use sealwright_documents::format::by_name;
use sealwright_documents::metadata::MetadataError;

use super::{Settings, document};
use crate::error::{Error, Result};
use crate::file;
use crate::world::World;

/// Tells whether a file is encrypted; nothing is decrypted.
#[derive(Debug)]
pub(crate) struct FileStatus {
    pub(crate) file: PathBuf,
    pub(crate) settings: Settings,
}

impl FileStatus {
    /// Prints `{"encrypted":true}` or `{"encrypted":false}` (S11).
    pub(crate) fn run(self, world: &World) -> Result<()> {
        world.configuration(&self.settings)?;
        let encrypted = self.is_encrypted()?;
        world
            .terminal
            .say(&format!("{{\"encrypted\":{encrypted}}}"))
    }

    /// Encrypted is what has a block with a version and a MAC (S143).
    fn is_encrypted(&self) -> Result<bool> {
        let failed = |reason: String| {
            Error::generic(format!(
                "cannot check file status: cannot load encrypted file: {reason}"
            ))
        };
        let original = file::read(&self.file)
            .map_err(|error| failed(format!("{}: {error}", self.file.display())))?;
        let format = document::input_format(&self.settings, &self.file);
        if original.bytes.is_empty() && format.name() == "yaml" {
            return Ok(false); // as upstream does, though no document is an error elsewhere
        }
        let text = original.into_bytes();
        match Encrypted::parse(format, SecretBytes::copy_of(text.expose())) {
            Ok(file) => {
                let metadata = file.metadata();
                Ok(!metadata.version.is_empty() && !metadata.mac.is_empty())
            }
            // What is stored for a binary file is JSON; anything else there is no file of this kind (L11).
            Err(ReadError::Metadata(MetadataError::NotFound)) if format.name() == "binary" => {
                let json = by_name("json").expect("JSON is in the list of formats");
                json.parse(text)
                    .map(|_| false)
                    .map_err(|error| failed(error.to_string()))
            }
            Err(ReadError::Metadata(MetadataError::NotFound)) => Ok(false),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

//! `publish`: files to the places that destination rules name.

use std::path::PathBuf;

use super::Settings;
use crate::error::{Error, Result};
use crate::world::World;

/// Publishes a file or a folder.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) file: PathBuf,
    /// The path as it was typed, which is what rules match (S135).
    pub(crate) typed: PathBuf,
    pub(crate) recursive: bool,
    pub(crate) yes: bool,
    pub(crate) omit_extensions: bool,
    pub(crate) settings: Settings,
}

impl Publish {
    /// Says that none of the destinations is in this build; they come with the clouds.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        world.configuration(&self.settings)?;
        let what = if self.recursive { "files below " } else { "" };
        let _ = (self.yes, self.omit_extensions, &self.file);
        Err(Error::generic(format!(
            "cannot publish {what}{}: this build has none of the destinations s3_bucket, gcs_bucket and vault_path",
            self.typed.display()
        )))
    }
}

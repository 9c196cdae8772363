//! Files that may be encrypted, for File stores and for credentials.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::format::{Layout, by_name, by_path};
use sealwright_providers::file::Decrypt;

use crate::command::found::is_encrypted;
use crate::command::{Decrypt as DecryptCommand, Input, Output, Settings};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Original};
use crate::terminal::Terminal;
use crate::world::World;

/// Opens the files of a File store with the keys of the user.
pub(super) struct Opener {
    terminal: Arc<Terminal>,
    settings: Settings,
}

impl Opener {
    pub(super) fn new(world: &World, settings: &Settings) -> Self {
        Self {
            terminal: Arc::clone(&world.terminal),
            settings: settings.clone(),
        }
    }
}

impl Decrypt for Opener {
    fn open(
        &self,
        path: &Path,
        bytes: SecretBytes,
        whole: bool,
    ) -> std::result::Result<SecretBytes, String> {
        let json = by_name("json").expect("JSON is in the list of formats");
        let is_json = by_path(path).name() == json.name();
        if is_encrypted(path, &self.settings, &bytes) {
            let output_type = (whole && !is_json).then_some("json");
            // On a thread of its own: a key that is far away has a runtime, and this is asked from within one.
            let opened = std::thread::scope(|scope| {
                let work = || {
                    let world = World::new(Arc::clone(&self.terminal));
                    let original = Original::of_pipe(bytes);
                    decrypt(&world, &self.settings, path, original, output_type)
                        .map_err(|error| error.message())
                };
                scope.spawn(work).join()
            });
            return opened.unwrap_or_else(|_| Err("it cannot be decrypted".to_owned()));
        }
        if !whole || is_json {
            return Ok(bytes);
        }
        let tree = by_path(path)
            .parse(bytes)
            .map_err(|error| format!("it cannot be read: {error}"))?;
        json.render(&Data::listed(&tree), Layout::default())
            .map_err(|error| format!("it cannot be read as a map: {}", error.reason))
    }
}

fn decrypt(
    world: &World,
    settings: &Settings,
    path: &Path,
    original: Original,
    output_type: Option<&'static str>,
) -> Result<SecretBytes> {
    let settings = Settings {
        output_type: output_type.or(settings.output_type),
        ..settings.clone()
    };
    let path: PathBuf = crate::command::absolute(path)?;
    let change = DecryptCommand {
        from: Input::File(path.clone()),
        to: Output::Stdout,
        name: path,
        extract: Vec::new(),
        as_json: false,
        first_of_several: false,
        ignore_mac: false,
        settings,
    }
    .change_of(world, original)?;
    change
        .bytes
        .ok_or_else(|| Error::new(Kind::Read, "the document is empty"))
}

/// Reads a file, decrypted if it was encrypted.
pub(in crate::command) fn plain(
    world: &World,
    settings: &Settings,
    path: &Path,
) -> Result<SecretBytes> {
    let read = file::read(path).map_err(|error| {
        Error::new(Kind::Read, format!("cannot read {}", path.display())).because(error)
    })?;
    if is_encrypted(path, settings, &read.bytes) {
        return decrypt(world, settings, path, read, None);
    }
    Ok(read.into_bytes())
}

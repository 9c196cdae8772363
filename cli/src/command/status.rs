//! `status`: what the files of a tree are, without a key.

use std::path::{Path, PathBuf};

use serde_json::json;

use sealwright_documents::envelope::{Encrypted, ReadError};
use sealwright_documents::metadata::MetadataError;

use super::{Settings, batch, document};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::world::World;

/// Tells what files are.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) paths: Vec<PathBuf>,
    /// Fail when a file that has a rule is not encrypted.
    pub(crate) check: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl Status {
    /// Prints a line, or a JSON object, for each file.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let mut plain_with_rule = 0;
        let mut unreadable = 0;
        let mut entries = Vec::new();
        let found = batch::find_files(&self.paths)?;
        for path in found.files {
            let shown = batch::shown(&path);
            let name = batch::relative(&path).to_string_lossy();
            let has_rule = super::rule_for(world, &self.settings, &path, &Default::default())
                .is_ok_and(|rule| rule.is_some());
            let entry = match look(&path, &self.settings) {
                Ok(Some(file)) => {
                    let metadata = file.metadata();
                    let keys = super::key_names(metadata);
                    if !self.json {
                        world.terminal.say(&format!(
                            "{shown}: encrypted, {}, {} keys",
                            metadata.last_modified.as_str(),
                            keys.len()
                        ))?;
                    }
                    json!({
                        "file": name,
                        "status": "encrypted",
                        "last_modified": metadata.last_modified.as_str(),
                        "version": metadata.version,
                        "groups": metadata.groups.len(),
                        "threshold": metadata.shamir_threshold,
                        "keys": keys,
                        "rule": has_rule,
                    })
                }
                Ok(None) => {
                    plain_with_rule += usize::from(has_rule);
                    if !self.json {
                        let note = if has_rule { " (a rule names it)" } else { "" };
                        world.terminal.say(&format!("{shown}: plain{note}"))?;
                    }
                    json!({ "file": name, "status": "plain", "rule": has_rule })
                }
                Err(reason) => {
                    unreadable += 1;
                    if !self.json {
                        world
                            .terminal
                            .say(&format!("{shown}: unreadable: {reason}"))?;
                    }
                    json!({ "file": name, "status": "unreadable", "message": reason })
                }
            };
            entries.push(entry);
        }
        for (folder, error) in found.unreadable {
            unreadable += 1;
            let (shown, reason) = (batch::shown(&folder), error.message());
            if !self.json {
                world
                    .terminal
                    .say(&format!("{shown}: unreadable: {reason}"))?;
            }
            let name = batch::relative(&folder).to_string_lossy();
            entries.push(json!({ "file": name, "status": "unreadable", "message": reason }));
        }
        if self.json {
            world.terminal.say_json(&json!({ "files": entries }))?;
        }
        if unreadable > 0 {
            return Err(Error::new(
                Kind::Read,
                batch::count(unreadable, "cannot be read", "cannot be read"),
            ));
        }
        if self.check && plain_with_rule > 0 {
            return Err(Error::new(
                Kind::Outdated,
                batch::count(
                    plain_with_rule,
                    "that has a rule is not encrypted",
                    "that have a rule are not encrypted",
                ),
            ));
        }
        Ok(())
    }
}

/// Whether there is certainly a block of metadata in a file.
pub(crate) fn is_encrypted(path: &Path, settings: &Settings) -> bool {
    matches!(look(path, settings), Ok(Some(_)))
}

/// Whether there is certainly no block of metadata in a file. What cannot be read may have one.
pub(crate) fn is_plain(path: &Path, settings: &Settings) -> bool {
    matches!(look(path, settings), Ok(None))
}

/// Reads a file: `None` when it is plain.
fn look(path: &Path, settings: &Settings) -> std::result::Result<Option<Encrypted>, String> {
    let original = file::read(path).map_err(|error| error.to_string())?;
    let format = document::input_format(settings, path);
    let bytes = original.into_bytes();
    // Every block of metadata has this word; templates that no parser takes seldom have it.
    if memchr::memmem::find(bytes.expose(), b"sops").is_none() {
        return Ok(None);
    }
    match Encrypted::parse(format, bytes) {
        Ok(file) => Ok(Some(file)),
        Err(ReadError::Metadata(MetadataError::NotFound)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

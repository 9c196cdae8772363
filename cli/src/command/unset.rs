//! `unset`: one value of an encrypted file goes away.

use std::path::PathBuf;

use sealwright_documents::format::Step;
use sealwright_documents::tree::Value;

use super::set::Update;
use super::{Change, Settings, document};
use crate::error::{Error, Result};
use crate::world::World;

/// Removes one value of the first document.
#[derive(Debug)]
pub(crate) struct Unset {
    pub(crate) file: PathBuf,
    /// What types go by.
    pub(crate) name: PathBuf,
    pub(crate) path: Vec<Step>,
    /// A value that is not there is fine.
    pub(crate) idempotent: bool,
    pub(crate) ignore_mac: bool,
    pub(crate) settings: Settings,
}

impl Unset {
    /// Does it, in place.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        self.change(world)?.finish(&world.terminal)
    }

    /// Computes the result.
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        let path = self.path;
        let idempotent = self.idempotent;
        Update {
            file: self.file,
            name: self.name,
            ignore_mac: self.ignore_mac,
            settings: self.settings,
        }
        .change(world, &|format, tree, _| {
            let missing =
                |reason: String| Error::generic(format!("cannot unset the value: {reason}"));
            let node = match document::find(tree, &path) {
                Ok(node) => node,
                // A path through a scalar is an error even then (S103).
                Err(reason) if idempotent && reason.contains("not found") => {
                    let _ = reason;
                    return Ok(None);
                }
                Err(reason) => return Err(missing(reason)),
            };
            if matches!(tree.nodes[node].value, Value::Comment { .. }) && path.is_empty() {
                return Err(missing("the path is empty".into()));
            }
            let edits = format
                .remove(tree, node)
                .map_err(|error| document::emit_error(&error))?;
            Ok(Some(document::apply(&tree.text, edits)))
        })
    }
}

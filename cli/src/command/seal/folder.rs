//! `seal` of a folder: every manifest with Secrets in it, into another folder or in place.

use std::path::{Path, PathBuf};

use sealwright_crypto::sealing::Certificate;
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::keyring::Keyring;
use sealwright_resources::manifest::Output as Form;

use super::{SealOptions, keep_unchanged, output_of_name, seal_stream, write_all};
use crate::absolute::absolute;
use crate::change::{Change, Input, Output};
use crate::command::batch::Batch;
use crate::command::found::Wanted;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::settings::Settings;
use crate::visible::shown;
use crate::world::World;

/// Seals the Secrets below a folder.
pub(crate) struct SealFolder<'a> {
    pub(crate) folder: PathBuf,
    /// The folder that the results go to under the same names; over the Secrets themselves without one.
    pub(crate) to: Option<PathBuf>,
    pub(crate) certificate: &'a Certificate,
    /// To see which values of a result did not change.
    pub(crate) keys: &'a Keyring,
    pub(crate) options: &'a SealOptions,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl SealFolder<'_> {
    /// Seals each file whole or not at all.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let folder = absolute(&self.folder)?;
        let to = self.to.as_deref().map(absolute).transpose()?;
        if to.as_deref().is_some_and(|to| to.starts_with(&folder)) {
            return Err(Error::new(
                Kind::Conflict,
                "the results would lie among the Secrets: name a folder outside, or --in-place",
            ));
        }
        let paths = [folder.clone()];
        Batch {
            paths: &paths,
            dry_run: self.dry_run,
            check: false,
            json: self.json,
            done: "sealed",
            way_back: None,
            wanted: Wanted::Secrets,
            settings: &self.settings,
        }
        .run(world, &|path| self.change(path, &folder, to.as_deref()))
    }

    fn change(&self, path: &Path, folder: &Path, to: Option<&Path>) -> Result<Change> {
        let mut original = file::read_to_update(path).map_err(|error| {
            Error::new(Kind::Read, format!("cannot read {}", shown(path))).because(error)
        })?;
        let text = original.take_bytes();
        let mut sealed = seal_stream(&text, self.certificate, self.options)?;
        let form = output_of_name(path).unwrap_or(Form::Yaml);
        let mut change = Change {
            from: Input::File(path.to_owned()),
            to: Output::InPlace,
            original: Some(original),
            bytes: None,
            content: Content::Encrypted,
            keys: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
        };
        let Some(to) = to else {
            change.bytes = Some(SecretBytes::from(write_all(&sealed, form)));
            return Ok(change);
        };
        let target = to.join(path.strip_prefix(folder).unwrap_or(path));
        keep_unchanged(&mut sealed, &text, &target, self.keys, self.certificate)?;
        let bytes = SecretBytes::from(write_all(&sealed, form));
        if !self.dry_run
            && let Some(parent) = target.parent()
        {
            std::fs::create_dir_all(parent).map_err(|error| {
                Error::new(Kind::Write, format!("cannot create {}", shown(parent))).because(error)
            })?;
        }
        let old = file::read_replaced(&target).ok().flatten();
        let is_same = old.is_some_and(|old| old.bytes == bytes);
        change.bytes = (!is_same).then_some(bytes);
        change.notes = vec![format!("into {}", shown(&target))];
        change.to = Output::File(target);
        Ok(change)
    }
}

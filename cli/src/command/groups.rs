//! `groups add` and `groups delete`: who shares the data key of a file.

use std::path::PathBuf;

use jiff::Timestamp;
use sealwright_documents::envelope::{Encrypted, write_metadata};
use sealwright_documents::keyring::Unwrapped;
use sealwright_documents::metadata::{KeyFields, Metadata};

use super::sharing::{Lockout, Recipients, Sharing, Wanted};
use super::{Change, Input, KeyTexts, Output, Settings, data_key, document};
use crate::error::{Error, Kind, Result};
use crate::file::Content;
use crate::world::World;

/// Adds a key group to a file.
#[derive(Debug)]
pub(crate) struct GroupsAdd {
    pub(crate) file: PathBuf,
    pub(crate) keys: KeyTexts,
    pub(crate) in_place: bool,
    /// 0 keeps the threshold.
    pub(crate) threshold: u32,
    pub(crate) recipients: Recipients,
    pub(crate) lockout: Lockout,
    pub(crate) settings: Settings,
}

impl GroupsAdd {
    /// Computes the result. A group without a key, or with one that cannot wrap, fails (D8).
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        let mut keys = self.keys.parse(&self.keys.settings(&world.terminal)?)?;
        world.keys.complete(&mut keys)?;
        regroup(
            world,
            &self.settings,
            self.file,
            self.in_place,
            (self.recipients, self.lockout),
            |metadata| {
                if keys.is_empty() {
                    return Err(Error::generic(
                        "the new group has no key: nothing was written",
                    ));
                }
                let mut groups = groups_of(metadata);
                groups.push(keys);
                let threshold = match (self.threshold, metadata.shamir_threshold) {
                    (0, 0) => u32::try_from(groups.len()).unwrap_or(u32::MAX),
                    (0, kept) => kept.max(2),
                    (given, _) => given,
                };
                Ok((groups, threshold))
            },
        )
    }
}

/// Removes a key group from a file.
#[derive(Debug)]
pub(crate) struct GroupsDelete {
    pub(crate) file: PathBuf,
    pub(crate) index: usize,
    pub(crate) in_place: bool,
    /// 0 keeps the threshold.
    pub(crate) threshold: u32,
    pub(crate) recipients: Recipients,
    pub(crate) lockout: Lockout,
    pub(crate) settings: Settings,
}

impl GroupsDelete {
    /// Computes the result.
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        let (index, given) = (self.index, self.threshold);
        regroup(
            world,
            &self.settings,
            self.file,
            self.in_place,
            (self.recipients, self.lockout),
            |metadata| {
                let mut groups = groups_of(metadata);
                if index >= groups.len() {
                    return Err(Error::generic(format!(
                        "there is no group {index}: the file has {}, counted from 0",
                        groups.len()
                    )));
                }
                groups.remove(index);
                let threshold = match given {
                    0 => metadata.shamir_threshold,
                    given => given,
                };
                if groups.is_empty() {
                    return Err(Error::generic("the last group of a file cannot be removed"));
                }
                if groups.len() < threshold as usize {
                    return Err(Error::generic(format!(
                        "removing the group would leave {} groups, fewer than the threshold of {threshold} that it takes to decrypt",
                        groups.len()
                    ))
                    .hint("lower the threshold in the same command"));
                }
                Ok((groups, threshold))
            },
        )
    }
}

fn groups_of(metadata: &Metadata) -> Vec<Vec<KeyFields>> {
    metadata
        .groups
        .iter()
        .map(|group| group.iter().map(|entry| entry.key.clone()).collect())
        .collect()
}

/// Splits the data key again, among other groups; the values stay as they are (T39).
fn regroup(
    world: &World,
    settings: &Settings,
    file: PathBuf,
    in_place: bool,
    (recipients, lockout): (Recipients, Lockout),
    change: impl FnOnce(&Metadata) -> Result<(Vec<Vec<KeyFields>>, u32)>,
) -> Result<Change> {
    let config = world.configuration(settings)?;
    let from = Input::File(file.clone());
    let mut original = document::read(&from, in_place)?;
    let format = document::input_format(settings, &file);
    let encrypted = document::parse_any_version(format, original.take_bytes())?;
    let (groups, threshold) = change(encrypted.metadata())?;
    let wanted = Wanted {
        keys: Vec::new(),
        after: Some(Sharing::of_groups(&groups, threshold)),
    };
    recipients.check(world, settings, &file, encrypted.metadata(), wanted)?;
    // As upstream: here it is a failure like any other, without the code of its own.
    let key = data_key::recover(world, settings, encrypted.metadata()).map_err(|error| Error {
        kind: match error.kind {
            Kind::NoDataKey => Kind::Generic,
            kind => kind,
        },
        ..error
    })?;
    let layout = document::layout(settings, config.as_deref(), format)?;
    let metadata = rewrap(world, settings, &encrypted, &key, &groups, threshold)?;
    lockout.check(world, settings, &file, encrypted.metadata(), &metadata)?;
    let written = write_metadata(&encrypted, &metadata, layout)
        .map_err(|error| Error::new(crate::error::Kind::Emit, error.to_string()))?;
    Ok(Change {
        from,
        to: if in_place {
            Output::InPlace
        } else {
            Output::Stdout
        },
        original: Some(original),
        bytes: Some(written.text),
        content: Content::Encrypted,
        keys: super::key_names(&metadata),
        notes: Vec::new(),
        warnings: Vec::new(),
    })
}

/// The block of a file with its data key wrapped for other groups.
pub(super) fn rewrap(
    world: &World,
    settings: &Settings,
    file: &Encrypted,
    key: &Unwrapped,
    groups: &[Vec<KeyFields>],
    threshold: u32,
) -> Result<Metadata> {
    let mut metadata = file.metadata().clone();
    let before = std::mem::take(&mut metadata.groups);
    let now = Timestamp::now().into();
    (metadata.groups, metadata.shamir_threshold) =
        data_key::rewrap_for(world, settings, key, &before, groups, threshold, &now)?;
    Ok(metadata)
}

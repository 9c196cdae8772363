//! `rotate`: a new data key, all values re-encrypted, master keys added and removed.

use std::path::PathBuf;

use jiff::Timestamp;
use sealwright_crypto::data_key::DataKey;
use sealwright_documents::envelope::{Encrypted, decrypt_to_edit};
use sealwright_documents::metadata::KeyFields;

use super::sharing::{Lockout, Recipients, Wanted};
use super::update_keys::Target;
use super::{Change, Input, KeyTexts, Output, Settings, data_key, document, encrypt};
use crate::audit::Action;
use crate::error::{Error, Fault, Result};
use crate::file::Content;
use crate::world::World;

/// Makes a new data key for a file.
#[derive(Debug)]
pub(crate) struct Rotate {
    pub(crate) from: Input,
    pub(crate) to: Output,
    /// What types and rules go by.
    pub(crate) name: PathBuf,
    pub(crate) keys: RotatedKeys,
    pub(crate) ignore_mac: bool,
    pub(crate) recipients: Recipients,
    /// Which files need no new data key, where the command may leave some as they are.
    pub(crate) unless: Unless,
    /// What happens when no key here opens the result.
    pub(crate) lockout: Lockout,
    pub(crate) settings: Settings,
}

/// Whom the new data key is wrapped for.
#[derive(Debug)]
pub(crate) enum RotatedKeys {
    /// The recipients of the file, with changes.
    Changed {
        /// Keys for the first group.
        add: KeyTexts,
        /// Keys to take out of every group.
        remove: KeyTexts,
    },
    /// Those of its rule. A file that has them already keeps its data key.
    OfTheRule,
}

/// When a file keeps its data key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unless {
    /// When keys were named, and none of them is to be added or removed any more.
    pub(crate) idle: bool,
    /// When it was written after this time.
    pub(crate) written_after: Option<Timestamp>,
    /// Always: only the recipients are looked at.
    pub(crate) always: bool,
}

impl Rotate {
    /// Does it and delivers the result.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        self.change(world)?.finish(&world.terminal)
    }

    /// Computes the result.
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        let settings = &self.settings;
        let config = world.configuration(settings)?;
        let (mut add, mut remove) = match &self.keys {
            RotatedKeys::Changed { add, remove } => (
                add.parse(&add.settings(&world.terminal)?)?,
                remove.parse(&remove.settings(&world.terminal)?)?,
            ),
            RotatedKeys::OfTheRule => (Vec::new(), Vec::new()),
        };
        world.keys.complete(add.iter_mut().chain(&mut remove))?;
        let mut original = document::read(&self.from, self.to == Output::InPlace)?;
        let input = document::input_format(settings, &self.name);
        let file = document::parse_encrypted(input, original.take_bytes())?;
        let input = file.format();
        let output = document::encrypted_output_format(settings, &self.name, input);
        let target = match self.keys {
            RotatedKeys::Changed { .. } => None,
            RotatedKeys::OfTheRule => {
                Some(Target::of(world, settings, &self.name, file.metadata())?)
            }
        };
        if target.is_none() {
            let wanted = Wanted {
                keys: add.iter().chain(&remove).collect(),
                after: None,
            };
            self.recipients
                .check(world, settings, &self.name, file.metadata(), wanted)?;
        }
        let unneeded = match &target {
            Some(target) => (!target.changed).then_some(None),
            None => self.unneeded(&file, &add, &remove),
        };
        if let Some(note) = unneeded {
            return Ok(Change {
                from: self.from,
                to: self.to,
                original: Some(original),
                bytes: None,
                content: Content::Encrypted,
                keys: Vec::new(),
                notes: note.into_iter().collect(),
                warnings: Vec::new(),
            });
        }
        world.record(Action::Rotate, &self.from)?;
        let old_key = document::key_to_decrypt(world, settings, &self.from, &file)?;
        // No key is asked to wrap anything for a file that was changed behind its keys.
        let same_format = input.name() == output.name();
        let (plain, memory) = if self.ignore_mac {
            let plain = document::decrypt_with(world, &file, &old_key, true)?;
            (plain, None)
        } else {
            let (decrypted, memory) = decrypt_to_edit(&file, &old_key)
                .map_err(|error| document::decrypt_error(&error))?;
            let plain = document::take(world, decrypted);
            (plain, same_format.then(|| memory.for_new_key()))
        };
        let (groups, threshold, notes) = match target {
            Some(target) => {
                let groups = target.groups.clone();
                (groups, target.threshold, target.notes())
            }
            None => {
                let groups = change_groups(&file.metadata().groups, add, &remove)?;
                (groups, file.metadata().shamir_threshold, Vec::new())
            }
        };
        let now = Timestamp::now();
        let new_key = DataKey::generate();
        let mut metadata = file.metadata().clone();
        let before = metadata.groups.clone();
        (metadata.groups, metadata.shamir_threshold) =
            data_key::wrap_for(world, settings, &new_key, &groups, threshold, &now.into())?;
        data_key::keep_times(&mut metadata.groups, &before);
        self.lockout
            .check(world, settings, &self.name, file.metadata(), &metadata)?;
        let keys = super::key_names(&metadata);
        let layout = document::encrypted_layout(settings, config.as_deref(), &self.name)?;
        let plain = encrypt::in_format(plain, output, layout)?;
        let written = encrypt::Writing {
            world,
            from: &self.from,
            now,
            layout,
        }
        .write(plain, metadata, &new_key, memory)?;
        Ok(Change {
            from: self.from,
            to: self.to,
            original: Some(original),
            bytes: Some(written.bytes),
            content: Content::Encrypted,
            keys,
            notes,
            warnings: written.warnings,
        })
    }
}

impl Rotate {
    /// Whether the file needs no new data key; with a note when that may surprise.
    fn unneeded(
        &self,
        file: &Encrypted,
        add: &[KeyFields],
        remove: &[KeyFields],
    ) -> Option<Option<String>> {
        let metadata = file.metadata();
        if self.unless.always {
            return Some(None);
        }
        if let Some(limit) = self.unless.written_after
            && let Ok(written) = metadata.last_modified.as_str().parse::<Timestamp>()
            && written > limit
        {
            return Some(None);
        }
        if !self.unless.idle || (add.is_empty() && remove.is_empty()) {
            return None;
        }
        let has = |key: &KeyFields| {
            let entries = metadata.groups.iter().flatten();
            entries.into_iter().any(|entry| same(&entry.key, key))
        };
        if add.iter().any(|key| !has(key)) || remove.iter().any(has) {
            return None;
        }
        let absent: Vec<String> = remove.iter().map(KeyFields::identity).collect();
        let note = (!absent.is_empty())
            .then(|| format!("{} is not among its recipients", absent.join(", ")));
        Some(note)
    }
}

fn same(one: &KeyFields, other: &KeyFields) -> bool {
    one.kind() == other.kind() && one.identity() == other.identity()
}

/// The groups with keys added to the first and removed from all.
fn change_groups(
    groups: &[sealwright_documents::metadata::KeyGroup],
    add: Vec<KeyFields>,
    remove: &[KeyFields],
) -> Result<Vec<Vec<KeyFields>>> {
    let mut changed: Vec<Vec<KeyFields>> = groups
        .iter()
        .map(|group| group.iter().map(|entry| entry.key.clone()).collect())
        .collect();
    if let Some(first) = changed.first_mut() {
        for key in add {
            if !first.iter().any(|known| same(known, &key)) {
                first.push(key);
            }
        }
    }
    for (index, group) in changed.iter_mut().enumerate() {
        group.retain(|key| !remove.iter().any(|gone| same(gone, key)));
        if group.is_empty() {
            return Err(Error::of(Fault::Wrap)
                .because("empty key group provided")
                .hint(format!("group {index} would be left without a key")));
        }
    }
    Ok(changed)
}

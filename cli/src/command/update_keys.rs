//! `updatekeys`: files get the master keys that the configuration names for them.

use std::path::{Path, PathBuf};

use jiff::Zoned;
use sealwright_documents::envelope::write_metadata;
use sealwright_documents::metadata::{KeyFields, KeyGroup, Metadata};

use super::sharing::Lockout;
use super::{Change, Input, Output, Settings, data_key, document, groups};
use crate::error::{Error, Kind, Result};
use crate::file::Content;
use crate::terminal::Colour;
use crate::visible::recipient;
use crate::world::World;

/// Aligns the master keys of files with the configuration, asking before each.
#[derive(Debug)]
pub(crate) struct UpdateKeys {
    pub(crate) file: PathBuf,
    /// Do not ask.
    pub(crate) yes: bool,
    pub(crate) settings: Settings,
}

impl UpdateKeys {
    /// Does it.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let file = &self.file;
        // As upstream: progress on standard error with the local time before it, the difference on standard output.
        let now = Zoned::now().strftime("%Y/%m/%d %H:%M:%S");
        check_is_file(file)?;
        world
            .terminal
            .tell(&format!("{now} Syncing keys for file {}", file.display()));
        let Some(plan) = plan(world, file, &self.settings)? else {
            world
                .terminal
                .tell(&format!("{now} File {} already up to date", file.display()));
            return Ok(());
        };
        world
            .terminal
            .say("The following changes will be made to the file's groups:")?;
        for line in &plan.target.difference {
            say_difference(world, line)?;
        }
        if !self.yes {
            match world.terminal.ask_yes_no("Is this okay?") {
                Some(true) => {}
                Some(false) => {
                    world
                        .terminal
                        .tell(&format!("{now} File {} left unchanged", file.display()));
                    return Ok(());
                }
                None => return Err(Error::generic("there was no answer: nothing was written")),
            }
        }
        plan.carry_out(world, &self.settings, Lockout::Happens)?
            .deliver(&world.terminal)?;
        world.terminal.tell(&format!(
            "{now} File {} synced with new keys",
            file.display()
        ));
        Ok(())
    }
}

/// What an update of one file would write, for our own front-end, which asks with `--dry-run`.
pub(crate) fn change(
    world: &World,
    file: &Path,
    settings: &Settings,
    lockout: Lockout,
) -> Result<Change> {
    match plan(world, file, settings)? {
        Some(plan) => {
            let mut change = plan.carry_out(world, settings, lockout)?;
            if change.notes.iter().any(|note| note.starts_with("--- ")) {
                change.notes.push(format!(
                    "who was removed still knows the data key: `sealwright rotate {}` makes a new one",
                    crate::visible::shown(file)
                ));
            }
            Ok(change)
        }
        None => Ok(Change {
            from: Input::File(file.to_owned()),
            to: Output::InPlace,
            original: None,
            bytes: None,
            content: Content::Encrypted,
            keys: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
        }),
    }
}

struct Plan {
    from: Input,
    original: crate::file::Original,
    file: sealwright_documents::envelope::Encrypted,
    target: Target,
    layout: sealwright_documents::format::Layout,
}

fn check_is_file(file: &Path) -> Result<()> {
    match std::fs::metadata(file) {
        Err(error) => Err(Error::generic(format!("stat {}", file.display())).because(error)),
        Ok(found) if found.is_dir() => Err(Error::generic("can't operate on a directory")
            .hint(format!("{} is one; name its files", file.display()))),
        Ok(_) => Ok(()),
    }
}

/// Compares a file with its rule; `None` when there is nothing to do (S131).
fn plan(world: &World, file: &Path, settings: &Settings) -> Result<Option<Plan>> {
    check_is_file(file)?;
    let config = world.configuration(settings)?;
    let from = Input::File(file.to_owned());
    let mut original = document::read(&from, false)?;
    let format = document::input_format(settings, file);
    let encrypted = document::parse_any_version(format, original.take_bytes())?;
    // After the file, as upstream does: what is not encrypted is reported first.
    let target = Target::of(world, settings, file, encrypted.metadata())?;
    if !target.changed {
        return Ok(None);
    }
    Ok(Some(Plan {
        layout: document::layout(settings, config.as_deref(), format)?,
        from,
        original,
        file: encrypted,
        target,
    }))
}

/// The recipients that its rule wants a file to have.
pub(super) struct Target {
    pub(super) groups: Vec<Vec<KeyFields>>,
    pub(super) threshold: u32,
    /// A line for each key, those that come and go marked with `+++` and `---`.
    pub(super) difference: Vec<String>,
    /// Whether the file has other recipients.
    pub(super) changed: bool,
}

impl Target {
    /// Compares the recipients of a file with its rule.
    pub(super) fn of(
        world: &World,
        settings: &Settings,
        file: &Path,
        metadata: &Metadata,
    ) -> Result<Self> {
        let mut rule =
            super::rule_for(world, settings, file, &Default::default())?.ok_or_else(|| {
                let config = world.configuration(settings).ok().flatten();
                let config = config.map_or_else(
                    || ".sops.yaml".to_owned(),
                    |config| crate::visible::shown(config.path()),
                );
                Error::generic(format!(
                    "The config file {config} does not contain any creation rule"
                ))
            })?;
        world.keys.complete(rule.groups.iter_mut().flatten())?;
        let count = u32::try_from(rule.groups.len()).unwrap_or(u32::MAX);
        let kept = metadata.shamir_threshold.min(count);
        // Without a threshold all groups are needed, which is not told as a change.
        let threshold = match kept {
            0 if count > 1 => count,
            kept => kept,
        };
        let groups = difference(&metadata.groups, &rule.groups);
        let changed = kept != metadata.shamir_threshold
            || groups.iter().any(|line| line.starts_with(['+', '-']));
        let mut difference = threshold_difference(metadata.shamir_threshold, kept);
        difference.extend(groups);
        if changed && (rule.groups.iter().any(Vec::is_empty) || rule.groups.is_empty()) {
            return Err(Error::new(
                Kind::Generic,
                "the rule of the file has an empty key group: nothing was written",
            ));
        }
        Ok(Self {
            groups: rule.groups,
            threshold,
            difference,
            changed,
        })
    }

    /// The lines of what comes and goes.
    pub(super) fn notes(self) -> Vec<String> {
        let lines = self.difference.into_iter();
        lines.filter(|line| line.starts_with(['+', '-'])).collect()
    }
}

/// The lines about the threshold; none if there is no threshold. They come before the groups, as upstream prints them.
fn threshold_difference(old: u32, new: u32) -> Vec<String> {
    if old == new {
        let kept = (old > 0).then(|| format!("shamir_threshold: {old}"));
        return kept.into_iter().collect();
    }
    let line = |mark: &str, threshold: u32| {
        (threshold > 0).then(|| format!("{mark} shamir_threshold: {threshold}"))
    };
    [line("+++", new), line("---", old)]
        .into_iter()
        .flatten()
        .collect()
}

/// A line for each key of each group: those that stay, those that come, marked with `+++`, and those that go, marked with
/// `---`.
pub(super) fn difference(old: &[KeyGroup], new: &[Vec<KeyFields>]) -> Vec<String> {
    let mut difference = Vec::new();
    for index in 0..old.len().max(new.len()) {
        let empty = KeyGroup::new();
        let old = old.get(index).unwrap_or(&empty);
        let new = new.get(index).map(Vec::as_slice).unwrap_or_default();
        difference.push(format!("Group {}", index + 1));
        difference.extend(compare(old, new));
    }
    difference
}

/// Shows such a line in its colour.
pub(super) fn say_difference(world: &World, line: &str) -> Result<()> {
    match line.as_bytes().first() {
        Some(b'+') => world.terminal.say_painted(Colour::Green, line),
        Some(b'-') => world.terminal.say_painted(Colour::Red, line),
        _ => world.terminal.say(line),
    }
}

fn compare(old: &KeyGroup, new: &[KeyFields]) -> Vec<String> {
    let name = |key: &KeyFields| (key.kind(), key.identity());
    let old: Vec<_> = old.iter().map(|entry| name(&entry.key)).collect();
    let new: Vec<_> = new.iter().map(name).collect();
    let (kept, added): (Vec<_>, Vec<_>) = new.iter().partition(|key| old.contains(key));
    let gone = old.iter().filter(|key| !new.contains(key));
    let kept = kept
        .into_iter()
        .map(|(_, key)| format!("    {}", recipient(key)));
    let added = added
        .into_iter()
        .map(|(_, key)| format!("+++ {}", recipient(key)));
    let gone = gone.map(|(_, key)| format!("--- {}", recipient(key)));
    kept.chain(added).chain(gone).collect()
}

impl Plan {
    fn carry_out(self, world: &World, settings: &Settings, lockout: Lockout) -> Result<Change> {
        let key = data_key::recover(world, settings, self.file.metadata())?;
        let metadata = groups::rewrap(
            world,
            settings,
            &self.file,
            &key,
            &self.target.groups,
            self.target.threshold,
        )?;
        if let Input::File(file) = &self.from {
            lockout.check(world, settings, file, self.file.metadata(), &metadata)?;
        }
        let written = write_metadata(&self.file, &metadata, self.layout)
            .map_err(|error| Error::new(Kind::Emit, error.to_string()))?;
        Ok(Change {
            from: self.from,
            to: Output::InPlace,
            original: Some(self.original),
            bytes: Some(written.text),
            content: Content::Encrypted,
            keys: super::key_names(&metadata),
            notes: self.target.notes(),
            warnings: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_told_where_there_is_one() {
        for (old, new, lines) in [
            (0, 0, &[][..]),
            (2, 2, &["shamir_threshold: 2"]),
            (
                3,
                2,
                &["+++ shamir_threshold: 2", "--- shamir_threshold: 3"],
            ),
            (0, 2, &["+++ shamir_threshold: 2"]),
            (2, 0, &["--- shamir_threshold: 2"]),
        ] {
            assert_eq!(threshold_difference(old, new), lines);
        }
    }
}

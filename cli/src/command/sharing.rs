//! Who a file is encrypted for, beside who it should be for: the `sops` block against the creation rule.
//!
//! Nothing authenticates the block, so anyone who can write a file can add a recipient to it. Commands that wrap a data key
//! for the recipients of a file would hand them the next key; in our own front-end they compare first.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sealwright_documents::metadata::{KeyFields, KeyGroup, Metadata};

use super::{Settings, data_key};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Whether the recipients of a file are taken as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// As upstream does.
    #[default]
    AsTheyAre,
    /// They must be those of the creation rule that matches the file, if one does.
    AsTheRuleSays,
}

/// What happens when a command would leave a file that no key of this machine opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lockout {
    /// The file is written, as upstream does.
    #[default]
    Happens,
    /// The person is asked; without a terminal it is an error.
    Asks,
    /// The file is written: the person said yes beforehand.
    IsWanted,
}

impl Lockout {
    /// Tries the new block with the keys of this machine, when recipients went or more of them are needed.
    pub(crate) fn check(
        self,
        world: &World,
        settings: &Settings,
        name: &Path,
        before: &Metadata,
        after: &Metadata,
    ) -> Result<()> {
        static ONE_QUESTION: Mutex<()> = Mutex::new(());

        if self != Self::Asks {
            return Ok(());
        }
        let (old, new) = (Sharing::of_file(before), Sharing::of_file(after));
        let stays = old.groups.len() == new.groups.len()
            && new.threshold <= old.threshold
            && old
                .groups
                .iter()
                .zip(&new.groups)
                .all(|(old, new)| old.is_subset(new));
        if stays || data_key::recover(world, settings, after).is_ok() {
            return Ok(());
        }
        let shown = crate::visible::shown(name);
        let text = format!("no key of this machine would open {shown} any more");
        if world.terminal.reads_from_person() {
            let _alone = ONE_QUESTION.lock().unwrap_or_else(PoisonError::into_inner);
            if world
                .terminal
                .ask_yes_no(&format!("{text}. Write it all the same?"))
                == Some(true)
            {
                return Ok(());
            }
        }
        Err(
            Error::new(Kind::Recipients, format!("{text}; nothing was written"))
                .hint("with --yes it is written all the same"),
        )
    }
}

/// A recipient, by the section of its kind and what tells it apart there.
type Id = (&'static str, String);

/// The recipients of a file: groups, and how many of them are needed.
pub(crate) struct Sharing {
    groups: Vec<BTreeSet<Id>>,
    threshold: u32,
}

impl Sharing {
    /// Those of a file.
    pub(crate) fn of_file(metadata: &Metadata) -> Self {
        let ids = |group: &KeyGroup| group.iter().map(|entry| id(&entry.key)).collect();
        Self::new(
            metadata.groups.iter().map(ids).collect(),
            metadata.shamir_threshold,
        )
    }

    /// Those of a list of groups.
    pub(crate) fn of_groups(groups: &[Vec<KeyFields>], threshold: u32) -> Self {
        let ids = |group: &Vec<KeyFields>| group.iter().map(id).collect();
        Self::new(groups.iter().map(ids).collect(), threshold)
    }

    fn new(groups: Vec<BTreeSet<Id>>, threshold: u32) -> Self {
        let count = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        let threshold = match (count, threshold) {
            (0 | 1, _) => 1,
            (count, 0) => count,
            (_, threshold) => threshold,
        };
        Self { groups, threshold }
    }

    fn without(mut self, ids: &BTreeSet<Id>) -> Self {
        for group in &mut self.groups {
            group.retain(|id| !ids.contains(id));
        }
        self
    }

    /// What differs from `rule`, for people; nothing when a file may be as it is.
    fn differences(&self, rule: &Sharing) -> Vec<String> {
        let empty = BTreeSet::new();
        let several = self.groups.len().max(rule.groups.len()) > 1;
        let mut lines = Vec::new();
        for index in 0..self.groups.len().max(rule.groups.len()) {
            let place = match several {
                true => format!(" in group {index}"),
                false => String::new(),
            };
            let here = self.groups.get(index).unwrap_or(&empty);
            let there = rule.groups.get(index).unwrap_or(&empty);
            for (kind, name) in here.difference(there) {
                lines.push(format!(
                    "  + {kind} {name}{place} is in the file and not in the rule"
                ));
            }
            for (kind, name) in there.difference(here) {
                lines.push(format!(
                    "  - {kind} {name}{place} is in the rule and not in the file"
                ));
            }
        }
        if self.threshold < rule.threshold {
            lines.push(format!(
                "  ! {} of the groups are enough to decrypt the file, and the rule asks for {}",
                self.threshold, rule.threshold
            ));
        }
        lines
    }
}

fn id(key: &KeyFields) -> Id {
    (key.kind().section, key.identity())
}

/// What a command changes about the recipients, and was told to.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// Keys that are named as added or removed: they may differ from the rule.
    pub(crate) keys: Vec<&'a KeyFields>,
    /// The recipients afterwards, where groups change: they may agree with the rule instead of those before.
    pub(crate) after: Option<Sharing>,
}

impl Recipients {
    /// Refuses a file whose recipients differ from its creation rule, where that matters.
    pub(crate) fn check(
        self,
        world: &World,
        settings: &Settings,
        name: &Path,
        metadata: &Metadata,
        wanted: Wanted<'_>,
    ) -> Result<()> {
        if self == Self::AsTheyAre {
            return Ok(());
        }
        let Some(config) = world.configuration(settings)? else {
            return Ok(());
        };
        let Some((line, rule)) = config.matching_rule(name)? else {
            return Ok(());
        };
        let place = format!("{}, line {line}", crate::visible::shown(config.path()));
        let named: BTreeSet<Id> = wanted.keys.iter().map(|key| id(key)).collect();
        let groups = settled(&rule.groups, metadata);
        let rule = Sharing::of_groups(&groups, rule.threshold).without(&named);
        if let Some(after) = wanted.after
            && after.differences(&rule).is_empty()
        {
            return Ok(());
        }
        let differences = Sharing::of_file(metadata)
            .without(&named)
            .differences(&rule);
        if differences.is_empty() {
            return Ok(());
        }
        let shown = crate::visible::shown(name);
        Err(Error::new(
            Kind::Recipients,
            format!("the recipients of {shown} differ from its creation rule ({place})"),
        )
        .report(differences)
        .hint(format!(
            "if the rule is right, `sealwright updatekeys {shown}` gives the file its recipients; if the file is, correct the rule or give --accept-recipients"
        )))
    }
}

/// The keys of a rule, with what they leave open as the file has it: a key of Azure that is named without its version is
/// the one that the file names with it.
fn settled(groups: &[Vec<KeyFields>], metadata: &Metadata) -> Vec<Vec<KeyFields>> {
    let settle = |key: &KeyFields| {
        let mut entries = metadata.groups.iter().flatten();
        let there = entries.find(|entry| key.is_open() && key.stands_for(&entry.key));
        there.map_or_else(|| key.clone(), |entry| entry.key.clone())
    };
    let groups = groups.iter();
    groups
        .map(|group| group.iter().map(settle).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharing(groups: &[&[&str]], threshold: u32) -> Sharing {
        let id = |name: &&str| ("age", (*name).to_owned());
        let groups = groups
            .iter()
            .map(|group| group.iter().map(id).collect())
            .collect();
        Sharing::new(groups, threshold)
    }

    #[test]
    fn a_recipient_more_or_less_and_a_lower_threshold_differ() {
        let rule = sharing(&[&["a", "b"], &["c"]], 2);
        let same = sharing(&[&["b", "a"], &["c"]], 0);
        assert!(same.differences(&rule).is_empty());
        let text = |sharing: Sharing| sharing.differences(&rule).join("\n");
        assert!(text(sharing(&[&["a", "b", "m"], &["c"]], 2)).contains("+ age m in group 0"));
        assert!(text(sharing(&[&["a"], &["c"]], 2)).contains("- age b in group 0"));
        assert!(text(sharing(&[&["a", "b"], &["c"]], 1)).contains("1 of the groups"));
        assert!(text(sharing(&[&["a", "b", "c"]], 0)).contains("- age c in group 1"));
    }
}

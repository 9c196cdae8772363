//! `recipients`: who can open which files, and how someone joins or leaves: the rule, the files and their data keys in one
//! step.
//!
//! # Contract
//! - Everything is computed before the first byte is written: a file that cannot be opened, or that no key here would open
//!   afterwards, stops the command while all files are as they were.
//! - The configuration is written first, so that no new file is encrypted for someone who leaves. A run that is cut off is
//!   started again: what is done already is left alone.
//! - Who leaves knows the data keys, so files get new ones.

mod key_or_name;
mod plan;
mod rule;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sealwright_documents::metadata::Metadata;
use serde_json::{Value, json};

pub(crate) use self::key_or_name::KeyOrName;
use self::plan::Plan;
use self::rule::{has, heading, id, rule_of};
pub(crate) use self::scope::Scope;
use super::sharing::Recipients;
use super::{Input, Output, Rotate, RotatedKeys, Settings, Unless, update_keys};
use crate::config::Config;
use crate::config::rule_text::{Id, RuleChange};
use crate::error::{Error, Kind, Result};
use crate::visible::{recipient, shown};
use crate::world::World;

/// The configuration to work on.
fn configuration(world: &World, settings: &Settings) -> Result<Config> {
    let place = world.configurations.find(settings.config.as_deref())?;
    let place = place.ok_or_else(|| {
        Error::new(
            Kind::NoFile,
            "there is no .sops.yaml here or in a folder above",
        )
        .hint("`sealwright init` makes one")
    })?;
    Config::read(&place)
}

/// Tells which keys the rules name.
#[derive(Debug)]
pub(crate) struct RecipientsList {
    /// Only those of the rule of this file.
    pub(crate) path: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl RecipientsList {
    /// Prints the keys of each rule with the names of their holders.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let config = configuration(world, &self.settings)?;
        let names = config.names();
        let only = match &self.path {
            Some(path) => Some(rule_of(&config, path)?),
            None => None,
        };
        let mut entries = Vec::new();
        let rules = config.rules().creation_rules.iter().flatten().enumerate();
        for (number, rule) in rules.filter(|(number, _)| only.is_none_or(|only| only == *number)) {
            let groups = rule
                .groups()
                .map_err(|error| Error::generic(error.to_string()))?;
            let keys = groups
                .iter()
                .enumerate()
                .flat_map(|(group, keys)| keys.iter().map(move |key| (group, key)));
            if self.json {
                let keys: Vec<Value> = keys
                    .map(|(group, key)| {
                        json!({
                            "kind": key.kind().section,
                            "key": recipient(&key.identity()),
                            "name": names.of(key.kind().section, &key.identity()),
                            "group": group,
                        })
                    })
                    .collect();
                entries.push(json!({
                    "rule": number,
                    "line": rule.line,
                    "path_regex": rule.path_regex.text,
                    "recipients": keys,
                }));
                continue;
            }
            world.terminal.say(&heading(&config, number))?;
            for (group, key) in keys {
                let place = match groups.len() {
                    0 | 1 => String::new(),
                    _ => format!("group {group}: "),
                };
                let section = key.kind().section;
                let shown = names.shown(section, &key.identity());
                world
                    .terminal
                    .say(&format!("    {place}{section} {shown}"))?;
            }
        }
        if self.json {
            let value = json!({ "configuration": shown(config.path()), "rules": entries });
            return world.terminal.say_json(&value);
        }
        Ok(())
    }
}

/// Lets someone open files.
#[derive(Debug)]
pub(crate) struct RecipientsAdd {
    pub(crate) who: KeyOrName,
    /// The name of a key that is new.
    pub(crate) name: Option<String>,
    pub(crate) scope: Scope,
    /// The key group that the key joins.
    pub(crate) group: usize,
}

/// Takes someone out of the recipients of files.
#[derive(Debug)]
pub(crate) struct RecipientsRemove {
    pub(crate) who: KeyOrName,
    pub(crate) scope: Scope,
}

impl RecipientsAdd {
    /// Shows what will be done, asks, and does it.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let before = configuration(world, &self.scope.settings)?;
        let names = before.names();
        let (key, name) = match self.who.key()? {
            Some(key) => {
                let known = names.of(key.kind().section, &key.identity());
                (key.clone(), self.name.clone().or(known.map(str::to_owned)))
            }
            None => {
                let ids = names.keys_of(&self.who.0);
                let rules = before.rules().creation_rules.iter().flatten();
                let groups = rules.filter_map(|rule| rule.groups().ok());
                let key = groups
                    .flatten()
                    .flatten()
                    .find(|key| ids.contains(&id(key)));
                let key = key.cloned().ok_or_else(|| self.who.unknown(&names))?;
                (key, Some(self.who.0.clone()))
            }
        };
        if name
            .as_ref()
            .is_some_and(|name| name.contains(['\n', '\r']))
        {
            return Err(Error::new(Kind::Usage, "a name has one line"));
        }
        let count = before.rules().creation_rules.iter().flatten().count();
        let rules = self.scope.rules(world, &before)?.map_or_else(
            || match count {
                0 => Err(Error::generic("the configuration has no creation rule")),
                1 => Ok(BTreeSet::from([0])),
                count => Err(Error::new(
                    Kind::Usage,
                    format!("there are {count} rules: say for which files"),
                )
                .hint("name a file or a folder of the rule, or give --all")),
            },
            Ok,
        )?;
        let wanted = RuleChange::Add {
            key: &key,
            name: name.as_deref(),
            group: self.group,
        };
        let plan = Plan::new(&self.scope, before, &rules, &wanted, |rule| {
            !has(rule, &id(&key), Some(self.group))
        })?;
        let settings = &self.scope.settings;
        plan.carry_out(world, "updated", &|path, lockout| {
            update_keys::change(world, path, settings, lockout)
        })
    }
}

impl RecipientsRemove {
    /// Shows what will be done, asks, and does it.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let before = configuration(world, &self.scope.settings)?;
        let names = before.names();
        let gone: BTreeSet<Id> = match self.who.key()? {
            Some(key) => BTreeSet::from([id(&key)]),
            None => names.keys_of(&self.who.0).into_iter().collect(),
        };
        if gone.is_empty() {
            return Err(self.who.unknown(&names));
        }
        let count = before.rules().creation_rules.iter().flatten().count();
        let rules = self.scope.rules(world, &before)?;
        let rules = rules.unwrap_or_else(|| (0..count).collect());
        let wanted = RuleChange::Remove(&gone);
        let plan = Plan::new(&self.scope, before, &rules, &wanted, |rule| {
            gone.iter().any(|key| has(rule, key, None))
        })?;
        let settings = &self.scope.settings;
        plan.carry_out(world, "rotated", &|path, lockout| {
            Rotate {
                from: Input::File(path.to_owned()),
                to: Output::InPlace,
                name: path.to_owned(),
                keys: RotatedKeys::OfTheRule,
                ignore_mac: false,
                recipients: Recipients::AsTheRuleSays,
                unless: Unless::default(),
                lockout,
                settings: settings.clone(),
            }
            .change(world)
        })
    }
}

/// The files that each recipient can open, for `status --by recipient`.
pub(crate) fn by_recipient<'a>(
    files: impl Iterator<Item = (&'a Path, &'a Metadata)>,
) -> BTreeMap<Id, Vec<PathBuf>> {
    let mut by: BTreeMap<Id, Vec<PathBuf>> = BTreeMap::new();
    for (path, metadata) in files {
        for entry in metadata.groups.iter().flatten() {
            let paths = by.entry(id(&entry.key)).or_default();
            if paths.last().is_none_or(|last| last != path) {
                paths.push(path.to_owned());
            }
        }
    }
    by
}

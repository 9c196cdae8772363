//! `recipients`: who can open which files, and how someone joins or leaves: the rule, the files and their data keys in one
//! step.
//!
//! # Contract
//! - Everything is computed before the first byte is written: a file that cannot be opened, or that no key here would open
//!   afterwards, stops the command while all files are as they were.
//! - The configuration is written first, so that no new file is encrypted for someone who leaves. A run that is cut off is
//!   started again: what is done already is left alone.
//! - Who leaves knows the data keys, so files get new ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use sealwright_crypto::key_kind::{
    AGE, AWS_KMS, AZURE_KEY_VAULT, GCP_KMS, KeyFields, PGP, VAULT_TRANSIT,
};
use serde_json::{Map, Value, json};

use super::batch::Batch;
use super::found::{Found, Wanted, What, what_is};
use super::sharing::{Lockout, Recipients};
use super::{Input, Output, Rotate, RotatedKeys, Settings, Unless, absolute, update_keys};
use crate::config::rule_text::{self, Id, RuleChange};
use crate::config::{Config, Names};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::visible::{recipient, shown};
use crate::world::World;

/// Someone, by a key or by a name of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct KeyOrName(pub(crate) String);

impl KeyOrName {
    /// The key that the text is, if it is one.
    fn key(&self) -> Result<Option<KeyFields>> {
        let text = self.0.trim();
        let upper = text.to_ascii_uppercase();
        let is_fingerprint = text.len() >= 16
            && text
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b' ');
        let kind = if upper.starts_with("AGE1")
            || upper.starts_with("AGE-SECRET-KEY-")
            || text.starts_with("ssh-")
            || upper.contains("PRIVATE KEY")
        {
            &AGE
        } else if text.starts_with("arn:") {
            &AWS_KMS
        } else if text.starts_with("projects/") {
            &GCP_KMS
        } else if text.starts_with("https://") && text.contains("/keys/") && !text.contains("/v1/")
        {
            &AZURE_KEY_VAULT
        } else if text.contains("://") {
            &VAULT_TRANSIT
        } else if is_fingerprint {
            &PGP
        } else {
            return Ok(None);
        };
        let failed =
            |error: sealwright_crypto::key_kind::KeyTextError| Error::generic(error.to_string());
        let key = kind.parse(text).map_err(failed)?;
        key.check_named().map_err(failed)?;
        Ok(Some(key))
    }

    /// The age recipient that the text is, if it is a key.
    pub(super) fn recipient(&self) -> Result<Option<String>> {
        match self.key()? {
            Some(key) if key.kind() == &AGE => Ok(Some(key.identity())),
            Some(key) => Err(
                Error::generic(format!("{} is no age recipient", key.identity())).hint(
                    "begin with an age key; `sealwright recipients add` takes keys of all kinds",
                ),
            ),
            None => Ok(None),
        }
    }

    fn unknown(&self, names: &Names) -> Error {
        let error = Error::generic(format!("no recipient is called {:?}", self.0));
        match names.all().join(", ") {
            known if known.is_empty() => error.hint(
                "a key gets a name by a comment behind it in the configuration: `- age1… # alice`",
            ),
            known => error.hint(format!("the configuration knows {known}")),
        }
    }
}

fn id(key: &KeyFields) -> Id {
    (key.kind().section, key.identity())
}

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

/// A rule for people.
fn heading(config: &Config, number: usize) -> String {
    let rule = config.rules().creation_rules.iter().flatten().nth(number);
    let Some(rule) = rule else {
        return shown(config.path());
    };
    let files = match rule.path_regex.text.as_str() {
        "" => "every file".to_owned(),
        pattern => format!("path_regex {pattern:?}"),
    };
    format!("{}, line {}: {files}", shown(config.path()), rule.line)
}

fn rule_of(config: &Config, path: &Path) -> Result<usize> {
    let path = absolute(path)?;
    config.rule_number(&path)?.ok_or_else(|| {
        Error::generic(format!("no creation rule covers {}", shown(&path)))
            .hint("`sealwright config explain` tells which rules were looked at")
    })
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

/// Which rules and files are meant, and how the command goes about it.
#[derive(Debug)]
pub(crate) struct Scope {
    /// A file or folder: the rules of its files are meant.
    pub(crate) path: Option<PathBuf>,
    /// All rules are meant.
    pub(crate) all: bool,
    pub(crate) yes: bool,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
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

/// Whether a rule names a key, in a certain group or in any.
fn has(rule: &[Vec<KeyFields>], key: &Id, group: Option<usize>) -> bool {
    let mut groups = rule.iter().enumerate();
    groups.any(|(number, keys)| {
        group.is_none_or(|group| group == number) && keys.iter().any(|known| id(known) == *key)
    })
}

impl Scope {
    /// The rules that a path means; `None` when none was given.
    fn rules(&self, world: &World, config: &Config) -> Result<Option<BTreeSet<usize>>> {
        if self.all {
            let count = config.rules().creation_rules.iter().flatten().count();
            return Ok(Some((0..count).collect()));
        }
        let Some(path) = &self.path else {
            return Ok(None);
        };
        if !path.is_dir() {
            return Ok(Some(BTreeSet::from([rule_of(config, path)?])));
        }
        let found = Found::look(
            world,
            &self.settings,
            std::slice::from_ref(path),
            Wanted::Any,
        )?;
        let rules = found.files.iter().map(|file| config.rule_number(file));
        let rules: BTreeSet<Option<usize>> = rules.collect::<Result<_>>()?;
        let rules: BTreeSet<usize> = rules.into_iter().flatten().collect();
        match rules.is_empty() {
            true => Err(Error::generic(format!(
                "no creation rule covers a file below {}",
                shown(path)
            ))),
            false => Ok(Some(rules)),
        }
    }

    /// The places where encrypted files of the rules are looked for: the folder of the configuration, and what was named.
    /// Behind a link into that folder, files have other names, and by these another rule: where no path was named, the
    /// working folder is looked through, too.
    fn places(&self, config: &Config) -> Result<Vec<PathBuf>> {
        let own = config.place().own_folder();
        let mut places = vec![own.to_owned()];
        match &self.path {
            Some(path) if path.is_dir() => places.push(path.clone()),
            // A file that is not there yet can name a rule, too.
            Some(path) if path.exists() => {
                let what = what_is(path, &self.settings).map_err(|error| {
                    Error::new(Kind::Read, format!("cannot read {}", shown(path))).because(error)
                })?;
                if what == What::Encrypted {
                    places.push(path.clone());
                }
            }
            Some(_) => {}
            None => {
                let here = absolute(Path::new(""))?;
                let is_inside = || {
                    Some(
                        here.canonicalize()
                            .ok()?
                            .starts_with(own.canonicalize().ok()?),
                    )
                };
                if !here.starts_with(own) && is_inside() == Some(true) {
                    places.push(here);
                }
            }
        }
        Ok(places)
    }
}

/// What a change of recipients does.
struct Plan<'a> {
    scope: &'a Scope,
    before: Config,
    after: Option<Config>,
    /// The rules whose files are looked at.
    rules: BTreeSet<usize>,
    /// What changes in the configuration, for people.
    lines: Vec<String>,
}

impl<'a> Plan<'a> {
    /// Changes the rules that need it, in memory.
    fn new(
        scope: &'a Scope,
        before: Config,
        rules: &BTreeSet<usize>,
        wanted: &RuleChange<'_>,
        needs: impl Fn(&[Vec<KeyFields>]) -> bool,
    ) -> Result<Self> {
        let names = before.names();
        let mut after: Option<Config> = None;
        let mut lines = Vec::new();
        for &number in rules {
            let config = after.as_ref().unwrap_or(&before);
            let rule = config.rules().creation_rules.iter().flatten().nth(number);
            let groups = match rule.map(|rule| rule.groups()) {
                Some(Ok(groups)) => groups,
                Some(Err(error)) => return Err(Error::generic(error.to_string())),
                None => continue,
            };
            if !needs(groups) {
                continue;
            }
            let heading = heading(&before, number);
            let changed = rule_text::change(config, number, wanted)?;
            match wanted {
                RuleChange::Add { key, name, .. } => {
                    let key = key.identity();
                    let key = match name {
                        Some(name) => format!("{name} ({key})"),
                        None => key,
                    };
                    lines.push(format!("{heading}: + {key}"));
                }
                RuleChange::Remove(gone) => {
                    for (kind, key) in gone.iter().filter(|key| has(groups, key, None)) {
                        lines.push(format!("{heading}: - {}", names.shown(kind, key)));
                    }
                }
            }
            after = Some(changed);
        }
        Ok(Self {
            scope,
            before,
            after,
            rules: rules.clone(),
            lines,
        })
    }

    /// The encrypted files of the rules, each once.
    fn files(&self, world: &World) -> Result<Vec<PathBuf>> {
        let places = self.scope.places(&self.before)?;
        let found = Found::look(world, &self.scope.settings, &places, Wanted::Encrypted)?;
        if let Some((_, error)) = found.unreadable.into_iter().next() {
            return Err(error);
        }
        let mut files = Vec::with_capacity(found.files.len());
        let mut seen = HashSet::new();
        for file in found.files {
            // A file whose rule is not known must not stay behind unseen.
            let rule = self.before.rule_number(&file)?;
            let real = || file.canonicalize().unwrap_or_else(|_| file.clone());
            if rule.is_some_and(|rule| self.rules.contains(&rule)) && seen.insert(real()) {
                files.push(file);
            }
        }
        Ok(files)
    }

    fn carry_out(
        self,
        world: &World,
        done: &'static str,
        work: &(dyn Fn(&Path, Lockout) -> Result<super::Change> + Sync),
    ) -> Result<()> {
        let scope = self.scope;
        let settings = &scope.settings;
        let original = file::read_to_update(self.before.path()).map_err(|error| {
            let text = format!("cannot read {}", shown(self.before.path()));
            Error::new(Kind::Read, text).because(error)
        })?;
        if original.bytes != *self.before.text() {
            return Err(Error::generic(format!(
                "{} was changed meanwhile; nothing was written",
                shown(self.before.path())
            )));
        }
        let files = self.files(world)?;
        let text = self
            .after
            .as_ref()
            .map(|config| sealwright_crypto::secret::SecretBytes::copy_of(config.text().expose()));
        let about = self.about();
        if let Some(after) = self.after {
            world.configurations.put(settings.config.as_deref(), after);
        }
        let mut batch = Batch {
            paths: &files,
            dry_run: true,
            check: false,
            json: scope.json,
            done,
            way_back: None,
            wanted: Wanted::Encrypted,
            settings,
        };
        let lockout = match scope.yes {
            true => Lockout::IsWanted,
            false => Lockout::Asks,
        };
        let planned = batch.collect(world, &|path| {
            let mut change = work(path, lockout)?;
            // The plan tells who comes and goes; the others stay.
            if !scope.json {
                change.keys.clear();
                change.notes.retain(|note| note.starts_with(['+', '-']));
            }
            Ok(change)
        })?;
        let changed = planned.changed();
        if !planned.is_good() {
            let told = batch.tell(world, planned, about);
            let error = told.err().unwrap_or_else(|| Error::generic(""));
            return Err(error.hint("the configuration and all files are unchanged"));
        }
        if text.is_none() && changed == 0 {
            if scope.json {
                return batch.tell(world, planned, about);
            }
            world
                .terminal
                .remark("nothing to do: the rules and the files say so already");
            return Ok(());
        }
        if scope.dry_run || !scope.json {
            for line in self.lines.iter().filter(|_| !scope.json) {
                world.terminal.say(line)?;
            }
            batch.tell(world, planned, about.clone())?;
        }
        if scope.dry_run {
            return Ok(());
        }
        if !scope.yes {
            let asked = match scope.json || !world.terminal.reads_from_person() {
                true => None,
                false => world.terminal.ask_yes_no("Go on?"),
            };
            if asked != Some(true) {
                let error = Error::new(Kind::Interrupted, "nothing was written");
                return Err(match asked {
                    Some(_) => error,
                    None => error.hint("with --yes it is done without a question"),
                });
            }
        }
        if let Some(text) = text {
            file::replace(
                &world.terminal,
                self.before.path(),
                &text,
                Content::Encrypted,
                Some(&original),
            )?;
        }
        drop(original);
        batch.dry_run = false;
        let results = batch.collect(world, &|path| work(path, Lockout::IsWanted))?;
        let is_good = results.is_good();
        batch.tell(world, results, about)?;
        if done == "rotated" && is_good {
            world
                .terminal
                .remark("what was opened before may be known: change the values that matter, too");
        }
        Ok(())
    }

    /// What JSON says of the change besides the files.
    fn about(&self) -> Map<String, Value> {
        let mut about = Map::new();
        about.insert("configuration".into(), shown(self.before.path()).into());
        about.insert("rules".into(), self.lines.clone().into());
        about
    }
}

/// The files that each recipient can open, for `status --by recipient`.
pub(crate) fn by_recipient<'a>(
    files: impl Iterator<Item = (&'a Path, &'a sealwright_documents::metadata::Metadata)>,
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

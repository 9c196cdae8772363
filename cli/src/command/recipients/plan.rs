//! A change of recipients: what it does to the configuration and to the files, worked out before anything is written.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use sealwright_crypto::key_kind::KeyFields;
use sealwright_crypto::secret::SecretBytes;
use serde_json::{Map, Value};

use super::super::Change;
use super::super::batch::Batch;
use super::super::found::{Found, Wanted};
use super::super::sharing::Lockout;
use super::rule::{has, heading};
use super::scope::Scope;
use crate::config::Config;
use crate::config::rule_text::{self, RuleChange};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::visible::shown;
use crate::world::World;

/// What a change of recipients does.
pub(super) struct Plan<'a> {
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
    pub(super) fn new(
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

    pub(super) fn carry_out(
        self,
        world: &World,
        done: &'static str,
        work: &(dyn Fn(&Path, Lockout) -> Result<Change> + Sync),
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
            .map(|config| SecretBytes::copy_of(config.text().expose()));
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

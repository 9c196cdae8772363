//! `doctor`: what this program is, which configuration and keys it finds, and what it can do with the files of a tree.
//!
//! Nothing is written, and nothing is fetched but what it takes to open files.

use std::path::{Path, PathBuf};

use sealwright_crypto::age::Content;
use sealwright_documents::envelope::Encrypted;
use serde_json::{Map, Value, json};

use super::batch;
use super::found::{Found, Wanted, What, what_is};
use super::sharing::{Recipients, Wanted as WantedKeys};
use super::{Settings, data_key, document};
use crate::config::{Config, Names};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::visible::{shown, without_secrets};
use crate::world::World;

/// Looks at everything that decides whether commands work here.
#[derive(Debug)]
pub(crate) struct Doctor {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

/// What is true of one file.
enum State {
    Opens,
    /// It opens, and has other recipients than its rule.
    Differs(String),
    /// No key here opens it; for whom it is encrypted.
    Closed(Vec<String>),
    Sealed,
    /// Plain, and a rule covers it.
    Plain,
    /// Plain, and no rule says that it should be otherwise.
    Uncovered,
    Broken(String),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Opens => "opens",
            State::Differs(_) => "differs",
            State::Closed(_) => "closed",
            State::Sealed => "sealed",
            State::Plain => "plain",
            State::Uncovered => "uncovered",
            State::Broken(_) => "unreadable",
        }
    }

    /// Whether someone has to do something about it. That a file is for others is as it should be.
    fn is_problem(&self, strict: bool) -> bool {
        match self {
            State::Opens | State::Sealed | State::Uncovered => false,
            State::Closed(_) => strict,
            State::Differs(_) | State::Plain | State::Broken(_) => true,
        }
    }
}

impl Doctor {
    /// Tells everything; fails when something has to be done.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let (config, problems) = self.configuration(world)?;
        let names = config.as_ref().map(Config::names).unwrap_or_default();
        let here = [PathBuf::from(".")];
        let paths = match &self.paths[..] {
            [] => &here[..],
            paths => paths,
        };
        let found = Found::look(world, &self.settings, paths, Wanted::AnyByUsableRules)?;
        let skipped = found.skipped_counts();
        let mut files: Vec<(PathBuf, State)> = Vec::with_capacity(found.files.len());
        let total = found.files.len();
        for path in found.files {
            world
                .terminal
                .progress(files.len() + 1, total, &shown(&path));
            let state = self.state(world, &names, &path);
            files.push((path, state));
        }
        world.terminal.clear_progress();
        for (path, error) in found.unreadable {
            files.push((path, State::Broken(error.message())));
        }
        let strict = world.strict;
        let in_files = files
            .iter()
            .filter(|(_, state)| state.is_problem(strict))
            .count();
        if self.json {
            let (closed, entries) = (count(&files, "closed"), files_json(&files));
            let value = json!({
                "build": super::version::build(),
                "configuration": config.as_ref().map(|config| json!({
                    "file": shown(config.path()),
                    "rules": config.rules().creation_rules.iter().flatten().count(),
                })),
                "keys": keys_json(world),
                "files": entries,
                "opens": count(&files, "opens") + count(&files, "differs"),
                "closed": closed,
                "skipped": batch::skipped_json(&skipped),
                "configuration_problems": problems,
                "problems": problems.len() + in_files,
            });
            world.terminal.say_json(&value)?;
        } else {
            self.tell_machine(world, config.as_ref(), &problems, &names)?;
            self.tell_files(world, &files)?;
            if !skipped.is_empty() {
                let text = batch::skipped_text(&skipped);
                world
                    .terminal
                    .say(&format!("    {}", text.trim_start_matches("; ")))?;
            }
        }
        let all = problems.len() + in_files;
        match (all, self.json) {
            (0, false) => world.terminal.say("nothing to do"),
            (0, true) => Ok(()),
            (_, true) => Err(Error::new(Kind::Outdated, "")),
            (1, false) => Err(Error::new(Kind::Outdated, "1 problem")),
            (all, false) => Err(Error::new(Kind::Outdated, format!("{all} problems"))),
        }
    }

    /// The configuration, and what is wrong with it. One that cannot be read is a finding, not the end.
    fn configuration(&self, world: &World) -> Result<(Option<Config>, Vec<String>)> {
        let Some(place) = world.configurations.find(self.settings.config.as_deref())? else {
            return Ok((None, Vec::new()));
        };
        match Config::read(&place) {
            Err(error) => Ok((None, vec![error.message()])),
            Ok(config) => {
                let problems = super::config::findings(&config);
                let lines = problems.into_iter().map(|(line, field, text)| {
                    format!("{}:{line}: {field}: {text}", shown(config.path()))
                });
                let lines = lines.collect();
                Ok((Some(config), lines))
            }
        }
    }

    fn state(&self, world: &World, names: &Names, path: &Path) -> State {
        match what_is(path, &self.settings) {
            Err(error) => State::Broken(crate::error::reason(&error)),
            Ok(What::Sealed) => State::Sealed,
            Ok(What::Plain) => match super::covers(world, &self.settings, path) {
                Ok(Some(true)) => State::Plain,
                // Faults of the rules are reported with the configuration.
                Ok(Some(false) | None) | Err(_) => State::Uncovered,
            },
            Ok(What::Encrypted) => match self.parse(path) {
                Err(reason) => State::Broken(reason),
                Ok(file) => self.opens(world, names, path, &file),
            },
        }
    }

    fn parse(&self, path: &Path) -> std::result::Result<Encrypted, String> {
        let text = file::read(path).map_err(|error| crate::error::reason(&error))?;
        let format = document::input_format(&self.settings, path);
        Encrypted::parse(format, text.into_bytes()).map_err(|error| error.to_string())
    }

    fn opens(&self, world: &World, names: &Names, path: &Path, file: &Encrypted) -> State {
        let metadata = file.metadata();
        if data_key::recover(world, &self.settings, metadata).is_err() {
            let entries = metadata.groups.iter().flatten();
            return State::Closed(
                entries
                    .map(|entry| names.shown(entry.key.kind().section, &entry.key.identity()))
                    .collect(),
            );
        }
        let wanted = WantedKeys::default();
        match Recipients::AsTheRuleSays.check(world, &self.settings, path, metadata, wanted) {
            Ok(()) => State::Opens,
            Err(error) if error.kind == Kind::Recipients => State::Differs(
                error
                    .report
                    .iter()
                    .map(|line| line.trim())
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            // Faults of the rule are reported with the configuration.
            Err(_) => State::Opens,
        }
    }

    fn tell_machine(
        &self,
        world: &World,
        config: Option<&Config>,
        problems: &[String],
        names: &Names,
    ) -> Result<()> {
        let say = |line: &str| world.terminal.say(line);
        for line in super::version::lines() {
            say(&line)?;
        }
        match config {
            Some(config) => {
                let rules = config.rules().creation_rules.iter().flatten().count();
                let rules = match rules {
                    1 => "1 creation rule".to_owned(),
                    rules => format!("{rules} creation rules"),
                };
                say(&format!("configuration: {}, {rules}", shown(config.path())))?;
            }
            None if problems.is_empty() => {
                say("configuration: no .sops.yaml here or in a folder above")?;
            }
            None => say("configuration: cannot be used")?,
        }
        for problem in problems {
            world.terminal.say_message(&format!("    {problem}"))?;
        }
        say("age keys:")?;
        let mut any = false;
        for found in world.keys.inventory() {
            match found.content {
                Content::Absent => {}
                Content::Failed(reason) => {
                    any = true;
                    let line = format!("    {}: {reason}", found.place);
                    world.terminal.say_message(&line)?;
                }
                Content::Identities(identities) => {
                    any = true;
                    for held in identities {
                        let shown = match &held.recipient {
                            Some(recipient) => match names.of("age", recipient) {
                                Some(name) => format!("{name} ({})", held.name),
                                None => held.name.clone(),
                            },
                            None => held.name.clone(),
                        };
                        say(&format!("    {}: {shown}", found.place))?;
                    }
                }
                _ => {
                    any = true;
                    say(&format!("    {}: runs when a file needs it", found.place))?;
                }
            }
        }
        if !any {
            say("    none; `sealwright keygen` makes one")?;
        }
        Ok(())
    }

    fn tell_files(&self, world: &World, files: &[(PathBuf, State)]) -> Result<()> {
        let say = |line: &str| world.terminal.say(line);
        say("files:")?;
        let opens = count(files, "opens") + count(files, "differs");
        say(&format!(
            "    {}",
            batch::count(
                opens,
                "opens with a key of this machine",
                "open with a key of this machine"
            )
        ))?;
        for (name, one, many) in [
            ("closed", "is for others", "are for others"),
            (
                "differs",
                "has recipients that differ from its rule; `sealwright updatekeys` gives it those of the rule",
                "have recipients that differ from their rule; `sealwright updatekeys` gives them those of the rule",
            ),
            (
                "plain",
                "is in plaintext although a rule covers it; `sealwright encrypt --in-place` encrypts it",
                "are in plaintext although a rule covers them; `sealwright encrypt --in-place` encrypts them",
            ),
            ("unreadable", "cannot be read", "cannot be read"),
            ("sealed", "holds SealedSecrets", "hold SealedSecrets"),
        ] {
            let those: Vec<&(PathBuf, State)> = files
                .iter()
                .filter(|(_, state)| state.name() == name)
                .collect();
            if those.is_empty() {
                continue;
            }
            say(&format!("    {}", batch::count(those.len(), one, many)))?;
            const LISTED: usize = 10;
            let listed = match world.terminal.verbosity() > 1 {
                true => those.len(),
                false => LISTED,
            };
            for (path, state) in those.iter().take(listed) {
                let more = match state {
                    State::Closed(keys) => format!(": {}", keys.join(", ")),
                    State::Differs(reason) | State::Broken(reason) => {
                        format!(": {}", without_secrets(reason))
                    }
                    _ => String::new(),
                };
                say(&format!("        {}{more}", shown(path)))?;
            }
            if those.len() > listed {
                say(&format!(
                    "        and {} more (-v lists them)",
                    those.len() - listed
                ))?;
            }
        }
        Ok(())
    }
}

fn count(files: &[(PathBuf, State)], name: &str) -> usize {
    files
        .iter()
        .filter(|(_, state)| state.name() == name)
        .count()
}

fn files_json(files: &[(PathBuf, State)]) -> Vec<Value> {
    let entries = files.iter().map(|(path, state)| {
        let name = crate::visible::relative(path).to_string_lossy();
        let mut entry = json!({ "file": name, "status": state.name() });
        match state {
            State::Closed(keys) => entry["keys"] = keys.clone().into(),
            State::Differs(reason) | State::Broken(reason) => {
                entry["message"] = without_secrets(reason).into();
            }
            _ => {}
        }
        entry
    });
    entries.collect()
}

fn keys_json(world: &World) -> Vec<Value> {
    let places = world.keys.inventory().into_iter().map(|found| {
        let mut entry = Map::new();
        entry.insert("place".into(), found.place.into());
        let (state, keys) = match found.content {
            Content::Absent => ("absent", Vec::new()),
            Content::Failed(reason) => {
                entry.insert("message".into(), without_secrets(&reason).into());
                ("unusable", Vec::new())
            }
            Content::Identities(identities) => {
                let keys = identities.into_iter();
                let keys = keys.map(|held| held.recipient.unwrap_or(held.name));
                ("found", keys.collect())
            }
            _ => ("command", Vec::new()),
        };
        entry.insert("status".into(), state.into());
        entry.insert("keys".into(), keys.into());
        Value::from(entry)
    });
    places.collect()
}

//! `status`: what the files of a tree are, without a key.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use sealwright_documents::envelope::Encrypted;

use super::found::{Found, Wanted, What, secrets_in_clear, skipped_line, what_is};
use super::recipients::by_recipient;
use super::{Settings, batch, document};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::visible::{recipient, without_secrets};
use crate::world::World;

/// Tells what files are.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) paths: Vec<PathBuf>,
    /// Fail when a file that has a rule is not encrypted.
    pub(crate) check: bool,
    /// Fail when a manifest holds a Secret in plaintext.
    pub(crate) check_secrets: bool,
    pub(crate) by: StatusBy,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

/// How the lines of a status are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusBy {
    /// One for each file.
    File,
    /// One for each recipient, with the files that it opens.
    Recipient,
}

impl Status {
    /// Prints a line, or a JSON object, for each file.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let wanted = match self.check_secrets {
            true => Wanted::AnyOrSecrets,
            false => Wanted::Any,
        };
        let found = Found::look(world, &self.settings, &self.paths, wanted)?;
        if world.terminal.verbosity() > 1 && !self.json {
            for (path, reason) in &found.skipped {
                world.terminal.tell(&skipped_line(path, *reason));
            }
        }
        if self.by == StatusBy::Recipient {
            return self.by_recipient(world, &found);
        }
        let skipped = found.skipped_counts();
        let mut tally = Tally::default();
        let mut entries = Vec::new();
        for path in &found.files {
            let state = State::of(world, path, &self.settings, self.check_secrets);
            tally.add(&state);
            if self.json {
                entries.push(state.json(path));
            } else {
                world.terminal.say(&state.line(path))?;
            }
        }
        for (folder, error) in found.unreadable {
            let state = State::Unreadable(error.message());
            tally.add(&state);
            if self.json {
                entries.push(state.json(&folder));
            } else {
                world.terminal.say(&state.line(&folder))?;
            }
        }
        if self.json {
            world.terminal.say_json(&json!({
                "files": entries,
                "encrypted": tally.encrypted,
                "sealed": tally.sealed,
                "plain": tally.plain,
                "unreadable": tally.unreadable,
                "skipped": batch::skipped_json(&skipped),
            }))?;
        } else if found.in_folders {
            world.terminal.remark(&format!(
                "{}{}",
                tally.line(),
                batch::skipped_text(&skipped)
            ));
        }
        none_unreadable(tally.unreadable)?;
        self.judge(&tally)
    }

    /// Fails if there is something that was to be checked and is not as it should be.
    fn judge(&self, tally: &Tally) -> Result<()> {
        let mut faults = Vec::new();
        if self.check && tally.uncovered > 0 {
            faults.push(batch::count(
                tally.uncovered,
                "that has a rule is not encrypted",
                "that have a rule are not encrypted",
            ));
        }
        if tally.unsealed > 0 {
            faults.push(batch::count(
                tally.unsealed,
                "holds a Secret in plaintext",
                "hold Secrets in plaintext",
            ));
        }
        if faults.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::Outdated, faults.join("; "));
        Err(match tally.unsealed {
            0 => error,
            _ => error.hint("`sealwright seal FILE` seals a Secret, and `sealwright encrypt --in-place FILE` encrypts it"),
        })
    }
}

impl Status {
    /// Prints which files each recipient opens.
    fn by_recipient(&self, world: &World, found: &Found) -> Result<()> {
        let config = world.configuration(&self.settings)?;
        let names = config.map(|config| config.names()).unwrap_or_default();
        let mut encrypted: Vec<(&Path, Box<Encrypted>)> = Vec::new();
        let mut unreadable: Vec<(&Path, State)> = Vec::new();
        for path in &found.files {
            match State::of(world, path, &self.settings, false) {
                State::Encrypted { file, .. } => encrypted.push((path.as_path(), file)),
                state @ State::Unreadable(_) => unreadable.push((path.as_path(), state)),
                State::Sealed | State::Plain { .. } => {}
            }
        }
        for (path, error) in &found.unreadable {
            unreadable.push((path.as_path(), State::Unreadable(error.message())));
        }
        let by = by_recipient(
            encrypted
                .iter()
                .map(|(path, file)| (*path, file.metadata())),
        );
        let mut by: Vec<_> = by.into_iter().collect();
        // People come first, by name; then keys without a name.
        by.sort_by_cached_key(|((kind, key), _)| {
            let name = names.of(kind, key).map(str::to_owned);
            (name.is_none(), name)
        });
        if self.json {
            let entries: Vec<Value> = by
                .iter()
                .map(|((kind, key), files)| {
                    let files = files
                        .iter()
                        .map(|file| crate::visible::relative(file).to_string_lossy());
                    json!({
                        "kind": kind,
                        "key": recipient(key),
                        "name": names.of(kind, key),
                        "files": files.collect::<Vec<_>>(),
                    })
                })
                .collect();
            let unreadable = unreadable.iter();
            let others: Vec<Value> = unreadable.map(|(path, state)| state.json(path)).collect();
            let value = json!({ "recipients": entries, "unreadable_files": others });
            world.terminal.say_json(&value)?;
            return none_unreadable(others.len());
        }
        for ((kind, key), files) in by {
            let shown = names.shown(kind, &key);
            world.terminal.say(&format!("{kind} {shown}"))?;
            for file in files {
                world
                    .terminal
                    .say(&format!("    {}", crate::visible::shown(&file)))?;
            }
        }
        for (path, state) in &unreadable {
            world.terminal.say(&state.line(path))?;
        }
        none_unreadable(unreadable.len())
    }
}

/// Fails when files or folders could not be read.
fn none_unreadable(count: usize) -> Result<()> {
    match count {
        0 => Ok(()),
        count => Err(Error::new(
            Kind::Read,
            batch::count(count, "cannot be read", "cannot be read"),
        )),
    }
}

/// What a file is, for people and programs.
enum State {
    Encrypted {
        file: Box<Encrypted>,
        rule: bool,
    },
    Sealed,
    Plain {
        rule: bool,
        /// The Secrets in it, if they were asked for.
        secrets: Vec<String>,
    },
    Unreadable(String),
}

impl State {
    fn of(world: &World, path: &Path, settings: &Settings, look_for_secrets: bool) -> Self {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Self::Unreadable("a pipe or a device, which is not looked into".to_owned());
        }
        let rule = super::covers(world, settings, path);
        let what = match what_is(path, settings) {
            Ok(what) => what,
            Err(error) => return Self::Unreadable(crate::error::reason(&error)),
        };
        match what {
            What::Plain => {
                let secrets = match look_for_secrets {
                    true => secrets_in_clear(path),
                    false => Ok(Vec::new()),
                };
                match (rule, secrets) {
                    (Ok(rule), Ok(secrets)) => Self::Plain {
                        rule: rule == Some(true),
                        secrets,
                    },
                    // No one knows whether it should be encrypted.
                    (Err(error), _) | (_, Err(error)) => Self::Unreadable(error.message()),
                }
            }
            What::Sealed => Self::Sealed,
            What::Encrypted => match parse(path, settings) {
                Ok(file) => Self::Encrypted {
                    file: Box::new(file),
                    rule: matches!(rule, Ok(Some(true))),
                },
                Err(reason) => Self::Unreadable(reason),
            },
        }
    }

    fn line(&self, path: &Path) -> String {
        let shown = crate::visible::shown(path);
        match self {
            Self::Encrypted { file, .. } => {
                let metadata = file.metadata();
                let keys = match super::key_names(metadata).len() {
                    1 => "1 key".to_owned(),
                    keys => format!("{keys} keys"),
                };
                format!(
                    "{shown}: encrypted, {}, {keys}",
                    metadata.last_modified.as_str()
                )
            }
            Self::Sealed => format!("{shown}: sealed"),
            Self::Plain { rule, secrets } => {
                let mut why = Vec::new();
                if *rule {
                    why.push("a rule covers it".to_owned());
                }
                if !secrets.is_empty() {
                    let names = secrets.join(", ");
                    let word = if secrets.len() == 1 {
                        "Secret"
                    } else {
                        "Secrets"
                    };
                    why.push(format!("{word} in plaintext: {names}"));
                }
                match why.is_empty() {
                    true => format!("{shown}: plain"),
                    false => format!("{shown}: plain ({})", why.join("; ")),
                }
            }
            Self::Unreadable(reason) => {
                format!("{shown}: unreadable: {}", without_secrets(reason))
            }
        }
    }

    fn json(&self, path: &Path) -> Value {
        let name = crate::visible::relative(path).to_string_lossy();
        match self {
            Self::Encrypted { file, rule } => {
                let metadata = file.metadata();
                json!({
                    "file": name,
                    "status": "encrypted",
                    "last_modified": metadata.last_modified.as_str(),
                    "version": metadata.version,
                    "groups": metadata.groups.len(),
                    "threshold": metadata.shamir_threshold,
                    "keys": super::key_names(metadata),
                    "rule": rule,
                })
            }
            Self::Sealed => json!({ "file": name, "status": "sealed" }),
            Self::Plain { rule, secrets } => {
                let mut entry = json!({ "file": name, "status": "plain", "rule": rule });
                if !secrets.is_empty() {
                    entry["secrets"] = secrets.clone().into();
                }
                entry
            }
            Self::Unreadable(reason) => {
                json!({ "file": name, "status": "unreadable", "message": without_secrets(reason) })
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    encrypted: usize,
    sealed: usize,
    plain: usize,
    /// Plain files that a rule covers.
    uncovered: usize,
    /// Plain files with Secrets, if they were looked for.
    unsealed: usize,
    unreadable: usize,
}

impl Tally {
    fn add(&mut self, state: &State) {
        match state {
            State::Encrypted { .. } => self.encrypted += 1,
            State::Sealed => self.sealed += 1,
            State::Plain { rule, secrets } => {
                self.plain += 1;
                self.uncovered += usize::from(*rule);
                self.unsealed += usize::from(!secrets.is_empty());
            }
            State::Unreadable(_) => self.unreadable += 1,
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{} encrypted, {} plain", self.encrypted, self.plain);
        for (files, word) in [(self.sealed, "sealed"), (self.unreadable, "unreadable")] {
            if files > 0 {
                line.push_str(&format!(", {files} {word}"));
            }
        }
        line
    }
}

fn parse(path: &Path, settings: &Settings) -> std::result::Result<Encrypted, String> {
    let text = file::read(path).map_err(|error| crate::error::reason(&error))?;
    let format = document::input_format(settings, path);
    Encrypted::parse(format, text.into_bytes()).map_err(|error| error.to_string())
}

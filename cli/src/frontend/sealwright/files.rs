//! What several verbs have in common: which files, how careful, whom a data key is wrapped for.

use std::path::{Path, PathBuf};

use clap::Args;

use super::everywhere::Everywhere;
use crate::command::batch::{Batch, Outcome, Report};
use crate::command::found::Wanted;
use crate::command::{
    self, Change, Input, Lockout, Output, Recipients, SelectionTexts, Settings, absolute,
};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Which files, and where results go.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Files and folders; standard input when there is none.
    paths: Vec<PathBuf>,
    /// Write each result over its file; needed for several files.
    #[arg(long, short = 'i')]
    in_place: bool,
    /// Write the result to this file.
    #[arg(long, short = 'o', value_name = "FILE", conflicts_with = "in_place")]
    out: Option<PathBuf>,
    /// Use this name to select rules and types.
    #[arg(long, value_name = "NAME")]
    name: Option<PathBuf>,
    /// Show what would be done and with which keys, write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Files {
    /// What was named.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Runs a command for standard input, one file, or many. Of folders, those files that are wanted.
    pub(super) fn each(
        &self,
        world: &World,
        everywhere: &Everywhere,
        done: &'static str,
        (wanted, settings): (Wanted, &Settings),
        work: &(dyn Fn(Input, Output, PathBuf) -> Result<Change> + Sync),
    ) -> Result<()> {
        let one = match &self.paths[..] {
            [] => Some(Input::Stdin),
            [path] if path.as_os_str() == "-" => Some(Input::Stdin),
            [path] if !path.is_dir() && !self.in_place => Some(Input::File(absolute(path)?)),
            _ => None,
        };
        let Some(from) = one else {
            if !self.in_place && !self.dry_run {
                return Err(Error::new(
                    Kind::Conflict,
                    "several files are written over themselves: say so with --in-place",
                ));
            }
            if self.name.is_some() {
                return Err(Error::new(Kind::Conflict, "--name is for one file"));
            }
            let batch = Batch {
                paths: &self.paths,
                dry_run: self.dry_run,
                check: false,
                json: everywhere.json(),
                done,
                way_back: match done {
                    "encrypted" => Some("sealwright decrypt --in-place with the same files"),
                    _ => Some("sealwright encrypt --in-place with the same files"),
                },
                wanted,
                settings,
            };
            return batch.run(world, &|path| {
                let (from, name) = (Input::File(path.to_owned()), path.to_owned());
                work(from, Output::InPlace, name)
            });
        };
        if from == Input::Stdin && self.in_place {
            return Err(Error::new(
                Kind::Conflict,
                "--in-place needs a file to write over",
            ));
        }
        let name = match (&self.name, &from) {
            (Some(name), _) => absolute(name)?,
            (None, Input::File(path)) => path.clone(),
            (None, Input::Stdin) => PathBuf::new(),
        };
        let to = match &self.out {
            Some(path) => Output::File(absolute(path)?),
            None => Output::Stdout,
        };
        let shown = match (&to, everywhere.json() && !self.dry_run) {
            (Output::File(path), true) => path.clone(),
            _ => name.clone(),
        };
        let is_told = self.dry_run || (everywhere.json() && self.out.is_some());
        if from == Input::Stdin {
            world.terminal.announce_typing();
        }
        let change = work(from, to, name)?;
        if !is_told {
            return change.finish(&world.terminal);
        }
        if !self.dry_run {
            change.deliver(&world.terminal)?;
        }
        Report::new(everywhere.json(), done, self.dry_run)
            .finish(world, vec![(shown, Ok(Outcome::of(change)))])
    }
}

/// How careful a command over many files is.
#[derive(Debug, Args)]
pub(super) struct Caution {
    /// Show what would be done, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// As --dry-run, and exit with 1 when there is something to do.
    #[arg(long)]
    check: bool,
}

impl Caution {
    /// How careful a verb is that has flags of its own for it.
    pub(super) fn new(dry_run: bool, check: bool) -> Self {
        Self { dry_run, check }
    }

    /// Runs a command for many files. Of folders, those files that are wanted.
    pub(super) fn each(
        &self,
        world: &World,
        everywhere: &Everywhere,
        done: &'static str,
        paths: &[PathBuf],
        (wanted, settings): (Wanted, &Settings),
        work: &(dyn Fn(&Path) -> Result<Change> + Sync),
    ) -> Result<()> {
        Batch {
            paths,
            dry_run: self.dry_run || self.check,
            check: self.check,
            json: everywhere.json(),
            done,
            way_back: None,
            wanted,
            settings,
        }
        .run(world, work)
    }
}

/// Does what a verb for one file does, or shows what would be done.
pub(super) fn one_change(
    world: &World,
    everywhere: &Everywhere,
    dry_run: bool,
    done: &'static str,
    file: &Path,
    work: impl FnOnce() -> Result<Change>,
) -> Result<()> {
    let json = everywhere.json();
    let change = work()?;
    if !dry_run {
        if !json {
            return change.finish(&world.terminal);
        }
        change.deliver(&world.terminal)?;
    }
    Report::new(json, done, dry_run).finish(world, vec![(file.to_owned(), Ok(Outcome::of(change)))])
}

/// Document formats.
#[derive(Debug, Args)]
pub(super) struct Formats {
    /// The format of the input; by default what the name says.
    #[arg(long, value_name = "FORMAT", value_parser = ["yaml", "json", "dotenv", "ini", "binary"])]
    input_type: Option<String>,
    /// The format of the output; by default what the name says.
    #[arg(long, value_name = "FORMAT", value_parser = ["yaml", "json", "dotenv", "ini", "binary"])]
    output_type: Option<String>,
}

impl Formats {
    /// What every command that opens documents goes by, with these formats.
    pub(super) fn settings(&self, everywhere: &Everywhere) -> Settings {
        Settings {
            input_type: self.input_type.as_deref().and_then(command::format_name),
            output_type: self.output_type.as_deref().and_then(command::format_name),
            ..everywhere.settings()
        }
    }
}

/// Whom a data key is wrapped for.
#[derive(Debug, Args)]
pub(super) struct Acceptance {
    /// Keep the recipients of the file even where they differ from its creation rule.
    #[arg(long)]
    accept_recipients: bool,
}

impl Acceptance {
    /// What the command does about recipients that differ.
    pub(super) fn recipients(&self) -> Recipients {
        match self.accept_recipients {
            true => Recipients::AsTheyAre,
            false => Recipients::AsTheRuleSays,
        }
    }
}

/// What a person agrees to beforehand.
#[derive(Debug, Args)]
pub(super) struct Consent {
    /// Write files that no key of this machine will open any more.
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// What the command does about a file that no key here would open.
    pub(super) fn lockout(&self) -> Lockout {
        match self.yes {
            true => Lockout::IsWanted,
            false => Lockout::Asks,
        }
    }
}

/// Which values are secret in new files.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct SelectionOptions {
    /// Encrypt only values under matching keys.
    #[arg(long, value_name = "REGEX")]
    encrypted_regex: Option<String>,
    /// Leave values under matching keys unencrypted.
    #[arg(long, value_name = "REGEX")]
    unencrypted_regex: Option<String>,
    /// Encrypt only values under keys with this ending.
    #[arg(long, value_name = "SUFFIX")]
    encrypted_suffix: Option<String>,
    /// Leave values under keys with this ending unencrypted.
    #[arg(long, value_name = "SUFFIX")]
    unencrypted_suffix: Option<String>,
}

impl SelectionOptions {
    /// What was given.
    pub(super) fn texts(&self) -> SelectionTexts {
        SelectionTexts {
            unencrypted_suffix: self.unencrypted_suffix.clone(),
            encrypted_suffix: self.encrypted_suffix.clone(),
            unencrypted_regex: self.unencrypted_regex.clone(),
            encrypted_regex: self.encrypted_regex.clone(),
            ..SelectionTexts::default()
        }
    }
}

//! One command over many files: found in folders, worked on in parallel, each all or nothing, reported in order.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Change, absolute};
use crate::error::{Error, Kind, Result};
use crate::visible::visible_path;
use crate::world::World;

/// A command over many files.
pub(crate) struct Batch<'a> {
    /// Files and folders as given.
    pub(crate) paths: &'a [PathBuf],
    /// Write nothing.
    pub(crate) dry_run: bool,
    /// Fail when there is something to do.
    pub(crate) check: bool,
    /// Report as JSON.
    pub(crate) json: bool,
    /// The past participle of the verb, for the report.
    pub(crate) done: &'static str,
    /// Tells which files of folders are passed over, as there is nothing to do: what is encrypted already, manifests and
    /// templates beside the secrets. A file that was named has to be what the command is for.
    pub(crate) is_done: &'a (dyn Fn(&Path) -> bool + Sync),
}

impl Batch<'_> {
    /// Does `work` for every file. A file that fails does not stop the others; it fails the command in the end. A run
    /// that was interrupted is simply started again: what is done already changes no more.
    pub(crate) fn run(
        &self,
        world: &World,
        work: &(dyn Fn(&Path) -> Result<Change> + Sync),
    ) -> Result<()> {
        let Found { files, unreadable } = find_files(self.paths)?;
        if files.is_empty() && unreadable.is_empty() && !self.json {
            world
                .terminal
                .tell("there is no document in what was named: nothing to do");
        }
        let named: HashSet<PathBuf> = self
            .paths
            .iter()
            .map(|path| absolute(path))
            .collect::<Result<_>>()?;
        let outcome = |file: &Path| {
            if !named.contains(file) && (self.is_done)(file) {
                return Ok(Outcome::default());
            }
            // The text of a file and its lock are given up here: there may be many thousands.
            let change = work(file)?;
            if !self.dry_run {
                change.deliver(&world.terminal)?;
            }
            Ok(Outcome::of(change))
        };
        let results: Vec<Mutex<Option<Result<Outcome>>>> =
            files.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let finished = AtomicUsize::new(0);
        let one_after_the_other = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(at) else { break };
                *results[at].lock().expect("no worker panics") = Some(outcome(file));
                let done = finished.fetch_add(1, Ordering::Relaxed) + 1;
                world.terminal.progress(done, files.len(), &shown(file));
            }
        };
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(files.len());
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(one_after_the_other);
            }
            one_after_the_other();
        });
        world.terminal.clear_progress();
        let results = results
            .into_iter()
            .map(|slot| slot.into_inner().expect("no worker panics"))
            .map(|result| result.expect("every file was worked on"));
        let mut results: Vec<_> = files.into_iter().zip(results).collect();
        results.extend(
            unreadable
                .into_iter()
                .map(|(folder, error)| (folder, Err(error))),
        );
        let report = Report {
            check: self.check,
            ..Report::new(self.json, self.done, self.dry_run)
        };
        report.finish(world, results)
    }
}

/// What is told of a file that was worked on.
#[derive(Default)]
pub(crate) struct Outcome {
    changed: bool,
    keys: Vec<String>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Outcome {
    /// What is told of a change.
    pub(crate) fn of(change: Change) -> Self {
        Self {
            changed: change.bytes.is_some(),
            keys: change.keys,
            notes: change.notes,
            warnings: change.warnings,
        }
    }
}

/// What a command over files tells in the end.
pub(crate) struct Report {
    json: bool,
    done: &'static str,
    dry_run: bool,
    check: bool,
}

impl Report {
    /// A report in text or JSON.
    pub(crate) fn new(json: bool, done: &'static str, dry_run: bool) -> Self {
        Self {
            json,
            done,
            dry_run,
            check: false,
        }
    }

    /// Tells what came of each file. Quiet about files that stay as they are; the first failure decides the exit code.
    pub(crate) fn finish(
        &self,
        world: &World,
        results: Vec<(PathBuf, Result<Outcome>)>,
    ) -> Result<()> {
        let mut failures = 0;
        let mut outdated = 0;
        let mut first: Option<Kind> = None;
        let mut entries = Vec::new();
        let alone = results.len() == 1;
        let mut only_error = None;
        for (file, result) in results {
            let mut entry = json!({ "file": relative(&file).to_string_lossy() });
            let shown = shown(&file);
            if let Ok(change) = &result
                && !change.warnings.is_empty()
            {
                entry["warnings"] = change.warnings.as_slice().into();
                if !self.json {
                    for warning in &change.warnings {
                        world.terminal.advise(warning);
                    }
                }
            }
            match result {
                Ok(change) if change.changed => {
                    outdated += 1;
                    let state = if self.dry_run { "would-be" } else { "done" };
                    entry["status"] = format!("{state}-{}", self.done).into();
                    entry["keys"] = change.keys.as_slice().into();
                    entry["notes"] = change.notes.as_slice().into();
                    if !self.json {
                        let would = if self.dry_run { "would be " } else { "" };
                        world
                            .terminal
                            .say(&format!("{shown}: {would}{}", self.done))?;
                        if self.dry_run {
                            for key in &change.keys {
                                world.terminal.say(&format!("    key {key}"))?;
                            }
                        }
                        for note in &change.notes {
                            world.terminal.say(&format!("    {note}"))?;
                        }
                    }
                }
                Ok(_) => entry["status"] = "unchanged".into(),
                Err(error) => {
                    failures += 1;
                    first.get_or_insert(error.kind);
                    entry["status"] = "failed".into();
                    entry["error"] = error.kind.name().into();
                    entry["code"] = error.kind.code().into();
                    entry["message"] = error.message().into();
                    entry["hints"] = error.hints.clone().into();
                    if !self.json {
                        if alone {
                            only_error = Some(error);
                        } else {
                            for (at, line) in error.lines().iter().enumerate() {
                                match at {
                                    0 => world.terminal.tell(&format!("{shown}: {line}")),
                                    _ => world.terminal.tell(line),
                                }
                            }
                            for hint in &error.hints {
                                world.terminal.tell(&format!("    hint: {hint}"));
                            }
                        }
                    }
                }
            }
            entries.push(entry);
        }
        if self.json {
            let changed = if self.dry_run { 0 } else { outdated };
            let summary = json!({
                "files": Value::from(entries),
                "changed": changed,
                "outdated": outdated - changed,
                "failed": failures,
            });
            world.terminal.say_json(&summary)?;
        }
        if let Some(error) = only_error {
            return Err(error);
        }
        if let Some(kind) = first {
            let text = if self.json || alone {
                String::new()
            } else {
                count(failures, "failed", "failed")
            };
            return Err(Error::new(kind, text));
        }
        if self.check && outdated > 0 {
            let text = if self.json {
                String::new()
            } else {
                let would = format!("would be {}", self.done);
                count(outdated, &would, &would)
            };
            return Err(Error::new(Kind::Outdated, text));
        }
        Ok(())
    }
}

/// A path as people read it: relative to the working folder where it lies below it, on one line whatever is in it.
pub(crate) fn shown(path: &Path) -> String {
    visible_path(relative(path))
}

/// A path relative to the working folder where it lies below it.
pub(crate) fn relative(path: &Path) -> &Path {
    static HERE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let here = HERE.get_or_init(|| std::env::current_dir().unwrap_or_default());
    match path.strip_prefix(here) {
        Ok(below) if !below.as_os_str().is_empty() => below,
        _ => path,
    }
}

/// So many files, and what they did.
pub(crate) fn count(files: usize, one: &str, many: &str) -> String {
    match files {
        1 => format!("1 file {one}"),
        _ => format!("{files} files {many}"),
    }
}

/// What a list of files and folders means.
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    /// Folders below that cannot be looked into.
    pub(crate) unreadable: Vec<(PathBuf, Error)>,
}

/// The files of a list of files and folders, folders walked in order. Files named are taken as they are; of folders those
/// that a document format claims by name, without hidden folders, whose content belongs to other programs, without links,
/// which lead to files of other folders or round in circles, and without the configuration itself.
pub(crate) fn find_files(paths: &[PathBuf]) -> Result<Found> {
    let mut found = Found {
        files: Vec::new(),
        unreadable: Vec::new(),
    };
    for path in paths {
        let path = absolute(path)?;
        if path.is_dir() {
            walk(&path, &mut found);
        } else {
            found.files.push(path);
        }
    }
    let mut seen = HashSet::new();
    found.files.retain(|file| seen.insert(file.clone()));
    Ok(found)
}

fn walk(folder: &Path, found: &mut Found) {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let text = format!("cannot read the folder {}", shown(folder));
            let error = Error::new(Kind::Read, text).because(error);
            found.unreadable.push((folder.to_owned(), error));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // What vanished since is not there.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if kind.is_dir() && !hidden {
            walk(&entry.path(), found);
        } else if kind.is_file() {
            if hidden {
                crate::file::clear_remains(&entry.path());
            }
            if name != ".sops.yaml"
                && name != ".sops.yml"
                && super::format_by_suffix(&entry.path()).is_some()
            {
                found.files.push(entry.path());
            }
        }
    }
}

//! One command over many files: found in folders, worked on in parallel, each all or nothing, reported in order.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Change, absolute};
use crate::error::{Error, Kind, Result};
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
}

impl Batch<'_> {
    /// Does `work` for every file. A file that fails does not stop the others; it fails the command in the end. A run
    /// that was interrupted is simply started again: what is done already changes no more.
    pub(crate) fn run(
        &self,
        world: &World,
        work: &(dyn Fn(&Path) -> Result<Change> + Sync),
    ) -> Result<()> {
        let files = find_files(self.paths)?;
        let results: Vec<Mutex<Option<Result<Change>>>> =
            files.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let finished = AtomicUsize::new(0);
        let one_after_the_other = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(at) else { break };
                let mut result = work(file);
                if let (false, Ok(change)) = (self.dry_run, &mut result)
                    && let Err(error) = change.deliver(&world.terminal)
                {
                    result = Err(error);
                }
                *results[at].lock().expect("no worker panics") = Some(result);
                let done = finished.fetch_add(1, Ordering::Relaxed) + 1;
                world
                    .terminal
                    .progress(done, files.len(), &file.to_string_lossy());
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
        let results = files
            .into_iter()
            .zip(results)
            .map(|(file, slot)| {
                let result = slot.into_inner().expect("no worker panics");
                (file, result.expect("every file was worked on"))
            })
            .collect();
        let report = Report {
            check: self.check,
            ..Report::new(self.json, self.done, self.dry_run)
        };
        report.finish(world, results)
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
        results: Vec<(PathBuf, Result<Change>)>,
    ) -> Result<()> {
        let mut failures = 0;
        let mut outdated = 0;
        let mut first: Option<Kind> = None;
        let mut entries = Vec::new();
        let alone = results.len() == 1;
        let here = std::env::current_dir().unwrap_or_default();
        let mut only_error = None;
        for (file, result) in results {
            let shown = file
                .strip_prefix(&here)
                .unwrap_or(&file)
                .display()
                .to_string();
            let mut entry = json!({ "file": shown });
            match result {
                Ok(change) if change.bytes.is_some() => {
                    outdated += 1;
                    let state = if self.dry_run { "would-be" } else { "done" };
                    entry["status"] = format!("{state}-{}", self.done).into();
                    entry["keys"] = change.keys.clone().into();
                    entry["notes"] = change.notes.clone().into();
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
                            world
                                .terminal
                                .tell(&format!("{shown}: {}", error.message()));
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
            world.terminal.say(&summary.to_string())?;
        }
        if let Some(error) = only_error {
            return Err(error);
        }
        if let Some(kind) = first {
            let text = if self.json || alone {
                String::new()
            } else {
                format!("{failures} files failed")
            };
            return Err(Error::new(kind, text));
        }
        if self.check && outdated > 0 {
            let text = if self.json {
                String::new()
            } else {
                format!("{outdated} files would be {}", self.done)
            };
            return Err(Error::new(Kind::Outdated, text));
        }
        Ok(())
    }
}

/// The files of a list of files and folders, folders walked in order. Files named are taken as they are; of folders those
/// that a document format claims by name, without hidden folders, whose content belongs to other programs, and without
/// the configuration itself.
pub(crate) fn find_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let path = absolute(path)?;
        if path.is_dir() {
            walk(&path, &mut files)?;
        } else {
            files.push(path);
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(
            Kind::Read,
            format!("cannot read the folder {}", folder.display()),
        )
        .because(error)
    };
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if kind.is_dir() && !hidden {
            walk(&entry.path(), files)?;
        } else if kind.is_file()
            && name != ".sops.yaml"
            && name != ".sops.yml"
            && super::format_by_suffix(&entry.path()).is_some()
        {
            files.push(entry.path());
        }
    }
    Ok(())
}

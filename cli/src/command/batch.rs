//! One command over many files: found in folders, worked on in parallel, each all or nothing, reported in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::found::{Found, Skipped, Wanted, skipped_line};
use super::{Change, Settings};
use crate::error::{Error, Kind, Result};
use crate::signals::{Watch, code_of, end};
use crate::visible::{relative, shown, without_secrets};
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
    /// How to take back what an interrupted run did.
    pub(crate) way_back: Option<&'static str>,
    /// Which files of folders the command is for. A file that was named has to be what the command is for.
    pub(crate) wanted: Wanted,
    pub(crate) settings: &'a Settings,
}

impl Batch<'_> {
    /// Does `work` for every file. A file that fails does not stop the others; it fails the command in the end. A run
    /// that was interrupted finishes the files at hand, says what it did, and is simply started again: what is done
    /// already changes no more.
    pub(crate) fn run(
        &self,
        world: &World,
        work: &(dyn Fn(&Path) -> Result<Change> + Sync),
    ) -> Result<()> {
        let collected = self.collect(world, work)?;
        self.tell(world, collected, Map::new())
    }

    /// Does `work` for every file, and tells nothing yet.
    pub(crate) fn collect(
        &self,
        world: &World,
        work: &(dyn Fn(&Path) -> Result<Change> + Sync),
    ) -> Result<Collected> {
        let found = Found::look(world, self.settings, self.paths, self.wanted)?;
        if world.terminal.verbosity() > 1 && !self.json {
            for (path, reason) in &found.skipped {
                world.terminal.tell(&skipped_line(path, *reason));
            }
        }
        let skipped = found.in_folders.then(|| found.skipped_counts());
        let Found {
            files, unreadable, ..
        } = found;
        let outcome = |file: &Path| {
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
        let interruption = Interruption::watch(files.len());
        let one_after_the_other = || {
            while !interruption.came() {
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
            .map(|slot| slot.into_inner().expect("no worker panics"));
        let mut left = 0;
        let mut told = Vec::with_capacity(files.len());
        for (file, result) in files.into_iter().zip(results) {
            match result {
                Some(result) => told.push((file, result)),
                None => left += 1,
            }
        }
        told.extend(
            unreadable
                .into_iter()
                .map(|(folder, error)| (folder, Err(error))),
        );
        Ok(Collected {
            files: told,
            skipped,
            interrupted: interruption.signal().map(|code| (code, left)),
        })
    }

    /// Tells what came of the files; `about` is what JSON says of the run besides.
    pub(crate) fn tell(
        &self,
        world: &World,
        collected: Collected,
        about: Map<String, Value>,
    ) -> Result<()> {
        let report = Report {
            check: self.check,
            skipped: collected.skipped,
            about,
            ..Report::new(self.json, self.done, self.dry_run)
        };
        let reported = report.finish(world, collected.files);
        match collected.interrupted {
            Some((code, left)) => Err(self.interrupted(code, left)),
            None => reported,
        }
    }

    fn interrupted(&self, code: u8, left: usize) -> Error {
        let left = match left {
            1 => "1 file is unchanged".to_owned(),
            left => format!("{left} files are unchanged"),
        };
        let error = Error::new(
            Kind::Stopped(code),
            format!("interrupted; the files listed are {}, {left}", self.done),
        )
        .hint("run the command again to go on");
        match self.way_back {
            Some(way) if !self.dry_run => error.hint(format!("to go back: {way}")),
            _ => error,
        }
    }
}

/// What came of the files of a command.
pub(crate) struct Collected {
    files: Vec<(PathBuf, Result<Outcome>)>,
    skipped: Option<BTreeMap<Skipped, usize>>,
    /// The exit code of a signal, and how many files were not reached.
    interrupted: Option<(u8, usize)>,
}

impl Collected {
    /// Whether every file was reached and none failed.
    pub(crate) fn is_good(&self) -> bool {
        self.interrupted.is_none() && self.files.iter().all(|(_, result)| result.is_ok())
    }

    /// How many files are, or would be, changed.
    pub(crate) fn changed(&self) -> usize {
        let outcomes = self
            .files
            .iter()
            .filter_map(|(_, result)| result.as_ref().ok());
        outcomes.filter(|outcome| outcome.changed).count()
    }
}

/// A request to stop between two files; a second one ends the program at once.
struct Interruption {
    came: Arc<AtomicBool>,
    code: Arc<AtomicUsize>,
    _watch: Option<Watch>,
}

impl Interruption {
    fn watch(files: usize) -> Self {
        let came = Arc::new(AtomicBool::new(false));
        let code = Arc::new(AtomicUsize::new(0));
        // A single file is replaced in one step or not at all.
        let watch = (files > 1).then(|| {
            let (came, code) = (Arc::clone(&came), Arc::clone(&code));
            Watch::start(move |signal| {
                if came.swap(true, Ordering::SeqCst) {
                    end(code_of(signal));
                } else {
                    code.store(code_of(signal).into(), Ordering::SeqCst);
                }
            })
        });
        Self {
            came,
            code,
            _watch: watch,
        }
    }

    fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    fn signal(&self) -> Option<u8> {
        match self.code.load(Ordering::SeqCst) {
            0 => None,
            code => Some(u8::try_from(code).unwrap_or(u8::MAX)),
        }
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
    /// What was passed over in folders; `None` when only files were named.
    skipped: Option<BTreeMap<Skipped, usize>>,
    /// What JSON says of the run besides its files.
    about: Map<String, Value>,
}

impl Report {
    /// A report in text or JSON.
    pub(crate) fn new(json: bool, done: &'static str, dry_run: bool) -> Self {
        Self {
            json,
            done,
            dry_run,
            check: false,
            skipped: None,
            about: Map::new(),
        }
    }

    /// Tells what came of each file. Quiet about files that stay as they are; the first failure decides the exit code.
    pub(crate) fn finish(
        &self,
        world: &World,
        results: Vec<(PathBuf, Result<Outcome>)>,
    ) -> Result<()> {
        let results: Vec<_> = results
            .into_iter()
            .map(|(file, result)| (file, result.map_err(Error::absent_as_no_file)))
            .collect();
        if self.json {
            return self.finish_json(world, results);
        }
        let alone = results.len() == 1 && self.skipped.is_none();
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        for (file, result) in results {
            tally.add(&result);
            match result {
                Ok(outcome) => self.say(world, &file, &outcome)?,
                Err(error) if alone => return Err(error),
                Err(error) => failures.push((file, error)),
            }
        }
        let first = failures.first().map(|(_, error)| error.kind);
        tell_failures(world, failures);
        if let Some(skipped) = &self.skipped {
            world.terminal.remark(&self.totals(&tally, skipped));
        }
        match first {
            Some(kind) if self.skipped.is_some() => Err(Error::new(kind, "")),
            Some(kind) => Err(Error::new(kind, count(tally.failed, "failed", "failed"))),
            None => self.judge(&tally),
        }
    }

    fn say(&self, world: &World, file: &Path, outcome: &Outcome) -> Result<()> {
        for warning in &outcome.warnings {
            world.terminal.advise(warning);
        }
        let shown = shown(file);
        let state = match (outcome.changed, self.dry_run) {
            (true, true) => format!("would be {}", self.done),
            (true, false) => self.done.to_owned(),
            (false, _) if outcome.notes.is_empty() => return Ok(()),
            (false, _) => "unchanged".to_owned(),
        };
        if world.terminal.verbosity() == 0 && !self.dry_run {
            return Ok(());
        }
        world.terminal.say(&format!("{shown}: {state}"))?;
        if outcome.changed && self.dry_run {
            for key in &outcome.keys {
                world.terminal.say(&format!("    key {key}"))?;
            }
        }
        for note in &outcome.notes {
            world.terminal.say_message(&format!("    {note}"))?;
        }
        Ok(())
    }

    fn finish_json(&self, world: &World, results: Vec<(PathBuf, Result<Outcome>)>) -> Result<()> {
        let mut tally = Tally::default();
        let mut first = None;
        let mut entries = Vec::with_capacity(results.len());
        for (file, result) in results {
            tally.add(&result);
            let mut entry = json!({ "file": relative(&file).to_string_lossy() });
            match result {
                Ok(outcome) => {
                    if !outcome.warnings.is_empty() {
                        entry["warnings"] = told(&outcome.warnings);
                    }
                    entry["status"] = match (outcome.changed, self.dry_run) {
                        (true, true) => format!("would-be-{}", self.done).into(),
                        (true, false) => format!("done-{}", self.done).into(),
                        (false, _) => "unchanged".into(),
                    };
                    if outcome.changed {
                        entry["keys"] = outcome.keys.into();
                    }
                    if outcome.changed || !outcome.notes.is_empty() {
                        entry["notes"] = told(&outcome.notes);
                    }
                }
                Err(error) => {
                    first.get_or_insert(error.kind);
                    entry["status"] = "failed".into();
                    entry["error"] = error.kind.name().into();
                    entry["code"] = error.kind.code().into();
                    entry["message"] = error.message().into();
                    entry["hints"] = error.shown_hints().into();
                }
            }
            entries.push(entry);
        }
        let changed = if self.dry_run { 0 } else { tally.changed };
        let mut summary = json!({
            "files": Value::from(entries),
            "changed": changed,
            "outdated": tally.changed - changed,
            "failed": tally.failed,
        });
        if let Some(skipped) = &self.skipped {
            summary["skipped"] = skipped_json(skipped);
        }
        for (name, value) in &self.about {
            summary[name] = value.clone();
        }
        world.terminal.say_json(&summary)?;
        match first {
            Some(kind) => Err(Error::new(kind, "")),
            None => self
                .judge(&tally)
                .map_err(|error| Error::new(error.kind, "")),
        }
    }

    fn judge(&self, tally: &Tally) -> Result<()> {
        if !self.check || tally.changed == 0 {
            return Ok(());
        }
        let would = format!("would be {}", self.done);
        let text = match self.skipped {
            Some(_) => String::new(),
            None => count(tally.changed, &would, &would),
        };
        Err(Error::new(Kind::Outdated, text))
    }

    /// One line for a command over folders: what was done, and what was passed over and why.
    fn totals(&self, tally: &Tally, skipped: &BTreeMap<Skipped, usize>) -> String {
        if tally.changed + tally.unchanged + tally.failed == 0 {
            return format!("nothing to do{}", skipped_text(skipped));
        }
        let would = if self.dry_run { "would be " } else { "" };
        let mut line = count(
            tally.changed,
            &format!("{would}{}", self.done),
            &format!("{would}{}", self.done),
        );
        if tally.unchanged > 0 {
            line.push_str(&format!(", {} unchanged", tally.unchanged));
        }
        if tally.failed > 0 {
            line.push_str(&format!(", {} failed", tally.failed));
        }
        line.push_str(&skipped_text(skipped));
        line
    }
}

/// Messages as they stand in JSON.
fn told(messages: &[String]) -> Value {
    let messages = messages.iter();
    messages.map(|message| without_secrets(message)).collect()
}

/// How many files had which outcome.
#[derive(Default)]
struct Tally {
    changed: usize,
    unchanged: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, result: &Result<Outcome>) {
        match result {
            Ok(outcome) if outcome.changed => self.changed += 1,
            Ok(_) => self.unchanged += 1,
            Err(_) => self.failed += 1,
        }
    }
}

/// The part of a line of totals about what was passed over.
pub(crate) fn skipped_text(skipped: &BTreeMap<Skipped, usize>) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = skipped
        .iter()
        .map(|(reason, files)| reason.count(*files))
        .collect();
    format!("; skipped: {}", parts.join(", "))
}

/// The same for JSON.
pub(crate) fn skipped_json(skipped: &BTreeMap<Skipped, usize>) -> Value {
    let counts: Map<String, Value> = skipped
        .iter()
        .map(|(reason, files)| (reason.name().to_owned(), (*files).into()))
        .collect();
    counts.into()
}

/// How many files of one failure are listed.
const LISTED: usize = 10;

/// Tells each distinct failure once, with the files that it befell.
fn tell_failures(world: &World, failures: Vec<(PathBuf, Error)>) {
    type Told = (Vec<String>, Vec<String>);
    let mut groups: Vec<(Told, Vec<PathBuf>)> = Vec::new();
    let mut known: BTreeMap<Told, usize> = BTreeMap::new();
    for (file, error) in failures {
        let told = (error.lines(), error.hints);
        let at = *known.entry(told.clone()).or_insert(groups.len());
        if at == groups.len() {
            groups.push((told, Vec::new()));
        }
        groups[at].1.push(file);
    }
    let terminal = &world.terminal;
    for ((lines, hints), files) in groups {
        let first = lines.first().map_or("", String::as_str);
        match &files[..] {
            [file] => terminal.tell(&format!("{}: {first}", shown(file))),
            files => terminal.tell(&format!("{} files: {first}", files.len())),
        }
        for line in lines.iter().skip(1) {
            terminal.tell(line);
        }
        if files.len() > 1 {
            let all = terminal.verbosity() > 1;
            let listed = if all { files.len() } else { LISTED };
            for file in files.iter().take(listed) {
                terminal.tell(&format!("    {}", shown(file)));
            }
            if files.len() > listed {
                terminal.tell(&format!(
                    "    and {} more (-v lists them)",
                    files.len() - listed
                ));
            }
        }
        for hint in hints {
            terminal.tell(&format!("    hint: {hint}"));
        }
    }
}

/// So many files, and what they did.
pub(crate) fn count(files: usize, one: &str, many: &str) -> String {
    match files {
        1 => format!("1 file {one}"),
        _ => format!("{files} files {many}"),
    }
}

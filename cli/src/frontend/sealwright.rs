//! Our own verbs: consistent with each other, many files at once, JSON for scripts, nothing written with `--dry-run`.

mod adopt;
mod arguments;
mod cert;
mod config;
mod decrypt;
mod diff;
mod doctor;
mod edit;
mod encrypt;
mod everywhere;
mod exec_env;
mod exec_file;
mod fetch;
mod files;
mod get;
mod groups;
mod init;
mod key_options;
mod keygen;
mod later;
mod manual;
mod place;
mod publish;
mod push;
mod quote;
mod recipients;
mod reseal;
mod rotate;
mod seal;
mod sealed;
mod sealing_key;
mod set;
mod status;
mod store;
mod template;
mod unseal;
mod unset;
mod update_keys;
mod validate;
mod value_path;
mod words;

use std::ffi::OsString;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{Error, Kind, Result};
use crate::terminal::{Terminal, Voice};
use crate::world::World;

use arguments::Arguments;
use everywhere::When;

/// Runs the front-end; `words` are those after the program's name. Gives the exit code.
pub(crate) fn run(words: Vec<OsString>) -> u8 {
    let terminal = Arc::new(Terminal::new(Voice::Own));
    let json = asks_for_json(&words);
    terminal.set_json(json);
    if asks_for_build(&words) {
        let world = World::new(Arc::clone(&terminal));
        return match crate::command::version::show(&world, json) {
            Ok(()) => 0,
            Err(error) => super::report(&terminal, &error),
        };
    }
    let program = OsString::from("sealwright");
    let words: Vec<OsString> = std::iter::once(program).chain(words).collect();
    let arguments = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(error) => return misused(&terminal, &error, json),
    };
    let everywhere = &arguments.everywhere;
    let verbosity = match everywhere.quiet {
        true => 0,
        false => 1 + everywhere.verbose,
    };
    terminal.set_verbosity(verbosity);
    match everywhere.color {
        When::Auto => {}
        When::Always => terminal.set_colours(true),
        When::Never => terminal.set_colours(false),
    }
    let json = everywhere.json();
    let mut world = World::new(Arc::clone(&terminal));
    world.strict = everywhere.strict;
    match perform(&world, arguments) {
        Ok(()) => 0,
        Err(error) if json => report_json(&terminal, &error),
        Err(error) => super::report(&terminal, &error),
    }
}

/// Whether a command line asks for JSON, also one that cannot be read.
fn asks_for_json(words: &[OsString]) -> bool {
    let before = words.iter().take_while(|word| *word != "--");
    let words: Vec<&OsString> = before.collect();
    words.iter().any(|word| *word == "--output=json")
        || words
            .windows(2)
            .any(|pair| pair[0] == "--output" && pair[1] == "json")
}

/// Whether a command line asks for everything about the version: `--version --verbose`.
fn asks_for_build(words: &[OsString]) -> bool {
    let has = |long: &str, short: &str| words.iter().any(|word| *word == long || *word == short);
    let known = |word: &OsString| {
        [
            "--version",
            "-V",
            "--verbose",
            "-v",
            "--output",
            "json",
            "--output=json",
        ]
        .iter()
        .any(|known| *word == *known)
    };
    has("--version", "-V") && has("--verbose", "-v") && words.iter().all(known)
}

/// Shows help, or what is wrong with a command line.
fn misused(terminal: &Terminal, error: &clap::Error, json: bool) -> u8 {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return match terminal.out(text.as_bytes()) {
            Ok(()) => 0,
            Err(error) => super::report(terminal, &error),
        };
    }
    let text = text.trim_end();
    // Without a verb the text is the whole help.
    let Some(text) = text.strip_prefix("error: ") else {
        if json {
            let told = Error::new(Kind::Usage, "what is to be done is missing");
            return report_json(terminal, &told.hint("--help names the verbs"));
        }
        terminal.tell_text(text);
        return Kind::Usage.code();
    };
    let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) if error.kind() == ErrorKind::UnknownArgument => {
            Some(flag)
        }
        _ => None,
    };
    let mut told = Error::new(Kind::Usage, message);
    match flag.and_then(|flag| words::successor(flag)) {
        Some(successor) => told = told.hint(successor),
        None => {
            let tips = rest
                .lines()
                .filter_map(|line| line.trim().strip_prefix("tip: "));
            // To pass an unknown flag as a value is seldom what a person wants.
            let tips = tips.filter(|tip| !tip.starts_with("to pass '"));
            told.hints.extend(tips.map(str::to_owned));
        }
    }
    let lines = rest.lines().map(str::trim_end);
    let more = lines.filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("tip: ") && !line.starts_with("For more information")
    });
    told.report.extend(more.map(str::to_owned));
    told = told.hint("--help says more");
    match json {
        true => report_json(terminal, &told),
        false => super::report(terminal, &told),
    }
}

fn perform(world: &World, arguments: Arguments) -> Result<()> {
    let Arguments { everywhere, verb } = arguments;
    if !verb.needs_nothing() {
        world.open_trail()?;
    }
    let subject = verb.subject();
    verb.perform(world, &everywhere)
        .map_err(|error| words::ours(error, subject.as_deref()))
}

/// Shows an error as one line of JSON on standard error.
fn report_json(terminal: &Terminal, error: &Error) -> u8 {
    let message = error.message();
    if !message.is_empty() {
        let value = serde_json::json!({
            "error": error.kind.name(),
            "code": error.kind.code(),
            "message": message,
            "hints": error.hints,
        });
        terminal.tell_json(&value);
    }
    error.kind.code()
}

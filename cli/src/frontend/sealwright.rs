//! Our own verbs: consistent with each other, many files at once, JSON for scripts, nothing written with `--dry-run`.

mod arguments;
mod sealing;
mod storing;
mod words;

use std::ffi::OsString;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::error::{Error, Kind, Result};
use crate::terminal::{Terminal, Voice};
use crate::world::World;

use arguments::{Arguments, Verb, When};

/// Runs the front-end; `words` are those after the program's name. Gives the exit code.
pub(crate) fn run(words: Vec<OsString>) -> u8 {
    let terminal = Arc::new(Terminal::new(Voice::Own));
    let json = asks_for_json(&words);
    terminal.set_json(json);
    let words = std::iter::once(OsString::from("sealwright")).chain(words);
    let parsed = Arguments::command()
        .try_get_matches_from(words)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
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
    let everywhere = arguments.everywhere;
    match arguments.verb {
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "sealwright", &mut script);
            world.terminal.out(&script)
        }
        Verb::Man { folder } => man_pages(world, folder.as_deref()),
        verb => {
            world.open_trail()?;
            let subject = verb.subject();
            verb.perform(world, &everywhere)
                .map_err(|error| words::ours(error, subject.as_deref()))
        }
    }
}

/// Prints the manual of the program, or writes one page for each verb into a folder.
fn man_pages(world: &World, folder: Option<&std::path::Path>) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::new(Kind::Write, "cannot print the manual").because(error);
    let render = |command: clap::Command| -> Result<Vec<u8>> {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(failed)?;
        Ok(page)
    };
    let mut command = Arguments::command();
    command.build();
    let Some(folder) = folder else {
        return world.terminal.out(&render(command)?);
    };
    let failed = |error: std::io::Error| {
        Error::new(Kind::Write, format!("cannot create {}", folder.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = Vec::new();
    collect_pages("sealwright", &command, &mut pages);
    for (name, command) in pages {
        let page = sealwright_crypto::secret::SecretBytes::from(render(command)?);
        crate::file::replace(
            &world.terminal,
            &folder.join(format!("{name}.1")),
            &page,
            crate::file::Content::Encrypted,
            None,
        )?;
    }
    Ok(())
}

/// A page for a command and for each verb below it, as Git names its pages.
fn collect_pages(name: &str, command: &clap::Command, pages: &mut Vec<(String, clap::Command)>) {
    pages.push((name.to_owned(), command.clone()));
    for verb in command.get_subcommands() {
        if !verb.is_hide_set() && verb.get_name() != "help" {
            collect_pages(&format!("{name}-{}", verb.get_name()), verb, pages);
        }
    }
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

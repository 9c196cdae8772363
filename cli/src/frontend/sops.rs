//! Upstream's `sops`: its commands, flags, messages and exit codes over our commands.

mod call;
mod commands;
mod completion;
mod flags;
mod help;
mod legacy;
mod parser;
mod words;

use std::ffi::OsString;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::terminal::{Terminal, Voice};
use crate::world::World;

use call::Call;
use commands::{Command, ROOT};
use parser::Values;

/// The version of the contract that this front-end implements; clients read it (L1).
const VERSION_LINE: &str = "sops 3.13.3";

/// Runs the front-end; `words` are those after the program's name. Gives the exit code.
pub(crate) fn run(words: Vec<OsString>) -> u8 {
    let world = World::new(Arc::new(Terminal::new(Voice::Upstream)));
    match dispatch(&world, words) {
        Ok(()) => 0,
        Err(error) => {
            let mut error = words::theirs(error);
            // Scripts compare standard error byte for byte, and upstream gives no hints.
            if !world.terminal.advises() {
                error.hints.clear();
            }
            super::report(&world.terminal, &error)
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn dispatch(world: &World, mut words: Vec<OsString>) -> Result<()> {
    let terminal = &*world.terminal;
    if words
        .last()
        .is_some_and(|word| word == "--generate-bash-completion")
    {
        words.pop();
        return complete(terminal, &words);
    }
    let (values, operands) = match parser::parse(&ROOT, &words, &variable) {
        Ok(parsed) => parsed,
        Err(error) => {
            if !error.is_about_variable() {
                let help = help::of_program("sops");
                terminal.say_message(&format!("Incorrect Usage. {error}"))?;
                terminal.out(format!("\n{help}").as_bytes())?;
            }
            return Err(Error::new(Kind::Usage, error.to_string()));
        }
    };
    terminal.set_verbose(values.on("verbose"));
    if values.on("help") {
        return terminal.out(help::of_program("sops").as_bytes());
    }
    if values.on("version") {
        return print_version(terminal, &values);
    }
    let Some((first, rest)) = operands.split_first() else {
        return Err(Error::new(Kind::NoFile, "Error: no file specified"));
    };
    if first == "help" || first == "h" {
        return print_help(terminal, "sops", &ROOT, rest);
    }
    match find(&ROOT, first) {
        Some(command) => run_command(world, &values, "sops", command, rest),
        None => legacy::run(world, &values, &operands),
    }
}

fn find(within: &'static Command, word: &OsString) -> Option<&'static Command> {
    within.commands.iter().find(|command| word == command.name)
}

fn print_version(terminal: &Terminal, values: &Values) -> Result<()> {
    if values.on("check-for-updates") {
        terminal.warn("this program does not look for newer releases of itself");
    }
    terminal.say(VERSION_LINE)
}

fn print_help(
    terminal: &Terminal,
    path: &str,
    within: &'static Command,
    words: &[OsString],
) -> Result<()> {
    let text = match words.first() {
        None if within.name == "sops" => help::of_program(path),
        None => help::of_command("sops", within),
        Some(word) => match find(within, word) {
            Some(command) => help::of_command(path, command),
            None => {
                return Err(Error::new(
                    Kind::HelpTopic,
                    format!("No help topic for '{}'", word.to_string_lossy()),
                ));
            }
        },
    };
    terminal.out(text.as_bytes())
}

/// Prints what the shell may offer next (S74, S144).
fn complete(terminal: &Terminal, words: &[OsString]) -> Result<()> {
    let mut command = &ROOT;
    for word in words {
        if let Some(inner) = find(command, word) {
            command = inner;
        }
    }
    let last = words.last().map(|word| word.to_string_lossy());
    let with_summaries = variable("_CLI_ZSH_AUTOCOMPLETE_HACK").as_deref() == Some("1");
    let text = help::completions(command, last.as_deref(), with_summaries);
    terminal.out(text.as_bytes())
}

fn run_command(
    world: &World,
    before: &Values,
    path: &str,
    command: &'static Command,
    words: &[OsString],
) -> Result<()> {
    let terminal = &*world.terminal;
    let ordered = match command.commands {
        [] => parser::reorder(command, words),
        // The flags behind a command in it are those of that command.
        _ => words.to_vec(),
    };
    let parsed = parser::parse(command, &ordered, &variable);
    let (mut values, operands) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let help = help::of_command(path, command);
            terminal.say_message(&format!("Incorrect Usage: {error}"))?;
            terminal.out(format!("\n{help}").as_bytes())?;
            return Err(Error::new(Kind::Usage, error.to_string()));
        }
    };
    if values.on("help") {
        return terminal.out(help::of_command(path, command).as_bytes());
    }
    if !command.commands.is_empty() {
        let path = format!("{path} {}", command.name);
        return match operands.split_first() {
            None => terminal.out(help::of_command("sops", command).as_bytes()),
            Some((word, rest)) if word == "help" || word == "h" => {
                print_help(terminal, &path, command, rest)
            }
            Some((word, rest)) => match find(command, word) {
                Some(inner) => run_command(world, before, &path, inner, rest),
                None => print_help(terminal, &path, command, &operands),
            },
        };
    }
    // These reach every command; whatever else stands before a command counts if the command knows it.
    const EVERYWHERE: [&str; 5] = [
        "config",
        "indent",
        "mac-only-encrypted",
        "verbose",
        "disable-version-check",
    ];
    for name in values.inherit(before) {
        if !EVERYWHERE.contains(&name) {
            terminal.warn(&format!("--{name} before `{}` has no effect", command.name));
        }
    }
    if values.on("verbose") {
        terminal.set_verbose(true);
    }
    let call = Call {
        world,
        root: before,
        values: &values,
        operands: &operands,
    };
    if path != "sops completion" {
        world.open_trail()?;
    }
    match (path, command.name) {
        (_, "encrypt") => call.encrypt(),
        (_, "decrypt") => call.decrypt(),
        (_, "rotate") => call.rotate(),
        (_, "edit") => call.edit(),
        (_, "set") => call.set(),
        (_, "unset") => call.unset(),
        (_, "exec-env") => call.exec_env(),
        (_, "exec-file") => call.exec_file(),
        (_, "publish") => call.publish(),
        (_, "keyservice") => call.keyservice(),
        (_, "filestatus") => call.filestatus(),
        (_, "updatekeys") => call.updatekeys(),
        ("sops groups", "add") => call.groups_add(),
        ("sops groups", "delete") => call.groups_delete(),
        ("sops completion", "bash") => terminal.out(completion::BASH.as_bytes()),
        ("sops completion", "zsh") => terminal.out(completion::ZSH.as_bytes()),
        (path, name) => unreachable!("{path} {name} is in the list of commands"),
    }
}

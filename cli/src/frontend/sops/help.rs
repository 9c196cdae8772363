//! Help texts and completions of the `sops` front-end, printed from the list of flags.

use std::fmt::Write as _;

use super::commands::{Command, ROOT};
use super::flags::{Flag, Takes};

/// The help of the program.
pub(super) fn of_program(name: &str) -> String {
    let mut text = format!(
        "NAME:\n   {name} - {}\n\nUSAGE:\n   {name} [options] [command] [command options] {}\n\n",
        ROOT.summary, ROOT.operands
    );
    text.push_str(
        "   Without a command, a file is opened in an editor; --encrypt, --decrypt, --rotate and\n   \
         --set choose something else. Keys come from the configuration (.sops.yaml), from options\n   \
         or from the variables named below; identities from SOPS_AGE_KEY, SOPS_AGE_KEY_FILE,\n   \
         SOPS_AGE_KEY_CMD, the keys.txt of the user's configuration folder, SSH keys, and gpg.\n\n",
    );
    text.push_str("COMMANDS:\n");
    write_commands(&mut text, ROOT.commands);
    text.push('\n');
    write_flags(&mut text, "GLOBAL OPTIONS", ROOT.flags());
    write_examples(&mut text, &ROOT);
    text
}

/// The help of a command; `path` is the program with the commands above it.
pub(super) fn of_command(path: &str, command: &Command) -> String {
    let mut text = format!(
        "NAME:\n   {path} {} - {}\n\nUSAGE:\n",
        command.name, command.summary
    );
    if command.commands.is_empty() {
        writeln!(
            text,
            "   {path} {} [command options] {}\n",
            command.name, command.operands
        )
        .expect("memory takes it");
    } else {
        writeln!(
            text,
            "   {path} {} command [command options]\n\nCOMMANDS:",
            command.name
        )
        .expect("memory takes it");
        write_commands(&mut text, command.commands);
        text.push('\n');
    }
    write_flags(&mut text, "OPTIONS", command.flags());
    write_examples(&mut text, command);
    text
}

/// What a completion offers: commands, or flags when the word before begins with a dash (S74).
pub(super) fn completions(command: &Command, after: Option<&str>, with_summaries: bool) -> String {
    let mut text = String::new();
    if after.is_some_and(|word| word.starts_with('-')) {
        for name in command.flags().flat_map(|flag| flag.names) {
            let dashes = if name.len() == 1 { "-" } else { "--" };
            writeln!(text, "{dashes}{name}").expect("memory takes it");
        }
        return text;
    }
    let with_help = !command.commands.is_empty();
    let help = [("help", HELP_SUMMARY), ("h", HELP_SUMMARY)];
    let commands = command
        .commands
        .iter()
        .map(|command| (command.name, command.summary));
    for (name, summary) in commands.chain(help.into_iter().filter(|_| with_help)) {
        if with_summaries {
            writeln!(text, "{name}:{summary}").expect("memory takes it");
        } else {
            writeln!(text, "{name}").expect("memory takes it");
        }
    }
    text
}

const HELP_SUMMARY: &str = "show a list of commands, or the help of one";

fn write_commands(text: &mut String, commands: &[Command]) {
    let width = commands
        .iter()
        .map(|command| command.name.len())
        .max()
        .unwrap_or(0)
        .max(7);
    for command in commands {
        writeln!(text, "   {:width$}  {}", command.name, command.summary).expect("memory takes it");
    }
    writeln!(text, "   {:width$}  {HELP_SUMMARY}", "help, h").expect("memory takes it");
}

fn write_flags(text: &mut String, title: &str, flags: impl Iterator<Item = &'static Flag>) {
    let flags: Vec<&Flag> = flags.collect();
    let forms: Vec<String> = flags.iter().map(|flag| forms(flag)).collect();
    let width = forms.iter().map(String::len).max().unwrap_or(0);
    writeln!(text, "{title}:").expect("memory takes it");
    for (flag, form) in flags.iter().zip(&forms) {
        write!(text, "   {form:width$}  {}", flag.help).expect("memory takes it");
        match flag.takes {
            Takes::Text(default) if !default.is_empty() => {
                write!(text, " (default: {default:?})").expect("memory takes it");
            }
            _ => {}
        }
        if let Some(variable) = flag.variable {
            write!(text, " [${variable}]").expect("memory takes it");
        }
        text.push('\n');
    }
}

fn write_examples(text: &mut String, command: &Command) {
    if command.examples.is_empty() {
        return;
    }
    text.push_str("\nEXAMPLES:\n");
    for (what, line) in command.examples {
        writeln!(text, "   {line}\n      {what}").expect("memory takes it");
    }
}

fn forms(flag: &Flag) -> String {
    let value = match flag.takes {
        Takes::Bool(_) => "",
        Takes::Text(_) | Takes::Int | Takes::List => " value",
    };
    let forms: Vec<String> = flag
        .names
        .iter()
        .map(|name| {
            let dashes = if name.len() == 1 { "-" } else { "--" };
            format!("{dashes}{name}{value}")
        })
        .collect();
    forms.join(", ")
}

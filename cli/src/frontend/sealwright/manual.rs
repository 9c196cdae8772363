//! The manual pages: what clap knows of each verb, and the sections that manual readers look for.

use std::fmt::Write as _;
use std::path::Path;

use clap_mangen::Man;
use sealwright_crypto::secret::SecretBytes;

use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::world::World;

/// Variables that count for every verb, beside those of its own options.
const VARIABLES: [(&str, &str); 11] = [
    (
        "SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, SOPS_AGE_KEY_CMD",
        "Age identities: the text, a file that holds it, a command that prints it. By default they are looked for in \
         sops/age/keys.txt in the user's settings.",
    ),
    (
        "SOPS_AGE_SSH_PRIVATE_KEY_FILE, SOPS_AGE_SSH_PRIVATE_KEY_CMD",
        "An SSH key as age identity: its file, a command that prints it. By default ~/.ssh/id_ed25519 and ~/.ssh/id_rsa.",
    ),
    ("SOPS_CONFIG", "The configuration file, as --config."),
    (
        "SOPS_DECRYPTION_ORDER",
        "Kinds of keys in the order in which they are tried, such as age,pgp.",
    ),
    (
        "SOPS_EDITOR, EDITOR",
        "The editor of edit; the first that is set.",
    ),
    ("SOPS_GPG_EXEC", "The gpg program for OpenPGP keys."),
    (
        "VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, BAO_ADDR, BAO_TOKEN, BAO_NAMESPACE",
        "Where Vault or OpenBao is, and how to sign in.",
    ),
    (
        "AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and others",
        "As for the tools of AWS.",
    ),
    (
        "KUBECONFIG",
        "How to reach the cluster, for the verbs of sealing.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
        "The way to vaults, key services and the cluster.",
    ),
    ("NO_COLOR", "Set to anything: no colours."),
];

/// Exit codes that scripts want to tell apart; docs/src/exit-codes.md has all of them.
const CODES: [(&str, &str); 10] = [
    ("0", "Success."),
    (
        "1",
        "A failure without a code of its own; with --check, there is something to do.",
    ),
    (
        "2",
        "The input cannot be read, or is no document of its format.",
    ),
    (
        "3",
        "The output cannot be written, or someone else changed it meanwhile.",
    ),
    ("7, 91", "The path to a value makes no sense."),
    (
        "25, 51",
        "A value cannot be decrypted, or the MAC does not agree.",
    ),
    ("100", "The file is not there."),
    ("128", "No key of this machine opens the file."),
    ("200", "edit: the file was left as it was."),
    ("203", "The file is encrypted already."),
];

/// Prints the manual of the program, or writes one page for each verb of it into a folder.
pub(super) fn write(
    world: &World,
    mut command: clap::Command,
    folder: Option<&Path>,
) -> Result<()> {
    command.build();
    let Some(folder) = folder else {
        return world.terminal.out(&page(command)?);
    };
    let failed = |error: std::io::Error| {
        Error::new(Kind::Write, format!("cannot create {}", folder.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = Vec::new();
    collect("sealwright", &command, &mut pages);
    for (name, command) in pages {
        file::replace(
            &world.terminal,
            &folder.join(format!("{name}.1")),
            &SecretBytes::from(page(command)?),
            Content::Encrypted,
            None,
        )?;
    }
    Ok(())
}

/// A page for a command and for each verb below it, as Git names its pages.
fn collect(name: &str, command: &clap::Command, pages: &mut Vec<(String, clap::Command)>) {
    pages.push((name.to_owned(), command.clone()));
    for verb in command.get_subcommands() {
        if !verb.is_hide_set() && verb.get_name() != "help" {
            collect(&format!("{name}-{}", verb.get_name()), verb, pages);
        }
    }
}

fn page(command: clap::Command) -> Result<Vec<u8>> {
    let failed =
        |error: std::io::Error| Error::new(Kind::Write, "cannot print the manual").because(error);
    let examples = command
        .get_after_help()
        .map(|text| text.to_string())
        .unwrap_or_default();
    let has_verbs = command.has_subcommands();
    // Examples have a section of their own.
    let man = Man::new(command.after_help("").after_long_help(""));
    let mut page = Vec::new();
    man.render_title(&mut page).map_err(failed)?;
    man.render_name_section(&mut page).map_err(failed)?;
    man.render_synopsis_section(&mut page).map_err(failed)?;
    man.render_description_section(&mut page).map_err(failed)?;
    man.render_options_section(&mut page).map_err(failed)?;
    if has_verbs {
        man.render_subcommands_section(&mut page).map_err(failed)?;
    }
    page.extend(list("ENVIRONMENT", &VARIABLES).into_bytes());
    page.extend(list("EXIT STATUS", &CODES).into_bytes());
    page.extend(example_section(&examples).into_bytes());
    Ok(page)
}

/// A section with a paragraph for each name.
fn list(title: &str, entries: &[(&str, &str)]) -> String {
    let mut text = format!(".SH \"{title}\"\n");
    for (name, meaning) in entries {
        let _ = write!(text, ".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(meaning));
    }
    text
}

/// The examples of a help text, line by line as they stand there; other paragraphs go before them.
fn example_section(help: &str) -> String {
    let (before, examples) = match help.split_once("Examples:") {
        Some(parts) => parts,
        None => help.split_once("Example:").unwrap_or((help, "")),
    };
    let mut text = String::new();
    if !before.trim().is_empty() {
        let _ = write!(text, ".SH NOTES\n{}\n", roff(before.trim()));
    }
    let lines: Vec<&str> = examples
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if !lines.is_empty() {
        text.push_str(".SH EXAMPLES\n.nf\n");
        for line in lines {
            let _ = writeln!(text, "{}", roff(line));
        }
        text.push_str(".fi\n");
    }
    text
}

/// Text with what roff would obey written out.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines: Vec<String> = escaped
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Arguments;
    use super::*;

    #[test]
    fn every_page_has_the_sections_that_readers_look_for() {
        let mut command = Arguments::whole();
        command.build();
        let mut pages = Vec::new();
        collect("sealwright", &command, &mut pages);
        assert!(pages.len() > 30, "{} pages", pages.len());
        for (name, command) in pages {
            let leaf = !command.has_subcommands();
            let text = String::from_utf8(page(command).unwrap()).unwrap();
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "ENVIRONMENT",
                "EXIT STATUS",
            ] {
                let quoted = text.contains(&format!(".SH \"{section}\""));
                assert!(
                    quoted || text.contains(&format!(".SH {section}")),
                    "{name}: {section}\n{text}"
                );
            }
            assert!(
                !leaf || text.contains(".SH EXAMPLES"),
                "{name} has no example"
            );
            assert!(!text.contains("Examples:"), "{name}");
        }
    }

    #[test]
    fn what_roff_obeys_is_written_out() {
        assert_eq!(
            roff(".sops.yaml\n'x' a\\b --c"),
            "\\&.sops.yaml\n\\&'x' a\\eb \\-\\-c"
        );
        assert_eq!(
            example_section("Note.\n\nExamples:\n  a\n  b"),
            ".SH NOTES\nNote.\n.SH EXAMPLES\n.nf\na\nb\n.fi\n"
        );
    }
}

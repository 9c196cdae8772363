//! What the program can do, one struct per command: no strings left to interpret, no front-end known.

pub(crate) mod batch;
pub(crate) mod config;
pub(crate) mod data_key;
mod decrypt;
mod document;
mod edit;
mod encrypt;
mod exec_env;
mod exec_file;
mod fetch;
mod file_status;
mod groups;
mod key_service;
mod key_texts;
mod keygen;
mod new_keys;
mod publish;
mod push;
mod recipients;
mod rotate;
pub(crate) mod seal;
mod set;
mod status;
mod store;
mod stores;
mod unset;
pub(crate) mod update_keys;

use std::path::{Path, PathBuf};

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::format::{Step, by_name};
use sealwright_documents::metadata::Metadata;

use crate::error::{Error, Kind, Result};
use crate::file::{self, Content, Original};
use crate::terminal::Terminal;

pub(crate) use decrypt::Decrypt;
pub(crate) use document::by_suffix as format_by_suffix;
pub(crate) use edit::Edit;
pub(crate) use encrypt::Encrypt;
pub(crate) use exec_env::{ExecEnv, ExecHow};
pub(crate) use exec_file::ExecFile;
pub(crate) use fetch::{Fetch, FetchForm};
pub(crate) use file_status::FileStatus;
pub(crate) use groups::{GroupsAdd, GroupsDelete};
pub(crate) use key_service::KeyService;
pub(crate) use keygen::Keygen;
pub(crate) use publish::Publish;
pub(crate) use push::Push;
pub(crate) use recipients::Recipients;
pub(crate) use rotate::Rotate;
pub(crate) use set::{Set, SetValue, read_value_file, read_value_stdin};
pub(crate) use status::{Status, is_encrypted, is_plain};
pub(crate) use store::{StoreCheck, StoreList, StorePlace};
pub(crate) use unset::Unset;
pub(crate) use update_keys::UpdateKeys;

/// What every command that opens a document needs to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// The configuration file that was named; otherwise one is looked for from the working folder upwards.
    pub(crate) config: Option<PathBuf>,
    /// Columns per level in what is written anew; overrides the configuration.
    pub(crate) indent: Option<i32>,
    /// Kinds of keys to try first, as given.
    pub(crate) decryption_order: Option<String>,
    /// Whether keys of this machine may be used.
    pub(crate) local_keys: bool,
    /// Key services to ask.
    pub(crate) key_services: Vec<String>,
    /// The format of what is read, when the file name does not decide.
    pub(crate) input_type: Option<&'static str>,
    /// The format of what is written, when the file name does not decide.
    pub(crate) output_type: Option<&'static str>,
}

impl Settings {
    /// Settings of a plain call.
    pub(crate) fn new() -> Self {
        Self {
            local_keys: true,
            ..Self::default()
        }
    }
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file, by absolute path.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// Over the input.
    InPlace,
    /// Into another file.
    File(PathBuf),
}

/// Refuses a configuration that cannot be read, before anything else is looked at.
pub(crate) fn check_configuration(world: &crate::world::World, settings: &Settings) -> Result<()> {
    stores::load(world, settings).map(drop)
}

/// Refuses a file that no rule of a configuration with rules is for.
pub(crate) fn check_rule(
    world: &crate::world::World,
    settings: &Settings,
    name: &Path,
) -> Result<()> {
    config::rule_for(world, settings, name, &Default::default()).map(drop)
}

/// Refuses an order of kinds of keys that names one twice.
pub(crate) fn check_order(settings: &Settings) -> Result<()> {
    data_key::Order::parse(settings.decryption_order.as_deref()).map(drop)
}

/// The texts of master keys as flags have them, lists split by commas, one field per kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyTexts {
    pub(crate) kms: Option<String>,
    pub(crate) gcp_kms: Option<String>,
    pub(crate) hckms: Option<String>,
    pub(crate) azure_kv: Option<String>,
    pub(crate) hc_vault: Option<String>,
    pub(crate) pgp: Option<String>,
    pub(crate) age: Option<String>,
}

impl KeyTexts {
    /// Whether no key was given at all.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which leaves shall be secret, as flags have it; at most one may be set in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SelectionTexts {
    pub(crate) unencrypted_suffix: Option<String>,
    pub(crate) encrypted_suffix: Option<String>,
    pub(crate) unencrypted_regex: Option<String>,
    pub(crate) encrypted_regex: Option<String>,
    pub(crate) unencrypted_comment_regex: Option<String>,
    pub(crate) encrypted_comment_regex: Option<String>,
}

/// Reads a path into a document, such as `["a"][0]['b']` (S91).
pub(crate) fn parse_tree_path(text: &str) -> std::result::Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut parts = text.split('[');
    let before = parts.next().unwrap_or_default();
    if !before.trim().is_empty() {
        return Err(format!("{text:?} does not begin with ["));
    }
    for part in parts {
        let inner = part
            .trim_end()
            .strip_suffix(']')
            .ok_or_else(|| format!("a step of {text:?} does not end with ]"))?;
        let quoted = inner.starts_with(['"', '\'']);
        if quoted {
            let mut chars = inner.chars();
            chars.next();
            if chars.next_back().is_none() {
                return Err(format!("a key of {text:?} has no closing quote"));
            }
            steps.push(Step::Key(chars.as_str().to_owned()));
        } else {
            let index = inner
                .parse::<i64>()
                .map_err(|_| format!("{inner:?} is neither a quoted key nor a list index"))?;
            let index = usize::try_from(index)
                .map_err(|_| format!("the list index {index} is negative"))?;
            steps.push(Step::Index(index));
        }
    }
    Ok(steps)
}

/// What a command would write.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) from: Input,
    pub(crate) to: Output,
    /// What the input was; with it a file that changed meanwhile is not overwritten.
    pub(crate) original: Option<Original>,
    /// The result; `None` when there is nothing to do.
    pub(crate) bytes: Option<SecretBytes>,
    /// What the result is.
    pub(crate) content: Content,
    /// The master keys that are used, for people.
    pub(crate) keys: Vec<String>,
    /// What else there is to say about it.
    pub(crate) notes: Vec<String>,
    /// What is wrong with the result, in sentences that name the file.
    pub(crate) warnings: Vec<String>,
}

impl Change {
    /// Shows what is wrong with the result, and writes it where it belongs.
    pub(crate) fn finish(&self, terminal: &Terminal) -> Result<()> {
        for warning in &self.warnings {
            terminal.advise(warning);
        }
        self.deliver(terminal)
    }

    /// Writes the result where it belongs.
    pub(crate) fn deliver(&self, terminal: &Terminal) -> Result<()> {
        let Some(bytes) = &self.bytes else {
            return Ok(());
        };
        match (&self.to, &self.from) {
            (Output::Stdout, _) => terminal.out(bytes.expose()),
            (Output::File(path), _) => file::replace(terminal, path, bytes, self.content, None),
            (Output::InPlace, Input::File(path)) => {
                file::replace(terminal, path, bytes, self.content, self.original.as_ref())
            }
            (Output::InPlace, Input::Stdin) => Err(Error::new(
                Kind::Conflict,
                "Error: cannot use --in-place when reading from stdin",
            )),
        }
    }
}

/// The master keys of a file, for people.
pub(crate) fn key_names(metadata: &Metadata) -> Vec<String> {
    let entries = metadata.groups.iter().flatten();
    entries
        .map(|entry| format!("{} {}", entry.key.kind().section(), entry.key.identity()))
        .collect()
}

/// The name of a format, as flags have it; others are ignored as the incumbent does (2.1).
pub(crate) fn format_name(text: &str) -> Option<&'static str> {
    by_name(text).map(|format| format.name())
}

/// Makes a path absolute against the working folder, without following symbolic links (S75).
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let joined = std::path::absolute(path).map_err(|error| {
        Error::generic(format!("cannot make {} absolute", path.display())).because(error)
    })?;
    // As the incumbent cleans it, so that rules see the same text.
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s91_tree_paths() {
        let path = parse_tree_path(r#"["a b"][12]['c]d']"#).unwrap();
        assert_eq!(
            path,
            [
                Step::Key("a b".into()),
                Step::Index(12),
                Step::Key("c]d".into())
            ]
        );
        assert_eq!(parse_tree_path("").unwrap(), []);
        for wrong in ["a", r#"["a""#, "[x]", r#"["]"#, "[-1]", "[1", "[]"] {
            assert!(parse_tree_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_become_absolute_and_clean() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("./a/../b")).unwrap(), here.join("b"));
        assert_eq!(absolute(Path::new("/x/./y")).unwrap(), Path::new("/x/y"));
    }
}

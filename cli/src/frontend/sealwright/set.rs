//! `sealwright set`, as clap reads it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sealwright_crypto::secret::SecretBytes;

use super::everywhere::Everywhere;
use super::files::one_change;
use super::sealed::SealedOptions;
use super::value_path;
use crate::command::found;
use crate::command::seal::SealedFile;
use crate::command::{self, SetValue, ValueType, absolute};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Set one value of an encrypted file, or of a SealedSecret.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  printf %s \"$PASSWORD\" | sealwright set app.yaml db.password --stdin\n  \
    sealwright set app.yaml replicas --json 3"
)]
pub(super) struct Set {
    /// The file.
    file: PathBuf,
    #[arg(help = value_path::HELP)]
    path: String,
    /// The new value; - reads it from standard input; without a value, a terminal prompts for it without echo. Other
    /// users of this machine can read an argument in the list of processes: --stdin is safer.
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,
    /// The value is JSON: a number, a map, a list.
    #[arg(long, group = "type_of_value")]
    json: bool,
    /// The value is a string, whatever its content.
    #[arg(long, group = "type_of_value")]
    string: bool,
    /// The type of the value; by default that of the value that is replaced, or text.
    #[arg(
        long = "type",
        value_enum,
        value_name = "TYPE",
        group = "type_of_value"
    )]
    of_type: Option<TypeName>,
    /// Replace a map or a list by a value or the reverse, append to a list.
    #[arg(long)]
    force: bool,
    /// Read the value from standard input; one line break at its end does not count.
    #[arg(long, conflicts_with = "value")]
    stdin: bool,
    /// Keep the line break at the end of standard input.
    #[arg(long)]
    raw: bool,
    /// Read the value from a file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["value", "stdin"])]
    from_file: Option<PathBuf>,
    /// Show what would be done, write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    sealed: SealedOptions,
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TypeName {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// true or false.
    Bool,
    /// As JSON says.
    Json,
}

impl Set {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        Some(self.file.clone())
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let file = absolute(&self.file)?;
        if found::is_sealed(&file, &everywhere.settings()) {
            let keys = self.sealed.keys(world, everywhere)?;
            let mut sealed = SealedFile::open(&file)?;
            let value = self.bytes(world)?;
            sealed.set(&self.path, &value, &self.sealed.source().load()?, &keys)?;
            return one_change(world, everywhere, self.dry_run, "set", &file, || {
                sealed.change()
            });
        }
        let path = value_path::of(&self.path)?;
        let value = self.value(world)?;
        let set = command::Set {
            name: file.clone(),
            file: file.clone(),
            path,
            value,
            replacing: match self.force {
                true => command::Replacing::Anything,
                false => command::Replacing::SameKind,
            },
            idempotent: true,
            ignore_mac: false,
            settings: everywhere.settings(),
        };
        one_change(world, everywhere, self.dry_run, "set", &file, || {
            set.change(world)
        })
    }
}

impl Set {
    /// The new value, from wherever it is to be read.
    fn value(&self, world: &World) -> Result<SetValue> {
        let bytes = self.bytes(world)?;
        Ok(match (self.json, self.string, self.of_type) {
            (true, ..) | (_, _, Some(TypeName::Json)) => SetValue::Json(bytes),
            (_, true, _) | (_, _, Some(TypeName::String)) => {
                SetValue::Text(bytes, ValueType::String)
            }
            (_, _, Some(TypeName::Int)) => SetValue::Text(bytes, ValueType::Int),
            (_, _, Some(TypeName::Float)) => SetValue::Text(bytes, ValueType::Float),
            (_, _, Some(TypeName::Bool)) => SetValue::Text(bytes, ValueType::Bool),
            (_, _, None) => SetValue::Text(bytes, ValueType::Kept),
        })
    }

    fn bytes(&self, world: &World) -> Result<SecretBytes> {
        match (&self.value, &self.from_file) {
            (Some(text), _) if text != "-" => Ok(SecretBytes::copy_of(text.as_bytes())),
            (_, Some(path)) => command::read_value_file(path),
            (None, None) if !self.stdin && world.terminal.reads_from_person() => {
                typed_unseen(world, &self.path)
            }
            _ if self.raw => command::read_value_stdin(),
            _ => Ok(without_line_break(command::read_value_stdin()?)),
        }
    }
}

/// Asks for a value on the terminal, which does not show it.
fn typed_unseen(world: &World, path: &str) -> Result<SecretBytes> {
    let typed = world.terminal.ask_secret(&format!("New value of {path}"));
    match typed {
        Some(text) => Ok(SecretBytes::copy_of(text.expose().as_bytes())),
        None => Err(Error::new(
            Kind::Interrupted,
            "no value was given; nothing was written",
        )),
    }
}

/// A value without the one line break that `echo` and editors put behind it.
fn without_line_break(text: SecretBytes) -> SecretBytes {
    let bytes = text.expose();
    let Some(rest) = bytes.strip_suffix(b"\n") else {
        return text;
    };
    SecretBytes::copy_of(rest.strip_suffix(b"\r").unwrap_or(rest))
}

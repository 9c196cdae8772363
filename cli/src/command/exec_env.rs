//! `exec-env`: a command with the decrypted values in its environment.

use std::ffi::OsString;
use std::path::PathBuf;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_documents::float;
use sealwright_documents::scalar::Scalar;
use sealwright_documents::tree::{Key, Tree, Value};

use super::{Input, Settings, document};
use crate::error::{Error, Fault, Result};
use crate::exec::{self, How, User};
use crate::world::World;

/// How a command is run, as front-ends say it.
#[derive(Debug, Default)]
pub(crate) struct ExecHow {
    pub(crate) background: bool,
    pub(crate) pristine: bool,
    pub(crate) same_process: bool,
    pub(crate) user: Option<String>,
}

impl ExecHow {
    /// Looks the user up and checks what goes together.
    pub(crate) fn resolve(&self, world: &World) -> Result<How> {
        if self.background {
            if self.same_process {
                return Err(Error::of(Fault::BackgroundInSameProcess));
            }
            world.terminal.warn("exec-env's and exec-file's --background option is deprecated and will be removed in a future version");
        }
        Ok(How {
            background: self.background,
            pristine: self.pristine,
            same_process: self.same_process,
            user: self.user.as_deref().map(User::find).transpose()?,
        })
    }
}

/// Runs a command with the values of a file's first document as variables.
#[derive(Debug)]
pub(crate) struct ExecEnv {
    pub(crate) file: PathBuf,
    pub(crate) command: OsString,
    pub(crate) how: ExecHow,
    pub(crate) settings: Settings,
}

impl ExecEnv {
    /// Does it.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        world.configuration(&self.settings)?;
        let how = self.how.resolve(world)?;
        let from = Input::File(self.file.clone());
        let original = document::read(&from, false)?;
        let format = document::input_format(&Settings::new(), &self.file);
        let file = document::parse_encrypted(format, original.into_bytes())?;
        let plain = document::open(world, &self.settings, &from, &file)?;
        let variables = variables(plain.tree())?;
        drop(plain);
        exec::with_environment(&how, &self.command, &variables)
    }
}

/// The top-level values as variables (S115).
fn variables(tree: &Tree) -> Result<Vec<(SecretBytes, SecretBytes)>> {
    let mut variables = Vec::new();
    let root = tree.documents.first().map_or(0, |root| *root as usize);
    for node in tree.children(root) {
        if matches!(tree.nodes[node].value, Value::Comment { .. }) {
            continue;
        }
        let key = tree.key(node).unwrap_or_default();
        let name = String::from_utf8_lossy(key);
        if matches!(tree.nodes[node].key, Key::NotText(_)) {
            return Err(Error::generic(format!(
                "cannot use non-string keys in environment, got {name:?}"
            )));
        }
        // An empty name goes on as it is, as upstream has it; shells drop it.
        if key.contains(&b'=') || key.contains(&0) {
            return Err(Error::generic(format!(
                "cannot use keys with '=' in environment: {name:?}"
            )));
        }
        let scalar = tree.scalar(node).ok_or_else(|| {
            Error::generic(format!(
                "cannot use complex value in environment; offending key {name:?}"
            ))
        })?;
        let value = value_text(scalar);
        if value.expose().contains(&0) {
            return Err(Error::generic(format!(
                "the value of {name:?} has a zero byte, which no environment can hold"
            )));
        }
        variables.push((SecretBytes::copy_of(key), value));
    }
    Ok(variables)
}

/// A value as dotenv would spell it, newlines as they are; null is nothing (D12).
fn value_text(scalar: Scalar<'_>) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(32);
    match scalar {
        Scalar::Null => {}
        Scalar::Bool(value) => out.push(if value { b"true" } else { b"false" }),
        Scalar::Float(value) => float::write_flat(value, &mut out),
        other => other.write_wire(&mut out),
    }
    out.finish()
}

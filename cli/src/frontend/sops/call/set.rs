//! `sops set` and `sops unset`.

use std::path::{Path, PathBuf};

use super::Call;
use crate::command::{self, absolute_by_name, parse_tree_path};
use crate::error::{Error, Kind, Result};

impl Call<'_> {
    pub(in crate::frontend::sops) fn set(&self) -> Result<()> {
        let (from_file, from_stdin) = (self.values.on("value-file"), self.values.on("value-stdin"));
        let wanted = if from_stdin { 2 } else { 3 };
        if from_file && from_stdin {
            return Err(Error::generic(
                "Error: cannot use both --value-file and --value-stdin",
            ));
        }
        if self.operands.len() != wanted {
            return Err(Error::new(
                Kind::NoFile,
                if from_stdin {
                    "Error: no file specified, or index is missing. Need precisely 2 positional arguments since --value-stdin is used."
                } else {
                    "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments."
                },
            ));
        }
        let value = match self.operands.get(2) {
            None => command::SetValue::Stdin,
            Some(path) if from_file => command::SetValue::File(PathBuf::from(path)),
            Some(text) => command::SetValue::json(text.to_string_lossy().as_bytes()),
        };
        let file = absolute_by_name(Path::new(&self.operands[0]))?;
        command::Set {
            name: file.clone(),
            file,
            path: self.after_configuration(self.tree_path(1))?,
            value,
            replacing: command::Replacing::Anything,
            idempotent: self.values.on("idempotent"),
            ignore_mac: self.values.on("ignore-mac"),
            settings: self.settings(),
        }
        .run(self.world)
    }

    pub(in crate::frontend::sops) fn unset(&self) -> Result<()> {
        if self.operands.len() != 2 {
            return Err(Error::new(
                Kind::NoFile,
                "Error: no file specified, or index is missing. Need precisely 2 positional arguments.",
            ));
        }
        let file = absolute_by_name(Path::new(&self.operands[0]))?;
        command::Unset {
            name: file.clone(),
            file,
            path: self.after_configuration(self.tree_path(1))?,
            idempotent: self.values.on("idempotent"),
            ignore_mac: self.values.on("ignore-mac"),
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    fn tree_path(&self, at: usize) -> Result<Vec<sealwright_documents::format::Step>> {
        let text = self.operands[at].to_string_lossy();
        let path = parse_tree_path(&text).map_err(|reason| {
            Error::new(Kind::Path, format!("Invalid set index format: {reason}"))
        })?;
        if path.is_empty() {
            return Err(Error::new(
                Kind::Path,
                "Invalid set index format: the path is empty",
            ));
        }
        Ok(path)
    }
}

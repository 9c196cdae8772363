//! `sops rotate`.

use std::path::PathBuf;

use super::Call;
use crate::command::{self, Input, Lockout, Recipients, RotatedKeys, Unless};
use crate::error::{Error, Kind, Result};

impl Call<'_> {
    pub(in crate::frontend::sops) fn rotate(&self) -> Result<()> {
        self.refuse_two_outputs()?;
        let file = self.file()?;
        if !file.exists() && self.changes_keys() {
            return Err(Error::new(
                Kind::NoFileToRotate,
                format!(
                    "Error: cannot add or remove keys on non-existent file {file:?}, use the `edit` subcommand instead."
                ),
            ));
        }
        self.rotate_file(file)
    }

    pub(in crate::frontend::sops) fn rotate_file(&self, file: PathBuf) -> Result<()> {
        self.rotation(file)?.run(self.world)
    }

    fn rotation(&self, file: PathBuf) -> Result<command::Rotate> {
        let from = Input::File(file);
        Ok(command::Rotate {
            to: self.output()?,
            name: self.name(&from)?,
            from,
            keys: RotatedKeys::Changed {
                add: self.prefixed_keys("add-"),
                remove: self.prefixed_keys("rm-"),
            },
            ignore_mac: self.values.on("ignore-mac"),
            recipients: Recipients::AsTheyAre,
            unless: Unless::default(),
            lockout: Lockout::Happens,
            settings: self.settings_to_decrypt()?,
        })
    }

    pub(in crate::frontend::sops) fn changes_keys(&self) -> bool {
        ["add-", "rm-"]
            .iter()
            .any(|prefix| !self.prefixed_keys(prefix).is_empty())
    }
}

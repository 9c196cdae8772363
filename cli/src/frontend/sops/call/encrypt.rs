//! `sops encrypt`.

use super::Call;
use crate::command::{self, Input};
use crate::error::{Error, Kind, Result};

impl Call<'_> {
    pub(in crate::frontend::sops) fn encrypt(&self) -> Result<()> {
        self.refuse_in_place_without_file()?;
        self.refuse_two_outputs()?;
        let from = self.input_or_stdin()?;
        if from == Input::Stdin && self.values.text("filename-override").is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                "Error: must specify --filename-override when reading from stdin",
            ));
        }
        self.encrypt_from(from)
    }

    pub(in crate::frontend::sops) fn encrypt_from(&self, from: Input) -> Result<()> {
        self.encryption(from)?.run(self.world)
    }

    pub(in crate::frontend::sops) fn encryption(&self, from: Input) -> Result<command::Encrypt> {
        let name = self.name(&from)?;
        Ok(command::Encrypt {
            to: self.output()?,
            name,
            from,
            keys: self.keys(),
            selection: self.selection(),
            threshold: self.threshold()?,
            mac_only_encrypted: self.root.on("mac-only-encrypted"),
            settings: self.settings(),
        })
    }
}

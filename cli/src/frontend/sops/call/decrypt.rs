//! `sops decrypt`.

use super::Call;
use crate::command::{self, Input, parse_tree_path};
use crate::error::{Error, Kind, Result};

impl Call<'_> {
    pub(in crate::frontend::sops) fn decrypt(&self) -> Result<()> {
        self.refuse_in_place_without_file()?;
        self.refuse_two_outputs()?;
        let from = self.input_or_stdin()?;
        self.decrypt_from(from)
    }

    pub(in crate::frontend::sops) fn decrypt_from(&self, from: Input) -> Result<()> {
        self.decryption(from)?.run(self.world)
    }

    fn decryption(&self, from: Input) -> Result<command::Decrypt> {
        let settings = self.settings_to_decrypt()?;
        let extract = parse_tree_path(self.values.text("extract")).map_err(|reason| {
            Error::new(
                Kind::ExtractPath,
                format!("error parsing --extract path: {reason}"),
            )
        });
        let extract = self.after_configuration(extract)?;
        Ok(command::Decrypt {
            to: self.output()?,
            name: self.name(&from)?,
            from,
            extract,
            as_json: false,
            ignore_mac: self.values.on("ignore-mac"),
            first_of_several: true,
            settings,
        })
    }
}

//! `sops edit`, and `sops FILE`.

use std::path::PathBuf;

use super::Call;
use crate::command::{self, Input, Recipients};
use crate::error::Result;

impl Call<'_> {
    pub(in crate::frontend::sops) fn edit(&self) -> Result<()> {
        let file = self.file()?;
        self.edit_file(file)
    }

    pub(in crate::frontend::sops) fn edit_file(&self, file: PathBuf) -> Result<()> {
        command::Edit {
            name: self.name(&Input::File(file.clone()))?,
            file,
            keys: self.keys(),
            selection: self.selection(),
            threshold: self.threshold()?,
            mac_only_encrypted: self.root.on("mac-only-encrypted"),
            show_master_keys: self.values.on("show-master-keys"),
            ignore_mac: self.values.on("ignore-mac"),
            recipients: Recipients::AsTheyAre,
            kept: None,
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }
}

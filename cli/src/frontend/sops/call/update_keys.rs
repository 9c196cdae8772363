//! `sops updatekeys`.

use std::path::Path;

use super::{Call, no_file};
use crate::command::{self, absolute_by_name};
use crate::error::{Error, Result};
use crate::frontend::sops::words::theirs;

impl Call<'_> {
    pub(in crate::frontend::sops) fn updatekeys(&self) -> Result<()> {
        self.need_config()?;
        if self.operands.is_empty() {
            return Err(no_file());
        }
        let files = self
            .operands
            .iter()
            .map(|path| absolute_by_name(Path::new(path)))
            .collect::<Result<Vec<_>>>()?;
        let mut failed = 0;
        for file in &files {
            let updated = command::UpdateKeys {
                file: file.clone(),
                yes: self.values.on("yes"),
                settings: self.settings(),
            }
            .run(self.world);
            match updated {
                Ok(()) => {}
                Err(error) if files.len() == 1 => return Err(error),
                Err(error) => {
                    failed += 1;
                    let error = theirs(error).message();
                    let line = format!("{}: {error}", file.display());
                    self.world.terminal.tell(&line);
                }
            }
        }
        match failed {
            0 => Ok(()),
            failed => Err(Error::generic(format!(
                "failed to update the keys of {failed} of {} files",
                files.len()
            ))),
        }
    }
}

//! `sops exec-env` and `sops exec-file`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Call;
use crate::command::{self, absolute};
use crate::error::{Error, Result};

impl Call<'_> {
    pub(in crate::frontend::sops) fn exec_env(&self) -> Result<()> {
        let (file, command) = self.file_and_command()?;
        command::ExecEnv {
            file,
            command,
            how: self.how(),
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    pub(in crate::frontend::sops) fn exec_file(&self) -> Result<()> {
        let (file, command) = self.file_and_command()?;
        command::ExecFile {
            file,
            command,
            in_quotes: false,
            how: self.how(),
            no_fifo: self.values.on("no-fifo"),
            filename: self.values.some_text("filename"),
            first_of_several: true,
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    fn file_and_command(&self) -> Result<(PathBuf, OsString)> {
        match self.operands {
            [file, command] => Ok((absolute(Path::new(file))?, command.clone())),
            _ => Err(Error::generic(
                "error: missing file to decrypt, or command to run; both are needed, and nothing else",
            )),
        }
    }

    fn how(&self) -> command::ExecHow {
        command::ExecHow {
            background: self.values.on("background"),
            pristine: self.values.on("pristine"),
            same_process: self.values.on("same-process"),
            user: self.values.some_text("user"),
        }
    }
}

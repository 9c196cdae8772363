//! `sops groups`.

use std::path::{Path, PathBuf};

use super::Call;
use crate::command::{self, KeyTexts, Lockout, Recipients, absolute};
use crate::error::{Error, Kind, Result};

impl Call<'_> {
    pub(in crate::frontend::sops) fn groups_add(&self) -> Result<()> {
        if !self.operands.is_empty() {
            return Err(Error::generic(
                "error: groups add takes no arguments besides its options",
            ));
        }
        let list = |name: &str| {
            let items = self.values.list(name);
            (!items.is_empty()).then(|| items.join(","))
        };
        command::GroupsAdd {
            file: self.group_file()?,
            keys: KeyTexts::collect(
                |kind| list(kind.flags.names[0]),
                |flag| self.values.some_text(flag),
            ),
            in_place: self.values.on("in-place"),
            threshold: self.threshold()?,
            recipients: Recipients::AsTheyAre,
            lockout: Lockout::Happens,
            settings: self.settings(),
        }
        .change(self.world)?
        .finish(&self.world.terminal)
    }

    pub(in crate::frontend::sops) fn groups_delete(&self) -> Result<()> {
        if self.operands.len() != 1 {
            return Err(Error::generic(
                "error: groups delete takes one argument: the index of the group",
            ));
        }
        let text = self.operands[0].to_string_lossy();
        let index = text.parse::<usize>().map_err(|error| {
            Error::generic(format!("failed to parse the group index {text:?}")).because(error)
        })?;
        command::GroupsDelete {
            file: self.group_file()?,
            index,
            in_place: self.values.on("in-place"),
            threshold: self.threshold()?,
            recipients: Recipients::AsTheyAre,
            lockout: Lockout::Happens,
            settings: self.settings(),
        }
        .change(self.world)?
        .finish(&self.world.terminal)
    }

    fn group_file(&self) -> Result<PathBuf> {
        if self.values.text("file").is_empty() {
            return Err(Error::new(
                Kind::Read,
                "Error reading file: none was named with --file",
            ));
        }
        absolute(Path::new(self.values.text("file")))
    }
}

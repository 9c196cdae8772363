//! `sealwright edit`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::files::{Acceptance, SelectionOptions, one_change};
use super::key_options::{KeyOptions, Use};
use super::sealed::SealedOptions;
use crate::command::found;
use crate::command::seal::SealedFile;
use crate::command::{self, absolute};
use crate::error::Result;
use crate::world::World;

/// Decrypt a file into an editor and encrypt what comes back; of a SealedSecret, its values.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sealwright edit app.yaml\n  \
    EDITOR='code --wait' sealwright edit app.yaml")]
pub(super) struct Edit {
    /// The file; it is created when it does not exist.
    #[arg(required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Resume editing a text that could not be written.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    acceptance: Acceptance,
    #[command(flatten)]
    keys: KeyOptions<Use>,
    #[command(flatten)]
    selection: SelectionOptions,
    /// Show the sops block in the editor too.
    #[arg(long)]
    show_master_keys: bool,
    #[command(flatten)]
    sealed: SealedOptions,
}

impl Edit {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        self.file.clone()
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let named = self.file.as_deref();
        let mut file = named.map(absolute).transpose()?.unwrap_or_default();
        let kept = match self.resume {
            true => Some(command::find_kept(&file)?),
            false => None,
        };
        if let Some(kept) = &kept {
            file.clone_from(&kept.target);
        }
        crate::file::check_writable(&world.terminal, &file)?;
        if found::is_sealed(&file, &everywhere.settings()) {
            let keys = self.sealed.keys(world, everywhere)?;
            let sealed = SealedFile::open(&file)?;
            let to = self.sealed.source();
            return sealed.edit_values(world, (&to, &keys), kept, |change| {
                one_change(world, everywhere, false, "edited", &file, || Ok(change))
            });
        }
        command::Edit {
            name: file.clone(),
            file,
            keys: self.keys.texts(),
            selection: self.selection.texts(),
            threshold: 0,
            mac_only_encrypted: false,
            show_master_keys: self.show_master_keys,
            ignore_mac: false,
            recipients: self.acceptance.recipients(),
            kept,
            settings: everywhere.settings(),
        }
        .run(world)?;
        if everywhere.json() {
            let shown = named.map(|file| file.to_string_lossy());
            let value = serde_json::json!({ "file": shown, "status": "done-edited" });
            world.terminal.say_json(&value)?;
        }
        Ok(())
    }
}

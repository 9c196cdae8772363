//! `sealwright keygen`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use crate::command::{self, KeygenOutput};
use crate::error::Result;
use crate::world::World;

/// Make an age key.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright keygen\n  sealwright keygen --passphrase --out work.agekey\n  \
    sealwright keygen --hybrid --out -"
)]
pub(super) struct Keygen {
    /// Make a hybrid post-quantum key (age 1.3 and later).
    #[arg(long)]
    hybrid: bool,
    /// Protect the identity with a passphrase, which is prompted for.
    #[arg(long)]
    passphrase: bool,
    /// Write the identity to this new file, mode 0600, and print the recipient; - is standard output. By default the
    /// file that SOPS_AGE_KEY_FILE names, or sops/age/keys.txt in your settings, where identities are looked for.
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Keygen {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Keygen {
            hybrid: self.hybrid,
            passphrase: self.passphrase,
            to: match self.out {
                None => KeygenOutput::DefaultPlace,
                Some(path) if path.as_os_str() == "-" => KeygenOutput::Stdout,
                Some(path) => KeygenOutput::File(path),
            },
            json: everywhere.json(),
        }
        .run(world)
    }
}

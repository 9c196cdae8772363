//! `sealwright unseal`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::sealed::{ManifestFormat, read_input};
use crate::command::{Spelling, seal};
use crate::error::Result;
use crate::world::World;

/// Unseal SealedSecrets without the cluster, with private keys from a backup.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright unseal --key backup.yaml sealed.yaml\n  \
        sealwright unseal --decode --key backup.yaml sealed.yaml"
)]
pub(super) struct Unseal {
    /// The SealedSecrets in YAML or JSON; standard input without a file.
    file: Option<PathBuf>,
    /// A backup of private keys: PEM, or the controller's key Secrets in YAML or JSON; it may be an encrypted file.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Write values as text, in stringData, and not in Base64.
    #[arg(long)]
    decode: bool,
    #[command(flatten)]
    format: ManifestFormat,
}

impl Unseal {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let keys = seal::keyring_of(world, &everywhere.settings(), &self.key)?;
        let input = read_input(world, self.file.as_ref())?;
        let form = self.format.output(everywhere.json());
        let values = match self.decode {
            true => Spelling::Decoded,
            false => Spelling::Encoded,
        };
        let opened = seal::unseal_stream(&world.terminal, &input, &keys, (form, values))?;
        world.terminal.out(opened.expose())
    }
}

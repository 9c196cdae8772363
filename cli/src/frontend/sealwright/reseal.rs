//! `sealwright reseal`, as clap reads it.

use std::path::PathBuf;

use clap::Args;
use sealwright_resources::sealed_secret::Refresh;

use super::everywhere::Everywhere;
use super::files::Caution;
use super::sealed::{CertificateOptions, ClusterArguments, UNUSED_NAMESPACE, change_file};
use crate::command::found::Wanted;
use crate::command::seal;
use crate::error::Result;
use crate::world::World;

/// Reseal SealedSecrets in files and folders for a new certificate, in place and without the cluster.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright reseal --key backup.yaml --cert new.pem clusters/prod\n  \
    sealwright reseal --key backup.yaml --cert new.pem --check .",
    mut_arg("namespace", |arg| arg.help(UNUSED_NAMESPACE))
)]
pub(super) struct Reseal {
    /// Files and folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// A backup of private keys, old and new.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
    #[command(flatten)]
    to: CertificateOptions,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// Reseal every value, even those that the newest key already opens.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    caution: Caution,
}

impl Reseal {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let Self {
            paths,
            key,
            to,
            cluster,
            all,
            caution,
        } = self;
        let keys = seal::keyring_of(world, &everywhere.settings(), &key)?;
        let certificate = to.source(&cluster).load()?;
        let refresh = if all { Refresh::All } else { Refresh::Outdated };
        let over = (Wanted::Sealed, &everywhere.settings());
        caution.each(world, everywhere, "resealed", &paths, over, &|path| {
            let mut notes = Vec::new();
            let mut change = change_file(path, |text| {
                let Some(resealed) = seal::reseal_file(path, text, &keys, &certificate, refresh)?
                else {
                    return Ok(None);
                };
                notes.push(format!(
                    "{} of {} values in {} SealedSecrets",
                    resealed.changed, resealed.values, resealed.objects
                ));
                Ok(resealed.text)
            })?;
            change.notes = notes;
            Ok(change)
        })
    }
}

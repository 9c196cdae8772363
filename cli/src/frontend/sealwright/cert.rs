//! `sealwright cert`, as clap reads it.

use clap::Args;

use super::everywhere::Everywhere;
use super::sealed::{CertificateOptions, ClusterArguments, UNUSED_NAMESPACE};
use crate::error::Result;
use crate::world::World;

/// Print the certificate that Secrets are sealed to.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright cert > cert.pem\n  sealwright cert --cert cert.pem --output json",
    mut_arg("namespace", |arg| arg.help(UNUSED_NAMESPACE))
)]
pub(super) struct Cert {
    #[command(flatten)]
    to: CertificateOptions,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl Cert {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let Self { to, cluster } = self;
        let json = everywhere.json();
        let source = to.source(&cluster);
        if !json {
            return world.terminal.out(&source.show()?);
        }
        world.terminal.say_json(&source.describe()?)
    }
}

//! `sealwright sealing-key`, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::everywhere::Everywhere;
use super::key_options::{KeyOptions, Use};
use super::sealed::{ClusterArguments, UNUSED_NAMESPACE};
use crate::command::seal::{self, ExportKeys, ImportKeys};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::world::World;

/// Make a sealing key pair, or back up the keys of a controller.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  sealwright sealing-key --key key.pem --cert cert.pem\n  \
        sealwright sealing-key export --out sealing-keys.yaml\n  \
        sealwright sealing-key import sealing-keys.yaml"
)]
pub(super) struct SealingKey {
    #[command(subcommand)]
    verb: Option<SealingKeyVerb>,
    #[command(flatten)]
    new: NewPair,
}

/// A new key pair: for a controller to be, or to try things out.
#[derive(Debug, Args)]
struct NewPair {
    /// Where the private key goes; only you may read the file.
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<PathBuf>,
    /// Where the certificate goes.
    #[arg(long, value_name = "FILE", required = true)]
    cert: Option<PathBuf>,
    /// The size of the key.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u64).range(2048..=8192))]
    bits: u64,
    /// How many days the certificate is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u64).range(1..=36500))]
    days: u64,
}

/// What can be done with the keys of a controller.
#[derive(Debug, Subcommand)]
enum SealingKeyVerb {
    /// Write the keys of a controller into a file that is encrypted for its creation rule or the keys that are named.
    #[command(
        after_help = "Examples:\n  sealwright sealing-key export --out sealing-keys.yaml\n  \
            sealwright sealing-key export --age age1… --from main.key --out sealing-keys.yaml",
        mut_arg("namespace", |arg| arg.help(UNUSED_NAMESPACE))
    )]
    Export {
        /// The new file. Verbs that take a backup of private keys read it as it is.
        #[arg(long, short = 'o', value_name = "FILE")]
        out: PathBuf,
        /// Take the key Secrets of this file instead of the cluster's (repeatable).
        #[arg(long, value_name = "FILE")]
        from: Vec<PathBuf>,
        #[command(flatten)]
        keys: Box<KeyOptions<Use>>,
        #[command(flatten)]
        cluster: ClusterArguments,
        /// Show what would be done, write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Put the keys of a file into the cluster, for the controller there.
    #[command(
        after_help = "Example:\n  sealwright sealing-key import sealing-keys.yaml",
        mut_arg("namespace", |arg| arg.help(UNUSED_NAMESPACE))
    )]
    Import {
        /// The file, encrypted or not.
        file: PathBuf,
        #[command(flatten)]
        cluster: ClusterArguments,
        /// Show what would be done, write nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

impl SealingKey {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        match self.verb {
            None => self.new.perform(world, everywhere.json()),
            Some(SealingKeyVerb::Export {
                out,
                from,
                keys,
                cluster,
                dry_run,
            }) => ExportKeys {
                from,
                namespace: cluster.service().namespace,
                cluster: cluster.options(),
                to: out,
                keys: keys.texts(),
                dry_run,
                json: everywhere.json(),
                settings: everywhere.settings(),
            }
            .run(world),
            Some(SealingKeyVerb::Import {
                file,
                cluster,
                dry_run,
            }) => ImportKeys {
                file,
                namespace: cluster.service().namespace,
                cluster: cluster.options(),
                dry_run,
                json: everywhere.json(),
                settings: everywhere.settings(),
            }
            .run(world),
        }
    }
}

impl NewPair {
    fn perform(self, world: &World, json: bool) -> Result<()> {
        let (Some(key), Some(cert)) = (self.key, self.cert) else {
            return Err(Error::new(Kind::Usage, "--key and --cert are needed"));
        };
        let (bits, days) = (self.bits, self.days);
        for path in [&key, &cert] {
            if path.exists() {
                return Err(
                    Error::new(Kind::Write, format!("{} exists already", path.display()))
                        .hint("what was sealed for its key would be lost; choose another name"),
                );
            }
        }
        let (key_text, certificate) = seal::new_sealing_key(bits, days)?;
        file::replace(&world.terminal, &key, &key_text, Content::Private, None)?;
        file::replace(
            &world.terminal,
            &cert,
            &certificate.into_bytes().into(),
            Content::Encrypted,
            None,
        )?;
        if json {
            let (key, cert) = (key.to_string_lossy(), cert.to_string_lossy());
            world
                .terminal
                .say_json(&serde_json::json!({ "key": key, "certificate": cert }))?;
        }
        Ok(())
    }
}

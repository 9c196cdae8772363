//! `sealwright seal`, as clap reads it.

use std::path::PathBuf;

use clap::Args;
use sealwright_crypto::secret::SecretBytes;

use super::everywhere::Everywhere;
use super::files::one_change;
use super::sealed::{
    CertificateOptions, ClusterArguments, ManifestFormat, ScopeName, change_file, read_input,
};
use crate::command::seal::{self, SealFolder, SealOptions};
use crate::command::{Change, Input, Output};
use crate::error::{Error, Kind, Result};
use crate::file::Content;
use crate::world::World;

/// Seal Secrets, so that only the controller of one cluster can open them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright seal secret.yaml --cert cert.pem --out sealed.yaml\n  \
    kubectl get secret db -o yaml | sealwright seal --cert cert.pem > sealed-db.yaml\n  \
    sealwright seal secret.yaml --cert cert.pem --merge-into sealed.yaml\n  \
    sealwright seal secrets/ --cert cert.pem --out sealed/"
)]
pub(super) struct Seal {
    /// The Secrets in YAML or JSON, or a folder of them; standard input without a file.
    file: Option<PathBuf>,
    #[command(flatten)]
    to: CertificateOptions,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// Who else may use the values: by default no one, the name and the namespace are part of the seal.
    #[arg(long, value_enum)]
    scope: Option<ScopeName>,
    /// The name of the Secret, instead of the input's.
    #[arg(long)]
    name: Option<String>,
    /// Accept Secrets without any data.
    #[arg(long)]
    allow_empty_data: bool,
    /// Seal the input as one value and print it alone.
    #[arg(long, conflicts_with_all = ["merge_into", "out"])]
    raw: bool,
    /// Add the values to this SealedSecret file, which keeps its comments and layout.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    merge_into: Option<PathBuf>,
    /// Write to a file, or for a folder to another folder; unchanged values keep their ciphertext if --key is given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A backup of private keys, to see which values of --out did not change.
    #[arg(long, value_name = "FILE", requires = "out")]
    key: Vec<PathBuf>,
    /// For a folder: replace the Secrets with their sealed form.
    #[arg(long, short = 'i', conflicts_with_all = ["out", "merge_into", "raw"])]
    in_place: bool,
    /// Show what would become of the file of --out or --merge-into, write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: ManifestFormat,
}

impl Seal {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let Self {
            file,
            to,
            cluster,
            scope,
            name,
            allow_empty_data,
            raw,
            merge_into,
            out,
            key,
            in_place,
            dry_run,
            format,
        } = self;
        let json = everywhere.json();
        let options = SealOptions {
            scope: scope.map(ScopeName::scope),
            name,
            allow_empty_data,
            cluster: cluster.options(),
        };
        if let Some(folder) = file.as_ref().filter(|file| file.is_dir()) {
            if raw || merge_into.is_some() || (out.is_none() && !in_place) {
                return Err(Error::new(
                    Kind::Conflict,
                    "a folder is sealed into another one with --out, or --in-place",
                ));
            }
            let certificate = to.source(&cluster).load()?;
            return SealFolder {
                folder: folder.clone(),
                to: out,
                certificate: &certificate,
                keys: &seal::keyring_of(world, &everywhere.settings(), &key)?,
                options: &options,
                dry_run,
                json,
                settings: everywhere.settings(),
            }
            .run(world);
        }
        if in_place {
            return Err(Error::new(Kind::Conflict, "--in-place is for a folder"));
        }
        let input = read_input(world, file.as_ref())?;
        if !raw {
            // Before a cluster is asked for anything.
            seal::refuse_without_secrets(&input, file.as_deref())?;
        }
        let certificate = to.source(&cluster).load()?;
        if raw {
            let value = seal::seal_raw(&input, &certificate, &options)?;
            return match json {
                true => world
                    .terminal
                    .say_json(&serde_json::json!({ "value": value })),
                false => world.terminal.out(value.as_bytes()),
            };
        }
        if let Some(target) = merge_into {
            return one_change(world, everywhere, dry_run, "sealed", &target, || {
                change_file(&target, |text| {
                    seal::merge_into(&target, text, &input, &certificate, &options).map(Some)
                })
            });
        }
        // What is shown of a file is not what is in it.
        let output = match (
            format.is_given(),
            out.as_deref().and_then(seal::output_of_name),
        ) {
            (false, Some(output)) => output,
            _ => format.output(json && out.is_none()),
        };
        let mut sealed = seal::seal_stream(&input, &certificate, &options)?;
        let Some(out) = out else {
            return world.terminal.out(&seal::write_all(&sealed, output));
        };
        let note = seal::keep_unchanged(
            &mut sealed,
            &input,
            &out,
            &seal::keyring_of(world, &everywhere.settings(), &key)?,
            &certificate,
        )?;
        if let Some(note) = note {
            world.terminal.tell(&note);
        }
        let bytes = SecretBytes::from(seal::write_all(&sealed, output));
        let old = crate::file::read_replaced(&out).ok().flatten();
        let same = old.is_some_and(|old| old.bytes == bytes);
        one_change(world, everywhere, dry_run, "sealed", &out, || {
            Ok(Change {
                from: Input::Stdin,
                to: Output::File(out.clone()),
                bytes: (!same).then_some(bytes),
                content: Content::Encrypted,
                original: None,
                keys: Vec::new(),
                notes: Vec::new(),
                warnings: Vec::new(),
            })
        })
    }
}

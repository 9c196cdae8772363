//! `sealwright fetch`, as clap reads it.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::place::{Place, settings};
use super::template::{form, spelling};
use crate::command::{self, FetchForm, Resolve, ResolvedForm, absolute};
use crate::error::Result;
use crate::world::World;

/// Print values of a store: a vault, a cluster, a folder.
#[derive(Debug, Args)]
#[command(after_help = "\
A key is KEY[#property][@version] in the store of --store, or a store address:
  file:FOLDER/KEY, file:FILE.yaml/KEY        a folder, or the members of a file, encrypted or not
  vault://HOST/MOUNT/KEY, vault:MOUNT/KEY    Vault there, or at VAULT_ADDR; ?kv=1, ?mount=a/b, ?namespace=…
  openbao://HOST/MOUNT/KEY                   OpenBao, likewise, with BAO_ADDR
  aws-sm://REGION/KEY, aws-ps://REGION/KEY   AWS Secrets Manager, Parameter Store
  gcp-sm://PROJECT/SECRET                    Google Secret Manager; ?location=…
  azure-kv://VAULT/NAME                      Azure Key Vault; NAME, key/NAME or cert/NAME
with ?version=… and #property behind them.

With -f the Secrets that ExternalSecrets ask for are worked out on this machine, as the controller would.

Examples:
  sealwright fetch file:vault/db#password
  sealwright fetch -f externalsecret.yaml -f store.yaml --decode
  sealwright fetch --store store.yaml --credentials token.enc.yaml app/db#password
  sealwright --output env fetch --store store.yaml DB_USER=app/db#user DB_PASSWORD=app/db#password
  sealwright --output json fetch --extract vault://vault.example:8200/secret/app/db")]
pub(super) struct Fetch {
    #[command(flatten)]
    place: Place,
    /// What is wanted: [NAME=]KEY[#property][@version], or a store address.
    #[arg(required_unless_present = "file", value_name = "KEY")]
    keys: Vec<String>,
    /// Print the Secrets that the ExternalSecrets of this file ask for. Stores, and Secrets and ConfigMaps that they or
    /// their templates refer to, are given the same way (repeatable).
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with_all = ["keys", "extract"])]
    file: Vec<PathBuf>,
    /// With -f: write values as text, in stringData, and not in Base64.
    #[arg(long, requires = "file")]
    decode: bool,
    /// Print the members of each value instead of the whole.
    #[arg(long)]
    extract: bool,
    /// Write to this file instead of standard output.
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Fetch {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let out = self.out.as_deref().map(absolute).transpose()?;
        let settings = settings(everywhere);
        if !self.file.is_empty() {
            let files = self.file.into_iter();
            return Resolve {
                files: files
                    .chain(self.place.store)
                    .chain(self.place.credentials)
                    .collect(),
                namespace: self.place.namespace,
                form: match everywhere.env() {
                    true => ResolvedForm::Env,
                    false => ResolvedForm::Manifest(form(everywhere.json()), spelling(self.decode)),
                },
                out,
                settings,
            }
            .run(world);
        }
        command::Fetch {
            place: self.place.of_command()?,
            keys: self.keys,
            form: if everywhere.env() {
                FetchForm::Env
            } else if everywhere.json() || self.extract {
                FetchForm::Json
            } else {
                FetchForm::Text
            },
            extract: self.extract,
            out,
            settings,
        }
        .run(world)
    }
}

//! The verbs about stores.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

use std::path::PathBuf;

use clap::{Args, Subcommand};

use sealwright_resources::manifest::Output;

use crate::command::{
    Fetch, FetchForm, Push, Resolve, ResolvedForm, Settings, Spelling, StoreCheck, StoreList,
    StorePlace, Template, absolute,
};
use crate::error::{Error, Kind, Result};
use crate::world::World;

use super::arguments::Everywhere;

/// The verbs about stores.
#[derive(Debug, Subcommand)]
pub(super) enum StoreVerb {
    /// Print values of a store: a vault, a cluster, a folder.
    #[command(after_help = "\
A key is KEY[#property][@version] in the store of --store, or a store and a key in one word:
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
    Fetch {
        #[command(flatten)]
        place: Place,
        /// What is wanted: [NAME=]KEY[#property][@version], or a store and a key in one word.
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
    },
    /// Write a value into a store, from standard input or a file.
    #[command(after_help = "Examples:\n  \
        printf %s \"$PASSWORD\" | sealwright push --store store.yaml app/db#password\n  \
        sealwright push --dry-run --from-file tls.key vault:secret/web#tls.key")]
    Push {
        #[command(flatten)]
        place: Place,
        /// Where it goes: KEY[#property], or a store and a key in one word.
        key: String,
        /// Read the value from this file.
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        /// What the store shall keep beside it, as in a PushSecret: a JSON object PushSecretMetadata.
        #[arg(long, value_name = "JSON")]
        metadata: Option<String>,
        /// Look at everything and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print what the templates of an ExternalSecret, PushSecret or SealedSecret make of given values.
    #[command(after_help = "Examples:\n  \
        sealwright template externalsecret.yaml --data values.yaml --decode\n  \
        sealwright template sealed.yaml --data values.enc.yaml --from configmap.yaml")]
    Template {
        /// The object with the templates.
        file: PathBuf,
        /// A map of keys and texts in YAML or JSON; it may be encrypted by this program.
        #[arg(long, value_name = "FILE")]
        data: PathBuf,
        /// A file of ConfigMaps and Secrets that templateFrom names (repeatable).
        #[arg(long, value_name = "FILE")]
        from: Vec<PathBuf>,
        /// Write values as text, in stringData, and not in Base64.
        #[arg(long)]
        decode: bool,
        /// Write to this file instead of standard output.
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Look at a store.
    Store {
        #[command(subcommand)]
        verb: LookVerb,
    },
}

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub(super) enum LookVerb {
    /// Tell whether a store can be used: as whom, what is allowed, which call fails and why.
    #[command(
        after_help = "Examples:\n  sealwright store check --store store.yaml app/db\n  \
        sealwright store check vault:secret/app/db"
    )]
    Check {
        #[command(flatten)]
        place: Place,
        /// A key that is read as well, or a store and a key in one word.
        key: Option<String>,
    },
    /// List the keys of a store; values are not read.
    #[command(
        after_help = "Example:\n  sealwright store ls --store store.yaml --path app --name 'db$'"
    )]
    Ls {
        #[command(flatten)]
        place: Place,
        /// A regular expression that names match.
        #[arg(long, value_name = "REGEXP")]
        name: Option<String>,
        /// Where to look.
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
}

/// Which store.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The manifest of a SecretStore or ClusterSecretStore.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// A file of Secrets that the manifest refers to, encrypted or not (repeatable).
    #[arg(long, value_name = "FILE")]
    credentials: Vec<PathBuf>,
    /// The namespace as whose member the store is used.
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    namespace: Option<String>,
}

impl Place {
    fn of_command(self) -> Result<StorePlace> {
        Ok(StorePlace {
            manifest: self.store.as_deref().map(absolute).transpose()?,
            credentials: self
                .credentials
                .iter()
                .map(|file| absolute(file))
                .collect::<Result<_>>()?,
            namespace: self.namespace,
        })
    }
}

impl StoreVerb {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let settings = Settings {
            config: everywhere.config.clone(),
            decryption_order: std::env::var("SOPS_DECRYPTION_ORDER").ok(),
            ..Settings::new()
        };
        let json = everywhere.json();
        match self {
            Self::Fetch {
                place,
                file,
                decode,
                out,
                ..
            } if !file.is_empty() => Resolve {
                files: file
                    .into_iter()
                    .chain(place.store)
                    .chain(place.credentials)
                    .collect(),
                namespace: place.namespace,
                form: match everywhere.env() {
                    true => ResolvedForm::Env,
                    false => ResolvedForm::Manifest(form(json), spelling(decode)),
                },
                out: out.as_deref().map(absolute).transpose()?,
                settings,
            }
            .run(world),
            Self::Fetch {
                place,
                keys,
                extract,
                out,
                ..
            } => Fetch {
                place: place.of_command()?,
                keys,
                form: if everywhere.env() {
                    FetchForm::Env
                } else if json || extract {
                    FetchForm::Json
                } else {
                    FetchForm::Text
                },
                extract,
                out: out.as_deref().map(absolute).transpose()?,
                settings,
            }
            .run(world),
            _ if everywhere.env() => Err(only_for_fetch()),
            Self::Push {
                place,
                key,
                from_file,
                metadata,
                dry_run,
            } => Push {
                place: place.of_command()?,
                key,
                from_file,
                metadata,
                dry_run,
                json,
                settings,
            }
            .run(world),
            Self::Template {
                file,
                data,
                from,
                decode,
                out,
            } => Template {
                file,
                data,
                from,
                form: (form(json), spelling(decode)),
                out: out.as_deref().map(absolute).transpose()?,
                settings,
            }
            .run(world),
            Self::Store { verb } => match verb {
                LookVerb::Check { place, key } => StoreCheck {
                    place: place.of_command()?,
                    key,
                    json,
                    settings,
                }
                .run(world),
                LookVerb::Ls { place, name, path } => StoreList {
                    place: place.of_command()?,
                    name,
                    path,
                    json,
                    settings,
                }
                .run(world),
            },
        }
    }
}

/// The form of manifests that are printed.
fn form(json: bool) -> Output {
    match json {
        true => Output::Json,
        false => Output::Yaml,
    }
}

fn spelling(decode: bool) -> Spelling {
    match decode {
        true => Spelling::Decoded,
        false => Spelling::Encoded,
    }
}

/// Refuses `--output env` where there are no variables to print.
pub(super) fn only_for_fetch() -> Error {
    Error::new(Kind::Usage, "--output env is for the verb fetch")
}

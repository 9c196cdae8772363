//! `sealwright template`, as clap reads it.

use std::path::PathBuf;

use clap::Args;
use sealwright_resources::manifest::Output;

use super::everywhere::Everywhere;
use super::place::settings;
use crate::command::{self, Spelling, absolute};
use crate::error::Result;
use crate::world::World;

/// Print what the templates of an ExternalSecret, PushSecret or SealedSecret make of given values.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sealwright template externalsecret.yaml --data values.yaml --decode\n  \
    sealwright template sealed.yaml --data values.enc.yaml --from configmap.yaml")]
pub(super) struct Template {
    /// The object with the templates.
    file: PathBuf,
    /// A map of keys and texts in YAML or JSON; it may be an encrypted file.
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
}

impl Template {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Template {
            file: self.file,
            data: self.data,
            from: self.from,
            form: (form(everywhere.json()), spelling(self.decode)),
            out: self.out.as_deref().map(absolute).transpose()?,
            settings: settings(everywhere),
        }
        .run(world)
    }
}

/// The form of manifests that are printed.
pub(super) fn form(json: bool) -> Output {
    match json {
        true => Output::Json,
        false => Output::Yaml,
    }
}

/// How values of Secrets are written.
pub(super) fn spelling(decode: bool) -> Spelling {
    match decode {
        true => Spelling::Decoded,
        false => Spelling::Encoded,
    }
}

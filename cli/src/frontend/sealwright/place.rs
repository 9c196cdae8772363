//! Which store a verb works with.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use crate::command::{Settings, StorePlace, absolute};
use crate::error::{Error, Kind, Result};

/// Which store.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The manifest of a SecretStore or ClusterSecretStore.
    #[arg(long, value_name = "FILE")]
    pub(super) store: Option<PathBuf>,
    /// A file of Secrets that the manifest refers to, encrypted or not (repeatable).
    #[arg(long, value_name = "FILE")]
    pub(super) credentials: Vec<PathBuf>,
    /// The namespace in which the store is used.
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
}

impl Place {
    /// The store as commands know it.
    pub(super) fn of_command(self) -> Result<StorePlace> {
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

/// What every command that opens a store goes by.
pub(super) fn settings(everywhere: &Everywhere) -> Settings {
    Settings {
        output_follows_input: false,
        ..everywhere.settings()
    }
}

/// Refuses `--output env` where there are no variables to print.
pub(super) fn only_for_fetch() -> Error {
    Error::new(Kind::Usage, "--output env is for the verb fetch")
}

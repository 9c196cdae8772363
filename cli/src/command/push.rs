//! `push`: a value into a store.

use std::path::PathBuf;

use sealwright_providers::remote::{PushItem, PushSource, SecretMap};
use sealwright_providers::store::{Pushed, WriteMode};
use serde_json::json;

use super::Settings;
use super::store::{Address, StorePlace, online, told};
use super::{read_value_file, read_value_stdin};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Writes a value into a store.
pub(crate) struct Push {
    pub(crate) place: StorePlace,
    /// `KEY[#property]`, or a store address.
    pub(crate) key: String,
    /// The file that holds the value; standard input without it.
    pub(crate) from_file: Option<PathBuf>,
    /// Upstream's metadata of a push, as JSON.
    pub(crate) metadata: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl Push {
    /// Writes the value unless the same is there.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let value = match &self.from_file {
            Some(path) => read_value_file(path)?,
            None => read_value_stdin()?,
        };
        let metadata = match &self.metadata {
            Some(text) => Some(serde_json::from_str(text).map_err(|error| {
                Error::new(Kind::Usage, "--metadata is no JSON").because(error)
            })?),
            None => None,
        };
        online(world, async {
            let (opened, key, property) = match Address::parse(&self.key).transpose()? {
                Some(address) => {
                    let (opened, at) = address.open(world, &self.settings).await?;
                    (opened, at.key, at.property)
                }
                None => {
                    let opened = self.place.open(world, &self.settings).await?;
                    let (key, property) = match self.key.split_once('#') {
                        Some((key, property)) => (key.to_owned(), Some(property.to_owned())),
                        None => (self.key.clone(), None),
                    };
                    (opened, key, property)
                }
            };
            let source = PushSource {
                data: SecretMap::from([("value".to_owned(), value)]),
                ..PushSource::default()
            };
            let item = PushItem {
                secret_key: Some("value".to_owned()),
                remote_key: key.clone(),
                property,
                metadata,
            };
            let mode = if self.dry_run {
                WriteMode::DryRun
            } else {
                WriteMode::Apply
            };
            let pushed = opened.store.push(&source, &item, mode).await;
            // A token that was lent for this goes back; what cannot be revoked ends by itself.
            let _ = opened.store.close().await;
            let status = match (pushed.map_err(|error| told(&error))?, self.dry_run) {
                (Pushed::Unchanged, _) => "unchanged",
                (Pushed::Created, false) => "created",
                (Pushed::Updated, false) => "updated",
                (Pushed::Created, true) => "would-be-created",
                (Pushed::Updated, true) => "would-be-updated",
            };
            if self.json {
                let value = json!({"key": key, "status": status, "provider": opened.provider});
                return world.terminal.say_json(&value);
            }
            world.terminal.say(&format!("{key}: {status}"))
        })
    }
}

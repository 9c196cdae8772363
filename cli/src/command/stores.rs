//! The `stores` part of the configuration: how files are laid out.

use sealwright_documents::format::Format;

use super::Settings;
use crate::error::Result;
use crate::world::World;

/// Columns per level, by format.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    pub(crate) yaml: Option<i32>,
    pub(crate) json: Option<i32>,
    pub(crate) json_binary: Option<i32>,
}

impl Stores {
    /// What is configured for a format.
    pub(crate) fn indent(&self, format: &dyn Format) -> Option<i32> {
        match format.name() {
            "yaml" => self.yaml,
            "json" => self.json,
            "binary" => self.json_binary,
            _ => None,
        }
    }
}

/// Reads them from the configuration that a command goes by; a malformed one fails every command (S78).
pub(crate) fn load(world: &World, settings: &Settings) -> Result<Stores> {
    let Some(config) = super::config::load(world, settings)? else {
        return Ok(Stores::default());
    };
    Ok(config.stores())
}

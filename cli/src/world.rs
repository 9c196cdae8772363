//! What a command works in: the terminal, the keys of this machine, the record of what it does.

use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::{Action, Trail};
use crate::change::Input;
use crate::config::{Config, Configurations};
use crate::error::Result;
use crate::keys::Keys;
use crate::network::Network;
use crate::settings::Settings;
use crate::terminal::Terminal;

/// Shared by all commands of one run.
pub(crate) struct World {
    /// Where it speaks and asks.
    pub(crate) terminal: Arc<Terminal>,
    /// Opens master keys.
    pub(crate) keys: Keys,
    /// Whether a result that leaves every value in plaintext is an error.
    pub(crate) strict: bool,
    /// What everything far goes through.
    pub(crate) network: Network,
    /// The configurations that commands go by.
    pub(crate) configurations: Configurations,
    /// Opened at the first need.
    trail: Mutex<Option<Trail>>,
}

impl World {
    /// The world of this process.
    pub(crate) fn new(terminal: Arc<Terminal>) -> Self {
        let network = Network::default();
        Self {
            configurations: Configurations::new(&terminal),
            keys: Keys::new(&terminal, &network),
            network,
            terminal,
            strict: false,
            trail: Mutex::default(),
        }
    }

    /// The configuration of a command, if there is one.
    pub(crate) fn configuration(&self, settings: &Settings) -> Result<Option<Arc<Config>>> {
        self.configurations.of(settings.config.as_deref())
    }

    /// Opens the record, where there shall be one; a command that cannot have it does not begin (S176).
    pub(crate) fn open_trail(&self) -> Result<()> {
        self.on_trail(|_| Ok(()))
    }

    /// Records what is about to be done to a document. After an error, it must not be done (S179).
    pub(crate) fn record(&self, action: Action, from: &Input) -> Result<()> {
        self.on_trail(|trail| {
            let here = crate::working_folder::working_folder().unwrap_or_default();
            let file = match from {
                Input::File(path) => path,
                // As upstream, which makes a path out of no name.
                Input::Stdin => &here,
            };
            trail.record(&self.terminal, action, file)
        })
    }

    fn on_trail(&self, work: impl FnOnce(&mut Trail) -> Result<()>) -> Result<()> {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match trail.take() {
            Some(opened) => opened,
            None => Trail::open(&self.terminal, &self.network)?,
        };
        work(trail.insert(opened))
    }
}

//! What a command works in: the terminal, the keys of this machine, the record of what it does.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::{Action, Trail};
use crate::command::Input;
use crate::error::Result;
use crate::keys::Keys;
use crate::terminal::Terminal;

/// Shared by all commands of one run.
pub(crate) struct World {
    /// Where it speaks and asks.
    pub(crate) terminal: Arc<Terminal>,
    /// Opens master keys.
    pub(crate) keys: Keys,
    /// Whether a result that leaves every value in plaintext is an error.
    pub(crate) strict: bool,
    told: Mutex<HashSet<PathBuf>>,
    /// Opened at the first need.
    trail: Mutex<Option<Trail>>,
}

impl World {
    /// The world of this process.
    pub(crate) fn new(terminal: Arc<Terminal>) -> Self {
        Self {
            keys: Keys::new(&terminal),
            terminal,
            strict: false,
            told: Mutex::default(),
            trail: Mutex::default(),
        }
    }

    /// Whether this run has said nothing about a file yet; from now on it has.
    pub(crate) fn first_time(&self, path: &Path) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(path.to_owned())
    }

    /// Opens the record, where there shall be one; a command that cannot have it does not begin (S176).
    pub(crate) fn open_trail(&self) -> Result<()> {
        self.on_trail(|_| Ok(()))
    }

    /// Records what is about to be done to a document. After an error, it must not be done (S179).
    pub(crate) fn record(&self, action: Action, from: &Input) -> Result<()> {
        self.on_trail(|trail| {
            let here = std::env::current_dir().unwrap_or_default();
            let file = match from {
                Input::File(path) => path,
                // As the incumbent, which makes a path out of no name.
                Input::Stdin => &here,
            };
            trail.record(&self.terminal, action, file)
        })
    }

    fn on_trail(&self, work: impl FnOnce(&mut Trail) -> Result<()>) -> Result<()> {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match trail.take() {
            Some(opened) => opened,
            None => Trail::open(&self.terminal)?,
        };
        work(trail.insert(opened))
    }
}

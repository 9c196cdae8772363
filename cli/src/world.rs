//! What a command works in: the terminal, the keys of this machine, the audit rules.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::terminal::Terminal;

/// Shared by all commands of one run.
pub(crate) struct World {
    /// Where it speaks and asks.
    pub(crate) terminal: Arc<Terminal>,
    /// Opens master keys.
    pub(crate) keys: Keys,
    told: Mutex<HashSet<PathBuf>>,
}

impl World {
    /// The world of this process.
    pub(crate) fn new(terminal: Arc<Terminal>) -> Self {
        Self {
            keys: Keys::new(&terminal),
            terminal,
            told: Mutex::default(),
        }
    }

    /// Whether this run has said nothing about a file yet; from now on it has.
    pub(crate) fn first_time(&self, path: &Path) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(path.to_owned())
    }
}

/// The one place where an administrator asks for an audit (S175).
const AUDIT_CONFIG: &str = "/etc/sops/audit.yaml";

/// Refuses to work where an audit is asked for: this build cannot write audit events, and a machine whose administrator
/// wants each decryption on record must not decrypt off the record.
pub(crate) fn refuse_unaudited() -> Result<()> {
    let text = match std::fs::read_to_string(AUDIT_CONFIG) {
        Ok(text) => text,
        Err(_) => return Ok(()), // as the incumbent: what cannot be read asks for nothing
    };
    let asks = text
        .lines()
        .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    if !asks {
        return Ok(());
    }
    Err(Error::generic(format!(
        "{AUDIT_CONFIG} asks for an audit of every operation, and this build cannot write audit events to PostgreSQL"
    ))
    .hint("use the incumbent on this machine, or remove the file if no audit is wanted"))
}

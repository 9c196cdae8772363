//! What a command works in: the terminal, the keys of this machine, the audit rules.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sealwright_documents::data::Data;
use sealwright_documents::format::by_name;

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
    let text = match std::fs::read(AUDIT_CONFIG) {
        Ok(text) => text,
        Err(_) => return Ok(()), // as the incumbent: what cannot be read asks for nothing
    };
    if !asks_for_audit(text) {
        return Ok(());
    }
    Err(Error::generic(format!(
        "{AUDIT_CONFIG} asks for an audit of every operation, and this build cannot write audit events to PostgreSQL"
    ))
    .hint("use the incumbent on this machine, or remove the file if no audit is wanted"))
}

/// Whether an audit configuration names a place to write events to. What cannot be understood might, so it does.
fn asks_for_audit(text: Vec<u8>) -> bool {
    let yaml = by_name("yaml").expect("YAML is in the list of formats");
    if text.iter().all(u8::is_ascii_whitespace) {
        return false;
    }
    let Ok(tree) = yaml.parse(text.into()) else {
        return true;
    };
    let root = tree.documents.first().map_or(0, |root| *root as usize);
    match Data::of(&tree, root).get("backends") {
        None | Some(Data::Null) => false,
        Some(backends) => match backends.get("postgres") {
            None | Some(Data::Null) => !matches!(backends, Data::Map(_)),
            Some(Data::List(places)) => !places.is_empty(),
            Some(_) => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s175_an_audit_is_asked_for_by_naming_a_place() {
        for (text, asks) in [
            ("", false),
            ("backends: {}\n", false),
            ("backends:\n  postgres: []\n", false),
            ("other: 1\n", false),
            ("backends:\n  postgres:\n    - connection_string: x\n", true),
            ("backends: [\n", true),
        ] {
            assert_eq!(asks_for_audit(text.into()), asks, "{text}");
        }
    }
}

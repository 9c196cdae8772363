//! The record of what is encrypted and decrypted on this machine, where its administrator wants one (S175 to S179).
//!
//! `/etc/sops/audit.yaml` names databases; each gets a row for every event, before the event. What cannot be recorded is not
//! done: a command is refused when a database does not answer at its start, and stops when a row is not taken.

mod connection_string;
mod endpoint;
mod postgres;
mod tls;

use std::fs;
use std::io;
use std::path::Path;

use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_documents::data::Data;
use sealwright_documents::format::by_name;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::terminal::{Level, Terminal};

use postgres::Database;

/// The one place where an administrator asks for an audit.
const CONFIG: &str = "/etc/sops/audit.yaml";

/// The events of a trail, by the names that go into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The values of a document are about to be decrypted.
    Decrypt,
    /// The values of a document are about to be encrypted.
    Encrypt,
    /// A document is about to get a new data key.
    Rotate,
}

impl Action {
    /// The name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::Decrypt => "decrypt",
            Action::Encrypt => "encrypt",
            Action::Rotate => "rotate",
        }
    }
}

/// Where events go; nowhere unless the audit configuration says so.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    databases: Vec<Database>,
}

impl Trail {
    /// Opens every database of the configuration, and asks each whether it is there.
    pub(crate) fn open(terminal: &Terminal, network: &Network) -> Result<Self> {
        let text = match fs::read(CONFIG) {
            Ok(text) => text,
            Err(error) => {
                // As upstream: what cannot be read asks for nothing. But it is said.
                if error.kind() != io::ErrorKind::NotFound {
                    terminal.log(
                        Level::Warning,
                        "AUDIT",
                        &format!("cannot read {CONFIG}, so this run is not on record: {error}"),
                    );
                }
                return Ok(Self::default());
            }
        };
        let places = read_config(text).map_err(|reason| {
            Error::generic(format!("{CONFIG} cannot be understood: {reason}")).hint(
                "an audit that cannot be kept stops every command: correct the file, or remove it if no audit is wanted",
            )
        })?;
        let mut databases = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let opened = Database::open(place, network).map_err(|error| {
                Error::generic(format!(
                    "cannot open audit database {} of {CONFIG}",
                    index + 1
                ))
                .because(error)
                .hint("nothing is encrypted or decrypted off the record on this machine")
            })?;
            databases.push(opened);
        }
        Ok(Self { databases })
    }

    /// Writes an event into every database.
    pub(crate) fn record(
        &mut self,
        terminal: &Terminal,
        action: Action,
        file: &Path,
    ) -> Result<()> {
        if self.databases.is_empty() {
            return Ok(());
        }
        let user = user_name().ok_or_else(|| {
            Error::generic("cannot determine the user for the audit record: this user has no name")
        })?;
        let file = file.to_string_lossy();
        terminal.log(
            Level::Debug,
            "AUDIT",
            &format!("recording {} of {file}", action.name()),
        );
        for (index, database) in self.databases.iter_mut().enumerate() {
            database.insert(action, &user, &file).map_err(|error| {
                Error::generic(format!(
                    "cannot record `{}` of {file} in audit database {} of {CONFIG}, so it is not done",
                    action.name(),
                    index + 1
                ))
                .because(error)
            })?;
        }
        Ok(())
    }
}

/// The connection strings of an audit configuration.
fn read_config(text: Vec<u8>) -> std::result::Result<Vec<SecretText>, String> {
    // Nothing but comments is no document, and asks for nothing.
    let says_something =
        |line: &[u8]| !matches!(line.trim_ascii_start().first(), None | Some(b'#'));
    if !text.split(|byte| *byte == b'\n').any(says_something) {
        return Ok(Vec::new());
    }
    let yaml = by_name("yaml").expect("YAML is in the list of formats");
    // Without the reason of the parser, which might be about a password.
    let tree = yaml
        .parse(text.into())
        .map_err(|error| format!("line {} is not YAML", error.line))?;
    let root = tree.documents.first().map_or(0, |root| *root as usize);
    let root = Data::of(&tree, root);
    let Some(backends) = within(&root, "backends")? else {
        return Ok(Vec::new());
    };
    let places = match within(backends, "postgres")? {
        None | Some(Data::Null) => return Ok(Vec::new()),
        Some(Data::List(places)) => places,
        Some(_) => return Err("`postgres` is no list".into()),
    };
    let mut strings = Vec::new();
    for place in places {
        if matches!(place, Data::Comment { .. }) {
            continue;
        }
        let text = match within(place, "connection_string")? {
            None | Some(Data::Null) => SecretText::copy_of(""),
            Some(Data::Str(text)) => SecretText::from_bytes(SecretBytes::copy_of(text.expose()))
                .map_err(|_| "a connection string is not UTF-8")?,
            Some(_) => return Err("a connection string is no text".into()),
        };
        strings.push(text);
    }
    Ok(strings)
}

fn within<'a>(map: &'a Data, key: &str) -> std::result::Result<Option<&'a Data>, String> {
    match map {
        Data::Null => Ok(None),
        Data::Map(_) => Ok(map.get(key)),
        _ => Err(format!("there is no map around `{key}`")),
    }
}

/// The name of the user who started this process: by the system's own file, otherwise by `USER`, as upstream's
/// release builds have it.
fn user_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let known = fs::read("/etc/passwd").ok().and_then(|text| {
        String::from_utf8_lossy(&text).lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid && !name.is_empty()).then(|| name.to_owned())
        })
    });
    known.or_else(|| std::env::var("USER").ok().filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> std::result::Result<Vec<String>, String> {
        let strings = read_config(text.into())?;
        Ok(strings
            .iter()
            .map(|text| text.expose().to_owned())
            .collect())
    }

    #[test]
    fn s175_an_audit_is_asked_for_by_naming_a_place() {
        for (text, places) in [
            ("", vec![]),
            ("# nothing\n", vec![]),
            ("backends:\n", vec![]),
            ("backends: {}\n", vec![]),
            ("backends:\n  postgres: []\n", vec![]),
            ("other: 1\n", vec![]),
            (
                "backends:\n  postgres:\n    # one\n    - connection_string: x=1\n    - connection_string: \"y=2\"\n      more: 3\n",
                vec!["x=1", "y=2"],
            ),
            ("backends:\n  postgres:\n    - {}\n", vec![""]),
        ] {
            assert_eq!(strings(text).unwrap(), places, "{text}");
        }
    }

    #[test]
    fn s175_what_cannot_be_understood_might_ask_for_an_audit() {
        for text in [
            "backends: [\n",
            "backends: text\n",
            "- backends\n",
            "backends:\n  postgres: postgres://u:canary@h/db\n",
            "backends:\n  postgres:\n    - postgres://u:canary@h/db\n",
            "backends:\n  postgres:\n    - connection_string: [canary]\n",
            "backends:\n  postgres:\n    - connection_string: \"canary\n  x\n",
        ] {
            let reason = strings(text).unwrap_err();
            assert!(!reason.contains("canary"), "{reason}");
        }
    }

    #[test]
    fn this_user_has_a_name() {
        assert!(user_name().is_some_and(|name| !name.is_empty()));
    }
}

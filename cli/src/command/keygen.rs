//! Making an age key.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use sealwright_crypto::age;
use sealwright_crypto::secret::SecretWriter;

use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Makes an age identity.
#[derive(Debug)]
pub(crate) struct Keygen {
    /// A hybrid post-quantum one.
    pub(crate) hybrid: bool,
    /// Into this new file; otherwise to standard output.
    pub(crate) out: Option<PathBuf>,
    /// Tell the recipient as JSON.
    pub(crate) json: bool,
}

impl Keygen {
    /// Does it. The identity goes where it was asked for, the recipient to standard output, or to standard error when
    /// the identity takes its place.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let key = if self.hybrid {
            age::generate_hybrid()
        } else {
            age::generate()
        };
        let mut text = SecretWriter::with_capacity(key.recipient.len() + 4096);
        text.push(b"# public key: ");
        text.push(key.recipient.as_bytes());
        text.push(b"\n");
        text.push(key.identity.expose().as_bytes());
        text.push(b"\n");
        let Some(path) = &self.out else {
            world.terminal.out(text.expose())?;
            world
                .terminal
                .tell(&format!("Public key: {}", key.recipient));
            return Ok(());
        };
        let failed = |error: std::io::Error| {
            Error::new(Kind::Write, format!("cannot create {}", path.display())).because(error)
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        // Never over an existing file: an identity that is lost takes its secrets with it.
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(text.expose()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        if self.json {
            let value = serde_json::json!({
                "recipient": key.recipient,
                "file": path.display().to_string(),
            });
            return world.terminal.say_json(&value);
        }
        world.terminal.say(&key.recipient)
    }
}

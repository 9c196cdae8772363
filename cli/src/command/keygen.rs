//! Making age keys.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sealwright_crypto::age::{self, Content};
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};

use crate::error::{Error, Kind, Result};
use crate::file::{self, Original};
use crate::world::World;

/// Makes an age identity.
#[derive(Debug)]
pub(crate) struct Keygen {
    /// A hybrid post-quantum one.
    pub(crate) hybrid: bool,
    /// Behind a passphrase, which is asked for.
    pub(crate) passphrase: bool,
    pub(crate) to: KeygenOutput,
    /// Tell the recipient as JSON.
    pub(crate) json: bool,
}

/// Where a new identity goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeygenOutput {
    /// Standard output.
    Stdout,
    /// The place where identities are looked for.
    DefaultPlace,
    /// A new file.
    File(PathBuf),
}

impl Keygen {
    /// Does it. The identity goes where it was asked for, the recipient to standard output, or to standard error when
    /// the identity takes its place.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let path = match &self.to {
            KeygenOutput::Stdout => None,
            KeygenOutput::DefaultPlace => Some(default_place()?),
            KeygenOutput::File(path) => Some(path.clone()),
        };
        // Before a person is asked for anything.
        if let Some(path) = &path
            && path.exists()
        {
            return Err(exists(path));
        }
        let passphrase = match self.passphrase {
            true => Some(ask_passphrase(world)?),
            false => None,
        };
        let key = NewKey::make(self.hybrid);
        let Some(path) = path else {
            world
                .terminal
                .out(key.text(passphrase.as_ref())?.expose())?;
            world
                .terminal
                .tell(&format!("Public key: {}", key.recipient()));
            return Ok(());
        };
        key.store(world, &path, passphrase.as_ref())?;
        if self.json {
            let value = serde_json::json!({
                "recipient": key.recipient(),
                "file": path.display().to_string(),
            });
            return world.terminal.say_json(&value);
        }
        world.terminal.say(key.recipient())
    }
}

/// A passphrase, typed twice.
fn ask_passphrase(world: &World) -> Result<SecretText> {
    let ask = |question: &str| {
        world.terminal.ask_secret(question).ok_or_else(|| {
            Error::new(
                Kind::Interrupted,
                "no passphrase was given; nothing was written",
            )
        })
    };
    let first = ask("Passphrase of the new key")?;
    if first.expose().is_empty() {
        return Err(Error::new(Kind::Usage, "the passphrase is empty"));
    }
    let second = ask("The same again")?;
    match first == second {
        true => Ok(first),
        false => Err(Error::new(
            Kind::Usage,
            "the passphrases differ; nothing was written",
        )),
    }
}

/// A new identity.
pub(super) struct NewKey(age::Generated);

impl NewKey {
    /// Makes one.
    pub(super) fn make(hybrid: bool) -> Self {
        Self(match hybrid {
            true => age::generate_hybrid(),
            false => age::generate(),
        })
    }

    /// What is encrypted for it.
    pub(super) fn recipient(&self) -> &str {
        &self.0.recipient
    }

    /// The content of its file.
    fn text(&self, passphrase: Option<&SecretText>) -> Result<SecretBytes> {
        let mut text = SecretWriter::with_capacity(self.0.recipient.len() + 4096);
        text.push(b"# public key: ");
        text.push(self.0.recipient.as_bytes());
        text.push(b"\n");
        text.push(self.0.identity.expose().as_bytes());
        text.push(b"\n");
        let text = text.finish();
        match passphrase {
            None => Ok(text),
            Some(passphrase) => age::lock(&text, passphrase)
                .map(|text| SecretBytes::from(text.into_bytes()))
                .map_err(|error| Error::generic("cannot lock the key").because(error)),
        }
    }

    /// Writes it to a new file, whole or not at all, and makes the folder of the file only once there is something to write.
    ///
    /// Never over an existing file: an identity that is lost takes its secrets with it.
    pub(super) fn store(
        &self,
        world: &World,
        path: &Path,
        passphrase: Option<&SecretText>,
    ) -> Result<()> {
        let text = self.text(passphrase)?;
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(|error| {
                    Error::new(Kind::Write, format!("cannot create {}", parent.display()))
                        .because(error)
                })?;
        }
        let (content, nothing) = (file::Content::Private, Original::absent());
        file::replace(&world.terminal, path, &text, content, Some(&nothing))
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Kind::Write, format!("{} exists already", path.display()))
        .hint("overwriting a key loses everything encrypted for it; use --out for another file")
}

/// The file where identities are looked for: as SOPS_AGE_KEY_FILE says, or in the settings of the user.
pub(super) fn default_place() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SOPS_AGE_KEY_FILE").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    SystemSurroundings
        .config_dir()
        .map(|folder| folder.join("sops/age/keys.txt"))
        .ok_or_else(|| {
            Error::generic("there is no home folder to keep the key in")
                .hint("--out names a file for it")
        })
}

/// The first age recipient that this machine can open, and where its identity is. SSH keys do not count: they are for
/// other things.
pub(super) fn first_recipient(world: &World) -> Option<(String, String)> {
    world.keys.inventory().into_iter().find_map(|found| {
        let Content::Identities(identities) = found.content else {
            return None;
        };
        let mut recipients = identities.into_iter().filter_map(|held| held.recipient);
        let recipient = recipients.find(|recipient| recipient.starts_with("age1"))?;
        Some((found.place, recipient))
    })
}

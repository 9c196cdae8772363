//! Unsealing outside the cluster, with private keys from a backup.

use std::path::{Path, PathBuf};

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_resources::keyring::{Keyring, SealingKey};
use sealwright_resources::manifest::{self, Output};
use sealwright_resources::sealed_secret::{SealedSecret, UnsealOptions, unseal_on};

use super::unreadable;
use crate::absolute::absolute;
use crate::change::Input;
use crate::command::document;
use crate::command::found::is_encrypted;
use crate::command::secret_text::{self, Values};
use crate::error::{Error, Kind, Result};
use crate::settings::Settings;
use crate::terminal::Terminal;
use crate::visible::shown;
use crate::world::World;

/// Reads all private keys of some backup files.
pub(crate) fn keyring<P: AsRef<Path>>(paths: &[P]) -> Result<Keyring> {
    let mut keys = Keyring::default();
    for path in paths {
        let path = path.as_ref();
        add(&mut keys, path, &read(path)?)?;
    }
    Ok(keys)
}

/// Reads all private keys of some backup files, of which some may be encrypted files of this program.
pub(crate) fn keyring_of(world: &World, settings: &Settings, paths: &[PathBuf]) -> Result<Keyring> {
    let mut keys = Keyring::default();
    for path in paths {
        let text = opened(world, settings, path, read(path)?)?;
        add(&mut keys, path, &text)?;
    }
    Ok(keys)
}

/// The text of a file, decrypted where it is encrypted.
pub(super) fn opened(
    world: &World,
    settings: &Settings,
    path: &Path,
    text: SecretBytes,
) -> Result<SecretBytes> {
    let path = absolute(path)?;
    if !is_encrypted(&path, settings, &text) {
        return Ok(text);
    }
    let format = document::input_format(settings, &path);
    let encrypted = document::parse_encrypted(format, text)?;
    let shown = shown(&path);
    let plain =
        document::open(world, settings, &Input::File(path), &encrypted).map_err(|error| Error {
            text: format!("cannot decrypt {shown}"),
            ..error
        })?;
    Ok(plain.into_text())
}

fn read(path: &Path) -> Result<SecretBytes> {
    let original = crate::file::read(path).map_err(|error| {
        Error::new(Kind::Read, format!("cannot read {}", path.display())).because(error)
    })?;
    Ok(original.bytes)
}

fn add(keys: &mut Keyring, path: &Path, text: &SecretBytes) -> Result<()> {
    let shown = path.display();
    let found = manifest::read_private_keys(text.expose()).map_err(|error| {
        Error::generic(format!("cannot use {shown} as a backup of private keys"))
            .because(error)
            .hint("it should be a PEM file (PKCS#1 or unencrypted PKCS#8), or the key Secrets in YAML or JSON")
    })?;
    for (index, key) in found.into_iter().enumerate() {
        keys.insert(SealingKey::without_certificate(
            &format!("{shown}#{index}"),
            key,
        ));
    }
    Ok(())
}

/// Unseals every SealedSecret of a stream; nothing is given out unless all of them open. Objects of other kinds beside
/// them are left out, and named.
pub(crate) fn unseal_stream(
    terminal: &Terminal,
    text: &SecretBytes,
    keys: &Keyring,
    (output, values): (Output, Values),
) -> Result<SecretBytes> {
    let (sealed, others) =
        manifest::read_sealed_secrets_among(text.expose()).map_err(unreadable)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = sealed.len().div_ceil(cores).max(1);
    let open_share = |share: &[SealedSecret]| -> Result<Vec<SecretBytes>> {
        share
            .iter()
            .map(|one| {
                let threads = if sealed.len() == 1 { cores } else { 1 };
                open(threads, one, keys, (output, values))
            })
            .collect()
    };
    let opened = std::thread::scope(|threads| {
        let (first, others) = sealed.split_at(share.min(sealed.len()));
        let running: Vec<_> = others
            .chunks(share)
            .map(|share| threads.spawn(|| open_share(share)))
            .collect();
        let mut opened = open_share(first)?;
        for thread in running {
            opened.extend(thread.join().expect("unsealing does not panic")?);
        }
        Ok(opened)
    })?;
    for other in others {
        terminal.tell(&format!("left out: {other}"));
    }
    let mut out = SecretWriter::with_capacity(opened.iter().map(SecretBytes::len).sum());
    for text in opened {
        out.push(text.expose());
    }
    Ok(out.finish())
}

fn open(
    threads: usize,
    sealed: &SealedSecret,
    keys: &Keyring,
    (output, values): (Output, Values),
) -> Result<SecretBytes> {
    let name = sealed.metadata.name.as_deref().unwrap_or_default();
    let opened = unseal_on(threads, sealed, keys, &UnsealOptions::default()).map_err(|error| {
        let error = Error::generic(format!("cannot unseal {name}")).because(error);
        if keys.is_empty() {
            error.hint("no private key was given: name a backup of the sealing keys")
        } else {
            error.hint(match keys.len() {
                1 => "the one private key of the backup was tried".to_owned(),
                many => format!("{many} private keys of the backup were tried"),
            })
        }
    })?;
    secret_text::write(&opened.secret, output, values)
}

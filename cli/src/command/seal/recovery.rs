//! Unsealing outside the cluster, with private keys from a backup.

use std::path::Path;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_resources::keyring::{Keyring, SealingKey};
use sealwright_resources::manifest::{self, Output};
use sealwright_resources::sealed_secret::{SealedSecret, UnsealOptions, unseal_on};

use super::unreadable;
use crate::error::{Error, Kind, Result};
use crate::terminal::Terminal;

/// Reads all private keys of some backup files.
pub(crate) fn keyring<P: AsRef<Path>>(paths: &[P]) -> Result<Keyring> {
    let mut keys = Keyring::default();
    for path in paths {
        let path = path.as_ref();
        let shown = path.display();
        let original = crate::file::read(path).map_err(|error| {
            Error::new(Kind::Read, format!("cannot read {shown}")).because(error)
        })?;
        let found = manifest::read_private_keys(original.bytes.expose()).map_err(|error| {
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
    }
    Ok(keys)
}

/// Unseals every SealedSecret of a stream; nothing is given out unless all of them open. Objects of other kinds beside
/// them are left out, and named.
pub(crate) fn unseal_stream(
    terminal: &Terminal,
    text: &SecretBytes,
    keys: &Keyring,
    output: Output,
) -> Result<SecretBytes> {
    let (sealed, others) =
        manifest::read_sealed_secrets_among(text.expose()).map_err(unreadable)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = sealed.len().div_ceil(cores).max(1);
    let open_share = |share: &[SealedSecret]| -> Result<Vec<SecretBytes>> {
        share
            .iter()
            .map(|one| open(if sealed.len() == 1 { cores } else { 1 }, one, keys, output))
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
    output: Output,
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
    Ok(manifest::write_secret(&opened.secret, output))
}

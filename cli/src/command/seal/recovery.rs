//! Unsealing outside the cluster, with private keys from a backup.

use std::path::Path;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_resources::keyring::{Keyring, SealingKey};
use sealwright_resources::manifest::{self, Output};
use sealwright_resources::sealed_secret::{UnsealOptions, unseal};

use super::unreadable;
use crate::error::{Error, Kind, Result};

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

/// Unseals every SealedSecret of a stream; nothing is given out unless all of them open.
pub(crate) fn unseal_stream(
    text: &SecretBytes,
    keys: &Keyring,
    output: Output,
) -> Result<SecretBytes> {
    let sealed = manifest::read_sealed_secrets(text.expose()).map_err(unreadable)?;
    let mut out = SecretWriter::with_capacity(text.len());
    for sealed in &sealed {
        let name = sealed.metadata.name.as_deref().unwrap_or_default();
        let opened = unseal(sealed, keys, &UnsealOptions::default()).map_err(|error| {
            let error = Error::generic(format!("cannot unseal {name}")).because(error);
            if keys.is_empty() {
                error.hint("no private key was given: name a backup with --recovery-private-key")
            } else {
                error.hint(format!(
                    "{} private keys of the backup were tried",
                    keys.len()
                ))
            }
        })?;
        out.push(manifest::write_secret(&opened.secret, output).expose());
    }
    Ok(out.finish())
}

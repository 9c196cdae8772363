//! Values that did not change keep their sealed text, so that Git shows what was edited and no more.

use std::path::Path;

use sealwright_crypto::sealing::{Certificate, base64};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::keyring::Keyring;
use sealwright_resources::manifest;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::SealedSecret;

use super::unreadable;
use crate::error::{Error, Kind, Result};

/// Gives newly sealed values the text that an existing file has for them, where a private key shows that the value is
/// the same, that it stands under the same label, and that the key is that of the certificate. Returns what there is to
/// say when that cannot be known.
pub(crate) fn keep_unchanged(
    sealed: &mut [SealedSecret],
    secrets: &SecretBytes,
    file: &Path,
    keys: &Keyring,
    to: &Certificate,
) -> Result<Option<String>> {
    let old = match crate::file::read_replaced(file) {
        Ok(Some(old)) => old.bytes,
        Ok(None) => return Ok(None),
        Err(error) => {
            return Err(
                Error::new(Kind::Read, format!("cannot read {}", file.display())).because(error),
            );
        }
    };
    let shown = file.display();
    let Ok(old) = manifest::read_sealed_secrets(old.expose()) else {
        return Err(Error::new(
            Kind::Write,
            format!("{shown} exists and holds no SealedSecret"),
        )
        .hint("choose another name, or remove the file"));
    };
    if keys.is_empty() {
        return Ok(Some(format!(
            "all values of {shown} are resealed: without a private key (--key), unchanged values cannot be recognised"
        )));
    }
    let secrets = manifest::read_secrets(secrets.expose()).map_err(unreadable)?;
    for (new, secret) in sealed.iter_mut().zip(&secrets) {
        let label = Scope::label_of(&new.metadata);
        let same = |old: &&SealedSecret| {
            old.metadata.name == new.metadata.name
                && old.metadata.namespace == new.metadata.namespace
                && Scope::label_of(&old.metadata) == label
        };
        let Some(old) = old.iter().find(same) else {
            continue;
        };
        for (key, text) in &mut new.spec.encrypted_data {
            let Some(old_text) = old.spec.encrypted_data.get(key) else {
                continue;
            };
            let Ok(bytes) = base64::decode(old_text.as_bytes()) else {
                continue;
            };
            let opened = keys.unseal(&bytes, &label, Some(to.fingerprint()));
            if let Ok((plaintext, opened_by)) = opened
                && opened_by == to.fingerprint()
                && secret.get(key) == Some(&plaintext)
            {
                text.clone_from(old_text);
            }
        }
    }
    Ok(None)
}

//! SSH keys as identities.

use std::sync::{Arc, Mutex, PoisonError};

use ::age::{DecryptError, ssh::UnsupportedKey};
use age_core::{
    format::{FileKey, Stanza},
    secrecy::SecretString,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};

use super::{dialog::Helpers, refusal::describe};
use crate::secret::SecretBytes;

/// A private key.
pub(super) enum Parsed {
    /// It opens without a passphrase.
    Open(OpenKey),
    /// It is behind a passphrase.
    Locked(LockedKey),
}

/// A private key that opens without a passphrase.
pub(super) struct OpenKey {
    key: ::age::ssh::Identity,
    /// Its public half.
    pub(super) recipient: String,
}

impl ::age::Identity for OpenKey {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.key.unwrap_stanza(stanza)
    }
}

/// Parses a private key; `location` names it when its passphrase is asked for.
pub(super) fn parse(key: &SecretBytes, location: &str) -> Result<Parsed, String> {
    let parsed = ::age::ssh::Identity::from_buffer(key.expose(), Some(location.to_owned()))
        .map_err(|_| "it is not an SSH private key in a supported form".to_owned())?;
    match &parsed {
        ::age::ssh::Identity::Unsupported(kind) => Err(match kind {
            UnsupportedKey::EncryptedPem => {
                "its passphrase protects it in the old way; `ssh-keygen -p -f` brings it up to date"
                    .to_owned()
            }
            UnsupportedKey::EncryptedSsh(cipher) => format!("its cipher {cipher} is not supported"),
            UnsupportedKey::Hardware(kind) => format!("{kind} lives in hardware"),
            UnsupportedKey::Type(kind) => format!("a key of type {kind} cannot decrypt"),
        }),
        ::age::ssh::Identity::Unencrypted(_) => Ok(Parsed::Open(OpenKey {
            recipient: recipient_of(&parsed)?.to_string(),
            key: parsed,
        })),
        ::age::ssh::Identity::Encrypted(_) => {
            let wire = recipient_of(&parsed)?.to_string();
            let wire = wire.split(' ').nth(1).unwrap_or_default();
            let wire = STANDARD.decode(wire).map_err(|error| error.to_string())?;
            Ok(Parsed::Locked(LockedKey {
                tag: STANDARD_NO_PAD.encode(&Sha256::digest(&wire)[..4]),
                key: parsed,
                location: location.to_owned(),
                opened: Mutex::new(None),
            }))
        }
    }
}

fn recipient_of(key: &::age::ssh::Identity) -> Result<::age::ssh::Recipient, String> {
    key.clone()
        .try_into()
        .map_err(|_| "its public half is not supported".to_owned())
}

/// A key behind a passphrase. A person is asked at most once, and only when a stanza is for this key.
pub(super) struct LockedKey {
    key: ::age::ssh::Identity,
    /// What stanzas for it begin with: four bytes of the hash of the public key.
    tag: String,
    location: String,
    opened: Mutex<Option<Opened>>,
}

type Opened = Result<Arc<::age::ssh::Identity>, String>;

impl LockedKey {
    pub(super) fn unwrap(
        &self,
        stanzas: &[Stanza],
        helpers: Helpers<'_>,
    ) -> Option<Result<FileKey, String>> {
        stanzas.iter().find(|stanza| {
            stanza.tag.starts_with("ssh-") && stanza.args.first() == Some(&self.tag)
        })?;
        let opened = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.get_or_insert_with(|| self.open(helpers)).clone()
        };
        match opened {
            Ok(key) => ::age::Identity::unwrap_stanzas(&*key, stanzas)
                .map(|result| result.map_err(describe)),
            Err(reason) => Some(Err(reason)),
        }
    }

    fn open(&self, helpers: Helpers<'_>) -> Opened {
        let ::age::ssh::Identity::Encrypted(key) = &self.key else {
            return Ok(Arc::new(self.key.clone()));
        };
        let passphrase = helpers
            .callbacks
            .passphrase(&format!("Enter passphrase for {:?}", self.location))
            .ok_or_else(|| "there is no one to ask for its passphrase".to_owned())?;
        key.decrypt(SecretString::from(passphrase.expose().to_owned()))
            .map(|key| Arc::new(key.into()))
            .map_err(|_| "the passphrase is wrong".to_owned())
    }
}

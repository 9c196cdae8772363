//! age master keys: X25519, hybrid post-quantum, SSH keys and plugins.
//!
//! A key part is wrapped into an armored age file for one recipient. The identity that unwraps it is searched for in the places of
//! [`Identities`].

#[cfg(unix)]
mod agent;
mod armor;
mod dialog;
mod header;
mod hybrid;
mod identity;
pub(crate) mod recipient;
mod refusal;
mod sources;
#[cfg(feature = "ssh")]
mod ssh;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::{
    io::{Read, Write},
    sync::Arc,
};

use ::age::Encryptor;
use age_core::secrecy::{ExposeSecret, SecretString};

pub use self::{
    identity::Held,
    recipient::RecipientError,
    sources::{Content, Identities, IdentitiesError, Inventory},
};
use self::{recipient::Recipient, sources::Search};
use crate::{
    data_key::KeyPart,
    key_kind::{AGE, KeyFields, KeyKind},
    master_key::{KeyError, MasterKey, Opener, Pending, Wrapped},
    secret::{SecretBytes, SecretText},
};

/// Wraps key parts for one age recipient.
pub struct AgeKey {
    recipient: String,
    identities: Arc<Identities>,
}

impl AgeKey {
    /// Takes a recipient as a person gives it: blanks around it are dropped, and it must be valid.
    pub fn parse(text: &str, identities: &Arc<Identities>) -> Result<Self, RecipientError> {
        let text = text.trim();
        Recipient::parse(text)?;
        Ok(Self::stored(text, identities))
    }

    /// Takes a recipient as an encrypted file has it, unchecked: a file stays readable with one that cannot wrap.
    pub fn stored(recipient: &str, identities: &Arc<Identities>) -> Self {
        Self {
            recipient: recipient.to_owned(),
            identities: Arc::clone(identities),
        }
    }

    /// The recipient, with the comment of an SSH key.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    fn wrap(&self, part: &KeyPart) -> Result<Wrapped, KeyError> {
        let recipient =
            Recipient::parse(&self.recipient).map_err(|error| KeyError::new(error.to_string()))?;
        let failed = |error: String| {
            KeyError::new(format!(
                "cannot wrap the data key for {}: {}",
                self.recipient,
                refusal::one_line(&error)
            ))
        };
        let recipient = recipient
            .into_wrapper(self.identities.callbacks())
            .map_err(failed)?;
        let mut file = Vec::new();
        Encryptor::with_recipients(std::iter::once(&*recipient))
            .map_err(|error| failed(error.to_string()))?
            .wrap_output(&mut file)
            .and_then(|mut writer| {
                writer.write_all(part.expose())?;
                writer.finish()
            })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Wrapped(armor::encode(&file)))
    }

    fn unwrap(&self, wrapped: &Wrapped) -> Result<Option<KeyPart>, KeyError> {
        let damaged = |reason: String| KeyError::new(format!("its age file is damaged: {reason}"));
        let file = armor::decode(&wrapped.0).map_err(|error| damaged(error.to_string()))?;
        let decryptor =
            header::decryptor(&file).map_err(|error| damaged(refusal::describe(error)))?;
        let search = Search::new(&self.identities, &self.recipient);
        let mut plain = match decryptor.decrypt(std::iter::once(&search as &dyn ::age::Identity)) {
            Ok(plain) => plain,
            Err(::age::DecryptError::NoMatchingKeys) => {
                return match search.into_failure() {
                    Some(tried) => Err(unopened(tried)),
                    None => Ok(None),
                };
            }
            Err(error) => return Err(damaged(refusal::describe(error))),
        };
        // The plaintext is shorter than the file, so the buffer does not grow and leave copies behind.
        let mut part = zeroize::Zeroizing::new(Vec::with_capacity(file.len()));
        plain
            .read_to_end(&mut part)
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Some(KeyPart::copy_of(&part)))
    }
}

fn unopened(tried: Vec<String>) -> KeyError {
    KeyError {
        reason: "no age identity opens it".to_owned(),
        tried,
    }
}

impl MasterKey for AgeKey {
    fn kind(&self) -> &'static KeyKind {
        &AGE
    }

    fn identity(&self) -> String {
        self.recipient.clone()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move { self.wrap(part) })
    }

    /// Opens it with the first identity that fits. Answers "not mine" when every place could be read and none holds one
    /// that fits; a place that failed may hold it, which is an error.
    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move { self.unwrap(wrapped) })
    }

    fn not_mine(&self, wrapped: &Wrapped) -> KeyError {
        let search = Search::looking_only(&self.identities, &self.recipient);
        if let Ok(file) = armor::decode(&wrapped.0)
            && let Ok(decryptor) = header::decryptor(&file)
        {
            // Which places were looked at depends on what is in the file. What was read there is kept.
            drop(decryptor.decrypt(std::iter::once(&search as &dyn ::age::Identity)));
        }
        unopened(search.into_report())
    }
}

/// Makes age keys that are unwrapped by the same identities.
pub struct AgeKeys(pub Arc<Identities>);

impl Opener for AgeKeys {
    fn kind(&self) -> &'static KeyKind {
        &AGE
    }

    fn open(&self, key: &KeyFields) -> Arc<dyn MasterKey> {
        Arc::new(AgeKey::stored(key.text("recipient"), &self.0))
    }
}

/// A new identity and its recipient.
pub struct Generated {
    /// The secret text, `AGE-SECRET-KEY-…`.
    pub identity: SecretText,
    /// The public text, `age1…`.
    pub recipient: String,
}

/// Makes an X25519 identity.
pub fn generate() -> Generated {
    let identity = ::age::x25519::Identity::generate();
    Generated {
        recipient: identity.to_public().to_string(),
        identity: SecretText::copy_of(identity.to_string().expose_secret()),
    }
}

/// Encrypts a text of identities behind a passphrase, as a file that is asked for its passphrase when it is needed.
pub fn lock(text: &SecretBytes, passphrase: &SecretText) -> std::io::Result<String> {
    let passphrase = SecretString::from(passphrase.expose().to_owned());
    let encryptor = ::age::Encryptor::with_user_passphrase(passphrase);
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file)?;
    writer.write_all(text.expose())?;
    writer.finish()?;
    Ok(armor::encode(&file))
}

/// Makes a hybrid post-quantum identity, whose files age 1.3 and later can open.
pub fn generate_hybrid() -> Generated {
    let identity = hybrid::Identity::generate();
    Generated {
        recipient: identity.recipient().text(),
        identity: identity.text(),
    }
}

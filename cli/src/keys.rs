//! The one list of master-key kinds that this program can use, and how each is opened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sealwright_crypto::age::{AgeKey, Identities};
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::master_key::{KeyError, Kind, MasterKey, Pending, Wrapped};
use sealwright_crypto::pgp::PgpKey;
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};
use sealwright_documents::metadata::KeyFields;

use crate::command::Settings;
use crate::key_service::{OpenKey, Remote, ServedKey};
use crate::terminal::{Level, Terminal};

/// Opens master keys. What one of them unwrapped once is remembered for as long as the program runs, so that a token is
/// touched, and a passphrase asked for, once per wrapped key.
pub(crate) struct Keys {
    identities: Arc<Identities>,
    surroundings: Arc<dyn Surroundings>,
    unwrapped: Arc<Unwrapped>,
    remotes: OnceLock<Arc<[Remote]>>,
}

type Unwrapped = Mutex<HashMap<(Kind, String), KeyPart>>;

impl Keys {
    /// Keys of this machine; nothing is read or started before one is used.
    pub(crate) fn new(terminal: &Arc<Terminal>) -> Self {
        let surroundings: Arc<dyn Surroundings> = Arc::new(SystemSurroundings);
        Self {
            identities: Identities::new(Arc::clone(&surroundings), Arc::clone(terminal) as _),
            surroundings,
            unwrapped: Arc::default(),
            remotes: OnceLock::new(),
        }
    }

    /// The age identities of this machine.
    pub(crate) fn identities(&self) -> &Arc<Identities> {
        &self.identities
    }

    /// Opens a key through the key services that are asked for: this machine first, then the remote ones in order.
    pub(crate) fn serve(
        &self,
        fields: &KeyFields,
        settings: &Settings,
        terminal: &Terminal,
    ) -> Box<dyn MasterKey> {
        let remotes = self.remotes.get_or_init(|| {
            let parsed = settings.key_services.iter().filter_map(|address| {
                Remote::parse(address)
                    .inspect_err(|error| {
                        terminal.log(Level::Warning, "SOPS", &format!("{error}, skipping it"));
                    })
                    .ok()
            });
            parsed.collect()
        });
        let local = settings.local_keys.then(|| self.open(fields));
        match local {
            Some(local) if remotes.is_empty() => local,
            local => Box::new(ServedKey::new(fields.clone(), local, remotes)),
        }
    }

    /// Opens a key of this machine as a file or a rule names it.
    pub(crate) fn open(&self, fields: &KeyFields) -> Box<dyn MasterKey> {
        Box::new(Remembering {
            key: open(fields, &self.identities, &self.surroundings),
            unwrapped: Arc::clone(&self.unwrapped),
        })
    }

    /// Opens keys of this machine for others, and remembers nothing of what it unwrapped for them.
    pub(crate) fn opener(&self) -> OpenKey {
        let identities = Arc::clone(&self.identities);
        let surroundings = Arc::clone(&self.surroundings);
        Arc::new(move |fields| open(fields, &identities, &surroundings))
    }
}

/// This is the list: a new kind is a new arm here.
fn open(
    fields: &KeyFields,
    identities: &Arc<Identities>,
    surroundings: &Arc<dyn Surroundings>,
) -> Box<dyn MasterKey> {
    match fields {
        KeyFields::Age { recipient } => Box::new(AgeKey::stored(recipient, identities)),
        KeyFields::Pgp { fingerprint } => Box::new(PgpKey::parse(fingerprint, surroundings)),
        KeyFields::Kms { .. }
        | KeyFields::GcpKms { .. }
        | KeyFields::HcKms { .. }
        | KeyFields::AzureKv { .. }
        | KeyFields::HcVault { .. } => Box::new(Lacking {
            kind: fields.kind(),
            identity: fields.identity(),
        }),
    }
}

/// A person's name for a kind of key.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Kms => "AWS KMS",
        Kind::GcpKms => "Google Cloud KMS",
        Kind::HcKms => "Huawei Cloud KMS",
        Kind::AzureKv => "Azure Key Vault",
        Kind::HcVault => "Vault transit",
        Kind::Pgp => "OpenPGP",
        Kind::Age => "age",
    }
}

/// A key of a kind that this build knows in files and cannot use.
struct Lacking {
    kind: Kind,
    identity: String,
}

impl Lacking {
    fn error(&self) -> KeyError {
        KeyError::new(format!("this build cannot use {} keys", name(self.kind)))
    }
}

impl MasterKey for Lacking {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn wrap_key<'a>(&'a self, _part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async { Err(self.error()) })
    }

    fn unwrap_key<'a>(
        &'a self,
        _wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async { Err(self.error()) })
    }
}

/// A key that does not unwrap the same text twice.
struct Remembering {
    key: Box<dyn MasterKey>,
    unwrapped: Arc<Unwrapped>,
}

impl MasterKey for Remembering {
    fn kind(&self) -> Kind {
        self.key.kind()
    }

    fn identity(&self) -> String {
        self.key.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        self.key.wrap_key(part)
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let name = (self.key.kind(), wrapped.0.clone());
            let known = |parts: &HashMap<_, KeyPart>| {
                parts.get(&name).map(|part| KeyPart::copy_of(part.expose()))
            };
            if let Some(part) = known(
                &self
                    .unwrapped
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            ) {
                return Ok(Some(part));
            }
            let part = self.key.unwrap_key(wrapped).await?;
            if let Some(part) = &part {
                self.unwrapped
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(name, KeyPart::copy_of(part.expose()));
            }
            Ok(part)
        })
    }

    fn patience(&self) -> std::time::Duration {
        self.key.patience()
    }
}

//! The kinds of master keys that this program can use, and how each is opened.

mod unwrapped;

use std::sync::{Arc, OnceLock};

use sealwright_crypto::age::{AgeKeys, Identities, Inventory};
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{AGE, KeyFields, KeyKind, PGP, VAULT_TRANSIT};
use sealwright_crypto::master_key::{KeyError, MasterKey, Opener, Pending, Wrapped};
use sealwright_crypto::pgp::PgpKeys;
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};
#[cfg(feature = "aws")]
use sealwright_providers::aws::kms::AwsKms;
#[cfg(feature = "azure")]
use sealwright_providers::azure::keys::AzureKeys;
#[cfg(feature = "gcp")]
use sealwright_providers::gcp::kms::GcpKms;
use sealwright_providers::vault::VaultTransit;

use crate::error::Error;
use crate::key_service::{self, OpenKey, Remote, ServedKey};
use crate::network::{FarKey, Network};
use crate::settings::Settings;
use crate::terminal::{Level, Terminal};

use self::unwrapped::Unwrapped;

/// The kinds that this build can use. A kind that is not here keeps its entries in files, and is refused by name when one
/// of its keys is to be used.
const OPENERS: &[(&KeyKind, MakeOpener)] = &[
    #[cfg(feature = "aws")]
    (&sealwright_crypto::key_kind::AWS_KMS, |_| {
        Arc::new(AwsKms::default())
    }),
    #[cfg(feature = "gcp")]
    (&sealwright_crypto::key_kind::GCP_KMS, |keys| {
        Arc::new(GcpKms::new(keys.surroundings.clone()))
    }),
    #[cfg(feature = "azure")]
    (&sealwright_crypto::key_kind::AZURE_KEY_VAULT, |keys| {
        Arc::new(AzureKeys::new(keys.surroundings.clone()))
    }),
    (&VAULT_TRANSIT, |keys| {
        Arc::new(VaultTransit::new(keys.surroundings.clone()))
    }),
    (&PGP, |keys| Arc::new(PgpKeys(keys.surroundings.clone()))),
    (&AGE, |keys| Arc::new(AgeKeys(keys.identities.clone()))),
];

type MakeOpener = fn(&Keys) -> Arc<dyn Opener>;

/// Returns true if this build can use the keys of a kind.
pub(crate) fn can_use(kind: &KeyKind) -> bool {
    OPENERS.iter().any(|(known, _)| *known == kind)
}

/// Opens master keys. What one of them unwrapped once is remembered for as long as the program runs, so that a token is
/// touched, and a passphrase asked for, once per wrapped key.
pub(crate) struct Keys {
    identities: Arc<Identities>,
    surroundings: Arc<dyn Surroundings>,
    /// Made at the first need, and kept: one for each of [`OPENERS`].
    openers: [OnceLock<Arc<dyn Opener>>; OPENERS.len()],
    unwrapped: Arc<Unwrapped>,
    remotes: OnceLock<Vec<Arc<Remote>>>,
    network: Network,
}

impl Keys {
    /// Keys of this machine; nothing is read or started before one is used.
    pub(crate) fn new(terminal: &Arc<Terminal>, network: &Network) -> Self {
        let surroundings: Arc<dyn Surroundings> = Arc::new(SystemSurroundings);
        Self {
            identities: Identities::new(Arc::clone(&surroundings), Arc::clone(terminal) as _),
            surroundings,
            openers: Default::default(),
            unwrapped: Arc::default(),
            remotes: OnceLock::new(),
            network: network.clone(),
        }
    }

    /// The ways to a key: this machine first, then the remote key services in their order. What fails names the service
    /// where there are several.
    pub(crate) fn ways(
        &self,
        fields: &KeyFields,
        settings: &Settings,
        terminal: &Terminal,
    ) -> Vec<Arc<dyn MasterKey>> {
        let remotes = self.remotes.get_or_init(|| {
            let parsed = settings.key_services.iter().filter_map(|address| {
                Remote::parse(address)
                    .map(Arc::new)
                    .inspect_err(|error| {
                        terminal.log(Level::Warning, "SOPS", &format!("{error}, skipping it"));
                    })
                    .ok()
            });
            parsed.collect()
        });
        let local = settings.local_keys.then(|| self.open(fields));
        key_service::ways(fields, local, remotes, &self.network)
    }

    /// A key that is reached in the first way that works.
    pub(crate) fn serve(
        &self,
        fields: &KeyFields,
        settings: &Settings,
        terminal: &Terminal,
    ) -> Arc<dyn MasterKey> {
        let mut ways = self.ways(fields, settings, terminal);
        match ways.len() {
            1 => ways.remove(0),
            _ => Arc::new(ServedKey::new(fields.clone(), ways)),
        }
    }

    /// Fills in what the texts of keys leave open, such as the newest version of a key in Azure, before they are stored.
    pub(crate) fn complete<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a mut KeyFields>,
    ) -> crate::error::Result<()> {
        for key in keys {
            let Some(opener) = self.opener(key.kind()).filter(|_| key.is_open()) else {
                continue;
            };
            let failed = |error: KeyError| {
                let mut lines = error.lines();
                let reason = lines.next().unwrap_or_default();
                let mut error = Error::generic(reason);
                error.hints.extend(lines);
                error
            };
            let completing = self.network.block_on(opener.complete(key.clone()));
            let completed = completing.map_err(|error| failed(error.into()))?;
            *key = completed.map_err(failed)?;
        }
        Ok(())
    }

    /// Opens a key of this machine as a file or a rule names it.
    pub(crate) fn open(&self, fields: &KeyFields) -> Arc<dyn MasterKey> {
        match self.opener(fields.kind()) {
            Some(opener) => {
                let key = open(&**opener, fields, &self.network);
                self.unwrapped.remember(fields.clone(), key)
            }
            None => Arc::new(Lacking(fields.clone())),
        }
    }

    /// Opens keys of this machine for others, and remembers nothing of what it unwrapped for them.
    pub(crate) fn for_others(&self) -> OpenKey {
        let openers: Vec<Arc<dyn Opener>> = OPENERS
            .iter()
            .filter_map(|(kind, _)| self.opener(kind).cloned())
            .collect();
        let network = self.network.clone();
        Arc::new(move |fields| {
            let opener = openers.iter().find(|opener| opener.kind() == fields.kind());
            match opener {
                Some(opener) => open(&**opener, fields, &network),
                None => Arc::new(Lacking(fields.clone())),
            }
        })
    }

    /// What is in the places where age identities are looked for.
    pub(crate) fn inventory(&self) -> Vec<Inventory> {
        self.identities.inventory()
    }

    fn opener(&self, kind: &KeyKind) -> Option<&Arc<dyn Opener>> {
        let at = OPENERS.iter().position(|(known, _)| *known == kind)?;
        Some(self.openers[at].get_or_init(|| OPENERS[at].1(self)))
    }
}

fn open(opener: &dyn Opener, fields: &KeyFields, network: &Network) -> Arc<dyn MasterKey> {
    let key = opener.open(fields);
    match opener.is_far() {
        true => Arc::new(FarKey::new(key, network)),
        false => key,
    }
}

/// A key of a kind that this build knows in files and cannot use.
struct Lacking(KeyFields);

impl Lacking {
    fn error(&self) -> KeyError {
        KeyError::new(format!(
            "this build cannot use {} keys",
            self.0.kind().title
        ))
    }
}

impl MasterKey for Lacking {
    fn kind(&self) -> &'static KeyKind {
        self.0.kind()
    }

    fn identity(&self) -> String {
        self.0.identity()
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

//! Master keys: what wraps a data key, near (age, PGP) or far (a key service).

use std::{future::Future, pin::Pin, time::Duration};

use crate::data_key::KeyPart;

/// A boxed future: master keys may live behind a network.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The kinds of master keys that the file format knows, in the order in which a loaded group lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// AWS KMS.
    Kms,
    /// Google Cloud KMS.
    GcpKms,
    /// Huawei Cloud KMS.
    HcKms,
    /// Azure Key Vault.
    AzureKv,
    /// Vault's transit engine.
    HcVault,
    /// OpenPGP through gpg.
    Pgp,
    /// age, in all its recipient types.
    Age,
}

impl Kind {
    /// Every kind, in file order.
    pub const ALL: [Kind; 7] = [
        Kind::Kms,
        Kind::GcpKms,
        Kind::HcKms,
        Kind::AzureKv,
        Kind::HcVault,
        Kind::Pgp,
        Kind::Age,
    ];

    /// The name of its list in the `sops` block, which is also its identifier in a decryption order.
    pub fn section(self) -> &'static str {
        match self {
            Kind::Kms => "kms",
            Kind::GcpKms => "gcp_kms",
            Kind::HcKms => "hckms",
            Kind::AzureKv => "azure_kv",
            Kind::HcVault => "hc_vault",
            Kind::Pgp => "pgp",
            Kind::Age => "age",
        }
    }
}

/// What a master key made of a key part: the exact text of the file's `enc` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped(pub String);

/// Wraps and unwraps key parts.
///
/// Unwrapping has three answers: `Ok(None)`, not mine; `Err`, mine but failed; `Ok(Some)`, here it is. A call may ask
/// a person (through [`Callbacks`]) or a network; callers run many at once and set the time limit.
pub trait MasterKey: Send + Sync {
    /// Its kind.
    fn kind(&self) -> Kind;
    /// The text that identifies it: used to compare, to remove, to report.
    fn identity(&self) -> String;
    /// Wraps a key part.
    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>>;
    /// Unwraps what [`MasterKey::wrap_key`] made.
    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>>;
    /// How long one call may reasonably take, prompts aside.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Asks a person or the program's surroundings on behalf of a master key.
pub trait Callbacks: Send + Sync {
    /// Shows a message, such as a plugin's "touch your key".
    fn show(&self, message: &str);
    /// Asks for a passphrase; `None` when nobody can be asked.
    fn passphrase(&self, what: &str) -> Option<crate::secret::SecretText>;
    /// Asks for a text that is no secret, or for a yes or no.
    fn ask(&self, what: &str) -> Option<String>;
}

/// A master key could not wrap or unwrap.
///
/// Its text names the key and the reason, never key material; `tried` lists what was looked at.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct KeyError {
    /// What went wrong.
    pub reason: String,
    /// Each source that was looked at and what came of it, for the report.
    pub tried: Vec<String>,
}

impl KeyError {
    /// An error without a list of sources.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            tried: Vec::new(),
        }
    }
}

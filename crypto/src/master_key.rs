//! Master keys: what wraps a data key, near (age, PGP) or far (a key service).

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::data_key::KeyPart;
use crate::key_kind::{KeyFields, KeyKind};

/// A boxed future: master keys may live behind a network.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a master key made of a key part: the exact text of the file's `enc` field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wrapped(pub String);

/// Wraps and unwraps key parts.
///
/// Unwrapping has three answers: `Ok(None)`, not mine; `Err`, mine but failed; `Ok(Some)`, here it is. A call may ask
/// a person (through [`Callbacks`]) or a network; callers may run many at once.
pub trait MasterKey: Send + Sync {
    /// Its kind.
    fn kind(&self) -> &'static KeyKind;
    /// The text that identifies it: used to compare, to remove, to report.
    fn identity(&self) -> String;
    /// Wraps a key part.
    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>>;
    /// Unwraps what [`MasterKey::wrap_key`] made.
    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>>;
    /// Says why [`MasterKey::unwrap_key`] answered "not mine", and where the private key was looked for.
    fn not_mine(&self, _wrapped: &Wrapped) -> KeyError {
        KeyError::new("its private key is not here")
    }
    /// Returns true if a call waits for a network rather than for a person or this machine. Callers then hold it to
    /// [`MasterKey::patience`] and ask other keys meanwhile.
    fn is_far(&self) -> bool {
        false
    }
    /// How long one call of a far key may reasonably take.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Makes usable keys of one kind. It lives as long as the program, so it may keep clients, connections and tokens.
pub trait Opener: Send + Sync {
    /// The kind whose keys it makes.
    fn kind(&self) -> &'static KeyKind;
    /// Makes a key that can wrap and unwrap. Nothing is read, run or connected to before it does.
    fn open(&self, key: &KeyFields) -> Arc<dyn MasterKey>;
    /// Returns true if the kind needs a network: its calls then run on a runtime of tokio.
    fn is_far(&self) -> bool {
        false
    }
    /// Fills in what a text has left open ([`KeyFields::is_open`]), such as the newest version of a key in Azure, before the
    /// key is stored.
    fn complete<'a>(&'a self, key: KeyFields) -> Pending<'a, Result<KeyFields, KeyError>> {
        Box::pin(std::future::ready(Ok(key)))
    }
}

/// Asks a person or the program's surroundings on behalf of a master key.
pub trait Callbacks: Send + Sync {
    /// Shows a message, such as a plugin's "touch your key".
    fn show(&self, message: &str);
    /// Asks for a passphrase; `None` when no one can be asked.
    fn passphrase(&self, what: &str) -> Option<crate::secret::SecretText>;
    /// Asks for a text that is no secret, or for a yes or no.
    fn ask(&self, what: &str) -> Option<String>;
}

/// A master key could not wrap or unwrap.
///
/// Its text names the key and the reason, never key material; `tried` lists what was looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

    /// The reason, then what was looked at.
    pub fn lines(self) -> impl Iterator<Item = String> {
        std::iter::once(self.reason).chain(self.tried)
    }
}

//! Identities of clouds, which logins are proved with.

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;

use crate::outcome::StoreError;

/// Writes the body of a login that an identity of a cloud proves.
pub(crate) trait Identity: Send + Sync {
    /// The body; it is good for one login, soon.
    fn body(&self) -> BoxFuture<'_, Result<SecretBytes, StoreError>>;
}

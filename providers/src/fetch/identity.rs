//! Who a store is to its vault.

use std::sync::OnceLock;

use sealwright_crypto::secret::SecretBytes;
use sha2::{Digest, Sha256};

/// Who a store is to its vault. Equal identities share connections, tokens and answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreIdentity {
    /// The uid of the store, or what stands for it outside of a cluster.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// The namespace of the consumer, where credentials depend on it.
    pub consumer: Option<String>,
    credentials: [u8; 32],
}

impl StoreIdentity {
    /// An identity without credentials.
    pub fn new(uid: impl Into<String>, generation: i64, consumer: Option<String>) -> Self {
        Self {
            uid: uid.into(),
            generation,
            consumer,
            credentials: [0; 32],
        }
    }

    /// Adds a credential. The hash is keyed with a secret of this process: it can be compared here and nowhere else.
    #[must_use]
    pub fn with_credential(mut self, field: &str, secret: &SecretBytes) -> Self {
        static KEY: OnceLock<[u8; 32]> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            let mut key = [0; 32];
            getrandom::fill(&mut key).expect("the system has randomness");
            key
        });
        let mut hash = Sha256::new();
        hash.update(key);
        hash.update(self.credentials);
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
        hash.update(secret.expose());
        self.credentials = hash.finalize().into();
        self
    }
}

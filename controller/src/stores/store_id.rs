//! The name of a store, with its kind.

use sealwright_resources::external_secret::{StoreKind, StoreRef};

/// What names a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoreId {
    pub(crate) kind: StoreKind,
    /// Empty for a ClusterSecretStore.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl StoreId {
    /// The store that a reference of an object in this namespace means.
    pub(crate) fn of(reference: &StoreRef, namespace: &str) -> Self {
        Self {
            kind: reference.kind(),
            namespace: match reference.kind() {
                StoreKind::SecretStore => namespace.to_owned(),
                StoreKind::ClusterSecretStore => String::new(),
            },
            name: reference.name().to_owned(),
        }
    }
}

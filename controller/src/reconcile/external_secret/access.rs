//! Stores are opened for objects that may use them.

use std::fmt::Display;
use std::sync::Arc;

use sealwright_providers::fetch::Lane;
use sealwright_resources::external_secret::access::{self, NamespaceSeen, StoreSeen};
use sealwright_resources::external_secret::data::Failure;
use sealwright_resources::external_secret::{ExternalSecret, StoreKind, StoreRef};
use tokio::time::Instant;

use super::ExternalSecrets;
use crate::action;
use crate::stores::StoreId;

/// A store that may be read from, or why it may not.
pub(super) type Access = Result<Arc<Lane>, Closed>;

/// Why a store may not be read from.
pub(super) struct Closed {
    pub(super) failure: Failure,
    /// It does not answer: one sign of life is worth a retry.
    pub(super) silent: bool,
}

impl From<Failure> for Closed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            silent: false,
        }
    }
}

/// Why nothing was read.
pub(super) const SILENT: &str = "the store does not answer";

impl ExternalSecrets {
    /// Opens a store, if objects of the namespace may use it.
    pub(super) async fn access(&self, object: &ExternalSecret, reference: &StoreRef) -> Access {
        let refused = |why: &dyn Display| Failure {
            public: Some(format!(
                "{} {:?}: {why}",
                reference.kind().as_str(),
                reference.name()
            )),
            definite: false,
        };
        let id = StoreId::of(reference, object.namespace());
        if !self.outages.admits(&id, Instant::now()) {
            return Err(Closed {
                failure: Failure {
                    public: Some(SILENT.to_owned()),
                    definite: false,
                },
                silent: true,
            });
        }
        let store = self.stores.find(&id).await;
        let store = store
            .map_err(|error| refused(&format_args!("it cannot be read: {}", error.category())))?
            .ok_or_else(|| refused(&access::AccessError::Missing(reference.kind().as_str())))?;
        let mut labels = None;
        if id.kind == StoreKind::ClusterSecretStore && !store.spec.conditions.is_empty() {
            let path = action::namespace(object.namespace());
            let metadata = self.api().get_metadata(&path).await;
            let metadata = metadata.and_then(|answer| action::metadata_of(&answer));
            let metadata = metadata.map_err(|error| Failure {
                public: Some(format!(
                    "the namespace cannot be read: {}",
                    error.category()
                )),
                definite: false,
            })?;
            labels = metadata.labels;
        }
        let seen = StoreSeen {
            kind: id.kind,
            spec: &store.spec,
            conditions: &store.status.conditions,
        };
        let namespace = NamespaceSeen {
            name: object.namespace(),
            labels: labels.as_ref(),
        };
        let rules = access::Rules {
            class: &self.rules.class,
            flood_gate: self.rules.flood_gate,
        };
        access::check(&seen, &namespace, &rules).map_err(|error| refused(&error))?;
        let config = store.spec.provider.config().map_err(|_| Failure {
            public: Some("the settings of the store's provider cannot be read".to_owned()),
            definite: false,
        })?;
        let opened = self
            .stores
            .open(&id, &store, &config, Some(object.namespace()))
            .await;
        opened.map_err(|error| {
            tracing::warn!(
                namespace = object.namespace(),
                name = object.name(),
                store = %id.name,
                error = %error,
                "cannot open the store"
            );
            Closed {
                failure: Failure {
                    public: error.public_detail().map(str::to_owned),
                    definite: false,
                },
                silent: error.trouble().is_passing(),
            }
        })
    }
}

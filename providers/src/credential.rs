//! What a store needs from the place its manifest lives in: Secrets, ConfigMaps, and tokens of service accounts.
//!
//! A store asks through [`Credentials`], and the program answers: the controller from its cluster after it has checked
//! what the store's [`Scope`] allows, the command line from files, variables or the cluster of the current context. The
//! rules for namespaces are here, once: [`Scope::namespace_of`].

pub mod held;
pub mod selector;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;

use self::selector::{SecretKeySelector, ServiceAccountSelector};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::SecretMap;

/// Whether a store belongs to one namespace or to the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreKind {
    /// A SecretStore.
    #[default]
    Namespaced,
    /// A ClusterSecretStore.
    Cluster,
}

impl StoreKind {
    /// The kind as manifests spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaced => "SecretStore",
            Self::Cluster => "ClusterSecretStore",
        }
    }
}

/// Which store is meant, and for whom it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The kind of the store.
    pub kind: StoreKind,
    /// Its name.
    pub name: String,
    /// Its namespace; empty for a cluster-wide one.
    pub store_namespace: String,
    /// The namespace of the object that uses the store. `None` when the store itself is validated: then a cluster-wide
    /// store whose references name no namespace cannot be signed in to.
    pub consumer_namespace: Option<String>,
}

impl Scope {
    /// Returns true for a cluster-wide store that is looked at without anyone who uses it.
    pub fn is_unbound(&self) -> bool {
        self.kind == StoreKind::Cluster && self.consumer_namespace.is_none()
    }

    /// Returns the namespace in which a reference of the store is looked up.
    ///
    /// References of a SecretStore lie in the store's own namespace and may not name another one. Those of a
    /// ClusterSecretStore lie where they say, or in the namespace of the consumer.
    ///
    /// # Errors
    ///
    /// When the reference names a namespace that the store must not use, or when there is no consumer yet
    /// ([`CredentialError::NoConsumer`]).
    pub fn namespace_of<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, CredentialError> {
        match (self.kind, named.filter(|name| !name.is_empty())) {
            (StoreKind::Namespaced, Some(name)) if name != self.store_namespace => {
                Err(CredentialError::ForeignNamespace {
                    named: name.to_owned(),
                    own: self.store_namespace.clone(),
                })
            }
            (StoreKind::Namespaced, _) => Ok(&self.store_namespace),
            (StoreKind::Cluster, Some(name)) => Ok(name),
            (StoreKind::Cluster, None) => self
                .consumer_namespace
                .as_deref()
                .ok_or(CredentialError::NoConsumer),
        }
    }
}

/// Something outside of the store's own settings that it needs to sign in, with the field that refers to it.
///
/// The program uses the list to know which objects a store depends on: to watch them, to tell two sets of credentials
/// apart, and to see whether a cluster-wide store depends on its consumer ([`Need::depends_on_consumer`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The field, such as `auth.tokenSecretRef`.
    pub field: &'static str,
    /// What it refers to.
    pub object: NeededObject,
}

impl Need {
    /// Returns true if a cluster-wide store looks this up in the namespace of its consumer (upstream: referent).
    pub fn depends_on_consumer(&self) -> bool {
        let named = match &self.object {
            NeededObject::Secret(selector) => selector.namespace.as_deref(),
            NeededObject::WholeSecret { namespace, .. }
            | NeededObject::ConfigMap { namespace, .. } => namespace.as_deref(),
            NeededObject::ServiceAccount(selector) => selector.namespace.as_deref(),
        };
        named.is_none_or(str::is_empty)
    }
}

/// What a field of a store refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NeededObject {
    /// One key of a Secret.
    Secret(SecretKeySelector),
    /// All keys of a Secret.
    WholeSecret {
        /// Its name.
        name: String,
        /// Its namespace, if one is named.
        namespace: Option<String>,
    },
    /// One key of a ConfigMap.
    ConfigMap {
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// Its namespace, if one is named.
        namespace: Option<String>,
    },
    /// A service account, whose tokens or annotations are used.
    ServiceAccount(ServiceAccountSelector),
}

/// All of a Secret.
#[derive(Debug, Default)]
pub struct WholeSecret {
    /// Its values.
    pub data: SecretMap,
    /// Its labels; webhooks refuse Secrets without a certain one.
    pub labels: BTreeMap<String, String>,
}

/// A token of a service account that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The service account.
    pub service_account: ServiceAccountSelector,
    /// Whom the token is for; the selector's own audiences are added by the store where upstream does so.
    pub audiences: Vec<String>,
    /// How long it shall live; `None` leaves that to the cluster.
    pub lifetime: Option<Duration>,
}

/// Answers what a store asks for. Values come as they are, a trailing newline included.
///
/// Implementations apply [`Scope::namespace_of`] to every reference, and check that the consumer may use the store.
/// They are asked each time a store signs in, so they should answer from what is current.
pub trait Credentials: Send + Sync {
    /// One key of a Secret.
    fn secret<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a SecretKeySelector,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>>;

    /// A whole Secret.
    fn whole_secret<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<WholeSecret, CredentialError>>;

    /// One key of a ConfigMap.
    fn config_map<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        key: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CredentialError>>;

    /// A token of a service account.
    fn token<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a TokenRequest,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>>;

    /// The annotations of a service account; cloud roles are written there.
    fn annotations<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a ServiceAccountSelector,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, CredentialError>>;

    /// The token of the pod that the program runs in, if stores may use it. By default there is none.
    fn own_token(&self) -> BoxFuture<'_, Result<SecretBytes, CredentialError>> {
        Box::pin(async { Err(CredentialError::NoCluster) })
    }
}

/// Why a credential cannot be had. Never holds one.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The reference of a SecretStore leads out of its namespace.
    #[error(
        "the store lies in namespace {own:?} and refers to {named:?}; only a ClusterSecretStore may name a namespace"
    )]
    ForeignNamespace {
        /// The namespace that it names.
        named: String,
        /// The store's own.
        own: String,
    },
    /// A cluster-wide store without a consumer: its references mean the consumer's namespace.
    #[error(
        "the reference means the namespace of the object that uses the store, and there is none yet"
    )]
    NoConsumer,
    /// The consumer may not use the store.
    #[error("namespace {0:?} may not use this store")]
    NotAllowed(String),
    /// There is no such object.
    #[error("there is no {kind} {namespace}/{name}")]
    NoObject {
        /// The kind of the object.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The object has no such key.
    #[error("{kind} {namespace}/{name} has no key {key:?}")]
    NoKey {
        /// The kind of the object.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The reference names no key, and there is no default for it.
    #[error("the reference names no key")]
    KeyNotNamed,
    /// The program runs outside of a cluster and has nothing in its place.
    #[error("there is no cluster to ask")]
    NoCluster,
    /// The place that holds the credentials refuses to give them.
    #[error("reading {kind} {namespace}/{name} is forbidden")]
    Forbidden {
        /// The kind of the object.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The place that holds the credentials cannot be asked now.
    #[error("cannot ask for {what}: {reason}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// Why not, without text of a server.
        reason: String,
    },
}

impl CredentialError {
    /// Makes a store's error of it, with the field that refers to what is missing.
    pub fn at_field(&self, field: &str) -> StoreError {
        let trouble = match self {
            Self::Unavailable { .. } => Trouble::Unavailable,
            Self::Forbidden { .. } => Trouble::Unauthenticated,
            Self::NoObject { .. } | Self::NoKey { .. } | Self::NoCluster => {
                Trouble::Unauthenticated
            }
            _ => Trouble::Invalid,
        };
        // Names from the manifest and fixed words: everyone who sees the store may see this.
        StoreError::new(trouble, format!("`{field}`: {}", shown(&self.to_string())))
            .public()
            .before_any_call()
    }
}

/// Gives nothing: for stores that need nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn secret<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a SecretKeySelector,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        Box::pin(async { Err(CredentialError::NoCluster) })
    }

    fn whole_secret<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<WholeSecret, CredentialError>> {
        Box::pin(async { Err(CredentialError::NoCluster) })
    }

    fn config_map<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CredentialError>> {
        Box::pin(async { Err(CredentialError::NoCluster) })
    }

    fn token<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a TokenRequest,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        Box::pin(async { Err(CredentialError::NoCluster) })
    }

    fn annotations<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a ServiceAccountSelector,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, CredentialError>> {
        Box::pin(async { Err(CredentialError::NoCluster) })
    }
}

impl fmt::Debug for dyn Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(kind: StoreKind, consumer: Option<&str>) -> Scope {
        Scope {
            kind,
            name: "s".into(),
            store_namespace: if kind == StoreKind::Cluster {
                String::new()
            } else {
                "own".into()
            },
            consumer_namespace: consumer.map(str::to_owned),
        }
    }

    #[test]
    fn a_namespaced_store_never_leaves_its_namespace() {
        let scope = scope(StoreKind::Namespaced, Some("own"));
        assert_eq!(scope.namespace_of(None).unwrap(), "own");
        assert_eq!(scope.namespace_of(Some("own")).unwrap(), "own");
        assert!(matches!(
            scope.namespace_of(Some("kube-system")),
            Err(CredentialError::ForeignNamespace { .. })
        ));
    }

    #[test]
    fn a_cluster_wide_store_looks_where_it_says_or_at_its_consumer() {
        let used = scope(StoreKind::Cluster, Some("team"));
        assert_eq!(used.namespace_of(Some("vault")).unwrap(), "vault");
        assert_eq!(used.namespace_of(None).unwrap(), "team");
        assert!(matches!(
            scope(StoreKind::Cluster, None).namespace_of(None),
            Err(CredentialError::NoConsumer)
        ));
    }
}

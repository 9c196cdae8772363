//! Credentials of stores, read from the cluster each time a store signs in.
//!
//! Which namespace a reference may lead to is decided by [`Scope::namespace_of`]; whether an object may use the store at all
//! has been checked before the store is opened for it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};
use sealwright_providers::credential::{
    CredentialError, Credentials, Scope, TokenRequest, WholeSecret,
};
use sealwright_providers::remote::SecretMap;
use sealwright_providers::settings::{SecretKeySelector, ServiceAccountSelector};
use sealwright_resources::plain_secret::PlainSecret;
use serde::Deserialize;

use crate::action;
use crate::api::{Api, ApiError};

/// Where the token of the program's own pod is mounted, and how large it may be.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const LARGEST_TOKEN: usize = 64 * 1024;

/// Answers stores from the API server.
pub(crate) struct ClusterCredentials {
    api: Arc<Api>,
}

impl ClusterCredentials {
    pub(crate) fn new(api: Arc<Api>) -> Self {
        Self { api }
    }

    async fn read_secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PlainSecret, CredentialError> {
        let path = action::secret(namespace, name);
        let answer = self.api.get(&path).await;
        let answer = answer.map_err(|error| refused("Secret", namespace, name, &error))?;
        PlainSecret::from_json(answer.expose()).map_err(|_| unreadable("Secret", namespace, name))
    }
}

impl Credentials for ClusterCredentials {
    fn secret<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a SecretKeySelector,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        async move {
            let namespace = scope.namespace_of(at.namespace.as_deref())?;
            let name = at.name.as_deref().unwrap_or_default();
            let key = at.key.as_deref().filter(|key| !key.is_empty());
            let key = key.ok_or(CredentialError::KeyNotNamed)?;
            let mut secret = self.read_secret(namespace, name).await?;
            secret.remove(key).ok_or_else(|| CredentialError::NoKey {
                kind: "Secret",
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                key: key.to_owned(),
            })
        }
        .boxed()
    }

    fn whole_secret<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<WholeSecret, CredentialError>> {
        async move {
            let namespace = scope.namespace_of(namespace)?;
            let secret = self.read_secret(namespace, name).await?;
            let values = secret.iter();
            let data: SecretMap = values
                .map(|(key, value)| (key.to_owned(), SecretBytes::copy_of(value.expose())))
                .collect();
            Ok(WholeSecret {
                data,
                labels: secret.metadata.labels.unwrap_or_default(),
            })
        }
        .boxed()
    }

    fn config_map<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        key: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CredentialError>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct ConfigMap {
            #[serde(default)]
            data: Option<BTreeMap<String, String>>,
        }
        async move {
            let namespace = scope.namespace_of(namespace)?;
            let path = action::config_map(namespace, name);
            let answer = self.api.get(&path).await;
            let answer = answer.map_err(|error| refused("ConfigMap", namespace, name, &error))?;
            let read: Result<ConfigMap, _> = action::read(&answer);
            let map = read.map_err(|_| unreadable("ConfigMap", namespace, name))?;
            let value = map.data.unwrap_or_default().remove(key);
            let value = value.ok_or_else(|| CredentialError::NoKey {
                kind: "ConfigMap",
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                key: key.to_owned(),
            })?;
            Ok(value.into_bytes())
        }
        .boxed()
    }

    fn token<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a TokenRequest,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        async move {
            let account = &request.service_account;
            let namespace = scope.namespace_of(account.namespace.as_deref())?;
            let token = action::request_token(
                &self.api,
                namespace,
                &account.name,
                &request.audiences,
                request.lifetime,
            );
            token
                .await
                .map_err(|error| refused("ServiceAccount", namespace, &account.name, &error))
        }
        .boxed()
    }

    fn annotations<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a ServiceAccountSelector,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, CredentialError>> {
        async move {
            let namespace = scope.namespace_of(at.namespace.as_deref())?;
            let path = action::service_account(namespace, &at.name);
            let answer = self.api.get_metadata(&path).await;
            let answer =
                answer.map_err(|error| refused("ServiceAccount", namespace, &at.name, &error))?;
            let metadata: Result<ObjectMeta, _> = action::metadata_of(&answer);
            let metadata =
                metadata.map_err(|_| unreadable("ServiceAccount", namespace, &at.name))?;
            Ok(metadata.annotations.unwrap_or_default())
        }
        .boxed()
    }

    fn own_token(&self) -> BoxFuture<'_, Result<SecretBytes, CredentialError>> {
        // The cluster replaces the file before the token ends, so it is read each time.
        async { token_in(Path::new(TOKEN_FILE)) }.boxed()
    }
}

fn token_in(path: &Path) -> Result<SecretBytes, CredentialError> {
    let read = SystemSurroundings.read(path, LARGEST_TOKEN);
    read.map_err(|error| match error.kind() {
        ErrorKind::NotFound => CredentialError::NoCluster,
        kind => CredentialError::Unavailable {
            what: "the token of this pod".to_owned(),
            reason: kind.to_string(),
        },
    })
}

fn refused(kind: &'static str, namespace: &str, name: &str, error: &ApiError) -> CredentialError {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    if error.is_not_found() {
        return CredentialError::NoObject {
            kind,
            namespace,
            name,
        };
    }
    if error.is_forbidden() {
        return CredentialError::Forbidden {
            kind,
            namespace,
            name,
        };
    }
    CredentialError::Unavailable {
        what: format!("{kind} {namespace}/{name}"),
        reason: error.category().to_owned(),
    }
}

fn unreadable(kind: &'static str, namespace: &str, name: &str) -> CredentialError {
    CredentialError::Unavailable {
        what: format!("{kind} {namespace}/{name}"),
        reason: "the answer cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_pod_is_read_where_it_is_mounted() {
        let path =
            std::env::temp_dir().join(format!("sealwright-own-token-{}", std::process::id()));
        for token in ["first", "second"] {
            std::fs::write(&path, token).unwrap();
            assert_eq!(token_in(&path).unwrap().expose(), token.as_bytes());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(token_in(&path), Err(CredentialError::NoCluster)));
    }
}

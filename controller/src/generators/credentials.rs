//! Credentials of generators.

use futures::FutureExt;
use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::{
    CredentialError, Credentials, Scope, TokenRequest, WholeSecret,
};
use sealwright_providers::settings::{SecretKeySelector, ServiceAccountSelector};

use crate::credentials::ClusterCredentials;

/// Credentials of generators: a namespace that a reference names is ignored, because generators are always used in that of the
/// object that asks, even those of the whole cluster.
pub(super) struct InNamespace(pub(super) ClusterCredentials);

impl Credentials for InNamespace {
    fn secret<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a SecretKeySelector,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        async move { self.0.secret(scope, &here(at)).await }.boxed()
    }

    fn whole_secret<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<WholeSecret, CredentialError>> {
        self.0.whole_secret(scope, name, None)
    }

    fn config_map<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        key: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CredentialError>> {
        self.0.config_map(scope, name, key, None)
    }

    fn token<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a TokenRequest,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        async move {
            let request = TokenRequest {
                service_account: account_here(&request.service_account),
                ..request.clone()
            };
            self.0.token(scope, &request).await
        }
        .boxed()
    }

    fn annotations<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a ServiceAccountSelector,
    ) -> BoxFuture<'a, Result<std::collections::BTreeMap<String, String>, CredentialError>> {
        async move { self.0.annotations(scope, &account_here(at)).await }.boxed()
    }
}

fn here(at: &SecretKeySelector) -> SecretKeySelector {
    SecretKeySelector {
        namespace: None,
        ..at.clone()
    }
}

fn account_here(at: &ServiceAccountSelector) -> ServiceAccountSelector {
    ServiceAccountSelector {
        namespace: None,
        ..at.clone()
    }
}

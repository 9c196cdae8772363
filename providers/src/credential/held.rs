//! Credentials that the program holds itself: read from manifests, variables or files beforehand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;

use super::{CredentialError, Credentials, Scope, TokenRequest, WholeSecret};
use crate::credential::selector::{SecretKeySelector, ServiceAccountSelector};

/// Answers from what was put in. Objects without a namespace are found in every one.
#[derive(Default)]
pub struct Held {
    objects: Mutex<Objects>,
}

#[derive(Default)]
struct Objects {
    secrets: BTreeMap<(String, String), WholeSecret>,
    config_maps: BTreeMap<(String, String), BTreeMap<String, Vec<u8>>>,
    tokens: BTreeMap<String, SecretBytes>,
    annotations: BTreeMap<String, BTreeMap<String, String>>,
    own_token: Option<SecretBytes>,
}

impl Held {
    fn objects(&self) -> std::sync::MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a Secret in, in the place of one of that name.
    pub fn put_secret(&self, namespace: &str, name: &str, secret: WholeSecret) {
        let key = (namespace.to_owned(), name.to_owned());
        self.objects().secrets.insert(key, secret);
    }

    /// Puts one value of a Secret in.
    pub fn put(&self, name: &str, key: &str, value: &[u8]) {
        let mut objects = self.objects();
        let secret = objects
            .secrets
            .entry((String::new(), name.to_owned()))
            .or_default();
        secret
            .data
            .insert(key.to_owned(), SecretBytes::copy_of(value));
    }

    /// Puts a ConfigMap in.
    pub fn put_config_map(&self, namespace: &str, name: &str, data: BTreeMap<String, Vec<u8>>) {
        let key = (namespace.to_owned(), name.to_owned());
        self.objects().config_maps.insert(key, data);
    }

    /// Puts the token of a service account in, whatever audience it is asked for.
    pub fn put_token(&self, service_account: &str, token: SecretBytes) {
        let name = service_account.to_owned();
        self.objects().tokens.insert(name, token);
    }

    /// Puts the annotations of a service account in.
    pub fn put_annotations(&self, service_account: &str, annotations: BTreeMap<String, String>) {
        let name = service_account.to_owned();
        self.objects().annotations.insert(name, annotations);
    }

    /// Puts the token of the program's own pod in.
    pub fn put_own_token(&self, token: SecretBytes) {
        self.objects().own_token = Some(token);
    }
}

fn find<'a, T>(
    map: &'a BTreeMap<(String, String), T>,
    kind: &'static str,
    namespace: &str,
    name: &str,
) -> Result<&'a T, CredentialError> {
    map.get(&(namespace.to_owned(), name.to_owned()))
        .or_else(|| map.get(&(String::new(), name.to_owned())))
        .ok_or_else(|| CredentialError::NoObject {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
}

fn no_key(kind: &'static str, namespace: &str, name: &str, key: &str) -> CredentialError {
    CredentialError::NoKey {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
    }
}

impl Credentials for Held {
    fn secret<'a>(
        &'a self,
        scope: &'a Scope,
        at: &'a SecretKeySelector,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        Box::pin(async move {
            let namespace = scope.namespace_of(at.namespace.as_deref())?;
            let name = at.name.as_deref().unwrap_or_default();
            let key = at.key.as_deref().filter(|key| !key.is_empty());
            let key = key.ok_or(CredentialError::KeyNotNamed)?;
            let objects = self.objects();
            let secret = find(&objects.secrets, "Secret", namespace, name)?;
            let value = secret.data.get(key);
            let value = value.ok_or_else(|| no_key("Secret", namespace, name, key))?;
            Ok(SecretBytes::copy_of(value.expose()))
        })
    }

    fn whole_secret<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<WholeSecret, CredentialError>> {
        Box::pin(async move {
            let namespace = scope.namespace_of(namespace)?;
            let objects = self.objects();
            let secret = find(&objects.secrets, "Secret", namespace, name)?;
            let data = secret.data.iter();
            Ok(WholeSecret {
                data: data
                    .map(|(key, value)| (key.clone(), SecretBytes::copy_of(value.expose())))
                    .collect(),
                labels: secret.labels.clone(),
            })
        })
    }

    fn config_map<'a>(
        &'a self,
        scope: &'a Scope,
        name: &'a str,
        key: &'a str,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CredentialError>> {
        Box::pin(async move {
            let namespace = scope.namespace_of(namespace)?;
            let objects = self.objects();
            let map = find(&objects.config_maps, "ConfigMap", namespace, name)?;
            let value = map.get(key).cloned();
            value.ok_or_else(|| no_key("ConfigMap", namespace, name, key))
        })
    }

    fn token<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a TokenRequest,
    ) -> BoxFuture<'a, Result<SecretBytes, CredentialError>> {
        Box::pin(async move {
            let account = &request.service_account;
            let namespace = scope.namespace_of(account.namespace.as_deref())?;
            let objects = self.objects();
            let token = objects.tokens.get(&account.name);
            let token = token.ok_or_else(|| CredentialError::NoObject {
                kind: "ServiceAccount",
                namespace: namespace.to_owned(),
                name: account.name.clone(),
            })?;
            Ok(SecretBytes::copy_of(token.expose()))
        })
    }

    fn annotations<'a>(
        &'a self,
        _: &'a Scope,
        at: &'a ServiceAccountSelector,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, CredentialError>> {
        Box::pin(async move {
            let objects = self.objects();
            Ok(objects
                .annotations
                .get(&at.name)
                .cloned()
                .unwrap_or_default())
        })
    }

    fn own_token(&self) -> BoxFuture<'_, Result<SecretBytes, CredentialError>> {
        Box::pin(async move {
            let objects = self.objects();
            let token = objects
                .own_token
                .as_ref()
                .ok_or(CredentialError::NoCluster)?;
            Ok(SecretBytes::copy_of(token.expose()))
        })
    }
}

//! The settings of stores, field for field as upstream's SecretStore has them.

pub mod aws;
pub mod azure;
pub mod doppler;
pub mod fake;
pub mod file;
pub mod gcp;
pub mod generators;
pub mod gitlab;
pub mod kubernetes;
pub mod onepassword;
pub mod openbao;
pub mod vault;
pub mod webhook;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::selector::{KEY_PATTERN, NAME_PATTERN, NAMESPACE_PATTERN};
pub use crate::credential::selector::{SecretKeySelector, ServiceAccountSelector};
use crate::credential::{Need, NeededObject, Scope, StoreKind};
use crate::outcome::StoreError;

/// Where the certificates of authorities lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaProvider {
    /// The kind of the object.
    #[serde(rename = "type")]
    pub kind: CaProviderKind,
    /// Its name.
    #[schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = KEY_PATTERN), length(min = 1, max = 253))]
    pub key: Option<String>,
    /// Its namespace; a ClusterSecretStore must name one, a SecretStore must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAMESPACE_PATTERN), length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// What holds certificates of authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CaProviderKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// How often a failed call is made again (`spec.retrySettings`). Only AWS, Vault, IBM and Oracle read it upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetrySettings {
    /// How often; what exactly it counts differs between providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i32>,
    /// The time between two attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<String>,
}

/// The schema of a field that may hold any JSON.
fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// Collects what the fields of a store refer to.
#[derive(Default)]
pub(crate) struct Needs(Vec<Need>);

impl Needs {
    pub(crate) fn secret(&mut self, field: &'static str, selector: Option<&SecretKeySelector>) {
        if let Some(selector) = selector {
            self.push(field, NeededObject::Secret(selector.clone()));
        }
    }

    pub(crate) fn service_account(
        &mut self,
        field: &'static str,
        selector: Option<&ServiceAccountSelector>,
    ) {
        if let Some(selector) = selector {
            self.push(field, NeededObject::ServiceAccount(selector.clone()));
        }
    }

    pub(crate) fn authority(&mut self, field: &'static str, provider: Option<&CaProvider>) {
        let Some(provider) = provider else { return };
        let object = match provider.kind {
            CaProviderKind::Secret => NeededObject::Secret(SecretKeySelector {
                name: Some(provider.name.clone()),
                namespace: provider.namespace.clone(),
                key: provider.key.clone(),
            }),
            CaProviderKind::ConfigMap => NeededObject::ConfigMap {
                name: provider.name.clone(),
                key: provider.key.clone().unwrap_or_default(),
                namespace: provider.namespace.clone(),
            },
        };
        self.push(field, object);
    }

    pub(crate) fn push(&mut self, field: &'static str, object: NeededObject) {
        self.0.push(Need { field, object });
    }

    pub(crate) fn finish(self) -> Vec<Need> {
        self.0
    }
}

/// Checks the namespace of a reference without looking it up: a SecretStore's may only be its own.
pub(crate) fn check_namespace(
    scope: &Scope,
    field: &str,
    namespace: Option<&str>,
) -> Result<(), StoreError> {
    match scope.kind {
        StoreKind::Namespaced => scope
            .namespace_of(namespace)
            .map(drop)
            .map_err(|error| error.at_field(field)),
        StoreKind::Cluster => Ok(()),
    }
}

/// Checks the namespaces of all that a store refers to.
fn check_needs(scope: &Scope, needs: Needs) -> Result<(), StoreError> {
    for need in needs.finish() {
        let namespace = match &need.object {
            NeededObject::Secret(selector) => selector.namespace.as_deref(),
            NeededObject::ServiceAccount(selector) => selector.namespace.as_deref(),
            NeededObject::WholeSecret { namespace, .. }
            | NeededObject::ConfigMap { namespace, .. } => namespace.as_deref(),
        };
        check_namespace(scope, need.field, namespace)?;
    }
    Ok(())
}

/// Checks where certificates come from: a ClusterSecretStore must say in which namespace.
pub(crate) fn check_authority(
    scope: &Scope,
    field: &str,
    provider: Option<&CaProvider>,
) -> Result<(), StoreError> {
    let Some(provider) = provider else {
        return Ok(());
    };
    let named = provider
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty());
    if scope.kind == StoreKind::Cluster && named.is_none() {
        return Err(StoreError::invalid(format!(
            "`{field}.namespace` is required for a ClusterSecretStore"
        ))
        .public());
    }
    check_namespace(scope, field, named)
}

/// Reads a `caBundle`: PEM, base64 of PEM, or base64 of that, as manifests have it.
///
/// # Errors
///
/// Says that it is neither.
pub fn authority_bundle(text: &str) -> Result<Vec<u8>, StoreError> {
    let mut bytes = text.trim().as_bytes().to_vec();
    for _ in 0..3 {
        if bytes.starts_with(b"-----BEGIN") || bytes.windows(11).any(|part| part == b"\n-----BEGIN")
        {
            return Ok(bytes);
        }
        let compact: Vec<u8> = bytes
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        match STANDARD.decode(&compact) {
            Ok(decoded) if !decoded.is_empty() => bytes = decoded,
            _ => break,
        }
    }
    Err(
        StoreError::invalid("`caBundle` is neither a certificate in PEM nor base64 of one")
            .public(),
    )
}

/// Reads a duration such as `1m30s`.
///
/// # Errors
///
/// Says which field is none.
#[cfg(feature = "clients")]
pub(crate) fn duration(field: &str, text: &str) -> Result<std::time::Duration, StoreError> {
    sealwright_template::go_duration::parse(text)
        .and_then(|duration| std::time::Duration::try_from(duration).ok())
        .ok_or_else(|| {
            StoreError::invalid(format!("`{field}` is no duration such as 1m30s")).public()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        use std::time::Duration;
        assert_eq!(duration("x", "1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("x", "1.5h").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("x", "300ms").unwrap(), Duration::from_millis(300));
        for bad in ["", "10", "-1s", "1x", "1 h", "PT1H"] {
            assert!(duration("x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bundle_is_pem_or_base64_of_it() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let once = STANDARD.encode(pem);
        let twice = STANDARD.encode(&once);
        for text in [pem, &once, &twice] {
            let read = authority_bundle(text).unwrap();
            assert_eq!(String::from_utf8(read).unwrap().trim(), pem.trim());
        }
        assert!(authority_bundle("").is_err());
        assert!(authority_bundle("bm90IHBlbQ==").is_err());
    }
}

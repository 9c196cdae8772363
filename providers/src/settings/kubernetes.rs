//! Settings of the store that is the Secrets of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaProvider, Needs, SecretKeySelector, ServiceAccountSelector};
use super::{check_authority, check_namespace};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// The Secrets of one namespace of a cluster (`provider.kubernetes`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesSettings {
    /// Which API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<KubernetesServer>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<KubernetesAuth>,
    /// A Secret that holds a kubeconfig; then `server` is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretKeySelector>,
    /// The namespace of the Secrets; `default` when it is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = super::NAMESPACE_PATTERN), length(min = 1, max = 63))]
    pub remote_namespace: Option<String>,
}

/// An API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesServer {
    /// Its address; `kubernetes.default` when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The certificates of its authorities: base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Where these certificates lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

/// Who asks the API server: exactly one of the fields is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesAuth {
    /// A client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<KubernetesCert>,
    /// A token that lies in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<KubernetesToken>,
    /// A service account, whose token is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountSelector>,
}

/// A client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesCert {
    /// The certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<SecretKeySelector>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<SecretKeySelector>,
}

/// A token that lies in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesToken {
    /// The token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretKeySelector>,
}

impl KubernetesSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        needs.secret("authRef", self.auth_ref.as_ref());
        if let Some(server) = &self.server {
            needs.authority("server.caProvider", server.ca_provider.as_ref());
        }
        if let Some(auth) = &self.auth {
            if let Some(cert) = &auth.cert {
                needs.secret("auth.cert.clientCert", cert.client_cert.as_ref());
                needs.secret("auth.cert.clientKey", cert.client_key.as_ref());
            }
            if let Some(token) = &auth.token {
                needs.secret("auth.token.bearerToken", token.bearer_token.as_ref());
            }
            needs.service_account("auth.serviceAccount", auth.service_account.as_ref());
        }
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: &str| Err(StoreError::invalid(text).public());
        let mut warnings = Vec::new();
        if self.auth_ref.is_some() && self.auth.is_some() {
            return invalid("authRef and inline auth cannot both be set");
        }
        if self.auth_ref.is_none() {
            let authority = self
                .server
                .as_ref()
                .is_some_and(|server| server.ca_bundle.is_some() || server.ca_provider.is_some());
            if !authority {
                warnings.push(
                    "No caBundle or caProvider specified; TLS connections will use system certificate roots."
                        .to_owned(),
                );
            }
        }
        if let Some(server) = &self.server {
            check_authority(scope, "server.caProvider", server.ca_provider.as_ref())?;
            if let Some(bundle) = &server.ca_bundle {
                super::authority_bundle(bundle)?;
            }
        }
        if let Some(auth) = &self.auth {
            let given = [
                auth.cert.is_some(),
                auth.token.is_some(),
                auth.service_account.is_some(),
            ];
            if given.iter().filter(|given| **given).count() != 1 {
                return invalid("`auth` must have exactly one of cert, token, serviceAccount");
            }
            let cert = auth.cert.as_ref();
            if cert.is_some_and(|cert| cert.client_cert.is_none() || cert.client_key.is_none()) {
                return invalid("`auth.cert` must have both clientCert and clientKey");
            }
            let token = auth.token.as_ref();
            if token.is_some_and(|token| token.bearer_token.is_none()) {
                return invalid("`auth.token.bearerToken` is missing");
            }
        }
        for need in self.needs().finish() {
            use crate::credential::NeededObject::{Secret, ServiceAccount};
            match &need.object {
                Secret(selector) => {
                    check_namespace(scope, need.field, selector.namespace.as_deref())?;
                }
                ServiceAccount(selector) => {
                    check_namespace(scope, need.field, selector.namespace.as_deref())?;
                }
                _ => {}
            }
        }
        Ok(warnings)
    }
}

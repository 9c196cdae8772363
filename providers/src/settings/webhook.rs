//! Settings of the store that is any HTTP endpoint.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaProvider, Needs, SecretKeySelector, check_authority, check_namespace};
use crate::credential::{NeededObject, Scope, StoreKind};
use crate::outcome::StoreError;

/// Any endpoint that answers over HTTP (`provider.webhook`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSettings {
    /// The method; GET for reads and POST for pushes when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The address: a template.
    pub url: String,
    /// Headers; their values are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// How the endpoint knows who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<WebhookAuth>,
    /// What is sent: a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long a call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// What of the answer is the value.
    #[serde(default)]
    pub result: WebhookResult,
    /// Secrets that templates see by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<WebhookSecret>,
    /// The certificates of the server's authorities: base64 of PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Where these certificates lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

/// How an endpoint knows who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebhookAuth {
    /// NTLM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ntlm: Option<WebhookNtlm>,
}

/// A user of NTLM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookNtlm {
    /// The name.
    pub username_secret: SecretKeySelector,
    /// The password.
    pub password_secret: SecretKeySelector,
}

/// What of an answer is the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookResult {
    /// A JSONPath, itself a template; without one the whole answer is the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_path: Option<String>,
}

/// A Secret that templates see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecret {
    /// The name by which they see it.
    pub name: String,
    /// The Secret; all its keys are seen.
    pub secret_ref: SecretKeySelector,
}

impl WebhookSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for secret in &self.secrets {
            needs.push(
                "secrets[].secretRef",
                NeededObject::WholeSecret {
                    name: secret.secret_ref.name.clone().unwrap_or_default(),
                    namespace: secret.secret_ref.namespace.clone(),
                },
            );
        }
        if let Some(ntlm) = self.auth.as_ref().and_then(|auth| auth.ntlm.as_ref()) {
            needs.secret("auth.ntlm.usernameSecret", Some(&ntlm.username_secret));
            needs.secret("auth.ntlm.passwordSecret", Some(&ntlm.password_secret));
        }
        needs.authority("caProvider", self.ca_provider.as_ref());
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        if self.url.trim().is_empty() {
            return Err(StoreError::invalid("`url` is empty").public());
        }
        for secret in &self.secrets {
            let named = secret.secret_ref.namespace.as_deref();
            if scope.kind == StoreKind::Cluster && named.is_none_or(str::is_empty) {
                return Err(StoreError::invalid(
                    "`secrets[].secretRef.namespace` is required for a ClusterSecretStore",
                )
                .public());
            }
            check_namespace(scope, "secrets[].secretRef", named)?;
        }
        check_authority(scope, "caProvider", self.ca_provider.as_ref())?;
        if let Some(bundle) = &self.ca_bundle {
            super::authority_bundle(bundle)?;
        }
        Ok(Vec::new())
    }
}

//! Settings of Google Secret Manager.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Needs, SecretKeySelector, ServiceAccountSelector};
use crate::credential::{NeededObject, Scope};
use crate::outcome::StoreError;

/// Google Secret Manager (`provider.gcpsm`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcpSettings {
    /// How to sign in; without it the application default credentials of the program's surroundings count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<GcpAuth>,
    /// The project; where none is named, that of the cluster or of the machine.
    #[serde(rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The location of regional secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What to do when the newest version is disabled or destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_version_selection_policy: Option<GcpVersionSelection>,
}

/// What to do when the newest version of a secret is disabled or destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub enum GcpVersionSelection {
    /// It is an error.
    #[default]
    LatestOrFail,
    /// The newest version that is enabled counts.
    LatestOrFetch,
}

/// Upstream takes any text, and each but one for the first.
impl<'de> Deserialize<'de> for GcpVersionSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "LatestOrFetch" => Self::LatestOrFetch,
            _ => Self::LatestOrFail,
        })
    }
}

/// How to sign in to Google: the first of these that is set counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcpAuth {
    /// A file of credentials, such as the key of a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<GcpSecretRef>,
    /// A Kubernetes service account of a GKE cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<GcpWorkloadIdentity>,
    /// An identity of somewhere else, through a workload identity pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity_federation: Option<GcpFederation>,
}

/// A file of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcpSecretRef {
    /// Where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_secret_ref: Option<SecretKeySelector>,
}

/// A Kubernetes service account of a GKE cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcpWorkloadIdentity {
    /// The service account; its annotation `iam.gke.io/gcp-service-account` names one of Google's.
    pub service_account_ref: ServiceAccountSelector,
    /// The location of the cluster; that of the machine when it is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_location: Option<String>,
    /// The name of the cluster; that of the machine when it is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The project of the cluster.
    #[serde(rename = "clusterProjectID", skip_serializing_if = "Option::is_none")]
    pub cluster_project_id: Option<String>,
}

/// An identity of somewhere else: exactly one of `credConfig`, `serviceAccountRef` and `awsSecurityCredentials`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcpFederation {
    /// A ConfigMap with a configuration of external credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cred_config: Option<GcpCredConfig>,
    /// A Kubernetes service account whose tokens the pool accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// Keys of AWS that the pool accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_security_credentials: Option<GcpAwsCredentials>,
    /// The provider of the pool; required without `credConfig`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The address that `credConfig` must take its token from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_token_endpoint: Option<String>,
    /// The service account of Google that is impersonated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1),
        regex(pattern = r"^.*@.*\.iam\.gserviceaccount\.com$")
    )]
    pub gcp_service_account_email: Option<String>,
}

/// Refers to one key of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcpCredConfig {
    /// Its name.
    #[schemars(regex(pattern = super::NAME_PATTERN), length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; only a ClusterSecretStore may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = super::NAMESPACE_PATTERN), length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The key in it.
    #[schemars(regex(pattern = super::KEY_PATTERN), length(min = 1, max = 253))]
    pub key: String,
}

/// Keys of AWS in a Secret: `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpAwsCredentials {
    /// The region of AWS.
    #[schemars(length(min = 1, max = 50), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: String,
    /// The Secret.
    pub aws_credentials_secret_ref: GcpSecretName,
}

/// Refers to a whole Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcpSecretName {
    /// Its name.
    #[schemars(regex(pattern = super::NAME_PATTERN), length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; only a ClusterSecretStore may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = super::NAMESPACE_PATTERN), length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl GcpSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        let Some(auth) = &self.auth else { return needs };
        if let Some(secret) = &auth.secret_ref {
            needs.secret(
                "auth.secretRef.secretAccessKeySecretRef",
                secret.secret_access_key_secret_ref.as_ref(),
            );
        }
        if let Some(identity) = &auth.workload_identity {
            needs.service_account(
                "auth.workloadIdentity.serviceAccountRef",
                Some(&identity.service_account_ref),
            );
        }
        if let Some(federation) = &auth.workload_identity_federation {
            if let Some(config) = &federation.cred_config {
                needs.push(
                    "auth.workloadIdentityFederation.credConfig",
                    NeededObject::ConfigMap {
                        name: config.name.clone(),
                        key: config.key.clone(),
                        namespace: config.namespace.clone(),
                    },
                );
            }
            needs.service_account(
                "auth.workloadIdentityFederation.serviceAccountRef",
                federation.service_account_ref.as_ref(),
            );
            if let Some(aws) = &federation.aws_security_credentials {
                needs.push(
                    "auth.workloadIdentityFederation.awsSecurityCredentials",
                    NeededObject::WholeSecret {
                        name: aws.aws_credentials_secret_ref.name.clone(),
                        namespace: aws.aws_credentials_secret_ref.namespace.clone(),
                    },
                );
            }
        }
        needs
    }

    /// Returns true if a cluster-wide store looks for its credentials in the namespace of its consumer.
    #[cfg(feature = "gcp")]
    pub(crate) fn depends_on_consumer(&self) -> bool {
        let needs = self.needs().finish();
        needs
            .iter()
            .any(crate::credential::Need::depends_on_consumer)
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: &str| Err(StoreError::invalid(text).public());
        let is_name = |text: &str| {
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            text.len() <= 63 && text.bytes().all(of_name)
        };
        if !self.location.as_deref().is_none_or(is_name) {
            return invalid("`location` is no name of a location");
        }
        // Projects of a domain read `example.com:project`.
        let is_project = |text: &str| {
            let of_project = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':')
            };
            text.len() <= 100 && text.bytes().all(of_project)
        };
        if !self.project_id.as_deref().is_none_or(is_project) {
            return invalid("`projectID` is no id of a project");
        }
        let auth = self.auth.as_ref();
        if let Some(secret) = auth.and_then(|auth| auth.secret_ref.as_ref()) {
            if secret.secret_access_key_secret_ref.is_none() {
                return invalid("`auth.secretRef` needs secretAccessKeySecretRef");
            }
            if self.project_id.as_deref().is_none_or(str::is_empty) {
                return invalid("`projectID` is required with `auth.secretRef`");
            }
        }
        if let Some(federation) = auth.and_then(|auth| auth.workload_identity_federation.as_ref()) {
            let sources = [
                federation.cred_config.is_some(),
                federation.service_account_ref.is_some(),
                federation.aws_security_credentials.is_some(),
            ];
            if sources.into_iter().filter(|given| *given).count() != 1 {
                return invalid(
                    "`auth.workloadIdentityFederation` needs exactly one of credConfig, serviceAccountRef and awsSecurityCredentials",
                );
            }
            let has_audience = federation
                .audience
                .as_deref()
                .is_some_and(|text| !text.is_empty());
            if federation.cred_config.is_none() && !has_audience {
                return invalid(
                    "`auth.workloadIdentityFederation.audience` is required without credConfig",
                );
            }
        }
        super::check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_policy_but_the_one_that_falls_back_fails() {
        for (text, selection) in [
            ("LatestOrFetch", GcpVersionSelection::LatestOrFetch),
            ("LatestOrFail", GcpVersionSelection::LatestOrFail),
            ("latestOrFetch", GcpVersionSelection::LatestOrFail),
            ("", GcpVersionSelection::LatestOrFail),
        ] {
            let settings = json!({"secretVersionSelectionPolicy": text});
            let settings: GcpSettings = serde_json::from_value(settings).unwrap();
            assert_eq!(settings.secret_version_selection_policy, Some(selection));
        }
    }
}

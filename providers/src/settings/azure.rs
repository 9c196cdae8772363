//! Settings of Azure Key Vault.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Needs, SecretKeySelector, ServiceAccountSelector};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// Azure Key Vault (`provider.azurekv`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureSettings {
    /// How to sign in.
    #[serde(default)]
    pub auth_type: AzureAuthType,
    /// The address of the vault.
    pub vault_url: String,
    /// The tenant; needed for a service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Which of Azure's clouds.
    #[serde(default)]
    pub environment_type: AzureEnvironment,
    /// The service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_ref: Option<AzureAuthSecretRef>,
    /// The service account for `WorkloadIdentity`; without it the pod's own identity counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// The client id of a managed identity that was assigned by a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    /// Whether the store behaves as upstream does with the vendor's newer library.
    #[serde(
        default,
        rename = "useAzureSDK",
        skip_serializing_if = "Option::is_none"
    )]
    pub use_azure_sdk: Option<bool>,
    /// The addresses of a cloud of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_cloud_config: Option<AzureCustomCloud>,
}

/// How to sign in to Azure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AzureAuthType {
    /// A client id with a secret or a certificate.
    #[default]
    ServicePrincipal,
    /// The identity of the machine.
    ManagedIdentity,
    /// A Kubernetes service account that Azure trusts.
    WorkloadIdentity,
}

/// One of Azure's clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AzureEnvironment {
    /// The public one.
    #[default]
    PublicCloud,
    /// That of the government of the United States.
    #[serde(rename = "USGovernmentCloud")]
    UsGovernmentCloud,
    /// That in China.
    ChinaCloud,
    /// That in Germany, which is closed.
    GermanCloud,
    /// One's own.
    AzureStackCloud,
}

/// A service principal: its client id with a secret or a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AzureAuthSecretRef {
    /// The client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<SecretKeySelector>,
    /// The tenant, for `WorkloadIdentity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<SecretKeySelector>,
    /// The client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretKeySelector>,
    /// The certificate with its private key, as PEM or PKCS#12.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<SecretKeySelector>,
}

/// The addresses of a cloud of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureCustomCloud {
    /// Where tokens come from.
    pub active_directory_endpoint: String,
    /// For whom tokens are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_endpoint: Option<String>,
    /// What the names of vaults end with.
    #[serde(
        default,
        rename = "keyVaultDNSSuffix",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_vault_dns_suffix: Option<String>,
    /// The resource manager, which stores do not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_manager_endpoint: Option<String>,
}

impl AzureSettings {
    /// Settings of a vault without an address: for a client that only signs in.
    #[cfg(feature = "azure")]
    pub(crate) fn of_sign_in(auth_type: AzureAuthType, environment: AzureEnvironment) -> Self {
        Self {
            auth_type,
            vault_url: String::new(),
            tenant_id: None,
            environment_type: environment,
            auth_secret_ref: None,
            service_account_ref: None,
            identity_id: None,
            use_azure_sdk: Some(true),
            custom_cloud_config: None,
        }
    }

    /// Returns true if the store behaves as upstream does with the vendor's newer library.
    pub fn is_new_dialect(&self) -> bool {
        self.use_azure_sdk == Some(true)
    }

    /// Returns true if the store signs in as the machine or the program, and not as someone whom its author may be.
    #[cfg(feature = "azure")]
    pub(crate) fn is_of_program(&self) -> bool {
        match self.auth_type {
            AzureAuthType::ServicePrincipal => false,
            AzureAuthType::ManagedIdentity => true,
            AzureAuthType::WorkloadIdentity => self.service_account_ref.is_none(),
        }
    }

    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        if let Some(auth) = &self.auth_secret_ref {
            needs.secret("authSecretRef.clientId", auth.client_id.as_ref());
            needs.secret("authSecretRef.tenantId", auth.tenant_id.as_ref());
            needs.secret("authSecretRef.clientSecret", auth.client_secret.as_ref());
            needs.secret(
                "authSecretRef.clientCertificate",
                auth.client_certificate.as_ref(),
            );
        }
        needs.service_account("serviceAccountRef", self.service_account_ref.as_ref());
        needs
    }

    /// Returns true if a cluster-wide store looks for its credentials in the namespace of its consumer.
    #[cfg(feature = "azure")]
    pub(crate) fn depends_on_consumer(&self) -> bool {
        let needs = self.needs().finish();
        needs
            .iter()
            .any(crate::credential::Need::depends_on_consumer)
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: &str| Err(StoreError::invalid(text).public());
        if !self.vault_url.starts_with("https://") {
            return invalid("`vaultUrl` must begin with https://");
        }
        let own = self.environment_type == AzureEnvironment::AzureStackCloud;
        match (&self.custom_cloud_config, own) {
            (None, true) => {
                return invalid("`customCloudConfig` is required for AzureStackCloud");
            }
            (Some(_), _) if !self.is_new_dialect() => {
                return invalid("`customCloudConfig` needs `useAzureSDK: true`");
            }
            (Some(cloud), _) if !cloud.active_directory_endpoint.starts_with("https://") => {
                return invalid(
                    "`customCloudConfig.activeDirectoryEndpoint` must begin with https://",
                );
            }
            _ => {}
        }
        if self.environment_type == AzureEnvironment::GermanCloud && self.is_new_dialect() {
            return invalid("`environmentType: GermanCloud` is not known to the newer library");
        }
        if self.auth_type == AzureAuthType::ServicePrincipal {
            let Some(auth) = &self.auth_secret_ref else {
                return invalid("`authSecretRef` is required for ServicePrincipal");
            };
            if self.tenant_id.as_deref().is_none_or(str::is_empty) {
                return invalid("`tenantId` is required for ServicePrincipal");
            }
            if auth.client_id.is_none() {
                return invalid("`authSecretRef.clientId` is required for ServicePrincipal");
            }
            if auth.client_secret.is_some() == auth.client_certificate.is_some() {
                return invalid(
                    "`authSecretRef` needs exactly one of clientSecret and clientCertificate",
                );
            }
        }
        super::check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

//! The list of stores that manifests can name.

mod manifest;

use std::sync::Arc;

use super::providers::{OWN_PROVIDERS, OtherProvider};
use super::{Capabilities, Connection, Store};
use crate::credential::{Need, Scope};
use crate::fake::FakeStore;
use crate::file::FileStore;
#[cfg(feature = "clients")]
use crate::kubernetes::KubernetesStore;
use crate::outcome::{StoreError, Trouble};
use crate::settings::aws::{AwsSessionTagsPolicy, AwsSettings};
use crate::settings::azure::AzureSettings;
use crate::settings::doppler::DopplerSettings;
use crate::settings::fake::FakeSettings;
use crate::settings::file::FileSettings;
use crate::settings::gcp::GcpSettings;
use crate::settings::gitlab::GitlabSettings;
use crate::settings::kubernetes::KubernetesSettings;
use crate::settings::onepassword::OnePasswordSettings;
use crate::settings::openbao::OpenBaoSettings;
use crate::settings::vault::VaultSettings;
use crate::settings::webhook::WebhookSettings;
#[cfg(feature = "clients")]
use crate::vault::VaultStore;
#[cfg(feature = "clients")]
use crate::webhook::WebhookStore;

/// The provider part of a store's manifest: exactly one of the providers, with its settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StoreConfig {
    /// AWS Secrets Manager, Parameter Store, Certificate Manager.
    Aws(Box<AwsSettings>),
    /// HashiCorp Vault.
    Vault(Box<VaultSettings>),
    /// OpenBao.
    OpenBao(Box<OpenBaoSettings>),
    /// The Secrets of a cluster.
    Kubernetes(Box<KubernetesSettings>),
    /// Any endpoint that answers over HTTP.
    Webhook(Box<WebhookSettings>),
    /// Values in the manifest.
    Fake(FakeSettings),
    /// A folder or a file.
    File(FileSettings),
    /// Google Secret Manager.
    Gcp(Box<GcpSettings>),
    /// Azure Key Vault.
    Azure(Box<AzureSettings>),
    /// Variables of GitLab.
    Gitlab(Box<GitlabSettings>),
    /// Doppler.
    Doppler(Box<DopplerSettings>),
    /// 1Password Connect.
    OnePassword(Box<OnePasswordSettings>),
    /// A provider that upstream has and this build has not. Its manifests parse, and using it is a clear error.
    Other(OtherProvider),
}

impl StoreConfig {
    /// The name that manifests have for the provider.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Aws(_) => "aws",
            Self::Azure(_) => "azurekv",
            Self::Gcp(_) => "gcpsm",
            Self::Gitlab(_) => "gitlab",
            Self::Doppler(_) => "doppler",
            Self::OnePassword(_) => "onepassword",
            Self::Vault(_) => "vault",
            Self::OpenBao(_) => "openBao",
            Self::Kubernetes(_) => "kubernetes",
            Self::Webhook(_) => "webhook",
            Self::Fake(_) => "fake",
            Self::File(_) => "file",
            Self::Other(other) => other.name,
        }
    }

    /// What a store of this kind can do, as upstream publishes it in `status.capabilities`.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::OpenBao(_) | Self::Gitlab(_) | Self::Doppler(_) => Capabilities::ReadOnly,
            Self::File(_) => Capabilities::ReadWrite,
            Self::Other(other) => match other.name {
                "github" | "ngrok" => Capabilities::WriteOnly,
                "barbican"
                | "beyondtrustworkloadcredentials"
                | "chef"
                | "cloudrusm"
                | "crd"
                | "delinea"
                | "fortanix"
                | "ibm"
                | "nebiusmysterybox"
                | "onboardbase"
                | "passbolt"
                | "passworddepot"
                | "previder"
                | "pulumi"
                | "senhasegura"
                | "volcengine"
                | "yandexcertificatemanager"
                | "yandexlockbox" => Capabilities::ReadOnly,
                _ => Capabilities::ReadWrite,
            },
            _ => Capabilities::ReadWrite,
        }
    }

    /// Lists what the settings refer to outside of themselves.
    pub fn needs(&self) -> Vec<Need> {
        match self {
            Self::Aws(settings) => settings.needs().finish(),
            Self::Azure(settings) => settings.needs().finish(),
            Self::Gcp(settings) => settings.needs().finish(),
            Self::Gitlab(settings) => settings.needs().finish(),
            Self::Doppler(settings) => settings.needs().finish(),
            Self::OnePassword(settings) => settings.needs().finish(),
            Self::Vault(settings) => settings.needs().finish(),
            Self::OpenBao(settings) => settings.needs().finish(),
            Self::Kubernetes(settings) => settings.needs().finish(),
            Self::Webhook(settings) => settings.needs().finish(),
            Self::Fake(_) | Self::File(_) | Self::Other(_) => Vec::new(),
        }
    }

    /// Returns true if the store tells its server for whom it asks. Then its consumers cannot share one that has signed in, wherever
    /// its credentials lie.
    pub fn tells_consumer(&self) -> bool {
        let Self::Aws(settings) = self else {
            return false;
        };
        let role = settings.role.as_deref().unwrap_or_default();
        let policy = settings.session_tags_policy.unwrap_or_default();
        !role.is_empty() && policy != AwsSessionTagsPolicy::None
    }

    /// Checks the settings without any network, and returns warnings for the author of the manifest.
    ///
    /// # Errors
    ///
    /// Says what is wrong; the text may be shown to everyone.
    pub fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Aws(settings) => settings.check(scope),
            Self::Azure(settings) => settings.check(scope),
            Self::Gcp(settings) => settings.check(scope),
            Self::Gitlab(settings) => settings.check(scope),
            Self::Doppler(settings) => settings.check(scope),
            Self::OnePassword(settings) => settings.check(scope),
            Self::Vault(settings) => settings.check(scope),
            Self::OpenBao(settings) => settings.check(scope),
            Self::Kubernetes(settings) => settings.check(scope),
            Self::Webhook(settings) => settings.check(scope),
            Self::Fake(settings) => {
                if settings.data.iter().any(|value| value.key.is_empty()) {
                    return Err(StoreError::invalid(
                        "every entry of `data` needs a key that is not empty",
                    )
                    .public());
                }
                if settings.data.iter().any(|value| value.value.is_empty()) {
                    return Err(StoreError::invalid(
                        "every entry of `data` needs a value that is not empty",
                    )
                    .public());
                }
                Ok(Vec::new())
            }
            Self::File(settings) if settings.path.is_empty() => {
                Err(StoreError::invalid("`path` is empty").public())
            }
            Self::File(_) => Ok(Vec::new()),
            Self::Other(other) => Err(missing(other.name)),
        }
    }

    /// Makes a store of the settings. It may sign in at once or at the first call.
    ///
    /// # Errors
    ///
    /// When the settings are wrong, this build has no such provider, or signing in fails.
    pub async fn connect(&self, connection: &Connection) -> Result<Arc<dyn Store>, StoreError> {
        self.check(&connection.scope)?;
        match self {
            Self::Fake(settings) => Ok(Arc::new(FakeStore::new(settings, &connection.scope))),
            Self::File(settings) => Ok(Arc::new(FileStore::new(
                settings,
                connection.files.as_ref(),
            )?)),
            #[cfg(feature = "clients")]
            Self::Vault(settings) => Ok(Arc::new(VaultStore::vault(settings, connection).await?)),
            #[cfg(feature = "clients")]
            Self::Webhook(settings) => Ok(Arc::new(WebhookStore::new(settings, connection).await?)),
            #[cfg(feature = "clients")]
            Self::Kubernetes(settings) => {
                Ok(Arc::new(KubernetesStore::new(settings, connection).await?))
            }
            #[cfg(feature = "clients")]
            Self::OpenBao(settings) => {
                Ok(Arc::new(VaultStore::openbao(settings, connection).await?))
            }
            #[cfg(feature = "aws")]
            Self::Aws(settings) => crate::aws::connect(settings, connection),
            #[cfg(feature = "azure")]
            Self::Azure(settings) => crate::azure::connect(settings, connection),
            #[cfg(feature = "gcp")]
            Self::Gcp(settings) => crate::gcp::connect(settings, connection),
            #[cfg(feature = "gitlab")]
            Self::Gitlab(settings) => Ok(Arc::new(
                crate::gitlab::Gitlab::new(settings, connection).await?,
            )),
            #[cfg(feature = "doppler")]
            Self::Doppler(settings) => Ok(Arc::new(crate::doppler::Doppler::new(
                settings, connection,
            )?)),
            #[cfg(feature = "onepassword")]
            Self::OnePassword(settings) => Ok(Arc::new(crate::onepassword::OnePassword::new(
                settings, connection,
            )?)),
            Self::Other(other) => Err(missing(other.name)),
            #[cfg(not(all(
                feature = "aws",
                feature = "azure",
                feature = "doppler",
                feature = "gcp",
                feature = "gitlab",
                feature = "onepassword",
                feature = "clients"
            )))]
            _ => Err(missing(self.provider())),
        }
    }
}

fn missing(provider: &str) -> StoreError {
    StoreError::new(
        Trouble::Unsupported,
        format!("this build has no provider {provider}"),
    )
    .with_hint(format!(
        "the providers of this build are {}",
        OWN_PROVIDERS.join(", ")
    ))
    .public()
}

#[cfg(test)]
mod tests;

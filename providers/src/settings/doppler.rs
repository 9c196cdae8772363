//! Settings of Doppler.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Needs, SecretKeySelector, ServiceAccountSelector};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// The secrets of one config in Doppler (`provider.doppler`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DopplerSettings {
    /// How to sign in.
    pub auth: DopplerAuth,
    /// The project; a service token implies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The config; a service token implies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// How `find` spells names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_transformer: Option<DopplerNames>,
    /// The format of the one file that `find` makes of all secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<DopplerFormat>,
}

/// How to sign in to Doppler: exactly one of the ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DopplerAuth {
    /// With a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<DopplerSecretRef>,
    /// With the token of a service account, which Doppler exchanges for one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_config: Option<DopplerOidc>,
}

/// A token of Doppler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DopplerSecretRef {
    /// Where it lies; the key is `dopplerToken` when none is named.
    pub doppler_token: SecretKeySelector,
}

/// An identity that Doppler gives to a service account of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DopplerOidc {
    /// The id of the identity in Doppler.
    pub identity: String,
    /// The service account.
    pub service_account_ref: ServiceAccountSelector,
    /// How many seconds its token lives.
    #[serde(default = "ten_minutes", skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "it is the default of an optional field"
)]
fn ten_minutes() -> Option<i64> {
    Some(600)
}

/// How names of secrets are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DopplerNames {
    /// `ApiKey`
    UpperCamel,
    /// `apiKey`
    Camel,
    /// `api_key`
    LowerSnake,
    /// `TF_VAR_api_key`
    TfVar,
    /// `Api__Key`
    DotnetEnv,
    /// `api-key`
    LowerKebab,
}

impl DopplerNames {
    /// The word that the service has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpperCamel => "upper-camel",
            Self::Camel => "camel",
            Self::LowerSnake => "lower-snake",
            Self::TfVar => "tf-var",
            Self::DotnetEnv => "dotnet-env",
            Self::LowerKebab => "lower-kebab",
        }
    }
}

/// The format of a file of all secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DopplerFormat {
    /// A JSON object.
    Json,
    /// A JSON object of nested sections, as .NET reads them.
    DotnetJson,
    /// Lines of `NAME="value"`.
    Env,
    /// YAML.
    Yaml,
    /// Lines of `NAME=value`, as Docker reads them.
    Docker,
}

impl DopplerFormat {
    /// The word that the service has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::DotnetJson => "dotnet-json",
            Self::Env => "env",
            Self::Yaml => "yaml",
            Self::Docker => "docker",
        }
    }
}

impl DopplerSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        let token = self.auth.secret_ref.as_ref().map(DopplerSecretRef::token);
        needs.secret(TOKEN_FIELD, token.as_ref());
        if let Some(oidc) = &self.auth.oidc_config {
            let account = &oidc.service_account_ref;
            needs.service_account(ACCOUNT_FIELD, Some(account));
        }
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: &str| Err(StoreError::invalid(text).public());
        let is_empty = |text: Option<&str>| text.is_none_or(str::is_empty);
        match (&self.auth.secret_ref, &self.auth.oidc_config) {
            (Some(_), Some(_)) | (None, None) => {
                return invalid("`auth` needs exactly one of secretRef and oidcConfig");
            }
            (Some(token), None) if is_empty(token.doppler_token.name.as_deref()) => {
                return invalid("`auth.secretRef.dopplerToken.name` is required");
            }
            (None, Some(oidc)) if oidc.identity.is_empty() => {
                return invalid("`auth.oidcConfig.identity` is empty");
            }
            (None, Some(oidc)) if oidc.service_account_ref.name.is_empty() => {
                return invalid("`auth.oidcConfig.serviceAccountRef.name` is empty");
            }
            _ => {}
        }
        super::check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

impl DopplerSecretRef {
    /// The reference with the key that counts where none is named.
    pub(crate) fn token(&self) -> SecretKeySelector {
        self.doppler_token.or_key("dopplerToken")
    }
}

/// The field that names the token.
pub(crate) const TOKEN_FIELD: &str = "auth.secretRef.dopplerToken";
/// The field that names the service account.
pub(crate) const ACCOUNT_FIELD: &str = "auth.oidcConfig.serviceAccountRef";

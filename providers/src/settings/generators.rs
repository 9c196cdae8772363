//! The settings of generators that ask a server, field for field as upstream's objects have them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::aws::{AwsJwtAuth, AwsStaticKeys};
use super::azure::AzureEnvironment;
use super::gcp::GcpAuth;
use super::vault::VaultSettings;
use super::{KEY_PATTERN, NAME_PATTERN, RetrySettings, SecretKeySelector, ServiceAccountSelector};

/// A secret that Vault or OpenBao makes on request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultDynamicSecretSettings {
    /// The controller that uses this generator; any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The method of the call: GET, LIST, DELETE; any other one writes. GET without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The body of a call that writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::free_form")]
    pub parameters: Option<Value>,
    /// The query of a call that reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_parameters: Option<BTreeMap<String, Vec<String>>>,
    /// Which part of the answer is the result.
    #[serde(default)]
    #[schemars(extend("x-default" = "Data"))]
    pub result_type: VaultResultType,
    /// How often failed calls are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
    /// The server, and how to sign in.
    pub provider: VaultSettings,
    /// The path of the secret.
    pub path: String,
    /// Takes an answer without a body for an empty result.
    #[serde(default)]
    #[schemars(extend("x-default" = false))]
    pub allow_empty_response: bool,
}

/// Which part of Vault's answer is the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VaultResultType {
    /// The keys of `data`.
    #[default]
    Data,
    /// The keys of `auth`.
    Auth,
    /// The keys of the whole answer.
    Raw,
}

/// How a generator of AWS signs in: the first of the two that is set counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsGeneratorAuth {
    /// Static keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AwsStaticKeys>,
    /// A service account that may assume a role (IRSA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<AwsJwtAuth>,
}

/// A password for the Elastic Container Registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EcrAuthorizationTokenSettings {
    /// The region.
    pub region: String,
    /// How to sign in; without it the default chain of the program's surroundings counts.
    #[serde(default)]
    pub auth: AwsGeneratorAuth,
    /// A role that is assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Which registry: private or public. Private without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Temporary credentials of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StsSessionTokenSettings {
    /// The region.
    pub region: String,
    /// How to sign in; without it the default chain of the program's surroundings counts.
    #[serde(default)]
    pub auth: AwsGeneratorAuth,
    /// A role that is assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is asked of STS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_parameters: Option<StsRequestParameters>,
}

/// What is asked of STS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StsRequestParameters {
    /// How many seconds the credentials live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<i32>,
    /// The serial number or ARN of a device for one-time passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// The password that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_code: Option<String>,
}

/// A token of an installation of a GitHub App.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GithubAccessTokenSettings {
    /// The address of the API; `https://api.github.com` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The id of the App.
    #[serde(default, rename = "appID", skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Where the id of the App lies.
    #[serde(default, rename = "appIDRef", skip_serializing_if = "Option::is_none")]
    pub app_id_ref: Option<SecretKeySelector>,
    /// The id of the installation.
    #[serde(default, rename = "installID", skip_serializing_if = "Option::is_none")]
    pub install_id: Option<String>,
    /// Where the id of the installation lies.
    #[serde(
        default,
        rename = "installIDRef",
        skip_serializing_if = "Option::is_none"
    )]
    pub install_id_ref: Option<SecretKeySelector>,
    /// The repositories that the token is for; all of the installation without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// The permissions of the token; all of the App without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, String>>,
    /// The key of the App.
    pub auth: GithubAuth,
}

/// The key of a GitHub App.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GithubAuth {
    /// The private key.
    pub private_key: SecretHolder,
}

/// Something that lies in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretHolder {
    /// Where it lies.
    pub secret_ref: SecretKeySelector,
}

/// A token for the container registries of Google.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcrAccessTokenSettings {
    /// How to sign in; the default credentials of the program's surroundings count when no way is named.
    pub auth: GcpAuth,
    /// The project that is signed in to.
    #[serde(rename = "projectID")]
    pub project_id: String,
}

/// A token for a container registry of Azure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcrAccessTokenSettings {
    /// How to sign in.
    pub auth: AcrAuth,
    /// The tenant; needed for a service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The host of the registry, such as `example.azurecr.io`.
    pub registry: String,
    /// What the token is good for, such as `repository:web:pull`; without it for all that the identity may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Which of Azure's clouds.
    #[serde(default)]
    pub environment_type: AzureEnvironment,
}

/// How to sign in to Azure for a token of a registry: the first way that is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcrAuth {
    /// A client id with a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal: Option<AcrServicePrincipal>,
    /// The identity of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<AcrManagedIdentity>,
    /// A Kubernetes service account that Azure trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<AcrWorkloadIdentity>,
}

/// A service principal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcrServicePrincipal {
    /// Where its id and its secret lie.
    pub secret_ref: AcrSecretRef,
}

/// Where the id and the secret of a service principal lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcrSecretRef {
    /// The client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<SecretKeySelector>,
    /// The client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretKeySelector>,
}

/// A managed identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcrManagedIdentity {
    /// The client id or the resource id of one that a user has assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
}

/// A service account; without one the pod's own identity counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcrWorkloadIdentity {
    /// The service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// A token of a robot account of Quay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuayAccessTokenSettings {
    /// The host of the registry; `quay.io` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The robot account.
    pub robot_account: String,
    /// The service account whose token is exchanged.
    pub service_account_ref: ServiceAccountSelector,
}

/// A token of a service account of Grafana.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrafanaSettings {
    /// The address of Grafana.
    pub url: String,
    /// How to sign in; a token goes before a user.
    pub auth: GrafanaAuth,
    /// The service account.
    pub service_account: GrafanaServiceAccount,
}

/// How to sign in to Grafana.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrafanaAuth {
    /// A token that may make service accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<GrafanaSecretRef>,
    /// A user that may make service accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<GrafanaBasicAuth>,
}

/// A user of Grafana.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrafanaBasicAuth {
    /// The name.
    pub username: String,
    /// Where the password lies.
    pub password: GrafanaSecretRef,
}

/// Refers to one key of a Secret of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrafanaSecretRef {
    /// The name of the Secret.
    #[serde(default)]
    #[schemars(regex(pattern = NAME_PATTERN), length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[serde(default)]
    #[schemars(regex(pattern = KEY_PATTERN), length(min = 1, max = 253))]
    pub key: String,
}

impl GrafanaSecretRef {
    /// The same reference as stores have it.
    #[must_use]
    pub fn selector(&self) -> SecretKeySelector {
        SecretKeySelector {
            name: Some(self.name.clone()),
            namespace: None,
            key: Some(self.key.clone()),
        }
    }
}

/// The service account of Grafana.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrafanaServiceAccount {
    /// Its name. It is made if there is none.
    pub name: String,
    /// Its role: Viewer, Editor, Admin or None.
    pub role: String,
    /// How many seconds a token lives; for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub seconds_to_live: Option<i64>,
}

/// A deploy token of a project or a group of GitLab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitlabDeployTokenSettings {
    /// The address of GitLab; `https://gitlab.com` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The id or path of the project.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub project_id: Option<String>,
    /// The id or path of the group.
    #[serde(default, rename = "groupID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub group_id: Option<String>,
    /// The name of the token.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the token may do.
    #[schemars(length(min = 1))]
    pub scopes: Vec<GitlabScope>,
    /// When the token ends; never without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    /// The name of its user; GitLab chooses one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// How to sign in.
    pub auth: GitlabAuth,
}

/// What a deploy token of GitLab may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitlabScope {
    /// Read the repository.
    ReadRepository,
    /// Read images.
    ReadRegistry,
    /// Write images.
    WriteRegistry,
    /// Read packages.
    ReadPackageRegistry,
    /// Write packages.
    WritePackageRegistry,
    /// Read images of a virtual registry.
    ReadVirtualRegistry,
    /// Write images of a virtual registry.
    WriteVirtualRegistry,
}

/// How to sign in to GitLab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitlabAuth {
    /// An access token with the scope `api`.
    pub token: SecretHolder,
}

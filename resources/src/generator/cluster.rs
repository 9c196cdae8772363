//! Generators of the whole cluster: another generator, written once for all namespaces.

use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_providers::settings::generators::{
    AcrAccessTokenSettings, EcrAuthorizationTokenSettings, GcrAccessTokenSettings,
    GithubAccessTokenSettings, GitlabDeployTokenSettings, GrafanaSettings, QuayAccessTokenSettings,
    StsSessionTokenSettings, VaultDynamicSecretSettings,
};
use sealwright_providers::settings::webhook::WebhookSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fake::FakeSpec;
use super::mfa::MfaSpec;
use super::password::PasswordSpec;
use super::ssh_key::SshKeySpec;
use super::uuid::UuidSpec;

/// ClusterGeneratorSpec holds the specification of one generator.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "ClusterGenerator",
    plural = "clustergenerators",
    category = "external-secrets",
    category = "external-secrets-generators",
    derive = "PartialEq",
    doc = "ClusterGenerator is a generator that all namespaces can use. What it refers to is looked up in theirs."
)]
pub struct ClusterGeneratorSpec {
    /// The kind of the generator.
    #[schemars(extend("enum" = super::namespaced_kinds()))]
    pub kind: String,
    /// Its specification: the one of its kind.
    pub generator: GeneratorChoice,
}

/// The specification of a generator: exactly one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("maxProperties" = 1, "minProperties" = 1))]
pub struct GeneratorChoice {
    /// ACRAccessToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr_access_token_spec: Option<AcrAccessTokenSettings>,
    /// BeyondtrustWorkloadCredentialsDynamicSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub beyondtrust_workload_credentials_dynamic_secret_spec: Option<Value>,
    /// CloudsmithAccessToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub cloudsmith_access_token_spec: Option<Value>,
    /// ECRAuthorizationToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecr_authorization_token_spec: Option<EcrAuthorizationTokenSettings>,
    /// Fake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fake_spec: Option<FakeSpec>,
    /// GCRAccessToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcr_access_token_spec: Option<GcrAccessTokenSettings>,
    /// GithubAccessToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github_access_token_spec: Option<GithubAccessTokenSettings>,
    /// GitlabDeployToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitlab_deploy_token_spec: Option<GitlabDeployTokenSettings>,
    /// Grafana.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grafana_spec: Option<GrafanaSettings>,
    /// MFA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_spec: Option<MfaSpec>,
    /// Password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_spec: Option<PasswordSpec>,
    /// QuayAccessToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quay_access_token_spec: Option<QuayAccessTokenSettings>,
    /// SSHKey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_key_spec: Option<SshKeySpec>,
    /// STSSessionToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts_session_token_spec: Option<StsSessionTokenSettings>,
    /// UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid_spec: Option<UuidSpec>,
    /// VaultDynamicSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_dynamic_secret_spec: Option<VaultDynamicSecretSettings>,
    /// Webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_spec: Option<WebhookSettings>,
}

fn free_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

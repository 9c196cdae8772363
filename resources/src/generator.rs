//! Generators: objects that make values, of the group `generators.external-secrets.io`.

/// The API group.
pub const GROUP: &str = "generators.external-secrets.io";
/// Group and version, as objects carry it.
pub const API_VERSION: &str = "generators.external-secrets.io/v1alpha1";

/// Every kind that a reference may name.
pub const KINDS: &[&str] = &[
    "ACRAccessToken",
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "ClusterGenerator",
    "CloudsmithAccessToken",
    "ECRAuthorizationToken",
    "Fake",
    "GCRAccessToken",
    "GithubAccessToken",
    "GitlabDeployToken",
    "QuayAccessToken",
    "Password",
    "SSHKey",
    "STSSessionToken",
    "UUID",
    "VaultDynamicSecret",
    "Webhook",
    "Grafana",
    "MFA",
];

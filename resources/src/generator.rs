//! Generators: objects that make values, of the group `generators.external-secrets.io`.
//!
//! Those that need no server are pure functions here; what they read of the cluster is given to them.

mod base32;
pub mod fake;
pub mod mfa;
pub mod password;
mod random;
pub mod ssh_key;
pub mod uuid;

use std::collections::BTreeMap;

use sealwright_crypto::secret::SecretBytes;
use thiserror::Error;

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

/// What a generator makes.
pub type Values = BTreeMap<String, SecretBytes>;

/// Why a generator makes nothing. The text is public: it quotes nothing of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GeneratorError {
    /// The generator asks for what cannot be.
    #[error("the generator cannot be used: {0}")]
    Invalid(&'static str),
    /// A key could not be generated.
    #[error("cannot generate a key")]
    NoKey,
    /// The system gave no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

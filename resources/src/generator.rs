//! Generators: objects that make values, of the group `generators.external-secrets.io`.
//!
//! Those that need no server are pure functions here; what they read of the cluster is given to them. Those that ask a server
//! have their settings and clients in `sealwright-providers`, and stand here with their kinds. A [`Generator`] is any of them.

mod base32;
pub mod cluster;
mod crd;
pub mod fake;
pub mod mfa;
pub mod password;
mod random;
pub mod remote;
pub mod ssh_key;
pub mod state;
pub mod uuid;

pub use crd::custom_resource_definitions;

use std::collections::BTreeMap;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::settings::generators::{
    AcrAccessTokenSettings, EcrAuthorizationTokenSettings, GcrAccessTokenSettings,
    GithubAccessTokenSettings, GitlabDeployTokenSettings, GrafanaSettings, QuayAccessTokenSettings,
    StsSessionTokenSettings, VaultDynamicSecretSettings,
};
use sealwright_providers::settings::webhook::WebhookSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use self::fake::FakeSpec;
use self::mfa::MfaSpec;
use self::password::PasswordSpec;
use self::ssh_key::SshKeySpec;
use self::uuid::UuidSpec;

/// The API group.
pub const GROUP: &str = "generators.external-secrets.io";
/// Group and version, as objects carry it.
pub const API_VERSION: &str = "generators.external-secrets.io/v1alpha1";
/// The kind that holds another one for the whole cluster.
pub const CLUSTER_KIND: &str = "ClusterGenerator";

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

/// The kinds that a ClusterGenerator may hold.
fn namespaced_kinds() -> Vec<&'static str> {
    let kinds = KINDS.iter().copied();
    kinds.filter(|kind| *kind != CLUSTER_KIND).collect()
}

/// The name of a kind in paths of the API: upstream's plurals are all alike.
#[must_use]
pub fn plural(kind: &str) -> String {
    format!("{}s", kind.to_ascii_lowercase())
}

/// The field of a ClusterGenerator that holds a generator of this kind.
#[must_use]
pub fn cluster_field(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "ACRAccessToken" => "acrAccessTokenSpec",
        "BeyondtrustWorkloadCredentialsDynamicSecret" => {
            "beyondtrustWorkloadCredentialsDynamicSecretSpec"
        }
        "CloudsmithAccessToken" => "cloudsmithAccessTokenSpec",
        "ECRAuthorizationToken" => "ecrAuthorizationTokenSpec",
        "Fake" => "fakeSpec",
        "GCRAccessToken" => "gcrAccessTokenSpec",
        "GithubAccessToken" => "githubAccessTokenSpec",
        "GitlabDeployToken" => "gitlabDeployTokenSpec",
        "Grafana" => "grafanaSpec",
        "MFA" => "mfaSpec",
        "Password" => "passwordSpec",
        "QuayAccessToken" => "quayAccessTokenSpec",
        "SSHKey" => "sshKeySpec",
        "STSSessionToken" => "stsSessionTokenSpec",
        "UUID" => "uuidSpec",
        "VaultDynamicSecret" => "vaultDynamicSecretSpec",
        "Webhook" => "webhookSpec",
        _ => return None,
    })
}

/// A generator, whatever its kind.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Generator {
    /// Passwords.
    Password(PasswordSpec),
    /// A random UUID.
    Uuid(UuidSpec),
    /// An SSH key pair.
    SshKey(SshKeySpec),
    /// Values that stand in the generator itself.
    Fake(FakeSpec),
    /// A one-time password.
    Mfa(MfaSpec),
    /// What an endpoint answers.
    Webhook(Box<WebhookSettings>),
    /// A secret that Vault makes.
    VaultDynamicSecret(Box<VaultDynamicSecretSettings>),
    /// A password for the Elastic Container Registry.
    EcrAuthorizationToken(Box<EcrAuthorizationTokenSettings>),
    /// A token for the container registries of Google.
    GcrAccessToken(Box<GcrAccessTokenSettings>),
    /// A token for a container registry of Azure.
    AcrAccessToken(Box<AcrAccessTokenSettings>),
    /// Temporary credentials of AWS.
    StsSessionToken(Box<StsSessionTokenSettings>),
    /// A token of a GitHub App.
    GithubAccessToken(Box<GithubAccessTokenSettings>),
    /// A token of a robot account of Quay.
    QuayAccessToken(Box<QuayAccessTokenSettings>),
    /// A token of a service account of Grafana.
    Grafana(Box<GrafanaSettings>),
    /// A deploy token of GitLab.
    GitlabDeployToken(Box<GitlabDeployTokenSettings>),
    /// A kind that upstream has and this build has not. Its objects parse, and using one is a clear error.
    Other(&'static str),
}

impl Generator {
    /// Reads the specification of a generator of this kind.
    ///
    /// # Errors
    ///
    /// Says that there is no such kind, or that the specification cannot be read.
    pub fn parse(kind: &str, spec: Value) -> Result<Self, GeneratorError> {
        fn read<T: DeserializeOwned>(spec: Value) -> Result<T, GeneratorError> {
            // The text of the parser may quote the specification.
            T::deserialize(spec).map_err(|_| GeneratorError::Unreadable)
        }
        let known = KINDS.iter().find(|known| **known == kind);
        Ok(match kind {
            "Password" => Self::Password(read(spec)?),
            "UUID" => Self::Uuid(UuidSpec {}),
            "SSHKey" => Self::SshKey(read(spec)?),
            "Fake" => Self::Fake(read(spec)?),
            "MFA" => Self::Mfa(read(spec)?),
            "Webhook" => Self::Webhook(read(spec)?),
            "VaultDynamicSecret" => Self::VaultDynamicSecret(read(spec)?),
            "ECRAuthorizationToken" => Self::EcrAuthorizationToken(read(spec)?),
            "GCRAccessToken" => Self::GcrAccessToken(read(spec)?),
            "ACRAccessToken" => Self::AcrAccessToken(read(spec)?),
            "STSSessionToken" => Self::StsSessionToken(read(spec)?),
            "GithubAccessToken" => Self::GithubAccessToken(read(spec)?),
            "QuayAccessToken" => Self::QuayAccessToken(read(spec)?),
            "Grafana" => Self::Grafana(read(spec)?),
            "GitlabDeployToken" => Self::GitlabDeployToken(read(spec)?),
            _ => Self::Other(known.copied().ok_or(GeneratorError::NoKind)?),
        })
    }

    /// Reads the specification that a ClusterGenerator holds: its kind, and the generator.
    ///
    /// # Errors
    ///
    /// Says that the specification is not one of the kind that the object names.
    pub fn parse_cluster(spec: &Value) -> Result<(&str, Value), GeneratorError> {
        let kind = spec["kind"].as_str().ok_or(GeneratorError::Unreadable)?;
        let field = cluster_field(kind).ok_or(GeneratorError::NoKind)?;
        let held = spec["generator"].get(field);
        let held = held.filter(|held| !held.is_null());
        let held = held.ok_or(GeneratorError::OtherKind)?;
        Ok((kind, held.clone()))
    }

    /// The class of the controllers that may use it, if it names one.
    #[must_use]
    pub fn controller(&self) -> Option<&str> {
        match self {
            Self::Fake(spec) => spec.controller.as_deref(),
            Self::VaultDynamicSecret(settings) => settings.controller.as_deref(),
            _ => None,
        }
    }
}

/// What a generator makes.
pub type Values = BTreeMap<String, SecretBytes>;

/// Why a generator makes nothing. The text is public: it quotes nothing of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GeneratorError {
    /// The generator asks for what cannot be.
    #[error("the generator cannot be used: {0}")]
    Invalid(&'static str),
    /// There is no such kind.
    #[error("there is no such kind of generator")]
    NoKind,
    /// What it holds is not of the kind that it names.
    #[error("the generator does not hold the specification of its kind")]
    OtherKind,
    /// Its specification does not have the fields of its kind.
    #[error("the specification of the generator cannot be read")]
    Unreadable,
    /// A key could not be generated.
    #[error("cannot generate a key")]
    NoKey,
    /// The system gave no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_a_place_in_a_cluster_generator() {
        for kind in namespaced_kinds() {
            let field = cluster_field(kind).unwrap();
            let spec = json!({"kind": kind, "generator": {field: {"x": 1}}});
            assert_eq!(Generator::parse_cluster(&spec), Ok((kind, json!({"x": 1}))));
        }
        let wrong = json!({"kind": "UUID", "generator": {"fakeSpec": {}}});
        assert_eq!(
            Generator::parse_cluster(&wrong),
            Err(GeneratorError::OtherKind)
        );
    }

    #[test]
    fn kinds_that_this_build_has_not_parse() {
        for kind in [
            "CloudsmithAccessToken",
            "BeyondtrustWorkloadCredentialsDynamicSecret",
        ] {
            let parsed = Generator::parse(kind, json!({"any": "thing"}));
            assert_eq!(parsed, Ok(Generator::Other(kind)));
        }
        assert_eq!(
            Generator::parse("Pod", json!({})),
            Err(GeneratorError::NoKind)
        );
        assert_eq!(
            Generator::parse("Fake", json!({"data": 1})),
            Err(GeneratorError::Unreadable)
        );
    }

    #[test]
    fn a_generator_names_the_class_of_its_controllers() {
        let fake = Generator::parse("Fake", json!({"controller": "other", "data": {}})).unwrap();
        assert_eq!(fake.controller(), Some("other"));
        assert_eq!(
            Generator::parse("UUID", json!({})).unwrap().controller(),
            None
        );
    }
}

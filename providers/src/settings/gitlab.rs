//! Settings of GitLab variables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaProvider, Needs, SecretKeySelector};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// Variables of CI/CD in GitLab (`provider.gitlab`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GitlabSettings {
    /// The address of GitLab; <https://gitlab.com/> when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How to sign in.
    pub auth: GitlabAuth,
    /// The project whose variables are read.
    #[serde(rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Whether variables of the project's groups count, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit_from_groups: Option<bool>,
    /// Groups whose variables count, the last one first.
    #[serde(rename = "groupIDs", skip_serializing_if = "Vec::is_empty")]
    pub group_ids: Vec<String>,
    /// The environment whose variables are meant; those for all environments stand in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Certificates of authorities, in PEM or base64 of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Where certificates of authorities lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

/// How to sign in to GitLab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GitlabAuth {
    /// A token.
    #[serde(rename = "SecretRef")]
    pub secret_ref: GitlabSecretRef,
}

/// A token of GitLab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GitlabSecretRef {
    /// Where it lies.
    pub access_token: SecretKeySelector,
}

impl GitlabSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        needs.secret(TOKEN_FIELD, Some(&self.auth.secret_ref.access_token));
        needs.authority("caProvider", self.ca_provider.as_ref());
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: &str| Err(StoreError::invalid(text).public());
        let has_project = self
            .project_id
            .as_deref()
            .is_some_and(|project| !project.is_empty());
        if !has_project && self.group_ids.is_empty() {
            return invalid("`projectID` and `groupIDs` must not both be empty");
        }
        if self.inherit_from_groups == Some(true) && !self.group_ids.is_empty() {
            return invalid("`inheritFromGroups` and `groupIDs` cannot both be set");
        }
        if self.auth.secret_ref.access_token.name.is_none() {
            return invalid("`auth.SecretRef.accessToken` is required");
        }
        super::check_authority(scope, "caProvider", self.ca_provider.as_ref())?;
        super::check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

/// The field that names the token.
pub(crate) const TOKEN_FIELD: &str = "auth.SecretRef.accessToken";

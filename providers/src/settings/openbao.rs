//! The settings of OpenBao (`provider.openBao`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vault::{KvVersion, VaultAppRole, VaultUserPassAuth, check_bundle, invalid, kubernetes};
use super::{CaProvider, Needs, SecretKeySelector, ServiceAccountSelector};
use super::{check_authority, check_needs};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// The KV engine of an OpenBao (`provider.openBao`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoSettings {
    /// How to sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<OpenBaoAuth>,
    /// The address of the server.
    pub server: String,
    /// The mount path of the engine; `kv` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version of the engine.
    #[serde(default)]
    pub version: KvVersion,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The certificates of the server's authorities: base64 of PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Where these certificates lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

/// How to sign in to OpenBao: exactly one method is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenBaoAuth {
    /// The namespace for signing in, when it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// An AppRole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_role: Option<VaultAppRole>,
    /// A user with a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<VaultUserPassAuth>,
    /// A Kubernetes service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<OpenBaoKubernetesAuth>,
}

/// Signs in to OpenBao with the token of a service account: exactly one of the two references is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoKubernetesAuth {
    /// The mount path of the method.
    #[serde(default = "kubernetes")]
    pub path: String,
    /// The role.
    #[schemars(length(min = 1))]
    pub role: String,
    /// The service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// A token that lies in a Secret; its key is `token` when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
}

impl OpenBaoSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        if let Some(auth) = &self.auth {
            needs.secret("auth.tokenSecretRef", auth.token_secret_ref.as_ref());
            if let Some(role) = &auth.app_role {
                role.needs(&mut needs);
            }
            if let Some(auth) = &auth.user_pass {
                needs.secret("auth.userPass.secretRef", Some(&auth.secret_ref));
            }
            if let Some(auth) = &auth.kubernetes {
                let account = auth.service_account_ref.as_ref();
                needs.service_account("auth.kubernetes.serviceAccountRef", account);
                needs.secret("auth.kubernetes.secretRef", auth.secret_ref.as_ref());
            }
        }
        needs.authority("caProvider", self.ca_provider.as_ref());
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        if self.ca_bundle.is_some() && self.ca_provider.is_some() {
            return invalid("caBundle and caProvider cannot both be set");
        }
        check_authority(scope, "caProvider", self.ca_provider.as_ref())?;
        check_bundle(self.ca_bundle.as_deref())?;
        if let Some(auth) = &self.auth {
            let given = [
                auth.token_secret_ref.is_some(),
                auth.app_role.is_some(),
                auth.user_pass.is_some(),
                auth.kubernetes.is_some(),
            ];
            if given.iter().filter(|given| **given).count() != 1 {
                return invalid(
                    "`auth` must have exactly one of appRole, tokenSecretRef, userPass, kubernetes",
                );
            }
            if let Some(role) = &auth.app_role {
                role.check()?;
                if role.role_id.is_some() && role.role_ref.is_some() {
                    return invalid("`auth.appRole` must have one of roleId and roleRef, not both");
                }
            }
            if let Some(kubernetes) = &auth.kubernetes {
                if kubernetes.role.is_empty() {
                    return invalid("`auth.kubernetes.role` is empty");
                }
                if kubernetes.service_account_ref.is_some() == kubernetes.secret_ref.is_some() {
                    return invalid(
                        "`auth.kubernetes` must have exactly one of serviceAccountRef, secretRef",
                    );
                }
            }
        }
        check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

//! Settings of HashiCorp Vault and of OpenBao.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaProvider, Needs, SecretKeySelector, ServiceAccountSelector};
use super::{check_authority, check_needs};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// The version of a KV engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KvVersion {
    /// Values without versions.
    V1,
    /// Values with versions and metadata.
    #[default]
    V2,
}

/// The KV engine of a HashiCorp Vault (`provider.vault`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultSettings {
    /// How to sign in; without it requests carry no token, for an agent that adds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<VaultAuth>,
    /// The address of the server.
    pub server: String,
    /// The mount path of the engine, such as `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version of the engine.
    #[serde(default)]
    pub version: KvVersion,
    /// The namespace (`X-Vault-Namespace`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The certificates of the server's authorities: base64 of PEM. They stand in the place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Where these certificates lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
    /// A client certificate for the connection.
    #[serde(default)]
    pub tls: VaultTls,
    /// Sends back the state of the last write (`X-Vault-Index`), so that a read sees it.
    #[serde(default)]
    pub read_your_writes: bool,
    /// Has the active node answer what the asked one has not seen yet; counts with `readYourWrites` only.
    #[serde(default)]
    pub forward_inconsistent: bool,
    /// Headers for every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// How pushes guard against other writers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_and_set: Option<CheckAndSet>,
}

/// How pushes guard against other writers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CheckAndSet {
    /// Whether each write names the version that it replaces.
    pub required: bool,
}

/// A client certificate: both parts or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VaultTls {
    /// The certificate; its key is `tls.crt` when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretKeySelector>,
    /// The private key; its key is `tls.key` when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKeySelector>,
}

/// How to sign in; the first of the methods that is set counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VaultAuth {
    /// The namespace for signing in, when it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// An AppRole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_role: Option<VaultAppRole>,
    /// A Kubernetes service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<VaultKubernetesAuth>,
    /// A user of an LDAP directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ldap: Option<VaultLdapAuth>,
    /// A JSON Web Token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<VaultJwtAuth>,
    /// A client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<VaultCertAuth>,
    /// AWS credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam: Option<VaultIamAuth>,
    /// A user with a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<VaultUserPassAuth>,
    /// Google credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<VaultGcpAuth>,
}

/// Signs in with an AppRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultAppRole {
    /// The mount path of the method.
    #[serde(default = "approle")]
    pub path: String,
    /// The id of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_id: Option<String>,
    /// Where the id of the role lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_ref: Option<SecretKeySelector>,
    /// The secret id.
    pub secret_ref: SecretKeySelector,
}

/// Signs in with the token of a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultKubernetesAuth {
    /// The mount path of the method.
    #[serde(default = "kubernetes")]
    pub mount_path: String,
    /// The role.
    pub role: String,
    /// The service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// A token that lies in a Secret; its key is `token` when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
}

/// Signs in as a user of an LDAP directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultLdapAuth {
    /// The mount path of the method.
    #[serde(default = "ldap")]
    pub path: String,
    /// The user.
    pub username: String,
    /// The password.
    #[serde(default)]
    pub secret_ref: SecretKeySelector,
}

/// Signs in with a JSON Web Token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultJwtAuth {
    /// The mount path of the method.
    #[serde(default = "jwt")]
    pub path: String,
    /// The role; the server has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// A token that lies in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
    /// A token that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_service_account_token: Option<VaultJwtServiceAccount>,
}

/// A token of a service account for the JWT method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultJwtServiceAccount {
    /// The service account.
    pub service_account_ref: ServiceAccountSelector,
    /// Whom the token is for; `vault` when the list is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    /// How long it lives; ten minutes when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

/// Signs in with a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VaultCertAuth {
    /// The mount path of the method; `cert` when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_role: Option<String>,
    /// The certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<SecretKeySelector>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
}

/// Signs in with AWS credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultIamAuth {
    /// The mount path of the method; `aws` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The region; `us-east-1` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A role that is assumed before.
    #[serde(default, rename = "role", skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<String>,
    /// The role in Vault.
    pub vault_role: String,
    /// The external id for that role.
    #[serde(
        default,
        rename = "externalID",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_id: Option<String>,
    /// The value of the header `X-Vault-AWS-IAM-Server-ID`.
    #[serde(
        default,
        rename = "vaultAwsIamServerID",
        skip_serializing_if = "Option::is_none"
    )]
    pub server_id: Option<String>,
    /// Static keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<super::aws::AwsStaticKeys>,
    /// A service account that may assume a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<super::aws::AwsJwtAuth>,
}

/// Signs in as a user with a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultUserPassAuth {
    /// The mount path of the method.
    #[serde(default = "userpass")]
    pub path: String,
    /// The user.
    pub username: String,
    /// The password.
    #[serde(default)]
    pub secret_ref: SecretKeySelector,
}

/// Signs in with Google credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultGcpAuth {
    /// The mount path of the method.
    #[serde(default = "gcp")]
    pub path: String,
    /// The role in Vault.
    pub role: String,
    /// The project.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The key of a Google service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<GcpSecretRef>,
    /// Workload identity of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<GcpWorkloadIdentity>,
    /// A Kubernetes service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// The key of a Google service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcpSecretRef {
    /// Where it lies: a JSON file of credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_secret_ref: Option<SecretKeySelector>,
}

/// Workload identity of a Google cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpWorkloadIdentity {
    /// The service account.
    pub service_account_ref: ServiceAccountSelector,
    /// Where the cluster lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_location: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// Its project.
    #[serde(
        default,
        rename = "clusterProjectID",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_project_id: Option<String>,
}

fn approle() -> String {
    "approle".to_owned()
}

pub(super) fn kubernetes() -> String {
    "kubernetes".to_owned()
}

fn ldap() -> String {
    "ldap".to_owned()
}

fn jwt() -> String {
    "jwt".to_owned()
}

fn userpass() -> String {
    "userpass".to_owned()
}

fn gcp() -> String {
    "gcp".to_owned()
}

impl VaultSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        if let Some(auth) = &self.auth {
            auth.needs(&mut needs);
        }
        let tls = &self.tls;
        needs.secret("tls.certSecretRef", tls.cert_secret_ref.as_ref());
        needs.secret("tls.keySecretRef", tls.key_secret_ref.as_ref());
        needs.authority("caProvider", self.ca_provider.as_ref());
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        check_authority(scope, "caProvider", self.ca_provider.as_ref())?;
        check_bundle(self.ca_bundle.as_deref())?;
        if self.tls.cert_secret_ref.is_some() != self.tls.key_secret_ref.is_some() {
            return invalid("`tls` must have both certSecretRef and keySecretRef, or neither");
        }
        let guarded = self
            .check_and_set
            .as_ref()
            .is_some_and(|check| check.required);
        if guarded && self.version == KvVersion::V1 {
            return invalid("`checkAndSet` needs version v2 of the engine");
        }
        if let Some(auth) = &self.auth {
            if let Some(role) = &auth.app_role {
                role.check()?;
            }
            if let Some(jwt) = &auth.jwt {
                let given = [
                    jwt.secret_ref.is_some(),
                    jwt.kubernetes_service_account_token.is_some(),
                ];
                if given == [false, false] {
                    return invalid("`auth.jwt` needs secretRef or kubernetesServiceAccountToken");
                }
            }
        }
        check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

impl VaultAuth {
    fn needs(&self, needs: &mut Needs) {
        needs.secret("auth.tokenSecretRef", self.token_secret_ref.as_ref());
        if let Some(role) = &self.app_role {
            role.needs(needs);
        }
        if let Some(auth) = &self.kubernetes {
            let account = auth.service_account_ref.as_ref();
            needs.service_account("auth.kubernetes.serviceAccountRef", account);
            needs.secret("auth.kubernetes.secretRef", auth.secret_ref.as_ref());
        }
        if let Some(auth) = &self.ldap {
            needs.secret("auth.ldap.secretRef", Some(&auth.secret_ref));
        }
        if let Some(auth) = &self.jwt {
            needs.secret("auth.jwt.secretRef", auth.secret_ref.as_ref());
            if let Some(token) = &auth.kubernetes_service_account_token {
                needs.service_account(
                    "auth.jwt.kubernetesServiceAccountToken.serviceAccountRef",
                    Some(&token.service_account_ref),
                );
            }
        }
        if let Some(auth) = &self.cert {
            needs.secret("auth.cert.clientCert", auth.client_cert.as_ref());
            needs.secret("auth.cert.secretRef", auth.secret_ref.as_ref());
        }
        if let Some(auth) = &self.iam {
            super::aws::needs_of_keys(
                needs,
                "auth.iam.secretRef",
                auth.secret_ref.as_ref(),
                auth.jwt.as_ref(),
            );
        }
        if let Some(auth) = &self.user_pass {
            needs.secret("auth.userPass.secretRef", Some(&auth.secret_ref));
        }
        if let Some(auth) = &self.gcp {
            let key = auth.secret_ref.as_ref();
            needs.secret(
                "auth.gcp.secretRef.secretAccessKeySecretRef",
                key.and_then(|key| key.secret_access_key_secret_ref.as_ref()),
            );
            let identity = auth.workload_identity.as_ref();
            needs.service_account(
                "auth.gcp.workloadIdentity.serviceAccountRef",
                identity.map(|identity| &identity.service_account_ref),
            );
            let account = auth.service_account_ref.as_ref();
            needs.service_account("auth.gcp.serviceAccountRef", account);
        }
    }
}

impl VaultAppRole {
    pub(super) fn needs(&self, needs: &mut Needs) {
        needs.secret("auth.appRole.roleRef", self.role_ref.as_ref());
        needs.secret("auth.appRole.secretRef", Some(&self.secret_ref));
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let inline = self
            .role_id
            .as_deref()
            .is_some_and(|id| !id.trim().is_empty());
        if !inline && self.role_ref.is_none() {
            return invalid("`auth.appRole` needs roleId or roleRef");
        }
        Ok(())
    }
}

pub(super) fn check_bundle(bundle: Option<&str>) -> Result<(), StoreError> {
    match bundle.filter(|bundle| !bundle.is_empty()) {
        Some(bundle) => super::authority_bundle(bundle).map(drop),
        None => Ok(()),
    }
}

pub(super) fn invalid<T>(text: &str) -> Result<T, StoreError> {
    Err(StoreError::invalid(text).public())
}

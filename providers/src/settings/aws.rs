//! Settings of AWS Secrets Manager, Parameter Store and Certificate Manager.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Needs, SecretKeySelector, ServiceAccountSelector};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// A service of AWS that keeps secrets (`provider.aws`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsSettings {
    /// Which service.
    pub service: AwsService,
    /// How to sign in; without it the default chain of the program's surroundings counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// The role that is assumed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The region.
    pub region: String,
    /// Roles that are assumed before it, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_roles: Vec<String>,
    /// The external id for `role`.
    #[serde(
        default,
        rename = "externalID",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_id: Option<String>,
    /// Tags of the session of `role`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_tags: Vec<AwsTag>,
    /// Tags of the session that tell who asks, in the place of `sessionTags`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_tags_policy: Option<AwsSessionTagsPolicy>,
    /// More tags for the policy `Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_session_tags: Option<BTreeMap<String, String>>,
    /// Keys of tags that later sessions inherit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
    /// What deletions in Secrets Manager do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<AwsSecretsManager>,
    /// What stands before every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AwsService {
    /// Secrets Manager.
    SecretsManager,
    /// Parameter Store of Systems Manager.
    ParameterStore,
    /// Certificate Manager.
    CertificateManager,
}

/// How to sign in to AWS: if both are set, the service account counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsAuth {
    /// Static keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AwsStaticKeys>,
    /// A service account that may assume a role (IRSA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<AwsJwtAuth>,
}

/// Static keys of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsStaticKeys {
    /// The access key id.
    #[serde(
        rename = "accessKeyIDSecretRef",
        skip_serializing_if = "Option::is_none"
    )]
    pub access_key_id: Option<SecretKeySelector>,
    /// The secret access key.
    #[serde(
        rename = "secretAccessKeySecretRef",
        skip_serializing_if = "Option::is_none"
    )]
    pub secret_access_key: Option<SecretKeySelector>,
    /// The session token of temporary keys.
    #[serde(
        rename = "sessionTokenSecretRef",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_token: Option<SecretKeySelector>,
}

/// A service account that may assume a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsJwtAuth {
    /// The service account; its annotation `eks.amazonaws.com/role-arn` names the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// A tag of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwsTag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Which tags a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AwsSessionTagsPolicy {
    /// Those of `sessionTags`.
    #[default]
    None,
    /// Namespace of the consumer, name and kind of the store.
    Simple,
    /// The same and those of `customSessionTags`.
    Custom,
}

/// What deletions in Secrets Manager do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsSecretsManager {
    /// Deletes at once and for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_delete_without_recovery: Option<bool>,
    /// For how many days a deleted secret can be restored: 7 to 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_window_in_days: Option<i64>,
}

impl AwsSecretsManager {
    /// For how many days a deleted secret can be restored, where that is said: 0 says nothing, as upstream has it.
    pub(crate) fn recovery_window(&self) -> Option<i64> {
        self.recovery_window_in_days.filter(|days| *days != 0)
    }
}

/// Keys of session tags that the program sets by itself.
pub const RESERVED_SESSION_TAGS: [&str; 3] = ["esoNamespace", "esoStoreName", "esoStoreKind"];

impl AwsSettings {
    /// Settings of which only how to sign in counts.
    #[cfg(feature = "aws")]
    pub(crate) fn to_sign_in(auth: AwsAuth, role: Option<String>, region: String) -> Self {
        Self {
            service: AwsService::SecretsManager,
            auth: Some(auth),
            role,
            region,
            additional_roles: Vec::new(),
            external_id: None,
            session_tags: Vec::new(),
            session_tags_policy: None,
            custom_session_tags: None,
            transitive_tag_keys: Vec::new(),
            secrets_manager: None,
            prefix: None,
        }
    }

    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        if let Some(auth) = &self.auth {
            needs_of_keys(
                &mut needs,
                "auth.secretRef",
                auth.secret_ref.as_ref(),
                auth.jwt.as_ref(),
            );
        }
        needs
    }

    /// Returns true if a cluster-wide store looks for its credentials in the namespace of its consumer.
    #[cfg(feature = "aws")]
    pub(crate) fn depends_on_consumer(&self) -> bool {
        let needs = self.needs().finish();
        needs
            .iter()
            .any(crate::credential::Need::depends_on_consumer)
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: &str| Err(StoreError::invalid(text).public());
        let region = self.region.as_bytes();
        let is_region = !region.is_empty()
            && region.len() <= 63
            && region
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if !is_region {
            return invalid("`region` is no name of a region");
        }
        if let Some(settings) = &self.secrets_manager {
            let force = settings.force_delete_without_recovery == Some(true);
            if force && settings.recovery_window().is_some() {
                return invalid(
                    "forceDeleteWithoutRecovery and recoveryWindowInDays cannot both be set",
                );
            }
            if settings
                .recovery_window()
                .is_some_and(|days| !(7..=30).contains(&days))
            {
                return invalid("`recoveryWindowInDays` must be between 7 and 30");
            }
        }
        if let Some(tags) = &self.custom_session_tags
            && tags
                .keys()
                .any(|key| RESERVED_SESSION_TAGS.contains(&key.as_str()))
        {
            return invalid(
                "`customSessionTags` may not name esoNamespace, esoStoreName or esoStoreKind",
            );
        }
        let keys = self.auth.as_ref().and_then(|auth| auth.secret_ref.as_ref());
        if keys.is_some_and(|keys| keys.access_key_id.is_none() || keys.secret_access_key.is_none())
        {
            return invalid(
                "`auth.secretRef` needs accessKeyIDSecretRef and secretAccessKeySecretRef",
            );
        }
        super::check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }
}

pub(super) fn needs_of_keys(
    needs: &mut Needs,
    field: &'static str,
    keys: Option<&AwsStaticKeys>,
    jwt: Option<&AwsJwtAuth>,
) {
    if let Some(keys) = keys {
        needs.secret(field, keys.access_key_id.as_ref());
        needs.secret(field, keys.secret_access_key.as_ref());
        needs.secret(field, keys.session_token.as_ref());
    }
    if let Some(jwt) = jwt {
        needs.service_account(
            "auth.jwt.serviceAccountRef",
            jwt.service_account_ref.as_ref(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_window_of_no_days_is_none() {
        let check = |manager: serde_json::Value| {
            let settings = serde_json::json!({
                "service": "SecretsManager", "region": "eu-central-1", "secretsManager": manager,
            });
            let settings: AwsSettings = serde_json::from_value(settings).unwrap();
            settings.check(&Scope::default()).is_ok()
        };
        for (days, alone, beside_force) in [
            (0, true, true),
            (7, true, false),
            (6, false, false),
            (-1, false, false),
        ] {
            let mut manager = serde_json::json!({"recoveryWindowInDays": days});
            assert_eq!(check(manager.clone()), alone, "{days}");
            manager["forceDeleteWithoutRecovery"] = true.into();
            assert_eq!(check(manager), beside_force, "{days}");
        }
    }
}

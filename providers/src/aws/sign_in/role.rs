//! The roles that are assumed, one after the other, and what the session of the last one says.

use crate::credential::Scope;
use crate::settings::aws::{AwsSessionTagsPolicy, AwsSettings};

/// A role that is assumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) transitive_tag_keys: Vec<String>,
}

/// The roles that the settings of a store name, the first to assume first.
pub(super) fn roles_of_store(settings: &AwsSettings, scope: &Scope) -> Vec<Role> {
    let plain = |arn: &String| Role {
        arn: arn.clone(),
        ..Role::default()
    };
    let mut roles: Vec<Role> = settings.additional_roles.iter().map(plain).collect();
    if let Some(arn) = settings.role.as_deref().filter(|arn| !arn.is_empty()) {
        let tags = session_tags(settings, scope);
        roles.push(Role {
            arn: arn.to_owned(),
            external_id: settings.external_id.clone().filter(|id| !id.is_empty()),
            session_name: None,
            transitive_tag_keys: match tags.is_empty() {
                true => Vec::new(),
                false => settings.transitive_tag_keys.clone(),
            },
            tags,
        });
    }
    roles
}

/// The tags of the last session: those of the settings, or who asks, as the policy says.
pub(super) fn session_tags(settings: &AwsSettings, scope: &Scope) -> Vec<(String, String)> {
    let policy = settings.session_tags_policy.unwrap_or_default();
    if policy == AwsSessionTagsPolicy::None {
        let tags = settings.session_tags.iter();
        return tags
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect();
    }
    let namespace = scope.consumer_namespace.clone().unwrap_or_default();
    let mut tags = vec![
        ("esoNamespace".to_owned(), namespace),
        ("esoStoreName".to_owned(), scope.name.clone()),
        ("esoStoreKind".to_owned(), scope.kind.name().to_owned()),
    ];
    if policy == AwsSessionTagsPolicy::Custom {
        let custom = settings.custom_session_tags.iter().flatten();
        tags.extend(custom.map(|(key, value)| (key.clone(), value.clone())));
    }
    tags.retain(|(key, value)| !key.is_empty() && !value.is_empty());
    tags
}

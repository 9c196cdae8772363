//! Whether an ExternalSecret or PushSecret may use a store.

use std::collections::BTreeMap;

use thiserror::Error;

use super::StoreKind;
use super::rewrite::go_regexp;
use super::status::{self, Condition};
use crate::label_selector;
use crate::secret_store::{StoreCondition, StoreSpec};

/// The label in which every namespace carries its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A namespace, as far as the conditions of stores look at it.
#[derive(Debug, Clone, Copy)]
pub struct NamespaceSeen<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// A store, as far as access to it is concerned.
#[derive(Debug, Clone, Copy)]
pub struct StoreSeen<'a> {
    /// Its kind.
    pub kind: StoreKind,
    /// Its spec.
    pub spec: &'a StoreSpec,
    /// The conditions of its status.
    pub conditions: &'a [Condition],
}

/// What the controller was started with.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Its class.
    pub class: &'a str,
    /// Whether a store must be ready.
    pub flood_gate: bool,
}

/// Why a store may not be used. The text is public: it says nothing that the object's author does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// There is none of that name.
    #[error("there is no {0} of that name")]
    Missing(&'static str),
    /// Another controller looks after it.
    #[error("the store belongs to another controller class")]
    ForeignClass,
    /// Its conditions leave the namespace out.
    #[error("the conditions of the ClusterSecretStore do not allow this namespace")]
    NotAllowed,
    /// Its conditions cannot be evaluated.
    #[error("the conditions of the ClusterSecretStore cannot be evaluated")]
    BadCondition,
    /// It has not been validated, or without success.
    #[error("the store is not ready")]
    NotReady,
}

/// Returns true if a controller of this class looks after the store.
#[must_use]
pub fn is_own_class(controller: Option<&str>, class: &str) -> bool {
    controller.is_none_or(|named| named.is_empty() || named == class)
}

/// Checks whether objects of a namespace may use a store.
///
/// # Errors
///
/// Says why not: class first, then the conditions, then its readiness.
pub fn check(
    store: &StoreSeen<'_>,
    namespace: &NamespaceSeen<'_>,
    rules: &Rules<'_>,
) -> Result<(), AccessError> {
    if !is_own_class(store.spec.controller.as_deref(), rules.class) {
        return Err(AccessError::ForeignClass);
    }
    // A SecretStore may carry conditions, which mean nothing (T47).
    if store.kind == StoreKind::ClusterSecretStore
        && !is_allowed(&store.spec.conditions, namespace)?
    {
        return Err(AccessError::NotAllowed);
    }
    if rules.flood_gate && !status::is_ready(store.conditions) {
        return Err(AccessError::NotReady);
    }
    Ok(())
}

/// Evaluates the conditions of a ClusterSecretStore: one member of one of them is enough, and none at all allow everything.
///
/// # Errors
///
/// Refuses a selector or an expression that cannot be evaluated, unless something before it allows the namespace.
pub fn is_allowed(
    conditions: &[StoreCondition],
    namespace: &NamespaceSeen<'_>,
) -> Result<bool, AccessError> {
    if conditions.is_empty() {
        return Ok(true);
    }
    for condition in conditions {
        if let Some(selector) = &condition.namespace_selector
            && label_selector::matches(selector, namespace.labels)
                .map_err(|_| AccessError::BadCondition)?
        {
            return Ok(true);
        }
        let own_name = namespace
            .labels
            .and_then(|labels| labels.get(NAMESPACE_NAME));
        if own_name.is_some_and(|name| condition.namespaces.contains(name)) {
            return Ok(true);
        }
        for expression in &condition.namespace_regexes {
            // They match anywhere in the name: `prod` allows `nonprod` too (T47).
            let expression = go_regexp(expression).ok_or(AccessError::BadCondition)?;
            if expression.is_match(namespace.name) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allowed(conditions: serde_json::Value, namespace: &str) -> Result<bool, AccessError> {
        let conditions: Vec<StoreCondition> = serde_json::from_value(conditions).unwrap();
        let labels = [
            (NAMESPACE_NAME.to_owned(), namespace.to_owned()),
            ("team".to_owned(), "red".to_owned()),
        ]
        .into();
        let namespace = NamespaceSeen {
            name: namespace,
            labels: Some(&labels),
        };
        is_allowed(&conditions, &namespace)
    }

    #[test]
    fn t47_one_member_of_one_condition_is_enough() {
        assert_eq!(allowed(json!([]), "a"), Ok(true));
        assert_eq!(allowed(json!([{}]), "a"), Ok(false));
        assert_eq!(allowed(json!([{"namespaces": ["b", "a"]}]), "a"), Ok(true));
        assert_eq!(
            allowed(
                json!([{"namespaces": ["b"]}, {"namespaceSelector": {"matchLabels": {"team": "red"}}}]),
                "a"
            ),
            Ok(true)
        );
        let prod = json!([{"namespaceRegexes": ["prod"]}]);
        assert_eq!(allowed(prod.clone(), "nonprod"), Ok(true));
        assert_eq!(allowed(prod, "dev"), Ok(false));
        assert_eq!(
            allowed(json!([{"namespaceRegexes": ["(["]}]), "a"),
            Err(AccessError::BadCondition)
        );
        assert_eq!(
            allowed(
                json!([{"namespaces": ["a"], "namespaceRegexes": ["(["]}]),
                "a"
            ),
            Ok(true)
        );
    }

    #[test]
    fn class_conditions_and_readiness_are_checked_in_this_order() {
        let spec: StoreSpec = serde_json::from_value(json!({
            "controller": "mine", "provider": {"fake": {"data": []}},
            "conditions": [{"namespaces": ["other"]}],
        }))
        .unwrap();
        let namespace = NamespaceSeen {
            name: "a",
            labels: None,
        };
        let with = |kind, class, flood_gate| {
            let store = StoreSeen {
                kind,
                spec: &spec,
                conditions: &[],
            };
            check(&store, &namespace, &Rules { class, flood_gate })
        };
        use StoreKind::{ClusterSecretStore, SecretStore};
        assert_eq!(
            with(ClusterSecretStore, "default", true),
            Err(AccessError::ForeignClass)
        );
        assert_eq!(
            with(ClusterSecretStore, "mine", true),
            Err(AccessError::NotAllowed)
        );
        assert_eq!(with(SecretStore, "mine", true), Err(AccessError::NotReady));
        assert_eq!(with(SecretStore, "mine", false), Ok(()));
    }
}

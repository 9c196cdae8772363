//! Label selectors, as Kubernetes matches them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use thiserror::Error;

/// A selector that Kubernetes would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a label selector has an operator or values that do not fit")]
pub struct InvalidSelector;

/// Returns true if the labels match; an empty selector matches everything.
///
/// # Errors
///
/// Refuses an unknown operator, and values that do not fit their operator.
pub fn matches(
    selector: &LabelSelector,
    labels: Option<&BTreeMap<String, String>>,
) -> Result<bool, InvalidSelector> {
    let value = |key: &str| labels.and_then(|labels| labels.get(key));
    let mut all = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, wanted)| value(key) == Some(wanted));
    for requirement in selector.match_expressions.iter().flatten() {
        let values = requirement.values.as_deref().unwrap_or_default();
        let found = value(&requirement.key);
        let contained = found.is_some_and(|found| values.contains(found));
        all &= match (requirement.operator.as_str(), values.is_empty()) {
            ("In", false) => contained,
            ("NotIn", false) => !contained,
            ("Exists", true) => found.is_some(),
            ("DoesNotExist", true) => found.is_none(),
            _ => return Err(InvalidSelector),
        };
    }
    Ok(all)
}

/// Returns true if the selector asks for nothing, and so would match everything.
#[must_use]
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector
        .match_labels
        .as_ref()
        .is_none_or(BTreeMap::is_empty)
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(selector: serde_json::Value) -> Result<bool, InvalidSelector> {
        let labels = [("team".to_owned(), "red".to_owned())].into();
        matches(&serde_json::from_value(selector).unwrap(), Some(&labels))
    }

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let expression = |operator: &str, key: &str, values: &[&str]| {
            check(
                json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}),
            )
        };
        assert_eq!(check(json!({})), Ok(true));
        assert_eq!(check(json!({"matchLabels": {"team": "red"}})), Ok(true));
        assert_eq!(check(json!({"matchLabels": {"team": "blue"}})), Ok(false));
        assert_eq!(expression("In", "team", &["blue", "red"]), Ok(true));
        assert_eq!(expression("In", "tier", &["gold"]), Ok(false));
        assert_eq!(expression("NotIn", "tier", &["gold"]), Ok(true));
        assert_eq!(expression("NotIn", "team", &["red"]), Ok(false));
        assert_eq!(expression("Exists", "team", &[]), Ok(true));
        assert_eq!(expression("DoesNotExist", "team", &[]), Ok(false));
        for (operator, values) in [("In", &[][..]), ("Exists", &["x"]), ("Equals", &["x"])] {
            assert_eq!(expression(operator, "team", values), Err(InvalidSelector));
        }
    }
}

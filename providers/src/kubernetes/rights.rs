//! What a store may read in a namespace, as the API server says it.

use sealwright_crypto::secret::SecretWriter;

use super::connection::{ApiServer, Reply};
use crate::json::{Html, Json, write_text};
use crate::outcome::StoreError;

/// Returns true if this store may read Secrets of a namespace.
pub(super) async fn may_get_secrets(api: &ApiServer, namespace: &str) -> Result<bool, StoreError> {
    let mut body = SecretWriter::default();
    body.push(
        br#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"secrets","namespace":"#,
    );
    write_text(namespace.as_bytes(), Html::Plain, &mut body);
    body.push(b"}}}");
    let path = [
        "apis",
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
    ];
    let Reply::Object(answer) = api.post(&path, body.finish()).await? else {
        return Ok(false);
    };
    let answer = Json::parse(answer.expose()).ok();
    let allowed = answer
        .and_then(|answer| answer.member("status"))
        .and_then(|status| status.member("allowed"));
    Ok(allowed.is_some_and(Json::is_true))
}

/// Whether the rules of a namespace let this store read Secrets.
pub(super) async fn rules_allow_get(api: &ApiServer, namespace: &str) -> Result<bool, StoreError> {
    let mut body = SecretWriter::default();
    body.push(
        br#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"#,
    );
    write_text(namespace.as_bytes(), Html::Plain, &mut body);
    body.push(b"}}");
    let path = [
        "apis",
        "authorization.k8s.io",
        "v1",
        "selfsubjectrulesreviews",
    ];
    let Reply::Object(answer) = api.post(&path, body.finish()).await? else {
        return Ok(false);
    };
    let Ok(answer) = Json::parse(answer.expose()) else {
        return Ok(false);
    };
    Ok(allows_get(answer))
}

/// Returns true if a rule of a review lets Secrets be read: those of the core group, which a rule without groups means too.
fn allows_get(review: Json<'_>) -> bool {
    let holds = |rule: Json<'_>, field: &str, wanted: &str| {
        rule.member(field)
            .into_iter()
            .flat_map(Json::elements)
            .filter_map(Json::string)
            .any(|item| item.expose() == wanted || item.expose() == "*")
    };
    let has_no_groups = |rule: Json<'_>| {
        let groups = rule.member("apiGroups");
        groups.is_none_or(|groups| groups.elements().next().is_none())
    };
    let rules = review
        .member("status")
        .and_then(|status| status.member("resourceRules"));
    rules.into_iter().flat_map(Json::elements).any(|rule| {
        holds(rule, "resources", "secrets")
            && holds(rule, "verbs", "get")
            && (has_no_groups(rule) || holds(rule, "apiGroups", ""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_other_groups_say_nothing_about_secrets() {
        for (rule, expected) in [
            (
                r#""apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]"#,
                true,
            ),
            (
                r#""apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]"#,
                true,
            ),
            (
                r#""apiGroups": [], "resources": ["secrets"], "verbs": ["get"]"#,
                true,
            ),
            (
                r#""apiGroups": null, "resources": ["secrets"], "verbs": ["get"]"#,
                true,
            ),
            (
                r#""resources": ["secrets"], "verbs": ["list", "get"]"#,
                true,
            ),
            (
                r#""apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]"#,
                false,
            ),
            (
                r#""apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]"#,
                false,
            ),
        ] {
            let review = format!(r#"{{"status": {{"resourceRules": [{{{rule}}}]}}}}"#);
            let review = Json::parse(review.as_bytes()).unwrap();
            assert_eq!(allows_get(review), expected, "{rule}");
        }
        assert!(!allows_get(Json::parse(b"{}").unwrap()));
    }
}

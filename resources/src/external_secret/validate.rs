//! What an ExternalSecret must not ask for.
//!
//! Upstream checks these rules in an admission webhook, and most of them nowhere else. Here they are a
//! ValidatingAdmissionPolicy of the chart, and the command line checks them. What the policy lets through, and what was there
//! before it, does in the controller what it does upstream without its webhook; only Secrets that would give their author more
//! rights are never written, whatever made them privileged.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thiserror::Error;

use super::render::Part;
use super::template_spec::TargetTemplate;
use super::{CreationPolicy, DeletionPolicy, ExternalSecretSpec};

const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const BOOTSTRAP_TYPE: &str = "bootstrap.kubernetes.io/token";
const ACCOUNT_ANNOTATION: &str = "kubernetes.io/service-account.name";

/// A Secret that would give its author more rights than the author has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// The API server would fill it with a token of a service account.
    #[error("a Secret of type kubernetes.io/service-account-token must not name a service account")]
    ServiceAccountToken,
    /// It would let nodes join the cluster.
    #[error("a Secret of type bootstrap.kubernetes.io/token is not allowed")]
    BootstrapToken,
}

/// Checks a template before it is used.
///
/// # Errors
///
/// Refuses what could only end in a privileged Secret.
pub fn check_template(template: &TargetTemplate) -> Result<(), PrivilegeError> {
    match template.kind.as_deref() {
        Some(BOOTSTRAP_TYPE) => Err(PrivilegeError::BootstrapToken),
        Some(TOKEN_TYPE) => {
            let named = template
                .metadata
                .annotations
                .contains_key(ACCOUNT_ANNOTATION);
            let may_be_named = template
                .template_from
                .iter()
                .any(|from| Part::of(from.target.as_deref()) == Some(Part::Annotations));
            match named || may_be_named {
                true => Err(PrivilegeError::ServiceAccountToken),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Checks a Secret as it would be written.
///
/// # Errors
///
/// Refuses a privileged Secret, however it came to be one.
pub fn check_secret(kind: Option<&str>, metadata: &ObjectMeta) -> Result<(), PrivilegeError> {
    let bound = || {
        let annotations: Option<&BTreeMap<_, _>> = metadata.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.contains_key(ACCOUNT_ANNOTATION))
    };
    match kind {
        Some(BOOTSTRAP_TYPE) => Err(PrivilegeError::BootstrapToken),
        Some(TOKEN_TYPE) if bound() => Err(PrivilegeError::ServiceAccountToken),
        _ => Ok(()),
    }
}

/// Every rule of upstream's webhook that a spec breaks, in words.
#[must_use]
pub fn problems(spec: &ExternalSecretSpec) -> Vec<String> {
    let mut problems = Vec::new();
    let mut found = |problem: &str| problems.push(problem.to_owned());
    let target = &spec.target;
    let creates_none = matches!(
        target.creation_policy,
        CreationPolicy::Merge | CreationPolicy::None | CreationPolicy::CreateOrMerge
    );
    if target.deletion_policy == DeletionPolicy::Delete && creates_none {
        found("spec.target: deletionPolicy Delete needs a creationPolicy that owns the Secret");
    }
    if target.deletion_policy == DeletionPolicy::Merge
        && target.creation_policy == CreationPolicy::None
    {
        found("spec.target: deletionPolicy Merge does not go with creationPolicy None");
    }
    if spec.data.is_empty() && spec.data_from.is_empty() {
        found("spec: either data or dataFrom is needed");
    }
    for (index, entry) in spec.data_from.iter().enumerate() {
        let generator = entry
            .source_ref
            .as_ref()
            .and_then(|source| source.generator_ref.as_ref());
        let named = [
            entry.extract.is_some(),
            entry.find.is_some(),
            generator.is_some(),
        ];
        match named.iter().filter(|named| **named).count() {
            0 if entry.source_ref.is_none() => {
                found(&format!(
                    "spec.dataFrom[{index}]: one of extract, find and sourceRef is needed"
                ));
            }
            0 | 1 => {}
            _ => found(&format!(
                "spec.dataFrom[{index}]: only one of extract, find and a generator is possible"
            )),
        }
        let empty_source = entry
            .source_ref
            .as_ref()
            .is_some_and(|source| source.store_ref.is_none() && source.generator_ref.is_none());
        if empty_source {
            found(&format!(
                "spec.dataFrom[{index}].sourceRef: a store or a generator is needed"
            ));
        }
    }
    if target.deletion_policy == DeletionPolicy::Retain {
        let mut seen = std::collections::BTreeSet::new();
        for (index, entry) in spec.data.iter().enumerate() {
            if !seen.insert(&entry.secret_key) {
                found(&format!(
                    "spec.data[{index}]: the secretKey is there already"
                ));
            }
        }
    }
    if let Some(template) = &target.template {
        if let Err(error) = check_template(template) {
            found(&format!("spec.target.template: {error}"));
        }
        let is_secret = target
            .manifest
            .as_ref()
            .is_none_or(|manifest| manifest.api_version == "v1" && manifest.kind == "Secret");
        for (index, from) in template.template_from.iter().enumerate() {
            if is_secret && Part::of(from.target.as_deref()).is_none() {
                found(&format!(
                    "spec.target.template.templateFrom[{index}].target: a Secret has only Data, Labels and Annotations"
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn count(spec: serde_json::Value) -> usize {
        problems(&serde_json::from_value(spec).unwrap()).len()
    }

    #[test]
    fn every_rule_of_the_webhook_is_checked() {
        let entry = json!([{"secretKey": "k", "remoteRef": {"key": "a"}}]);
        assert_eq!(count(json!({"data": entry})), 0);
        assert_eq!(count(json!({})), 1);
        for creation in ["Merge", "None", "CreateOrMerge", "Owner", "Orphan"] {
            let target = json!({"creationPolicy": creation, "deletionPolicy": "Delete"});
            let bad = !matches!(creation, "Owner" | "Orphan");
            assert_eq!(
                count(json!({"data": entry, "target": target})),
                usize::from(bad)
            );
        }
        assert_eq!(
            count(json!({"data": entry,
                "target": {"creationPolicy": "None", "deletionPolicy": "Merge"}})),
            1
        );
        assert_eq!(count(json!({"dataFrom": [{}]})), 1);
        assert_eq!(count(json!({"dataFrom": [{"sourceRef": {}}]})), 1);
        assert_eq!(
            count(json!({"dataFrom": [{"extract": {"key": "a"}, "find": {}}]})),
            1
        );
        let twice = json!([
            {"secretKey": "k", "remoteRef": {"key": "a"}},
            {"secretKey": "k", "remoteRef": {"key": "b"}},
        ]);
        assert_eq!(count(json!({"data": twice})), 1);
        assert_eq!(
            count(json!({"data": twice, "target": {"deletionPolicy": "Merge"}})),
            0
        );
        let from = |target: &str| {
            json!({"data": entry, "target": {"template":
            {"templateFrom": [{"literal": "a: b", "target": target}]}}})
        };
        assert_eq!(count(from("annotations")), 0);
        assert_eq!(count(from("spec.x")), 1);
    }

    #[test]
    fn privileged_secrets_are_refused_in_templates_and_at_the_end() {
        let template = |value| serde_json::from_value::<TargetTemplate>(value).unwrap();
        let bound = json!({"type": TOKEN_TYPE,
            "metadata": {"annotations": {ACCOUNT_ANNOTATION: "x"}}});
        assert_eq!(
            check_template(&template(bound)),
            Err(PrivilegeError::ServiceAccountToken)
        );
        let from = json!({"type": TOKEN_TYPE,
            "templateFrom": [{"literal": "a: b", "target": "ANNOTATIONS"}]});
        assert_eq!(
            check_template(&template(from)),
            Err(PrivilegeError::ServiceAccountToken)
        );
        assert_eq!(
            check_template(&template(json!({"type": BOOTSTRAP_TYPE}))),
            Err(PrivilegeError::BootstrapToken)
        );
        assert_eq!(
            check_template(&template(json!({"type": TOKEN_TYPE}))),
            Ok(())
        );
        let metadata = ObjectMeta {
            annotations: Some([(ACCOUNT_ANNOTATION.to_owned(), "x".to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(
            check_secret(Some(TOKEN_TYPE), &metadata),
            Err(PrivilegeError::ServiceAccountToken)
        );
        assert_eq!(check_secret(Some("Opaque"), &metadata), Ok(()));
    }
}

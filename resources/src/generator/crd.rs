//! The CustomResourceDefinitions of generators.

use serde_json::{Value, json};

use super::cluster::ClusterGenerator;
use super::fake::Fake;
use super::mfa::Mfa;
use super::password::Password;
use super::remote::{
    AcrAccessToken, EcrAuthorizationToken, GcrAccessToken, GithubAccessToken, GitlabDeployToken,
    Grafana, QuayAccessToken, StsSessionToken, VaultDynamicSecret, Webhook,
};
use super::ssh_key::SshKey;
use super::state::GeneratorState;
use super::uuid::Uuid;
use super::{GROUP, plural};
use crate::definition::Definition;

/// The definitions of all kinds of generators, in the order of their names.
#[must_use]
pub fn custom_resource_definitions() -> Vec<Value> {
    let finished = |definition: Definition| {
        definition
            .required_spec(false)
            .status_subresource(true)
            .finish()
    };
    vec![
        finished(with(
            Definition::of::<AcrAccessToken>(),
            "/properties/spec",
            ACR,
        )),
        other("BeyondtrustWorkloadCredentialsDynamicSecret"),
        other("CloudsmithAccessToken"),
        finished(CHOICES.iter().fold(
            Definition::of::<ClusterGenerator>(),
            |definition, (choice, rules)| {
                let choice = format!("/properties/spec/properties/generator/properties/{choice}");
                with(definition, &choice, rules)
            },
        )),
        finished(Definition::of::<EcrAuthorizationToken>()),
        finished(Definition::of::<Fake>()),
        finished(with(
            Definition::of::<GcrAccessToken>(),
            "/properties/spec",
            GCR,
        )),
        Definition::of::<GeneratorState>()
            .required_spec(false)
            .status_subresource(false)
            .finish(),
        finished(Definition::of::<GithubAccessToken>()),
        finished(with(
            Definition::of::<GitlabDeployToken>(),
            "/properties/spec",
            GITLAB,
        )),
        finished(Definition::of::<Grafana>()),
        finished(Definition::of::<Mfa>()),
        finished(Definition::of::<Password>()),
        finished(Definition::of::<QuayAccessToken>()),
        finished(Definition::of::<SshKey>()),
        finished(Definition::of::<StsSessionToken>()),
        finished(Definition::of::<Uuid>()),
        finished(with(
            Definition::of::<VaultDynamicSecret>(),
            "/properties/spec",
            VAULT,
        )),
        finished(with(
            Definition::of::<Webhook>(),
            "/properties/spec",
            WEBHOOK,
        )),
    ]
}

/// By their places in the specification of a generator: parts of schemas. What is empty is taken out.
type Rules = &'static [(&'static str, &'static str)];

const ACR: Rules = &[("properties/environmentType/default", r#""PublicCloud""#)];

const GCR: Rules = &[(
    "properties/auth/properties/workloadIdentity/required",
    r#"["clusterLocation", "clusterName", "serviceAccountRef"]"#,
)];

const GITLAB: Rules = &[(
    "x-kubernetes-validations",
    r#"[{"message": "exactly one of projectID or groupID must be set", "rule": "has(self.projectID) != has(self.groupID)"}]"#,
)];

const VAULT: Rules = &[
    (
        "properties/provider/properties/caBundle/format",
        r#""byte""#,
    ),
    (
        "properties/provider/properties/auth/properties/cert/properties/path/default",
        r#""cert""#,
    ),
];

const WEBHOOK: Rules = &[
    ("required", r#"["result", "url"]"#),
    ("properties/auth/maxProperties", "1"),
    ("properties/auth/minProperties", "1"),
    ("properties/caBundle/format", r#""byte""#),
    // A generator reads the Secrets of the namespace that it makes values for.
    (
        "properties/secrets/items/properties/secretRef/properties/namespace",
        "",
    ),
];

/// The generators that a ClusterGenerator can hold and that have rules.
const CHOICES: &[(&str, Rules)] = &[
    ("acrAccessTokenSpec", ACR),
    ("gcrAccessTokenSpec", GCR),
    ("gitlabDeployTokenSpec", GITLAB),
    ("vaultDynamicSecretSpec", VAULT),
    ("webhookSpec", WEBHOOK),
];

fn with(definition: Definition, spec: &str, rules: Rules) -> Definition {
    rules.iter().fold(definition, |definition, (place, value)| {
        let place = format!("{spec}/{place}");
        if value.is_empty() {
            return definition.leave_out(&place);
        }
        let value = serde_json::from_str(value).expect("the rules are JSON");
        definition.put(&place, value)
    })
}

/// The definition of a kind that this build only knows by its name.
fn other(kind: &str) -> Value {
    let plural = plural(kind);
    let text = |description: &str| json!({"description": description, "type": "string"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            "labels": {"external-secrets.io/component": "controller"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "categories": ["external-secrets", "external-secrets-generators"],
                "kind": kind,
                "plural": plural,
                "shortNames": [],
                "singular": kind.to_ascii_lowercase(),
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "description": format!("{kind} is stored, and this build has no such generator."),
                    "type": "object",
                    "properties": {
                        "apiVersion": text("Group and version of the object."),
                        "kind": text("The kind of the object."),
                        "metadata": {"type": "object"},
                        "spec": {
                            "description": "The settings, as upstream has them.",
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": true,
                        },
                    },
                }},
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::KINDS;
    use super::*;

    #[test]
    fn there_is_a_definition_for_each_kind() {
        let definitions = custom_resource_definitions();
        for kind in KINDS {
            let mut all = definitions.iter();
            let found = all.find(|found| found["spec"]["names"]["kind"] == *kind);
            let found = found.unwrap_or_else(|| panic!("no definition of {kind}"));
            assert_eq!(found["spec"]["names"]["plural"], plural(kind));
        }
        for definition in definitions {
            let size = definition.to_string().len();
            assert!(size < 262_144, "{size}");
        }
    }
    /// Both as a kind of its own and in a ClusterGenerator.
    #[test]
    fn generators_ask_for_what_upstreams_ask_for() {
        let definitions = custom_resource_definitions();
        let spec = |kind: &str| {
            let mut all = definitions.iter();
            let found = all.find(|found| found["spec"]["names"]["kind"] == kind);
            let schema = &found.unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            &schema["properties"]["spec"]["properties"]
        };
        let choice = |name: &str| &spec("ClusterGenerator")["generator"]["properties"][name];
        for acr in [
            spec("ACRAccessToken"),
            &choice("acrAccessTokenSpec")["properties"],
        ] {
            assert_eq!(acr["environmentType"]["default"], "PublicCloud");
        }
        for gcr in [
            spec("GCRAccessToken"),
            &choice("gcrAccessTokenSpec")["properties"],
        ] {
            let auth = &gcr["auth"]["properties"];
            let required = json!(["clusterLocation", "clusterName", "serviceAccountRef"]);
            assert_eq!(auth["workloadIdentity"]["required"], required);
            let federation = &auth["workloadIdentityFederation"]["properties"];
            let email = &federation["gcpServiceAccountEmail"];
            assert_eq!(email["pattern"], r"^.*@.*\.iam\.gserviceaccount\.com$");
            let region = &federation["awsSecurityCredentials"]["properties"]["region"];
            assert_eq!(region["pattern"], "^[a-z0-9-]+$");
            assert_eq!(region["maxLength"], 50);
        }
        for webhook in [spec("Webhook"), &choice("webhookSpec")["properties"]] {
            let secret = &webhook["secrets"]["items"]["properties"]["secretRef"]["properties"];
            let names: Vec<&String> = secret.as_object().unwrap().keys().collect();
            assert_eq!(names, ["key", "name"]);
        }
    }
}

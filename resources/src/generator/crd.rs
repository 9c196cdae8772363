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
        finished(Definition::of::<AcrAccessToken>()),
        other("BeyondtrustWorkloadCredentialsDynamicSecret"),
        other("CloudsmithAccessToken"),
        finished(one_target(
            Definition::of::<ClusterGenerator>(),
            "/properties/spec/properties/generator/properties/gitlabDeployTokenSpec",
            "/properties/spec/properties/generator/properties/webhookSpec",
        )),
        finished(Definition::of::<EcrAuthorizationToken>()),
        finished(Definition::of::<Fake>()),
        finished(Definition::of::<GcrAccessToken>()),
        Definition::of::<GeneratorState>()
            .required_spec(false)
            .status_subresource(false)
            .finish(),
        finished(Definition::of::<GithubAccessToken>()),
        finished(Definition::of::<GitlabDeployToken>().put(
            "/properties/spec/x-kubernetes-validations",
            project_or_group(),
        )),
        finished(Definition::of::<Grafana>()),
        finished(Definition::of::<Mfa>()),
        finished(Definition::of::<Password>()),
        finished(Definition::of::<QuayAccessToken>()),
        finished(Definition::of::<SshKey>()),
        finished(Definition::of::<StsSessionToken>()),
        finished(Definition::of::<Uuid>()),
        finished(Definition::of::<VaultDynamicSecret>()),
        finished(
            Definition::of::<Webhook>().put("/properties/spec/required", json!(["result", "url"])),
        ),
    ]
}

fn one_target(definition: Definition, gitlab: &str, webhook: &str) -> Definition {
    definition
        .put(
            &format!("{gitlab}/x-kubernetes-validations"),
            project_or_group(),
        )
        .put(&format!("{webhook}/required"), json!(["result", "url"]))
}

fn project_or_group() -> Value {
    json!([{
        "message": "exactly one of projectID or groupID must be set",
        "rule": "has(self.projectID) != has(self.groupID)",
    }])
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
}

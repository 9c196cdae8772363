//! The kinds of objects that cases use.

use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

/// Group, version, kind, plural, and whether objects have a namespace.
const KINDS: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "Secret", "secrets", true),
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Event", "events", true),
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    (
        "external-secrets.io",
        "v1",
        "ExternalSecret",
        "externalsecrets",
        true,
    ),
    (
        "external-secrets.io",
        "v1",
        "SecretStore",
        "secretstores",
        true,
    ),
    (
        "external-secrets.io",
        "v1",
        "ClusterSecretStore",
        "clustersecretstores",
        false,
    ),
    (
        "external-secrets.io",
        "v1",
        "ClusterExternalSecret",
        "clusterexternalsecrets",
        false,
    ),
    (
        "external-secrets.io",
        "v1alpha1",
        "PushSecret",
        "pushsecrets",
        true,
    ),
    (
        "external-secrets.io",
        "v1alpha1",
        "ClusterPushSecret",
        "clusterpushsecrets",
        false,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "ClusterGenerator",
        "clustergenerators",
        false,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "Fake",
        "fakes",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "GeneratorState",
        "generatorstates",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "GithubAccessToken",
        "githubaccesstokens",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "GitlabDeployToken",
        "gitlabdeploytokens",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "Grafana",
        "grafanas",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "MFA",
        "mfas",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "Password",
        "passwords",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "QuayAccessToken",
        "quayaccesstokens",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "SSHKey",
        "sshkeys",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "UUID",
        "uuids",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "VaultDynamicSecret",
        "vaultdynamicsecrets",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "Webhook",
        "webhooks",
        true,
    ),
    (
        "generators.external-secrets.io",
        "v1alpha1",
        "CloudsmithAccessToken",
        "cloudsmithaccesstokens",
        true,
    ),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
        true,
    ),
];

/// A kind that the API server serves.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
}

impl Kind {
    /// Looks a kind up by its name alone.
    pub(crate) fn named(name: &str) -> Self {
        let found = KINDS.iter().find(|(_, _, kind, _, _)| *kind == name);
        Self::of(found.unwrap_or_else(|| panic!("no kind {name}")))
    }

    /// Looks the kind of an object up; none if the API server has no such version.
    pub(crate) fn of_object(object: &Value) -> Option<Self> {
        let version = object["apiVersion"].as_str().unwrap();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        KINDS
            .iter()
            .find(|kind| {
                (kind.0, kind.1, kind.2) == (group, version, object["kind"].as_str().unwrap())
            })
            .map(Self::of)
    }

    fn of((group, version, kind, plural, namespaced): &(&str, &str, &str, &str, bool)) -> Self {
        let kind = GroupVersionKind::gvk(group, version, kind);
        Self {
            resource: ApiResource::from_gvk_with_plural(&kind, plural),
            namespaced: *namespaced,
        }
    }

    pub(crate) fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        match self.namespaced {
            true => Api::namespaced_with(client.clone(), namespace, &self.resource),
            false => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// The path of all objects of the cluster.
    pub(crate) fn path(&self) -> String {
        let resource = &self.resource;
        match resource.group.as_str() {
            "" => format!("/api/{}/{}", resource.version, resource.plural),
            group => format!("/apis/{group}/{}/{}", resource.version, resource.plural),
        }
    }
}

//! Examines what a cluster contains of upstream's programs and of ours. Writes nothing, and reads only the metadata of Secrets.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::generator;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::program::{self, Workload};
use crate::cluster::{ClusterError, Lister, Listing};

/// Everything that was found in the cluster.
#[derive(Default)]
pub(super) struct Seen {
    /// The only namespace that was examined, if it was not the whole cluster.
    pub(super) only: Option<String>,
    pub(super) workloads: Vec<Workload>,
    /// The namespace and name of each Helm release that contains other Deployments.
    pub(super) other_releases: BTreeSet<(String, String)>,
    pub(super) services: Vec<Service>,
    pub(super) definitions: Vec<Definition>,
    /// The Secrets that hold sealing keys.
    pub(super) keys: Vec<Key>,
    pub(super) sealed_secrets: Vec<Object>,
    pub(super) external_secrets: Vec<Object>,
    pub(super) push_secrets: Vec<Object>,
    pub(super) cluster_external_secrets: Vec<Object>,
    pub(super) stores: Vec<Object>,
    /// The generators, each with its kind.
    pub(super) generators: Vec<(String, Object)>,
    pub(super) webhooks: Vec<Webhook>,
    /// The names of the Flux Kustomizations that decrypt with sops.
    pub(super) decrypting: Vec<String>,
    /// What could not be listed, and why.
    pub(super) hidden: Vec<(&'static str, String)>,
}

/// A CustomResourceDefinition of one of upstream's API groups.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) is_sealed_secrets: bool,
    pub(super) served: Vec<String>,
    /// The namespace and name of the Service that converts between versions.
    pub(super) converter: Option<(String, String)>,
    /// The Helm release that it belongs to.
    pub(super) release: Option<String>,
}

/// A Secret with a sealing key.
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) created: String,
    pub(super) is_active: bool,
}

/// A ValidatingWebhookConfiguration of the External Secrets Operator.
pub(super) struct Webhook {
    pub(super) name: String,
    /// Whether the API server refuses changes while the webhook does not answer.
    pub(super) blocks: bool,
    /// The namespace and name of the Service that should answer.
    pub(super) service: (String, String),
}

/// The relevant fields of an object of one of upstream's API groups.
#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
pub(super) struct Spec {
    /// For stores. Only the names of its fields matter.
    #[serde(default)]
    provider: BTreeMap<String, serde::de::IgnoredAny>,
    /// For a ClusterGenerator.
    #[serde(default)]
    pub(super) kind: String,
    /// For a SealedSecret: the field used before version 0.9.
    #[serde(default)]
    data: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Object {
    pub(super) fn place(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        match self.metadata.namespace.as_deref() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }

    /// Returns whether a condition is True, or `None` if the object does not have it.
    pub(super) fn is(&self, condition: &str) -> Option<bool> {
        let mut conditions = self.status.conditions.iter();
        let found = conditions.find(|one| one.kind == condition)?;
        Some(found.status == "True")
    }

    /// Returns the provider of a store.
    pub(super) fn provider(&self) -> &str {
        self.spec.provider.keys().next().map_or("", String::as_str)
    }

    /// Returns true if a SealedSecret has the field `spec.data`.
    pub(super) fn has_deprecated_data(&self) -> bool {
        self.spec.data.is_some()
    }

    /// Returns the field manager that applied the object as v1beta1, if any.
    pub(super) fn written_as_v1beta1(&self) -> Option<&str> {
        let mut entries = self.metadata.managed_fields.iter().flatten();
        let entry = entries.find(|entry| {
            entry.subresource.as_deref().unwrap_or_default().is_empty()
                && entry.api_version.as_deref() == Some("external-secrets.io/v1beta1")
        })?;
        Some(entry.manager.as_deref().unwrap_or("someone"))
    }
}

impl Seen {
    /// Examines the cluster, or one namespace of it.
    pub(super) async fn look(
        lister: &Lister,
        namespace: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let mut seen = Self {
            only: namespace.map(str::to_owned),
            ..Self::default()
        };
        let path = |group: &str, plural: &str| match namespace {
            Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
            None => format!("{group}/{plural}"),
        };
        let deployments: Vec<Deployment> = seen
            .list(lister, "Deployments", &path("/apis/apps/v1", "deployments"))
            .await?;
        for deployment in &deployments {
            match Workload::of(deployment) {
                Some(workload) => seen.workloads.push(workload),
                None => seen.other_releases.extend(program::release_of(deployment)),
            }
        }
        seen.services = seen
            .list(lister, "Services", &path("/api/v1", "services"))
            .await?;
        let definitions: Vec<CustomResourceDefinition> = seen
            .list(
                lister,
                "CustomResourceDefinitions",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            )
            .await?;
        seen.definitions = definitions.iter().filter_map(definition).collect();
        let webhooks: Vec<ValidatingWebhookConfiguration> = seen
            .list(
                lister,
                "ValidatingWebhookConfigurations",
                "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            )
            .await?;
        seen.webhooks = webhooks.iter().filter_map(webhook).collect();

        const KEY: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
        match lister
            .list_metadata(&path("/api/v1", "secrets"), KEY)
            .await?
        {
            Listing::All(keys) => {
                seen.keys = keys.into_iter().map(|key| key_of(key.metadata)).collect()
            }
            Listing::NoSuchKind => {}
            Listing::Forbidden(reason) => seen.hidden.push(("sealing keys", reason)),
        }
        seen.sealed_secrets = seen
            .list(
                lister,
                "SealedSecrets",
                &path("/apis/bitnami.com/v1alpha1", "sealedsecrets"),
            )
            .await?;
        let v1 = "/apis/external-secrets.io/v1";
        let v1alpha1 = "/apis/external-secrets.io/v1alpha1";
        seen.external_secrets = seen
            .list(lister, "ExternalSecrets", &path(v1, "externalsecrets"))
            .await?;
        seen.push_secrets = seen
            .list(lister, "PushSecrets", &path(v1alpha1, "pushsecrets"))
            .await?;
        seen.stores = seen
            .list(lister, "SecretStores", &path(v1, "secretstores"))
            .await?;
        if namespace.is_none() {
            let stores: Vec<Object> = seen
                .list(
                    lister,
                    "ClusterSecretStores",
                    &format!("{v1}/clustersecretstores"),
                )
                .await?;
            seen.stores.extend(stores);
            seen.cluster_external_secrets = seen
                .list(
                    lister,
                    "ClusterExternalSecrets",
                    &format!("{v1}/clusterexternalsecrets"),
                )
                .await?;
        }
        seen.look_at_generators(lister, &path).await?;
        let kustomizations: Vec<Value> = seen
            .list(
                lister,
                "Kustomizations",
                &path("/apis/kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
            )
            .await?;
        seen.decrypting = kustomizations
            .iter()
            .filter(|object| object["spec"]["decryption"]["provider"] == "sops")
            .map(|object| {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
                format!("{}/{}", text("namespace"), text("name"))
            })
            .collect();
        Ok(seen)
    }

    async fn look_at_generators(
        &mut self,
        lister: &Lister,
        path: &impl Fn(&str, &str) -> String,
    ) -> Result<(), ClusterError> {
        let group = format!("/apis/{}", generator::API_VERSION);
        // Most clusters have no generators, so kinds without a definition are not listed.
        let kinds: Vec<&str> = generator::KINDS
            .iter()
            .copied()
            .filter(|kind| {
                let name = format!("{}.{}", generator::plural(kind), generator::GROUP);
                let mut known = self.definitions.iter();
                known.any(|definition| definition.name == name)
            })
            .collect();
        for kind in kinds {
            let plural = generator::plural(kind);
            let collection = match kind == generator::CLUSTER_KIND {
                true => format!("{group}/{plural}"),
                false => path(&group, &plural),
            };
            let objects: Vec<Object> = self.list(lister, "generators", &collection).await?;
            for object in objects {
                let kind = match kind == generator::CLUSTER_KIND {
                    true => object.spec.kind.clone(),
                    false => kind.to_owned(),
                };
                self.generators.push((kind, object));
            }
        }
        Ok(())
    }

    /// Lists a collection. A kind that is not installed has no objects; one that may not be listed is recorded in `hidden`.
    async fn list<T: DeserializeOwned>(
        &mut self,
        lister: &Lister,
        what: &'static str,
        path: &str,
    ) -> Result<Vec<T>, ClusterError> {
        Ok(match lister.list_if_permitted(path).await? {
            Listing::All(objects) => objects,
            Listing::NoSuchKind => Vec::new(),
            Listing::Forbidden(reason) => {
                if self.hidden.iter().all(|(known, _)| *known != what) {
                    self.hidden.push((what, reason));
                }
                Vec::new()
            }
        })
    }

    /// Returns true if the Helm release of a Deployment also contains Deployments for which `is_of` is false.
    pub(super) fn is_shared(&self, one: &Workload, is_of: impl Fn(&Workload) -> bool) -> bool {
        let Some((namespace, release)) = one.record() else {
            return false;
        };
        let other = (namespace.to_owned(), release.to_owned());
        let mut workloads = self.workloads.iter();
        self.other_releases.contains(&other)
            || workloads.any(|one| one.record() == Some((namespace, release)) && !is_of(one))
    }

    fn is_hidden(&self, what: &str) -> bool {
        self.hidden.iter().any(|(hidden, _)| *hidden == what)
    }

    /// Returns true if every controller of the cluster was seen: all Deployments of all namespaces.
    pub(super) fn shows_all_controllers(&self) -> bool {
        self.only.is_none() && !self.is_hidden("Deployments")
    }

    /// Returns true if a Service exists and its backend runs. What could not be listed, or was not examined, counts as
    /// running.
    pub(super) fn answers(&self, (namespace, name): &(String, String)) -> bool {
        if self.only.as_ref().is_some_and(|only| only != namespace) {
            return true;
        }
        let is_hidden = |what| self.is_hidden(what);
        let service = self.services.iter().any(|service| {
            service.metadata.namespace.as_ref() == Some(namespace)
                && service.metadata.name.as_ref() == Some(name)
        });
        let runs = self.workloads.iter().any(|workload| {
            workload.component == program::Component::Webhook
                && workload.namespace == *namespace
                && workload.replicas > 0
        });
        (service || is_hidden("Services")) && (runs || is_hidden("Deployments"))
    }
}

fn definition(definition: &CustomResourceDefinition) -> Option<Definition> {
    let group = definition.spec.group.as_str();
    let is_sealed_secrets = group == "bitnami.com" && definition.spec.names.kind == "SealedSecret";
    let is_external = matches!(group, "external-secrets.io" | generator::GROUP);
    if !is_sealed_secrets && !is_external {
        return None;
    }
    let versions = definition.spec.versions.iter();
    let service = definition
        .spec
        .conversion
        .as_ref()
        .filter(|conversion| conversion.strategy == "Webhook")
        .and_then(|conversion| {
            conversion
                .webhook
                .as_ref()?
                .client_config
                .as_ref()?
                .service
                .as_ref()
        });
    Some(Definition {
        name: definition.metadata.name.clone().unwrap_or_default(),
        is_sealed_secrets,
        served: versions
            .filter(|version| version.served)
            .map(|version| version.name.clone())
            .collect(),
        converter: service.map(|service| (service.namespace.clone(), service.name.clone())),
        release: definition
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get("meta.helm.sh/release-name").cloned()),
    })
}

fn webhook(configuration: &ValidatingWebhookConfiguration) -> Option<Webhook> {
    let mut webhooks = configuration.webhooks.iter().flatten();
    let webhook = webhooks.find(|webhook| webhook.name.ends_with("external-secrets.io"))?;
    let service = webhook.client_config.service.as_ref()?;
    Some(Webhook {
        name: configuration.metadata.name.clone().unwrap_or_default(),
        blocks: webhook.failure_policy.as_deref() != Some("Ignore"),
        service: (service.namespace.clone(), service.name.clone()),
    })
}

fn key_of(metadata: ObjectMeta) -> Key {
    let label = |name: &str| metadata.labels.as_ref()?.get(name).cloned();
    Key {
        is_active: label("sealedsecrets.bitnami.com/sealed-secrets-key").as_deref()
            == Some("active"),
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        created: metadata
            .creation_timestamp
            .map(|time| time.0.to_string())
            .unwrap_or_default(),
    }
}

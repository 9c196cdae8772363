//! What a PushSecret pushes, and where to.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use sealwright_resources::external_secret::access::is_own_class;
use sealwright_resources::external_secret::{GeneratorRef, StoreKind};
use sealwright_resources::generator::state::PUSH_KEY;
use sealwright_resources::label_selector;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::push_secret::{API_VERSION, KIND, PushSecret};
use sealwright_resources::secret_store::Store;

use super::PushSecrets;
use crate::action;
use crate::api::ApiError;
use crate::frame::object::Key;
use crate::frame::secret_target;
use crate::frame::worker::aside;
use crate::generators::Asker;
use crate::stores::StoreId;

/// A Secret to push.
pub(super) enum Source {
    Here(Box<PlainSecret>),
    /// One of many: together they may be larger than the memory, so each is read when it is its turn.
    Named(String),
}

impl PushSecrets {
    /// The Secrets to push; an error says whether the Secret is gone for certain.
    pub(super) async fn sources(&self, object: &PushSecret) -> Result<Vec<Source>, bool> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let named = object.spec.selector.secret.as_ref();
        let named = named.and_then(|selector| selector.name.as_deref());
        if let Some(name) = named.filter(|name| !name.is_empty()) {
            return match secret_target::read(self.api(), &Key::new(namespace, name)).await {
                Ok(Some(secret)) => Ok(vec![Source::Here(Box::new(secret))]),
                Ok(None) => Err(true),
                Err(_) => Err(false),
            };
        }
        if let Some(reference) = &object.spec.selector.generator_ref {
            let generated = self.generated(object, reference).await.ok_or(false)?;
            return Ok(vec![Source::Here(Box::new(generated))]);
        }
        let selector = object.spec.selector.secret.as_ref();
        let labels = selector.and_then(|selector| selector.selector.as_ref());
        let labels = labels.ok_or(false)?;
        // An empty selector would push every Secret of the namespace.
        if label_selector::is_empty(labels) || label_selector::matches(labels, None).is_err() {
            return Err(false);
        }
        let names = self.selected(namespace, labels).await.map_err(|_| false)?;
        Ok(names.into_iter().map(Source::Named).collect())
    }

    /// The values of a generator, in the place of a Secret.
    async fn generated(
        &self,
        object: &PushSecret,
        reference: &GeneratorRef,
    ) -> Option<PlainSecret> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let generated = aside(self.generators.generate(reference, namespace)).await;
        let generated = match generated {
            Ok(answer) => answer.found()?,
            Err(error) => {
                tracing::warn!(namespace, name, error = %error, "cannot generate what a PushSecret pushes");
                return None;
            }
        };
        let asker = Asker {
            api_version: API_VERSION,
            kind: KIND,
            metadata: &object.metadata,
        };
        let entries = vec![(PUSH_KEY.to_owned(), generated.left)];
        if let Err(error) = self.generators.commit(&asker, entries).await {
            tracing::warn!(namespace, name, error = %error, "cannot record the state of a generator");
            return None;
        }
        let mut secret = PlainSecret::named(namespace, &reference.name);
        for (key, value) in generated.values {
            secret.insert(&key, value);
        }
        Some(secret)
    }

    async fn selected(
        &self,
        namespace: &str,
        labels: &LabelSelector,
    ) -> Result<Vec<String>, ApiError> {
        let mut names = Vec::new();
        let see = |metadata: ObjectMeta| {
            if label_selector::matches(labels, metadata.labels.as_ref()).unwrap_or(false) {
                names.extend(metadata.name);
            }
        };
        action::each_secret(self.api(), namespace, see).await?;
        Ok(names)
    }

    /// The stores of the spec, without those that are being deleted or belong to another class.
    pub(super) async fn resolve(
        &self,
        object: &PushSecret,
    ) -> Result<Vec<(StoreId, Arc<Store>)>, String> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let mut found: Vec<(StoreId, Arc<Store>)> = Vec::new();
        for reference in &object.spec.secret_store_refs {
            if let Some(selector) = &reference.label_selector {
                for (id, store) in self.stores.of_namespace(reference.kind, namespace) {
                    let selected = label_selector::matches(selector, Some(&store.labels));
                    if selected.map_err(|_| "could not convert labels".to_owned())? {
                        found.push((id, store));
                    }
                }
                continue;
            }
            if let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty()) {
                let kind = reference.kind;
                let id = StoreId {
                    kind,
                    namespace: match kind {
                        StoreKind::SecretStore => namespace.to_owned(),
                        StoreKind::ClusterSecretStore => String::new(),
                    },
                    name: name.to_owned(),
                };
                let kind = kind.as_str();
                let store = self.stores.find(&id).await.map_err(|error| {
                    format!("could not get {kind} {name:?}, {}", error.category())
                })?;
                let store = store.ok_or_else(|| {
                    format!("could not get {kind} {name:?}, {kind}.external-secrets.io {name:?} not found")
                })?;
                found.push((id, store));
                continue;
            }
            return Err("refStore Name must be provided".to_owned());
        }
        found.retain(|(_, store)| {
            !store.deleting && is_own_class(store.spec.controller.as_deref(), &self.class)
        });
        let mut known = std::collections::HashSet::new();
        found.retain(|(id, _)| known.insert(id.clone()));
        Ok(found)
    }
}

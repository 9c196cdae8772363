//! Values that are written to stores and deleted from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::fetch::Lane;
use sealwright_providers::outcome::StoreError;
use sealwright_providers::remote::{PushItem, PushSource};
use sealwright_providers::store::WriteMode;
use sealwright_resources::external_secret::access::{NamespaceSeen, StoreSeen};
use sealwright_resources::external_secret::render::Inputs;
use sealwright_resources::external_secret::values::Values;
use sealwright_resources::external_secret::{StoreKind, access, render};
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::push_secret::entries::{PushStore, entry_key, store_key};
use sealwright_resources::push_secret::{
    PushData, PushSecret, PushSecretStatus, SyncedPushSecrets, UpdatePolicy, entries,
};
use sealwright_resources::secret_store::Store;
use sealwright_template::Budget;

use super::super::template_sources::{self, SourcesError};
use super::PushSecrets;
use crate::action;
use crate::frame::kind::Allowance;
use crate::frame::object::Key;
use crate::frame::worker::aside;
use crate::room::Room;
use crate::stores::StoreId;

/// A push that failed. Its text is public.
pub(super) enum Failed {
    /// With this condition.
    Condition(String),
    /// Without one, as upstream does it for templates.
    Silent,
}

impl PushSecrets {
    pub(super) async fn push_all(
        &self,
        (key, object): (&Key, &Arc<PushSecret>),
        source: PlainSecret,
        stores: &[(StoreId, Arc<Store>)],
        synced: &mut SyncedPushSecrets,
        (allowance, budget): (&Allowance, &Budget),
    ) -> Result<(), Failed> {
        let within = (allowance, budget);
        let (values, mut about) = self.templated((key, object), source, within).await?;
        about.namespace = object.metadata.namespace.clone();
        let size: usize = values.values().map(|value| value.expose().len()).sum();
        let values = Arc::new(values);
        for (id, store) in stores {
            // A store that fails is in the record, too, with nothing in it.
            let pushed = synced.entry(store_key(id.kind, &id.name)).or_default();
            // To open a store may take as long as to write to it: it may have to sign in.
            let lane = wait(size, self.lane(object, id, store)).await;
            let lane = lane.map_err(Failed::Condition)?;
            let list = {
                let (object, budget) = (Arc::clone(object), budget.clone());
                let (id, store) = (id.clone(), Arc::clone(store));
                let values = Arc::clone(&values);
                move || entries::entries(&object.spec, &seen(&id, &store), &values, &budget)
            };
            let entries = self.frame.compute(key, allowance, list).await;
            let entries = entries.expect("the worker catches panics");
            let entries = entries.map_err(|error| Failed::Condition(error.to_string()))?;
            for entry in entries {
                let item = item_of(&entry.data);
                let keep = object.spec.update_policy == UpdatePolicy::IfNotExists;
                let unreached = |error: &StoreError| {
                    tracing::warn!(
                        namespace = object.metadata.namespace.as_deref().unwrap_or_default(),
                        name = object.metadata.name.as_deref().unwrap_or_default(),
                        error = %error,
                        "cannot push a value"
                    );
                    let detail = error.public_detail();
                    Failed::Condition(
                        detail
                            .unwrap_or("the store did not take a value")
                            .to_owned(),
                    )
                };
                // A key that does not exist is an error even if there is nothing to write.
                let keys = entry.visible_keys(&values);
                let keys = keys.map_err(|error| Failed::Condition(error.to_string()))?;
                let exists = keep
                    && wait(size, lane.exists(&item))
                        .await
                        .map_err(|error| unreached(&error))?;
                if !exists {
                    about.data = values_of(&keys, &values);
                    let written = wait(size, lane.push(&about, &item, WriteMode::Apply)).await;
                    written.map_err(|error| unreached(&error))?;
                }
                pushed.insert(entry_key(&entry.data), entry.data);
            }
        }
        Ok(())
    }

    /// The values of the Secret, with those of the template, and what stores may want to know of it.
    async fn templated(
        &self,
        (key, object): (&Key, &Arc<PushSecret>),
        mut source: PlainSecret,
        (allowance, budget): (&Allowance, &Budget),
    ) -> Result<(Values, PushSource), Failed> {
        let mut about = PushSource {
            secret_type: source.kind.take(),
            labels: source.metadata.labels.take().unwrap_or_default(),
            annotations: source.metadata.annotations.take().unwrap_or_default(),
            ..PushSource::default()
        };
        let namespace = source.namespace().to_owned();
        let mut values = source.into_values();
        if let Some(template) = &object.spec.template {
            let sources = template_sources::read(self.api(), &namespace, template).await;
            let sources = sources.map_err(|error| match error {
                SourcesError::Api(_) => Failed::Silent,
                SourcesError::TooLarge => Failed::Condition(error.to_string()),
            })?;
            let render = {
                let (object, budget) = (Arc::clone(object), budget.clone());
                let options = self.options.clone();
                move || {
                    let inputs = Inputs {
                        sources: &sources,
                        options: &options,
                        budget: &budget,
                    };
                    let template = object.spec.template.as_ref();
                    let output = template.map(|template| render::render(template, &values, inputs));
                    (output.transpose(), values)
                }
            };
            let rendered = self.frame.compute(key, allowance, render).await;
            let (output, read) = rendered.expect("the worker catches panics");
            let output = output.map_err(|error| {
                tracing::warn!(namespace = %namespace, name = object.metadata.name.as_deref().unwrap_or_default(), error = %error, "a template of a PushSecret fails");
                Failed::Silent
            })?;
            let output = output.unwrap_or_default();
            values = read;
            values.extend(output.data);
            about.secret_type = match output.kind {
                Some(kind) => Some(kind).filter(|kind| !kind.is_empty()),
                None => template.kind.clone(),
            };
            if output.replaces_labels {
                about.labels.clear();
            }
            if output.replaces_annotations {
                about.annotations.clear();
            }
            about.labels.extend(output.labels);
            about.annotations.extend(output.annotations);
        }
        let kind = about.secret_type.filter(|kind| !kind.is_empty());
        about.secret_type = Some(kind.unwrap_or_else(|| "Opaque".to_owned()));
        Ok((values, about))
    }

    /// Opens a store for a PushSecret; readiness does not matter.
    async fn lane(
        &self,
        object: &PushSecret,
        id: &StoreId,
        store: &Store,
    ) -> Result<Arc<Lane>, String> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let mut labels = None;
        if id.kind == StoreKind::ClusterSecretStore && !store.spec.conditions.is_empty() {
            let path = action::namespace(namespace);
            let metadata = self.api().get_metadata(&path).await;
            let metadata = metadata.and_then(|answer| action::metadata_of(&answer));
            labels = metadata
                .map_err(|error| error.category().to_owned())?
                .labels;
        }
        let store_seen = StoreSeen {
            kind: id.kind,
            spec: &store.spec,
            conditions: &store.status.conditions,
        };
        let namespace_seen = NamespaceSeen {
            name: namespace,
            labels: labels.as_ref(),
        };
        let rules = access::Rules {
            class: &self.class,
            flood_gate: false,
        };
        access::check(&store_seen, &namespace_seen, &rules).map_err(|error| error.to_string())?;
        let config = store.spec.provider.config();
        let config = config.map_err(|_| "the settings of the store cannot be read".to_owned())?;
        let opened = self.stores.open(id, store, &config, Some(namespace)).await;
        opened.map_err(|error| {
            let detail = error.public_detail();
            detail.unwrap_or("the store cannot be opened").to_owned()
        })
    }

    /// Deletes these entries from their stores; returns those that could not be deleted.
    pub(super) async fn delete_all(
        &self,
        object: &PushSecret,
        all: &SyncedPushSecrets,
    ) -> SyncedPushSecrets {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let mut left = SyncedPushSecrets::new();
        for (key, entries) in all {
            if entries.is_empty() {
                continue;
            }
            let (kind, name) = key.split_once('/').unwrap_or(("SecretStore", key));
            let id = match kind {
                "ClusterSecretStore" => StoreId {
                    kind: StoreKind::ClusterSecretStore,
                    namespace: String::new(),
                    name: name.to_owned(),
                },
                _ => StoreId {
                    kind: StoreKind::SecretStore,
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                },
            };
            let lane = match self.stores.find(&id).await {
                Ok(Some(store)) => aside(self.lane(object, &id, &store)).await,
                Ok(None) => Err("the store is gone".to_owned()),
                Err(error) => Err(error.category().to_owned()),
            };
            for (place, data) in entries {
                let deleted = match &lane {
                    Ok(lane) => {
                        let item = item_of(data);
                        aside(lane.delete(&item, WriteMode::Apply)).await.is_ok()
                    }
                    Err(_) => false,
                };
                if !deleted {
                    left.entry(key.clone())
                        .or_default()
                        .insert(place.clone(), data.clone());
                }
            }
        }
        left
    }
}

pub(super) fn seen<'a>(id: &'a StoreId, store: &'a Store) -> PushStore<'a> {
    PushStore {
        kind: id.kind,
        name: &id.name,
        labels: &store.labels,
    }
}

/// The values of an object that waits aside are held meanwhile, and many may wait.
const SMALL: usize = 16 * 1024;
/// How many bytes those may have together that are larger.
const MOST_HELD: usize = 8 << 20;

/// For the larger values that wait aside.
static ROOM: Room = Room::new(MOST_HELD);

/// Values that wait aside, and are not few.
struct Held(usize);

impl Held {
    /// Counts so many bytes, if there is room for them.
    fn hold(size: usize) -> Option<Self> {
        ROOM.take(size).then(|| Self(size))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        ROOM.give_back(self.0);
    }
}

/// Waits for a store, which may take long: without a worker, as long as there is room for the values meanwhile.
async fn wait<T>(size: usize, answer: impl Future<Output = T>) -> T {
    let held = (size > SMALL).then(|| Held::hold(size));
    match held {
        Some(None) => answer.await,
        None | Some(Some(_)) => aside(answer).await,
    }
}

fn item_of(data: &PushData) -> PushItem {
    PushItem {
        secret_key: data.matching.secret_key.clone(),
        remote_key: data.matching.remote_ref.remote_key.clone(),
        property: data.matching.remote_ref.property.clone(),
        metadata: data.metadata.clone(),
    }
}

/// The values of these keys, by the names under which an entry sees them.
fn values_of(keys: &BTreeMap<String, String>, values: &Values) -> Values {
    let keys = keys.iter();
    keys.filter_map(|(name, key)| {
        let value = values.get(key)?;
        Some((name.clone(), SecretBytes::copy_of(value.expose())))
    })
    .collect()
}

/// What was recorded before, with what was pushed meanwhile. What is known already stays as it was recorded.
pub(super) fn recorded(before: &PushSecretStatus, synced: SyncedPushSecrets) -> PushSecretStatus {
    let mut both = before.clone();
    for (store, all) in synced {
        let known = both.synced_push_secrets.entry(store).or_default();
        for (place, data) in all {
            known.entry(place).or_insert(data);
        }
    }
    both
}

/// What was pushed before and is not any more.
pub(super) fn difference(before: &SyncedPushSecrets, now: &SyncedPushSecrets) -> SyncedPushSecrets {
    let nothing = BTreeMap::new();
    let mut stale = SyncedPushSecrets::new();
    for (store, entries) in before {
        let kept = now.get(store).unwrap_or(&nothing);
        let gone: BTreeMap<String, PushData> = entries
            .iter()
            .filter(|(place, _)| !kept.contains_key(*place))
            .map(|(place, data)| (place.clone(), data.clone()))
            .collect();
        if !gone.is_empty() {
            stale.insert(store.clone(), gone);
        }
    }
    stale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_wait_aside_have_a_limit_together() {
        let held: Vec<Held> = (0..20).map_while(|_| Held::hold(1 << 20)).collect();
        assert_eq!(held.len(), 8);
        drop(held);
        assert!(Held::hold(MOST_HELD).is_some());
        assert!(Held::hold(MOST_HELD + 1).is_none());
    }
}

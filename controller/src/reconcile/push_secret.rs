//! PushSecrets: values of Secrets written to stores.
//!
//! The status is the record of what was pushed, by store and place: with the deletion policy Delete, what is in it and is pushed
//! no longer is deleted from its store. What could not be deleted stays in the record and is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use kube::Resource;
use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::fetch::Lane;
use sealwright_providers::remote::{PushItem, PushSource};
use sealwright_providers::store::WriteMode;
use sealwright_resources::external_secret::access::{self, NamespaceSeen, StoreSeen, is_own_class};
use sealwright_resources::external_secret::data::Values;
use sealwright_resources::external_secret::render::{self, Inputs, Options, Sources};
use sealwright_resources::external_secret::{GeneratorRef, StoreKind, hash, status};
use sealwright_resources::generator::state::PUSH_KEY;
use sealwright_resources::label_selector;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::push_secret::entries::{
    self, PushEntry, PushStore, converted_keys, entry_key, store_key,
};
use sealwright_resources::push_secret::refresh;
use sealwright_resources::push_secret::{
    API_VERSION, FINALIZER, KIND, PushData, PushDeletionPolicy, PushSecret, PushSecretStatus,
    SyncedPushSecrets, UpdatePolicy,
};
use sealwright_resources::secret_store::Store;
use sealwright_template::Budget;

use super::finalizer;
use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::AnyKind;
use crate::frame::dependents::Need;
use crate::frame::event::Event;
use crate::frame::kind::{
    Allowance, Attempt, Frame, Kind, LookedAt, Shared, Trouble, Watching, key_of,
};
use crate::frame::object::Key;
use crate::frame::read::Read;
use crate::frame::secret_target;
use crate::frame::tracked::{Digest, Tracked};
use crate::frame::verdict::{self, Verdict};
use crate::generators::{Asker, Generators};
use crate::stores::{Hold, StoreId, Stores, pushes_to};

/// The component of the events.
const COMPONENT: &str = "pushsecret";

/// The reconciler of PushSecrets.
pub(crate) struct PushSecrets {
    frame: Frame<Self>,
    class: String,
    options: Options,
    stores: Arc<Stores>,
    generators: Arc<Generators>,
}

/// What is remembered of a PushSecret.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    next: Option<Timestamp>,
}

/// What came of an attempt.
pub(crate) struct Outcome {
    status: Option<PushSecretStatus>,
    event: Option<(bool, &'static str, String)>,
    again: Option<Duration>,
    retry: bool,
}

impl Outcome {
    fn quiet(again: Option<Duration>) -> Self {
        Self {
            status: None,
            event: None,
            again,
            retry: false,
        }
    }
}

/// A Secret to push.
enum Source {
    Here(Box<PlainSecret>),
    /// One of many: together they may be larger than the memory, so each is read when it is its turn.
    Named(String),
}

/// A push that failed. Its text is public.
enum Failed {
    /// With this condition.
    Condition(String),
    /// Without one, as upstream does it for templates.
    Silent,
}

impl PushSecrets {
    pub(crate) fn new(
        shared: Shared,
        watching: Watching,
        class: String,
        options: Options,
        stores: Arc<Stores>,
        generators: Arc<Generators>,
    ) -> Self {
        Self {
            frame: Frame::new(shared, watching),
            class,
            options,
            stores,
            generators,
        }
    }

    fn api(&self) -> &Api {
        self.frame.api()
    }

    async fn work(&self, key: &Key, object: &Arc<PushSecret>) -> Attempt<Outcome> {
        let now = Timestamp::now();
        let deletes = object.spec.deletion_policy == PushDeletionPolicy::Delete;
        if deletes != finalizer::is_set(&object.metadata, FINALIZER) {
            // The watch shows the object again, and then it is worked on.
            let again = match finalizer::set::<PushSecret>(
                self.api(),
                key,
                &object.metadata,
                FINALIZER,
                deletes,
            )
            .await
            {
                Err(error) if !error.is_conflict() && !error.is_not_found() => {
                    self.trouble(key, Trouble::Fetch, &error);
                    Some(Duration::from_secs(5))
                }
                _ => None,
            };
            return done(Outcome::quiet(again));
        }
        if !refresh::should_push(object, now) {
            let next = refresh::next(object, now);
            let again = next.map(|next| {
                Duration::try_from(next.duration_since(now)).unwrap_or_default()
                    + Duration::from_secs(1)
            });
            return done(Outcome::quiet(again));
        }
        let before = object.status.clone().unwrap_or_default();
        if let Err(error) = entries::check_stores(&object.spec) {
            return self.failed(before, error.to_string(), now);
        }
        let sources = match self.sources(object).await {
            Ok(sources) => sources,
            Err(gone) => {
                let synced = before
                    .synced_push_secrets
                    .values()
                    .any(|all| !all.is_empty());
                if gone && deletes && synced {
                    return self.source_deleted(object, before, now).await;
                }
                return self.failed(before, refresh::NO_SOURCE.to_owned(), now);
            }
        };
        let stores = match self.resolve(object) {
            Ok(stores) => stores,
            Err(text) => return self.failed(before, text, now),
        };
        if stores.is_empty() {
            return done(Outcome::quiet(None));
        }
        let seen: Vec<PushStore<'_>> = stores.iter().map(|(id, store)| seen(id, store)).collect();
        if let Err(error) = entries::check_selectors(&object.spec, &seen) {
            return self.failed(before, error.to_string(), now);
        }
        let mut synced = SyncedPushSecrets::new();
        let allowance = self.frame.allowance(key);
        let budget = Budget::new(allowance.limits);
        // Labels that select nothing any more delete nothing: upstream
        // deletes what a Secret no longer has, and there is none.
        let deletes = deletes && !sources.is_empty();
        for source in sources {
            let source = match source {
                Source::Here(secret) => *secret,
                Source::Named(name) => {
                    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
                    match secret_target::read(self.api(), &Key::new(namespace, &name)).await {
                        Ok(Some(secret)) => secret,
                        Ok(None) => continue,
                        Err(_) => {
                            let both = recorded(&before, synced);
                            return self.failed(both, refresh::NO_SOURCE.to_owned(), now);
                        }
                    }
                }
            };
            let within = (&allowance, &budget);
            let pushed = self
                .push_all((key, object), source, &stores, &mut synced, within)
                .await;
            if allowance.is_partial && budget.is_exceeded() {
                // What came of it counts for nothing then.
                self.frame.queue.slow_down(key);
            }
            match pushed {
                Ok(()) => {}
                Err(Failed::Silent) => {
                    return Attempt {
                        ended: Err(LookedAt::default()),
                        outcome: Outcome {
                            retry: true,
                            ..Outcome::quiet(None)
                        },
                    };
                }
                Err(Failed::Condition(text)) => {
                    let both = recorded(&before, synced);
                    let text = status::message(refresh::NOT_PUSHED, Some(&text));
                    return self.failed(both, text, now);
                }
            }
        }
        if deletes {
            let stale = difference(&before.synced_push_secrets, &synced);
            let left = self.delete_all(object, &stale).await;
            if !left.is_empty() {
                let mut both = before.clone();
                both.synced_push_secrets = synced;
                for (store, all) in left {
                    both.synced_push_secrets
                        .entry(store)
                        .or_default()
                        .extend(all);
                }
                return self.failed(both, refresh::not_deleted(), now);
            }
        }
        let message = match object.spec.update_policy {
            UpdatePolicy::Replace => refresh::SYNCED_MESSAGE,
            UpdatePolicy::IfNotExists => refresh::KEPT_MESSAGE,
        };
        let mut next = before;
        next.synced_push_secrets = synced;
        next.synced_resource_version = Some(hash::synced_version(&object.metadata));
        next.refresh_time = Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now)));
        refresh::set_ready(&mut next, true, refresh::SYNCED, message, now);
        let again = Duration::try_from(refresh::interval(object)).unwrap_or_default();
        done(Outcome {
            status: Some(next),
            event: Some((false, refresh::SYNCED, message.to_owned())),
            again: Some(again).filter(|again| !again.is_zero()),
            retry: false,
        })
    }

    fn failed(
        &self,
        mut next: PushSecretStatus,
        message: String,
        now: Timestamp,
    ) -> Attempt<Outcome> {
        refresh::set_ready(&mut next, false, refresh::ERRORED, &message, now);
        Attempt {
            ended: Err(LookedAt::default()),
            outcome: Outcome {
                status: Some(next),
                event: Some((true, refresh::ERRORED, message)),
                again: None,
                retry: true,
            },
        }
    }

    /// The Secrets to push; an error says whether the Secret is gone for certain.
    async fn sources(&self, object: &PushSecret) -> Result<Vec<Source>, bool> {
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
        let generated = match self.generators.generate(reference, namespace).await {
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
        let all = action::secrets_metadata(self.api(), namespace).await?;
        let matching = all.into_iter().filter(|metadata| {
            label_selector::matches(labels, metadata.labels.as_ref()).unwrap_or(false)
        });
        Ok(matching.filter_map(|metadata| metadata.name).collect())
    }

    /// The stores of the spec, without those that are being deleted or belong to another class.
    fn resolve(&self, object: &PushSecret) -> Result<Vec<(StoreId, Arc<Store>)>, String> {
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
                let store = self.stores.get(&id).ok_or_else(|| {
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

    async fn push_all(
        &self,
        (key, object): (&Key, &Arc<PushSecret>),
        source: PlainSecret,
        stores: &[(StoreId, Arc<Store>)],
        synced: &mut SyncedPushSecrets,
        (allowance, budget): (&Allowance, &Budget),
    ) -> Result<(), Failed> {
        let within = (allowance, budget);
        let (values, mut about) = self.templated((key, object), source, within).await?;
        let values = Arc::new(values);
        for (id, store) in stores {
            // A store that fails is in the record, too, with nothing in it.
            let pushed = synced.entry(store_key(id.kind, &id.name)).or_default();
            let lane = self
                .lane(object, id, store)
                .await
                .map_err(Failed::Condition)?;
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
                let unreached = |error: &sealwright_providers::outcome::StoreError| {
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
                let exists = keep
                    && lane
                        .exists(&item)
                        .await
                        .map_err(|error| unreached(&error))?;
                if !exists {
                    about.data = limited(&entry, &values).map_err(Failed::Condition)?;
                    let written = lane.push(&about, &item, WriteMode::Apply).await;
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
            let mut sources = Sources::default();
            let (config_maps, secrets) = render::sources_of(template);
            for name in config_maps {
                let read = action::read_config_map(self.api(), &namespace, name).await;
                if let Some(data) = read.map_err(|_| Failed::Silent)? {
                    sources.config_maps.insert(name.to_owned(), data);
                }
            }
            for name in secrets {
                let read = secret_target::read(self.api(), &Key::new(&namespace, name)).await;
                if let Some(secret) = read.map_err(|_| Failed::Silent)? {
                    sources
                        .secrets
                        .insert(name.to_owned(), secret.into_values());
                }
            }
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
            about.secret_type = template.kind.clone();
            about.labels.extend(output.labels);
            about.annotations.extend(output.annotations);
        }
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
            let path = format!("/api/v1/namespaces/{namespace}");
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

    async fn source_deleted(
        &self,
        object: &PushSecret,
        before: PushSecretStatus,
        now: Timestamp,
    ) -> Attempt<Outcome> {
        let left = self.delete_all(object, &before.synced_push_secrets).await;
        let mut next = before;
        let all_gone = left.is_empty();
        next.synced_push_secrets = left;
        if !all_gone {
            let text = "the stores did not delete what was pushed";
            let text = status::message(refresh::NOT_CLEANED_UP, Some(text));
            return self.failed(next, text, now);
        }
        let message = refresh::SOURCE_DELETED_MESSAGE;
        refresh::set_ready(&mut next, false, refresh::SOURCE_DELETED, message, now);
        done(Outcome {
            status: Some(next),
            event: Some((false, refresh::SOURCE_DELETED, message.to_owned())),
            again: None,
            retry: false,
        })
    }

    /// Deletes these entries from their stores; returns those that could not be deleted.
    async fn delete_all(&self, object: &PushSecret, all: &SyncedPushSecrets) -> SyncedPushSecrets {
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
            let lane = match self.stores.get(&id) {
                Some(store) => self.lane(object, &id, &store).await,
                None => Err("the store is gone".to_owned()),
            };
            for (place, data) in entries {
                let deleted = match &lane {
                    Ok(lane) => lane.delete(&item_of(data), WriteMode::Apply).await.is_ok(),
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

    /// Says in the status of a PushSecret that is being deleted what it waits for.
    async fn report_left(&self, object: &PushSecret, left: SyncedPushSecrets) {
        let mut next = object.status.clone().unwrap_or_default();
        next.synced_push_secrets = left;
        let message = refresh::not_deleted();
        let now = Timestamp::now();
        refresh::set_ready(&mut next, false, refresh::ERRORED, &message, now);
        if object.status.as_ref() == Some(&next) {
            return;
        }
        let written =
            action::set_status::<PushSecret, _>(self.api(), &object.metadata, &next).await;
        if let Err(error) = written {
            self.trouble(&key_of(&object.metadata), Trouble::Status, &error);
        }
        let event = Event::about::<PushSecret>(
            COMPONENT,
            &object.metadata,
            true,
            refresh::ERRORED,
            message,
        );
        action::emit(self.api(), &self.frame.shared.recorder, &event).await;
    }

    /// Takes note of the stores that must not go before this object, and has the stores look at that.
    fn hold(&self, key: &Key, hold: Option<Hold>) {
        let Some(changed) = self.stores.pushers.set(key, hold) else {
            return;
        };
        let mut stores: Vec<StoreId> = changed
            .iter()
            .flatten()
            .flat_map(|hold| self.stores.held(Some((key, hold))))
            .collect();
        stores.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        stores.dedup();
        self.wake(&stores);
    }

    fn wake(&self, stores: &[StoreId]) {
        for id in stores {
            let key = Key::new(&id.namespace, &id.name);
            self.frame
                .shared
                .dependents
                .changed(pushes_to(id.kind), &key);
        }
    }
}

fn done(outcome: Outcome) -> Attempt<Outcome> {
    Attempt {
        ended: Ok(None),
        outcome,
    }
}

fn seen<'a>(id: &'a StoreId, store: &'a Store) -> PushStore<'a> {
    PushStore {
        kind: id.kind,
        name: &id.name,
        labels: &store.labels,
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

/// The values that an entry may push, by the keys that it sees.
fn limited(entry: &PushEntry, values: &Values) -> Result<Values, String> {
    let keys = converted_keys(values, entry.data.conversion_strategy);
    let wanted = entry
        .data
        .matching
        .secret_key
        .as_deref()
        .filter(|key| !key.is_empty());
    if let Some(wanted) = wanted
        && !keys.contains_key(wanted)
    {
        return Err(format!("secret key {wanted} does not exist"));
    }
    let kept = keys.into_iter().filter(|(_, original)| {
        entry
            .keys
            .as_ref()
            .is_none_or(|keys| keys.contains(original))
    });
    Ok(kept
        .map(|(key, original)| (key, SecretBytes::copy_of(values[&original].expose())))
        .collect())
}

/// What was recorded before, with what was pushed meanwhile. What is known already stays as it was recorded.
fn recorded(before: &PushSecretStatus, synced: SyncedPushSecrets) -> PushSecretStatus {
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
fn difference(before: &SyncedPushSecrets, now: &SyncedPushSecrets) -> SyncedPushSecrets {
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

impl Kind for PushSecrets {
    const NAME: &'static str = KIND;
    const PLURAL: &'static str = "PushSecrets";

    type Object = PushSecret;
    type Status = PushSecretStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &PushSecret) -> Digest {
        Digest::of_json(&[
            &serde_json::to_value(&object.spec).unwrap_or_default(),
            &object.metadata.labels,
            &object.metadata.annotations,
            &finalizer::is_set(&object.metadata, FINALIZER),
        ])
    }

    fn status(object: &PushSecret) -> Option<&PushSecretStatus> {
        object.status.as_ref()
    }

    fn needs(&self, object: &PushSecret) -> Vec<Need> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let stores = object.spec.secret_store_refs.iter().map(|reference| {
            let place = match reference.kind {
                StoreKind::SecretStore => namespace,
                StoreKind::ClusterSecretStore => "",
            };
            match reference.name.as_deref().filter(|name| !name.is_empty()) {
                Some(name) => Need::one(reference.kind.as_str(), place, name),
                None => Need::any(reference.kind.as_str(), place),
            }
        });
        stores.collect()
    }

    fn note(&self, read: &Read<PushSecret>, _extra: &mut Extra, _changed: bool) {
        let key = key_of(read.meta());
        let hold = match &read.0 {
            Ok(object) if object.spec.deletion_policy == PushDeletionPolicy::Delete => {
                let synced = object.status.as_ref();
                let synced = synced.map(|status| status.synced_push_secrets.keys());
                Some(Hold {
                    references: object.spec.secret_store_refs.clone(),
                    synced: synced.into_iter().flatten().cloned().collect(),
                })
            }
            Ok(_) => None,
            // What cannot be read now may have pushed before.
            Err(_) => return,
        };
        self.hold(&key, hold);
    }

    async fn beside(&self) {
        let pushers = &self.stores.pushers;
        pushers.set_complete(false);
        for scope in AnyKind::scopes(self) {
            AnyKind::listed(self, scope.as_deref()).await;
        }
        pushers.set_complete(true);
        self.wake(&self.stores.held(None));
        std::future::pending().await
    }

    async fn gone(&self, key: &Key) -> Option<Duration> {
        self.hold(key, None);
        None
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        let next = known.extra.next?;
        Some(Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default())
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &Arc<PushSecret>,
    ) -> Attempt<Outcome> {
        let attempt = self.work(key, object).await;
        let again = attempt.outcome.again;
        let next = again.and_then(|again| Timestamp::now().checked_add(again).ok());
        self.frame
            .index
            .update(key, known.uid(), |known| known.extra.next = next);
        attempt
    }

    fn unreadable(&self, fault: String) -> Outcome {
        let mut next = PushSecretStatus::default();
        let message = status::message(refresh::NOT_PUSHED, Some(&fault));
        refresh::set_ready(
            &mut next,
            false,
            refresh::ERRORED,
            &message,
            Timestamp::now(),
        );
        Outcome {
            event: Some((true, refresh::ERRORED, message)),
            ..Outcome::quiet(None)
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&PushSecretStatus>,
        outcome: &Outcome,
        _now: Timestamp,
    ) -> Option<PushSecretStatus> {
        let next = outcome.status.as_ref()?;
        (status != Some(next)).then(|| next.clone())
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let event = outcome.event.as_ref();
        let event = event.map(|(warning, reason, message)| {
            Event::about::<PushSecret>(COMPONENT, metadata, *warning, reason, message.clone())
        });
        event.into_iter().collect()
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        match outcome.retry {
            true => Some(verdict::pause(Verdict::TryAgain, failures, 5)),
            false => outcome.again,
        }
    }

    fn trouble(&self, key: &Key, trouble: Trouble, error: &ApiError) {
        tracing::warn!(kind = KIND, key = %key, error = %error, "the API server refuses ({trouble:?})");
    }

    async fn finalize(&self, key: &Key, object: &PushSecret) -> Option<Duration> {
        if !finalizer::is_set(&object.metadata, FINALIZER) {
            return None;
        }
        let synced = object
            .status
            .as_ref()
            .map(|status| status.synced_push_secrets.clone());
        let deletes = object.spec.deletion_policy == PushDeletionPolicy::Delete;
        if let Some(synced) = synced.filter(|_| deletes) {
            let left = self.delete_all(object, &synced).await;
            if !left.is_empty() {
                tracing::warn!(key = %key, "a PushSecret waits until what it pushed can be deleted");
                self.report_left(object, left).await;
                return Some(Duration::from_secs(15));
            }
        }
        match finalizer::set::<PushSecret>(self.api(), key, &object.metadata, FINALIZER, false)
            .await
        {
            Err(error) if !error.is_not_found() => {
                self.trouble(key, Trouble::Fetch, &error);
                Some(Duration::from_secs(5))
            }
            _ => None,
        }
    }
}

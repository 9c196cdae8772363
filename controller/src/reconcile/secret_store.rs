//! SecretStores and ClusterSecretStores: validated again and again, and opened for those who read from them.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use sealwright_providers::credential::{NeededObject, Scope};
use sealwright_providers::outcome::Trouble;
use sealwright_providers::store::{StoreConfig, Validation};
use sealwright_resources::external_secret::StoreKind;
use sealwright_resources::external_secret::access::is_own_class;
use sealwright_resources::external_secret::status::{self, READY};
use sealwright_resources::secret_store::{
    ClusterSecretStore, FINALIZER, IGNORE_MAINTENANCE_ANNOTATION, INVALID_PROVIDER_CONFIG,
    SecretStore, Store, StoreStatus, VALID, VALIDATION_UNKNOWN, refresh_interval,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::due::{after, until};
use super::finalizer;
use crate::action;
use crate::api::ApiError;
use crate::frame::dependents::Need;
use crate::frame::event::Event;
use crate::frame::kind::{
    Attempt, Frame, Kind, LookedAt, Shared, Trouble as FrameTrouble, Watching,
};
use crate::frame::object::Key;
use crate::frame::read::Read;
use crate::frame::tracked::{Digest, Tracked};
use crate::frame::verdict::{self, Verdict};
use crate::frame::worker::aside;
use crate::metrics::SyncedKind;
use crate::stores::{StoreId, Stores, pushes_to};

/// What differs between the two kinds of stores.
pub(crate) trait StoreObject:
    Resource<DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + DeserializeOwned
    + Into<Store>
    + Send
    + Sync
    + 'static
{
    /// The kind, as objects carry it.
    const NAME: &'static str;
    /// Several of them.
    const PLURAL: &'static str;
    /// The kind, as references name it.
    const KIND: StoreKind;
    /// The component of its events.
    const COMPONENT: &'static str;
    /// Its metrics.
    const METRICS: SyncedKind;

    /// Its status.
    fn status(&self) -> Option<&StoreStatus>;
}

impl StoreObject for SecretStore {
    const NAME: &'static str = "SecretStore";
    const PLURAL: &'static str = "SecretStores";
    const KIND: StoreKind = StoreKind::SecretStore;
    const COMPONENT: &'static str = "secret-store";
    const METRICS: SyncedKind = SyncedKind::SecretStore;

    fn status(&self) -> Option<&StoreStatus> {
        self.status.as_ref()
    }
}

impl StoreObject for ClusterSecretStore {
    const NAME: &'static str = "ClusterSecretStore";
    const PLURAL: &'static str = "ClusterSecretStores";
    const KIND: StoreKind = StoreKind::ClusterSecretStore;
    const COMPONENT: &'static str = "cluster-secret-store";
    const METRICS: SyncedKind = SyncedKind::ClusterSecretStore;

    fn status(&self) -> Option<&StoreStatus> {
        self.status.as_ref()
    }
}

/// What decides how stores are treated.
#[derive(Debug, Clone)]
pub(crate) struct StoreRules {
    /// The class of this controller.
    pub(crate) class: String,
    /// The time between two validations of a store that names none.
    pub(crate) interval: Duration,
}

/// The reconciler of one kind of stores.
pub(crate) struct StoreReconciler<K: StoreObject> {
    frame: Frame<Self>,
    rules: StoreRules,
    stores: Arc<Stores>,
    kind: PhantomData<K>,
}

/// What is remembered of a store.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    /// When it is validated again.
    next: Option<Timestamp>,
}

/// What came of a validation.
pub(crate) enum Outcome {
    /// Another controller looks after it.
    Foreign,
    /// It can be used.
    Valid {
        capabilities: &'static str,
        maintained: bool,
        again: Duration,
    },
    /// Nothing is known about it, and it may be used.
    Unknown { again: Duration },
    /// It cannot be used.
    Failed {
        message: &'static str,
        detail: Option<String>,
        /// It does not answer, which may pass.
        silent: bool,
    },
    /// It asks for something that cannot be done, which no condition tells: upstream writes none.
    Unstated { fault: String },
    /// Its finalizer was added or removed, and the watch shows it again; or that failed, and is tried again.
    Waits { failed: bool },
}

impl<K: StoreObject> StoreReconciler<K> {
    pub(crate) fn new(
        shared: Shared,
        watching: Watching,
        rules: StoreRules,
        stores: Arc<Stores>,
    ) -> Self {
        Self {
            frame: Frame::new(shared, watching),
            rules,
            stores,
            kind: PhantomData,
        }
    }

    fn id(key: &Key) -> StoreId {
        StoreId {
            kind: K::KIND,
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
        }
    }

    /// Keeps a store as long as a PushSecret would have to delete from it; returns true if its finalizer is as it should be.
    async fn keep(&self, key: &Key, object: &K) -> Result<bool, ApiError> {
        let metadata = object.meta();
        let nothing = BTreeMap::new();
        let labels = metadata.labels.as_ref().unwrap_or(&nothing);
        let pushers = &self.stores.pushers;
        let is_held = pushers.hold(&Self::id(key), labels);
        let is_right = match (is_held, finalizer::is_set(metadata, FINALIZER)) {
            (true, true) | (false, false) => true,
            // A store that is being deleted takes no finalizers any more.
            (true, false) => metadata.deletion_timestamp.is_some(),
            // As long as PushSecrets are unknown, one of them may hold the store.
            (false, true) => pushers.wait(&Self::id(key)).is_some(),
        };
        if is_right {
            return Ok(true);
        }
        let set = finalizer::set::<K>(self.frame.api(), key, metadata, FINALIZER, is_held);
        match set.await {
            Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error),
            _ => Ok(false),
        }
    }

    /// Tells the users of a store that is being deleted for which PushSecrets it waits, if not for those that hold it. Returns
    /// when to tell it again.
    async fn report_wait(&self, key: &Key, object: &K) -> Option<Duration> {
        let metadata = object.meta();
        let nothing = BTreeMap::new();
        let labels = metadata.labels.as_ref().unwrap_or(&nothing);
        let (id, pushers) = (Self::id(key), &self.stores.pushers);
        if !finalizer::is_set(metadata, FINALIZER) || pushers.hold(&id, labels) {
            return None;
        }
        let unseen = pushers.wait(&id)?;
        let message = format!("the store is kept, because a PushSecret may need it: {unseen}");
        tracing::warn!(kind = K::NAME, key = %key, "{message}");
        let event = Event::about::<K>(K::COMPONENT, metadata, true, WAITS, message);
        action::emit(self.frame.api(), &self.frame.shared.recorder, &event).await;
        Some(WAITS_AGAIN)
    }

    async fn validate(&self, key: &Key, store: &Store, ignores_maintenance: bool) -> Outcome {
        let again = match refresh_interval(&store.spec) {
            Ok(interval) => interval
                .and_then(|interval| Duration::try_from(interval).ok())
                .unwrap_or(self.rules.interval),
            Err(error) => {
                return Outcome::Unstated {
                    fault: error.to_string(),
                };
            }
        };
        let failed = |message, detail, silent| Outcome::Failed {
            message,
            detail,
            silent,
        };
        let config = match store.spec.provider.config() {
            Ok(config) => config,
            // The text of the parser may quote the settings.
            Err(_) => {
                return failed(
                    CANNOT_CONNECT,
                    Some("the settings of the provider cannot be read".to_owned()),
                    false,
                );
            }
        };
        let id = Self::id(key);
        let opened = match self.stores.open(&id, store, &config, None).await {
            Ok(opened) => opened,
            Err(error) if is_referent(&id, &config) => {
                tracing::debug!(key = %key, error = %error, "the store depends on its consumers");
                return Outcome::Valid {
                    capabilities: config.capabilities().name(),
                    maintained: true,
                    again,
                };
            }
            Err(error) => {
                tracing::warn!(kind = K::NAME, key = %key, error = %error, "cannot open the store");
                let silent = error.trouble().is_passing();
                let detail = error.public_detail().map(str::to_owned);
                return failed(CANNOT_CONNECT, detail, silent);
            }
        };
        match opened.validate(PATIENCE).await {
            Ok(Validation::Ready) => Outcome::Valid {
                capabilities: opened.store().capabilities().name(),
                maintained: config.provider() != "fake" || ignores_maintenance,
                again,
            },
            Ok(Validation::Unknown) if is_referent(&id, &config) => Outcome::Valid {
                capabilities: opened.store().capabilities().name(),
                maintained: true,
                again,
            },
            Ok(Validation::Unknown) => Outcome::Unknown { again },
            Err(error) => {
                tracing::warn!(kind = K::NAME, key = %key, error = %error, "cannot validate the store");
                let asked = !error.is_before_any_call();
                if config.provider() == "kubernetes" && asked && is_no_answer(error.trouble()) {
                    return Outcome::Unknown { again };
                }
                let message = match !asked || signs_in_first(&config) {
                    true => CANNOT_CONNECT,
                    false => CANNOT_VALIDATE,
                };
                let silent = error.trouble().is_passing();
                failed(message, error.public_detail().map(str::to_owned), silent)
            }
        }
    }
}

/// How long a validation may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a store that does not answer is left alone at most.
const SILENT: Duration = Duration::from_secs(3);

/// The reason of the event about a store that waits for PushSecrets, and how often it is reported.
const WAITS: &str = "WaitingForPushSecrets";
const WAITS_AGAIN: Duration = Duration::from_secs(300);

const CANNOT_CONNECT: &str = "unable to create client";
const CANNOT_VALIDATE: &str = "unable to validate store";

/// Upstream signs in to these stores when it makes their client, so a failure there is one of the client.
fn signs_in_first(config: &StoreConfig) -> bool {
    let has_token = config
        .needs()
        .iter()
        .any(|need| need.field == "auth.tokenSecretRef");
    let signs_in = match config {
        StoreConfig::Vault(settings) => settings.auth.is_some(),
        StoreConfig::OpenBao(settings) => settings.auth.is_some(),
        _ => false,
    };
    signs_in && !has_token
}

/// A cluster that does not say what the store may do: upstream takes that for not knowing.
fn is_no_answer(trouble: Trouble) -> bool {
    trouble.is_passing() || trouble == Trouble::Unauthenticated
}

/// A ClusterSecretStore whose credentials lie with its consumers cannot be validated by itself, and counts as valid.
fn is_referent(id: &StoreId, config: &StoreConfig) -> bool {
    id.kind == StoreKind::ClusterSecretStore
        && config.needs().iter().any(|need| need.depends_on_consumer())
}

impl<K: StoreObject> Kind for StoreReconciler<K> {
    const NAME: &'static str = K::NAME;
    const PLURAL: &'static str = K::PLURAL;
    const METRICS: Option<SyncedKind> = Some(K::METRICS);

    type Object = K;
    type Status = StoreStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &K) -> Digest {
        let store: Store = object.clone().into();
        Digest::of_json(&[
            &serde_json::to_value(&store.spec).unwrap_or_default(),
            &json!(store.deleting),
            &finalizer::is_set(object.meta(), FINALIZER),
        ])
    }

    fn status(object: &K) -> Option<&StoreStatus> {
        object.status()
    }

    fn conditions(status: &StoreStatus) -> Vec<(&str, bool)> {
        status::truths(&status.conditions)
    }

    fn needs(&self, object: &K) -> Vec<Need> {
        let store: Store = object.clone().into();
        let pushes = Need::one(pushes_to(K::KIND), &store.namespace, &store.name);
        let Ok(config) = store.spec.provider.config() else {
            return vec![pushes];
        };
        let id = StoreId {
            kind: K::KIND,
            namespace: store.namespace.clone(),
            name: store.name.clone(),
        };
        let scope = Scope {
            kind: match id.kind {
                StoreKind::SecretStore => sealwright_providers::credential::StoreKind::Namespaced,
                StoreKind::ClusterSecretStore => {
                    sealwright_providers::credential::StoreKind::Cluster
                }
            },
            name: id.name,
            store_namespace: id.namespace.clone(),
            consumer_namespace: None,
        };
        let needs = config.needs();
        let objects = needs.iter().filter_map(|need| match &need.object {
            NeededObject::Secret(selector) => Some((
                "Secret",
                selector.namespace.as_deref(),
                selector.name.as_deref()?,
            )),
            NeededObject::WholeSecret { name, namespace } => {
                Some(("Secret", namespace.as_deref(), name.as_str()))
            }
            NeededObject::ConfigMap {
                name, namespace, ..
            } => Some(("ConfigMap", namespace.as_deref(), name.as_str())),
            _ => None,
        });
        let objects = objects.filter_map(|(kind, namespace, name)| {
            let namespace = scope.namespace_of(namespace).ok()?;
            Some(Need::one(kind, namespace, name))
        });
        // First, as only so many count.
        [pushes].into_iter().chain(objects).collect()
    }

    fn note(&self, read: &Read<K>, extra: &mut Extra, changed: bool) {
        let metadata = read.meta();
        let id = StoreId {
            kind: K::KIND,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        match &read.0 {
            Ok(object) => self.stores.see(id, object.clone().into()),
            Err(_) => self.stores.forget(&id),
        }
        if changed {
            extra.next = None;
        }
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        known.extra.next.map(until)
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &Arc<K>,
    ) -> Attempt<Outcome> {
        let ignores = object
            .meta()
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(IGNORE_MAINTENANCE_ANNOTATION));
        let store: Store = (**object).clone().into();
        let outcome = match is_own_class(store.spec.controller.as_deref(), &self.rules.class) {
            false => Outcome::Foreign,
            true => match self.keep(key, object).await {
                Ok(true) => aside(self.validate(key, &store, ignores)).await,
                Ok(false) => Outcome::Waits { failed: false },
                Err(error) => {
                    self.trouble(key, FrameTrouble::Fetch, &error);
                    Outcome::Waits { failed: true }
                }
            },
        };
        let again = match &outcome {
            Outcome::Valid { again, .. } | Outcome::Unknown { again } => Some(*again),
            _ => None,
        };
        let next = again.and_then(after);
        self.frame
            .index
            .update(key, known.uid(), |known| known.extra.next = next);
        let failed = matches!(
            outcome,
            Outcome::Failed { .. } | Outcome::Unstated { .. } | Outcome::Waits { failed: true }
        );
        Attempt {
            ended: match failed {
                true => Err(LookedAt::default()),
                false => Ok(None),
            },
            outcome,
        }
    }

    fn unreadable(&self, fault: String) -> Outcome {
        Outcome::Failed {
            message: CANNOT_CONNECT,
            detail: Some(fault),
            silent: false,
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&StoreStatus>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<StoreStatus> {
        let mut next = status.cloned().unwrap_or_default();
        let (holds, reason, message) = match outcome {
            Outcome::Foreign | Outcome::Unstated { .. } | Outcome::Waits { .. } => return None,
            Outcome::Valid { capabilities, .. } => {
                next.capabilities = Some((*capabilities).to_owned());
                ("True", VALID, "store validated".to_owned())
            }
            Outcome::Unknown { .. } => (
                "True",
                VALIDATION_UNKNOWN,
                "could not determine validation status".to_owned(),
            ),
            Outcome::Failed {
                message, detail, ..
            } => (
                "False",
                INVALID_PROVIDER_CONFIG,
                status::message(message, detail.as_deref()),
            ),
        };
        let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
        status::set_condition(&mut next.conditions, READY, holds, reason, &message, &now);
        (status != Some(&next)).then_some(next)
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let about = |warning, reason, message: String| {
            Event::about::<K>(K::COMPONENT, metadata, warning, reason, message)
        };
        match outcome {
            Outcome::Foreign | Outcome::Waits { .. } => Vec::new(),
            Outcome::Unstated { fault } => {
                let message = status::message(CANNOT_VALIDATE, Some(fault));
                vec![about(true, INVALID_PROVIDER_CONFIG, message)]
            }
            Outcome::Valid { maintained, .. } => {
                let mut events = vec![about(false, VALID, "store validated".to_owned())];
                if !maintained {
                    let text =
                        "store isn't currently maintained. Please plan and prepare accordingly.";
                    events.push(about(true, "StoreUnmaintained", text.to_owned()));
                }
                events
            }
            Outcome::Unknown { .. } => vec![about(
                true,
                VALIDATION_UNKNOWN,
                "could not determine validation status".to_owned(),
            )],
            Outcome::Failed {
                message, detail, ..
            } => vec![about(
                true,
                INVALID_PROVIDER_CONFIG,
                status::message(message, detail.as_deref()),
            )],
        }
    }

    fn ends(&self, key: &Key, _metadata: &ObjectMeta, outcome: &Outcome) {
        if let Outcome::Unstated { fault } = outcome {
            tracing::warn!(kind = K::NAME, key = %key, "the store cannot be validated: {fault}");
        }
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        match outcome {
            // An interval that cannot be read becomes no better with time.
            Outcome::Foreign | Outcome::Unstated { .. } | Outcome::Waits { failed: false } => None,
            Outcome::Valid { again, .. } | Outcome::Unknown { again } => Some(*again),
            // Everything that reads from it waits for its return.
            Outcome::Failed { silent: true, .. } => {
                Some(verdict::pause(Verdict::TryAgain, failures, 4).min(SILENT))
            }
            Outcome::Failed { .. } | Outcome::Waits { failed: true } => {
                Some(verdict::pause(Verdict::TryAgain, failures, 4))
            }
        }
    }

    async fn finalize(&self, key: &Key, object: &K) -> Option<Duration> {
        let store: Store = object.clone().into();
        if !is_own_class(store.spec.controller.as_deref(), &self.rules.class) {
            return None;
        }
        match self.keep(key, object).await {
            Ok(true) => self.report_wait(key, object).await,
            Ok(false) => None,
            Err(error) => {
                self.trouble(key, FrameTrouble::Fetch, &error);
                Some(Duration::from_secs(5))
            }
        }
    }

    fn forgets(&self) {
        self.stores.forget_all(K::KIND);
    }

    async fn gone(&self, key: &Key) -> Option<Duration> {
        self.stores.forget(&Self::id(key));
        None
    }
}

//! The stores of the cluster: as the watches show them, and opened.
//!
//! An opened store is a lane of the [fetch layer](sealwright_providers::fetch), which joins the reads of all objects. It is kept as
//! long as the settings and the credentials of the store stay the same, because signing in costs the vault a call and a token. A ClusterSecretStore
//! whose credentials lie with its consumers is opened once for each namespace.

mod pushers;
mod store_id;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::{self, NeededObject, Scope};
use sealwright_providers::fetch::{Call, Fetcher, Lane, StoreIdentity};
use sealwright_providers::outcome::StoreError;
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::settings::aws::AwsService;
use sealwright_providers::store::{Connection, StoreConfig};
use sealwright_resources::external_secret::StoreKind;
use sealwright_resources::secret_store::{ClusterSecretStore, SecretStore, Store};
use tokio::time::Instant;

use self::pushers::Pushers;
pub(crate) use self::pushers::{Hold, pushes_to};
pub(crate) use self::store_id::StoreId;
use crate::action;
use crate::api::{Api, ApiError};
use crate::credentials::ClusterCredentials;
use crate::frame::object::Key;
use crate::metrics::Metrics;

/// How long a store that was asked for is taken for there without a watch that shows it: one that was deleted meanwhile never is
/// shown.
const UNSEEN: Duration = Duration::from_secs(10);

/// The provider of a store, and the service where there are several.
fn provider_of(config: &StoreConfig) -> &'static str {
    match config {
        StoreConfig::Aws(settings) => match settings.service {
            AwsService::SecretsManager => "aws/SecretsManager",
            AwsService::ParameterStore => "aws/ParameterStore",
            AwsService::CertificateManager => "aws/CertificateManager",
        },
        config => config.provider(),
    }
}

/// All stores.
pub(crate) struct Stores {
    api: Arc<Api>,
    credentials: Arc<ClusterCredentials>,
    fetcher: Fetcher,
    /// The providers of opened stores, by the stores' uids.
    providers: Arc<Mutex<HashMap<String, &'static str>>>,
    known: Mutex<HashMap<StoreId, Arc<Store>>>,
    /// Those that were asked for before a watch showed them, and when.
    asked_for: Mutex<HashMap<StoreId, (Instant, Arc<Store>)>>,
    /// As whom a store was opened last, and when if not by its own reconciler: no one may look after its credentials then.
    identities: Mutex<HashMap<StoreId, (StoreIdentity, Option<Instant>)>>,
    /// Who pushes to them.
    pub(crate) pushers: Pushers,
}

impl Stores {
    pub(crate) fn new(api: Arc<Api>, metrics: Arc<Metrics>) -> Self {
        let providers: Arc<Mutex<HashMap<String, &'static str>>> = Arc::default();
        let fetcher = Fetcher::default().observed({
            let providers = Arc::clone(&providers);
            Arc::new(move |uid: &str, call: Call, failed: bool| {
                let providers = providers.lock().expect("no holder panics");
                if let Some(provider) = providers.get(uid) {
                    metrics.provider_called(provider, call, failed);
                }
            })
        });
        Self {
            credentials: Arc::new(ClusterCredentials::new(Arc::clone(&api))),
            api,
            fetcher,
            providers,
            known: Mutex::default(),
            asked_for: Mutex::default(),
            identities: Mutex::default(),
            pushers: Pushers::default(),
        }
    }

    /// Takes note of a store as a watch shows it.
    pub(crate) fn see(&self, id: StoreId, store: Store) {
        let mut known = self.known.lock().expect("no holder panics");
        known.insert(id, Arc::new(store));
    }

    /// Forgets a store that is gone, and what it had opened.
    pub(crate) fn forget(&self, id: &StoreId) {
        let store = self.known.lock().expect("no holder panics").remove(id);
        self.asked_for.lock().expect("no holder panics").remove(id);
        self.identities.lock().expect("no holder panics").remove(id);
        self.pushers.forget(id);
        if let Some(store) = store {
            self.fetcher.forget(&store.uid);
            let mut providers = self.providers.lock().expect("no holder panics");
            providers.remove(&store.uid);
        }
    }

    /// Forgets all stores of a kind until a watch shows them again. What they have opened is closed when no one uses it.
    pub(crate) fn forget_all(&self, kind: StoreKind) {
        let mut known = self.known.lock().expect("no holder panics");
        known.retain(|id, _| id.kind != kind);
        drop(known);
        let mut asked_for = self.asked_for.lock().expect("no holder panics");
        asked_for.retain(|id, _| id.kind != kind);
        drop(asked_for);
        let mut identities = self.identities.lock().expect("no holder panics");
        identities.retain(|id, _| id.kind != kind);
    }

    /// Looks a store up.
    pub(crate) fn get(&self, id: &StoreId) -> Option<Arc<Store>> {
        let known = self
            .known
            .lock()
            .expect("no holder panics")
            .get(id)
            .cloned();
        known.or_else(|| {
            let asked_for = self.asked_for.lock().expect("no holder panics");
            let (asked, store) = asked_for.get(id)?;
            (asked.elapsed() < UNSEEN).then(|| Arc::clone(store))
        })
    }

    /// Looks a store up, and asks the API server for one that no watch has shown: a store and an object that names it are often
    /// made at the same moment, and the watches of two kinds keep no order.
    pub(crate) async fn find(&self, id: &StoreId) -> Result<Option<Arc<Store>>, ApiError> {
        if let Some(store) = self.get(id) {
            return Ok(Some(store));
        }
        let key = Key::new(&id.namespace, &id.name);
        let asked = match id.kind {
            StoreKind::SecretStore => {
                let asked = action::object::<SecretStore, SecretStore>(&self.api, &key);
                asked.await.map(Store::from)
            }
            StoreKind::ClusterSecretStore => {
                let asked = action::object::<ClusterSecretStore, ClusterSecretStore>;
                asked(&self.api, &key).await.map(Store::from)
            }
        };
        match asked {
            Ok(store) => {
                let store = Arc::new(store);
                let mut asked_for = self.asked_for.lock().expect("no holder panics");
                asked_for.insert(id.clone(), (Instant::now(), Arc::clone(&store)));
                Ok(Some(store))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every store that a PushSecret holds.
    pub(crate) fn held(&self, holder: &Key, hold: &Hold) -> Vec<StoreId> {
        let known = self.known.lock().expect("no holder panics");
        let held = known
            .iter()
            .filter(|(id, store)| hold.is_on(holder, id, &store.labels));
        held.map(|(id, _)| id.clone()).collect()
    }

    /// Every store of a kind that objects of a namespace see.
    pub(crate) fn of_namespace(
        &self,
        kind: StoreKind,
        namespace: &str,
    ) -> Vec<(StoreId, Arc<Store>)> {
        let known = self.known.lock().expect("no holder panics");
        let seen = known.iter().filter(|(id, _)| {
            let is_here = kind == StoreKind::ClusterSecretStore || id.namespace == namespace;
            id.kind == kind && is_here
        });
        seen.map(|(id, store)| (id.clone(), Arc::clone(store)))
            .collect()
    }

    /// Drops what is old, now and then.
    pub(crate) fn sweep(&self) {
        let mut asked_for = self.asked_for.lock().expect("no holder panics");
        asked_for.retain(|_, (asked, _)| asked.elapsed() < UNSEEN);
        drop(asked_for);
        self.fetcher.sweep();
    }

    /// Opens a store for objects of a namespace, or with `None` to see whether it can be opened at all.
    pub(crate) async fn open(
        &self,
        id: &StoreId,
        store: &Store,
        config: &StoreConfig,
        consumer: Option<&str>,
    ) -> Result<Arc<Lane>, StoreError> {
        let needs = config.needs();
        // Its credentials lie with the consumer, or its sessions say who that is.
        let depends = id.kind == StoreKind::ClusterSecretStore
            && (needs.iter().any(credential::Need::depends_on_consumer) || config.tells_consumer());
        let scope = Scope {
            kind: match id.kind {
                StoreKind::SecretStore => credential::StoreKind::Namespaced,
                StoreKind::ClusterSecretStore => credential::StoreKind::Cluster,
            },
            name: id.name.clone(),
            store_namespace: id.namespace.clone(),
            consumer_namespace: match (depends, id.kind) {
                (true, _) => consumer.map(str::to_owned),
                (false, StoreKind::ClusterSecretStore) => None,
                (false, StoreKind::SecretStore) => Some(id.namespace.clone()),
            },
        };
        // The store's own reconciler looks after credentials that do not depend on who asks.
        let known = match consumer.is_some() && !depends {
            true => {
                let identities = self.identities.lock().expect("no holder panics");
                let known = identities.get(id).filter(|(known, opened)| {
                    let is_same = known.uid == store.uid && known.generation == store.generation;
                    is_same && opened.is_none_or(|opened| opened.elapsed() < UNSEEN)
                });
                known.map(|(known, _)| known.clone())
            }
            false => None,
        };
        let identity = match known {
            Some(identity) => identity,
            None => {
                let versions = self.versions(&needs, &scope).await;
                let identity = StoreIdentity::new(
                    store.uid.clone(),
                    store.generation,
                    scope.consumer_namespace.clone(),
                );
                let identity =
                    identity.with_credential("versions", &SecretBytes::from(versions.into_bytes()));
                if !depends {
                    let mut identities = self.identities.lock().expect("no holder panics");
                    let opened = consumer.map(|_| Instant::now());
                    identities.insert(id.clone(), (identity.clone(), opened));
                }
                identity
            }
        };
        {
            let mut providers = self.providers.lock().expect("no holder panics");
            providers.insert(store.uid.clone(), provider_of(config));
        }
        let connect = || async {
            let retry = store.spec.retry_settings.as_ref();
            let connection = Connection {
                credentials: Arc::clone(&self.credentials) as Arc<dyn credential::Credentials>,
                scope,
                retry: retry.map(|retry| RetrySettings {
                    max_retries: retry.max_retries,
                    retry_interval: retry.retry_interval.clone(),
                }),
                ..Connection::default()
            };
            config.connect(&connection).await
        };
        self.fetcher.lane(&identity, connect).await
    }

    /// Asks a store for a sign of life; nothing if it is gone. One that cannot be asked counts as alive.
    pub(crate) async fn answers(&self, id: &StoreId, consumer: &str) -> Option<bool> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let store = self.get(id)?;
        let Ok(config) = store.spec.provider.config() else {
            return Some(true);
        };
        let asked = async {
            let lane = self.open(id, &store, &config, Some(consumer)).await?;
            lane.validate(PATIENCE).await
        };
        // Opening may take long too: credentials are read from the API server, or from another vault.
        let answer = tokio::time::timeout(2 * PATIENCE, asked).await;
        Some(match answer {
            Err(_) => false,
            Ok(Ok(_)) => true,
            Ok(Err(error)) => !error.trouble().is_passing(),
        })
    }

    /// Says in one text which versions of objects a store signs in with; an object that cannot be read has none.
    async fn versions(&self, needs: &[credential::Need], scope: &Scope) -> String {
        let mut paths = BTreeSet::new();
        for need in needs {
            let at = |namespace: Option<&str>, path: &dyn Fn(&str) -> String| {
                scope.namespace_of(namespace).map(path).ok()
            };
            let path = match &need.object {
                NeededObject::Secret(selector) => {
                    let name = selector.name.as_deref().unwrap_or_default();
                    at(selector.namespace.as_deref(), &|namespace| {
                        action::secret(namespace, name)
                    })
                }
                NeededObject::WholeSecret { name, namespace } => {
                    at(namespace.as_deref(), &|namespace| {
                        action::secret(namespace, name)
                    })
                }
                NeededObject::ConfigMap {
                    name, namespace, ..
                } => at(namespace.as_deref(), &|namespace| {
                    action::config_map(namespace, name)
                }),
                // A token is asked for each time, whatever became of its account.
                _ => None,
            };
            paths.extend(path);
        }
        action::versions(&self.api, paths.into_iter().collect()).await
    }
}

#[cfg(test)]
mod tests;

//! The stores of the cluster: as the watches show them, and opened.
//!
//! An opened store is a lane of the [fetch layer](sealwright_providers::fetch), which joins the reads of all objects. It is kept as
//! long as the settings and the credentials of the store stay the same, because signing in costs the vault a call and a token. A ClusterSecretStore whose credentials lie with its consumers is opened once for each namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::{self, NeededObject, Scope};
use sealwright_providers::fetch::{Call, Fetcher, Lane, StoreIdentity};
use sealwright_providers::outcome::StoreError;
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::settings::aws::AwsService;
use sealwright_providers::store::{Connection, StoreConfig};
use sealwright_resources::external_secret::{StoreKind, StoreRef};
use sealwright_resources::push_secret::PushStoreRef;
use sealwright_resources::push_secret::entries::{PushStore, is_meant, store_key};
use sealwright_resources::secret_store::{ClusterSecretStore, SecretStore, Store};
use tokio::time::Instant;

use crate::action;
use crate::api::{Api, ApiError};
use crate::credentials::ClusterCredentials;
use crate::frame::object::Key;
use crate::metrics::Metrics;

/// How long a store that was asked for is taken for there without a watch that shows it: one that was deleted meanwhile never is
/// shown.
const UNSEEN: Duration = Duration::from_secs(10);

/// What names a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StoreId {
    pub(crate) kind: StoreKind,
    /// Empty for a ClusterSecretStore.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl StoreId {
    /// The store that a reference of an object in this namespace means.
    pub(crate) fn of(reference: &StoreRef, namespace: &str) -> Self {
        Self {
            kind: reference.kind(),
            namespace: match reference.kind() {
                StoreKind::SecretStore => namespace.to_owned(),
                StoreKind::ClusterSecretStore => String::new(),
            },
            name: reference.name().to_owned(),
        }
    }
}

/// PushSecrets that would have to delete from stores: those stores must not go before them.
#[derive(Default)]
pub(crate) struct Pushers(Mutex<AllPushers>);

#[derive(Default)]
struct AllPushers {
    holds: HashMap<Key, Hold>,
    /// Where PushSecrets are looked after, if they are: all namespaces or each of some, and whether those there have been seen.
    scopes: Option<BTreeMap<Option<String>, bool>>,
    /// The stores that may be free when more PushSecrets have been seen.
    waiting: HashSet<StoreId>,
}

impl AllPushers {
    /// Says which PushSecrets have not been seen that may hold the store.
    fn unseen(&self, id: &StoreId) -> Option<String> {
        const MOST_NAMED: usize = 5;
        let Some(scopes) = &self.scopes else {
            return Some("this controller does not look after PushSecrets".to_owned());
        };
        let may_hold = |scope: &Option<String>| match (id.kind, scope) {
            (StoreKind::SecretStore, Some(namespace)) => *namespace == id.namespace,
            (StoreKind::SecretStore, None) | (StoreKind::ClusterSecretStore, _) => true,
        };
        let unseen = scopes
            .iter()
            .filter(|(scope, seen)| !**seen && may_hold(scope));
        let unseen: Vec<Option<&str>> = unseen.map(|(scope, _)| scope.as_deref()).collect();
        let named: Vec<&str> = unseen.iter().copied().flatten().take(MOST_NAMED).collect();
        match (unseen.len(), named.join(", ")) {
            (0, _) => None,
            (_, named) if named.is_empty() => Some("PushSecrets cannot be listed".to_owned()),
            (count, named) => {
                let more = match count.saturating_sub(MOST_NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} others"),
                };
                Some(format!(
                    "PushSecrets cannot be listed in the namespaces {named}{more}"
                ))
            }
        }
    }
}

/// The stores that one PushSecret holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hold {
    /// Those that it names or selects.
    pub(crate) references: Vec<PushStoreRef>,
    /// Those that it has pushed to (`Kind/name`).
    pub(crate) synced: Vec<String>,
}

impl Hold {
    fn is_on(&self, holder: &Key, id: &StoreId, labels: &BTreeMap<String, String>) -> bool {
        if id.kind == StoreKind::SecretStore && *holder.namespace != *id.namespace {
            return false;
        }
        let store = PushStore {
            kind: id.kind,
            name: &id.name,
            labels,
        };
        let key = store_key(id.kind, &id.name);
        self.synced.contains(&key)
            || self
                .references
                .iter()
                .any(|reference| is_meant(reference, &store))
    }
}

impl Pushers {
    /// Takes note of what a PushSecret holds now; returns what it held before, if that has changed.
    pub(crate) fn set(&self, key: &Key, hold: Option<Hold>) -> Option<[Option<Hold>; 2]> {
        let mut all = self.0.lock().expect("no holder panics");
        let before = match &hold {
            Some(hold) => all.holds.insert(key.clone(), hold.clone()),
            None => all.holds.remove(key),
        };
        (before != hold).then_some([before, hold])
    }

    /// Returns true if a PushSecret holds the store.
    pub(crate) fn hold(&self, id: &StoreId, labels: &BTreeMap<String, String>) -> bool {
        let all = self.0.lock().expect("no holder panics");
        let mut holds = all.holds.iter();
        holds.any(|(holder, hold)| hold.is_on(holder, id, labels))
    }

    /// Forgets all PushSecrets, and where they are looked after.
    pub(crate) fn clear(&self) {
        *self.0.lock().expect("no holder panics") = AllPushers::default();
    }

    /// Says where PushSecrets are looked after; none of them have been seen.
    pub(crate) fn expect(&self, scopes: &[Option<String>]) {
        let mut all = self.0.lock().expect("no holder panics");
        all.scopes = Some(scopes.iter().map(|scope| (scope.clone(), false)).collect());
    }

    /// Takes note that all PushSecrets of a scope have been seen; returns the stores that waited for them and no others.
    pub(crate) fn have_seen(&self, scope: Option<&str>) -> Vec<StoreId> {
        let mut all = self.0.lock().expect("no holder panics");
        if let Some(scopes) = &mut all.scopes {
            scopes.insert(scope.map(str::to_owned), true);
        }
        let waiting = all.waiting.iter();
        let free = waiting.filter(|id| all.unseen(id).is_none());
        let free: Vec<StoreId> = free.cloned().collect();
        all.waiting.retain(|id| !free.contains(id));
        free
    }

    /// Says which PushSecrets have not been seen that may hold the store, if it has to wait for some.
    pub(crate) fn wait(&self, id: &StoreId) -> Option<String> {
        let mut all = self.0.lock().expect("no holder panics");
        let unseen = all.unseen(id)?;
        all.waiting.insert(id.clone());
        Some(unseen)
    }

    /// Forgets a store that is gone.
    fn forget(&self, id: &StoreId) {
        let mut all = self.0.lock().expect("no holder panics");
        all.waiting.remove(id);
    }
}

/// What a store reads of PushSecrets: whether one of them holds it.
pub(crate) fn pushes_to(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::SecretStore => "pushes to a SecretStore",
        StoreKind::ClusterSecretStore => "pushes to a ClusterSecretStore",
    }
}

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
    /// As whom a store was opened last by its own reconciler.
    identities: Mutex<HashMap<StoreId, StoreIdentity>>,
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
                let known = identities.get(id).cloned();
                known.filter(|known| known.uid == store.uid && known.generation == store.generation)
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
                    identities.insert(id.clone(), identity.clone());
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
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::{Method, Request, Response, StatusCode};
    use kube::Client;
    use kube::client::Body;
    use sealwright_resources::secret_store::FINALIZER;
    use serde_json::json;

    use super::*;
    use crate::frame::kind::Kind;
    use crate::frame::{AnyKind, plain};
    use crate::reconcile::secret_store::{StoreReconciler, StoreRules};

    fn id(name: &str) -> StoreId {
        StoreId {
            kind: StoreKind::SecretStore,
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        }
    }

    fn store(class: &str) -> serde_json::Value {
        json!({
            "apiVersion": "external-secrets.io/v1",
            "kind": "SecretStore",
            "metadata": {"name": "there", "namespace": "ns", "uid": "u"},
            "spec": {"controller": class, "provider": {"fake": {"data": []}}},
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_no_watch_has_shown_is_asked_for() {
        let asked = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn({
            let asked = Arc::clone(&asked);
            move |request: Request<Body>| {
                asked.fetch_add(1, Ordering::Relaxed);
                let (code, body) = match request.uri().path() {
                    "/apis/external-secrets.io/v1/namespaces/ns/secretstores/there" => {
                        (StatusCode::OK, store("other"))
                    }
                    path if path.ends_with("/forbidden") => (StatusCode::FORBIDDEN, json!({})),
                    _ => (StatusCode::NOT_FOUND, json!({})),
                };
                let answer = Response::builder().status(code);
                let answer = answer.body(Body::from(body.to_string().into_bytes()));
                async move { Ok::<_, Infallible>(answer.unwrap()) }
            }
        });
        let api = Arc::new(Api::new(Client::new(service, "ns"), None, 1));
        let stores = Stores::new(api, Arc::new(Metrics::new(false, false)));
        let class = |store: Option<Arc<Store>>| store.and_then(|it| it.spec.controller.clone());
        for _ in 0..3 {
            let found = stores.find(&id("there")).await.unwrap();
            assert_eq!(class(found).as_deref(), Some("other"));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // What a watch shows is newer.
        let seen: SecretStore = serde_json::from_value(store("mine")).unwrap();
        stores.see(id("there"), seen.into());
        assert_eq!(class(stores.get(&id("there"))).as_deref(), Some("mine"));
        // One that goes without being shown is not remembered for long.
        stores.forget(&id("there"));
        tokio::time::advance(UNSEEN).await;
        assert!(stores.get(&id("there")).is_none());
        assert!(stores.find(&id("gone")).await.unwrap().is_none());
        let forbidden = stores.find(&id("forbidden")).await;
        assert!(forbidden.is_err_and(|error| error.is_forbidden()));
    }

    #[tokio::test]
    async fn what_was_known_of_stores_goes_with_the_lead() {
        let service = tower::service_fn(|_: Request<Body>| async {
            let mut answer = Response::new(Body::from(b"{}".to_vec()));
            *answer.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(answer)
        });
        let shared = plain::shared(Client::new(service, "ns"));
        let metrics = Arc::clone(&shared.metrics);
        let stores = Arc::new(Stores::new(Arc::clone(&shared.api), metrics));
        let rules = StoreRules {
            class: String::new(),
            interval: Duration::from_secs(300),
        };
        let all = Arc::clone(&stores);
        let kind = StoreReconciler::<SecretStore>::new(shared, plain::watching(), rules, all);
        let of_cluster = of_cluster("there");
        for id in [id("there"), of_cluster.clone()] {
            let seen: SecretStore = serde_json::from_value(store("mine")).unwrap();
            stores.see(id, seen.into());
        }
        let pushers = &stores.pushers;
        let hold = Hold {
            references: Vec::new(),
            synced: vec![store_key(StoreKind::SecretStore, "there")],
        };
        pushers.set(&Key::new("ns", "push"), Some(hold));
        pushers.expect(&[None]);
        pushers.have_seen(None);
        assert!(pushers.wait(&id("there")).is_none());
        assert!(pushers.hold(&id("there"), &BTreeMap::new()));
        // It was deleted while another replica led.
        AnyKind::forget(&kind);
        assert!(stores.find(&id("there")).await.unwrap().is_none());
        assert!(stores.get(&of_cluster).is_some());
        pushers.clear();
        assert!(!pushers.hold(&id("there"), &BTreeMap::new()));
        assert!(pushers.wait(&id("there")).is_some());
    }

    fn of_cluster(name: &str) -> StoreId {
        StoreId {
            kind: StoreKind::ClusterSecretStore,
            namespace: String::new(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_store_waits_for_the_push_secrets_that_may_hold_it_and_no_others() {
        let pushers = Pushers::default();
        assert!(pushers.wait(&id("a")).is_some(), "none are looked after");
        pushers.expect(&["ns", "other"].map(|name| Some(name.to_owned())));
        let text = |names| format!("PushSecrets cannot be listed in the namespaces {names}");
        assert_eq!(pushers.wait(&id("a")), Some(text("ns")));
        assert_eq!(pushers.wait(&of_cluster("c")), Some(text("ns, other")));
        assert_eq!(pushers.have_seen(Some("ns")), [id("a")]);
        assert_eq!(pushers.wait(&id("a")), None);
        assert_eq!(pushers.wait(&of_cluster("c")), Some(text("other")));
        assert_eq!(pushers.have_seen(Some("other")), [of_cluster("c")]);
        assert_eq!(pushers.have_seen(Some("other")), []);
        assert_eq!(pushers.wait(&of_cluster("c")), None);
        pushers.expect(&[None]);
        let all = "PushSecrets cannot be listed".to_owned();
        assert_eq!(pushers.wait(&of_cluster("c")), Some(all));
        let many: Vec<_> = (0..9).map(|number| Some(format!("n{number}"))).collect();
        pushers.expect(&many);
        let some = text("n0, n1, n2, n3, n4 and 4 others");
        assert_eq!(pushers.wait(&of_cluster("c")), Some(some));
    }

    #[tokio::test]
    async fn a_deleted_store_says_which_push_secrets_it_waits_for() {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let service = tower::service_fn({
            let requests = Arc::clone(&requests);
            move |request: Request<Body>| {
                let (parts, body) = request.into_parts();
                let requests = Arc::clone(&requests);
                async move {
                    let body = body.collect_bytes().await.unwrap();
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    requests.lock().unwrap().push((parts.method, body));
                    let answer = json!({"metadata": {"name": "c", "resourceVersion": "6"}});
                    let answer = Body::from(answer.to_string().into_bytes());
                    Ok::<_, Infallible>(Response::new(answer))
                }
            }
        });
        let shared = plain::shared(Client::new(service, "ns"));
        let metrics = Arc::clone(&shared.metrics);
        let stores = Arc::new(Stores::new(Arc::clone(&shared.api), metrics));
        let rules = StoreRules {
            class: "default".to_owned(),
            interval: Duration::from_secs(300),
        };
        let all = Arc::clone(&stores);
        let kind =
            StoreReconciler::<ClusterSecretStore>::new(shared, plain::watching(), rules, all);
        let deleted: ClusterSecretStore = serde_json::from_value(json!({
            "apiVersion": "external-secrets.io/v1",
            "kind": "ClusterSecretStore",
            "metadata": {
                "name": "c", "uid": "u", "resourceVersion": "5",
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "finalizers": [FINALIZER],
            },
            "spec": {"provider": {"fake": {"data": []}}},
        }))
        .unwrap();
        let key = Key::new("", "c");
        stores.pushers.expect(&[Some("ns".to_owned())]);
        assert!(Kind::finalize(&kind, &key, &deleted).await.is_some());
        let taken = || std::mem::take(&mut *requests.lock().unwrap());
        let events = taken();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].0, Method::POST);
        assert!(events[0].1.contains("in the namespaces ns"), "{events:?}");
        assert_eq!(stores.pushers.have_seen(Some("ns")), [of_cluster("c")]);
        assert!(Kind::finalize(&kind, &key, &deleted).await.is_none());
        let patches: Vec<Method> = taken().into_iter().map(|(method, _)| method).collect();
        assert_eq!(patches, [Method::PATCH]);
        // The finalizer of another controller's store is not ours to take away.
        let mut foreign = deleted;
        foreign.spec.0.controller = Some("other".to_owned());
        assert!(Kind::finalize(&kind, &key, &foreign).await.is_none());
        assert_eq!(taken(), []);
    }

    #[cfg(feature = "aws")]
    #[tokio::test]
    async fn a_store_whose_sessions_say_who_asks_is_opened_for_each_namespace() {
        let service = tower::service_fn(|_: Request<Body>| async {
            let answer = Response::builder().status(StatusCode::NOT_FOUND);
            let answer = answer.body(Body::from(b"{}".to_vec()));
            Ok::<_, Infallible>(answer.unwrap())
        });
        let api = Arc::new(Api::new(Client::new(service, "ns"), None, 1));
        let stores = Stores::new(api, Arc::new(Metrics::new(false, false)));
        // Credentials of the pod, and such whose namespace is written down: neither depends on the consumer.
        let key = json!({"name": "aws", "key": "k", "namespace": "vault"});
        let keys =
            json!({"secretRef": {"accessKeyIDSecretRef": key, "secretAccessKeySecretRef": key}});
        for (number, auth) in [json!(null), keys].into_iter().enumerate() {
            for (policy, shared) in [("None", true), ("Simple", false), ("Custom", false)] {
                let name = format!("aws-{policy}-{number}");
                let store: ClusterSecretStore = serde_json::from_value(json!({
                    "apiVersion": "external-secrets.io/v1",
                    "kind": "ClusterSecretStore",
                    "metadata": {"name": name, "uid": name},
                    "spec": {"provider": {"aws": {"service": "SecretsManager", "region": "eu-west-1",
                        "role": "r", "sessionTagsPolicy": policy, "auth": auth}}},
                }))
                .unwrap();
                let store = Store::from(store);
                let config = store.spec.provider.config().unwrap();
                let id = StoreId {
                    kind: StoreKind::ClusterSecretStore,
                    namespace: String::new(),
                    name,
                };
                let lane = async |consumer: &str| {
                    let opened = stores.open(&id, &store, &config, Some(consumer)).await;
                    opened.unwrap()
                };
                let (red, blue, again) = (lane("red").await, lane("blue").await, lane("red").await);
                assert!(Arc::ptr_eq(&red, &again), "{}", id.name);
                assert_eq!(Arc::ptr_eq(&red, &blue), shared, "{}", id.name);
            }
        }
    }
}

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use sealwright_resources::push_secret::entries::store_key;
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
    let kind = StoreReconciler::<ClusterSecretStore>::new(shared, plain::watching(), rules, all);
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

#[tokio::test(start_paused = true)]
async fn credentials_that_no_reconciler_looks_after_are_looked_at_now_and_then() {
    let looked = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn({
        let looked = Arc::clone(&looked);
        move |request: Request<Body>| {
            let accept = &request.headers()[hyper::header::ACCEPT];
            if accept.to_str().unwrap().contains("PartialObjectMetadata") {
                looked.fetch_add(1, Ordering::Relaxed);
            }
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"token": "dA=="},
                "metadata": {"name": "token", "namespace": "ns", "resourceVersion": "1"}});
            let answer = Response::new(Body::from(secret.to_string().into_bytes()));
            async move { Ok::<_, Infallible>(answer) }
        }
    });
    let api = Arc::new(Api::new(Client::new(service, "ns"), None, 1));
    let stores = Stores::new(api, Arc::new(Metrics::new(false, false)));
    let mut store = store("default");
    store["spec"]["provider"] = json!({"vault": {"server": "https://vault.example", "version": "v2",
        "auth": {"tokenSecretRef": {"name": "token", "key": "token"}}}});
    let store = Store::from(serde_json::from_value::<SecretStore>(store).unwrap());
    let config = store.spec.provider.config().unwrap();
    let open = async |consumer: Option<&str>| {
        let opened = stores.open(&id("there"), &store, &config, consumer).await;
        assert!(opened.is_ok());
        looked.load(Ordering::Relaxed)
    };
    assert_eq!(open(Some("ns")).await, 1);
    assert_eq!(open(Some("ns")).await, 1);
    tokio::time::advance(UNSEEN).await;
    assert_eq!(open(Some("ns")).await, 2);
    // A reconciler that opens the store is notified when they change.
    assert_eq!(open(None).await, 3);
    tokio::time::advance(UNSEEN).await;
    assert_eq!(open(Some("ns")).await, 3);
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
    let keys = json!({"secretRef": {"accessKeyIDSecretRef": key, "secretAccessKeySecretRef": key}});
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

//! Doppler on a double that `doppler-sdk` has passed first.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealwright_providers::credential::Scope;
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, Validation, WriteMode};
use sealwright_tests::harness::clouds::Clouds;
use serde_json::{Value, json};

use super::cases::{Property, Traits, content, every_case, every_write};
use super::support::{connect_with, failed, get, in_clouds, item, lines, source};

fn put(clouds: &Clouds, name: &str, value: &str) {
    clouds.control("doppler/secret", &json!({"name": name, "value": value}));
}

async fn store(clouds: &Clouds, more: Value) -> Arc<dyn Store> {
    let held = Held::default();
    let known = clouds.control("doppler/token", &json!({}));
    let token = known["token"].as_str().unwrap();
    held.put("doppler", "dopplerToken", token.as_bytes());
    held.put("doppler", "wrong", b"canary-of-a-token");
    let asked = clouds.control("azure/outside-token", &json!({"aud": "made for tests"}));
    held.put_token(
        "web",
        asked["token"].as_str().unwrap().as_bytes().to_vec().into(),
    );
    let connection = Connection {
        credentials: Arc::new(held),
        scope: Scope {
            name: "doppler".into(),
            ..Scope::default()
        },
        ..Connection::default()
    };
    let mut settings = json!({"project": "shop", "config": "prd",
        "auth": {"secretRef": {"dopplerToken": {"name": "doppler"}}}});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    connect_with(&json!({ "doppler": settings }), &connection).await
}

#[tokio::test]
async fn it_passes_every_case() {
    let Some(clouds) = in_clouds("doppler::it_passes_every_case", &[]) else {
        return;
    };
    for (key, value) in content() {
        put(&clouds, key, &value.to_string());
    }
    // What is missing is no proof of absence here, and properties mean nothing.
    let traits = Traits {
        absent: "(missing)",
        absent_map: "(missing)",
        property: Property::Ignored,
        ..Traits::default()
    };
    let store = store(&clouds, json!({})).await;
    every_case(&store, traits).await;
    every_write(&store, "PUSHED", None).await;
}

#[test]
fn the_vendors_own_client_agrees_with_the_double() {
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(clouds.prove("prove_doppler.py").trim(), "proved");
}

#[tokio::test]
async fn secrets_are_read_found_and_written() {
    let case = "doppler::secrets_are_read_found_and_written";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    put(&clouds, "DB", r#"{"user": "u", "port": 1}"#);
    put(&clouds, "API_KEY", "p<&>\"ä\n");
    put(&clouds, "API_URL", "https://x");
    let store_of = async |more| store(&clouds, more).await;
    let plain = store_of(json!({})).await;
    let at = |key: &str| RemoteRef::new(key);
    assert_eq!(plain.validate().await.unwrap(), Validation::Ready);
    assert_eq!(get(&plain, &at("API_KEY")).await, "p<&>\"ä\n");
    // A property is ignored and a missing secret is no proof of absence, as upstream has both.
    assert_eq!(get(&plain, &at("API_URL").property("x")).await, "https://x");
    assert_eq!(get(&plain, &at("NONE")).await, "(missing)");
    for key in ["", "A,B", "A\nB"] {
        assert_eq!(get(&plain, &at(key)).await, "(invalid)", "{key:?}");
    }
    let map = plain.get_map(&at("DB")).await.unwrap().found().unwrap();
    assert_eq!(lines(&map), ["port=1", "user=u"]);
    let text = plain.get_map(&at("API_URL")).await;
    assert_eq!(failed(text).trouble(), Trouble::Missing);
    let find = |name: &str, path: Option<&str>| Find {
        name: Some(NamePattern::new(name).unwrap()),
        path: path.map(str::to_owned),
        tags: Some(BTreeMap::from([("ignored".to_owned(), "x".to_owned())])),
        ..Find::default()
    };
    let found = plain.find(&find("URL|KEY|DB", Some("API_"))).await;
    let found = lines(&found.unwrap().found().unwrap());
    assert_eq!(found, ["API_KEY=p<&>\"ä\n", "API_URL=https://x"]);
    let camel = store_of(json!({"nameTransformer": "camel"})).await;
    let found = camel.find(&find("^apiUrl$", None)).await;
    assert_eq!(
        lines(&found.unwrap().found().unwrap()),
        ["apiUrl=https://x"]
    );
    let file = store_of(json!({"format": "docker"})).await;
    let found = file.find(&Find::default()).await.unwrap().found().unwrap();
    let text = String::from_utf8_lossy(found["DOPPLER_SECRETS_FILE"].expose()).into_owned();
    assert!(text.contains("API_URL=https://x\n"), "{text}");
    assert_eq!(found.len(), 1);
    let inspection = plain.inspect(Some(&at("API_URL"))).await;
    assert!(inspection.steps.iter().all(|step| step.result.is_ok()));
    assert!(
        plain
            .neighbours(&at("API_KEX"))
            .await
            .contains(&"API_KEY".to_owned())
    );
    writes(&plain, &clouds).await;
}

async fn writes(store: &Arc<dyn Store>, clouds: &Clouds) {
    let source = source(&[("a", "one"), ("b", "two")]);
    let (one, both) = (item(Some("a"), "NEW", None), item(None, "ALL", None));
    let push = async |item, mode| store.push(&source, item, mode).await;
    assert!(!store.exists(&one).await.unwrap());
    let tried = push(&one, WriteMode::DryRun).await.unwrap();
    assert_eq!(
        (tried, store.exists(&one).await.unwrap()),
        (Pushed::Created, false)
    );
    assert_eq!(push(&one, WriteMode::Apply).await.unwrap(), Pushed::Created);
    assert_eq!(get(store, &RemoteRef::new("NEW")).await, "one");
    clouds.control("forget-calls", &json!({}));
    assert_eq!(
        push(&one, WriteMode::Apply).await.unwrap(),
        Pushed::Unchanged
    );
    assert!(clouds.calls().iter().all(|call| call.starts_with("GET")));
    let other = item(Some("b"), "NEW", None);
    assert_eq!(
        push(&other, WriteMode::Apply).await.unwrap(),
        Pushed::Updated
    );
    push(&both, WriteMode::Apply).await.unwrap();
    let all = get(store, &RemoteRef::new("ALL")).await;
    assert_eq!(all, r#"{"a":"one","b":"two"}"#);
    let lower = item(Some("a"), "lower", None);
    let refused = failed(push(&lower, WriteMode::Apply).await);
    assert_eq!(refused.trouble(), Trouble::Invalid);
    let delete = async |mode| store.delete(&one, mode).await.unwrap();
    assert_eq!(delete(WriteMode::DryRun).await, Deleted::Key);
    assert!(store.exists(&one).await.unwrap());
    assert_eq!(delete(WriteMode::Apply).await, Deleted::Key);
    assert_eq!(delete(WriteMode::Apply).await, Deleted::Nothing);
}

#[tokio::test]
async fn many_are_one_call_and_refusals_are_told() {
    let case = "doppler::many_are_one_call_and_refusals_are_told";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    put(&clouds, "A", "1");
    put(&clouds, "B", "2");
    let plain = store(&clouds, json!({})).await;
    let keys: Vec<_> = ["A", "NONE", "B"]
        .iter()
        .map(|key| plain.locate(&RemoteRef::new(*key)).unwrap())
        .collect();
    clouds.control("forget-calls", &json!({}));
    let outcomes = plain.read_many(&keys).await;
    assert_eq!(clouds.calls().len(), 1);
    let values: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.map(|answer| answer.found().unwrap().bytes().to_vec()))
        .collect();
    assert_eq!(values[0].as_ref().unwrap(), b"1");
    assert_eq!(values[1].as_ref().unwrap_err().trouble(), Trouble::Missing);
    assert_eq!(values[2].as_ref().unwrap(), b"2");
    // The token of a service account is exchanged once for all calls.
    let oidc = json!({"auth": {"oidcConfig": {"identity": "5f2f1c1e-8a5b-4c55-9d1d-2b7c6f0f3a10",
        "serviceAccountRef": {"name": "web"}}}});
    let oidc = store(&clouds, oidc).await;
    clouds.control("forget-calls", &json!({}));
    for _ in 0..3 {
        assert_eq!(get(&oidc, &RemoteRef::new("A")).await, "1");
    }
    let exchanges = clouds.calls();
    let exchanges = exchanges.iter().filter(|call| call.ends_with("/auth/oidc"));
    assert_eq!(exchanges.count(), 1);
    let stranger = json!({"auth": {"oidcConfig": {"identity": "canary",
        "serviceAccountRef": {"name": "web"}}}});
    let stranger = store(&clouds, stranger).await;
    let error = failed(stranger.get(&RemoteRef::new("A")).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    clouds.control("deny", &json!(["read"]));
    let error = failed(plain.get(&RemoteRef::new("A")).await);
    assert_eq!(error.trouble(), Trouble::Forbidden);
    assert!(error.hint().unwrap().contains("read access"), "{error}");
    clouds.control("deny", &json!([]));
    clouds.control("fault", &json!({"throttled": 2, "failing": 1}));
    assert_eq!(get(&plain, &RemoteRef::new("A")).await, "1");
    let none = store(&clouds, json!({"config": "none"})).await;
    assert_eq!(get(&none, &RemoteRef::new("A")).await, "(missing)");
    let wrong =
        json!({"auth": {"secretRef": {"dopplerToken": {"name": "doppler", "key": "wrong"}}}});
    let wrong = store(&clouds, wrong).await;
    let error = failed(wrong.get(&RemoteRef::new("A")).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    assert!(!format!("{error:?}").contains("canary"));
}

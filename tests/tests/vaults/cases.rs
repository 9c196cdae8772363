//! The cases that every store passes.

use std::fs;
use std::sync::Arc;

use sealwright_providers::file::Files;
use sealwright_providers::outcome::Answer;
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::store::{Connection, Store, Validation};
use serde_json::{Value, json};

use super::support::{connect, connect_with, get, lines, mount, openbao, vault};

/// What every store is filled with: keys and JSON objects.
pub(super) fn content() -> Vec<(&'static str, Value)> {
    vec![
        (
            "app-db",
            json!({"user": "admin", "password": "p<&>\"ä\n", "port": 5432, "tls": true,
                "nested": {"list": ["a", "b"], "deep": {"x": "y"}}, "dotted.name": "literal", "none": null}),
        ),
        ("app-web", json!({"user": "web"})),
        ("other", json!({"user": "other"})),
    ]
}

pub(super) async fn every_case(store: &Arc<dyn Store>, absent: &str, missing: &str) {
    let at = |key: &str| RemoteRef::new(key);
    let db = |property: &str| at("app-db").property(property);
    assert_eq!(store.validate().await.unwrap(), Validation::Ready);
    assert_eq!(get(store, &db("user")).await, "admin");
    assert_eq!(get(store, &db("password")).await, "p<&>\"ä\n");
    assert_eq!(get(store, &db("port")).await, "5432");
    assert_eq!(get(store, &db("tls")).await, "true");
    assert_eq!(get(store, &db("none")).await, "");
    assert_eq!(get(store, &db("nested.deep.x")).await, "y");
    assert_eq!(get(store, &db("nested.list.1")).await, "b");
    assert_eq!(get(store, &db("nested.list.#")).await, "2");
    assert_eq!(get(store, &db("wrong")).await, missing);
    assert_eq!(get(store, &at("not-there")).await, absent);
    let whole = get(store, &at("app-web")).await;
    assert_eq!(
        serde_json::from_str::<Value>(&whole).unwrap(),
        json!({"user": "web"})
    );
    let map = store.get_map(&at("app-db")).await.unwrap().found().unwrap();
    assert_eq!(map["user"].expose(), b"admin");
    assert_eq!(map["port"].expose(), b"5432");
    assert_eq!(map["none"].expose(), b"");
    let absent_map = store.get_map(&at("not-there")).await.unwrap();
    assert!(matches!(absent_map, Answer::Absent(_)));
    let find = Find {
        name: Some(NamePattern::new("^app-").unwrap()),
        ..Find::default()
    };
    let found = store.find(&find).await.unwrap().found().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["app-db", "app-web"]);
    assert_eq!(lines(&found)[1], r#"app-web={"user":"web"}"#);
    let nothing = Find {
        name: Some(NamePattern::new("^nothing$").unwrap()),
        ..Find::default()
    };
    assert!(
        store
            .find(&nothing)
            .await
            .unwrap()
            .found()
            .unwrap()
            .is_empty()
    );
    // A person who checks the store is told something of every step, and never a value.
    let inspection = store.inspect(Some(&db("user"))).await;
    assert!(inspection.steps.iter().all(|step| step.result.is_ok()));
    let shown = format!("{inspection:?}");
    assert!(!shown.contains("admin"), "{shown}");
}

#[tokio::test]
async fn vault_with_versions() {
    mount(openbao(), "cases-v2", 2);
    for (key, value) in content() {
        let body = json!({"data": value});
        openbao().api("POST", &format!("cases-v2/data/{key}"), Some(&body));
    }
    let store = connect(&vault(&openbao().address(), Some("cases-v2"), "v2")).await;
    every_case(&store, "(absent)", "(missing)").await;
    let dotted = RemoteRef::new("app-db").property("dotted.name");
    assert_eq!(get(&store, &dotted).await, "literal");
}

#[tokio::test]
async fn vault_without_versions() {
    mount(openbao(), "cases-v1", 1);
    for (key, value) in content() {
        openbao().api("POST", &format!("cases-v1/{key}"), Some(&value));
    }
    let store = connect(&vault(&openbao().address(), Some("cases-v1"), "v1")).await;
    every_case(&store, "(absent)", "(missing)").await;
}

#[tokio::test]
async fn openbao_by_its_own_provider() {
    mount(openbao(), "cases-bao", 2);
    for (key, value) in content() {
        let body = json!({"data": value});
        openbao().api("POST", &format!("cases-bao/data/{key}"), Some(&body));
    }
    let manifest = json!({"openBao": {"server": openbao().address(), "path": "cases-bao",
        "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}}});
    let store = connect(&manifest).await;
    every_case(&store, "(absent)", "(missing)").await;
}

#[tokio::test]
async fn fake() {
    let data: Vec<Value> = content()
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": value.to_string()}))
        .collect();
    let store = connect(&json!({"fake": {"data": data}})).await;
    every_case(&store, "(absent)", "(absent)").await;
}

#[tokio::test]
async fn folder_and_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    let mut all = serde_json::Map::new();
    for (key, value) in content() {
        fs::write(folder.path().join("keys").join(key), value.to_string()).unwrap();
        all.insert(key.to_owned(), value);
    }
    fs::write(
        folder.path().join("all.json"),
        Value::Object(all).to_string(),
    )
    .unwrap();
    let connection = Connection {
        files: Some(Files {
            base: folder.path().to_owned(),
            anywhere: true,
            decrypt: None,
        }),
        ..Connection::default()
    };
    for path in ["keys", "all.json"] {
        let store = connect_with(&json!({"file": {"path": path}}), &connection).await;
        every_case(&store, "(absent)", "(missing)").await;
    }
}

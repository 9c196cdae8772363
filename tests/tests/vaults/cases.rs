//! The cases that every store passes.

use std::fs;
use std::sync::Arc;

use sealwright_providers::file::Files;
use sealwright_providers::outcome::{Answer, Trouble};
use sealwright_providers::remote::{Find, NamePattern, PushItem, RemoteRef};
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, Validation, WriteMode};
use serde_json::{Value, json};

use super::support::{
    connect, connect_with, failed, get, item, lines, mount, openbao, source, vault,
};

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

/// What a property of a reference means to a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    /// A path into the JSON of the value.
    Path,
    /// A path as `result.jsonPath` has it.
    JsonPath,
    /// The name of a field.
    Field,
    /// Nothing: the whole value comes back.
    Ignored,
}

/// What `find` gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finds {
    /// Keys and their values.
    Keys,
    /// Fields of all items, by their labels.
    Fields,
    /// Nothing: the store says that it cannot.
    Nothing,
}

/// How a store differs from others, as upstream has it. A case that a store cannot pass names what it does instead.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    /// What a key comes to that is not there.
    pub(super) absent: &'static str,
    /// What it comes to where a map is wanted.
    pub(super) absent_map: &'static str,
    /// What a property comes to that is not there.
    pub(super) missing: &'static str,
    pub(super) property: Property,
    /// Whether a key without a property is the whole of it.
    pub(super) has_wholes: bool,
    /// Whether maps may hold other values than texts.
    pub(super) maps_of_anything: bool,
    pub(super) finds: Finds,
    /// How the store spells a key.
    pub(super) spelled: fn(&str) -> String,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            absent: "(absent)",
            absent_map: "(absent)",
            missing: "(missing)",
            property: Property::Path,
            has_wholes: true,
            maps_of_anything: true,
            finds: Finds::Keys,
            spelled: str::to_owned,
        }
    }
}

pub(super) async fn every_case(store: &Arc<dyn Store>, traits: Traits) {
    assert_eq!(store.validate().await.unwrap(), Validation::Ready);
    values(store, traits).await;
    maps(store, traits).await;
    searches(store, traits).await;
    // A person who checks the store is told something of every step, and never a value.
    let user = RemoteRef::new("app-db").property("user");
    let inspection = store.inspect(Some(&user)).await;
    assert!(!inspection.steps.is_empty());
    assert!(inspection.steps.iter().all(|step| step.result.is_ok()));
    let shown = format!("{inspection:?}");
    assert!(!shown.contains("admin"), "{shown}");
}

/// The JSON of a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

async fn values(store: &Arc<dyn Store>, traits: Traits) {
    let at = |key: &str| RemoteRef::new(key);
    let db = async |property: &str| get(store, &at("app-db").property(property)).await;
    if traits.property == Property::Ignored {
        for property in ["user", "nested.deep.x", "wrong"] {
            assert_eq!(parsed(&db(property).await), content()[0].1, "{property}");
        }
    } else {
        assert_eq!(db("user").await, "admin");
        assert_eq!(db("password").await, "p<&>\"ä\n");
        assert_eq!(db("port").await, "5432");
        assert_eq!(db("tls").await, "true");
        assert_eq!(db("none").await, "");
        assert_eq!(db("wrong").await, traits.missing);
    }
    match traits.property {
        Property::Path => {
            assert_eq!(db("nested.deep.x").await, "y");
            assert_eq!(db("nested.list.1").await, "b");
            assert_eq!(db("nested.list.#").await, "2");
        }
        Property::JsonPath => {
            assert_eq!(db("nested.deep.x").await, "y");
            assert_eq!(db("nested.list[1]").await, "b");
        }
        Property::Field => assert_eq!(db("nested.deep.x").await, traits.missing),
        Property::Ignored => {}
    }
    assert_eq!(get(store, &at("not-there")).await, traits.absent);
    let web = get(store, &at("app-web")).await;
    match traits.has_wholes {
        true => assert_eq!(parsed(&web), json!({"user": "web"})),
        false => assert_eq!(web, traits.missing),
    }
}

async fn maps(store: &Arc<dyn Store>, traits: Traits) {
    let map = async |key: &str| store.get_map(&RemoteRef::new(key)).await;
    let web = map("app-web").await.unwrap().found().unwrap();
    assert_eq!(lines(&web), ["user=web"]);
    let db = map("app-db").await;
    if traits.maps_of_anything {
        let db = db.unwrap().found().unwrap();
        assert_eq!(db["user"].expose(), b"admin");
        assert_eq!(db["port"].expose(), b"5432");
        assert_eq!(db["none"].expose(), b"");
    } else {
        assert_eq!(failed(db).trouble(), Trouble::Missing);
    }
    let absent = match map("not-there").await {
        Ok(Answer::Absent(_)) => "(absent)".to_owned(),
        Ok(Answer::Found(_)) => panic!("it is not there"),
        Err(error) => format!("({})", error.trouble().name()),
    };
    assert_eq!(absent, traits.absent_map);
}

async fn searches(store: &Arc<dyn Store>, traits: Traits) {
    let find = async |name: &str| {
        let find = Find {
            name: Some(NamePattern::new(name).unwrap()),
            ..Find::default()
        };
        store.find(&find).await
    };
    match traits.finds {
        Finds::Keys => {
            let prefix = (traits.spelled)("app-");
            let found = find(&format!("^{prefix}")).await.unwrap().found().unwrap();
            let names = ["app-db", "app-web"].map(traits.spelled);
            assert_eq!(found.keys().collect::<Vec<_>>(), names.each_ref());
            let web = String::from_utf8_lossy(found[&names[1]].expose()).into_owned();
            assert_eq!(parsed(&web), json!({"user": "web"}));
        }
        Finds::Fields => {
            let found = find("^user$").await.unwrap().found().unwrap();
            assert_eq!(lines(&found), ["user=admin"]);
        }
        Finds::Nothing => {
            let error = failed(find("^app-").await);
            assert_eq!(error.trouble(), Trouble::Unsupported, "{error}");
            return;
        }
    }
    let nothing = find("^nothing$").await.unwrap().found().unwrap();
    assert!(nothing.is_empty());
}

/// The cases of writing, at one key and, of a store that wants one, at one property of it.
pub(super) async fn every_write(store: &Arc<dyn Store>, key: &str, property: Option<&str>) {
    let source = source(&[("a", "one"), ("b", "two")]);
    let of = |name: &str| item(Some(name), key, property);
    let (one, two) = (of("a"), of("b"));
    let at = RemoteRef::new(key).property(property.unwrap_or_default());
    let push = async |item: &PushItem, mode| store.push(&source, item, mode).await.unwrap();
    let delete = async |mode| store.delete(&two, mode).await.unwrap();
    let (dry, apply) = (WriteMode::DryRun, WriteMode::Apply);
    assert!(!store.exists(&one).await.unwrap());
    assert_eq!(push(&one, dry).await, Pushed::Created);
    assert!(!store.exists(&one).await.unwrap(), "nothing was written");
    assert_eq!(push(&one, apply).await, Pushed::Created);
    assert!(store.exists(&one).await.unwrap());
    assert_eq!(get(store, &at).await, "one");
    assert_eq!(push(&one, apply).await, Pushed::Unchanged);
    assert_eq!(push(&two, dry).await, Pushed::Updated);
    assert_eq!(get(store, &at).await, "one");
    assert_eq!(push(&two, apply).await, Pushed::Updated);
    assert_eq!(get(store, &at).await, "two");
    assert_eq!(delete(dry).await, Deleted::Key);
    assert_eq!(get(store, &at).await, "two");
    assert_eq!(delete(apply).await, Deleted::Key);
    assert!(!store.exists(&two).await.unwrap());
    assert_eq!(delete(apply).await, Deleted::Nothing);
}

/// What a store says that only reads.
pub(super) async fn no_write(store: &Arc<dyn Store>) {
    let (source, one) = (source(&[("a", "one")]), item(Some("a"), "pushed", None));
    let refused = [
        failed(store.push(&source, &one, WriteMode::Apply).await),
        failed(store.delete(&one, WriteMode::Apply).await),
        failed(store.exists(&one).await),
    ];
    for error in refused {
        assert_eq!(error.trouble(), Trouble::Unsupported, "{error}");
    }
}

#[tokio::test]
async fn vault_with_versions() {
    mount(openbao(), "cases-v2", 2);
    for (key, value) in content() {
        let body = json!({"data": value});
        openbao().api("POST", &format!("cases-v2/data/{key}"), Some(&body));
    }
    let store = connect(&vault(&openbao().address(), Some("cases-v2"), "v2")).await;
    every_case(&store, Traits::default()).await;
    let dotted = RemoteRef::new("app-db").property("dotted.name");
    assert_eq!(get(&store, &dotted).await, "literal");
    every_write(&store, "pushed", Some("p")).await;
}

#[tokio::test]
async fn vault_without_versions() {
    mount(openbao(), "cases-v1", 1);
    for (key, value) in content() {
        openbao().api("POST", &format!("cases-v1/{key}"), Some(&value));
    }
    let store = connect(&vault(&openbao().address(), Some("cases-v1"), "v1")).await;
    every_case(&store, Traits::default()).await;
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
    every_case(&store, Traits::default()).await;
    no_write(&store).await;
}

#[tokio::test]
async fn fake() {
    let data: Vec<Value> = content()
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": value.to_string()}))
        .collect();
    let store = connect(&json!({"fake": {"data": data}})).await;
    // Of this store a missing property is an absence, as upstream has it.
    let traits = Traits {
        missing: "(absent)",
        ..Traits::default()
    };
    every_case(&store, traits).await;
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
        every_case(&store, Traits::default()).await;
        // Keys of one file are set, and not deleted.
        if path == "keys" {
            every_write(&store, "pushed", None).await;
        }
    }
}

//! 1Password Connect on a double that `onepasswordconnectsdk` has passed first.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, Validation, WriteMode};
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::peer::{Peer, reply};
use serde_json::{Value, json};

use super::cases::{Finds, Property, Traits, content, every_case, every_write};
use super::support::{connect_with, failed, get, in_clouds, item, lines, source, with_metadata};

async fn store(clouds: &Clouds, vaults: Value) -> Arc<dyn Store> {
    let held = Held::default();
    let token = clouds.control("connect/token", &json!({}));
    held.put(
        "connect",
        "token",
        token["token"].as_str().unwrap().as_bytes(),
    );
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let settings = json!({"connectHost": "https://connect.example", "vaults": vaults,
        "auth": {"secretRef": {"connectTokenSecretRef": {"name": "connect", "key": "token"}}}});
    connect_with(&json!({ "onepassword": settings }), &connection).await
}

/// Puts an item into a vault, which is made if there is none of that name, and returns its id.
fn put(clouds: &Clouds, vault: &str, item: &Value, files: &Value) -> String {
    let body = json!({"vault": vault, "item": item, "files": files});
    let put = clouds.control("connect/item", &body);
    put["id"].as_str().unwrap().to_owned()
}

fn fields(pairs: &[(&str, &str)]) -> Value {
    let one = |(label, value): &(&str, &str)| json!({"label": label, "value": value});
    pairs.iter().map(one).collect()
}

#[tokio::test]
async fn it_passes_every_case() {
    let Some(clouds) = in_clouds("onepassword::it_passes_every_case", &[]) else {
        return;
    };
    for (key, value) in content() {
        let field = |(label, value): (&String, &Value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            json!({"label": label, "value": text})
        };
        let fields: Value = value.as_object().unwrap().iter().map(field).collect();
        put(
            &clouds,
            "first",
            &json!({"title": key, "fields": fields}),
            &json!({}),
        );
    }
    // What is missing is no proof of absence here. An item has fields: one that is called `password` stands for it, and
    // `find` looks for fields.
    let traits = Traits {
        absent: "(missing)",
        absent_map: "(missing)",
        property: Property::Field,
        has_wholes: false,
        finds: Finds::Fields,
        ..Traits::default()
    };
    let store = store(&clouds, json!({"first": 1})).await;
    every_case(&store, traits).await;
    every_write(&store, "pushed", None).await;
}

#[test]
fn the_vendors_own_client_agrees_with_the_double() {
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(clouds.prove("prove_connect.py").trim(), "proved");
}

#[tokio::test]
async fn items_are_found_by_title_and_id_in_the_order_of_vaults() {
    let case = "onepassword::items_are_found_by_title_and_id_in_the_order_of_vaults";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let db = json!({"title": "db \"a\\b\"", "tags": ["web", "prod"],
        "fields": fields(&[("user", "u"), ("password", "p<&>\"ä\n"), ("a/b.c", "dotted")])});
    let id = put(&clouds, "first", &db, &json!({}));
    let second = json!({"title": "both", "fields": fields(&[("password", "second")])});
    let far = put(&clouds, "second", &second, &json!({}));
    let first = json!({"title": "both", "fields": fields(&[("password", "first")])});
    put(&clouds, "first", &first, &json!({}));
    let twice = json!({"title": "twice", "fields": fields(&[("x", "1"), ("x", "2"), ("y", "3")])});
    put(&clouds, "second", &twice, &json!({}));
    for _ in 0..2 {
        let copy = json!({"title": "copies", "fields": fields(&[("password", "c")])});
        put(&clouds, "second", &copy, &json!({}));
    }
    let document =
        json!({"title": "paper", "category": "DOCUMENT", "fields": fields(&[("note", "n")])});
    let files = json!({"key.pem": "content", "other": "o"});
    put(&clouds, "second", &document, &files);
    let plain = store(&clouds, json!({"second": 2, "first": 1})).await;
    let at = |key: &str| RemoteRef::new(key);
    let of = |key: &str, property: &str| at(key).property(property);
    assert_eq!(plain.validate().await.unwrap(), Validation::Ready);
    assert_eq!(get(&plain, &at("db \"a\\b\"")).await, "p<&>\"ä\n");
    assert_eq!(get(&plain, &of("db \"a\\b\"", "user")).await, "u");
    assert_eq!(
        get(&plain, &of("db \"a\\b\"", "field/a/b.c")).await,
        "dotted"
    );
    assert_eq!(get(&plain, &of(&id, "user")).await, "u");
    assert_eq!(get(&plain, &at("both")).await, "first");
    // An id is looked for in the first vault only, as upstream has it.
    assert_eq!(get(&plain, &at(&far)).await, "(missing)");
    assert_eq!(get(&plain, &at("none")).await, "(missing)");
    assert_eq!(get(&plain, &at("copies")).await, "(conflict)");
    assert_eq!(get(&plain, &of("twice", "x")).await, "(missing)");
    assert_eq!(get(&plain, &of("twice", "y")).await, "3");
    assert_eq!(get(&plain, &of("both", "none")).await, "(missing)");
    assert_eq!(get(&plain, &at("both").version("1")).await, "(invalid)");
    assert_eq!(get(&plain, &at("paper")).await, "content");
    assert_eq!(get(&plain, &of("paper", "other")).await, "o");
    assert_eq!(get(&plain, &of("paper", "file/key.pem")).await, "content");
    assert_eq!(get(&plain, &of("paper", "field/note")).await, "n");
    assert_eq!(get(&plain, &of("paper", "file/none")).await, "(missing)");
    let map = async |at: &RemoteRef| plain.get_map(at).await.unwrap().found().unwrap();
    assert_eq!(
        lines(&map(&at("paper")).await),
        ["key.pem=content", "other=o"]
    );
    assert_eq!(lines(&map(&of("paper", "file/other")).await), ["other=o"]);
    assert_eq!(lines(&map(&of("db \"a\\b\"", "user")).await), ["user=u"]);
    let error = failed(plain.get_map(&at("twice")).await);
    assert_eq!(error.trouble(), Trouble::Missing);
    let inspection = plain.inspect(Some(&at("both"))).await;
    assert!(inspection.steps.iter().all(|step| step.result.is_ok()));
    assert!(
        plain
            .neighbours(&at("bth"))
            .await
            .contains(&"both".to_owned())
    );
    // Two properties of one item are one read; a vault's id is asked for once.
    clouds.control("forget-calls", &json!({}));
    get(&plain, &at("both")).await;
    assert_eq!(clouds.calls().len(), 2, "{:?}", clouds.calls());
    let none = store(&clouds, json!({"nowhere": 1})).await;
    let error = failed(none.get(&at("both")).await);
    assert_eq!(error.trouble(), Trouble::Missing);
    assert!(error.to_string().contains("nowhere"), "{error}");
}

/// Items that are wanted together are looked up by one list, which says nothing that is not true any more.
#[tokio::test]
async fn items_that_are_wanted_together_are_found_by_one_list() {
    let case = "onepassword::items_that_are_wanted_together_are_found_by_one_list";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let titled = |vault: &str, title: &str, value: &str| {
        let item = json!({"title": title, "fields": fields(&[("password", value)])});
        put(&clouds, vault, &item, &json!({}))
    };
    let a = titled("first", "a", "1");
    titled("second", "a", "not this one");
    titled("second", "b", "2");
    titled("second", "twice", "3");
    titled("second", "twice", "3");
    let store = store(&clouds, json!({"first": 1, "second": 2})).await;
    let read = async |titles: &[&str]| {
        let keys: Vec<_> = titles
            .iter()
            .map(|title| store.locate(&RemoteRef::new(*title)).unwrap())
            .collect();
        let mut told = Vec::new();
        for (title, outcome) in titles.iter().zip(store.read_many(&keys).await) {
            let at = RemoteRef::new(*title);
            let value = match outcome {
                Ok(answer) => store.value(&at, &answer.found().unwrap()),
                Err(error) => Err(error),
            };
            told.push(super::support::told(&value));
        }
        told
    };
    let told = read(&["a", "b", &a, "twice", "none"]).await;
    assert_eq!(told, ["1", "2", "1", "(conflict)", "(missing)"]);
    // The lists are shared by those who come a little later.
    clouds.control("forget-calls", &json!({}));
    assert_eq!(read(&["a", "b"]).await, ["1", "2"]);
    assert_eq!(get(&store, &RemoteRef::new("b")).await, "2");
    assert_eq!(clouds.calls().len(), 3, "{:?}", clouds.calls());
    // An item that was renamed or deleted meanwhile is not what it was.
    clouds.control("connect/rename", &json!({"id": a, "title": "c"}));
    let told = read(&["a", "b", "c"]).await;
    assert_eq!(told, ["not this one", "2", "1"]);
    titled("first", "d", "4");
    assert_eq!(read(&["b", "d"]).await, ["2", "4"]);
    let delete = item(None, "b", None);
    store.delete(&delete, WriteMode::Apply).await.unwrap();
    assert_eq!(read(&["b", "d"]).await, ["(missing)", "4"]);
}

#[tokio::test]
async fn fields_are_found_by_label_title_and_tag() {
    let case = "onepassword::fields_are_found_by_label_title_and_tag";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let one =
        json!({"title": "one", "tags": ["web"], "fields": fields(&[("user", "1"), ("key", "k")])});
    put(&clouds, "first", &one, &json!({}));
    let two = json!({"title": "two", "tags": ["web", "prod"], "fields": fields(&[("user", "2"), ("mail", "m")])});
    put(&clouds, "second", &two, &json!({}));
    let store = store(&clouds, json!({"first": 1, "second": 2})).await;
    let find = async |find: Find| lines(&store.find(&find).await.unwrap().found().unwrap());
    let named = |name: &str| Find {
        name: Some(NamePattern::new(name).unwrap()),
        ..Find::default()
    };
    assert_eq!(find(named("^(user|mail)$")).await, ["mail=m", "user=1"]);
    let titled = Find {
        path: Some("two".into()),
        ..Find::default()
    };
    assert_eq!(find(titled).await, ["mail=m", "user=2"]);
    let tagged = |tags: &[&str]| Find {
        tags: Some(
            tags.iter()
                .map(|tag| ((*tag).to_owned(), String::new()))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..Find::default()
    };
    // With tags only the first vault is looked in.
    assert_eq!(find(tagged(&["web"])).await, ["key=k", "user=1"]);
    assert_eq!(find(tagged(&["web", "prod"])).await, Vec::<String>::new());
}

#[tokio::test]
async fn fields_are_written_and_refusals_are_told() {
    let case = "onepassword::fields_are_written_and_refusals_are_told";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let section = json!({"title": "there", "tags": ["kept"], "sections": [{"id": "s", "label": "more"}],
        "fields": [{"label": "user", "value": "u", "section": {"id": "s"}, "purpose": "USERNAME"}]});
    put(&clouds, "first", &section, &json!({}));
    clouds.control("connect/vault", &json!({"name": "second"}));
    let store = store(&clouds, json!({"first": 1, "second": 2})).await;
    let source = source(&[("a", "one"), ("b", "two")]);
    let push = async |item, mode| store.push(&source, item, mode).await;
    let new = item(Some("a"), "new", None);
    assert_eq!(
        push(&new, WriteMode::DryRun).await.unwrap(),
        Pushed::Created
    );
    assert!(!store.exists(&new).await.unwrap());
    // The server lists a new item only after some looks.
    clouds.control("connect/late", &json!({"looks": 2}));
    assert_eq!(push(&new, WriteMode::Apply).await.unwrap(), Pushed::Created);
    clouds.control("connect/late", &json!({"looks": 0}));
    assert_eq!(get(&store, &RemoteRef::new("new")).await, "one");
    clouds.control("forget-calls", &json!({}));
    assert_eq!(
        push(&new, WriteMode::Apply).await.unwrap(),
        Pushed::Unchanged
    );
    assert!(clouds.calls().iter().all(|call| call.starts_with("GET")));
    // An item without a field `password` is there, and a field of it may not be.
    for (property, there) in [(None, true), (Some("user"), true), (Some("none"), false)] {
        let asked = item(Some("a"), "there", property);
        assert_eq!(store.exists(&asked).await.unwrap(), there, "{property:?}");
    }
    let field = item(Some("b"), "there", Some("user"));
    assert_eq!(
        push(&field, WriteMode::Apply).await.unwrap(),
        Pushed::Updated
    );
    let second = item(Some("a"), "there", Some("mail"));
    assert_eq!(
        push(&second, WriteMode::Apply).await.unwrap(),
        Pushed::Updated
    );
    let map = store.get_map(&RemoteRef::new("there")).await;
    assert_eq!(
        lines(&map.unwrap().found().unwrap()),
        ["mail=one", "user=two"]
    );
    let elsewhere = with_metadata(
        &item(Some("a"), "elsewhere", None),
        json!({"vault": "second", "tags": ["t"]}),
    );
    assert_eq!(
        push(&elsewhere, WriteMode::Apply).await.unwrap(),
        Pushed::Created
    );
    let nowhere = with_metadata(&item(Some("a"), "nowhere", None), json!({"vault": "third"}));
    let refused = failed(push(&nowhere, WriteMode::Apply).await);
    assert_eq!(refused.trouble(), Trouble::Invalid);
    let delete = async |item| store.delete(item, WriteMode::Apply).await.unwrap();
    assert_eq!(delete(&second).await, Deleted::Property);
    assert_eq!(delete(&second).await, Deleted::Nothing);
    // The last field takes the item with it, unless it has named sections.
    assert_eq!(delete(&new).await, Deleted::Key);
    assert_eq!(delete(&new).await, Deleted::Nothing);
    assert_eq!(delete(&field).await, Deleted::Property);
    clouds.control("deny", &json!(["write"]));
    let refused = failed(push(&new, WriteMode::Apply).await);
    assert_eq!(refused.trouble(), Trouble::Forbidden);
    assert!(
        refused.hint().unwrap().contains("write access"),
        "{refused}"
    );
    clouds.control("deny", &json!(["read"]));
    let refused = failed(store.get(&RemoteRef::new("there")).await);
    assert_eq!(refused.trouble(), Trouble::Forbidden);
    clouds.control("deny", &json!([]));
    clouds.control("fault", &json!({"throttled": 2, "failing": 1}));
    assert_eq!(get(&store, &RemoteRef::new("elsewhere")).await, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_files_without_an_end_is_too_large() {
    const FILES: usize = 40;
    let peer = Peer::start(|head, stream| {
        let path = head.path.split('?').next().unwrap_or_default();
        let named = json!([{"id": "i"}]);
        let body = match path {
            path if path.ends_with("/content") => {
                let kind = [("Content-Type", "application/octet-stream")];
                return reply(stream, 200, &kind, &vec![b'f'; 4 << 20]);
            }
            path if path.contains("/items/") => {
                let files = (0..FILES).map(|number| json!({"id": "f", "name": number.to_string()}));
                json!({"id": "i", "title": "paper", "category": "DOCUMENT", "vault": {"id": "v"},
                    "files": files.collect::<Value>()})
            }
            _ => named,
        };
        let kind = [("Content-Type", "application/json")];
        reply(stream, 200, &kind, body.to_string().as_bytes());
    });
    let held = Held::default();
    held.put("connect", "token", b"t");
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let settings = json!({"connectHost": peer.address(), "vaults": {"first": 1},
        "auth": {"secretRef": {"connectTokenSecretRef": {"name": "connect", "key": "token"}}}});
    let store = connect_with(&json!({ "onepassword": settings }), &connection).await;
    let error = failed(store.get(&RemoteRef::new("paper").property("0")).await);
    assert_eq!(error.trouble(), Trouble::TooLarge, "{error:?}");
    // The vault, the title, the item, and files until there were too many bytes.
    assert!(peer.requests() <= 3 + 8, "{} requests", peer.requests());
    let one = RemoteRef::new("paper").property("file/0");
    let found = store.get(&one).await.unwrap().found().unwrap();
    assert_eq!(found.len(), 4 << 20);
}

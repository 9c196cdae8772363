//! GitLab variables on a double that `python-gitlab` has passed first.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::store::{Connection, Store, Validation};
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::peer::{Peer, reply};
use serde_json::{Value, json};

use super::cases::{Traits, content, every_case, no_write};
use super::support::{connect_with, failed, get, in_clouds, lines};

fn variable(clouds: &Clouds, place: (&str, u32), key: &str, value: &str, scope: &str) {
    let body = json!({"kind": place.0, "id": place.1, "key": key, "value": value, "environment_scope": scope});
    clouds.control("gitlab/variable", &body);
}

async fn store(clouds: &Clouds, more: Value) -> Arc<dyn Store> {
    let held = Held::default();
    let token = clouds.control("gitlab/token", &json!({}));
    held.put(
        "gitlab",
        "token",
        token["token"].as_str().unwrap().as_bytes(),
    );
    held.put("gitlab", "wrong", b"canary-of-a-token");
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let mut settings = json!({"url": "https://gitlab.example/", "projectID": "7",
        "auth": {"SecretRef": {"accessToken": {"name": "gitlab", "key": "token"}}}});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    connect_with(&json!({ "gitlab": settings }), &connection).await
}

#[tokio::test]
async fn it_passes_every_case() {
    let Some(clouds) = in_clouds("gitlab::it_passes_every_case", &[]) else {
        return;
    };
    let spelled = |key: &str| key.replace('-', "_");
    for (key, value) in content() {
        let project = ("projects", 7);
        variable(&clouds, project, &spelled(key), &value.to_string(), "*");
    }
    // What is missing is no proof of absence here, and a map is one of texts.
    let traits = Traits {
        absent: "(missing)",
        absent_map: "(missing)",
        maps_of_anything: false,
        spelled,
        ..Traits::default()
    };
    let store = store(&clouds, json!({})).await;
    every_case(&store, traits).await;
    no_write(&store).await;
}

#[test]
fn the_vendors_own_client_agrees_with_the_double() {
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(clouds.prove("prove_gitlab.py").trim(), "proved");
}

#[tokio::test]
async fn variables_are_read_where_they_are_nearest() {
    let case = "gitlab::variables_are_read_where_they_are_nearest";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let project = ("projects", 7);
    variable(
        &clouds,
        project,
        "DB",
        r#"{"user": {"name": "u"}, "port": "1"}"#,
        "*",
    );
    variable(&clouds, project, "SCOPED", "everywhere", "*");
    variable(&clouds, project, "SCOPED", "production", "production");
    variable(&clouds, project, "my_key", "dashed", "*");
    variable(&clouds, project, "EMPTY", "", "*");
    variable(&clouds, project, "NUMBERS", r#"{"a": 1}"#, "*");
    for (group, value) in [(3, "three"), (4, "four")] {
        variable(&clouds, ("groups", group), "OF_GROUP", value, "*");
        variable(&clouds, ("groups", group), "SCOPED", value, "*");
    }
    // The one with the longer path is nearer, in whatever order they come.
    let groups = json!([{"id": 4, "full_path": "shop/web"}, {"id": 3, "full_path": "shop"}]);
    clouds.control("gitlab/groups", &json!({"project": 7, "groups": groups}));
    let plain = store(&clouds, json!({})).await;
    let production = store(&clouds, json!({"environment": "production"})).await;
    let inherits = json!({"environment": "staging", "inheritFromGroups": true});
    let inherits = store(&clouds, inherits).await;
    let at = |key: &str| RemoteRef::new(key);
    assert_eq!(plain.validate().await.unwrap(), Validation::Ready);
    assert_eq!(get(&plain, &at("my-key")).await, "dashed");
    assert_eq!(get(&plain, &at("DB").property("user.name")).await, "u");
    assert_eq!(get(&plain, &at("DB").property("none")).await, "(missing)");
    assert_eq!(get(&production, &at("SCOPED")).await, "production");
    assert_eq!(get(&production, &at("DB").property("port")).await, "1");
    assert_eq!(get(&inherits, &at("SCOPED")).await, "everywhere");
    assert_eq!(get(&inherits, &at("OF_GROUP")).await, "four");
    // Groups are asked for only when the project does not have the variable.
    clouds.control("forget-calls", &json!({}));
    assert_eq!(get(&inherits, &at("SCOPED")).await, "everywhere");
    assert!(clouds.calls().iter().all(|call| !call.contains("groups")));
    // What is missing is no proof of absence here, as upstream has it; so nothing is deleted for it.
    assert_eq!(get(&plain, &at("NONE")).await, "(missing)");
    assert_eq!(get(&plain, &at("EMPTY")).await, "(missing)");
    let error = failed(plain.get(&at("SCOPED")).await);
    assert_eq!(error.trouble(), Trouble::Conflict);
    assert!(error.hint().unwrap().contains("environment"), "{error}");
    for key in ["a/b", "", "a b"] {
        assert_eq!(get(&plain, &at(key)).await, "(invalid)", "{key}");
    }
    let map = plain.get_map(&at("DB").property("user")).await;
    assert_eq!(lines(&map.unwrap().found().unwrap()), ["name=u"]);
    assert_eq!(
        failed(plain.get_map(&at("NUMBERS")).await).trouble(),
        Trouble::Missing
    );
}

#[tokio::test]
async fn variables_are_found_over_many_pages_and_refusals_are_told() {
    let case = "gitlab::variables_are_found_over_many_pages_and_refusals_are_told";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    for number in 0..120 {
        let key = format!("MANY_{number:03}");
        variable(&clouds, ("projects", 7), &key, "p", "*");
    }
    variable(&clouds, ("projects", 7), "MANY_000", "exact", "production");
    variable(&clouds, ("projects", 7), "MANY_OTHER", "x", "other");
    variable(&clouds, ("groups", 3), "MANY_001", "group", "production");
    variable(&clouds, ("groups", 3), "MANY_GROUP", "group", "*");
    clouds.control("gitlab/groups", &json!({"project": 7, "groups": [3]}));
    let inherits = json!({"environment": "production", "inheritFromGroups": true});
    let store_of_project = store(&clouds, inherits).await;
    let find = |name: &str, scope: Option<&str>| Find {
        name: Some(NamePattern::new(name).unwrap()),
        tags: scope
            .map(|scope| BTreeMap::from([("environment_scope".to_owned(), scope.to_owned())])),
        ..Find::default()
    };
    let found = store_of_project.find(&find("^MANY_", None)).await;
    let found = lines(&found.unwrap().found().unwrap());
    assert_eq!(found.len(), 121);
    assert_eq!(found[0], "MANY_000=exact");
    assert_eq!(found[1], "MANY_001=p");
    assert!(found.contains(&"MANY_GROUP=group".to_owned()));
    // A store that is for one environment is not led to another one by who uses it.
    let error = failed(store_of_project.find(&find("OTHER", Some("other"))).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    assert!(error.to_string().contains("constrained"), "{error}");
    let of_all = store(&clouds, json!({})).await;
    let other = of_all.find(&find("OTHER", Some("other"))).await;
    assert_eq!(lines(&other.unwrap().found().unwrap()), ["MANY_OTHER=x"]);
    // Without an environment every scope counts, and the exact one wins.
    let every = of_all.find(&find("MANY_(000|OTHER)", None)).await;
    let every = lines(&every.unwrap().found().unwrap());
    assert_eq!(every, ["MANY_000=exact", "MANY_OTHER=x"]);
    let error = failed(store_of_project.find(&Find::default()).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    clouds.control("deny", &json!(["read_api"]));
    let at = RemoteRef::new("MANY_001");
    let error = failed(store_of_project.get(&at).await);
    assert_eq!(error.trouble(), Trouble::Forbidden);
    assert_eq!(error.permission(), Some("read_api"));
    clouds.control("deny", &json!([]));
    clouds.control("fault", &json!({"throttled": 2, "failing": 1}));
    assert_eq!(get(&store_of_project, &at).await, "p");
    let wrong = json!({"auth": {"SecretRef": {"accessToken": {"name": "gitlab", "key": "wrong"}}}});
    let error = failed(store(&clouds, wrong).await.get(&at).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    assert!(!format!("{error:?}").contains("canary"));
}

/// A store on a peer, with the token `t`.
async fn on_peer(peer: &Peer, more: Value) -> Arc<dyn Store> {
    let held = Held::default();
    held.put("gitlab", "token", b"t");
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let mut settings = json!({"url": peer.address(), "projectID": "7",
        "auth": {"SecretRef": {"accessToken": {"name": "gitlab", "key": "token"}}}});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    connect_with(&json!({ "gitlab": settings }), &connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_in_the_header_that_upstreams_client_sends() {
    let peer = Peer::start(|head, stream| {
        let token = head.headers.get("private-token").map(String::as_str);
        let (status, body) = match (token, head.headers.get("authorization")) {
            (Some("t"), None) => (200, json!({"key": "k", "value": "v"})),
            _ => (401, json!({"message": "401 Unauthorized"})),
        };
        let headers = [("Content-Type", "application/json")];
        reply(stream, status, &headers, body.to_string().as_bytes());
    });
    let store = on_peer(&peer, json!({})).await;
    assert_eq!(get(&store, &RemoteRef::new("k")).await, "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_has_one_bound_for_all_groups() {
    let value = "x".repeat(20_000);
    let peer = Peer::start(move |head, stream| {
        let (path, _) = head.path.split_once('?').unwrap();
        let body: Value = match path.rsplit('/').nth(1).unwrap() {
            "7" if path.ends_with("/groups") => (0..60)
                .map(|id| json!({"id": 100 + id, "full_path": format!("a/{id}")}))
                .collect(),
            // Each group alone is far from any bound.
            group => (0..99)
                .map(|number| {
                    let key = format!("K_{group}_{number}");
                    json!({"key": key, "value": value, "environment_scope": "*"})
                })
                .collect(),
        };
        let headers = [("Content-Type", "application/json")];
        reply(stream, 200, &headers, body.to_string().as_bytes());
    });
    let store = on_peer(&peer, json!({"inheritFromGroups": true})).await;
    let find = Find {
        name: Some(NamePattern::new("^K_").unwrap()),
        ..Find::default()
    };
    let error = failed(store.find(&find).await);
    assert_eq!(error.trouble(), Trouble::TooLarge, "{error:?}");
    assert!(peer.requests() < 25, "{} requests", peer.requests());
}

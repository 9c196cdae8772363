//! Reading a real server: versions, paths, proofs of absence, and what is counted.

use std::sync::Arc;

use sealwright_providers::outcome::{Answer, Proof, Trouble};
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::store::Store;
use serde_json::json;

use super::support::{
    connect, connect_with, connection, failed, get, lines, mount, openbao, vault,
};

fn proof<T: std::fmt::Debug>(answer: &Answer<T>) -> Proof {
    match answer {
        Answer::Absent(absent) => absent.proof(),
        Answer::Found(_) => panic!("it must be absent"),
    }
}

#[tokio::test]
async fn versions_are_read_and_deleted_ones_are_gone() {
    let server = openbao();
    mount(server, "versions", 2);
    for number in 1..=4 {
        server.api(
            "POST",
            "versions/data/k",
            Some(&json!({"data": {"n": number}})),
        );
    }
    server.api("POST", "versions/delete/k", Some(&json!({"versions": [2]})));
    server.api("PUT", "versions/destroy/k", Some(&json!({"versions": [3]})));
    let store = connect(&vault(&server.address(), Some("versions"), "v2")).await;
    let at = |version: &str| RemoteRef::new("k").property("n").version(version);
    assert_eq!(get(&store, &at("")).await, "4");
    assert_eq!(get(&store, &at("1")).await, "1");
    for (version, expected) in [
        ("2", Proof::Deleted),
        ("3", Proof::Deleted),
        ("99", Proof::NoSuchVersion),
    ] {
        assert_eq!(
            proof(&store.get(&at(version)).await.unwrap()),
            expected,
            "{version}"
        );
    }
    assert_eq!(get(&store, &at("abc")).await, "(invalid)");
    server.api("DELETE", "versions/data/k", None);
    assert_eq!(proof(&store.get(&at("")).await.unwrap()), Proof::Deleted);
}

#[tokio::test]
async fn what_is_no_proof_of_absence_is_an_error() {
    let server = openbao();
    mount(server, "proof-v1", 1);
    mount(server, "proof-v2", 2);
    let address = server.address();
    let at = RemoteRef::new("nothing");
    let ask = async |path: &str, version: &str| {
        connect(&vault(&address, Some(path), version))
            .await
            .get(&at)
            .await
    };
    assert_eq!(
        proof(&ask("proof-v1", "v1").await.unwrap()),
        Proof::NoSuchKey
    );
    assert_eq!(
        proof(&ask("proof-v2", "v2").await.unwrap()),
        Proof::NoSuchKey
    );
    let unmounted = failed(ask("proof-none", "v2").await);
    assert_eq!(unmounted.trouble(), Trouble::Invalid);
    assert!(
        unmounted.to_string().contains("no engine is mounted"),
        "{unmounted}"
    );
    // An engine of the other version answers an empty list of errors, too.
    let other = failed(ask("proof-v1", "v2").await);
    assert!(other.to_string().contains("kv engine version"), "{other}");
    assert!(other.hint().unwrap().contains("v1"), "{other}");
    let other = failed(ask("proof-v2", "v1").await);
    assert_eq!(other.trouble(), Trouble::Invalid, "{other}");
    let mut manifest = vault(&address, Some("proof-v2"), "v2");
    manifest["vault"]["namespace"] = "no-such-namespace".into();
    let namespace = failed(connect(&manifest).await.get(&at).await);
    assert_eq!(namespace.trouble(), Trouble::Invalid, "{namespace}");
    // A wrong token is told apart from a missing right.
    let manifest = vault(&address, Some("proof-v2"), "v2");
    let (bad, _) = connection("no-such-token");
    let store = connect_with(&manifest, &bad).await;
    assert_eq!(get(&store, &at).await, "(unauthenticated)");
    let policy =
        json!({"policy": "path \"proof-v2/data/allowed/*\" { capabilities = [\"read\"] }"});
    server.api("PUT", "sys/policies/acl/proof", Some(&policy));
    let token = server.api(
        "POST",
        "auth/token/create",
        Some(&json!({"policies": ["proof"]})),
    );
    let (limited, _) = connection(token["auth"]["client_token"].as_str().unwrap());
    let store = connect_with(&manifest, &limited).await;
    let forbidden = failed(store.get(&at).await);
    assert_eq!(forbidden.trouble(), Trouble::Forbidden, "{forbidden}");
    assert_eq!(
        forbidden.permission(),
        Some("read on proof-v2/data/nothing")
    );
    let allowed = store.get(&RemoteRef::new("allowed/nothing")).await.unwrap();
    assert_eq!(proof(&allowed), Proof::NoSuchKey);
}

#[tokio::test]
async fn keys_lie_where_upstream_looks_for_them() {
    let server = openbao();
    mount(server, "paths", 2);
    mount(server, "deep/er", 2);
    let put = |path: &str, value: &str| {
        server.api("POST", path, Some(&json!({"data": {"v": value}})));
    };
    put("paths/data/foo", "foo");
    put("paths/data/data/foo", "data/foo");
    put("paths/data/a%20b/c%25d/%D0%B6", "odd");
    put("deep/er/data/foo", "deep");
    for (mount, key, expected) in [
        (Some("paths"), "foo", "foo"),
        (Some("paths"), "paths/foo", "foo"),
        (Some("paths"), "paths/data/foo", "foo"),
        (Some("paths"), "data/foo", "data/foo"),
        (Some("paths"), "/foo", "foo"),
        (Some("paths"), "a b/c%d/ж", "odd"),
        (Some("deep/er"), "foo", "deep"),
        (None, "paths/foo", "foo"),
        (None, "deep/er/data/foo", "deep"),
        (None, "paths/data/foo", "foo"),
        (Some("paths"), "../sys/mounts", "(invalid)"),
        (Some("paths"), "x/../../foo", "(invalid)"),
    ] {
        let store = connect(&vault(&server.address(), mount, "v2")).await;
        let at = RemoteRef::new(key).property("v");
        assert_eq!(get(&store, &at).await, expected, "{mount:?} {key}");
    }
}

#[tokio::test]
async fn metadata_is_fetched() {
    let server = openbao();
    mount(server, "known", 2);
    server.api("POST", "known/data/k", Some(&json!({"data": {"a": "b"}})));
    let custom = json!({"custom_metadata": {"team": "blue", "json": "{\"x\": \"y\"}"}});
    server.api("POST", "known/metadata/k", Some(&custom));
    let store = connect(&vault(&server.address(), Some("known"), "v2")).await;
    let at = |property: &str| RemoteRef::new("k").property(property).metadata();
    assert_eq!(get(&store, &at("team")).await, "blue");
    assert_eq!(get(&store, &at("current_version")).await, "1");
    let map = store.get_map(&at("")).await.unwrap().found().unwrap();
    assert!(map.contains_key("created_time") && map.contains_key("delete_version_after"));
    let missing = RemoteRef::new("nothing").metadata();
    let error = failed(store.get(&missing).await);
    assert!(error.to_string().contains("secret not found"), "{error}");
    mount(server, "known-v1", 1);
    let store = connect(&vault(&server.address(), Some("known-v1"), "v1")).await;
    let error = failed(store.get(&at("team")).await);
    assert!(
        error.to_string().contains("cannot perform metadata fetch"),
        "{error}"
    );
}

#[tokio::test]
async fn find_reads_what_it_lists() {
    let server = openbao();
    mount(server, "tree", 2);
    for number in 0..30 {
        let path = format!("tree/data/team/{}/app-{number}", number % 3);
        server.api("POST", &path, Some(&json!({"data": {"n": number}})));
    }
    // A name that begins with the mount path means what it says.
    server.api(
        "POST",
        "tree/data/tree/inner",
        Some(&json!({"data": {"n": "inner"}})),
    );
    server.api(
        "POST",
        "tree/data/inner",
        Some(&json!({"data": {"n": "outer"}})),
    );
    let tags = json!({"custom_metadata": {"team": "blue"}});
    server.api("POST", "tree/metadata/team/1/app-4", Some(&tags));
    server.api(
        "POST",
        "tree/data/team/0/gone",
        Some(&json!({"data": {"n": 0}})),
    );
    server.api("DELETE", "tree/data/team/0/gone", None);
    let store = connect(&vault(&server.address(), Some("tree"), "v2")).await;
    let find = async |path: Option<&str>, name: &str| {
        let find = Find {
            path: path.map(str::to_owned),
            name: Some(NamePattern::new(name).unwrap()),
            ..Find::default()
        };
        store
            .find(&find)
            .await
            .unwrap()
            .found()
            .map(|map| lines(&map))
    };
    assert_eq!(find(None, "").await.unwrap().len(), 32);
    assert_eq!(find(Some("team/1"), "").await.unwrap().len(), 10);
    assert_eq!(
        find(Some("team"), "app-4$").await.unwrap(),
        ["team/1/app-4={\"n\":4}"]
    );
    assert_eq!(
        find(None, "inner$").await.unwrap(),
        ["inner={\"n\":\"outer\"}", "tree/inner={\"n\":\"inner\"}"]
    );
    assert_eq!(find(Some("nothing/here"), "").await, None);
    let by_tag = Find {
        tags: Some([("team".to_owned(), "blue".to_owned())].into()),
        ..Find::default()
    };
    let found = store.find(&by_tag).await.unwrap().found().unwrap();
    assert_eq!(lines(&found), ["team/1/app-4={\"n\":4}"]);
    let other = Find {
        tags: Some([("team".to_owned(), "red".to_owned())].into()),
        ..Find::default()
    };
    assert!(
        store
            .find(&other)
            .await
            .unwrap()
            .found()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn request_headers_are_sent_as_configured() {
    use sealwright_tests::harness::fault_proxy::FaultProxy;
    let server = openbao();
    mount(server, "headers", 2);
    server.api("POST", "headers/data/k", Some(&json!({"data": {"a": "b"}})));
    let proxy = FaultProxy::start(server.port());
    let mut manifest = vault(&proxy.address(), Some("headers"), "v2");
    manifest["vault"]["headers"] = json!({"X-Team": "blue"});
    manifest["vault"]["readYourWrites"] = true.into();
    manifest["vault"]["forwardInconsistent"] = true.into();
    let store = connect(&manifest).await;
    assert_eq!(get(&store, &RemoteRef::new("k").property("a")).await, "b");
    let head = proxy.heads().pop().unwrap().to_lowercase();
    assert!(head.contains("\r\nx-team: blue\r\n"), "{head}");
    assert!(
        head.contains("\r\nx-vault-inconsistent: forward-active-node\r\n"),
        "{head}"
    );
    // Without `readYourWrites` the other has no effect, as upstream.
    manifest["vault"]["readYourWrites"] = false.into();
    let store: Arc<dyn Store> = connect(&manifest).await;
    assert_eq!(get(&store, &RemoteRef::new("k").property("a")).await, "b");
    let head = proxy.heads().pop().unwrap().to_lowercase();
    assert!(!head.contains("x-vault-inconsistent"), "{head}");
}

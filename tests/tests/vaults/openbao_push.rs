//! Writing to a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::outcome::{StoreError, Trouble};
use sealwright_providers::remote::{PushItem, PushSource, RemoteRef};
use sealwright_providers::store::{Deleted, Pushed, Store, WriteMode};
use sealwright_tests::harness::double::Double;
use serde_json::{Value, json};

use super::support::{connect, failed, get, mount, openbao, vault};

fn source(pairs: &[(&str, &str)]) -> PushSource {
    PushSource {
        data: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretBytes::copy_of(value.as_bytes())))
            .collect(),
        ..PushSource::default()
    }
}

fn item(key: Option<&str>, remote: &str, property: Option<&str>) -> PushItem {
    PushItem {
        secret_key: key.map(str::to_owned),
        remote_key: remote.to_owned(),
        property: property.map(str::to_owned),
        metadata: None,
    }
}

async fn push(
    store: &Arc<dyn Store>,
    source: &PushSource,
    item: &PushItem,
) -> Result<Pushed, StoreError> {
    store.push(source, item, WriteMode::Apply).await
}

fn stored(path: &str) -> Value {
    openbao().api("GET", path, None)["data"]["data"].clone()
}

#[tokio::test]
async fn a_push_creates_updates_and_leaves_alone() {
    let server = openbao();
    mount(server, "push", 2);
    let store = connect(&vault(&server.address(), Some("push"), "v2")).await;
    let both = source(&[("user", "jo"), ("password", "a<b>&\"")]);
    let whole = item(None, "app/db", None);
    let dry = store.push(&both, &whole, WriteMode::DryRun).await.unwrap();
    assert_eq!(dry, Pushed::Created);
    assert_eq!(get(&store, &RemoteRef::new("app/db")).await, "(absent)");
    assert_eq!(push(&store, &both, &whole).await.unwrap(), Pushed::Created);
    assert_eq!(
        stored("push/data/app/db"),
        json!({"user": "jo", "password": "a<b>&\""})
    );
    assert_eq!(
        push(&store, &both, &whole).await.unwrap(),
        Pushed::Unchanged
    );
    let one = item(Some("password"), "app/db", Some("admin.password"));
    assert_eq!(push(&store, &both, &one).await.unwrap(), Pushed::Updated);
    assert_eq!(push(&store, &both, &one).await.unwrap(), Pushed::Unchanged);
    assert_eq!(stored("push/data/app/db")["admin.password"], "a<b>&\"");
    // Tags that someone else keeps there stay.
    let tags = json!({"custom_metadata": {"managed-by": "external-secrets", "team": "blue"}});
    server.api("POST", "push/metadata/app/db", Some(&tags));
    let changed = source(&[("user", "al")]);
    assert_eq!(
        push(&store, &changed, &whole).await.unwrap(),
        Pushed::Updated
    );
    let known = server.api("GET", "push/metadata/app/db", None);
    assert_eq!(known["data"]["custom_metadata"], tags["custom_metadata"]);
    assert_eq!(known["data"]["current_version"], 3);
    // Values that are objects and numbers are compared, too.
    let nested = source(&[("doc", r#"{"n": 1.0, "list": [1, {"x": null}]}"#)]);
    let doc = item(Some("doc"), "app/doc", None);
    assert_eq!(push(&store, &nested, &doc).await.unwrap(), Pushed::Created);
    assert_eq!(
        push(&store, &nested, &doc).await.unwrap(),
        Pushed::Unchanged
    );
    let error = failed(push(&store, &changed, &item(Some("user"), "app/x", None)).await);
    assert_eq!(error.trouble(), Trouble::Invalid, "{error}");
    let error = failed(push(&store, &changed, &item(Some("nothing"), "app/x", Some("p"))).await);
    assert_eq!(error.trouble(), Trouble::Invalid, "{error}");
}

#[tokio::test]
async fn what_others_wrote_is_left_alone() {
    let server = openbao();
    mount(server, "others", 2);
    mount(server, "others-v1", 1);
    server.api(
        "POST",
        "others/data/k",
        Some(&json!({"data": {"a": "theirs"}})),
    );
    server.api("POST", "others-v1/k", Some(&json!({"a": "theirs"})));
    for (path, version) in [("others", "v2"), ("others-v1", "v1")] {
        let store = connect(&vault(&server.address(), Some(path), version)).await;
        let ours = source(&[("a", "ours")]);
        let error = failed(push(&store, &ours, &item(None, "k", None)).await);
        assert_eq!(error.trouble(), Trouble::Conflict, "{error}");
        assert!(
            error
                .to_string()
                .contains("secret not managed by external-secrets"),
            "{error}"
        );
        let deleted = store
            .delete(&item(None, "k", None), WriteMode::Apply)
            .await
            .unwrap();
        assert_eq!(deleted, Deleted::NotManaged);
        assert_eq!(
            get(&store, &RemoteRef::new("k").property("a")).await,
            "theirs"
        );
    }
    // Up to 2.13 upstream kept its mark elsewhere for keys that begin with the mount path.
    let mark = json!({"custom_metadata": {"managed-by": "external-secrets"}});
    server.api("POST", "others/metadata/others/k", Some(&mark));
    let store = connect(&vault(&server.address(), Some("others"), "v2")).await;
    let ours = source(&[("a", "ours")]);
    let pushed = push(&store, &ours, &item(None, "others/k", None))
        .await
        .unwrap();
    assert_eq!(pushed, Pushed::Updated);
    assert_eq!(stored("others/data/k"), json!({"a": "ours"}));
}

#[tokio::test]
async fn engines_that_want_versions_named_get_them() {
    let server = openbao();
    mount(server, "cas", 2);
    server.api("POST", "cas/config", Some(&json!({"cas_required": true})));
    let whole = item(None, "k", None);
    let plain = connect(&vault(&server.address(), Some("cas"), "v2")).await;
    let error = failed(push(&plain, &source(&[("a", "1")]), &whole).await);
    assert!(error.hint().unwrap().contains("checkAndSet"), "{error}");
    // What could not be written has left no mark behind.
    let (status, _) = server.try_api(
        sealwright_tests::harness::openbao::ROOT,
        "GET",
        "cas/metadata/k",
        None,
    );
    assert_eq!(status, 404);
    let mut manifest = vault(&server.address(), Some("cas"), "v2");
    manifest["vault"]["checkAndSet"] = json!({"required": true});
    let store = connect(&manifest).await;
    assert_eq!(
        push(&store, &source(&[("a", "1")]), &whole).await.unwrap(),
        Pushed::Created
    );
    assert_eq!(
        push(&store, &source(&[("a", "2")]), &whole).await.unwrap(),
        Pushed::Updated
    );
    // After a deletion the newest version still counts.
    server.api("DELETE", "cas/data/k", None);
    assert_eq!(
        push(&store, &source(&[("a", "3")]), &whole).await.unwrap(),
        Pushed::Created
    );
    assert_eq!(stored("cas/data/k"), json!({"a": "3"}));
}

#[tokio::test]
async fn a_key_that_another_writer_makes_meanwhile_is_not_deleted() {
    let made = Arc::new(AtomicBool::new(false));
    let server = Double::start(
        move |asked| match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", path) if path.starts_with("/v1/sys/internal/ui/mounts/") => (
                200,
                json!({"data": {"type": "kv", "options": {"version": "2"}}}),
            ),
            ("GET", "/v1/race/metadata/k") if made.load(Ordering::SeqCst) => {
                (200, json!({"data": {"current_version": 1}}))
            }
            ("GET", _) => (404, json!({"errors": []})),
            (_, "/v1/race/data/k") => {
                made.store(true, Ordering::SeqCst);
                let text = "check-and-set parameter did not match the current version";
                (400, json!({"errors": [text]}))
            }
            _ => (204, Value::Null),
        },
    );
    let mut manifest = vault(server.address(), Some("race"), "v2");
    manifest["vault"]["checkAndSet"] = json!({"required": true});
    let store = connect(&manifest).await;
    failed(push(&store, &source(&[("a", "1")]), &item(None, "k", None)).await);
    let asked = server.asked();
    assert!(asked.iter().any(|asked| asked.path == "/v1/race/data/k"));
    let deletions = asked.iter().filter(|asked| asked.method == "DELETE");
    assert_eq!(deletions.count(), 0, "what the other writer made is gone");
}

#[tokio::test]
async fn deletions_take_a_property_or_everything() {
    let server = openbao();
    mount(server, "gone", 2);
    mount(server, "gone-v1", 1);
    for (path, version) in [("gone", "v2"), ("gone-v1", "v1")] {
        let store = connect(&vault(&server.address(), Some(path), version)).await;
        let whole = item(None, "k", None);
        push(&store, &source(&[("a", "1"), ("b", "2")]), &whole)
            .await
            .unwrap();
        let of = |property| item(None, "k", Some(property));
        assert!(store.exists(&of("a")).await.unwrap());
        let delete = async |item: &PushItem| store.delete(item, WriteMode::Apply).await.unwrap();
        assert_eq!(delete(&of("nothing")).await, Deleted::Nothing);
        assert_eq!(delete(&of("a")).await, Deleted::Property);
        assert!(!store.exists(&of("a")).await.unwrap());
        assert!(store.exists(&whole).await.unwrap());
        assert_eq!(delete(&of("b")).await, Deleted::Key);
        assert!(!store.exists(&whole).await.unwrap());
        assert_eq!(delete(&whole).await, Deleted::Nothing);
        assert_eq!(get(&store, &RemoteRef::new("k")).await, "(absent)");
    }
}

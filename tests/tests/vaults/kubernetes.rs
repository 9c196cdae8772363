//! The Secrets of a real API server, with rights that it enforces.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::outcome::{Answer, Trouble};
use sealwright_providers::remote::{Find, NamePattern, PushItem, PushSource, RemoteRef};
use sealwright_providers::store::{Deleted, Pushed, Store, Validation, WriteMode};
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::{Namespace, rule};
use sealwright_tests::harness::double::Double;
use sealwright_tests::harness::upstream::kubectl;
use serde_json::{Value, json};

use super::cases::{Traits, content, every_case, every_write};
use super::support::{connect_with, connection, failed, get, lines};

fn secret(name: &str, data: &Value, metadata: &Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "stringData": data, "metadata": {"name": name}});
    for (field, value) in metadata.as_object().unwrap() {
        object["metadata"][field] = value.clone();
    }
    object
}

async fn fill(namespace: &Namespace<'_>) {
    let objects = [
        secret(
            "db",
            &json!({"user": "admin", "tls.crt": "cert", "json": "{\"a\": {\"b\": \"c\"}, \"n\": 1}"}),
            &json!({"labels": {"app": "shop", "app.kubernetes.io/name": "db"}, "annotations": {"note": "{\"x\": \"y\"}"}}),
        ),
        secret(
            "web",
            &json!({"user": "web"}),
            &json!({"labels": {"app": "shop"}}),
        ),
        secret("other", &json!({"user": "other"}), &json!({})),
    ];
    for mut object in objects {
        object["metadata"]["namespace"] = namespace.name().into();
        namespace.cluster().apply(&object.to_string());
    }
}

/// A store that signs in with a token.
async fn store(namespace: &str, token: &str) -> Arc<dyn Store> {
    let (connection, held) = connection("unused");
    held.put("reader", "token", token.as_bytes());
    let authority = std::fs::read(cluster().authority()).unwrap();
    held.put("ca", "ca.crt", &authority);
    let manifest = json!({"kubernetes": {"remoteNamespace": namespace,
        "server": {"url": cluster().url(), "caProvider": {"type": "Secret", "name": "ca", "key": "ca.crt"}},
        "auth": {"token": {"bearerToken": {"name": "reader", "key": "token"}}}}});
    connect_with(&manifest, &connection).await
}

#[tokio::test]
async fn it_passes_every_case() {
    let namespace = cluster().namespace("store-cases").await;
    for (key, value) in content() {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let data = value.as_object().unwrap().iter();
        let data: Value = data
            .map(|(key, value)| (key.clone(), text(value)))
            .collect();
        let object = secret(key, &data, &json!({"namespace": namespace.name()}));
        namespace.cluster().apply(&object.to_string());
    }
    let verbs = ["get", "list", "create", "update", "delete"];
    let rules = [rule("", &["secrets"], &verbs)];
    let account = namespace.account("writer", &rules).await;
    // Of a single value upstream reports an error, of a map an absence.
    let traits = Traits {
        absent: "(missing)",
        ..Traits::default()
    };
    let store = store(namespace.name(), &account.token).await;
    every_case(&store, traits).await;
    every_write(&store, "pushed", Some("p")).await;
}

#[tokio::test]
async fn secrets_are_read_listed_and_proved_absent() {
    let namespace = cluster().namespace("store-read").await;
    fill(&namespace).await;
    let rules = [rule("", &["secrets"], &["get", "list"])];
    let account = namespace.account("reader", &rules).await;
    let store = store(namespace.name(), &account.token).await;
    assert_eq!(store.validate().await.unwrap(), Validation::Ready);
    let db = |property: &str| RemoteRef::new("db").property(property);
    assert_eq!(get(&store, &db("user")).await, "admin");
    assert_eq!(get(&store, &db("tls.crt")).await, "cert");
    assert_eq!(get(&store, &db("json.a.b")).await, "c");
    assert_eq!(get(&store, &db("nothing")).await, "(missing)");
    assert_eq!(
        get(&store, &RemoteRef::new("web")).await,
        r#"{"user":"web"}"#
    );
    assert_eq!(get(&store, &db("labels.app").metadata()).await, "shop");
    assert_eq!(
        get(&store, &db("labels.app.kubernetes.io/name").metadata()).await,
        "db"
    );
    assert_eq!(get(&store, &db("annotations.note.x").metadata()).await, "y");
    let map = store
        .get_map(&RemoteRef::new("web"))
        .await
        .unwrap()
        .found()
        .unwrap();
    assert_eq!(lines(&map), ["user=web"]);
    let inner = store.get_map(&db("json")).await.unwrap().found().unwrap();
    assert_eq!(lines(&inner), [r#"a={"b":"c"}"#, "n=1"]);
    // Of a single value upstream reports an error, of a map an absence.
    let none = RemoteRef::new("nothing");
    assert_eq!(get(&store, &none).await, "(missing)");
    assert!(matches!(
        store.get_map(&none).await.unwrap(),
        Answer::Absent(_)
    ));
    let find = Find {
        name: Some(NamePattern::new("^(db|web)$").unwrap()),
        ..Find::default()
    };
    let found = store.find(&find).await.unwrap().found().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["db", "web"]);
    let tagged = Find {
        tags: Some(BTreeMap::from([("app".to_owned(), "shop".to_owned())])),
        ..Find::default()
    };
    let found = store.find(&tagged).await.unwrap().found().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["db", "web"]);
    for (name, value) in [
        ("app", "shop,team=x"),
        ("app in (shop),x", "y"),
        ("!app", ""),
    ] {
        let odd = Find {
            tags: Some(BTreeMap::from([(name.to_owned(), value.to_owned())])),
            ..Find::default()
        };
        let error = failed(store.find(&odd).await);
        assert_eq!(error.trouble(), Trouble::Invalid, "{error}");
    }
    for bad in ["../db", "a/b", "A", ""] {
        assert_eq!(
            get(&store, &RemoteRef::new(bad)).await,
            "(invalid)",
            "{bad}"
        );
    }
    let inspection = store.inspect(Some(&db("user"))).await;
    assert_eq!(
        inspection.principal.as_deref(),
        Some(account.user().as_str())
    );
}

#[tokio::test]
async fn a_missing_right_a_wrong_token_and_a_wrong_namespace_are_no_absence() {
    let namespace = cluster().namespace("store-rights").await;
    let blind = namespace.account("blind", &[]).await;
    let without = store(namespace.name(), &blind.token).await;
    let none = RemoteRef::new("nothing");
    let error = failed(without.get_map(&none).await);
    assert_eq!(error.trouble(), Trouble::Forbidden, "{error}");
    assert_eq!(error.principal(), Some(blind.user().as_str()));
    assert!(
        error
            .permission()
            .unwrap()
            .contains("get resource \"secrets\""),
        "{error}"
    );
    let error = failed(without.validate().await);
    assert!(
        error
            .to_string()
            .contains("client is not allowed to get secrets"),
        "{error}"
    );
    let bad = store(namespace.name(), "no-token").await;
    assert_eq!(
        failed(bad.get_map(&none).await).trouble(),
        Trouble::Unauthenticated
    );
    // The administrator may read everywhere, also where nothing is.
    let flat = Command::new(kubectl())
        .arg("--kubeconfig")
        .arg(cluster().kubeconfig())
        .args(["config", "view", "--raw", "--flatten"])
        .output()
        .unwrap();
    let kubeconfig = flat.stdout;
    let (connection, held) = connection("unused");
    held.put("kubeconfig", "config", &kubeconfig);
    let manifest = |namespace: &str| json!({"kubernetes": {"remoteNamespace": namespace, "authRef": {"name": "kubeconfig", "key": "config"}}});
    let here = connect_with(&manifest(namespace.name()), &connection).await;
    assert!(matches!(
        here.get_map(&none).await.unwrap(),
        Answer::Absent(_)
    ));
    let nowhere = connect_with(&manifest("no-such-namespace"), &connection).await;
    let error = failed(nowhere.get_map(&none).await);
    assert_eq!(error.trouble(), Trouble::Invalid, "{error}");
    assert!(error.to_string().contains("no namespace"), "{error}");
}

#[tokio::test]
async fn p63_service_accounts_and_client_certificates_sign_in() {
    let namespace = cluster().namespace("store-auth").await;
    fill(&namespace).await;
    let account = namespace
        .account("reader", &[rule("", &["secrets"], &["get"])])
        .await;
    let flat = Command::new(kubectl())
        .arg("--kubeconfig")
        .arg(cluster().kubeconfig())
        .args(["config", "view", "--raw", "--flatten", "-o", "json"])
        .output()
        .unwrap();
    let admin: Value = serde_json::from_slice(&flat.stdout).unwrap();
    let part = |name: &str| {
        let text = admin["users"][0]["user"][name].as_str().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap()
    };
    let (connection, held) = connection("unused");
    held.put_token("reader", SecretBytes::copy_of(account.token.as_bytes()));
    held.put("admin", "tls.crt", &part("client-certificate-data"));
    held.put("admin", "tls.key", &part("client-key-data"));
    let authority = std::fs::read(cluster().authority()).unwrap();
    held.put("ca", "ca.crt", &authority);
    let by_account = json!({"serviceAccount": {"name": "reader"}});
    let by_certificate = json!({"cert": {"clientCert": {"name": "admin", "key": "tls.crt"},
        "clientKey": {"name": "admin", "key": "tls.key"}}});
    for (auth, principal) in [
        (by_account, account.user()),
        (by_certificate, "admin".to_owned()),
    ] {
        let manifest = json!({"kubernetes": {"remoteNamespace": namespace.name(), "auth": auth,
            "server": {"url": cluster().url(), "caProvider": {"type": "Secret", "name": "ca", "key": "ca.crt"}}}});
        let store = connect_with(&manifest, &connection).await;
        let at = RemoteRef::new("db").property("user");
        assert_eq!(get(&store, &at).await, "admin", "{manifest}");
        let asked_as = store.inspect(None).await.principal.unwrap_or_default();
        assert!(asked_as.contains(&principal), "{asked_as}");
    }
}

#[tokio::test]
async fn secrets_are_written_and_deleted() {
    let namespace = cluster().namespace("store-write").await;
    let verbs = ["get", "create", "update", "delete"];
    let account = namespace
        .account("writer", &[rule("", &["secrets"], &verbs)])
        .await;
    let store = store(namespace.name(), &account.token).await;
    let source = PushSource {
        data: [
            ("a".to_owned(), SecretBytes::copy_of(b"1")),
            ("b".to_owned(), SecretBytes::copy_of(b"\xff\0")),
        ]
        .into(),
        secret_type: Some("Opaque".into()),
        labels: BTreeMap::from([("from".to_owned(), "source".to_owned())]),
        ..PushSource::default()
    };
    let whole = PushItem {
        remote_key: "pushed".into(),
        metadata: Some(
            json!({"apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata",
            "spec": {"labels": {"team": "blue"}}}),
        ),
        ..PushItem::default()
    };
    let push = async |item: &PushItem| store.push(&source, item, WriteMode::Apply).await;
    let dry = store
        .push(&source, &whole, WriteMode::DryRun)
        .await
        .unwrap();
    assert_eq!(dry, Pushed::Created);
    assert_eq!(push(&whole).await.unwrap(), Pushed::Created);
    assert_eq!(push(&whole).await.unwrap(), Pushed::Unchanged);
    let map = store
        .get_map(&RemoteRef::new("pushed"))
        .await
        .unwrap()
        .found()
        .unwrap();
    assert_eq!(map["b"].expose(), b"\xff\0");
    let label = RemoteRef::new("pushed").property("labels.team").metadata();
    assert_eq!(get(&store, &label).await, "blue");
    let one = PushItem {
        secret_key: Some("a".into()),
        property: Some("c".into()),
        ..whole.clone()
    };
    assert_eq!(push(&one).await.unwrap(), Pushed::Updated);
    assert!(store.exists(&one).await.unwrap());
    let bare = PushItem {
        secret_key: Some("a".into()),
        ..whole.clone()
    };
    let error = failed(push(&bare).await);
    assert!(error.to_string().contains("requires property"), "{error}");
    let elsewhere = PushItem {
        metadata: Some(
            json!({"apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata",
            "spec": {"remoteNamespace": "kube-system"}}),
        ),
        ..whole.clone()
    };
    assert_eq!(failed(push(&elsewhere).await).trouble(), Trouble::Invalid);
    let delete = async |item: &PushItem| store.delete(item, WriteMode::Apply).await.unwrap();
    assert_eq!(delete(&one).await, Deleted::Property);
    assert_eq!(delete(&one).await, Deleted::Nothing);
    let all = PushItem {
        metadata: None,
        ..whole
    };
    assert_eq!(delete(&all).await, Deleted::Key);
    assert_eq!(delete(&all).await, Deleted::Nothing);
}

#[tokio::test]
async fn what_has_changed_since_it_was_looked_at_is_not_deleted() {
    let server = Double::start(|asked| match asked.method.as_str() {
        "GET" => (
            200,
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "MQ=="},
                "metadata": {"name": "k", "namespace": "ns", "resourceVersion": "7"}}),
        ),
        _ => (
            409,
            json!({"kind": "Status", "reason": "Conflict", "code": 409}),
        ),
    });
    let (connection, held) = connection("unused");
    held.put("writer", "token", b"t");
    let manifest = json!({"kubernetes": {"remoteNamespace": "ns", "server": {"url": server.address()},
        "auth": {"token": {"bearerToken": {"name": "writer", "key": "token"}}}}});
    let store = connect_with(&manifest, &connection).await;
    // The last property that was there when it was looked at.
    let item = PushItem {
        remote_key: "k".into(),
        property: Some("a".into()),
        ..PushItem::default()
    };
    let error = failed(store.delete(&item, WriteMode::Apply).await);
    assert_eq!(error.trouble(), Trouble::Conflict);
    let asked = server.asked();
    let deletion = asked.iter().find(|asked| asked.method == "DELETE").unwrap();
    let expected = json!({"resourceVersion": "7"});
    assert_eq!(deletion.body["preconditions"], expected);
}

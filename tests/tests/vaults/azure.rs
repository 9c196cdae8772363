//! Azure Key Vault on a double that the vendor's own clients have passed first.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Proof, StoreError, Trouble};
use sealwright_providers::remote::{Find, NamePattern, PushItem, RemoteRef};
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, WriteMode};
use sealwright_tests::harness::clouds::Clouds;
use serde_json::{Value, json};

use super::cases::{Traits, content, every_case, every_write};
use super::support::{
    config, connect_with, failed, get, in_clouds, item, lines, proof, source, with_metadata,
};

const VAULT: &str = "shop.vault.azure.net";

/// A store that signs in with a client secret.
fn settings(tenant: &Value, more: Value) -> Value {
    let mut settings = json!({"vaultUrl": format!("https://{VAULT}"), "tenantId": tenant,
        "authSecretRef": {"clientId": {"name": "azure", "key": "client"},
            "clientSecret": {"name": "azure", "key": "secret"}}});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({ "azurekv": settings })
}

/// A connection whose Secret `azure` holds what a client signs in with, and the client's tenant.
fn connection(clouds: &Clouds) -> (Connection, Arc<Held>, Value) {
    let held = Arc::new(Held::default());
    let client = clouds.control("azure/client", &json!({}));
    for key in ["client", "secret", "pem", "tenant"] {
        held.put("azure", key, client[key].as_str().unwrap().as_bytes());
    }
    let pfx = STANDARD.decode(client["pfx"].as_str().unwrap()).unwrap();
    held.put("azure", "pfx", &pfx);
    let connection = Connection {
        credentials: Arc::clone(&held) as Arc<_>,
        ..Connection::default()
    };
    (connection, held, client["tenant"].clone())
}

async fn store(clouds: &Clouds, more: Value) -> Arc<dyn Store> {
    let (connection, _, tenant) = connection(clouds);
    connect_with(&settings(&tenant, more), &connection).await
}

fn secret(clouds: &Clouds, name: &str, values: &[&str], more: Value) {
    let mut body = json!({"vault": VAULT, "name": name, "values": values});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    clouds.control("azure/secret", &body);
}

fn newest(clouds: &Clouds, name: &str) -> Value {
    let objects = clouds.control("azure/objects", &json!({"vault": VAULT}));
    let versions = objects["secrets"][name].as_array().cloned();
    versions
        .and_then(|versions| versions.last().cloned())
        .unwrap_or_default()
}

#[test]
fn the_vendors_own_clients_agree_with_the_double() {
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(clouds.prove("prove_azure.py").trim(), "proved");
}

#[tokio::test]
async fn it_passes_every_case() {
    let Some(clouds) = in_clouds("azure::it_passes_every_case", &[]) else {
        return;
    };
    for (key, value) in content() {
        secret(&clouds, key, &[&value.to_string()], json!({}));
    }
    for dialect in [false, true] {
        let store = store(&clouds, json!({ "useAzureSDK": dialect })).await;
        every_case(&store, Traits::default()).await;
        // A vault keeps the name of what was deleted.
        every_write(&store, &format!("pushed-{dialect}"), None).await;
        let dotted = RemoteRef::new("app-db").property("dotted.name");
        assert_eq!(get(&store, &dotted).await, "literal");
    }
    let signed_in = clouds.calls();
    let signed_in = signed_in.iter().filter(|call| call.contains("oauth2"));
    assert_eq!(signed_in.count(), 2);
}

#[tokio::test]
async fn prefixes_versions_tags_and_times() {
    let Some(clouds) = in_clouds("azure::prefixes_versions_tags_and_times", &[]) else {
        return;
    };
    let tags = json!({"tags": {"team": "<web>", "more": "{\"a\":\"b\"}", "a.b": "c",
        "deep": "{\"v.w\":\"2\"}"}});
    secret(&clouds, "db", &["one", "two"], tags);
    secret(&clouds, "off", &["x"], json!({"enabled": false}));
    let old = store(&clouds, json!({})).await;
    let new = store(&clouds, json!({"useAzureSDK": true})).await;
    assert_eq!(get(&old, &RemoteRef::new("db")).await, "two");
    assert_eq!(get(&old, &RemoteRef::new("secret/db/x")).await, "two");
    let objects = clouds.control("azure/objects", &json!({"vault": VAULT}));
    let version = objects["secrets"]["db"][0]["version"].as_str().unwrap();
    assert_eq!(
        get(&old, &RemoteRef::new("db").version(version)).await,
        "one"
    );
    let none = old.get(&RemoteRef::new("db").version("0".repeat(32))).await;
    assert_eq!(proof(&none.unwrap()), Proof::NoSuchVersion);
    // What is disabled is there: no absence.
    let error = failed(old.get(&RemoteRef::new("off")).await);
    assert_eq!(error.trouble(), Trouble::Forbidden);
    assert!(error.to_string().contains("SecretDisabled"), "{error}");
    for wrong in ["other/x", "a_b", "", "secret/"] {
        let error = failed(old.get(&RemoteRef::new(wrong)).await);
        assert_eq!(error.trouble(), Trouble::Invalid, "{wrong}");
    }
    let about = |property: &str| RemoteRef::new("db").metadata().property(property);
    assert_eq!(get(&old, &about("team")).await, "<web>");
    assert_eq!(get(&old, &about("more.a")).await, "b");
    assert_eq!(get(&old, &about("a.b")).await, "c");
    // A member whose own name has dots, as of values.
    assert_eq!(get(&old, &about("deep.v.w")).await, "2");
    assert_eq!(get(&old, &about("none")).await, "(missing)");
    // The older dialect tells the times, too.
    let created = get(&old, &about("created")).await;
    assert!(created.ends_with('Z'), "{created}");
    assert_eq!(get(&new, &about("created")).await, "(missing)");
    assert_eq!(
        get(&new, &about("")).await,
        r#"{"a.b":"c","deep":"{\"v.w\":\"2\"}","more":"{\"a\":\"b\"}","team":"\u003cweb\u003e"}"#
    );
    let map = new.get_map(&RemoteRef::new("db").metadata()).await;
    let map = map.unwrap().found().unwrap();
    assert_eq!(
        lines(&map),
        ["db_a.b=c", "db_deep_v.w=2", "db_more_a=b", "db_team=<web>"]
    );
    // Keys show what is public of them, certificates their DER.
    clouds.control("azure/key", &json!({"vault": VAULT, "name": "k"}));
    assert_eq!(
        get(&old, &RemoteRef::new("key/k").property("kty")).await,
        "RSA"
    );
    let jwk: Value = serde_json::from_str(&get(&old, &RemoteRef::new("key/k")).await).unwrap();
    assert!(jwk["kid"].as_str().unwrap().contains("/keys/k/"), "{jwk}");
    assert_eq!(get(&old, &RemoteRef::new("key/none")).await, "(absent)");
    assert_eq!(get(&old, &RemoteRef::new("cert/none")).await, "(absent)");
    let error = failed(old.get_map(&RemoteRef::new("key/k")).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
}

#[tokio::test]
async fn sixty_secrets_are_found_without_the_disabled_ones() {
    let case = "azure::sixty_secrets_are_found_without_the_disabled_ones";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    for number in 0..60 {
        let name = format!("many-{number:02}");
        let tags = json!({"tags": {"set": (number % 2).to_string()}, "enabled": number != 7});
        secret(&clouds, &name, &[&name], tags);
    }
    let store = store(&clouds, json!({})).await;
    let tagged = Find {
        name: Some(NamePattern::new("^many-").unwrap()),
        tags: Some(BTreeMap::from([("set".to_owned(), "1".to_owned())])),
        ..Find::default()
    };
    clouds.control("forget-calls", &json!({}));
    let found = store.find(&Find::default()).await.unwrap().found().unwrap();
    assert_eq!(found.len(), 59);
    let listings = clouds.calls();
    let listings = listings.iter().filter(|call| call.ends_with("net/secrets"));
    assert_eq!(listings.count(), 3);
    let found = store.find(&tagged).await.unwrap().found().unwrap();
    assert_eq!(found.len(), 29);
    assert_eq!(lines(&found)[0], "many-01=many-01");
    clouds.control("deny", &json!(["secrets/get"]));
    let error = failed(store.find(&tagged).await);
    assert_eq!(error.trouble(), Trouble::Forbidden);
    assert_eq!(error.permission(), Some("secrets/get"));
}

async fn push(store: &Arc<dyn Store>, item: &PushItem) -> Result<Pushed, StoreError> {
    let values = source(&[("user", "u"), ("password", "p<&>")]);
    store.push(&values, item, WriteMode::Apply).await
}

#[tokio::test]
async fn secrets_are_pushed_and_deleted_as_each_dialect_does() {
    let case = "azure::secrets_are_pushed_and_deleted_as_each_dialect_does";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let old = store(&clouds, json!({})).await;
    let new = store(&clouds, json!({"useAzureSDK": true})).await;
    let one = item(Some("user"), "pushed", None);
    let values = source(&[("user", "u")]);
    let dry = old.push(&values, &one, WriteMode::DryRun).await.unwrap();
    assert_eq!(dry, Pushed::Created);
    assert!(!old.exists(&one).await.unwrap());
    let spec = json!({"expirationDate": "2030-01-02T15:04:05Z", "contentType": "text/x", "tags": {"a": "b"}});
    let described = with_metadata(&one, spec);
    assert_eq!(push(&old, &described).await.unwrap(), Pushed::Created);
    let there = newest(&clouds, "pushed");
    assert_eq!(there["value"], "u");
    assert_eq!(there["exp"], 1_893_596_645);
    assert_eq!(there["contentType"], "text/x");
    assert_eq!(
        there["tags"],
        json!({"a": "b", "managed-by": "external-secrets"})
    );
    clouds.control("forget-calls", &json!({}));
    assert_eq!(push(&old, &described).await.unwrap(), Pushed::Unchanged);
    // A type that is empty is none.
    let untyped = json!({"expirationDate": "2030-01-02T15:04:05Z", "contentType": ""});
    let untyped = with_metadata(&one, untyped);
    assert_eq!(push(&old, &untyped).await.unwrap(), Pushed::Unchanged);
    // The newer dialect neither sends nor compares the expiry, and keeps the type.
    assert_eq!(push(&new, &one).await.unwrap(), Pushed::Unchanged);
    let calls = clouds.calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("PUT")),
        "{calls:?}"
    );
    assert_eq!(push(&old, &one).await.unwrap(), Pushed::Updated);
    let there = newest(&clouds, "pushed");
    assert_eq!(there["exp"], Value::Null);
    assert_eq!(there["contentType"], "text/x");
    let whole = item(None, "whole", None);
    assert_eq!(push(&new, &whole).await.unwrap(), Pushed::Created);
    let expected = r#"{"password":"p<&>","user":"u"}"#;
    assert_eq!(newest(&clouds, "whole")["value"], expected);
    // What others keep there stays theirs; only the words differ.
    secret(&clouds, "foreign", &["theirs"], json!({"tags": {"a": "b"}}));
    let foreign = item(Some("user"), "foreign", None);
    for store in [&old, &new] {
        let error = failed(push(store, &foreign).await);
        assert_eq!(error.trouble(), Trouble::Conflict);
    }
    let error = failed(old.delete(&foreign, WriteMode::Apply).await);
    assert_eq!(error.trouble(), Trouble::Conflict);
    let left = new.delete(&foreign, WriteMode::Apply).await.unwrap();
    assert_eq!(left, Deleted::NotManaged);
    assert_eq!(newest(&clouds, "foreign")["value"], "theirs");
    // A deleted secret keeps its name until it is purged or recovered, and the error says so.
    let deleted = async |mode| old.delete(&one, mode).await.unwrap();
    assert_eq!(deleted(WriteMode::DryRun).await, Deleted::Key);
    assert_eq!(deleted(WriteMode::Apply).await, Deleted::Key);
    assert_eq!(deleted(WriteMode::Apply).await, Deleted::Nothing);
    assert_eq!(get(&old, &RemoteRef::new("pushed")).await, "(absent)");
    let error = failed(push(&old, &one).await);
    assert_eq!(error.trouble(), Trouble::Conflict);
    assert!(
        error.hint().unwrap().contains("recover or purge"),
        "{error}"
    );
    clouds.control("azure/purge", &json!({"vault": VAULT}));
    assert_eq!(push(&old, &one).await.unwrap(), Pushed::Created);
}

#[tokio::test]
async fn keys_and_certificates_are_imported_and_not_again() {
    let case = "azure::keys_and_certificates_are_imported_and_not_again";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let client = clouds.control("azure/client", &json!({}));
    let pfx = STANDARD.decode(client["pfx"].as_str().unwrap()).unwrap();
    let pem = client["pem"].as_str().unwrap();
    let elliptic = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let mut values = source(&[("pem", pem), ("ec", &elliptic), ("none", "no certificate")]);
    values.data.insert("pfx".to_owned(), pfx.into());
    let store = store(&clouds, json!({})).await;
    let push = async |key: &str, at: &str| {
        let item = item(Some(key), at, None);
        store.push(&values, &item, WriteMode::Apply).await
    };
    // The same certificate in other clothes is the same.
    assert_eq!(push("pfx", "cert/web").await.unwrap(), Pushed::Created);
    assert_eq!(push("pfx", "cert/web").await.unwrap(), Pushed::Unchanged);
    assert_eq!(push("pem", "cert/web").await.unwrap(), Pushed::Unchanged);
    assert_eq!(push("pem", "cert/other").await.unwrap(), Pushed::Created);
    let error = failed(push("none", "cert/none").await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    let at = RemoteRef::new("cert/web");
    let der = store.get(&at).await.unwrap().found().unwrap();
    assert_eq!(der.expose()[0], 0x30);
    for key in ["pem", "ec"] {
        let at = format!("key/{key}");
        assert_eq!(push(key, &at).await.unwrap(), Pushed::Created, "{key}");
        assert_eq!(push(key, &at).await.unwrap(), Pushed::Unchanged, "{key}");
    }
    let curve = RemoteRef::new("key/ec").property("crv");
    assert_eq!(get(&store, &curve).await, "P-256");
    for at in ["key/ec", "cert/web"] {
        let item = item(Some("ec"), at, None);
        let deleted = store.delete(&item, WriteMode::Apply).await.unwrap();
        assert_eq!(deleted, Deleted::Key, "{at}");
        assert!(!store.exists(&item).await.unwrap(), "{at}");
    }
}

#[tokio::test]
async fn every_way_to_sign_in_works_and_wrong_ones_are_told() {
    let case = "azure::every_way_to_sign_in_works_and_wrong_ones_are_told";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token").to_string_lossy().into_owned();
    let workload = [
        ("AZURE_CLIENT_ID", "client-1".to_owned()),
        (
            "AZURE_TENANT_ID",
            "11111111-2222-3333-4444-555555555555".to_owned(),
        ),
        ("AZURE_FEDERATED_TOKEN_FILE", file),
    ];
    let Some(clouds) = in_clouds(case, &workload) else {
        return;
    };
    secret(&clouds, "k", &["v"], json!({}));
    let (connection, held, tenant) = connection(&clouds);
    let at = RemoteRef::new("k");
    let read = async |manifest: &Value| connect_with(manifest, &connection).await.get(&at).await;
    let good = async |manifest: &Value| {
        let value = read(manifest)
            .await
            .unwrap_or_else(|error| panic!("{manifest}: {error}"));
        assert_eq!(value.found().unwrap().expose(), b"v");
    };
    // A certificate, in PEM and in PKCS#12.
    for key in ["pem", "pfx"] {
        let auth = json!({"clientId": {"name": "azure", "key": "client"},
            "clientCertificate": {"name": "azure", "key": key}});
        good(&settings(&tenant, json!({ "authSecretRef": auth }))).await;
    }
    // The machine's identity, its own and one of a user.
    let vault = format!("https://{VAULT}");
    let mut managed = json!({"azurekv": {"vaultUrl": vault, "authType": "ManagedIdentity"}});
    good(&managed).await;
    managed["azurekv"]["identityId"] = "user-assigned".into();
    good(&managed).await;
    managed["azurekv"]["identityId"] = "no-one".into();
    let error = failed(read(&managed).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    // A pod's own identity, and a service account by its annotations or by a Secret.
    let token = |audience: &str| {
        let token = clouds.control("azure/outside-token", &json!({"aud": audience}));
        token["token"].as_str().unwrap().to_owned()
    };
    let trusted = token("api://AzureADTokenExchange");
    std::fs::write(
        std::env::var("AZURE_FEDERATED_TOKEN_FILE").unwrap(),
        format!("{trusted}\n"),
    )
    .unwrap();
    let mut identity = json!({"azurekv": {"vaultUrl": vault, "authType": "WorkloadIdentity"}});
    good(&identity).await;
    held.put_token("web", trusted.clone().into_bytes().into());
    identity["azurekv"]["serviceAccountRef"] = json!({"name": "web"});
    let error = failed(read(&identity).await);
    assert!(error.to_string().contains("client-id"), "{error}");
    let annotated =
        |name: &str, value: &str| (format!("azure.workload.identity/{name}"), value.to_owned());
    let both = BTreeMap::from([
        annotated("client-id", "client-1"),
        annotated("tenant-id", tenant.as_str().unwrap()),
    ]);
    held.put_annotations("web", both);
    good(&identity).await;
    identity["azurekv"]["useAzureSDK"] = true.into();
    good(&identity).await;
    held.put_annotations("web", BTreeMap::new());
    let by_secret = json!({"vaultUrl": vault, "authType": "WorkloadIdentity",
        "serviceAccountRef": {"name": "web"}, "authSecretRef": {
            "clientId": {"name": "azure", "key": "client"}, "tenantId": {"name": "azure", "key": "tenant"}}});
    good(&json!({ "azurekv": by_secret })).await;
    held.put_token("web", token("someone else").into_bytes().into());
    let error = failed(read(&json!({ "azurekv": by_secret })).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    assert!(error.to_string().contains("AADSTS700212"), "{error}");
    held.put("azure", "secret", b"canary-of-a-wrong-secret");
    let error = failed(read(&settings(&tenant, json!({}))).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    assert!(!format!("{error:?} {:?}", error.hint()).contains("canary"));
}

#[tokio::test]
async fn clouds_of_their_own_and_hosts_that_get_no_token() {
    let case = "azure::clouds_of_their_own_and_hosts_that_get_no_token";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let government = "shop.vault.usgovcloudapi.net";
    let body = json!({"vault": government, "name": "k", "values": ["v"]});
    clouds.control("azure/secret", &body);
    let there = json!({"vaultUrl": format!("https://{government}"), "environmentType": "USGovernmentCloud"});
    let store = store(&clouds, there).await;
    assert_eq!(get(&store, &RemoteRef::new("k")).await, "v");
    let calls = clouds.calls();
    assert!(
        calls
            .iter()
            .any(|call| call.contains("login.microsoftonline.us")),
        "{calls:?}"
    );
    let own = json!({"environmentType": "AzureStackCloud", "useAzureSDK": true,
        "customCloudConfig": {"activeDirectoryEndpoint": "https://login.microsoftonline.com/",
            "keyVaultDNSSuffix": ".vault.azure.net"}});
    secret(&clouds, "k", &["mine"], json!({}));
    let store = self::store(&clouds, own).await;
    assert_eq!(get(&store, &RemoteRef::new("k")).await, "mine");
    // The author of a manifest names the host, and the token may be the program's own.
    let (connection, _, tenant) = connection(&clouds);
    clouds.control("forget-calls", &json!({}));
    for (host, environment) in [
        ("https://evil.example", "PublicCloud"),
        ("https://shop.vault.azure.net.evil.example", "PublicCloud"),
        ("https://shop.vault.azure.net", "ChinaCloud"),
    ] {
        let more = json!({"vaultUrl": host, "environmentType": environment});
        let error = failed(config(&settings(&tenant, more)).connect(&connection).await);
        assert_eq!(error.trouble(), Trouble::Invalid, "{host}");
    }
    let calls = clouds.calls();
    assert!(
        !calls.iter().any(|call| call.contains("oauth2")),
        "{calls:?}"
    );
}

#[tokio::test]
async fn the_identity_of_the_program_goes_to_azure_only() {
    let case = "azure::the_identity_of_the_program_goes_to_azure_only";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "canary").unwrap();
    let workload = [
        ("AZURE_CLIENT_ID", "client-1".to_owned()),
        (
            "AZURE_TENANT_ID",
            "11111111-2222-3333-4444-555555555555".to_owned(),
        ),
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            file.to_string_lossy().into_owned(),
        ),
    ];
    let Some(clouds) = in_clouds(case, &workload) else {
        return;
    };
    clouds.control("forget-calls", &json!({}));
    let connection = Connection::default();
    let manifest = |kind: &str, vault: &str, login: &str, suffix: &str| {
        json!({"azurekv": {"vaultUrl": vault, "authType": kind, "useAzureSDK": true,
            "customCloudConfig": {"activeDirectoryEndpoint": login, "keyVaultDNSSuffix": suffix}}})
    };
    let azure = "https://login.microsoftonline.com";
    let refused = |error: StoreError, word: &str| {
        assert_eq!(error.trouble(), Trouble::Invalid, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    for kind in ["ManagedIdentity", "WorkloadIdentity"] {
        let stolen = manifest(kind, "https://a.evil.example", azure, "evil.example");
        let error = failed(config(&stolen).connect(&connection).await);
        refused(error, "vaultUrl");
    }
    let vault = format!("https://{VAULT}");
    let login = "https://login.evil.example";
    let stolen = manifest("WorkloadIdentity", &vault, login, "vault.azure.net");
    let store = connect_with(&stolen, &connection).await;
    refused(
        failed(store.get(&RemoteRef::new("k")).await),
        "activeDirectoryEndpoint",
    );
    let calls = clouds.calls();
    assert!(
        !calls
            .iter()
            .any(|call| call.contains("evil") || call.contains("oauth2")),
        "{calls:?}"
    );
}

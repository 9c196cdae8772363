//! Google Secret Manager on a double that the vendor's own client has passed first.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_providers::credential::held::Held;
use sealwright_providers::credential::{Scope, StoreKind, WholeSecret};
use sealwright_providers::outcome::{Proof, Trouble};
use sealwright_providers::remote::{Find, NamePattern, RemoteRef, SecretMap};
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, Validation, WriteMode};
use sealwright_tests::harness::clouds::Clouds;
use serde_json::{Value, json};

use super::cases::{Traits, content, every_case, every_write};
use super::support::{
    connect_with, failed, get, in_clouds, item, lines, proof, source, with_metadata,
};

const AUDIENCE: &str = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/providers/provider";

/// The settings of a store that signs in with the key of a service account.
fn settings(more: Value) -> Value {
    let mut settings = json!({"projectID": "shop", "auth": {"secretRef": {
        "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({ "gcpsm": settings })
}

fn connection(clouds: &Clouds) -> (Connection, Arc<Held>) {
    let held = Arc::new(Held::default());
    let account = clouds.control("google/account", &json!({}));
    held.put("google", "key", account.to_string().as_bytes());
    let connection = Connection {
        credentials: Arc::clone(&held) as Arc<_>,
        ..Connection::default()
    };
    (connection, held)
}

async fn store(clouds: &Clouds, more: Value) -> Arc<dyn Store> {
    connect_with(&settings(more), &connection(clouds).0).await
}

fn secret(clouds: &Clouds, name: &str, versions: &[&str], more: Value) {
    let versions: Vec<String> = versions.iter().map(|text| STANDARD.encode(text)).collect();
    let mut body = json!({"name": name, "versions": versions});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    clouds.control("google/secret", &body);
}

fn labels(clouds: &Clouds, name: &str) -> Value {
    let secrets = clouds.control("google/secrets", &json!({}));
    secrets[format!("projects/123456789012/secrets/{name}")].clone()
}

#[test]
fn the_vendors_own_client_agrees_with_the_double() {
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(clouds.prove("prove_google.py").trim(), "proved");
}

#[tokio::test]
async fn it_passes_every_case() {
    let Some(clouds) = in_clouds("gcp::it_passes_every_case", &[]) else {
        return;
    };
    for (key, value) in content() {
        secret(&clouds, key, &[&value.to_string()], json!({}));
    }
    let store = store(&clouds, json!({})).await;
    every_case(&store, Traits::default()).await;
    every_write(&store, "pushed", None).await;
    let dotted = RemoteRef::new("app-db").property("dotted.name");
    assert_eq!(get(&store, &dotted).await, "literal");
    let signed_in = clouds.calls();
    let signed_in = signed_in.iter().filter(|call| call.contains("oauth2"));
    assert_eq!(signed_in.count(), 1);
}

#[tokio::test]
async fn versions_aliases_and_what_becomes_of_disabled_ones() {
    let Some(clouds) = in_clouds(
        "gcp::versions_aliases_and_what_becomes_of_disabled_ones",
        &[],
    ) else {
        return;
    };
    let aliases = json!({"versionAliases": {"stable": 1}, "labels": {"team": "<web>"},
        "annotations": {"a.b/c": "d"}});
    secret(&clouds, "db", &["one", "two", "three"], aliases);
    secret(&clouds, "empty", &[], json!({}));
    secret(&clouds, "bytes", &[""], json!({}));
    let fail = store(&clouds, json!({})).await;
    let fetch = json!({"secretVersionSelectionPolicy": "LatestOrFetch"});
    let fetch = store(&clouds, fetch).await;
    let at = |version: &str| RemoteRef::new("db").version(version);
    assert_eq!(get(&fail, &at("")).await, "three");
    assert_eq!(get(&fail, &at("latest")).await, "three");
    assert_eq!(get(&fail, &at("2")).await, "two");
    assert_eq!(get(&fail, &at("stable")).await, "one");
    assert_eq!(get(&fail, &RemoteRef::new("bytes")).await, "");
    let absent = fail.get(&at("9")).await.unwrap();
    assert_eq!(proof(&absent), Proof::NoSuchVersion);
    let absent = fail.get(&RemoteRef::new("empty")).await.unwrap();
    assert_eq!(proof(&absent), Proof::NoSuchKey);
    for (version, state) in [(3, "DISABLED"), (2, "DESTROYED")] {
        let body = json!({"name": "db", "version": version, "state": state});
        clouds.control("google/state", &body);
    }
    let error = failed(fail.get(&at("")).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    assert!(error.to_string().contains("DISABLED state"), "{error}");
    assert_eq!(get(&fetch, &at("")).await, "one");
    assert_eq!(get(&fetch, &at("2")).await, "(invalid)");
    // What is known beside a value.
    let about = |property: &str| RemoteRef::new("db").metadata().property(property);
    assert_eq!(get(&fail, &about("labels.team")).await, "<web>");
    assert_eq!(get(&fail, &about("annotations.a.b/c")).await, "d");
    assert_eq!(
        get(&fail, &about("labels")).await,
        r#"{"team":"\u003cweb\u003e"}"#
    );
    assert_eq!(
        get(&fail, &about("")).await,
        r#"{"annotations":{"a.b/c":"d"},"labels":{"team":"\u003cweb\u003e"}}"#
    );
    assert_eq!(get(&fail, &about("labels.none")).await, "(missing)");
    assert_eq!(get(&fail, &about("topics")).await, "(invalid)");
}

#[tokio::test]
async fn secrets_are_found_by_name_path_and_label_over_many_pages_and_in_a_region() {
    let case = "gcp::secrets_are_found_by_name_path_and_label_over_many_pages_and_in_a_region";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    clouds.control("google/longest-page", &json!({"entries": 7}));
    for number in 0..25 {
        let name = format!("many_{number:02}");
        let set = (number % 2).to_string();
        secret(&clouds, &name, &[&name], json!({"labels": {"set": set}}));
    }
    secret(
        &clouds,
        "not-many_1",
        &["x"],
        json!({"labels": {"set": "10"}}),
    );
    let here = json!({"location": "europe-west1", "labels": {"set": "1"}});
    secret(&clouds, "here", &["regional"], here);
    let global = store(&clouds, json!({})).await;
    let find = |name: Option<&str>, path: Option<&str>, set: Option<&str>| Find {
        name: name.map(|name| NamePattern::new(name).unwrap()),
        path: path.map(str::to_owned),
        tags: set.map(|set| BTreeMap::from([("set".to_owned(), set.to_owned())])),
        ..Find::default()
    };
    let found = async |store: &Arc<dyn Store>, what: Find| {
        let found = store.find(&what).await.unwrap().found().unwrap();
        lines(&found)
    };
    assert_eq!(
        found(&global, find(Some("^many_"), None, None)).await.len(),
        25
    );
    let below = found(&global, find(Some("."), Some("many_1"), None)).await;
    assert_eq!(below.len(), 10, "{below:?}");
    assert_eq!(below[3], "many_13=many_13");
    assert_eq!(found(&global, find(None, None, Some("1"))).await.len(), 12);
    // A name wins over tags, as upstream has it, and no tags at all are no search.
    let named = found(&global, find(Some("^many_0"), None, Some("1"))).await;
    assert_eq!(named.len(), 10, "{named:?}");
    let untagged = Find {
        tags: Some(BTreeMap::new()),
        ..Find::default()
    };
    for nothing in [Find::default(), untagged] {
        let error = failed(global.find(&nothing).await);
        assert_eq!(error.trouble(), Trouble::Invalid);
    }
    let regional = store(&clouds, json!({"location": "europe-west1"})).await;
    assert_eq!(get(&regional, &RemoteRef::new("here")).await, "regional");
    assert_eq!(get(&regional, &RemoteRef::new("many_01")).await, "(absent)");
    let tagged = found(&regional, find(None, None, Some("1"))).await;
    assert_eq!(tagged, ["here=regional"]);
    let calls = clouds.calls();
    let host =
        "secretmanager.europe-west1.rep.googleapis.com/v1/projects/shop/locations/europe-west1";
    assert!(calls.iter().any(|call| call.contains(host)), "{calls:?}");
}

#[tokio::test]
async fn pushes_write_only_what_they_own_and_what_differs() {
    let case = "gcp::pushes_write_only_what_they_own_and_what_differs";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let source = source(&[("user", "u"), ("password", "p<&>")]);
    let store = store(&clouds, json!({})).await;
    let push = async |item, mode| store.push(&source, &item, mode).await.unwrap();
    let one = item(Some("user"), "pushed", None);
    assert_eq!(push(one.clone(), WriteMode::DryRun).await, Pushed::Created);
    assert!(!store.exists(&one).await.unwrap());
    assert_eq!(push(one.clone(), WriteMode::Apply).await, Pushed::Created);
    assert!(store.exists(&one).await.unwrap());
    assert_eq!(
        labels(&clouds, "pushed")["labels"],
        json!({"managed-by": "external-secrets"})
    );
    clouds.control("forget-calls", &json!({}));
    assert_eq!(push(one.clone(), WriteMode::Apply).await, Pushed::Unchanged);
    let calls = clouds.calls();
    assert!(
        calls.iter().all(|call| call.starts_with("GET ")),
        "{calls:?}"
    );
    let other = item(Some("password"), "pushed", None);
    assert_eq!(
        push(other.clone(), WriteMode::DryRun).await,
        Pushed::Updated
    );
    assert_eq!(push(other, WriteMode::Apply).await, Pushed::Updated);
    assert_eq!(get(&store, &RemoteRef::new("pushed")).await, "p<&>");
    assert_eq!(labels(&clouds, "pushed")["versions"], 2);
    // Labels, annotations, topics and where the value is kept.
    let spec = json!({"labels": {"team": "web"}, "annotations": {"a": "b"}, "topics": ["projects/shop/topics/t"],
        "replicationLocations": ["europe-west1", "europe-west4"], "cmekKeyName": "key"});
    let described = with_metadata(&item(None, "described", None), spec);
    assert_eq!(
        push(described.clone(), WriteMode::Apply).await,
        Pushed::Created
    );
    let there = labels(&clouds, "described");
    assert_eq!(there["labels"]["team"], "web");
    assert_eq!(there["annotations"], json!({"a": "b"}));
    assert_eq!(
        there["replication"]["userManaged"]["replicas"][1]["location"],
        "europe-west4"
    );
    assert_eq!(push(described, WriteMode::Apply).await, Pushed::Unchanged);
    let fewer = item(None, "described", None);
    let merged = json!({"labels": {"team": "db", "more": "x"}, "mergePolicy": "Merge"});
    let merged = with_metadata(&fewer, merged);
    assert_eq!(push(merged, WriteMode::Apply).await, Pushed::Updated);
    let there = labels(&clouds, "described");
    assert_eq!(there["labels"]["team"], "web");
    assert_eq!(there["labels"]["more"], "x");
    assert!(there.get("annotations").is_none(), "{there}");
    // Properties of one secret are pushed and deleted one by one.
    for key in ["user", "password"] {
        push(item(Some(key), "object", Some(key)), WriteMode::Apply).await;
    }
    let whole = get(&store, &RemoteRef::new("object")).await;
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole, json!({"user": "u", "password": "p<&>"}));
    let deleted = async |item, mode| store.delete(&item, mode).await.unwrap();
    let user = item(Some("user"), "object", Some("user"));
    assert_eq!(deleted(user, WriteMode::Apply).await, Deleted::Property);
    let password = item(Some("password"), "object", Some("password"));
    assert_eq!(deleted(password, WriteMode::Apply).await, Deleted::Key);
    // What others keep there stays theirs.
    secret(
        &clouds,
        "foreign",
        &["theirs"],
        json!({"labels": {"a": "b"}}),
    );
    let foreign = item(Some("user"), "foreign", None);
    let error = failed(store.push(&source, &foreign, WriteMode::Apply).await);
    assert_eq!(error.trouble(), Trouble::Conflict);
    assert_eq!(
        deleted(foreign, WriteMode::Apply).await,
        Deleted::NotManaged
    );
    assert_eq!(get(&store, &RemoteRef::new("foreign")).await, "theirs");
    assert_eq!(deleted(one.clone(), WriteMode::DryRun).await, Deleted::Key);
    assert_eq!(deleted(one.clone(), WriteMode::Apply).await, Deleted::Key);
    assert_eq!(deleted(one, WriteMode::Apply).await, Deleted::Nothing);
}

#[tokio::test]
async fn a_regional_secret_is_created_where_it_belongs() {
    let case = "gcp::a_regional_secret_is_created_where_it_belongs";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let source = source(&[("user", "u")]);
    let regional = store(&clouds, json!({"location": "europe-west1"})).await;
    let one = item(Some("user"), "pushed", None);
    let pushed = regional.push(&source, &one, WriteMode::Apply).await;
    assert_eq!(pushed.unwrap(), Pushed::Created);
    assert_eq!(get(&regional, &RemoteRef::new("pushed")).await, "u");
    let deleted = regional.delete(&one, WriteMode::Apply).await;
    assert_eq!(deleted.unwrap(), Deleted::Key);
}

#[tokio::test]
async fn every_way_to_sign_in_works_and_wrong_ones_are_told() {
    let case = "gcp::every_way_to_sign_in_works_and_wrong_ones_are_told";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    secret(&clouds, "k", &["v"], json!({}));
    let (connection, held) = connection(&clouds);
    let token = |audience: Value| {
        let token = clouds.control("google/outside-token", &json!({"aud": audience}));
        token["token"].as_str().unwrap().to_owned()
    };
    let read = async |auth: Value| {
        let mut settings = json!({"gcpsm": {"projectID": "shop"}});
        if !auth.is_null() {
            settings["gcpsm"]["auth"] = auth;
        }
        let store = connect_with(&settings, &connection).await;
        store.get(&RemoteRef::new("k")).await
    };
    let good = async |auth: Value| {
        let value = read(auth).await.unwrap().found().unwrap();
        assert_eq!(value.expose(), b"v");
    };
    // The machine's own account, by its metadata service; the project, too.
    good(Value::Null).await;
    let nameless = connect_with(&json!({"gcpsm": {}}), &connection).await;
    assert_eq!(get(&nameless, &RemoteRef::new("k")).await, "v");
    // A service account of a cluster, by itself and as one of Google's.
    held.put_token(
        "web",
        token(json!(["shop.svc.id.goog"])).into_bytes().into(),
    );
    let cluster = json!({"serviceAccountRef": {"name": "web"}, "clusterLocation": "europe-west1", "clusterName": "main"});
    good(json!({ "workloadIdentity": cluster })).await;
    // What is not named is asked of the machine.
    let of_machine = json!({"serviceAccountRef": {"name": "web"}});
    good(json!({ "workloadIdentity": of_machine })).await;
    // The cluster may be in another project than the secrets; the number names the project only for these.
    let apart =
        json!({"gcpsm": {"projectID": "123456789012", "auth": {"workloadIdentity": of_machine}}});
    let apart = connect_with(&apart, &connection).await;
    assert_eq!(get(&apart, &RemoteRef::new("k")).await, "v");
    let annotation = "iam.gke.io/gcp-service-account".to_owned();
    let email = "other@shop.iam.gserviceaccount.com".to_owned();
    held.put_annotations("web", BTreeMap::from([(annotation, email.clone())]));
    clouds.control("forget-calls", &json!({}));
    good(json!({ "workloadIdentity": cluster })).await;
    let calls = clouds.calls();
    let acting = format!("/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
    assert!(
        calls.iter().any(|call| call.ends_with(&acting)),
        "{calls:?}"
    );
    clouds.control("deny", &json!(["iam.serviceAccounts.getAccessToken"]));
    let error = failed(read(json!({ "workloadIdentity": cluster })).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    assert_eq!(
        error.permission(),
        Some("iam.serviceAccounts.getAccessToken")
    );
    clouds.control("deny", &json!([]));
    // Identities of somewhere else: a service account, keys of AWS, a file of external credentials.
    held.put_token("pool", token(json!([AUDIENCE])).into_bytes().into());
    let pool = json!({"serviceAccountRef": {"name": "pool"}, "audience": AUDIENCE});
    good(json!({ "workloadIdentityFederation": pool })).await;
    let mut acting = pool.clone();
    acting["gcpServiceAccountEmail"] = email.into();
    good(json!({ "workloadIdentityFederation": acting })).await;
    let keys = |secret: &str| WholeSecret {
        data: SecretMap::from([
            (
                "aws_access_key_id".to_owned(),
                b"AKIAIOSFODNN7EXAMPLE".to_vec().into(),
            ),
            (
                "aws_secret_access_key".to_owned(),
                secret.as_bytes().to_vec().into(),
            ),
        ]),
        labels: BTreeMap::new(),
    };
    let aws = json!({"audience": AUDIENCE, "awsSecurityCredentials": {"region": "eu-west-1",
        "awsCredentialsSecretRef": {"name": "aws"}}});
    held.put_secret("", "aws", keys("made-for-tests"));
    good(json!({ "workloadIdentityFederation": aws })).await;
    held.put_secret("", "aws", keys("canary-of-a-wrong-key"));
    let error = failed(read(json!({ "workloadIdentityFederation": aws })).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    assert!(!format!("{error:?}").contains("canary"));
    let plain = std::env::var("GCE_METADATA_HOST").unwrap();
    let url = format!("http://{plain}/outside/token?audience={AUDIENCE}");
    let mut external = json!({"type": "external_account", "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"url": url, "format": {"type": "json", "subject_token_field_name": "value"}}});
    let put = |file: &Value| {
        let config = BTreeMap::from([("c".to_owned(), file.to_string().into_bytes())]);
        held.put_config_map("", "external", config);
    };
    put(&external);
    let mut config =
        json!({"credConfig": {"name": "external", "key": "c"}, "externalTokenEndpoint": url});
    good(json!({ "workloadIdentityFederation": config })).await;
    for elsewhere in [json!("https://elsewhere.example/"), Value::Null] {
        config["externalTokenEndpoint"] = elsewhere;
        let error = failed(read(json!({ "workloadIdentityFederation": config })).await);
        assert!(
            error.to_string().contains("externalTokenEndpoint"),
            "{error}"
        );
    }
    // What the file does not say is what Google has by itself, and what the store says counts first.
    for (member, text) in [
        ("audience", "//elsewhere"),
        ("subject_token_type", ""),
        ("token_url", ""),
    ] {
        external[member] = text.into();
    }
    put(&external);
    config["externalTokenEndpoint"] = url.into();
    config["audience"] = AUDIENCE.into();
    good(json!({ "workloadIdentityFederation": config })).await;
    // A key that is no account's, and a token that ended in the middle of a run.
    let mut account = clouds.control("google/account", &json!({}));
    account["client_email"] = "no-one@shop.iam.gserviceaccount.com".into();
    held.put("google", "wrong", account.to_string().as_bytes());
    let secret = |key: &str| json!({"secretRef": {"secretAccessKeySecretRef": {"name": "google", "key": key}}});
    let error = failed(read(secret("wrong")).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    let store = connect_with(&settings(json!({})), &connection).await;
    assert_eq!(get(&store, &RemoteRef::new("k")).await, "v");
    clouds.control("google/forget-tokens", &json!({}));
    assert_eq!(get(&store, &RemoteRef::new("k")).await, "v");
}

#[tokio::test]
async fn a_refusal_names_the_permission_and_a_foreign_404_is_no_absence() {
    let case = "gcp::a_refusal_names_the_permission_and_a_foreign_404_is_no_absence";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    secret(&clouds, "k", &["canary"], json!({}));
    let store = store(&clouds, json!({})).await;
    clouds.control("deny", &json!(["secretmanager.versions.access"]));
    let error = failed(store.get(&RemoteRef::new("k")).await);
    assert_eq!(error.trouble(), Trouble::Forbidden);
    assert_eq!(error.permission(), Some("secretmanager.versions.access"));
    clouds.control("deny", &json!([]));
    for wrong in ["a/b", "a b", "", "a:b", "../x"] {
        let error = failed(store.get(&RemoteRef::new(wrong)).await);
        assert_eq!(error.trouble(), Trouble::Invalid, "{wrong}");
    }
    let other = connect_with(
        &settings(json!({"projectID": "not-ours"})),
        &connection(&clouds).0,
    )
    .await;
    let error = failed(other.get(&RemoteRef::new("k")).await);
    assert_eq!(error.trouble(), Trouble::Forbidden, "{error}");
    // A cluster-wide store that depends on its consumer is not known before there is one.
    let (mut unbound, _) = connection(&clouds);
    unbound.scope = Scope {
        kind: StoreKind::Cluster,
        ..Scope::default()
    };
    let unbound = connect_with(&settings(json!({})), &unbound).await;
    assert_eq!(unbound.validate().await.unwrap(), Validation::Unknown);
}

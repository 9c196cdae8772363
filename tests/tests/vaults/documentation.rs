//! The manifests of the documentation: each is a store that works.

use std::fs;
use std::path::Path;

use sealwright_providers::credential::{Scope, StoreKind};
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::StoreConfig;
use sealwright_tests::harness::openbao::ROOT;
use serde_json::{Value, json};

use super::support::{connect_with, connection, get, in_clouds, openbao};

/// The manifests of a page, by kind of provider.
fn manifests(page: &Path) -> Vec<(String, Value)> {
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|block| {
            let yaml = block.split("```").next().unwrap();
            let manifest: Value = serde_saphyr::from_str(yaml)
                .unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert_eq!(manifest["apiVersion"], "external-secrets.io/v1");
            let provider = manifest["spec"]["provider"].clone();
            let name = provider.as_object().unwrap().keys().next().unwrap().clone();
            (name, provider)
        })
        .collect()
}

#[tokio::test]
async fn every_manifest_of_the_documentation_is_valid_and_those_with_a_server_here_work() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/stores");
    let value = json!({"data": {"user": "admin"}});
    openbao().api("POST", "secret/data/documented", Some(&value));
    let mut seen = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        for (name, mut provider) in manifests(&entry.unwrap().path()) {
            let config: StoreConfig = serde_json::from_value(provider.clone())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let scope = Scope {
                kind: StoreKind::Namespaced,
                store_namespace: "shop".into(),
                ..Scope::default()
            };
            config
                .check(&scope)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            if matches!(name.as_str(), "vault" | "openBao") {
                provider[&name]["server"] = openbao().address().into();
                let (connection, _) = connection(ROOT);
                let store = connect_with(&provider, &connection).await;
                let at = RemoteRef::new("documented").property("user");
                assert_eq!(get(&store, &at).await, "admin", "{name}");
            }
            if name == "fake" {
                let (connection, _) = connection(ROOT);
                let store = connect_with(&provider, &connection).await;
                let at = RemoteRef::new("app/db").property("user");
                assert_eq!(get(&store, &at).await, "admin");
                assert_eq!(get(&store, &at.version("v1")).await, "old");
            }
            seen.push(name);
        }
    }
    seen.sort();
    for wanted in [
        "aws",
        "azurekv",
        "doppler",
        "fake",
        "file",
        "gcpsm",
        "gitlab",
        "kubernetes",
        "onepassword",
        "openBao",
        "vault",
        "webhook",
    ] {
        assert!(
            seen.iter().any(|name| name == wanted),
            "{wanted} has no page: {seen:?}"
        );
    }
}

/// The manifests of the clouds' pages are used as they stand there: host names and all.
#[tokio::test]
async fn the_manifests_of_the_clouds_work() {
    let case = "documentation::the_manifests_of_the_clouds_work";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let value = r#"{"user": "admin"}"#;
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
    let mut secret = json!({"name": "documented", "versions": [encoded]});
    clouds.control("google/secret", &secret);
    secret["location"] = "europe-west1".into();
    clouds.control("google/secret", &secret);
    let variable = json!({"kind": "projects", "id": 7, "key": "documented", "value": value});
    let gitlab = clouds.control("gitlab/variable", &variable);
    let secret = json!({"vault": "shop.vault.azure.net", "name": "documented", "values": [value]});
    clouds.control("azure/secret", &secret);
    let secret = json!({"name": "documented", "value": "admin"});
    let doppler = clouds.control("doppler/secret", &secret);
    let fields = json!([{"label": "user", "value": "admin"}]);
    let item = json!({"vault": "shared", "item": {"title": "documented", "fields": fields}});
    clouds.control("connect/vault", &json!({"name": "shop"}));
    clouds.control("connect/item", &item);
    let connect = clouds.control("connect/token", &json!({}));
    let (connection, held) = connection("unused");
    let text = |of: &Value| of["token"].as_str().unwrap().as_bytes().to_vec();
    held.put("doppler", "dopplerToken", &text(&doppler));
    held.put("connect", "token", &text(&connect));
    let account = clouds.control("google/account", &json!({}));
    held.put("google", "key", account.to_string().as_bytes());
    let client = clouds.control("azure/client", &json!({}));
    for key in ["client", "secret"] {
        held.put("azure", key, client[key].as_str().unwrap().as_bytes());
    }
    let gitlab = gitlab["token"].as_str().unwrap();
    held.put("gitlab", "token", gitlab.as_bytes());
    let token = |cloud: &str, audience: &str| {
        let what = format!("{cloud}/outside-token");
        let token = clouds.control(&what, &json!({"aud": [audience]}));
        token["token"].as_str().unwrap().as_bytes().to_vec()
    };
    let annotation = |name: &str, value: &Value| {
        let name = format!("azure.workload.identity/{name}");
        (name, value.as_str().unwrap().to_owned())
    };
    let annotations = [
        annotation("client-id", &client["client"]),
        annotation("tenant-id", &client["tenant"]),
    ];
    held.put_annotations("web", annotations.into());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/stores");
    for (page, cloud, audience, count) in [
        ("gcp.md", "google", "shop.svc.id.goog", 2),
        ("azure.md", "azure", "api://AzureADTokenExchange", 2),
        ("gitlab.md", "google", "unused", 1),
        ("doppler.md", "azure", "https://api.doppler.com", 2),
        ("onepassword.md", "google", "unused", 1),
    ] {
        held.put_token("web", token(cloud, audience).into());
        let manifests = manifests(&folder.join(page));
        assert_eq!(manifests.len(), count, "{page}");
        for (name, provider) in manifests {
            let store = connect_with(&provider, &connection).await;
            let at = RemoteRef::new("documented").property("user");
            assert_eq!(get(&store, &at).await, "admin", "{name}: {provider}");
        }
    }
}

//! The manifests of the documentation: each is a store that works.

use std::fs;
use std::path::Path;

use sealwright_providers::credential::{Scope, StoreKind};
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::StoreConfig;
use sealwright_tests::harness::openbao::ROOT;
use serde_json::{Value, json};

use super::support::{connect_with, connection, get, openbao};

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
    for wanted in ["fake", "file", "kubernetes", "openBao", "vault", "webhook"] {
        assert!(
            seen.iter().any(|name| name == wanted),
            "{wanted} has no page: {seen:?}"
        );
    }
}

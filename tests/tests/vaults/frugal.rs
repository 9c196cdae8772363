//! 10,000 reads of 500 keys by the servers' own counts: one call for each key at most, and far fewer where a service reads many
//! in one call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealwright_providers::credential::held::Held;
use sealwright_providers::fetch::{Fetcher, StoreIdentity};
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::Connection;
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::generated::cases;
use sealwright_tests::harness::moto::{Moto, REGION};
use sealwright_tests::harness::openbao::ROOT;
use serde_json::{Value, json};

use super::support::{behind_proxy, config, holding, in_clouds, mount, openbao, vault};

const KEYS: usize = 500;

/// The value of a key: a JSON object with two members.
fn value_of(key: usize) -> Value {
    json!({"a": format!("a-{key}"), "b": format!("b-{key}")})
}

fn named(key: usize) -> String {
    format!("key-{key}")
}

/// Reads keys by ten thousand tasks at once, and checks each value. Of a store without properties the whole value counts.
async fn read_all(
    what: &str,
    manifest: &Value,
    held: Held,
    name: fn(usize) -> String,
    by_property: bool,
) {
    let reads = cases(2_000, 10_000);
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let fetcher = Fetcher::default();
    let identity = StoreIdentity::new(what, 1, None);
    let lane = fetcher
        .lane(&identity, || async {
            config(manifest).connect(&connection).await
        })
        .await
        .unwrap();
    let started = Instant::now();
    let readers: Vec<_> = (0..reads)
        .map(|number| {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move {
                let (key, property) = (number % KEYS, if number % 2 == 0 { "a" } else { "b" });
                let mut at = RemoteRef::new(name(key));
                let mut expected = value_of(key).to_string();
                if by_property {
                    at = at.property(property);
                    expected = format!("{property}-{key}");
                }
                let value = lane.get(&at, Duration::from_secs(300)).await;
                let value = value.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(value.found().unwrap().expose(), expected.as_bytes());
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    println!(
        "{what}: {reads} reads of {KEYS} keys took {:?}",
        started.elapsed()
    );
}

fn within(what: &str, calls: usize, most: usize) {
    println!("{what}: {calls} calls by the server's count");
    assert!(
        calls <= most,
        "{what}: {calls} calls, and {most} are allowed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_reads_of_five_hundred_keys_are_five_hundred_calls_by_the_servers_count() {
    let server = openbao();
    mount(server, "many", 2);
    for key in 0..KEYS {
        let body = json!({"data": value_of(key)});
        server.api("POST", &format!("many/data/{}", named(key)), Some(&body));
    }
    for (kind, manifest) in [
        ("Vault", vault(&server.address(), Some("many"), "v2")),
        (
            "OpenBao",
            json!({"openBao": {"server": server.address(), "path": "many",
                "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}}}),
        ),
    ] {
        let count = || {
            server.calls(|operation, path| operation == "read" && path.starts_with("many/data/"))
        };
        let held = Held::default();
        held.put("vault", "token", ROOT.as_bytes());
        let before = count();
        read_all(kind, &manifest, held, named, true).await;
        within(kind, count() - before, KEYS);
    }
}

/// Reads from a service of AWS, in a process whose environment leads through a proxy that counts.
async fn of_aws(case: &str, service: &str, most: usize, fill: impl Fn(&Moto)) {
    let Some(proxy) = behind_proxy(&format!("frugal::{case}"), fill) else {
        return;
    };
    let manifest = json!({"aws": {"service": service, "region": REGION}});
    read_all(service, &manifest, Held::default(), named, true).await;
    within(service, usize::try_from(proxy.requests()).unwrap(), most);
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_secrets_manager_reads_twenty_in_a_call() {
    let case = "aws_secrets_manager_reads_twenty_in_a_call";
    of_aws(case, "SecretsManager", 50, |moto| {
        for key in 0..KEYS {
            let body = json!({"Name": named(key), "SecretString": value_of(key).to_string()});
            moto.call("secretsmanager.CreateSecret", &body);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_parameter_store_reads_ten_in_a_call() {
    let case = "aws_parameter_store_reads_ten_in_a_call";
    of_aws(case, "ParameterStore", 60, |moto| {
        for key in 0..KEYS {
            let body = json!({"Name": named(key), "Type": "SecureString", "Value": value_of(key).to_string()});
            moto.call("AmazonSSM.PutParameter", &body);
        }
    })
    .await;
}

fn counted(clouds: &Clouds, host: &str) -> usize {
    let calls = clouds.calls();
    let of_host = calls
        .iter()
        .filter(|call| call.contains(&format!(" {host}/")));
    of_host.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn google_is_asked_once_for_each_key() {
    let Some(clouds) = in_clouds("frugal::google_is_asked_once_for_each_key", &[]) else {
        return;
    };
    for key in 0..KEYS {
        let value = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            value_of(key).to_string(),
        );
        clouds.control(
            "google/secret",
            &json!({"name": named(key), "versions": [value]}),
        );
    }
    let held = Held::default();
    let account = clouds.control("google/account", &json!({}));
    held.put("google", "key", account.to_string().as_bytes());
    let manifest = json!({"gcpsm": {"projectID": "shop", "auth": {"secretRef": {
        "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}}});
    read_all("Google", &manifest, held, named, true).await;
    within(
        "Google",
        counted(&clouds, "secretmanager.googleapis.com"),
        KEYS,
    );
    within(
        "Google sign-in",
        counted(&clouds, "oauth2.googleapis.com"),
        1,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_is_asked_once_for_each_key() {
    let Some(clouds) = in_clouds("frugal::azure_is_asked_once_for_each_key", &[]) else {
        return;
    };
    for key in 0..KEYS {
        let values = [value_of(key).to_string()];
        let secret = json!({"vault": "shop.vault.azure.net", "name": named(key), "values": values});
        clouds.control("azure/secret", &secret);
    }
    let client = clouds.control("azure/client", &json!({}));
    let held = Held::default();
    for key in ["client", "secret"] {
        held.put("azure", key, client[key].as_str().unwrap().as_bytes());
    }
    let manifest = json!({"azurekv": {"vaultUrl": "https://shop.vault.azure.net", "tenantId": client["tenant"],
        "authSecretRef": {"clientId": {"name": "azure", "key": "client"},
            "clientSecret": {"name": "azure", "key": "secret"}}}});
    read_all("Azure", &manifest, held, named, true).await;
    within("Azure", counted(&clouds, "shop.vault.azure.net"), KEYS);
    within(
        "Azure sign-in",
        counted(&clouds, "login.microsoftonline.com"),
        1,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_is_asked_once_for_each_key() {
    let Some(clouds) = in_clouds("frugal::gitlab_is_asked_once_for_each_key", &[]) else {
        return;
    };
    for key in 0..KEYS {
        let name = named(key).replace('-', "_");
        let value = value_of(key).to_string();
        let variable = json!({"kind": "projects", "id": 7, "key": name, "value": value});
        clouds.control("gitlab/variable", &variable);
    }
    let manifest = json!({"gitlab": {"url": "https://gitlab.example/", "projectID": "7",
        "auth": {"SecretRef": {"accessToken": {"name": "secret", "key": "token"}}}}});
    read_all("GitLab", &manifest, holding(&clouds, "gitlab"), named, true).await;
    within("GitLab", counted(&clouds, "gitlab.example"), KEYS);
}

#[tokio::test(flavor = "multi_thread")]
async fn doppler_reads_fifty_in_a_call() {
    let Some(clouds) = in_clouds("frugal::doppler_reads_fifty_in_a_call", &[]) else {
        return;
    };
    for key in 0..KEYS {
        let secret = json!({"name": named(key), "value": value_of(key).to_string()});
        clouds.control("doppler/secret", &secret);
    }
    let manifest = json!({"doppler": {"project": "shop", "config": "prd",
        "auth": {"secretRef": {"dopplerToken": {"name": "secret", "key": "token"}}}}});
    read_all(
        "Doppler",
        &manifest,
        holding(&clouds, "doppler"),
        named,
        false,
    )
    .await;
    within("Doppler", counted(&clouds, "api.doppler.com"), 50);
}

/// The vault is looked up and listed once, and each item is read once. One that happens to be asked for alone at first is
/// searched for by itself.
#[tokio::test(flavor = "multi_thread")]
async fn onepassword_lists_the_vault_once_and_reads_each_item_once() {
    let Some(clouds) = in_clouds(
        "frugal::onepassword_lists_the_vault_once_and_reads_each_item_once",
        &[],
    ) else {
        return;
    };
    for key in 0..KEYS {
        let fields: Value = ["a", "b"]
            .map(|label| json!({"label": label, "value": value_of(key)[label]}))
            .into_iter()
            .collect();
        let item = json!({"vault": "shop", "item": {"title": named(key), "fields": fields}});
        clouds.control("connect/item", &item);
    }
    let manifest = json!({"onepassword": {"connectHost": "https://connect.example", "vaults": {"shop": 1},
        "auth": {"secretRef": {"connectTokenSecretRef": {"name": "secret", "key": "token"}}}}});
    read_all(
        "1Password",
        &manifest,
        holding(&clouds, "connect"),
        named,
        true,
    )
    .await;
    within("1Password", counted(&clouds, "connect.example"), KEYS + 3);
}

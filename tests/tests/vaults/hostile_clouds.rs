//! The same peers in the place of Azure and of Google, behind their real host names: of the vaults, and of the services that
//! sign in.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, NamePattern};
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::peer::{Head, Peer, reply};
use serde_json::{Value, json};

use super::hostile::{AT_ONCE, PEERS, is_fit_to_be_shown, peak, read, with};
use super::support::{connect_with, failed, in_clouds};

/// A peer that does what the number in `peer-…` of a request says, whether that is in its host or its path.
fn peer() -> Peer {
    Peer::start(|head: &Head, stream: &mut TcpStream| {
        let asked = format!("{} {}", head.path, head.headers["host"]);
        let (_, number) = asked.split_once("peer-").unwrap();
        let digits = number.find(|character: char| !character.is_ascii_digit());
        let number: usize = number[..digits.unwrap_or(number.len())].parse().unwrap();
        PEERS[number].1(stream);
    })
}

/// Leads a host to a peer.
fn lead(clouds: &Clouds, host: &str, peer: &Peer) {
    let address = peer.address();
    let (_, port) = address.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    clouds.control("lead", &json!({"host": host, "port": port}));
}

/// Reads from each of the peers; the manifest and the credentials say which it is.
async fn each(what: &str, of: impl Fn(usize) -> (Value, Held)) {
    let reads = PEERS.iter().enumerate().map(|(number, (name, _))| {
        let (manifest, held) = of(number);
        let told = format!("{what}, {name}");
        async move { read(&told, &manifest, &with(held)).await }
    });
    let reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
    reads.collect::<()>().await;
    assert!(peak() < 300 << 20, "{what}: {} MiB", peak() >> 20);
}

fn azure(vault: &str, tenant: &str) -> Value {
    json!({"azurekv": {"vaultUrl": format!("https://{vault}"), "tenantId": tenant,
        "authSecretRef": {"clientId": {"name": "azure", "key": "client"},
            "clientSecret": {"name": "azure", "key": "secret"}}}})
}

/// A client of Azure that the double knows, and its tenant.
fn azure_client(clouds: &Clouds) -> (Value, String) {
    let client = clouds.control("azure/client", &json!({}));
    let tenant = client["tenant"].as_str().unwrap().to_owned();
    (client, tenant)
}

fn azure_secret(client: &Value) -> Held {
    let held = Held::default();
    for key in ["client", "secret"] {
        held.put("azure", key, client[key].as_str().unwrap().as_bytes());
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_nothing_out_of_azure() {
    let case = "hostile_clouds::they_get_nothing_out_of_azure";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let (client, tenant) = azure_client(&clouds);
    let peer = peer();
    let host = |number: usize| format!("peer-{number}.vault.azure.net");
    for number in 0..PEERS.len() {
        lead(&clouds, &host(number), &peer);
    }
    each("a vault", |number| {
        (azure(&host(number), &tenant), azure_secret(&client))
    })
    .await;
    lead(&clouds, "login.microsoftonline.com", &peer);
    each("the login", |number| {
        let held = azure_secret(&json!({"client": "c", "secret": "canary-of-a-secret"}));
        (
            azure("shop.vault.azure.net", &format!("peer-{number}")),
            held,
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_nothing_out_of_google() {
    let case = "hostile_clouds::they_get_nothing_out_of_google";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let account = clouds.control("google/account", &json!({}));
    let manifest = |project: &str| {
        json!({"gcpsm": {"projectID": project, "auth": {"secretRef": {
            "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}}})
    };
    let held = |account: &Value| {
        let held = Held::default();
        held.put("google", "key", account.to_string().as_bytes());
        held
    };
    let peer = peer();
    lead(&clouds, "secretmanager.googleapis.com", &peer);
    each("the secrets", |number| {
        (manifest(&format!("peer-{number}")), held(&account))
    })
    .await;
    lead(&clouds, "oauth2.googleapis.com", &peer);
    each("the token service", |number| {
        let mut account = account.clone();
        account["token_uri"] = format!("https://oauth2.googleapis.com/peer-{number}/token").into();
        (manifest("shop"), held(&account))
    })
    .await;
}

/// Lists that go on and on, or at a host that must not get the token.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_clouds_end_and_stay_where_they_are() {
    let case = "hostile_clouds::lists_of_clouds_end_and_stay_where_they_are";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let long = "x".repeat(200_000);
    let evil = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&evil);
    let peer = Peer::start(move |head: &Head, stream: &mut TcpStream| {
        let host = head.headers["host"].as_str();
        let id = format!("https://{host}/secrets/{long}");
        let next = match host {
            "elsewhere.vault.azure.net" => "https://evil.vault.azure.net/secrets".to_owned(),
            host => format!("https://{host}/secrets?again=1"),
        };
        if host == "evil.vault.azure.net" {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let answer = match host.ends_with("azure.net") {
            true => json!({"value": [{"id": id}], "nextLink": next}),
            false => json!({"secrets": [{"name": format!("projects/1/secrets/{long}")}],
                "nextPageToken": "again"}),
        };
        let headers = [("Content-Type", "application/json")];
        reply(stream, 200, &headers, answer.to_string().as_bytes());
    });
    for host in [
        "endless.vault.azure.net",
        "elsewhere.vault.azure.net",
        "evil.vault.azure.net",
        "secretmanager.googleapis.com",
    ] {
        lead(&clouds, host, &peer);
    }
    let (client, tenant) = azure_client(&clouds);
    let account = clouds.control("google/account", &json!({}));
    let google = json!({"gcpsm": {"projectID": "shop", "auth": {"secretRef": {
        "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}}});
    let of_google = Held::default();
    of_google.put("google", "key", account.to_string().as_bytes());
    for (manifest, held, trouble) in [
        (
            azure("endless.vault.azure.net", &tenant),
            azure_secret(&client),
            Trouble::TooLarge,
        ),
        (
            azure("elsewhere.vault.azure.net", &tenant),
            azure_secret(&client),
            Trouble::Malformed,
        ),
        (google, of_google, Trouble::TooLarge),
    ] {
        let connection = sealwright_providers::store::Connection {
            timeout: None,
            ..with(held)
        };
        let store = connect_with(&manifest, &connection).await;
        let find = Find {
            name: Some(NamePattern::new("x").unwrap()),
            ..Find::default()
        };
        let error = failed(store.find(&find).await);
        assert_eq!(error.trouble(), trouble, "{error:?}");
        is_fit_to_be_shown(&error, "a list");
    }
    assert_eq!(evil.load(Ordering::SeqCst), 0);
}

//! The refresh endpoint: values that are announced as changed are in their Secrets long before the interval ends.

use std::io::{Read, Write};
use std::net::TcpStream;

use sealwright_tests::harness::server::free_port;
use serde_json::{Value, json};

use super::rig::{self, Vault};
use super::support::{Place, eventually};

/// Posts an announcement, and gives status and body.
fn announce(port: u16, token: Option<&str>, body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = body.to_string();
    let token = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request = format!(
        "POST /v1/refresh HTTP/1.1\r\nHost: x\r\n{token}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

async fn value_is(place: &Place, value: &str) {
    eventually(&format!("the Secret has {value}"), async || {
        let secret = place.get("Secret", "es").await?;
        (place.value(&secret, "k")? == value).then_some(())
    })
    .await;
}

/// An ExternalSecret that is refreshed once a day, with a value in OpenBao.
async fn daily(place: &Place, vault: &Vault) {
    place.vault_store(vault).await;
    vault
        .put(&format!("{}/app", place.name()), &json!({"k": "one"}))
        .await;
    let key = format!("{}/app", place.name());
    place
        .external_secret(
            "es",
            &json!({"refreshInterval": "24h", "secretStoreRef": {"name": "bao"},
            "data": [{"secretKey": "k", "remoteRef": {"key": key, "property": "k"}}]}),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_values_are_read_at_once_by_those_with_the_token() {
    let vault = rig::vault();
    let place = Place::new("refresh-token").await;
    daily(&place, vault).await;
    let port = free_port().unwrap();
    let file = place.sandbox_file("refresh-token", "the-token\n");
    let _controller = place.controller(&format!(
        "--refresh-addr=127.0.0.1:{port} --refresh-token-file={file}"
    ));
    value_is(&place, "one").await;
    let key = format!("{}/app", place.name());
    vault.put(&key, &json!({"k": "two"})).await;
    let store = json!({"namespace": place.name(), "store": "bao", "keys": [key]});
    for token in [None, Some("another"), Some("the-token-and-more")] {
        assert_eq!(announce(port, token, &store).0, 401);
    }
    let token = Some("the-token");
    assert_eq!(announce(port, token, &json!({"store": "bao"})).0, 400);
    let elsewhere = json!({"namespace": place.name(), "store": "bao", "keys": ["other"]});
    let nothing = (202, r#"{"refreshed":0}"#.to_owned());
    assert_eq!(announce(port, token, &elsewhere), nothing);
    assert_eq!(
        announce(port, token, &store),
        (202, r#"{"refreshed":1}"#.to_owned())
    );
    value_is(&place, "two").await;
    vault.put(&key, &json!({"k": "three"})).await;
    let object = json!({"namespace": place.name(), "name": "es"});
    assert_eq!(announce(port, token, &object).0, 202);
    value_is(&place, "three").await;
    // A caller that asks all the time is slowed down.
    let answers = (0..200).map(|_| announce(port, Some("guess"), &object).0);
    assert!(answers.collect::<Vec<_>>().contains(&429));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_the_cluster_announce_what_they_may_update() {
    let vault = rig::vault();
    let place = Place::new("refresh-user").await;
    daily(&place, vault).await;
    let port = free_port().unwrap();
    let _controller = place.controller(&format!("--refresh-addr=127.0.0.1:{port}"));
    value_is(&place, "one").await;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "rotator"}});
    place.apply(&account).await;
    let token = place.token("rotator", "sealwright").await;
    let foreign = place.token("rotator", "another").await;
    let key = format!("{}/app", place.name());
    vault.put(&key, &json!({"k": "two"})).await;
    let object = json!({"namespace": place.name(), "name": "es"});
    assert_eq!(announce(port, Some(&foreign), &object).0, 401);
    assert_eq!(announce(port, Some("no token"), &object).0, 401);
    assert_eq!(announce(port, Some(&token), &object).0, 403);
    place.allow("rotator", "update", "externalsecrets").await;
    eventually("the right has arrived", async || {
        (announce(port, Some(&token), &object).0 == 202).then_some(())
    })
    .await;
    value_is(&place, "two").await;
    // The right is one of the namespace.
    let elsewhere = json!({"namespace": "default", "name": "es"});
    assert_eq!(announce(port, Some(&token), &elsewhere).0, 403);
    assert_eq!(
        announce(port, Some(&token), &json!({"clusterStore": "c"})).0,
        403
    );
}

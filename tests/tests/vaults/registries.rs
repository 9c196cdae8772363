//! Tokens for container registries of Google and Azure, on the doubles that the vendors' own clients have passed first.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sealwright_providers::credential::held::Held;
use sealwright_providers::generators::{acr_access_token, gcr_access_token};
use sealwright_providers::outcome::{StoreError, Trouble};
use sealwright_providers::remote::SecretMap;
use sealwright_providers::store::Connection;
use serde_json::{Value, json};

use super::support::{failed, in_clouds};

fn connection(held: Held) -> Connection {
    Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    }
}

fn text(values: &SecretMap, name: &str) -> String {
    String::from_utf8(values[name].expose().to_vec()).unwrap()
}

#[tokio::test]
async fn of_google_end_when_they_say() {
    let Some(clouds) = in_clouds("registries::of_google_end_when_they_say", &[]) else {
        return;
    };
    let held = Held::default();
    let account = clouds.control("google/account", &json!({}));
    held.put("google", "key", account.to_string().as_bytes());
    held.put(
        "google",
        "wrong",
        b"{\"type\": \"service_account\", \"private_key\": \"canary\"}",
    );
    let connection = connection(held);
    clouds.control("google/lifetime", &json!({"seconds": 1800}));
    let ask = async |key: &str| {
        let settings = json!({"projectID": "shop", "auth": {"secretRef": {
            "secretAccessKeySecretRef": {"name": "google", "key": key}}}});
        gcr_access_token(&serde_json::from_value(settings).unwrap(), &connection).await
    };
    let made = ask("key").await.unwrap();
    assert_eq!(text(&made, "username"), "oauth2accesstoken");
    assert!(text(&made, "password").starts_with("ya29."));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let left = text(&made, "expiry").parse::<u64>().unwrap() - now;
    assert!((1700..=1800).contains(&left), "{left}");
    // Each time it is another one.
    let again = ask("key").await.unwrap();
    assert_ne!(text(&made, "password"), text(&again, "password"));
    let error = failed(ask("wrong").await);
    assert!(!format!("{error:?}").contains("canary"));
    // Without a way to sign in the surroundings count: here the metadata service of the machine.
    let settings = json!({"projectID": "shop", "auth": {}});
    let machine = gcr_access_token(&serde_json::from_value(settings).unwrap(), &connection).await;
    assert!(text(&machine.unwrap(), "password").starts_with("ya29."));
}

async fn ask(connection: &Connection, more: Value) -> Result<SecretMap, StoreError> {
    let mut settings = json!({"registry": "shop.azurecr.io"});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    acr_access_token(&serde_json::from_value(settings).unwrap(), connection).await
}

#[tokio::test]
async fn of_azure_are_exchanged_and_narrowed() {
    let case = "registries::of_azure_are_exchanged_and_narrowed";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let client = clouds.control("azure/client", &json!({}));
    let held = Held::default();
    // Spaces and line breaks around credentials do not count.
    let padded = |name: &str| format!(" {}\n", client[name].as_str().unwrap());
    for name in ["client", "secret"] {
        held.put("azure", name, padded(name).as_bytes());
    }
    held.put("azure", "wrong", b"canary-secret");
    let audience = json!({"aud": "api://AzureADTokenExchange"});
    let token = clouds.control("azure/outside-token", &audience);
    held.put_token(
        "web",
        token["token"].as_str().unwrap().as_bytes().to_vec().into(),
    );
    let annotation = |name: &str, value: &Value| {
        let name = format!("azure.workload.identity/{name}");
        (name, value.as_str().unwrap().to_owned())
    };
    let annotations = [
        annotation("client-id", &client["client"]),
        annotation("tenant-id", &client["tenant"]),
    ];
    held.put_annotations("web", annotations.into());
    let connection = connection(held);
    let good_for = |values: &SecretMap| {
        assert_eq!(
            text(values, "username"),
            "00000000-0000-0000-0000-000000000000"
        );
        let token = json!({"token": text(values, "password")});
        clouds.control("registry/claims", &token)
    };
    let principal = |secret: &str| {
        json!({"servicePrincipal": {"secretRef": {
            "clientId": {"name": "azure", "key": "client"},
            "clientSecret": {"name": "azure", "key": secret}}}})
    };
    let own = json!({"auth": principal("secret"), "tenantId": client["tenant"]});
    let claims = good_for(&ask(&connection, own.clone()).await.unwrap());
    assert_eq!(claims["grant_type"], "refresh_token");
    assert_eq!(claims["sub"], client["client"]);
    let mut narrow = own.clone();
    narrow["scope"] = "repository:web:pull".into();
    let claims = good_for(&ask(&connection, narrow).await.unwrap());
    assert_eq!(claims["grant_type"], "access_token");
    assert_eq!(claims["scope"], "repository:web:pull");
    let mut government = own.clone();
    government["registry"] = "shop.azurecr.us".into();
    government["environmentType"] = "USGovernmentCloud".into();
    let claims = good_for(&ask(&connection, government).await.unwrap());
    assert_eq!(claims["aud"], "shop.azurecr.us");
    for (identity, subject) in [
        (json!({}), "system-assigned"),
        (json!({"identityId": "user-assigned"}), "user-assigned"),
        (
            json!({"identityId": "/subscriptions/s/identities/user-assigned"}),
            "/subscriptions/s/identities/user-assigned",
        ),
    ] {
        let machine = json!({"auth": {"managedIdentity": identity}});
        let claims = good_for(&ask(&connection, machine).await.unwrap());
        assert_eq!(claims["sub"], subject);
    }
    let workload = json!({"auth": {"workloadIdentity": {"serviceAccountRef": {"name": "web"}}}});
    let claims = good_for(&ask(&connection, workload).await.unwrap());
    assert_eq!(claims["sub"], client["client"]);
    // A wrong secret, no way to sign in, a registry that is none: told, and without a secret.
    let wrong = json!({"auth": principal("wrong"), "tenantId": client["tenant"]});
    let error = failed(ask(&connection, wrong).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
    let error = failed(ask(&connection, json!({"auth": {}})).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    let mut odd = own;
    odd["registry"] = "https://shop.azurecr.io/x".into();
    assert_eq!(
        failed(ask(&connection, odd).await).trouble(),
        Trouble::Invalid
    );
    // Who names a host of their own does not get the identity of the machine.
    clouds.control("forget-calls", &json!({}));
    for registry in [
        "evil.example",
        "shop.azurecr.io.evil.example",
        "azurecr.io",
        "gitlab.example",
    ] {
        let machine = json!({"auth": {"managedIdentity": {}}, "registry": registry});
        let error = failed(ask(&connection, machine).await);
        assert_eq!(error.trouble(), Trouble::Invalid, "{registry}: {error}");
    }
    assert_eq!(clouds.calls(), Vec::<String>::new());
}

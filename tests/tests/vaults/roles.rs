//! Roles that are denied at random, throttling and failures: forbidden never becomes absent, throttled never becomes failed
//! for good, and nothing leaks.

use std::sync::Arc;

use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, StoreError, Trouble};
use sealwright_providers::remote::{Find, NamePattern, PushItem, RemoteRef};
use sealwright_providers::store::{Connection, Store, WriteMode};
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::generated::{cases, seed};
use serde_json::{Value, json};

use super::support::{connect_with, holding, in_clouds, item, source};

const CANARY: &str = "canary-of-a-value";

/// A small generator: the same roles for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What a store needs for each of the things that are tried.
struct Permissions {
    read: &'static str,
    list: &'static str,
    push: &'static [&'static str],
    delete: &'static [&'static str],
    /// Whether what is not there is no proof of absence.
    missing_is_an_error: bool,
}

impl Permissions {
    fn all(&self) -> Vec<&'static str> {
        let mut all = vec![self.read, self.list];
        all.extend(self.push);
        all.extend(self.delete);
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Judges an error: of the right kind, and without a word that others must not see.
fn check_error(error: &StoreError, denied: bool, told: &str) {
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains("canary"), "{shown} leaks: {told}");
    assert!(!shown.contains("ya29."), "{shown} leaks: {told}");
    assert!(!shown.contains("eyJ"), "{shown} leaks: {told}");
    let kind = error.trouble();
    match denied {
        true => assert_eq!(kind, Trouble::Forbidden, "{error}: {told}"),
        false => panic!("{error}, and nothing was denied: {told}"),
    }
}

async fn rounds(clouds: &Clouds, store: &Arc<dyn Store>, needed: &Permissions, own_seed: u64) {
    let count = cases(12, 500);
    let seed = seed(own_seed);
    let mut dice = Dice(seed | 1);
    let source = source(&[("user", CANARY), ("other", "canary-of-another")]);
    let (there, gone) = (RemoteRef::new("there"), RemoteRef::new("gone"));
    let all = Find {
        name: Some(NamePattern::new("^there$").unwrap()),
        ..Find::default()
    };
    for round in 0..count {
        let denied: Vec<&str> = needed
            .all()
            .into_iter()
            .filter(|_| dice.next(3) == 0)
            .collect();
        // Fewer than a call is tried again.
        let (throttled, failing) = (dice.next(3), dice.next(2));
        let told = format!(
            "seed {seed}, round {round}: denied {denied:?}, {throttled} throttled, {failing} failing"
        );
        let is_denied = |permission: &str| denied.contains(&permission);
        clouds.control("deny", &json!(denied));
        let fault = json!({"throttled": throttled, "failing": failing, "retry_after": 0});
        clouds.control("fault", &fault);
        match store.get(&there).await {
            Ok(Answer::Found(value)) => {
                assert_eq!(value.expose(), CANARY.as_bytes(), "{told}");
                assert!(!is_denied(needed.read), "{told}");
            }
            Ok(Answer::Absent(_)) => panic!("an absence that is none: {told}"),
            Err(error) => check_error(&error, is_denied(needed.read), &told),
        }
        match store.get(&gone).await {
            Ok(Answer::Found(_)) => panic!("it is not there: {told}"),
            Ok(Answer::Absent(_)) => assert!(!is_denied(needed.read), "{told}"),
            Err(error) if needed.missing_is_an_error && !is_denied(needed.read) => {
                assert_eq!(error.trouble(), Trouble::Missing, "{error}: {told}");
            }
            Err(error) => check_error(&error, is_denied(needed.read), &told),
        }
        let lists = is_denied(needed.list) || is_denied(needed.read);
        match store.find(&all).await {
            Ok(Answer::Found(found)) => {
                assert!(!lists && found.len() == 1, "{told}");
            }
            Ok(Answer::Absent(_)) => panic!("an absence that is none: {told}"),
            Err(error) => check_error(&error, lists, &told),
        }
        let name = format!("PUSHED{}", round % 5);
        let key = ["user", "other"][usize::try_from(dice.next(2)).unwrap()];
        let pushed = item(Some(key), &name, None);
        let refused = needed.push.iter().any(|one| is_denied(one));
        if let Err(error) = store.push(&source, &pushed, WriteMode::Apply).await {
            check_error(&error, refused, &told);
        }
        if dice.next(3) == 0 {
            let refused = needed.delete.iter().any(|one| is_denied(one));
            if let Err(error) = store.delete(&pushed, WriteMode::Apply).await {
                check_error(&error, refused, &told);
            }
        }
        // With everything allowed again the same store works, without a restart.
        clouds.control("deny", &json!([]));
        let recovered = store.get(&there).await;
        let recovered = recovered.unwrap_or_else(|error| panic!("{error} after {told}"));
        assert!(matches!(recovered, Answer::Found(_)), "{told}");
        settle(clouds, store, &source, &pushed, &told).await;
    }
}

/// A push that was cut short is finished by the next one.
async fn settle(
    clouds: &Clouds,
    store: &Arc<dyn Store>,
    source: &sealwright_providers::remote::PushSource,
    pushed: &PushItem,
    told: &str,
) {
    // A vault keeps the name of what was deleted.
    clouds.control("azure/purge", &json!({"vault": "shop.vault.azure.net"}));
    let again = store.push(source, pushed, WriteMode::Apply).await;
    again.unwrap_or_else(|error| panic!("{error} after {told}"));
    assert!(store.exists(pushed).await.unwrap(), "{told}");
}

#[tokio::test]
async fn of_google_secret_manager() {
    let Some(clouds) = in_clouds("roles::of_google_secret_manager", &[]) else {
        return;
    };
    let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, CANARY);
    let secret = json!({"name": "there", "versions": [value]});
    clouds.control("google/secret", &secret);
    let held = Held::default();
    let account = clouds.control("google/account", &json!({}));
    held.put("google", "key", account.to_string().as_bytes());
    let manifest = json!({"gcpsm": {"projectID": "shop", "auth": {"secretRef": {
        "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}}});
    let store = connected(&manifest, held).await;
    let needed = Permissions {
        read: "secretmanager.versions.access",
        list: "secretmanager.secrets.list",
        push: &[
            "secretmanager.secrets.get",
            "secretmanager.secrets.create",
            "secretmanager.versions.access",
            "secretmanager.versions.add",
        ],
        delete: &["secretmanager.secrets.get", "secretmanager.secrets.delete"],
        missing_is_an_error: false,
    };
    rounds(&clouds, &store, &needed, 0x5ea1_0000_0061).await;
}

#[tokio::test]
async fn of_azure_key_vault() {
    let Some(clouds) = in_clouds("roles::of_azure_key_vault", &[]) else {
        return;
    };
    let vault = "shop.vault.azure.net";
    let secret = json!({"vault": vault, "name": "there", "values": [CANARY]});
    clouds.control("azure/secret", &secret);
    let client = clouds.control("azure/client", &json!({}));
    let held = Held::default();
    for key in ["client", "secret"] {
        held.put("azure", key, client[key].as_str().unwrap().as_bytes());
    }
    let manifest = json!({"azurekv": {"vaultUrl": format!("https://{vault}"), "tenantId": client["tenant"],
        "authSecretRef": {"clientId": {"name": "azure", "key": "client"},
            "clientSecret": {"name": "azure", "key": "secret"}}}});
    let store = connected(&manifest, held).await;
    let needed = Permissions {
        read: "secrets/get",
        list: "secrets/list",
        push: &["secrets/get", "secrets/set"],
        delete: &["secrets/get", "secrets/delete"],
        missing_is_an_error: false,
    };
    rounds(&clouds, &store, &needed, 0x5ea1_0000_0062).await;
}

/// What the token of a smaller vault may do.
const READ_AND_WRITE: Permissions = Permissions {
    read: "read",
    list: "read",
    push: &["read", "write"],
    delete: &["read", "write"],
    missing_is_an_error: true,
};

#[tokio::test]
async fn of_doppler() {
    let Some(clouds) = in_clouds("roles::of_doppler", &[]) else {
        return;
    };
    clouds.control("doppler/secret", &json!({"name": "there", "value": CANARY}));
    let manifest = json!({"doppler": {"project": "shop", "config": "prd",
        "auth": {"secretRef": {"dopplerToken": {"name": "secret", "key": "token"}}}}});
    let store = connected(&manifest, holding(&clouds, "doppler")).await;
    rounds(&clouds, &store, &READ_AND_WRITE, 0x5ea1_0000_0063).await;
}

#[tokio::test]
async fn of_onepassword() {
    let Some(clouds) = in_clouds("roles::of_onepassword", &[]) else {
        return;
    };
    // A value is read by its default field, and found by a label.
    let fields = ["password", "there"].map(|label| json!({"label": label, "value": CANARY}));
    let item = json!({"vault": "shop", "item": {"title": "there", "fields": fields}});
    clouds.control("connect/item", &item);
    let manifest = json!({"onepassword": {"connectHost": "https://connect.example", "vaults": {"shop": 1},
        "auth": {"secretRef": {"connectTokenSecretRef": {"name": "secret", "key": "token"}}}}});
    let store = connected(&manifest, holding(&clouds, "connect")).await;
    rounds(&clouds, &store, &READ_AND_WRITE, 0x5ea1_0000_0064).await;
}

async fn connected(manifest: &Value, held: Held) -> Arc<dyn Store> {
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    connect_with(manifest, &connection).await
}

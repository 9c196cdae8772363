//! What the cases share: a server for all of them, stores on it, and answers as text.

use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, Outcome, Proof, StoreError};
use sealwright_providers::remote::{PushItem, PushSource, RemoteRef, SecretMap};
use sealwright_providers::store::{Connection, Store, StoreConfig};
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::fault_proxy::FaultProxy;
use sealwright_tests::harness::moto::Moto;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::server::free_port;
use serde_json::{Value, json};

/// Runs one case of AWS in a process whose environment leads through a proxy to moto: stores find it through it, and no test
/// may change its own. `fill` puts values there first. Nothing comes out in the process that only waits for that one.
pub(crate) fn behind_proxy(case: &str, fill: impl FnOnce(&Moto)) -> Option<FaultProxy> {
    let variable = "SEALWRIGHT_BEHIND_PROXY";
    if let Ok(ports) = std::env::var(variable) {
        let (own, port) = ports.split_once(':').unwrap();
        return Some(FaultProxy::start_on(
            own.parse().unwrap(),
            port.parse().unwrap(),
        ));
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    fill(&moto);
    let own = free_port().unwrap();
    let mut variables = moto.variables();
    for (name, value) in &mut variables {
        if name.ends_with("ENDPOINT") || name.starts_with("AWS_ENDPOINT_URL") {
            *value = format!("http://127.0.0.1:{own}");
        }
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("vaults::{case}")])
        .env(variable, format!("{own}:{}", moto.port()))
        .envs(variables)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{errors}"
    );
    println!("{told}");
    None
}

/// A Secret with the token that a double of this name takes.
pub(crate) fn holding(clouds: &Clouds, double: &str) -> Held {
    let held = Held::default();
    let known = clouds.control(&format!("{double}/token"), &json!({}));
    held.put(
        "secret",
        "token",
        known["token"].as_str().unwrap().as_bytes(),
    );
    held
}

/// Runs one case in a process whose environment leads to doubles of Azure and Google: stores find them through it, and no
/// test may change its own. Nothing comes out in the process that only waits for that one.
pub(crate) fn in_clouds(case: &str, more: &[(&str, String)]) -> Option<Clouds> {
    if let Ok(address) = std::env::var("SEALWRIGHT_IN_CLOUDS") {
        return Some(Clouds::at(&address));
    }
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("vaults::{case}")])
        .env("SEALWRIGHT_IN_CLOUDS", clouds.address())
        .envs(clouds.variables())
        .envs(more.iter().map(|(name, value)| (*name, value)))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    None
}

/// One server for all cases that do not need one of their own.
pub(crate) fn openbao() -> &'static OpenBao {
    static SERVER: OnceLock<OpenBao> = OnceLock::new();
    SERVER.get_or_init(|| OpenBao::start().unwrap_or_else(|error| panic!("{error}")))
}

/// Mounts a KV engine under a name of its own.
pub(crate) fn mount(server: &OpenBao, name: &str, version: u8) {
    let options = json!({"type": "kv", "options": {"version": version.to_string()}});
    server.api("POST", &format!("sys/mounts/{name}"), Some(&options));
    // Engines of version 2 upgrade themselves, and answer 400 until that is done.
    if version == 2 {
        for _ in 0..500 {
            let (status, _) = server.try_api(ROOT, "GET", &format!("{name}/config"), None);
            if status == 200 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the engine {name} does not come up");
    }
}

/// A connection whose Secret `vault` holds the token, and whatever else is put in.
pub(crate) fn connection(token: &str) -> (Connection, Arc<Held>) {
    let held = Arc::new(Held::default());
    held.put("vault", "token", token.as_bytes());
    let connection = Connection {
        credentials: Arc::clone(&held) as Arc<_>,
        timeout: Some(Duration::from_secs(20)),
        ..Connection::default()
    };
    (connection, held)
}

/// The manifest part of a Vault store that signs in with the token.
pub(crate) fn vault(server: &str, path: Option<&str>, version: &str) -> Value {
    let mut settings = json!({"server": server, "version": version,
        "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}});
    if let Some(path) = path {
        settings["path"] = path.into();
    }
    json!({"vault": settings})
}

pub(crate) fn config(manifest: &Value) -> StoreConfig {
    serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{manifest}: {error}"))
}

pub(crate) async fn connect(manifest: &Value) -> Arc<dyn Store> {
    let (connection, _) = connection(ROOT);
    connect_with(manifest, &connection).await
}

pub(crate) async fn connect_with(manifest: &Value, connection: &Connection) -> Arc<dyn Store> {
    let store = config(manifest).connect(connection).await;
    store.unwrap_or_else(|error| panic!("{manifest}: {error}"))
}

/// A value as text, `(absent)`, or the kind of the error in brackets.
pub(crate) fn told(outcome: &Outcome<SecretBytes>) -> String {
    match outcome {
        Ok(Answer::Found(value)) => String::from_utf8_lossy(value.expose()).into_owned(),
        Ok(Answer::Absent(_)) => "(absent)".to_owned(),
        Err(error) => format!("({})", error.trouble().name()),
    }
}

pub(crate) async fn get(store: &Arc<dyn Store>, at: &RemoteRef) -> String {
    told(&store.get(at).await)
}

/// A map as `name=value` lines.
pub(crate) fn lines(map: &SecretMap) -> Vec<String> {
    map.iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.expose())))
        .collect()
}

pub(crate) fn source(pairs: &[(&str, &str)]) -> PushSource {
    let data: SecretMap = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), SecretBytes::copy_of(value.as_bytes())))
        .collect();
    PushSource {
        data,
        ..PushSource::default()
    }
}

pub(crate) fn item(secret_key: Option<&str>, remote_key: &str, property: Option<&str>) -> PushItem {
    PushItem {
        secret_key: secret_key.map(str::to_owned),
        remote_key: remote_key.to_owned(),
        property: property.map(str::to_owned),
        ..PushItem::default()
    }
}

/// The same with what the metadata of a push says.
pub(crate) fn with_metadata(item: &PushItem, spec: Value) -> PushItem {
    PushItem {
        metadata: Some(json!({
            "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
            "kind": "PushSecretMetadata", "spec": spec,
        })),
        ..item.clone()
    }
}

pub(crate) fn proof<T: std::fmt::Debug>(answer: &Answer<T>) -> Proof {
    match answer {
        Answer::Absent(absent) => absent.proof(),
        Answer::Found(_) => panic!("it must be absent"),
    }
}

pub(crate) fn failed<T>(outcome: Result<T, StoreError>) -> StoreError {
    match outcome {
        Ok(_) => panic!("it must fail"),
        Err(error) => error,
    }
}

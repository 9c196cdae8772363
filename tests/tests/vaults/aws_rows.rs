//! Rows of AWS that moto answers otherwise than AWS, or does not check: here a peer answers in AWS's own words and keeps what
//! it was asked. What moto does keep (policies, replicas, tiers, keys) is looked at with the vendor's own client.

mod certificate_manager;
mod parameter_store;
mod roles;
mod secrets_manager;

use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::{Connection, Deleted, Store, WriteMode};
use sealwright_tests::harness::moto::{Moto, REGION};
use sealwright_tests::harness::peer::{Head, Peer, reply};
use serde_json::{Value, json};

use super::support::{connect_with, failed, get, item, lines, source};

/// What the peer was asked: operations with their bodies.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// Runs one case, by its path below this module, in a process whose environment leads to a peer. Nothing comes out in that
/// process, and elsewhere what the peer was asked.
fn against(
    case: &str,
    answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static,
) -> Option<Vec<(String, String)>> {
    let variable = "SEALWRIGHT_AWS_PEER";
    if std::env::var_os(variable).is_some() {
        return None;
    }
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let peer = Peer::start(move |head: &Head, stream: &mut TcpStream| {
        let body = String::from_utf8_lossy(&head.body).into_owned();
        let operation = match head.headers.get("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap().to_owned(),
            None => "STS".to_owned(),
        };
        let (status, answer) = answer(&operation, &body);
        kept.lock().unwrap().push((operation, body));
        reply(stream, status, &[], answer.as_bytes());
    });
    in_child(case, variable, &[("AWS_ENDPOINT_URL", peer.address())]);
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    Some(asked)
}

/// Runs one case, by its path below this module, in a process whose environment leads to moto.
fn on_moto(case: &str) -> Option<Moto> {
    let variable = "SEALWRIGHT_AWS_ROWS";
    if let Ok(port) = std::env::var(variable) {
        return Some(Moto::at(port.parse().unwrap()));
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let variables: Vec<_> = moto.variables();
    let port = moto.port().to_string();
    let mut command = child(case);
    command.env(variable, port).envs(variables);
    passes(&mut command);
    None
}

fn in_child(case: &str, variable: &str, more: &[(&str, String)]) {
    let mut command = child(case);
    command
        .env(variable, "1")
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "made-for-tests")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    for (name, value) in more {
        command.env(name, value);
    }
    passes(&mut command);
}

fn child(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "--nocapture",
        &format!("vaults::aws_rows::{case}"),
    ]);
    command
}

fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn manifest(service: &str, more: Value) -> Value {
    let mut settings = json!({"service": service, "region": REGION});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({ "aws": settings })
}

async fn store(service: &str, more: Value) -> Arc<dyn Store> {
    connect_with(&manifest(service, more), &Connection::default()).await
}

fn refusal(code: &str, message: &str) -> (u16, String) {
    (400, json!({"__type": code, "Message": message}).to_string())
}

#[tokio::test]
async fn p26_attempts_and_pauses_are_those_of_the_settings() {
    let case = "p26_attempts_and_pauses_are_those_of_the_settings";
    let asked = against(case, |_, _| refusal("ThrottlingException", "Rate exceeded"));
    if let Some(asked) = asked {
        // Three attempts where nothing is said, then one, four and, of zero, as many as there may be.
        let keys: Vec<_> = asked.iter().map(|(_, body)| body.clone()).collect();
        let count = |key: &str| keys.iter().filter(|body| body.contains(key)).count();
        assert_eq!(count("\"default\""), 3);
        assert_eq!(count("\"once\""), 1);
        assert_eq!(count("\"four\""), 4);
        assert_eq!(count("\"zero\""), 10);
        return;
    }
    let connection = |attempts: Option<i32>| Connection {
        retry: attempts.map(|attempts| RetrySettings {
            max_retries: Some(attempts),
            retry_interval: Some("30ms".to_owned()),
        }),
        ..Connection::default()
    };
    for (key, attempts) in [
        ("default", None),
        ("once", Some(1)),
        ("four", Some(4)),
        ("zero", Some(0)),
    ] {
        let manifest = manifest("SecretsManager", json!({}));
        let store = connect_with(&manifest, &connection(attempts)).await;
        let started = Instant::now();
        let error = failed(store.get(&RemoteRef::new(key)).await);
        assert!(
            matches!(error.trouble(), Trouble::Throttled { .. }),
            "{error}"
        );
        if key == "four" {
            assert!(started.elapsed() >= Duration::from_millis(90));
        }
    }
}

#[tokio::test]
async fn p27_a_prefix_stands_before_every_key() {
    let Some(moto) = on_moto("p27_a_prefix_stands_before_every_key") else {
        return;
    };
    let source = source(&[("a", "one"), ("b", "two")]);
    for (service, prefix) in [("SecretsManager", "team/"), ("ParameterStore", "/team/")] {
        let with = store(service, json!({"prefix": prefix})).await;
        let without = store(service, json!({})).await;
        let pushed = item(Some("a"), "k", None);
        with.push(&source, &pushed, WriteMode::Apply).await.unwrap();
        let full = RemoteRef::new(format!("{prefix}k"));
        assert_eq!(get(&without, &full).await, "one", "{service}");
        assert_eq!(get(&without, &RemoteRef::new("k")).await, "(absent)");
        assert_eq!(get(&with, &RemoteRef::new("k")).await, "one");
        assert!(with.exists(&pushed).await.unwrap());
        assert!(!without.exists(&pushed).await.unwrap());
        let deleted = with.delete(&pushed, WriteMode::Apply).await.unwrap();
        assert_eq!(deleted, Deleted::Key);
        assert_eq!(get(&without, &full).await, "(absent)");
    }
    // What a search finds is read by the name that it has, and the prefix is not put before it again (T2).
    let body = json!({"Name": "team/found", "SecretString": "f"});
    moto.call("secretsmanager.CreateSecret", &body);
    let with = store("SecretsManager", json!({"prefix": "team/"})).await;
    let find = Find {
        name: Some(NamePattern::new("found").unwrap()),
        ..Find::default()
    };
    let found = with.find(&find).await.unwrap().found().unwrap();
    assert_eq!(lines(&found), ["team/found=f"]);
}

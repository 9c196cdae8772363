//! Hostile services that sign in: the metadata of machines, agents of containers, and token services may answer with
//! anything. A read ends soon, with a typed error that shows nothing of what was sent; nothing stops the program, and the
//! same store reads again when the service is itself again.
//!
//! One server stands for all of them and for the vaults, which accept one token only.

mod odd;
mod server;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, Trouble};
use sealwright_providers::remote::RemoteRef;
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::moto::REGION;
use serde_json::{Value, json};

use self::odd::{ODDS, answers, name_of};
use self::server::{answer_with, server};
use super::hostile::{BOUND, PEERS, is_fit_to_be_shown, peak, with};
use super::support::{connect_with, in_clouds};

/// The variable by which a process that has a case to itself finds the server.
const SERVER: &str = "SEALWRIGHT_HOSTILE_SIGN_IN";
const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider";

/// Runs a case in a process whose environment leads to the server and to nothing else. Nothing comes out in the process that
/// only waits for that one.
fn alone(case: &str, variables: fn(&str) -> Vec<(&'static str, String)>) -> Option<String> {
    if let Ok(server) = std::env::var(SERVER) {
        return Some(server);
    }
    let server = server().address();
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("vaults::hostile_sign_in::{case}"))
        .env_clear()
        .env("HOME", home.path())
        .env("AWS_ENDPOINT_URL", &server)
        .envs(variables(&server))
        .env(SERVER, &server)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && told.contains("1 passed") && !errors.contains("panicked"),
        "{told}{errors}"
    );
    None
}

/// Reads from a store under every answer, hostile from each of the steps on, and again when the server is itself again.
async fn every_answer(
    server: &str,
    manifest: &Value,
    held: impl Fn() -> Held,
    at: &RemoteRef,
    steps: &[usize],
) {
    for step in steps {
        for number in 1..=answers() {
            let told = format!("{} from step {step} on", name_of(number));
            let store = connect_with(manifest, &with(held())).await;
            answer_with(server, number, *step);
            let outcome = tokio::time::timeout(BOUND, store.get(at)).await;
            match outcome.unwrap_or_else(|_| panic!("{told}: it never ended")) {
                // The token may be good, and only its end is odd.
                Ok(Answer::Found(value)) => {
                    let is_odd = (PEERS.len()..PEERS.len() + ODDS.len()).contains(&(number - 1));
                    assert!(
                        is_odd && value.expose() == b"value",
                        "{told}: that is no value"
                    );
                }
                Ok(Answer::Absent(_)) => panic!("{told}: that proves no absence"),
                Err(error) => {
                    let trouble = error.trouble();
                    let foreign = [Trouble::Conflict, Trouble::Unsupported];
                    assert!(!foreign.contains(&trouble), "{told}: {error:?}");
                    is_fit_to_be_shown(&error, &told);
                }
            }
            answer_with(server, 0, 0);
            let mut again = store.get(at).await;
            for _ in 0..20 {
                // A machine under load may take longer than the store waits.
                if again.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                again = store.get(at).await;
            }
            let again = again.unwrap_or_else(|error| panic!("{error} after {told}"));
            assert_eq!(again.found().unwrap().expose(), b"value", "after {told}");
        }
    }
    assert!(peak() < 300 << 20, "{} MiB", peak() >> 20);
}

fn aws(more: &Value) -> Value {
    let mut settings = json!({"service": "SecretsManager", "region": REGION});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({ "aws": settings })
}

fn k() -> RemoteRef {
    RemoteRef::new("k")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_an_instance_of_aws() {
    let case = "the_metadata_of_an_instance_of_aws";
    let server = alone(case, |server| {
        vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.to_owned())]
    });
    let Some(server) = server else { return };
    every_answer(&server, &aws(&json!({})), Held::default, &k(), &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_of_a_container_of_aws() {
    let server = alone("the_agent_of_a_container_of_aws", |server| {
        vec![
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("{server}/container"),
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                "canary-of-an-agent".to_owned(),
            ),
        ]
    });
    let Some(server) = server else { return };
    every_answer(&server, &aws(&json!({})), Held::default, &k(), &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_service_of_aws_for_a_role() {
    let Some(server) = alone("the_token_service_of_aws_for_a_role", |_| Vec::new()) else {
        return;
    };
    let keys = json!({"accessKeyIDSecretRef": {"name": "aws", "key": "id"},
        "secretAccessKeySecretRef": {"name": "aws", "key": "key"}});
    let manifest =
        aws(&json!({"role": "arn:aws:iam::123456789012:role/web", "auth": {"secretRef": keys}}));
    let held = || {
        let held = Held::default();
        held.put("aws", "id", b"AKIAIOSFODNN7EXAMPLE");
        held.put("aws", "key", b"canary-of-a-key");
        held
    };
    every_answer(&server, &manifest, held, &k(), &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_service_of_aws_for_a_service_account() {
    let case = "the_token_service_of_aws_for_a_service_account";
    let Some(server) = alone(case, |_| Vec::new()) else {
        return;
    };
    let manifest = aws(&json!({"auth": {"jwt": {"serviceAccountRef": {"name": "web"}}}}));
    let held = || {
        let held = Held::default();
        let role = "arn:aws:iam::123456789012:role/web".to_owned();
        let role = BTreeMap::from([("eks.amazonaws.com/role-arn".to_owned(), role)]);
        held.put_annotations("web", role);
        held.put_token("web", b"eyJ.canary.token".to_vec().into());
        held
    };
    every_answer(&server, &manifest, held, &k(), &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_vault() {
    let Some(server) = alone("a_login_of_vault", |_| Vec::new()) else {
        return;
    };
    let manifest = json!({"vault": {"server": server, "path": "secret", "version": "v2", "auth": {"userPass": {
        "path": "userpass", "username": "jo", "secretRef": {"name": "user", "key": "password"}}}}});
    let held = || {
        let held = Held::default();
        held.put("user", "password", b"canary-of-a-password");
        held
    };
    every_answer(&server, &manifest, held, &k().property("a"), &[0]).await;
}

/// Leads hosts of a cloud to the server.
fn lead(clouds: &Clouds, hosts: &[&str], server: &str) {
    let port: u16 = server.rsplit_once(':').unwrap().1.parse().unwrap();
    for host in hosts {
        clouds.control("lead", &json!({"host": host, "port": port}));
    }
}

/// Runs a case in a process whose environment leads to the doubles of the clouds, and the services beside a program to the
/// server.
fn beside_clouds(
    case: &str,
    variables: fn(&str) -> Vec<(&'static str, String)>,
) -> Option<(Clouds, String)> {
    let found = std::env::var(SERVER).ok();
    let server = found.unwrap_or_else(|| server().address());
    let mut all = variables(&server);
    all.push((SERVER, server.clone()));
    let clouds = in_clouds(&format!("hostile_sign_in::{case}"), &all)?;
    Some((clouds, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_a_machine_of_google() {
    let found = beside_clouds("the_metadata_of_a_machine_of_google", |server| {
        let authority = server.trim_start_matches("http://").to_owned();
        vec![("GCE_METADATA_HOST", authority)]
    });
    let Some((clouds, server)) = found else {
        return;
    };
    lead(&clouds, &["secretmanager.googleapis.com"], &server);
    let manifest = json!({"gcpsm": {"projectID": "shop"}});
    every_answer(&server, &manifest, Held::default, &k(), &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_google_and_what_gives_its_subject() {
    let case = "a_pool_of_google_and_what_gives_its_subject";
    let Some((clouds, server)) = beside_clouds(case, |_| Vec::new()) else {
        return;
    };
    let hosts = ["secretmanager.googleapis.com", "sts.googleapis.com"];
    lead(&clouds, &hosts, &server);
    let url = format!("{server}/subject");
    let file = json!({"type": "external_account", "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"url": url}});
    let manifest = json!({"gcpsm": {"projectID": "shop", "auth": {"workloadIdentityFederation": {
        "credConfig": {"name": "external", "key": "c"}, "externalTokenEndpoint": url}}}});
    let held = || {
        let held = Held::default();
        let config = BTreeMap::from([("c".to_owned(), file.to_string().into_bytes())]);
        held.put_config_map("", "external", config);
        held
    };
    every_answer(&server, &manifest, held, &k(), &[0, 2]).await;
}

fn managed_identity() -> Value {
    json!({"azurekv": {"vaultUrl": "https://shop.vault.azure.net", "authType": "ManagedIdentity"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_a_machine_of_azure() {
    let found = beside_clouds("the_metadata_of_a_machine_of_azure", |server| {
        vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.to_owned())]
    });
    let Some((clouds, server)) = found else {
        return;
    };
    lead(&clouds, &["shop.vault.azure.net"], &server);
    every_answer(&server, &managed_identity(), Held::default, &k(), &[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_an_app_service_of_azure() {
    let found = beside_clouds("the_identity_of_an_app_service_of_azure", |server| {
        vec![
            ("IDENTITY_ENDPOINT", format!("{server}/msi/token")),
            ("IDENTITY_HEADER", "canary-of-a-header".to_owned()),
        ]
    });
    let Some((clouds, server)) = found else {
        return;
    };
    lead(&clouds, &["shop.vault.azure.net"], &server);
    every_answer(&server, &managed_identity(), Held::default, &k(), &[0]).await;
}

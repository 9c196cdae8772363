//! Hostile services that sign in: the metadata of machines, agents of containers, and token services may answer with
//! anything. A read ends soon, with a typed error that shows nothing of what was sent; nothing stops the program, and the
//! same store reads again when the service is itself again.
//!
//! One server stands for all of them and for the vaults, which accept one token only.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, Trouble};
use sealwright_providers::remote::RemoteRef;
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::moto::REGION;
use sealwright_tests::harness::peer::{Head, Peer, reply};
use serde_json::{Value, json};

use super::hostile::{BOUND, PEERS, is_fit_to_be_shown, peak, with};
use super::support::{connect_with, in_clouds};

/// The variable by which a process that has a case to itself finds the server.
const SERVER: &str = "SEALWRIGHT_HOSTILE_SIGN_IN";
/// The token that the vaults accept.
const GOOD: &str = "good-token";
/// What the instance metadata are asked with.
const INSTANCE: &str = "canary-of-an-instance";
const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider";

/// What a service says in the place of credentials.
struct Odd {
    name: &'static str,
    token: fn() -> String,
    end: End,
    /// A JSON value beside the token.
    beside: fn() -> String,
}

/// When credentials end.
#[derive(Clone, Copy)]
enum End {
    Usual,
    Past,
    Far,
    Absent,
    Nonsense,
}

impl End {
    fn seconds(self) -> Value {
        match self {
            Self::Usual => json!(3600),
            Self::Past => json!(0),
            Self::Far => json!(u64::MAX),
            Self::Absent => Value::Null,
            Self::Nonsense => json!("soon"),
        }
    }

    fn date(self) -> Value {
        match self {
            Self::Usual => json!("2099-01-01T00:00:00Z"),
            Self::Past => json!("1970-01-01T00:00:00Z"),
            Self::Far => json!("9999-12-31T23:59:59Z"),
            Self::Absent => Value::Null,
            Self::Nonsense => json!("soon"),
        }
    }
}

const fn odd(name: &'static str, token: fn() -> String, end: End) -> Odd {
    Odd {
        name,
        token,
        end,
        beside: || "1".to_owned(),
    }
}

fn good() -> String {
    GOOD.to_owned()
}

const USUAL: Odd = odd("credentials", good, End::Usual);

const ODDS: &[Odd] = &[
    odd("an end in the past", good, End::Past),
    odd("an end beyond all times", good, End::Far),
    odd("no end", good, End::Absent),
    odd("an end that is none", good, End::Nonsense),
    Odd {
        name: "a hundred thousand lists",
        token: good,
        end: End::Usual,
        beside: || "[".repeat(100_000) + &"]".repeat(100_000),
    },
    odd(
        "a wrong token that never ends",
        || "canary-of-another".to_owned(),
        End::Far,
    ),
    odd("no token", String::new, End::Usual),
    odd(
        "a token with a line break",
        || "canary\r\nX-Evil: 1".to_owned(),
        End::Far,
    ),
    odd("a token with NUL", || "canary\0".to_owned(), End::Far),
    odd(
        "a token that hides what it says",
        || "canary\u{1b}[2J\u{202e}".to_owned(),
        End::Far,
    ),
    odd(
        "a token of half a megabyte",
        || "canary".repeat(80_000),
        End::Far,
    ),
    odd(
        "a token of ten megabytes",
        || "canary".repeat(1_700_000),
        End::Far,
    ),
];

/// Answers that repeat what was sent, by their status.
type Echo = (&'static str, u16, fn(&str) -> String);

const ECHOES: &[Echo] = &[
    ("an echo as an error with status 200", 200, |text| {
        json!({"Code": "Failed", "Message": text, "error": text, "errors": [text]}).to_string()
    }),
    ("an echo as a code", 400, |text| {
        json!({"__type": text, "Code": text, "message": text, "error": text, "error_description": text,
            "errors": [text]})
        .to_string()
    }),
    ("an echo in XML", 400, |text| {
        format!(
            "<ErrorResponse><Error><Code>Failed</Code><Message>{text}</Message></Error></ErrorResponse>"
        )
    }),
    ("an echo in a page", 403, |text| {
        format!("<html>{text}</html>")
    }),
];

/// How many hostile answers there are; 0 stands for the usual one.
fn answers() -> usize {
    PEERS.len() + ODDS.len() + ECHOES.len()
}

fn name_of(answer: usize) -> &'static str {
    let number = answer - 1;
    match number.checked_sub(PEERS.len()) {
        None => PEERS[number].0,
        Some(number) => match number.checked_sub(ODDS.len()) {
            None => ODDS[number].name,
            Some(number) => ECHOES[number].0,
        },
    }
}

/// Starts the server. `GET /answer/N/S` makes it give answer N from step S of a sign-in on.
fn server() -> Peer {
    let (answer, step) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Peer::start(move |head: &Head, stream: &mut TcpStream| {
        if let Some(rest) = head.path.strip_prefix("/answer/") {
            let (number, from) = rest.split_once('/').unwrap();
            answer.store(number.parse().unwrap(), Ordering::SeqCst);
            step.store(from.parse().unwrap(), Ordering::SeqCst);
            return reply(stream, 200, &[], b"{}");
        }
        if let Some((status, body)) = of_vault(head) {
            let kind = [("Content-Type", "application/json")];
            let body = match body {
                Value::Null => String::new(),
                body => body.to_string(),
            };
            return reply(stream, status, &kind, body.as_bytes());
        }
        let number = answer.load(Ordering::SeqCst);
        if number == 0 || step_of(head) < step.load(Ordering::SeqCst) {
            return say(head, &USUAL, stream);
        }
        let number = number - 1;
        let Some(number) = number.checked_sub(PEERS.len()) else {
            return PEERS[number].1(stream);
        };
        let Some(number) = number.checked_sub(ODDS.len()) else {
            return say(head, &ODDS[number], stream);
        };
        let (_, status, body) = ECHOES[number];
        let sent: Vec<&str> = head.headers.values().map(String::as_str).collect();
        let sent = sent.join(" ") + " " + &String::from_utf8_lossy(&head.body);
        let kind = [("Content-Type", "application/json")];
        reply(stream, status, &kind, body(&sent).as_bytes());
    })
}

/// The answers of the vaults, each in its own words.
fn of_vault(head: &Head) -> Option<(u16, Value)> {
    let header = |name: &str| head.headers.get(name).map(String::as_str);
    let host = header("host").unwrap_or_default();
    let bearer = header("authorization") == Some(&*format!("Bearer {GOOD}"));
    if header("x-amz-target").is_some() {
        let signed = header("authorization").unwrap_or_default();
        return Some(match signed.contains(&format!("Credential={GOOD}/")) {
            true => (
                200,
                json!({"Name": "k", "SecretString": "value", "VersionId": "1"}),
            ),
            false => (
                400,
                json!({"__type": "UnrecognizedClientException", "message": "The security token is invalid."}),
            ),
        });
    }
    if host.starts_with("secretmanager.") {
        let payload = json!({"data": "dmFsdWU="});
        return Some(match bearer {
            true => (
                200,
                json!({"name": "projects/1/secrets/k/versions/1", "payload": payload}),
            ),
            false => (
                401,
                json!({"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "no"}}),
            ),
        });
    }
    if host.ends_with(".vault.azure.net") {
        let id = "https://shop.vault.azure.net/secrets/k/1";
        return Some(match bearer {
            true => (
                200,
                json!({"value": "value", "id": id, "attributes": {"enabled": true}}),
            ),
            false => (
                401,
                json!({"error": {"code": "Unauthorized", "message": "no"}}),
            ),
        });
    }
    if !head.path.starts_with("/v1/") || head.path.contains("/login/") || head.path == "/v1/token" {
        return None;
    }
    if header("x-vault-token") != Some(GOOD) {
        return Some((403, json!({"errors": ["permission denied"]})));
    }
    Some(match head.path.as_str() {
        "/v1/secret/data/k" => {
            let known = json!({"version": 1, "deletion_time": "", "destroyed": false});
            (
                200,
                json!({"data": {"data": {"a": "value"}, "metadata": known}}),
            )
        }
        "/v1/auth/token/lookup-self" => {
            (200, json!({"data": {"policies": ["default"], "ttl": 60}}))
        }
        _ => (204, Value::Null),
    })
}

/// Which step of a sign-in a request is: the last that there can be, where there is only one.
fn step_of(head: &Head) -> usize {
    match head.path.as_str() {
        "/latest/api/token" | "/subject" => 0,
        "/latest/meta-data/iam/security-credentials/" => 1,
        _ => 2,
    }
}

/// Answers with credentials in the words of the service that is asked.
fn say(head: &Head, what: &Odd, stream: &mut TcpStream) {
    let token = (what.token)();
    // What stands elsewhere than in the credentials themselves is odd only with an odd token.
    let or_token = |usual: &'static str| match token == GOOD {
        true => usual.to_owned(),
        false => token.clone(),
    };
    let path = head.path.split('?').next().unwrap_or_default();
    match path {
        "/latest/api/token" => {
            let ttl = match what.end.seconds() {
                Value::Null => Vec::new(),
                Value::String(text) => vec![("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", text)],
                number => vec![("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", number.to_string())],
            };
            let ttl: Vec<(&str, &str)> = ttl.iter().map(|(name, text)| (*name, &**text)).collect();
            reply(stream, 200, &ttl, or_token(INSTANCE).as_bytes());
        }
        "/latest/meta-data/iam/security-credentials/" => {
            reply(stream, 200, &[], or_token("web").as_bytes());
        }
        "/subject" => {
            reply(stream, 200, &[], or_token("canary-of-a-subject").as_bytes());
        }
        "/container" | "/latest/meta-data/iam/security-credentials/web" => {
            let said = json!({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
                "AccessKeyId": token, "SecretAccessKey": "canary-of-a-key", "Token": token,
                "Expiration": what.end.date()});
            say_json(said, what, stream);
        }
        "/" => say_sts(head, &token, what.end, stream),
        path if path.contains("/login/") => {
            let auth = json!({"client_token": token, "lease_duration": what.end.seconds(), "policies": ["default"]});
            say_json(json!({ "auth": auth }), what, stream);
        }
        path if path.ends_with("/token") => {
            let said = json!({"access_token": token, "expires_in": what.end.seconds(), "token_type": "Bearer"});
            say_json(said, what, stream);
        }
        _ => reply(stream, 404, &[], b""),
    }
}

fn say_json(mut said: Value, what: &Odd, stream: &mut TcpStream) {
    let members = said.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
    let mut text = said.to_string();
    text.pop();
    text += &format!(",\"beside\":{}}}", (what.beside)());
    let kind = [("Content-Type", "application/json")];
    reply(stream, 200, &kind, text.as_bytes());
}

/// What the token service of AWS says, in XML. Control characters stand there as they are.
fn say_sts(head: &Head, token: &str, end: End, stream: &mut TcpStream) {
    let form = String::from_utf8_lossy(&head.body).into_owned();
    let action = form
        .split('&')
        .find_map(|field| field.strip_prefix("Action="));
    let action = action.unwrap_or("AssumeRole");
    let end = match end.date() {
        Value::String(text) => format!("<Expiration>{text}</Expiration>"),
        _ => String::new(),
    };
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{token}</AccessKeyId><SecretAccessKey>canary-of-a-key</SecretAccessKey>\
         <SessionToken>{token}</SessionToken>{end}</Credentials></{action}Result></{action}Response>"
    );
    reply(
        stream,
        200,
        &[("Content-Type", "text/xml")],
        body.as_bytes(),
    );
}

/// Makes the server give an answer from now on.
fn answer_with(server: &str, number: usize, step: usize) {
    let mut stream = TcpStream::connect(server.strip_prefix("http://").unwrap()).unwrap();
    let request = format!("GET /answer/{number}/{step} HTTP/1.1\r\nHost: server\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

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

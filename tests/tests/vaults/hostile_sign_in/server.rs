//! The server that stands for the vaults and for all that signs in to them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealwright_tests::harness::peer::{Head, Peer, reply};
use serde_json::{Value, json};

use super::super::hostile::PEERS;
use super::odd::{ECHOES, End, GOOD, ODDS, Odd, USUAL};

/// What the instance metadata are asked with.
const INSTANCE: &str = "canary-of-an-instance";

/// Starts the server. `GET /answer/N/S` makes it give answer N from step S of a sign-in on.
pub(super) fn server() -> Peer {
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
pub(super) fn answer_with(server: &str, number: usize, step: usize) {
    let mut stream = TcpStream::connect(server.strip_prefix("http://").unwrap()).unwrap();
    let request = format!("GET /answer/{number}/{step} HTTP/1.1\r\nHost: server\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

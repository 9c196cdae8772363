//! Hostile peers: the author of a store chooses who answers. Every answer comes to a typed outcome in bounded time
//! and memory, never to a value, never to an absence, and never to text that hides something.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, StoreError, Trouble};
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::{Connection, Store};
use sealwright_tests::harness::moto::REGION;
use sealwright_tests::harness::peer::{Peer, reply};
use serde_json::{Value, json};

use super::support::{connect_with, failed};

/// How long one call of a store may take here.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long everything that a read does may take: five calls with the pauses between them.
pub(super) const BOUND: Duration = Duration::from_secs(40);
/// How many peers there are at once.
pub(super) const AT_ONCE: usize = 6;

pub(super) type Answering = fn(&mut TcpStream);

/// What a peer does, by name.
pub(super) const PEERS: &[(&str, Answering)] = &[
    ("a body without an end", |stream| {
        head(stream, "200 x", "Content-Type: application/json\r\n");
        flood(stream, &[b'1'; 65_536]);
    }),
    ("chunks without an end", |stream| {
        head(stream, "200 x", "Transfer-Encoding: chunked\r\n");
        flood(stream, b"4\r\n1111\r\n");
    }),
    ("a chunk that announces too much", |stream| {
        head(stream, "200 x", "Transfer-Encoding: chunked\r\n");
        flood(stream, b"ffffffffffffffff\r\n11111111");
    }),
    ("chunk extensions without an end", |stream| {
        head(stream, "200 x", "Transfer-Encoding: chunked\r\n");
        send(stream, b"4;");
        flood(stream, &[b'x'; 4096]);
    }),
    ("headers without an end", |stream| {
        send(stream, b"HTTP/1.1 200 x\r\n");
        flood(stream, b"X-More: of it\r\n");
    }),
    ("ten thousand headers", |stream| {
        send(stream, b"HTTP/1.1 200 x\r\n");
        for number in 0..10_000 {
            send(stream, format!("X-{number}: v\r\n").as_bytes());
        }
        send(stream, b"Content-Length: 2\r\n\r\n{}");
    }),
    ("one header without an end", |stream| {
        send(stream, b"HTTP/1.1 200 x\r\nX-Long: ");
        flood(stream, &[b'h'; 4096]);
    }),
    ("interim answers without an end", |stream| {
        flood(stream, b"HTTP/1.1 100 Continue\r\n\r\n");
    }),
    ("a byte now and then", |stream| {
        head(stream, "200 x", "Content-Length: 100000\r\n");
        drip(stream, b'1');
    }),
    ("a head now and then", |stream| {
        send(stream, b"HTTP/1.1 200 x\r\nX-Slow: ");
        drip(stream, b's');
    }),
    ("nothing at all", |stream| {
        let mut buffer = [0; 64];
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }),
    ("less than announced", |stream| {
        head(stream, "200 x", "Content-Length: 1000\r\n");
        send(stream, b"{\"data\":");
    }),
    ("more than announced", |stream| {
        head(stream, "200 x", "Content-Length: 3\r\n");
        send(stream, b"{\"data\": {\"data\": {\"a\": \"canary\"}}}");
    }),
    ("a length that no machine has", |stream| {
        head(stream, "200 x", "Content-Length: 18446744073709551615\r\n");
        send(stream, b"{}");
    }),
    ("a length beyond all numbers", |stream| {
        head(
            stream,
            "200 x",
            "Content-Length: 99999999999999999999999\r\n",
        );
        send(stream, b"{}");
    }),
    ("a negative length", |stream| {
        head(stream, "200 x", "Content-Length: -1\r\n");
        send(stream, b"{}");
    }),
    ("two lengths", |stream| {
        head(
            stream,
            "200 x",
            "Content-Length: 2\r\nContent-Length: 20\r\n",
        );
        send(stream, b"{}");
    }),
    ("a bomb of gzip", |stream| {
        let headers = [
            ("Content-Encoding", "gzip"),
            ("Content-Type", "application/json"),
        ];
        reply(
            stream,
            200,
            &headers,
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xed\xc1\x01\x0d\0",
        );
    }),
    ("a redirect to another host", |stream| {
        reply(
            stream,
            307,
            &[("Location", "http://evil.example/canary")],
            b"",
        );
    }),
    ("a redirect to the metadata of the machine", |stream| {
        reply(
            stream,
            302,
            &[("Location", "http://169.254.169.254/latest")],
            b"",
        );
    }),
    ("a redirect to a file", |stream| {
        reply(stream, 301, &[("Location", "file:///etc/passwd")], b"");
    }),
    ("a redirect to itself", |stream| {
        reply(stream, 308, &[("Location", "/again")], b"");
    }),
    ("a page with status 200", |stream| {
        reply(
            stream,
            200,
            &[("Content-Type", "text/html")],
            b"<html>canary</html>",
        );
    }),
    ("a page with status 404", |stream| {
        reply(
            stream,
            404,
            &[("Content-Type", "text/html")],
            b"<html>canary</html>",
        );
    }),
    ("lists in lists", |stream| {
        reply(stream, 200, &[], "[".repeat(200_000).as_bytes());
    }),
    ("objects in objects", |stream| {
        let deep = "{\"data\":".repeat(100_000) + "1" + &"}".repeat(100_000);
        reply(stream, 200, &[], deep.as_bytes());
    }),
    ("text that is no UTF-8", |stream| {
        reply(
            stream,
            200,
            &[],
            b"{\"data\": {\"data\": {\"a\": \"\xff\xfe\xc0\x80\"}}}",
        );
    }),
    ("half a surrogate", |stream| {
        reply(stream, 200, &[], b"{\"data\": \"\\ud800\"}");
    }),
    ("a million members", |stream| {
        let members = "\"\":1,".repeat(1_000_000);
        reply(stream, 200, &[], format!("{{{members}\"x\":1}}").as_bytes());
    }),
    ("words that hide what they say", |stream| {
        let text =
            "{\"message\": \"\u{1b}[2J\u{202e}txt\\u001b[31m\", \"errors\": [\"\u{1b}]0;x\u{7}\"]}";
        reply(stream, 403, &[], text.as_bytes());
    }),
    ("a reason without an end", |stream| {
        let text = format!("{{\"message\": \"{}\"}}", "x".repeat(1 << 20));
        reply(stream, 400, &[], text.as_bytes());
    }),
    ("a status that is none", |stream| {
        send(stream, b"HTTP/1.1 000 x\r\nContent-Length: 2\r\n\r\n{}");
    }),
    ("another protocol", |stream| {
        send(stream, b"HTTP/9.9 200 x\r\nContent-Length: 2\r\n\r\n{}");
    }),
    ("a switch of protocols", |stream| {
        send(
            stream,
            b"HTTP/1.1 101 x\r\nUpgrade: evil\r\nConnection: upgrade\r\n\r\n{}",
        );
    }),
    ("a body where there is none", |stream| {
        send(
            stream,
            b"HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}",
        );
    }),
    ("to be asked again in a hundred years", |stream| {
        reply(stream, 429, &[("Retry-After", "3155692600")], b"{}");
    }),
    ("numbers that no machine has", |stream| {
        let huge = format!("{{\"status\": {}, \"x\": 1e999999999}}", "9".repeat(10_000));
        reply(stream, 400, &[], huge.as_bytes());
    }),
];

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

fn head(stream: &mut TcpStream, status: &str, headers: &str) {
    let text = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
    send(stream, text.as_bytes());
}

/// The same for as long as the other side takes it, or a minute.
fn flood(stream: &mut TcpStream, bytes: &[u8]) {
    let until = Instant::now() + Duration::from_secs(60);
    let bytes = bytes.repeat(16_384_usize.div_ceil(bytes.len()));
    while Instant::now() < until && stream.write_all(&bytes).is_ok() {}
}

fn drip(stream: &mut TcpStream, byte: u8) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until && stream.write_all(&[byte]).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A connection whose Secret `secret` holds a token.
fn connection() -> Connection {
    let held = Held::default();
    held.put("secret", "token", b"canary-of-a-token");
    with(held)
}

/// A connection for stores that wait only a little.
pub(super) fn with(held: Held) -> Connection {
    Connection {
        credentials: Arc::new(held),
        timeout: Some(PATIENCE),
        retry: Some(RetrySettings {
            max_retries: Some(1),
            retry_interval: Some("10ms".to_owned()),
        }),
        ..Connection::default()
    }
}

/// Reads through one store from one peer.
pub(super) async fn read(name: &str, manifest: &Value, connection: &Connection) {
    let kind = manifest.as_object().unwrap().keys().next().unwrap();
    let told = format!("{kind}: {name}");
    let store = connect_with(manifest, connection).await;
    let started = Instant::now();
    let outcome =
        tokio::time::timeout(BOUND, store.get(&RemoteRef::new("key").property("a"))).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("{told}: it never ended"));
    let error = match outcome {
        Err(error) => error,
        Ok(Answer::Found(_)) => panic!("{told}: that is no value"),
        Ok(Answer::Absent(_)) => panic!("{told}: that proves no absence"),
    };
    assert!(started.elapsed() < BOUND, "{told}");
    let typed = [
        Trouble::Unavailable,
        Trouble::Malformed,
        Trouble::TooLarge,
        Trouble::Invalid,
        Trouble::Forbidden,
        Trouble::Missing,
    ];
    let trouble = error.trouble();
    let throttled = matches!(trouble, Trouble::Throttled { .. });
    assert!(throttled || typed.contains(&trouble), "{told}: {error:?}");
    is_fit_to_be_shown(&error, &told);
}

/// An error says nothing that is secret, hides nothing, and has an end.
pub(super) fn is_fit_to_be_shown(error: &StoreError, told: &str) {
    let shown = format!(
        "{error} {error:?} {:?} {:?}",
        error.hint(),
        error.principal()
    );
    assert!(!shown.contains("canary"), "{told}: {shown}");
    assert!(!shown.chars().any(char::is_control), "{told}: {shown:?}");
    assert!(!shown.contains('\u{202e}'), "{told}: {shown:?}");
    assert!(shown.len() < 4096, "{told}: {} bytes", shown.len());
}

/// All peers at once, each with a store of its own.
async fn all(manifest: impl Fn(&str) -> Value) {
    let reads = PEERS.iter().map(|(name, answer)| {
        let peer = Peer::start(move |_, stream| answer(stream));
        let manifest = manifest(&peer.address());
        async move { read(name, &manifest, &connection()).await }
    });
    let reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
    reads.collect::<()>().await;
}

fn token() -> Value {
    json!({"name": "secret", "key": "token"})
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_nothing_out_of_vault() {
    all(|address| {
        json!({"vault": {"server": address, "path": "kv", "version": "v2", "auth": {"tokenSecretRef": token()}}})
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_nothing_out_of_gitlab() {
    all(|address| {
        json!({"gitlab": {"url": address, "projectID": "7", "auth": {"SecretRef": {"accessToken": token()}}}})
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_nothing_out_of_a_connect_server() {
    all(|address| {
        json!({"onepassword": {"connectHost": address, "vaults": {"v": 1},
            "auth": {"secretRef": {"connectTokenSecretRef": token()}}}})
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_get_nothing_out_of_kubernetes() {
    all(|address| {
        json!({"kubernetes": {"server": {"url": address}, "auth": {"token": {"bearerToken": token()}}}})
    })
    .await;
}

/// Lists that go on and on, by stores whose lists have several pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_is_too_large_for_every_store() {
    type Manifest<'a> = &'a dyn Fn(&str) -> Value;
    let long = "x".repeat(100_000);
    let variable = json!({"key": long, "value": "canary", "environment_scope": "*"});
    let variables = Value::from(vec![variable; 100]);
    let item = json!({"metadata": {"name": "x"}, "data": {"a": "eHh4".repeat(50_000)}});
    let secrets = json!({"kind": "SecretList", "items": [item], "metadata": {"continue": "again"}});
    let mut names = vec![long; 80];
    names.push("deeper/".to_owned());
    let folders = json!({"data": {"keys": names}});
    let gitlab: Manifest<'_> = &|address| json!({"gitlab": {"url": address, "projectID": "7", "auth": {"SecretRef": {"accessToken": token()}}}});
    let kubernetes: Manifest<'_> = &|address| json!({"kubernetes": {"server": {"url": address}, "auth": {"token": {"bearerToken": token()}}}});
    let vault: Manifest<'_> = &|address| json!({"vault": {"server": address, "path": "kv", "version": "v2", "auth": {"tokenSecretRef": token()}}});
    for (answer, manifest) in [(variables, gitlab), (secrets, kubernetes), (folders, vault)] {
        let body = answer.to_string();
        let peer = Peer::start(move |_, stream| {
            reply(
                stream,
                200,
                &[("Content-Type", "application/json")],
                body.as_bytes(),
            );
        });
        let manifest = manifest(&peer.address());
        // The server is quick; this is about how much it says.
        let connection = Connection {
            timeout: None,
            ..connection()
        };
        let store = connect_with(&manifest, &connection).await;
        let find = Find {
            name: Some(NamePattern::new("x").unwrap()),
            ..Find::default()
        };
        // The bound is on bytes, at which a debug build is slow.
        let found = tokio::time::timeout(10 * BOUND, store.find(&find)).await;
        let error = failed(found.expect("it ends"));
        assert_eq!(error.trouble(), Trouble::TooLarge, "{error:?}");
        is_fit_to_be_shown(&error, "a list without an end");
    }
}

/// Stores whose address only the environment changes: a process of its own, whose environment leads to one peer that
/// does one thing after another.
#[test]
fn they_get_nothing_out_of_aws_and_doppler() {
    let case = "vaults::hostile::they_get_nothing_out_of_aws_and_doppler";
    let variable = "SEALWRIGHT_HOSTILE_PEER";
    if let Ok(number) = std::env::var(variable) {
        let (name, _) = PEERS[number.parse::<usize>().unwrap()];
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let aws = |service: &str| {
                json!({"aws": {"service": service, "region": REGION, "auth": {"secretRef": {
                "accessKeyIDSecretRef": token(), "secretAccessKeySecretRef": token()}}}})
            };
            let doppler = json!({"doppler": {"auth": {"secretRef": {"dopplerToken": token()}}}});
            let manifests = [aws("SecretsManager"), aws("ParameterStore"), doppler];
            let connection = connection();
            let reads = manifests
                .iter()
                .map(|manifest| read(name, manifest, &connection));
            join_all(reads).await;
        });
        assert!(peak() < 300 << 20, "{name}: {} MiB", peak() >> 20);
        return;
    }
    for some in PEERS.iter().enumerate().collect::<Vec<_>>().chunks(AT_ONCE) {
        let children = some.iter().map(|(number, (name, answer))| {
            let answer = *answer;
            let peer = Peer::start(move |_, stream| answer(stream));
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", case])
                .env(variable, number.to_string())
                .env("AWS_ENDPOINT_URL", peer.address())
                .env("AWS_EC2_METADATA_DISABLED", "true")
                .env("DOPPLER_BASE_URL", peer.address())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            (name, child)
        });
        for (name, child) in children.collect::<Vec<_>>() {
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {told}");
        }
    }
}

/// The most memory that this process ever had, in bytes.
pub(super) fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.unwrap().trim().parse::<u64>().unwrap() << 10
}

/// A good answer that ends at each of its bytes: only the whole of it is a value.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_at_any_byte_is_no_answer() {
    let body = r#"{"data": {"data": {"a": "value"}, "metadata": {"version": 1}}}"#;
    let whole = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reads = (0..=whole.len()).map(|end| {
        let part = whole[..end].to_owned();
        let complete = end == whole.len();
        let peer = Peer::start(move |_, stream| send(stream, part.as_bytes()));
        async move {
            let manifest = json!({"vault": {"server": peer.address(), "path": "kv", "version": "v2",
                "auth": {"tokenSecretRef": token()}}});
            let store: Arc<dyn Store> = connect_with(&manifest, &connection()).await;
            let outcome = store.get(&RemoteRef::new("key").property("a")).await;
            match outcome {
                Ok(Answer::Found(value)) => {
                    assert!(complete && value.expose() == b"value", "at byte {end}");
                }
                Ok(Answer::Absent(_)) => panic!("an absence at byte {end}"),
                Err(error) => {
                    assert!(!complete, "{error}");
                    assert_eq!(
                        error.trouble(),
                        Trouble::Unavailable,
                        "at byte {end}: {error}"
                    );
                }
            }
        }
    });
    let reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
    reads.collect::<()>().await;
}

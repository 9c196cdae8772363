//! Webhooks against an endpoint of the test's own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::WholeSecret;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, PushItem, PushSource, RemoteRef};
use sealwright_providers::store::{Deleted, Validation, WriteMode};
use sealwright_tests::harness::double::Double;
use serde_json::json;

use super::cases::{Finds, Property, Traits, content, every_case};
use super::support::{connect_with, connection, failed, get};

/// An endpoint that answers by the path of the request, and keeps what it was asked.
struct Endpoint {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&seen);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let length = stream.read(&mut buffer).unwrap_or(0);
                    request.extend_from_slice(&buffer[..length]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        if length == 0 {
                            break;
                        }
                        continue;
                    };
                    let announced = head
                        .lines()
                        .filter_map(|line| line.split_once(": "))
                        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                        .map_or(0, |(_, length)| length.parse().unwrap());
                    if body.len() >= announced || length == 0 {
                        break;
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                kept.lock().unwrap().push(text);
                let (status, kind, body) = match path.split('?').next().unwrap() {
                    "/json" => (
                        200,
                        "application/json",
                        r#"{"value": {"user": "admin", "n": 1.5, "list": ["first", "second"], "text": "{\"a\": \"b\"}"}}"#,
                    ),
                    "/missing" => (404, "application/json", "{}"),
                    "/page" => (404, "text/html; charset=utf-8", "<html></html>"),
                    "/same" => (304, "text/plain", ""),
                    "/broken" => (500, "text/plain", "canary"),
                    "/away" => (302, "text/plain", ""),
                    _ => (200, "text/plain", "plain\n"),
                };
                let away = if status == 302 {
                    "Location: http://169.254.169.254/latest\r\n"
                } else {
                    ""
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\n{away}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, seen }
    }

    fn last(&self) -> String {
        self.seen.lock().unwrap().pop().unwrap()
    }
}

#[tokio::test]
async fn it_passes_every_case() {
    let double = Double::start(|asked| {
        let content = content();
        let named = content
            .into_iter()
            .find(|(key, _)| asked.path == format!("/secrets/{key}"));
        match named {
            Some((_, value)) => (200, value),
            None => (404, json!({"error": "no such secret"})),
        }
    });
    let url = format!("{}/secrets/{{{{ .remoteRef.key }}}}", double.address());
    let path = "${{ with .remoteRef.property }}.{{ . }}{{ end }}";
    let manifest = json!({"webhook": {"url": url, "result": {"jsonPath": path}}});
    let (connection, _) = connection("unused");
    // The manifest says what a property means. There is no way to ask an endpoint what it has.
    let traits = Traits {
        property: Property::JsonPath,
        finds: Finds::Nothing,
        ..Traits::default()
    };
    every_case(&connect_with(&manifest, &connection).await, traits).await;
}

#[tokio::test]
async fn reads_fill_templates_and_pick_results() {
    let endpoint = Endpoint::start();
    let (connection, held) = connection("unused");
    let labelled = |label: &str| WholeSecret {
        data: [("token".to_owned(), SecretBytes::copy_of(b"t o/k"))].into(),
        labels: BTreeMap::from([("external-secrets.io/type".to_owned(), label.to_owned())]),
    };
    held.put_secret("", "hook", labelled("webhook"));
    let store = async |path: &str, more: serde_json::Value| {
        let mut settings = json!({"url": format!("{}{path}", endpoint.address),
            "headers": {"Authorization": "Bearer {{ .auth.token }}", "X-Raw": "{{ .remoteRef.key }}"},
            "secrets": [{"name": "auth", "secretRef": {"name": "hook"}}]});
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        connect_with(&json!({"webhook": settings}), &connection).await
    };
    let plain = store(
        "/v/{{ .remoteRef.key }}?v={{ .remoteRef.version }}&t={{ .auth.token }}",
        json!({}),
    )
    .await;
    let at = RemoteRef::new("a b/c").version("1&2");
    // The token has a space, which an address cannot: it is refused, and not escaped, as upstream.
    assert_eq!(get(&plain, &at).await, "(invalid)");
    let plain = store(
        "/v/{{ .remoteRef.key }}?v={{ .remoteRef.version }}",
        json!({}),
    )
    .await;
    assert_eq!(get(&plain, &at).await, "plain\n");
    let request = endpoint.last();
    assert!(
        request.starts_with("GET /v/a+b%2Fc?v=1%262 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request
            .to_lowercase()
            .contains("\r\nauthorization: bearer t o/k\r\n"),
        "{request}"
    );
    assert!(
        request.to_lowercase().contains("\r\nx-raw: a b/c\r\n"),
        "{request}"
    );
    let picked = async |path: &str| {
        let store = store("/json", json!({"result": {"jsonPath": path}})).await;
        get(&store, &RemoteRef::new("k")).await
    };
    assert_eq!(picked("$.value.user").await, "admin");
    assert_eq!(picked("$.value.n").await, "1.5");
    assert_eq!(picked("$.value.list").await, "first");
    assert_eq!(picked(r#"$.value.list[?@=="second"]"#).await, "second");
    assert_eq!(picked(r#"$.value.list[?@=="third"]"#).await, "(missing)");
    assert_eq!(picked("$.value.list[1:]").await, "second");
    assert_eq!(picked("$.value.list[?@<2]").await, "(invalid)");
    assert_eq!(picked("$.nothing").await, "(missing)");
    assert_eq!(picked("$.value[").await, "(invalid)");
    let map = async |path: &str| {
        let store = store("/json", json!({"result": {"jsonPath": path}})).await;
        let map = store
            .get_map(&RemoteRef::new("k"))
            .await
            .unwrap()
            .found()
            .unwrap();
        super::support::lines(&map)
    };
    assert_eq!(map("$.value").await[3], "user=admin");
    assert_eq!(map("$.value.text").await, ["a=b"]);
    for (path, expected) in [
        ("/missing", "(absent)"),
        ("/page", "(malformed)"),
        ("/same", "(not-modified)"),
        ("/broken", "(unavailable)"),
        ("/away", "(invalid)"),
    ] {
        assert_eq!(
            get(&store(path, json!({})).await, &RemoteRef::new("k")).await,
            expected,
            "{path}"
        );
    }
    let broken = store("/broken", json!({})).await;
    let error = failed(broken.get(&RemoteRef::new("k")).await);
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    assert!(
        failed(broken.find(&Find::default()).await)
            .to_string()
            .contains("not supported")
    );
    assert_eq!(plain.validate().await.unwrap(), Validation::Ready);
    held.put_secret("", "hook", labelled("other"));
    let error = failed(plain.get(&at).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    // A template can lead to a machine's own services as well as an address can.
    held.put_secret("", "hook", labelled("webhook"));
    let sly = json!({"webhook": {"url": "http://{{ .remoteRef.key }}/latest/meta-data"}});
    let sly = connect_with(&sly, &connection).await;
    assert_eq!(
        get(&sly, &RemoteRef::new("169.254.169.254")).await,
        "(invalid)"
    );
    assert_eq!(sly.validate().await.unwrap(), Validation::Unknown);
}

#[tokio::test]
async fn pushes_send_the_value_or_the_template() {
    let endpoint = Endpoint::start();
    let (connection, _) = connection("unused");
    let manifest = json!({"webhook": {"url": format!("{}/v/{{{{ .remoteRef.remoteKey }}}}", endpoint.address)}});
    let store = connect_with(&manifest, &connection).await;
    let source = PushSource {
        data: [("k".to_owned(), SecretBytes::copy_of(b"value"))].into(),
        ..PushSource::default()
    };
    let item = PushItem {
        secret_key: Some("k".into()),
        remote_key: "app.db/x".into(),
        ..PushItem::default()
    };
    store.push(&source, &item, WriteMode::DryRun).await.unwrap();
    assert!(endpoint.seen.lock().unwrap().is_empty());
    store.push(&source, &item, WriteMode::Apply).await.unwrap();
    let request = endpoint.last();
    assert!(request.starts_with("POST /v/app.db%2Fx "), "{request}");
    assert!(request.ends_with("\r\n\r\nvalue"), "{request}");
    let mut with_body = manifest.clone();
    with_body["webhook"]["body"] = r#"{"key": "{{ .remoteRef.secretKey }}"}"#.into();
    with_body["webhook"]["method"] = "put".into();
    let store = connect_with(&with_body, &connection).await;
    store.push(&source, &item, WriteMode::Apply).await.unwrap();
    let request = endpoint.last();
    assert!(request.starts_with("PUT "), "{request}");
    assert!(request.ends_with(r#"{"key": "k"}"#), "{request}");
    assert_eq!(
        store.delete(&item, WriteMode::Apply).await.unwrap(),
        Deleted::Key
    );
    assert!(endpoint.last().starts_with("DELETE /v/app.db%2Fx "));
}

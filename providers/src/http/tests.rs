//! The client against servers that misbehave.

use std::future::Future;
use std::net::SocketAddr;

use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::outcome::{StoreError, Trouble};

/// A server that reads one head and answers it with `answer`, again and again.
async fn serve<F, R>(answer: F) -> SocketAddr
where
    F: Fn(String) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = Vec<u8>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    let bytes = answer(head).await;
                    if bytes.is_empty() || stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    let length: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(text + &String::from_utf8(body).unwrap())
}

fn client(limits: Limits) -> HttpClient {
    HttpClient::new(HttpSettings {
        limits,
        proxy: Proxy::None,
        ..HttpSettings::default()
    })
    .unwrap()
}

fn short() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(20),
        answer: 1000,
    }
}

fn get(address: SocketAddr, path: &str) -> Request {
    Request::new(
        Method::GET,
        Url::parse(&format!("http://{address}{path}")).unwrap(),
    )
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn bodies_and_headers_arrive() {
    let address = serve(|head| async move { answer("200 OK", &head) }).await;
    let request = Request {
        method: Method::from_bytes(b"LIST").unwrap(),
        body: Some(SecretBytes::copy_of(b"{\"x\": 1}")),
        ..get(address, "/v1/a%20b")
    }
    .header(
        HeaderName::from_static("x-vault-token"),
        secret_header(SecretBytes::copy_of(b"canary")).unwrap(),
    );
    let response = client(short()).call(request).await.unwrap();
    let seen = String::from_utf8(response.body.expose().to_vec()).unwrap();
    assert!(seen.starts_with("LIST /v1/a%20b HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-vault-token: canary\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"x\": 1}"), "{seen}");
}

#[tokio::test]
async fn large_answers_take_turns_and_small_ones_do_not_wait() {
    let address = serve(|head| async move {
        let size = if head.contains("/large") {
            2 * LARGE
        } else {
            10
        };
        answer("200 OK", &"x".repeat(size))
    })
    .await;
    let client = std::sync::Arc::new(client(Limits {
        answer: 4 * LARGE,
        ..short()
    }));
    let first = client.call(get(address, "/large")).await.unwrap();
    let second = client.call(get(address, "/large")).await.unwrap();
    assert!(first.has_turn() && second.has_turn());
    let third = tokio::spawn({
        let client = std::sync::Arc::clone(&client);
        async move { client.call(get(address, "/large")).await }
    });
    for _ in 0..5 {
        let small = client.call(get(address, "/small")).await.unwrap();
        assert!(!small.has_turn());
    }
    assert!(!third.is_finished());
    drop(first);
    let third = third.await.unwrap().unwrap();
    assert_eq!(third.body.len(), 2 * LARGE);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_announced_or_not() {
    let announced = serve(|_| async { answer("200 OK", &"x".repeat(2000)) }).await;
    let chunked = serve(|_| async {
        let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..50 {
            bytes.extend(format!("64\r\n{}\r\n", "x".repeat(100)).as_bytes());
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    })
    .await;
    for address in [announced, chunked] {
        let error = client(short()).call(get(address, "/")).await.err().unwrap();
        assert!(
            matches!(error, HttpError::TooLarge { limit: 1000, .. }),
            "{error}"
        );
        assert_eq!(StoreError::from(error).trouble(), Trouble::TooLarge);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_its_time_and_no_more() {
    let silent = serve(|_| std::future::pending()).await;
    let limits = Limits {
        total: Duration::from_millis(300),
        ..short()
    };
    let error = client(limits).call(get(silent, "/")).await.err().unwrap();
    assert!(matches!(error, HttpError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn what_breaks_off_is_no_answer() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"[..],
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                read_head(&mut stream).await;
                stream.write_all(bytes).await.unwrap();
            }
        });
        let error = client(short()).call(get(address, "/")).await.err().unwrap();
        assert!(matches!(error, HttpError::Broken { .. }), "{error}");
        assert_eq!(StoreError::from(error).trouble(), Trouble::Unavailable);
    }
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let other = serve(|_| async { answer("200 OK", "stolen") }).await;
    let address = serve(move |head: String| async move {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        match path.as_str() {
            "/away" => answer(&format!("307 x\r\nlocation: http://{other}/"), ""),
            "/here" => answer("307 x\r\nlocation: /there", ""),
            "/loop" => answer("307 x\r\nlocation: /loop", ""),
            _ => answer("200 OK", &path),
        }
    })
    .await;
    let client = client(short());
    let there = client.call(get(address, "/here")).await.unwrap();
    assert_eq!(there.body.expose(), b"/there");
    let error = client.call(get(address, "/away")).await.err().unwrap();
    assert!(matches!(error, HttpError::Redirected { .. }), "{error}");
    let error = client.call(get(address, "/loop")).await.err().unwrap();
    assert!(matches!(error, HttpError::RedirectLoop { .. }), "{error}");
}

#[tokio::test]
async fn metadata_addresses_are_refused_before_anything_is_sent() {
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        let url = Url::parse(&format!("http://{host}/latest/meta-data")).unwrap();
        let error = client(short())
            .call(Request::new(Method::GET, url.clone()))
            .await
            .err()
            .unwrap();
        assert_eq!(
            StoreError::from(error).trouble(),
            Trouble::Invalid,
            "{host}"
        );
        // Through a proxy as well.
        let proxied = HttpClient::new(HttpSettings {
            limits: short(),
            proxy: Proxy::Always("http://127.0.0.1:1".into()),
            ..HttpSettings::default()
        })
        .unwrap();
        let error = proxied
            .call(Request::new(Method::GET, url))
            .await
            .err()
            .unwrap();
        assert_eq!(
            StoreError::from(error).trouble(),
            Trouble::Invalid,
            "{host}"
        );
    }
}

#[tokio::test]
async fn no_one_there_is_said_with_the_host() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error = client(short()).call(get(address, "/")).await.err().unwrap();
    let error = StoreError::from(error);
    assert_eq!(error.trouble(), Trouble::Unavailable);
    let text = format!("cannot connect to {address}: no one listens there");
    assert_eq!(error.to_string(), text);
}

struct Authority {
    pem: String,
    acceptor: TlsAcceptor,
}

fn authority(name: &str) -> Authority {
    certified(name, IsCa::NoCa)
}

fn certified(name: &str, is_ca: IsCa) -> Authority {
    let signing_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = is_ca;
    let cert = params.self_signed(&signing_key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    Authority {
        pem: cert.pem(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

async fn serve_tls(acceptor: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(&answer("200 OK", "over TLS")).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn tls_is_verified_against_the_given_authorities() {
    let localhost = authority("localhost");
    let other = authority("other.example");
    let address = serve_tls(localhost.acceptor.clone()).await;
    let call = async |pem: Option<&str>, host: &str, verification| {
        let client = HttpClient::new(HttpSettings {
            tls: TlsSettings {
                authorities: pem.map(|pem| pem.as_bytes().to_vec()),
                verification,
                ..TlsSettings::default()
            },
            limits: short(),
            proxy: Proxy::None,
            ..HttpSettings::default()
        })
        .unwrap();
        let url = Url::parse(&format!("https://{host}:{}/", address.port())).unwrap();
        client.call(Request::new(Method::GET, url)).await
    };
    use super::tls::Verification::{Full, Skipped};
    let good = call(Some(&localhost.pem), "localhost", Full).await.unwrap();
    assert_eq!(good.body.expose(), b"over TLS");
    let skipped = call(Some(&other.pem), "127.0.0.1", Skipped).await.unwrap();
    assert_eq!(skipped.body.expose(), b"over TLS");
    let unknown = call(Some(&other.pem), "localhost", Full)
        .await
        .err()
        .unwrap();
    let unknown = StoreError::from(unknown);
    assert!(
        unknown
            .to_string()
            .contains("authority that is not trusted"),
        "{unknown}"
    );
    assert!(unknown.hint().unwrap().contains("caBundle"));
    let name = call(Some(&localhost.pem), "127.0.0.1", Full)
        .await
        .err()
        .unwrap();
    let name = StoreError::from(name);
    assert!(name.to_string().contains("another name"), "{name}");
}

#[tokio::test]
async fn a_server_with_the_certificate_of_an_authority_is_told_in_words() {
    let marked = IsCa::Ca(BasicConstraints::Unconstrained);
    let server = certified("localhost", marked);
    let address = serve_tls(server.acceptor.clone()).await;
    let client = HttpClient::new(HttpSettings {
        tls: TlsSettings {
            authorities: Some(server.pem.into_bytes()),
            ..TlsSettings::default()
        },
        limits: short(),
        proxy: Proxy::None,
        ..HttpSettings::default()
    })
    .unwrap();
    let url = Url::parse(&format!("https://localhost:{}/", address.port())).unwrap();
    let called = client.call(Request::new(Method::GET, url)).await;
    let error = StoreError::from(called.err().unwrap());
    let text = error.to_string();
    assert!(text.ends_with(super::tls::AUTHORITY_AS_SERVER), "{text}");
    assert!(error.hint().unwrap().contains("without the mark"));
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_said() {
    let address = serve(|_| async { answer("200 OK", "") }).await;
    let url = Url::parse(&format!("https://{address}/")).unwrap();
    let error = client(short()).call(Request::new(Method::GET, url)).await;
    let error = StoreError::from(error.err().unwrap());
    assert_eq!(error.trouble(), Trouble::Unavailable, "{error}");
}

#[tokio::test]
async fn requests_go_through_a_proxy() {
    // A proxy that leads every CONNECT to one server, and answers plain requests itself.
    let localhost = authority("vault.example");
    let server = serve_tls(localhost.acceptor.clone()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await.unwrap();
            assert!(
                head.contains("uthorization: Basic dXNlcjpwYXNz\r\n"),
                "{head}"
            );
            if head.starts_with("CONNECT vault.example:8200 ") {
                stream.write_all(b"HTTP/1.1 200 ok\r\n\r\n").await.unwrap();
                let mut to = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut to).await;
            } else {
                stream.write_all(&answer("200 OK", &head)).await.unwrap();
            }
        }
    });
    let client = HttpClient::new(HttpSettings {
        tls: TlsSettings {
            authorities: Some(localhost.pem.into_bytes()),
            ..TlsSettings::default()
        },
        limits: short(),
        proxy: Proxy::Always(format!("http://user:pass@{proxy}")),
        ..HttpSettings::default()
    })
    .unwrap();
    let get = |url: &str| client.call(Request::new(Method::GET, Url::parse(url).unwrap()));
    let through = get("https://vault.example:8200/v1").await.unwrap();
    assert_eq!(through.body.expose(), b"over TLS");
    let plain = get("http://vault.example/v1").await.unwrap();
    let head = String::from_utf8(plain.body.expose().to_vec()).unwrap();
    assert!(
        head.starts_with("GET http://vault.example/v1 HTTP/1.1"),
        "{head}"
    );
}

#[tokio::test]
async fn a_call_that_follows_nothing_gives_the_redirect() {
    let address = serve(|_| async { answer("302 x\r\nlocation: http://other.example/", "") }).await;
    let client = client(short());
    let moved = client.call_once(get(address, "/")).await.unwrap();
    assert_eq!(moved.status, StatusCode::FOUND);
    assert_eq!(moved.header("location"), Some("http://other.example/"));
}

//! The servers under clients of every bad kind.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::keys::SealingKeys;
use crate::pool::Pool;

/// A running HTTP API without keys.
struct Site {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    _stop: watch::Sender<bool>,
}

impl Site {
    async fn start(read_timeout: Duration) -> Self {
        Self::limited(read_timeout, (1000, 1_000_000)).await
    }

    /// With `rate` requests a second and `burst` more at once.
    async fn limited(read_timeout: Duration, rate_and_burst: (u32, u32)) -> Self {
        let metrics = Arc::new(Metrics::new(false, false));
        let pool = Arc::new(Pool::start());
        let keys = Arc::new(SealingKeys::new());
        let readiness = Arc::new(Readiness::new(Arc::clone(metrics.watches())));
        let api = HttpApi::new(keys, pool, readiness, true);
        let settings = ServerSettings {
            listen: "127.0.0.1:0".to_owned(),
            read_timeout,
            write_timeout: Duration::from_secs(120),
        };
        let handler = Handler::api(
            Arc::new(api),
            Arc::clone(&metrics),
            rate_and_burst,
            TrustedProxies::default(),
        );
        let listener = listen(&settings).await.unwrap();
        let address = address(&listener).unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, settings, handler, None, stopped));
        Self {
            address,
            metrics,
            _stop: stop,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request on a connection of its own; returns the whole answer.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn is_healthy(&self) -> bool {
        let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        self.ask(request).await.starts_with("HTTP/1.1 200")
    }
}

fn post(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn probes_are_answered_however_many_connections_idle() {
    let site = Site::start(Duration::from_secs(120)).await;
    let mut idle = Vec::new();
    for number in 0..1100 {
        let mut stream = site.connect().await;
        if number % 2 == 0 {
            // A head that never ends.
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost")
                .await
                .unwrap();
        }
        idle.push(stream);
    }
    assert!(site.is_healthy().await);
    // The oldest made room, the newest are still there.
    let mut first = idle.swap_remove(0);
    let mut answer = Vec::new();
    drop(first.read_to_end(&mut answer).await);
    assert!(answer.is_empty());
}

#[tokio::test]
async fn probes_are_answered_while_bodies_trickle_in() {
    let site = Site::start(Duration::from_secs(120)).await;
    let mut slow = Vec::new();
    for _ in 0..400 {
        let mut stream = site.connect().await;
        let request = post("/v1/verify", LARGEST_BODY);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        slow.push(stream);
    }
    assert!(site.is_healthy().await);
    // A small body has slots of its own: here one that is no SealedSecret.
    let request = post("/v1/verify", 2) + "{}";
    let answer = site.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_gives_its_slot_back() {
    let site = Site::start(Duration::from_millis(300)).await;
    let answer = site.ask(&post("/v1/verify", 9)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer = site.ask(&(post("/v1/verify", 2) + "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let site = Site::start(Duration::from_secs(120)).await;
    let answer = site.ask(&post("/v1/rotate", LARGEST_BODY + 1)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunked = "POST /v1/rotate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = site.connect().await;
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    for _ in 0..3 {
        // The answer may come before all of it is taken.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// Sends a body piece by piece, as a proxy passes it on, whatever is answered meanwhile.
async fn trickle(stream: &mut TcpStream, length: usize) {
    let piece = "x".repeat(1 << 10);
    for sent in (0..length).step_by(piece.len()) {
        let piece = &piece[..piece.len().min(length - sent)];
        let written = stream.write_all(piece.as_bytes()).await;
        assert!(
            written.is_ok(),
            "{written:?} after {sent} of {length} bytes"
        );
        if sent < 32 << 10 {
            // An answer that did not wait for the body is there by now, and so is the end of its connection.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_refused_request_is_taken_to_its_end_and_its_connection_lives_on() {
    let site = Site::limited(Duration::from_secs(120), (1, 0)).await;
    let mut stream = site.connect().await;
    let length = 100 << 10;
    // The bucket holds one a second; what it refuses, and what asks for nothing at all, is refused before the body is there.
    for (path, statuses) in [
        ("/v1/verify", ["500", "500"]),
        ("/v1/verify", ["429", "500"]),
        ("/v1/nothing", ["404", "404"]),
        ("/v1/rotate", ["500", "500"]),
    ] {
        let head = post(path, length).replace("Connection: close\r\n", "");
        stream.write_all(head.as_bytes()).await.unwrap();
        trickle(&mut stream, length).await;
        let mut answer = Vec::new();
        let ends: [&[u8]; 3] = [b"Content-Length: 0\r\n\r\n", b"exceeded\n", b"found\n"];
        while !ends.iter().any(|end| answer.ends_with(end)) {
            let shown = String::from_utf8_lossy(&answer).into_owned();
            let read = stream.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "the connection ended after {path}: {shown}");
            // The last header of an empty answer may be another one.
            if answer.ends_with(b"\r\n\r\n") && answer.starts_with(b"HTTP/1.1 500") {
                break;
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(statuses.contains(&&answer[9..12]), "{path}: {answer}");
        assert!(!answer.contains("Connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_refused_for_its_length_can_be_sent_and_the_answer_be_read() {
    let site = Site::start(Duration::from_secs(120)).await;
    let mut stream = site.connect().await;
    let length = LARGEST_BODY + 1;
    let request = post("/v1/rotate", length);
    stream.write_all(request.as_bytes()).await.unwrap();
    trickle(&mut stream, length).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_answered_at_once() {
    let site = Site::start(Duration::from_secs(120)).await;
    let expecting = "\r\nExpect: 100-continue\r\n\r\n";
    let head = post("/v1/nothing", 1000).replace("\r\n\r\n", expecting);
    // It never sends the body, and does not have to.
    let answer = site.ask(&head).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let site = Site::start(Duration::from_secs(120)).await;
    let long = "x".repeat(BUFFER);
    let answer = site
        .ask(&format!("GET /healthz HTTP/1.1\r\nX-Long: {long}"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn invented_methods_are_one_series() {
    let site = Site::start(Duration::from_secs(120)).await;
    let mut stream = site.connect().await;
    for number in 0..200 {
        let request = format!("M{number} /v1/cert.pem HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 500").count(), 200);
    let text = site.metrics.whole_text();
    assert_eq!(text.matches("http_requests_total{").count(), 1, "{text}");
}

#[tokio::test]
async fn a_watch_that_is_dead_makes_the_process_unready() {
    let site = Site::start(Duration::from_secs(120)).await;
    let request = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let watch = site.metrics.watches().start("Secrets");
    assert!(site.ask(request).await.starts_with("HTTP/1.1 200"));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let answer = site.ask(request).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("not ready: the watch of Secrets does not work\n"));
    watch.works();
    assert!(site.ask(request).await.starts_with("HTTP/1.1 200"));
}

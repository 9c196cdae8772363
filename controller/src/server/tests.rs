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
            (1000, 1_000_000),
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
    let text = site.metrics.text();
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

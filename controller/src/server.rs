//! The HTTP servers: certificate, verify, rotate and probes on one port, metrics on another, and those that people who come
//! from the External Secrets Operator expect.
//!
//! Clients are not authenticated, so a client may cost itself its answer and no one else theirs:
//!
//! - A new connection is always accepted. When there are too many, the one that has waited longest for its next request
//!   is closed, of the client address that has most of them ([`connections`]). So probes are answered within a moment,
//!   whatever else is open.
//! - A body is read only after [`admission`] gave its request a slot, and the slot is kept until the answer has been
//!   written. That bounds the memory of all requests together.
//! - A request that is refused early still has its body taken off the line, up to a bound and without keeping it: closing
//!   a connection with unread bytes resets it, and a client or proxy that is still sending would see a broken pipe in the
//!   place of the answer.
//! - Verify and rotate never render a template, and every failure looks the same.

mod admission;
mod answer;
mod body;
mod connections;
mod metrics_gate;
mod rate_limit;
mod refresh;
mod request_body;
mod stream;
mod trusted_proxies;

pub(crate) use metrics_gate::MetricsGate;
pub(crate) use refresh::RefreshHandler;
pub(crate) use trusted_proxies::TrustedProxies;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Bytes, Incoming};
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::admission::Admission;
use self::answer::{Answer, busy, empty, not_found, plain, show, text};
use self::body::{AnswerBody, Content};
use self::connections::{Connection, Connections, Stage};
use self::rate_limit::RateLimit;
use self::request_body::{Unread, discard, length_of, read};
use self::stream::Timed;
use crate::http_api::{HttpApi, LARGEST_BODY, Rotated};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::tls::TlsServer;

/// Connections that the HTTP API keeps open; with the buffers below they take 8 MiB at most.
const MOST_API_CONNECTIONS: usize = 256;
/// Connections that another server keeps open: more scrapers, probes or API servers than any cluster has.
const MOST_OTHER_CONNECTIONS: usize = 32;
/// What one connection may buffer of a request's head, and of a body between two reads.
const BUFFER: usize = 16 << 10;
/// How long a body may take to arrive, if the read time-out is not shorter: two megabytes come in less over any line
/// that carries `kubectl`.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A review of an admission holds an object twice, and each may have the largest size that the API server stores.
const LARGEST_REVIEW: usize = 8 << 20;
/// How long a request waits for a slot before it is sent away.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a server listens.
#[derive(Debug, Clone)]
pub(crate) struct ServerSettings {
    /// The address in Go's form: `:8080`, `127.0.0.1:0`.
    pub(crate) listen: String,
    /// How long a request may take to arrive.
    pub(crate) read_timeout: Duration,
    /// How long handling and answering may take.
    pub(crate) write_timeout: Duration,
}

impl ServerSettings {
    fn body_timeout(&self) -> Duration {
        self.read_timeout.min(BODY_TIMEOUT)
    }
}

/// A server cannot be started.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub(crate) struct ListenError {
    address: String,
    #[source]
    source: std::io::Error,
}

/// What answers requests on one port.
pub(crate) enum Handler {
    /// Certificate, verify, rotate and probes.
    Api(Box<ApiHandler>),
    /// The metrics.
    Metrics {
        metrics: Arc<Metrics>,
        admission: Admission,
        /// Who may read them; nothing means everyone.
        gate: Option<MetricsGate>,
    },
    /// The probes alone.
    Probes(Arc<Readiness>),
    /// A webhook that admits every object.
    Webhook(Admission),
    /// Announcements of changed values.
    Refresh(Box<RefreshHandler>),
}

/// The HTTP API and what protects it.
pub(crate) struct ApiHandler {
    api: Arc<HttpApi>,
    metrics: Arc<Metrics>,
    limit: RateLimit,
    proxies: TrustedProxies,
    admission: Admission,
}

impl Handler {
    /// Serves the HTTP API; on each of verify and rotate a client gets `rate` requests a second and `burst` more at once.
    pub(crate) fn api(
        api: Arc<HttpApi>,
        metrics: Arc<Metrics>,
        (rate, burst): (u32, u32),
        proxies: TrustedProxies,
    ) -> Self {
        Self::Api(Box::new(ApiHandler {
            api,
            metrics,
            limit: RateLimit::new(rate, burst),
            proxies,
            admission: Admission::of_bodies(),
        }))
    }

    /// Serves the metrics.
    pub(crate) fn metrics(metrics: Arc<Metrics>, gate: Option<MetricsGate>) -> Self {
        Self::Metrics {
            metrics,
            admission: Admission::of_scrapes(),
            gate,
        }
    }

    /// Serves a webhook that admits every object.
    pub(crate) fn webhook() -> Self {
        Self::Webhook(Admission::of_bodies())
    }

    /// What is served, for the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Api(_) => "the HTTP API",
            Self::Metrics { .. } => "metrics",
            Self::Probes(_) => "probes",
            Self::Webhook(_) => "admission",
            Self::Refresh(_) => "announcements",
        }
    }

    fn most_connections(&self) -> usize {
        match self {
            Self::Api(_) => MOST_API_CONNECTIONS,
            Self::Metrics { .. } | Self::Probes(_) | Self::Webhook(_) | Self::Refresh(_) => {
                MOST_OTHER_CONNECTIONS
            }
        }
    }
}

/// Opens the port; requests are answered once [`serve`] runs.
pub(crate) async fn listen(settings: &ServerSettings) -> Result<TcpListener, ListenError> {
    let failed = |source| ListenError {
        address: settings.listen.clone(),
        source,
    };
    // Go's `:8080` is every address of both families.
    match settings.listen.strip_prefix(':') {
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(format!("0.0.0.0:{port}"))
                .await
                .map_err(failed),
        },
        None => TcpListener::bind(&settings.listen).await.map_err(failed),
    }
}

/// Answers requests until `stop` turns true, then lets the running ones finish.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: ServerSettings,
    handler: Handler,
    tls: Option<Arc<TlsServer>>,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Arc::new(Connections::new(handler.most_connections()));
    let handler = Arc::new(handler);
    let settings = Arc::new(settings);
    let graceful = GracefulShutdown::new();
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(settings.read_timeout)
        .max_buf_size(BUFFER)
        // Upstream's headers are spelt `X-Ratelimit-Limit` on the wire.
        .title_case_headers(true);
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => None,
            accepted = listener.accept() => Some(accepted),
        };
        let (stream, peer) = match accepted {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        let connection = connections.open(peer);
        let service = {
            let (handler, settings) = (Arc::clone(&handler), Arc::clone(&settings));
            let connection = Arc::clone(&connection);
            hyper::service::service_fn(move |request| {
                let (handler, settings) = (Arc::clone(&handler), Arc::clone(&settings));
                let connection = Arc::clone(&connection);
                // As in Go, it counts from the end of the request's headers to the last byte of the answer.
                connection.begin(settings.write_timeout);
                async move {
                    let arrival = settings.body_timeout().min(settings.write_timeout);
                    let arrival = tokio::time::Instant::now() + arrival;
                    let (head, mut body) = Request::into_parts(request);
                    let (parts, slot) =
                        answer(&handler, &settings, &connection, peer, &head, &mut body)
                            .await
                            .into_parts();
                    // A client that waits for permission to send its body does not send it after an answer.
                    if slot.is_none() && !head.headers.contains_key(EXPECT) {
                        let discarded = discard(&connection, &mut body);
                        let _ = tokio::time::timeout_at(arrival, discarded).await;
                        connection.enter(Stage::Answering);
                    }
                    let body = |content| AnswerBody::new(content, connection, slot);
                    Ok::<_, Infallible>(parts.map(body))
                }
            })
        };
        let (server, watcher, tls) = (server.clone(), graceful.watcher(), tls.clone());
        let shared = Arc::clone(&connection);
        let serving = async move {
            // A client that closes early has no use for an error.
            let _ = match tls {
                None => {
                    let stream = TokioIo::new(Timed::new(stream, shared));
                    watcher
                        .watch(server.serve_connection(stream, service))
                        .await
                }
                Some(tls) => match encrypted(&tls, stream).await {
                    None => return,
                    Some(stream) => {
                        let stream = TokioIo::new(Timed::new(stream, shared));
                        watcher
                            .watch(server.serve_connection(stream, service))
                            .await
                    }
                },
            };
        };
        tokio::spawn(async move {
            tokio::select! {
                () = serving => {}
                () = connection.evicted() => {}
            }
        });
    }
    let _ = tokio::time::timeout(Duration::from_secs(10), graceful.shutdown()).await;
}

/// Begins TLS with a client.
async fn encrypted<S: AsyncRead + AsyncWrite + Unpin>(
    tls: &TlsServer,
    stream: S,
) -> Option<tokio_rustls::server::TlsStream<S>> {
    match tls.acceptor() {
        Ok(acceptor) => {
            let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            accepted.ok()?.ok()
        }
        Err(error) => {
            tracing::debug!(error = %crate::error_text(&error), "a connection is refused: there is no certificate");
            None
        }
    }
}

/// The address that was given, for those who asked for port 0.
pub(crate) fn address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

async fn answer(
    handler: &Handler,
    settings: &ServerSettings,
    connection: &Connection,
    peer: IpAddr,
    head: &Parts,
    body: &mut Incoming,
) -> Answer {
    match handler {
        Handler::Metrics {
            metrics,
            admission,
            gate,
        } if head.uri.path() == "/metrics" => {
            if let Some(gate) = gate
                && let Some(refusal) = gate.refuses(peer, head).await
            {
                return refusal;
            }
            let caller = peer.to_string();
            let admitted = tokio::time::timeout(SLOT_TIMEOUT, admission.enter(&caller, 0)).await;
            let Ok(slot) = admitted else {
                return busy();
            };
            connection.enter(Stage::Admitted);
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            text(StatusCode::OK, kind, Content::of_metrics(metrics)).holding(slot)
        }
        Handler::Metrics { .. } => not_found(),
        Handler::Probes(readiness) => probe(readiness, head.uri.path()).unwrap_or_else(not_found),
        Handler::Webhook(admission) => admit(settings, admission, connection, peer, body).await,
        Handler::Refresh(handler) => handler.answer(settings, peer, head, body).await,
        Handler::Api(handler) => {
            if let Some(answer) = probe(handler.api.readiness(), head.uri.path()) {
                return answer;
            }
            let path = match head.uri.path() {
                "/v1/cert.pem" => "/v1/cert.pem",
                "/v1/verify" => "/v1/verify",
                "/v1/rotate" => "/v1/rotate",
                _ => return not_found(),
            };
            let start = Instant::now();
            let work = handler.versioned(settings, connection, peer, path, head, body);
            let answer = match tokio::time::timeout(settings.write_timeout, work).await {
                Ok(answer) => answer,
                Err(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
            };
            let code = answer.response.status();
            handler
                .metrics
                .http_request(path, &head.method, code, start.elapsed());
            answer
        }
    }
}

/// Answers a probe.
fn probe(readiness: &Readiness, path: &str) -> Option<Answer> {
    match path {
        "/healthz" => Some(plain(StatusCode::OK, "ok\n")),
        "/readyz" => Some(match readiness.unready() {
            None => plain(StatusCode::OK, "ok\n"),
            Some(reason) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain; charset=utf-8",
                reason,
            ),
        }),
        _ => None,
    }
}

/// Admits whatever the API server asks about. Of the request nothing but its name is read.
async fn admit(
    settings: &ServerSettings,
    admission: &Admission,
    connection: &Connection,
    peer: IpAddr,
    body: &mut Incoming,
) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review {
        api_version: String,
        request: ReviewRequest,
    }
    #[derive(Deserialize)]
    struct ReviewRequest {
        uid: String,
    }
    connection.enter(Stage::Reading);
    let length = length_of(body, LARGEST_REVIEW);
    let caller = peer.to_string();
    let admitted = tokio::time::timeout(SLOT_TIMEOUT, admission.enter(&caller, length));
    let Ok(slot) = admitted.await else {
        return busy();
    };
    let body = read(body, LARGEST_REVIEW);
    let Ok(Ok(body)) = tokio::time::timeout(settings.body_timeout(), body).await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Ok(review) = serde_json::from_slice::<Review>(&body) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let answer = serde_json::json!({
        "apiVersion": review.api_version,
        "kind": "AdmissionReview",
        "response": {"uid": review.request.uid, "allowed": true},
    });
    text(StatusCode::OK, "application/json", answer.to_string()).holding(slot)
}

impl ApiHandler {
    async fn versioned(
        &self,
        settings: &ServerSettings,
        connection: &Connection,
        peer: IpAddr,
        path: &'static str,
        head: &Parts,
        body: &mut Incoming,
    ) -> Answer {
        if path == "/v1/cert.pem" {
            return match self.api.certificate() {
                Some(pem) => text(StatusCode::OK, "application/x-pem-file", pem),
                None => {
                    tracing::error!(
                        error = "key registry has no keys",
                        "cannot get certificates"
                    );
                    plain(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "cannot get certificate\n",
                    )
                }
            };
        }
        let caller = self.proxies.caller(peer, &head.headers);
        let verdict = self.limit.check(path, &caller, Instant::now());
        let mut answer = if verdict.retry_after.is_some() {
            plain(StatusCode::TOO_MANY_REQUESTS, "limit exceeded\n")
        } else {
            self.with_body(settings, connection, &caller, path, body)
                .await
        };
        show(&mut answer.response, &verdict);
        answer
    }

    async fn with_body(
        &self,
        settings: &ServerSettings,
        connection: &Connection,
        caller: &str,
        path: &'static str,
        body: &mut Incoming,
    ) -> Answer {
        connection.enter(Stage::Reading);
        let length = length_of(body, LARGEST_BODY);
        if length > LARGEST_BODY {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let admitted = tokio::time::timeout(SLOT_TIMEOUT, self.admission.enter(caller, length));
        let Ok(slot) = admitted.await else {
            return busy();
        };
        let body = read(body, LARGEST_BODY);
        let body = match tokio::time::timeout(settings.body_timeout(), body).await {
            Ok(Ok(body)) => body,
            Ok(Err(Unread::TooLarge)) => return empty(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(Unread::Broken)) | Err(_) => {
                tracing::error!(
                    path = path,
                    error = "the body did not arrive in time",
                    "cannot read a request"
                );
                return empty(StatusCode::BAD_REQUEST);
            }
        };
        connection.enter(Stage::Admitted);
        let answer = match path {
            "/v1/verify" => verify(&self.api, body).await,
            _ => rotate(&self.api, body).await,
        };
        answer.holding(slot)
    }
}

async fn verify(api: &HttpApi, body: Bytes) -> Answer {
    match api.verify(body).await {
        Ok(true) => empty(StatusCode::OK),
        Ok(false) => empty(StatusCode::CONFLICT),
        Err(error) => {
            tracing::error!(error = %crate::error_text(&error), "Error validating secret");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

async fn rotate(api: &HttpApi, body: Bytes) -> Answer {
    match api.rotate(body).await {
        Ok(Rotated(json)) => text(StatusCode::OK, "application/json", json),
        Err(error) => {
            tracing::error!(error = %crate::error_text(&error), "Error rotating secret");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

#[cfg(test)]
mod tests;

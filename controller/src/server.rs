//! The HTTP door: certificate, verify, rotate, probes, and the metrics on a port of their own.
//!
//! It is meant for every user of the cluster and asks nobody who they are, so it must not be an
//! oracle: verify and rotate never render a template, and every failure looks the same.

mod deadline;
mod rate_limit;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::door::{Door, Rotated};
use crate::metrics::Metrics;
use deadline::{Deadline, Timed};
use rate_limit::{RateLimit, Verdict};

/// A SealedSecret cannot be larger than what the API server stores (1.5 MiB) with some room.
const LARGEST_BODY: usize = 4 << 20;
/// Connections beyond this wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;

/// How the door listens.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The address in Go's form: `:8080`, `127.0.0.1:0`.
    pub(crate) listen: String,
    /// How long a request may take to arrive.
    pub(crate) read_timeout: Duration,
    /// How long handling and answering may take.
    pub(crate) write_timeout: Duration,
}

/// The door cannot be opened.
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
    Api {
        door: Arc<Door>,
        metrics: Arc<Metrics>,
        limit: Box<Limit>,
    },
    /// The metrics.
    Metrics(Arc<Metrics>),
}

/// The buckets of verify and rotate.
pub(crate) struct Limit(RateLimit);

impl Limit {
    /// Allows `rate` requests a second on each path, and `burst` more at once.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        Self(RateLimit::new(rate, burst))
    }
}

/// Opens the port; requests are answered once [`serve`] runs.
pub(crate) async fn listen(settings: &Settings) -> Result<TcpListener, ListenError> {
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
    settings: Settings,
    handler: Handler,
    mut stop: watch::Receiver<bool>,
) {
    let handler = Arc::new(handler);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(settings.read_timeout)
        // The incumbent's headers are spelt `X-Ratelimit-Limit` on the wire.
        .title_case_headers(true);
    loop {
        let place = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("never closed"),
        };
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => None,
            accepted = listener.accept() => Some(accepted),
        };
        let stream = match accepted {
            None => break,
            Some(Ok((stream, _))) => stream,
            Some(Err(error)) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (handler, settings) = (Arc::clone(&handler), settings.clone());
        let deadline = Deadline::default();
        let stream = Timed::new(stream, deadline.clone());
        let service = hyper::service::service_fn(move |request| {
            let (handler, settings) = (Arc::clone(&handler), settings.clone());
            // As in Go, it counts from the end of the request's headers to the last byte of the answer.
            if let Some(when) = tokio::time::Instant::now().checked_add(settings.write_timeout) {
                deadline.set(when);
            }
            async move { Ok::<_, Infallible>(answer(&handler, &settings, request).await) }
        });
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // Who closes a connection early has no use for an error.
            let _ = connection.await;
            drop(place);
        });
    }
    let _ = tokio::time::timeout(Duration::from_secs(10), graceful.shutdown()).await;
}

/// The address that was given, for whoever asked for port 0.
pub(crate) fn address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

type Answer = Response<Full<Bytes>>;

async fn answer(handler: &Handler, settings: &Settings, request: Request<Incoming>) -> Answer {
    match handler {
        Handler::Metrics(metrics) if request.uri().path() == "/metrics" => text(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics.text(),
        ),
        Handler::Metrics(_) => not_found(),
        Handler::Api {
            door,
            metrics,
            limit,
        } => {
            let path = match request.uri().path() {
                "/healthz" => return plain(StatusCode::OK, "ok\n"),
                "/readyz" if door.is_ready() => return plain(StatusCode::OK, "ok\n"),
                "/readyz" => return plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
                "/v1/cert.pem" => "/v1/cert.pem",
                "/v1/verify" => "/v1/verify",
                "/v1/rotate" => "/v1/rotate",
                _ => return not_found(),
            };
            let start = Instant::now();
            let method = request.method().as_str().to_owned();
            let work = versioned(door, limit, settings, path, request);
            let response = match tokio::time::timeout(settings.write_timeout, work).await {
                Ok(response) => response,
                Err(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
            };
            metrics.http_request(path, &method, response.status().as_u16(), start.elapsed());
            response
        }
    }
}

async fn versioned(
    door: &Door,
    limit: &Limit,
    settings: &Settings,
    path: &'static str,
    request: Request<Incoming>,
) -> Answer {
    if path == "/v1/cert.pem" {
        return match door.certificate() {
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
    let caller = request
        .headers()
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let verdict = limit.0.check(path, caller, Instant::now());
    let mut response = if verdict.retry_after.is_some() {
        plain(StatusCode::TOO_MANY_REQUESTS, "limit exceeded\n")
    } else {
        let body = Limited::new(request.into_body(), LARGEST_BODY).collect();
        match tokio::time::timeout(settings.read_timeout, body).await {
            Ok(Ok(body)) if path == "/v1/verify" => verify(door, body.to_bytes()).await,
            Ok(Ok(body)) => rotate(door, body.to_bytes()).await,
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                empty(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!(
                    error = "the body did not arrive",
                    "Error handling {path} request"
                );
                empty(StatusCode::BAD_REQUEST)
            }
        }
    };
    tell(&mut response, &verdict);
    response
}

async fn verify(door: &Door, body: Bytes) -> Answer {
    match door.verify(body).await {
        Ok(true) => empty(StatusCode::OK),
        Ok(false) => empty(StatusCode::CONFLICT),
        Err(error) => {
            tracing::error!(error = %crate::error_text(&error), "Error validating secret");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

async fn rotate(door: &Door, body: Bytes) -> Answer {
    match door.rotate(body).await {
        Ok(Rotated(json)) => text(StatusCode::OK, "application/json", json),
        Err(error) => {
            tracing::error!(error = %crate::error_text(&error), "Error rotating secret");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn tell(response: &mut Answer, verdict: &Verdict) {
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: u64| headers.insert(name, HeaderValue::from(value));
    put(
        HeaderName::from_static("x-ratelimit-limit"),
        verdict.limit.into(),
    );
    put(
        HeaderName::from_static("x-ratelimit-remaining"),
        verdict.remaining.into(),
    );
    put(HeaderName::from_static("x-ratelimit-reset"), verdict.reset);
    if let Some(seconds) = verdict.retry_after {
        put(RETRY_AFTER, seconds);
    }
}

fn not_found() -> Answer {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn plain(status: StatusCode, body: &'static str) -> Answer {
    text(status, "text/plain; charset=utf-8", body)
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

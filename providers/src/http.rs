//! HTTP for all stores: one client over hyper and rustls, with bounds on everything.
//!
//! A call ends within its time, reads no more than its bytes, follows no redirect to another host, and reaches no address
//! that only a machine's own services live at ([`crate::address`]). Bodies lie in wiped memory on this side of hyper; what its
//! and rustls' buffers hold on the way is theirs.

mod connect;
mod error;
mod header;
mod response;
pub mod tls;
pub mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use self::connect::Connector;
pub use self::error::HttpError;
use self::error::broken;
pub use self::header::{basic_auth, secret_header};
pub use self::response::Response;
use self::tls::{TlsError, TlsSettings};
use self::url::Url;
use crate::address::Guard;
use crate::outcome::shown;
use crate::proxy::Proxies;

/// What bounds a call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long connecting may take.
    pub connect: Duration,
    /// How long the whole call may take, redirects included.
    pub total: Duration,
    /// How many bytes an answer may have.
    pub answer: usize,
}

impl Limits {
    /// The usual bounds, with another one on the time of a call.
    pub fn within(total: Option<Duration>) -> Self {
        let usual = Self::default();
        match total {
            None => usual,
            Some(total) => Self {
                connect: usual.connect.min(total),
                total,
                ..usual
            },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(60),
            answer: 16 << 20,
        }
    }
}

/// How a client of one store reaches its server.
#[derive(Default)]
pub struct HttpSettings {
    /// Certificates and the like.
    pub tls: TlsSettings,
    /// Which addresses are refused.
    pub guard: Guard,
    /// The bounds.
    pub limits: Limits,
    /// Which proxies lead there.
    pub proxy: Proxy,
}

/// Which proxies are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// Those of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    #[default]
    Environment,
    /// None.
    None,
    /// This one, whatever the host.
    Always(String),
}

/// A client: a pool of connections with one idea of TLS, proxies and bounds.
pub struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    proxies: Arc<Proxies>,
    limits: Limits,
    calls: AtomicU64,
    /// The turn of this client among those who want one for a large answer.
    large: Semaphore,
}

/// A request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Its headers; those with secrets are made by [`secret_header`].
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Option<SecretBytes>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(mut self, body: SecretBytes) -> Self {
        self.headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        self.body = Some(body);
        self
    }
}

/// An answer of more bytes than this waits for a turn.
const LARGE: usize = 256 << 10;

/// Turns for large answers, of the whole process: the author of a store chooses who answers, and many large answers at
/// once would take all the memory there is.
static LARGE_TURNS: Semaphore = Semaphore::const_new(2);

/// How long the rest of a large answer may take: others wait for the turn.
const LARGE_PATIENCE: Duration = Duration::from_secs(5);

/// The turn of an answer that is being read: that of its client, that of the process, and when it ends.
type Turn<'a> = (SemaphorePermit<'a>, SemaphorePermit<'static>, Instant);

/// How many redirects on one host are followed.
const REDIRECTS: usize = 3;

impl HttpClient {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// When certificates or keys in the settings are none.
    pub fn new(settings: HttpSettings) -> Result<Self, TlsError> {
        let proxies = Arc::new(match &settings.proxy {
            Proxy::Environment => Proxies::of_environment(),
            Proxy::None => Proxies::none(),
            Proxy::Always(proxy) => Proxies::always(proxy),
        });
        let connector = Connector::new(&settings, Arc::clone(&proxies))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(16)
            .http1_max_headers(200)
            .build(connector);
        Ok(Self {
            client,
            proxies,
            limits: settings.limits,
            calls: AtomicU64::new(0),
            large: Semaphore::new(1),
        })
    }

    /// How many requests were sent.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Makes a call.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within the bounds. A status of any kind is an answer.
    pub async fn call(&self, request: Request) -> Result<Response, HttpError> {
        self.call_within(request, self.limits).await
    }

    /// As [`call`](Self::call), with other bounds; that of connecting stays the client's.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn call_within(
        &self,
        request: Request,
        limits: Limits,
    ) -> Result<Response, HttpError> {
        let host = request.url.authority();
        match tokio::time::timeout(limits.total, self.follow(request, limits.answer)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::TimedOut {
                host,
                after: limits.total,
            }),
        }
    }

    /// As [`call`](Self::call), but a redirect is an answer like any other.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn call_once(&self, mut request: Request) -> Result<Response, HttpError> {
        let body = request.body.take().map(shared).unwrap_or_default();
        let limits = self.limits;
        match tokio::time::timeout(limits.total, self.send(&request, body, limits.answer)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::TimedOut {
                host: request.url.authority(),
                after: limits.total,
            }),
        }
    }

    async fn follow(&self, mut request: Request, most: usize) -> Result<Response, HttpError> {
        let body = request.body.take().map(shared).unwrap_or_default();
        let mut redirects = 0;
        loop {
            let response = self.send(&request, body.clone(), most).await?;
            let repeated = matches!(response.status.as_u16(), 307 | 308);
            let moved = repeated
                || matches!(response.status.as_u16(), 301..=303)
                    && matches!(request.method, Method::GET | Method::HEAD);
            let target = response.headers.get(LOCATION).filter(|_| moved);
            let Some(target) = target.and_then(|target| target.to_str().ok()) else {
                return Ok(response);
            };
            let host = request.url.authority();
            let redirected = |target: &str| HttpError::Redirected {
                host: host.clone(),
                target: shown(target),
            };
            let Ok(next) = request.url.join(target) else {
                return Err(redirected("something that is no address"));
            };
            if next.origin() != request.url.origin() {
                return Err(redirected(&next.origin()));
            }
            redirects += 1;
            if redirects > REDIRECTS {
                return Err(HttpError::RedirectLoop { host });
            }
            request.url = next;
        }
    }

    async fn send(
        &self,
        request: &Request,
        body: Bytes,
        most: usize,
    ) -> Result<Response, HttpError> {
        let host = request.url.authority();
        let cannot = |reason| HttpError::Request {
            host: host.clone(),
            reason,
        };
        let uri = request
            .url
            .to_uri()
            .map_err(|_| cannot("the address is not valid"))?;
        let mut headers = request.headers.clone();
        // Methods that carry a body say how long it is, also when it is empty.
        if !body.is_empty() || matches!(request.method, Method::POST | Method::PUT) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        headers
            .entry(http::header::USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "sealwright/",
                env!("CARGO_PKG_VERSION")
            )));
        if !headers.contains_key(HOST) {
            let named = HeaderValue::from_str(&request.url.host_header())
                .map_err(|_| cannot("the host is not valid"))?;
            headers.insert(HOST, named);
        }
        if uri.scheme_str() == Some("http") {
            // Through a proxy, plain requests carry the proxy's credentials themselves.
            let proxy = self.proxies.intercept(&uri);
            if let Some(basic) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
                headers.insert(http::header::PROXY_AUTHORIZATION, basic.clone());
            }
        }
        let mut made = http::Request::new(Full::new(body));
        *made.method_mut() = request.method.clone();
        *made.uri_mut() = uri;
        *made.headers_mut() = headers;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.client.request(made).await;
        let answer = answer.map_err(|error| broken(&host, error))?;
        let (parts, mut incoming) = answer.into_parts();
        let too_large = || HttpError::TooLarge {
            host: host.clone(),
            limit: most,
        };
        let announced = parts.headers.get(CONTENT_LENGTH);
        let announced: Option<usize> = announced
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        if announced.is_some_and(|length| length > most) && request.method != Method::HEAD {
            return Err(too_large());
        }
        let mut turn: Option<Turn<'_>> = None;
        let mut body = SecretWriter::with_capacity(announced.unwrap_or(4096).min(LARGE));
        let cut = |reason| HttpError::Broken {
            host: host.clone(),
            reason,
        };
        loop {
            let next = incoming.frame();
            let next = match &turn {
                None => next.await,
                Some((_, _, end)) => tokio::time::timeout_at(*end, next)
                    .await
                    .map_err(|_| cut("a large answer came too slowly"))?,
            };
            let Some(frame) = next else {
                break;
            };
            let frame = frame.map_err(|_| cut("it ended in the middle of the answer"))?;
            if let Some(data) = frame.data_ref() {
                if body.len() + data.len() > most {
                    return Err(too_large());
                }
                if turn.is_none() && body.len() + data.len() > LARGE {
                    // One store has one place in the queue of all.
                    let own = self.large.acquire().await.expect("never closed");
                    let acquired = LARGE_TURNS.acquire().await.expect("never closed");
                    turn = Some((own, acquired, Instant::now() + LARGE_PATIENCE));
                }
                body.push(data);
            }
        }
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body: body.finish(),
            _turn: turn.map(|(_, turn, _)| turn),
        })
    }
}

/// Hands secret bytes to hyper without copying them; they are wiped when the last holder lets go.
fn shared(bytes: SecretBytes) -> Bytes {
    struct Owner(SecretBytes);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }
    Bytes::from_owner(Owner(bytes))
}

#[cfg(test)]
mod tests;

//! HTTP for all stores: one client over hyper and rustls, with bounds on everything.
//!
//! A call ends within its time, reads no more than its bytes, follows no redirect to another host, and reaches no address
//! that only a machine's own services live at ([`crate::address`]). Bodies lie in wiped memory on this side of hyper; what its
//! and rustls' buffers hold on the way is theirs.

mod connect;
pub mod tls;
pub mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use self::connect::{ConnectError, Connector};
use self::tls::{TlsError, TlsSettings};
use self::url::Url;
use crate::address::Guard;
use crate::outcome::{StoreError, Trouble, shown};
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

/// An answer.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// What was sent.
    pub body: SecretBytes,
    /// The turn of a large answer, for as long as it lies in memory.
    _turn: Option<SemaphorePermit<'static>>,
}

/// The turn of an answer that is being read: that of its client, that of the process, and when it ends.
type Turn<'a> = (SemaphorePermit<'a>, SemaphorePermit<'static>, Instant);

impl Response {
    /// An answer that was read before.
    #[cfg(test)]
    pub(crate) fn new(status: StatusCode, body: SecretBytes) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
            _turn: None,
        }
    }

    /// Returns true if the answer is one of the few that may be large at a time.
    #[cfg(test)]
    fn has_turn(&self) -> bool {
        self._turn.is_some()
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns true if the body claims to be JSON.
    pub fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == "application/json" || kind.starts_with("application/") && kind.ends_with("json")
        })
    }

    /// The error that a status stands for by itself, whatever the body says: too many requests, or a server that fails.
    #[cfg(any(feature = "aws", feature = "bearer"))]
    pub(crate) fn failure(&self) -> Option<StoreError> {
        match self.status.as_u16() {
            429 => {
                let retry_after = self.retry_after();
                let trouble = Trouble::Throttled { retry_after };
                Some(StoreError::new(trouble, "too many requests"))
            }
            status @ 500.. => Some(StoreError::new(
                Trouble::Unavailable,
                format!("the service failed with HTTP status {status}"),
            )),
            _ => None,
        }
    }

    /// When the server wants to be asked again, if it said so in seconds; at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.header(RETRY_AFTER.as_str())?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(3600)))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection came about.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// The time is up.
    #[error("{host} did not answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// The host.
        host: String,
        /// After how long.
        after: Duration,
    },
    /// The answer has more bytes than allowed.
    #[error("the answer of {host} has more than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// How many are allowed.
        limit: usize,
    },
    /// The server points to another host.
    #[error("{host} redirects to {target}, and credentials are not sent to another host")]
    Redirected {
        /// The host.
        host: String,
        /// Where it points.
        target: String,
    },
    /// The server points somewhere again and again.
    #[error("{host} redirects too often")]
    RedirectLoop {
        /// The host.
        host: String,
    },
    /// What came is not HTTP, or stopped in the middle.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: &'static str,
    },
    /// The request cannot be made.
    #[error("the request to {host} cannot be made: {reason}")]
    Request {
        /// The host.
        host: String,
        /// Why.
        reason: &'static str,
    },
}

impl HttpError {
    /// Returns true if the server cannot have seen the request.
    pub fn is_before_request(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Request { .. })
    }
}

impl From<HttpError> for StoreError {
    fn from(error: HttpError) -> Self {
        let text = match &error {
            HttpError::Connect { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let trouble = match &error {
            HttpError::TooLarge { .. } => Trouble::TooLarge,
            HttpError::Redirected { .. } | HttpError::Request { .. } => Trouble::Invalid,
            HttpError::Connect { source, .. } if source.is_refused_address() => Trouble::Invalid,
            _ => Trouble::Unavailable,
        };
        let made = StoreError::new(trouble, text);
        match &error {
            HttpError::Connect { source, .. } => match source.hint() {
                Some(hint) => made.with_hint(hint),
                None => made,
            },
            HttpError::Redirected { .. } => {
                made.with_hint("set the address that it redirects to as the server")
            }
            _ => made,
        }
    }
}

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

fn broken(host: &str, error: hyper_util::client::legacy::Error) -> HttpError {
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return HttpError::Connect {
                host: host.to_owned(),
                source: connect.clone(),
            };
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            let reason = if hyper.is_parse() || hyper.is_parse_too_large() {
                "the answer is not HTTP"
            } else if hyper.is_incomplete_message() || hyper.is_closed() {
                "it was closed before an answer came"
            } else if hyper.is_timeout() {
                "it took too long"
            } else {
                "it failed"
            };
            return HttpError::Broken {
                host: host.to_owned(),
                reason,
            };
        }
        source = cause.source();
    }
    HttpError::Broken {
        host: host.to_owned(),
        reason: "it failed",
    }
}

/// Makes a header value of a credential, in wiped memory.
///
/// # Errors
///
/// When it holds a line break or another control character, which no header can carry.
pub fn secret_header(value: SecretBytes) -> Result<HeaderValue, StoreError> {
    let ends_with_break = value.expose().last().is_some_and(|byte| *byte == b'\n');
    let mut header = HeaderValue::from_maybe_shared(shared(value)).map_err(|_| {
        let error = StoreError::new(
            Trouble::Unauthenticated,
            "the credential holds a line break or a control character, which no request can carry",
        )
        .public();
        if ends_with_break {
            error.with_hint("remove the line break at its end")
        } else {
            error
        }
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The header for a user and a password as they stand in an address, where what is escaped counts as what it stands for.
///
/// # Errors
///
/// As [`secret_header`].
pub fn basic_auth(user: &SecretText) -> Result<HeaderValue, StoreError> {
    let (name, password) = user.expose().split_once(':').unwrap_or((user.expose(), ""));
    let mut plain = SecretWriter::with_capacity(user.expose().len() + 1);
    unescape(name, &mut plain);
    plain.push_byte(b':');
    unescape(password, &mut plain);
    let plain = plain.finish();
    let mut basic = SecretWriter::default();
    basic.push(b"Basic ");
    let length = base64::encoded_len(plain.len(), true).unwrap_or_default();
    // The place is as long as the text.
    let _ = STANDARD.encode_slice(plain.expose(), basic.extend_zeroed(length));
    secret_header(basic.finish())
}

/// Resolves `%` and two digits; anything else stays as it is.
fn unescape(text: &str, out: &mut SecretWriter) {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                out.push_byte(byte);
                rest = &after[2..];
            }
            None => {
                out.push_byte(*first);
                rest = after;
            }
        }
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

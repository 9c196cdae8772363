//! Requests to the API server: bodies in buffers that are wiped, Retry-After respected, every wait limited.
//!
//! What the HTTP and TLS libraries copy on the way is not wiped; `SECURITY.md` says so.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::page_size::Places;

/// No answer within this is as good as none.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one request is repeated when the server says that it has too much to do.
const REPEATS: u32 = 5;
/// A server that asks for more than this gets its request later, from the queue.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A part of a path that stands for what cannot be a name.
pub(crate) const NO_NAME: &str = "%";

/// What lists of metadata alone are asked for with.
pub(crate) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// The API server as this program sees it.
pub(crate) struct Api {
    client: Client,
    throttle: Option<Throttle>,
    newest: Arc<Newest>,
    places: Places,
}

/// The newest resource version that the API server has shown: what is read from now on is no older.
///
/// Versions of different kinds can be compared where one database holds them, as it nearly always does. So this may spare work,
/// and must not be what anything rests on.
#[derive(Default)]
pub(crate) struct Newest(AtomicU64);

impl Newest {
    /// Takes note of a version.
    pub(crate) fn see(&self, version: &str) {
        if let Ok(version) = version.parse() {
            self.0.fetch_max(version, Relaxed);
        }
    }

    /// The newest version so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A request that did not do what it should. The text is the API server's own where it gave one.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub(crate) enum ApiError {
    /// The API server says no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The machine-readable reason, `AlreadyExists` for one.
        reason: String,
        /// What it says to people.
        message: String,
    },
    /// There was no usable answer.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// The answer is not what it should be.
    #[error("the API server sent an answer that cannot be read")]
    Unreadable,
    /// The answer is longer than the caller has room for.
    #[error("the answer of the API server is too long")]
    TooLong,
}

impl ApiError {
    fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Unreachable(_) | Self::Unreadable | Self::TooLong => 0,
        }
    }

    /// Says in fixed words what is wrong: the API server's own text may quote values, so statuses and events have this.
    pub(crate) fn category(&self) -> &'static str {
        let reason = match self {
            Self::Refused { reason, .. } => reason.as_str(),
            Self::Unreachable(_) => return "the API server cannot be reached",
            Self::Unreadable => return "the answer of the API server cannot be read",
            Self::TooLong => return "the answer of the API server is too long",
        };
        match (reason, self.code()) {
            ("AlreadyExists", _) => "the object exists already",
            ("NotFound", _) | (_, 404) => "the object was not found",
            ("Conflict", _) | (_, 409) => "the object has changed meanwhile",
            ("Invalid" | "BadRequest" | "RequestEntityTooLarge", _) | (_, 400 | 413 | 422) => {
                "the API server found the object not valid"
            }
            ("Forbidden" | "Unauthorized", _) | (_, 401 | 403) => "access denied",
            ("Timeout" | "ServerTimeout", _) | (_, 504) => "the API server took too long",
            ("TooManyRequests", _) | (_, 429) => "the API server is too busy",
            _ => "the API server failed",
        }
    }

    /// What may be logged about an object that has values in it. The API server quotes what it does not accept, a label for
    /// example that a template made of a password, and so may its webhooks. What it says about rights is its own.
    pub(crate) fn about_values(&self) -> String {
        match self {
            Self::Refused { code, message, .. }
                if *code == 403 && message.contains(" is forbidden: User \"") =>
            {
                message.clone()
            }
            Self::Refused { code, reason, .. } => format!("{} ({code} {reason})", self.category()),
            Self::Unreachable(_) | Self::Unreadable | Self::TooLong => self.to_string(),
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// The API server knows who asks, and does not permit it.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code() == 403
    }

    /// Somebody else wrote in between: look again.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == 409
    }

    /// Trying the same again can help.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self.code(), 400 | 403 | 405 | 413 | 422)
    }
}

impl Api {
    /// Uses `client`; with `qps`, no more than so many requests a second beside the watches and the election.
    pub(crate) fn new(client: Client, qps: Option<f32>, burst: u32) -> Self {
        Self {
            client,
            throttle: qps.map(|qps| Throttle::new(qps, burst)),
            newest: Arc::default(),
            places: Places::default(),
        }
    }

    /// The same API server, for requests that do not wait behind others.
    pub(crate) fn without_limit(&self) -> Self {
        Self {
            client: self.client.clone(),
            throttle: None,
            newest: Arc::clone(&self.newest),
            places: self.places.clone(),
        }
    }

    /// The places in memory for answers that are not small.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// How far the API server is known to be.
    pub(crate) fn newest(&self) -> &Arc<Newest> {
        &self.newest
    }

    /// The client, for watches.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str) -> Result<SecretBytes, ApiError> {
        self.call(Method::GET, path, "application/json", None).await
    }

    /// Reads the metadata of something.
    pub(crate) async fn get_metadata(&self, path: &str) -> Result<SecretBytes, ApiError> {
        let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        self.call(Method::GET, path, accept, None).await
    }

    /// Reads something of up to `most` bytes.
    pub(crate) async fn get_within(
        &self,
        path: &str,
        accept: &str,
        most: usize,
    ) -> Result<SecretBytes, ApiError> {
        self.send(Method::GET, path, accept, None, most).await
    }

    /// Sends one request, and again if the server asks to come back later.
    ///
    /// Only [`action`](crate::action) sends anything but GET.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<&SecretBytes>,
    ) -> Result<SecretBytes, ApiError> {
        self.send(method, path, accept, body, usize::MAX).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<&SecretBytes>,
        most: usize,
    ) -> Result<SecretBytes, ApiError> {
        if path.split(['/', '?']).any(|part| part == NO_NAME) {
            return Err(no_such_object());
        }
        let mut repeats = 0;
        loop {
            if let Some(throttle) = &self.throttle {
                throttle.turn().await;
            }
            let attempt = self.once(method.clone(), path, accept, body, most);
            let (error, wait) = match timeout(PATIENCE, attempt).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err((error, wait))) => (error, wait),
                Err(_) => (ApiError::Unreachable("no answer in time".to_owned()), None),
            };
            let busy = matches!(error.code(), 429 | 503 | 504);
            let wait = wait.unwrap_or_else(|| Duration::from_millis(100) * 2u32.pow(repeats));
            if !busy || repeats >= REPEATS || wait > LONGEST_WAIT {
                return Err(error);
            }
            repeats += 1;
            tokio::time::sleep(wait + jitter(wait)).await;
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<&SecretBytes>,
        most: usize,
    ) -> Result<SecretBytes, (ApiError, Option<Duration>)> {
        let patch = method == Method::PATCH;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept);
        if body.is_some() {
            request = request.header(
                CONTENT_TYPE,
                match patch {
                    true => "application/merge-patch+json",
                    false => "application/json",
                },
            );
        }
        let body = body.map_or_else(Body::empty, |body| {
            Body::from(wiped(SecretBytes::copy_of(body.expose())))
        });
        let request = request.body(body).map_err(|_| (no_such_object(), None))?;
        let unreachable =
            |error: &dyn std::error::Error| (ApiError::Unreachable(crate::error_text(error)), None);
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = response.into_body();
        let mut answer = SecretWriter::with_capacity(8 << 10);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(&error))?;
            if let Some(data) = frame.data_ref() {
                if answer.expose().len() + data.len() > most {
                    return Err((ApiError::TooLong, None));
                }
                answer.push(data);
            }
        }
        match status.is_success() {
            true => Ok(answer.finish()),
            false => Err((refusal(status, answer.expose()), wait)),
        }
    }
}

/// The answer about what cannot be the name of an object.
fn no_such_object() -> ApiError {
    ApiError::Refused {
        code: 404,
        reason: "NotFound".to_owned(),
        message: "no object can have this name".to_owned(),
    }
}

/// Hands a secret to the HTTP library in a buffer that is wiped when the library drops it.
fn wiped(secret: SecretBytes) -> Bytes {
    struct Owner(SecretBytes);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }
    Bytes::from_owner(Owner(secret))
}

fn refusal(status: StatusCode, answer: &[u8]) -> ApiError {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Status {
        message: String,
        reason: String,
    }
    let told: Status = serde_json::from_slice(answer).unwrap_or_default();
    ApiError::Refused {
        code: status.as_u16(),
        message: match told.message.is_empty() {
            true => format!("the API server answered {status}"),
            false => told.message,
        },
        reason: told.reason,
    }
}

/// Up to a quarter of `wait`, so that those who were sent away together do not come back together.
pub(crate) fn jitter(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0) % 1024;
    wait / 4096 * u32::try_from(random).expect("less than 1024")
}

/// A bucket of requests that fills with time.
struct Throttle {
    interval: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full_at: Mutex<Instant>,
}

impl Throttle {
    fn new(qps: f32, burst: u32) -> Self {
        Self {
            interval: Duration::from_secs_f32(1.0 / qps.max(0.001)),
            burst,
            full_at: Mutex::new(Instant::now()),
        }
    }

    async fn turn(&self) {
        tokio::time::sleep(self.wait(Instant::now())).await;
    }

    /// Takes one request out and tells how long it has to wait.
    fn wait(&self, now: Instant) -> Duration {
        let mut full_at = self.full_at.lock().expect("no holder panics");
        *full_at = (*full_at).max(now) + self.interval;
        (*full_at - now).saturating_sub(self.interval * self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action;

    #[test]
    fn refusals_carry_the_servers_words() {
        let text = br#"{"kind":"Status","message":"secrets \"a\" already exists","reason":"AlreadyExists","code":409}"#;
        let error = refusal(StatusCode::CONFLICT, text);
        assert_eq!(error.to_string(), "secrets \"a\" already exists");
        assert!(error.is_conflict() && !error.is_not_found());
        let error = refusal(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(error.to_string(), "the API server answered 502 Bad Gateway");
        assert!(error.may_pass());
    }

    #[test]
    fn what_is_logged_about_an_object_with_values_quotes_none() {
        let told = |code: u16, reason: &str, message: &str| {
            let error = ApiError::Refused {
                code,
                reason: reason.to_owned(),
                message: message.to_owned(),
            };
            error.about_values()
        };
        let label = "Secret \"a\" is invalid: metadata.labels: Invalid value: \"hunter2!\": a valid label must be";
        assert_eq!(
            told(422, "Invalid", label),
            "the API server found the object not valid (422 Invalid)"
        );
        let webhook = "admission webhook \"w\" denied the request: no label may be hunter2";
        assert_eq!(
            told(403, "Forbidden", webhook),
            "access denied (403 Forbidden)"
        );
        let right = "secrets \"a\" is forbidden: User \"u\" cannot update resource \"secrets\"";
        assert_eq!(told(403, "Forbidden", right), right);
    }

    #[test]
    fn a_body_is_handed_over_without_a_copy() {
        let secret = SecretBytes::copy_of(b"value");
        let at = secret.expose().as_ptr();
        let bytes = wiped(secret);
        assert_eq!((bytes.as_ptr(), &*bytes), (at, &b"value"[..]));
        assert_eq!(bytes.clone().as_ptr(), at);
    }

    /// Looks at the middle of a canary in this process's memory, also when it lives no longer. Nothing of its size is allocated
    /// on the way, which would be put in its place.
    fn has_canary(at: usize) -> bool {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut piece = [0; 1024];
        // Memory that was given back to the system cannot be read.
        let read = memory.read_at(&mut piece, at as u64 + 8192);
        read.is_ok() && piece.windows(6).any(|window| window == b"canary")
    }

    /// Smaller than what the allocator gives back to the system.
    fn canary() -> SecretBytes {
        SecretBytes::from("canary-7f3a".repeat(2000).into_bytes())
    }

    #[tokio::test]
    async fn the_body_of_a_request_is_wiped_when_it_has_been_sent() {
        let seen = std::sync::Arc::new(Mutex::new((0, 0)));
        let service = tower::service_fn({
            let seen = std::sync::Arc::clone(&seen);
            move |request: Request<Body>| {
                let seen = std::sync::Arc::clone(&seen);
                async move {
                    let frame = request.into_body().frame().await.unwrap().unwrap();
                    let bytes = frame.data_ref().unwrap();
                    *seen.lock().unwrap() = (bytes.as_ptr() as usize, bytes.len());
                    assert!(has_canary(bytes.as_ptr() as usize));
                    let answer = hyper::Response::new(Body::from(b"{}".to_vec()));
                    Ok::<_, std::convert::Infallible>(answer)
                }
            }
        });
        let api = Api::new(Client::new(service, "ns"), None, 1);
        let body = canary();
        let sent = api.call(Method::POST, "/", "application/json", Some(&body));
        sent.await.unwrap();
        let (at, length) = *seen.lock().unwrap();
        assert_ne!(at, body.expose().as_ptr() as usize);
        assert_eq!(length, body.len());
        assert!(!has_canary(at));
        // It would have been found there: a buffer that is not wiped keeps most of its content.
        let plain = body.expose().to_vec();
        let at = plain.as_ptr() as usize;
        drop(plain);
        assert!(has_canary(at));
    }

    #[tokio::test]
    async fn what_cannot_be_a_name_leads_nowhere() {
        let service = tower::service_fn(|request: Request<Body>| async move {
            assert_eq!(request.uri().path(), "/api/v1/namespaces/ns/secrets/a-b.c");
            let answer = hyper::Response::new(Body::from(b"{}".to_vec()));
            Ok::<_, std::convert::Infallible>(answer)
        });
        let api = Api::new(Client::new(service, "ns"), None, 1);
        api.get(&action::secret("ns", "a-b.c")).await.unwrap();
        let long = "a".repeat(254);
        for name in [
            "", ".", "..", "a b", "a/b", "a?b", "a#b", "%2e%2e", "\n", "ü", &long,
        ] {
            for path in [action::secret("ns", name), action::secret(name, "a")] {
                let error = api.get(&path).await.unwrap_err();
                assert!(error.is_not_found(), "{name:?}: {error}");
                let path = format!("{path}?fieldManager=x");
                let patched = api.call(Method::PATCH, &path, "application/json", None);
                assert!(patched.await.is_err_and(|error| error.is_not_found()));
            }
        }
        // What slips through is an error too.
        assert!(api.get("/api/a b").await.is_err());
    }

    #[test]
    fn c24_c25_the_throttle_lets_a_burst_through_and_then_keeps_its_rate() {
        let throttle = Throttle::new(5.0, 10);
        let now = Instant::now();
        let waits: Vec<_> = (0..15).map(|_| throttle.wait(now)).collect();
        assert!(waits[..10].iter().all(Duration::is_zero));
        assert_eq!(waits[14].as_millis(), 1000);
        assert!(throttle.wait(now + Duration::from_secs(10)).is_zero());
    }
}

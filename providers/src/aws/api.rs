//! Signed calls of AWS's JSON protocol, and what their errors mean.
//!
//! A call is tried again when AWS asks for fewer calls or fails by itself, within the attempts that the store allows;
//! with fresh credentials once when they have ended; with a corrected time once when the clock of this machine is off.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode,
};
use sealwright_crypto::secret::SecretBytes;

use super::refusal::{classified, code_of, in_xml, is_denial, skew_of, without_request_ids};
use super::service::{Service, endpoint, endpoint_override};
use super::sign_in::SignIn;
use super::signature::Signer;
use crate::backoff::{Attempts, Backoff};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Request, Response};
use crate::json::{Json, Kind};
use crate::message::{Body, Reply};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::{RetrySettings, duration};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

/// How often a call is made where the store says nothing about it, as the vendor's libraries do.
const ATTEMPTS: u32 = 3;
/// The most that "without a limit" means.
const MOST_ATTEMPTS: u32 = 10;

/// How long and how often a service is asked, as far as a store says so.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bounds<'a> {
    /// Upstream's settings for repetitions.
    pub(crate) retry: Option<&'a RetrySettings>,
    /// How long one call may take.
    pub(crate) timeout: Option<Duration>,
}

/// A service in one region, asked under one identity.
pub(crate) struct Api {
    service: Service,
    region: String,
    url: Url,
    describe: String,
    http: HttpClient,
    sign_in: SignIn,
    backoff: Backoff,
    /// Upstream's `retryInterval`: a pause that does not grow.
    interval: Option<Duration>,
    /// How far the clock of AWS is ahead of ours, in seconds.
    skew: AtomicI64,
}

impl Api {
    pub(crate) fn new(
        service: Service,
        region: &str,
        sign_in: SignIn,
        bounds: Bounds<'_>,
    ) -> Result<Self, StoreError> {
        let url = endpoint_override(service.own_variable, service.variable)
            .unwrap_or_else(|| endpoint(service.host, region));
        let url = Url::parse(&url).map_err(|error| error.at_field("the endpoint of AWS"))?;
        Self::at(url, service, region, sign_in, bounds)
    }

    /// As [`new`](Self::new), at a certain address.
    pub(crate) fn at(
        url: Url,
        service: Service,
        region: &str,
        sign_in: SignIn,
        bounds: Bounds<'_>,
    ) -> Result<Self, StoreError> {
        let retry = bounds.retry;
        let attempts = match retry.and_then(|retry| retry.max_retries) {
            // Upstream hands the number to the library as the number of attempts; none means no limit.
            Some(0) => MOST_ATTEMPTS,
            Some(number) => u32::try_from(number).unwrap_or(1).clamp(1, MOST_ATTEMPTS),
            None => ATTEMPTS,
        };
        let interval = match retry.and_then(|retry| retry.retry_interval.as_deref()) {
            Some(text) => Some(duration("retrySettings.retryInterval", text)?),
            None => None,
        };
        Ok(Self {
            describe: format!("{} in {}", service.title, shown(region)),
            service,
            region: region.to_owned(),
            url,
            http: HttpClient::new(HttpSettings {
                limits: Limits::within(bounds.timeout),
                ..HttpSettings::default()
            })?,
            sign_in,
            backoff: Backoff {
                retries: attempts - 1,
                first: Duration::from_millis(200),
                ..Backoff::default()
            },
            interval,
            skew: AtomicI64::new(0),
        })
    }

    /// Says which service it is, for errors.
    pub(crate) fn describe(&self) -> &str {
        &self.describe
    }

    /// Asks whose credentials the requests are signed with.
    pub(crate) async fn caller(&self) -> Result<String, StoreError> {
        self.sign_in.caller().await
    }

    /// Signs in, without any other call.
    pub(crate) async fn signed_in(&self) -> Result<(), StoreError> {
        let signed_in = self.sign_in.credentials().await;
        signed_in
            .map(drop)
            .map_err(|error| error.at_store(&self.describe))
    }

    /// The id of the key that requests are signed with: who is asking, as far as this program knows.
    pub(crate) async fn access_key_id(&self) -> Result<String, StoreError> {
        Ok(self.sign_in.credentials().await?.access_key_id().to_owned())
    }

    /// Makes a call and returns its answer.
    pub(crate) async fn call(
        &self,
        operation: &'static str,
        body: Body,
    ) -> Result<Reply, CallError> {
        let (body, carries_secret) = body.finish();
        self.repeated(&Call {
            operation,
            what: None,
            path: None,
            body: &body,
            carries_secret,
        })
        .await
    }

    /// Puts an object at a path, which is of the service's own kind of call: bytes, and an answer without any.
    pub(crate) async fn put_object(
        &self,
        what: &str,
        path: &[&str],
        body: &SecretBytes,
    ) -> Result<(), CallError> {
        let call = Call {
            operation: "PutObject",
            what: Some(what),
            path: Some(path),
            body,
            carries_secret: false,
        };
        self.repeated(&call).await.map(drop)
    }

    /// Makes a call, and makes it again as the store's settings allow.
    async fn repeated(&self, call: &Call<'_>) -> Result<Reply, CallError> {
        let operation = call.operation;
        let mut attempts = Attempts::new(self.backoff).every(self.interval);
        let (mut renewed, mut set_clock) = (false, false);
        loop {
            let credentials = self.credentials(operation).await?;
            let error = match self.attempt(call, &credentials).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if error.is_about_the_credentials() && !renewed {
                renewed = true;
                self.sign_in.discard(&credentials).await;
                continue;
            }
            if error.is_about_the_clock() && !set_clock {
                set_clock = true;
                if let Some(skew) = error.clock_skew {
                    self.skew.store(skew, Ordering::Relaxed);
                    continue;
                }
            }
            if !attempts.again_after(&error.error).await {
                if error.error.trouble() == Trouble::Unauthenticated {
                    // Whatever they say of their own end, the next call signs in again.
                    self.sign_in.discard(&credentials).await;
                }
                return Err(error);
            }
        }
    }

    async fn credentials(&self, operation: &str) -> Result<Credentials, CallError> {
        let credentials = self.sign_in.credentials().await;
        credentials.map_err(|error| {
            CallError::of(
                error
                    .while_trying(format!("sign in for {operation}"))
                    .at_store(&self.describe),
            )
        })
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
    ) -> Result<Reply, CallError> {
        let mut request = self.request(call);
        let mut settings = SigningSettings::default();
        if call.path.is_some() {
            // Paths of objects are signed as they are sent, and so is the hash of the body.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let signer = Signer {
            region: &self.region,
            service: self.service.name,
            time: self.now(),
        };
        let placed = |error: StoreError| {
            let attempt = call.attempt();
            CallError::of(error.while_trying(attempt).at_store(&self.describe))
        };
        signer
            .sign_by(&mut request, credentials, call.body.expose(), settings)
            .map_err(placed)?;
        request.body = Some(SecretBytes::copy_of(call.body.expose()));
        let answer = self.http.call(request).await;
        let answer = answer.map_err(|error| placed(error.into()))?;
        self.judge(call, answer)
    }

    fn request(&self, call: &Call<'_>) -> Request {
        if let Some(path) = call.path {
            return Request::new(Method::PUT, self.url.with_segments(path.iter().copied()));
        }
        let target = format!("{}.{}", self.service.target, call.operation);
        let target = HeaderValue::try_from(target).expect("targets are letters");
        Request::new(Method::POST, self.url.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-amz-json-1.1"),
            )
            .header(HeaderName::from_static("x-amz-target"), target)
    }

    /// Accepts an answer only if it is one of AWS: JSON with a status of success, or an error with a code.
    fn judge(&self, call: &Call<'_>, answer: Response) -> Result<Reply, CallError> {
        let status = answer.status.as_u16();
        if (200..300).contains(&status) {
            let stored = call.path.is_some() && answer.header("etag").is_some();
            return match Json::parse(answer.body.expose()) {
                _ if stored && answer.body.is_empty() => Ok(Reply::checked(answer.body)),
                Ok(json) if call.path.is_none() && json.kind() == Kind::Object => {
                    Ok(Reply::checked(answer.body))
                }
                _ => Err(CallError::of(self.foreign(call, status))),
            };
        }
        let body = Json::parse(answer.body.expose()).ok();
        let text = |name: &str| {
            let value = body.and_then(|body| body.member(name)?.string());
            value.map(|value| value.expose().to_owned())
        };
        let header = answer.header("x-amzn-errortype").map(str::to_owned);
        let named = text("__type").or(header).or_else(|| text("code"));
        // Signature checks of some front doors answer in XML.
        let named = named.or_else(|| in_xml(answer.body.expose(), "Code"));
        let message = text("message")
            .or_else(|| text("Message"))
            .or_else(|| in_xml(answer.body.expose(), "Message"))
            .unwrap_or_default();
        let clock_skew = answer.header("date").and_then(skew_of);
        let retry_after = answer.retry_after();
        let Some(named) = named else {
            let Some(error) = answer.failure() else {
                return Err(CallError::of(self.foreign(call, status)));
            };
            return Err(CallError::of(self.placed(error, call)));
        };
        let code = code_of(&named).to_owned();
        let permission = format!("{}:{}", self.service.permission, call.operation);
        // The text about a request that carries a secret may repeat it.
        let told = match call.carries_secret && !is_denial(&code) {
            true => String::new(),
            false => without_request_ids(&message),
        };
        let error = classified(&code, status, &told, retry_after, &permission);
        Err(CallError {
            error: self.placed(error, call),
            code: Some(code),
            message,
            clock_skew,
        })
    }

    fn placed(&self, error: StoreError, call: &Call<'_>) -> StoreError {
        error.while_trying(call.attempt()).at_store(&self.describe)
    }

    fn foreign(&self, call: &Call<'_>, status: u16) -> StoreError {
        let reason =
            format!("the answer (HTTP status {status}) is none of AWS: a proxy may have made it");
        self.placed(StoreError::new(Trouble::Malformed, reason), call)
    }

    fn now(&self) -> SystemTime {
        let skew = self.skew.load(Ordering::Relaxed);
        let by = Duration::from_secs(skew.unsigned_abs());
        match skew < 0 {
            true => SystemTime::now() - by,
            false => SystemTime::now() + by,
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({})", self.describe)
    }
}

struct Call<'a> {
    operation: &'static str,
    /// What is done, where the operation alone says too little.
    what: Option<&'a str>,
    /// The path of an object that is put; every other call goes to the service itself.
    path: Option<&'a [&'a str]>,
    body: &'a SecretBytes,
    carries_secret: bool,
}

impl Call<'_> {
    fn attempt(&self) -> String {
        match self.what {
            Some(what) => what.to_owned(),
            None => format!("call {}", self.operation),
        }
    }
}

/// Why a call failed, with the code by which callers decide.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) error: StoreError,
    pub(crate) code: Option<String>,
    message: String,
    clock_skew: Option<i64>,
}

impl CallError {
    fn of(error: StoreError) -> Self {
        Self {
            error,
            code: None,
            message: String::new(),
            clock_skew: None,
        }
    }

    /// Returns true if the service answered with that code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Returns true if the text of the service contains `words`; for the few codes that mean several things.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.message.contains(words)
    }

    fn is_about_the_credentials(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
        )
    }

    fn is_about_the_clock(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some(
                "RequestTimeTooSkewed"
                    | "RequestExpired"
                    | "RequestInTheFuture"
                    | "InvalidSignatureException"
                    | "SignatureDoesNotMatch"
                    | "AuthFailure"
            )
        )
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::of(error)
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        error.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_and_knows_whether_it_carries_a_secret() {
        let (text, secret) = Body::new()
            .text("A", "x\"y")
            .value("B", &serde_json::json!([1]))
            .finish();
        assert_eq!(text.expose(), br#"{"A":"x\"y","B":[1]}"#);
        assert!(!secret);
        let (text, secret) = Body::new().secret_bytes("C", b"\0\xff").finish();
        assert_eq!(text.expose(), br#"{"C":"AP8="}"#);
        assert!(secret);
        assert_eq!(Body::new().finish().0.expose(), b"{}");
    }
}

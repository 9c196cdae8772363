//! Signed calls of AWS's JSON protocol, and what their errors mean.
//!
//! A call is tried again when AWS asks for fewer calls or fails by itself, within the attempts that the store allows;
//! with fresh credentials once when they have ended; with a corrected time once when the clock of this machine is off.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use sealwright_crypto::secret::SecretBytes;

use super::sign_in::SignIn;
use crate::backoff::{Attempts, Backoff};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Request, Response, secret_header};
use crate::json::{Json, Kind};
use crate::message::{Body, Reply};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::{RetrySettings, duration};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};

/// A service: what it is called in host names, signatures, targets and variables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// In signatures.
    name: &'static str,
    /// In host names.
    host: &'static str,
    /// In permissions, such as `secretsmanager` in `secretsmanager:GetSecretValue`.
    permission: &'static str,
    /// Before the dot of `X-Amz-Target`.
    target: &'static str,
    /// For people.
    title: &'static str,
    /// Upstream's own variable for the endpoint.
    own_variable: &'static str,
    /// The ending of `AWS_ENDPOINT_URL_…`.
    variable: &'static str,
}

impl Service {
    /// The variables for its endpoint: the first that counts, and the ending of the vendor's.
    pub(crate) const fn variables(&self) -> (&'static str, &'static str) {
        (self.own_variable, self.variable)
    }
}

pub(crate) const SECRETS_MANAGER: Service = Service {
    name: "secretsmanager",
    host: "secretsmanager",
    permission: "secretsmanager",
    target: "secretsmanager",
    title: "AWS Secrets Manager",
    own_variable: "AWS_SECRETSMANAGER_ENDPOINT",
    variable: "SECRETS_MANAGER",
};
pub(crate) const SYSTEMS_MANAGER: Service = Service {
    name: "ssm",
    host: "ssm",
    permission: "ssm",
    target: "AmazonSSM",
    title: "AWS Parameter Store",
    own_variable: "AWS_SSM_ENDPOINT",
    variable: "SSM",
};
pub(crate) const CERTIFICATE_MANAGER: Service = Service {
    name: "acm",
    host: "acm",
    permission: "acm",
    target: "CertificateManager",
    title: "AWS Certificate Manager",
    own_variable: "AWS_ACM_ENDPOINT",
    variable: "ACM",
};
pub(crate) const TAGGING: Service = Service {
    name: "tagging",
    host: "tagging",
    permission: "tag",
    target: "ResourceGroupsTaggingAPI_20170126",
    title: "AWS Resource Groups Tagging",
    own_variable: "AWS_RESOURCE_GROUPS_TAGGING_API_ENDPOINT",
    variable: "RESOURCE_GROUPS_TAGGING_API",
};
pub(crate) const KEY_SERVICE: Service = Service {
    name: "kms",
    host: "kms",
    permission: "kms",
    target: "TrentService",
    title: "AWS KMS",
    own_variable: "AWS_KMS_ENDPOINT",
    variable: "KMS",
};

pub(crate) const STORAGE: Service = Service {
    name: "s3",
    host: "s3",
    permission: "s3",
    target: "",
    title: "AWS S3",
    own_variable: "AWS_ENDPOINT_URL_S3",
    variable: "S3",
};

pub(crate) const REGISTRY: Service = Service {
    name: "ecr",
    host: "api.ecr",
    permission: "ecr",
    target: "AmazonEC2ContainerRegistry_V20150921",
    title: "AWS Elastic Container Registry",
    own_variable: "AWS_ECR_ENDPOINT",
    variable: "ECR",
};
pub(crate) const PUBLIC_REGISTRY: Service = Service {
    name: "ecr-public",
    host: "api.ecr-public",
    permission: "ecr-public",
    target: "SpencerFrontendService",
    title: "AWS Elastic Container Registry Public",
    own_variable: "AWS_ECR_PUBLIC_ENDPOINT",
    variable: "ECR_PUBLIC",
};

/// How often a call is made where the store says nothing about it, as the vendor's libraries do.
const ATTEMPTS: u32 = 3;
/// The most that "without a limit" means.
const MOST_ATTEMPTS: u32 = 10;

/// Returns the endpoint that the environment sets: upstream's own variable first, then those of the vendor.
pub(crate) fn endpoint_override(own: &str, service: &str) -> Option<String> {
    let read = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    if let Some(url) = read(own) {
        return Some(url);
    }
    let ignored = read("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text == "true");
    if ignored {
        return None;
    }
    read(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| read("AWS_ENDPOINT_URL"))
}

/// The endpoint of a service in a region.
pub(crate) fn endpoint(service: &str, region: &str) -> String {
    let on = |name: &str| std::env::var(name).is_ok_and(|text| text.eq_ignore_ascii_case("true"));
    let fips = if on("AWS_USE_FIPS_ENDPOINT") {
        "-fips"
    } else {
        ""
    };
    let dual = on("AWS_USE_DUALSTACK_ENDPOINT");
    let suffix = match (region.split('-').next().unwrap_or_default(), dual) {
        ("cn", false) => "amazonaws.com.cn",
        ("cn", true) => "api.amazonwebservices.com.cn",
        ("eusc", false) => "amazonaws.eu",
        ("eusc", true) => "api.amazonwebservices.eu",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") || region.starts_with("eu-isoe-") => {
            if region.starts_with("us") {
                "csp.hci.ic.gov"
            } else {
                "cloud.adc-e.uk"
            }
        }
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        (_, true) => "api.aws",
        (_, false) => "amazonaws.com",
    };
    format!("https://{service}{fips}.{region}.{suffix}")
}

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

/// Signs requests (SigV4).
pub(crate) struct Signer<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) time: SystemTime,
}

impl Signer<'_> {
    /// Adds the headers of the signature to a request whose other headers are complete.
    #[cfg(feature = "gcp")]
    pub(crate) fn sign(
        &self,
        request: &mut Request,
        credentials: &Credentials,
        body: &[u8],
    ) -> Result<(), StoreError> {
        self.sign_by(request, credentials, body, SigningSettings::default())
    }

    /// Adds the headers of the signature, by rules of the service's own.
    pub(crate) fn sign_by(
        &self,
        request: &mut Request,
        credentials: &Credentials,
        body: &[u8],
        settings: SigningSettings,
    ) -> Result<(), StoreError> {
        let cannot = || StoreError::invalid("the request cannot be signed");
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .map_err(|_| cannot())?
            .into();
        let (url, method) = (&request.url, request.method.clone());
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let address = format!("{}{}{query}", url.origin(), url.path());
        let headers = request.headers.clone();
        let signable = SignableRequest::new(
            method.as_str(),
            address,
            signed_headers(&headers),
            SignableBody::Bytes(body),
        )
        .map_err(|_| cannot())?;
        let (instructions, _) = sign(signable, &params).map_err(|_| cannot())?.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::try_from(name).map_err(|_| cannot())?;
            let value = secret_header(SecretBytes::copy_of(value.as_bytes()))?;
            request.headers.insert(name, value);
        }
        Ok(())
    }
}

fn signed_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
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

/// How far the clock of a server is ahead, in seconds, if that is enough to matter: signatures are good for five minutes.
fn skew_of(date: &str) -> Option<i64> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let seconds = match theirs.duration_since(SystemTime::now()) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok()?,
        Err(behind) => -i64::try_from(behind.duration().as_secs()).ok()?,
    };
    (seconds.abs() >= 120).then_some(seconds)
}

/// The code of an error: what stands behind `#` and before `:`.
fn code_of(named: &str) -> &str {
    let code = named.rsplit('#').next().unwrap_or(named);
    code.split(':').next().unwrap_or(code).trim()
}

/// The content of the first element of that name, of an answer in XML.
fn in_xml(body: &[u8], element: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    let (inner, _) = rest.split_once(&format!("</{element}>"))?;
    Some(inner.trim().to_owned())
}

fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized"
    )
}

/// Makes our error of a code of AWS.
pub(crate) fn classified(
    code: &str,
    status: u16,
    message: &str,
    retry_after: Option<Duration>,
    permission: &str,
) -> StoreError {
    let trouble = match code {
        _ if is_denial(code) => Trouble::Forbidden,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "InvalidIdentityToken"
        | "IDPRejectedClaim"
        | "AuthFailure"
        | "OptInRequired" => Trouble::Unauthenticated,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException"
        | "SlowDown"
        | "PriorRequestNotComplete" => Trouble::Throttled { retry_after },
        "ResourceNotFoundException"
        | "NoSuchBucket"
        | "ParameterNotFound"
        | "NotFoundException"
        | "ParameterVersionNotFound" => Trouble::Missing,
        "InternalFailure"
        | "InternalServiceError"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "KMSInternalException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException" => Trouble::Unavailable,
        _ if status == 429 => Trouble::Throttled { retry_after },
        _ if status >= 500 => Trouble::Unavailable,
        "ResourceExistsException" | "ParameterAlreadyExists" | "ConflictException" => {
            Trouble::Conflict
        }
        _ => Trouble::Invalid,
    };
    let reason = match message.is_empty() {
        true => shown(code),
        false => format!("{}: {}", shown(code), shown(message)),
    };
    let error = StoreError::new(trouble, reason);
    match trouble {
        Trouble::Forbidden => {
            let error = error.lacking(permission);
            let principal = message
                .split_once("User: ")
                .and_then(|(_, rest)| rest.split_whitespace().next());
            let error = match principal {
                Some(principal) => error.as_principal(shown(principal)),
                None => error,
            };
            error.with_hint(format!("allow {permission} for this principal in IAM"))
        }
        Trouble::Unauthenticated => match code {
            "SignatureDoesNotMatch" | "InvalidSignatureException" => error.with_hint(
                "check the secret access key, and that the clock of this machine is right",
            ),
            _ => error,
        },
        _ => error,
    }
}

/// A text of AWS without what differs from call to call, so that the status of an object does not change all the time.
pub(crate) fn without_request_ids(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.to_ascii_lowercase().find("request id: ") {
        out.push_str(&rest[..at]);
        let behind = &rest[at + "request id: ".len()..];
        let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
        rest = &behind[end..];
    }
    out.push_str(rest);
    if let Some(at) = out.find(" Credential=") {
        out.truncate(at);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_hosts_of_their_partitions() {
        assert_eq!(
            endpoint("ssm", "eu-west-1"),
            "https://ssm.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            endpoint("kms", "cn-north-1"),
            "https://kms.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            endpoint("kms", "us-iso-east-1"),
            "https://kms.us-iso-east-1.c2s.ic.gov"
        );
        assert_eq!(
            endpoint("kms", "us-gov-west-1"),
            "https://kms.us-gov-west-1.amazonaws.com"
        );
    }

    #[test]
    fn codes_are_read_from_all_their_spellings() {
        assert_eq!(
            code_of("com.amazonaws.x#ResourceNotFoundException"),
            "ResourceNotFoundException"
        );
        assert_eq!(
            code_of("ValidationException:http://x/"),
            "ValidationException"
        );
        assert_eq!(
            in_xml(b"<R><Error><Code>AccessDenied</Code></Error></R>", "Code").as_deref(),
            Some("AccessDenied")
        );
    }

    #[test]
    fn a_denial_names_the_principal_and_the_permission() {
        let text = "User: arn:aws:iam::1:user/x is not authorized to perform: ssm:GetParameter on resource: y";
        let error = classified("AccessDeniedException", 400, text, None, "ssm:GetParameter");
        assert_eq!(error.trouble(), Trouble::Forbidden);
        assert_eq!(error.principal(), Some("arn:aws:iam::1:user/x"));
        assert_eq!(error.permission(), Some("ssm:GetParameter"));
    }

    #[test]
    fn what_differs_from_call_to_call_is_left_out() {
        assert_eq!(
            without_request_ids("denied, Request ID: 1b-2 and more Credential=AKIA/x"),
            "denied,  and more"
        );
    }

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

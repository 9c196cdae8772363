//! Calls with a bearer token: what the REST interfaces of Azure, Google, GitLab, Doppler and 1Password have in common.
//!
//! A call is made with a token that is kept until shortly before its end ([`token`]), once more with a fresh token when
//! the service does not accept the one it got, and again after a pause when the service asks for fewer calls or fails by
//! itself. Only JSON that the service itself can have written counts as its answer.

#[cfg(any(feature = "azure", feature = "gcp"))]
pub(crate) mod assertion;
pub(crate) mod form;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use sealwright_crypto::master_key::KeyError;
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use self::token::{AccessToken, Tokens};
use crate::backoff::{Attempts, Backoff};
use crate::http::url::Url;
use crate::http::{HttpClient, Request, Response, secret_header};
use crate::json::{Json, Kind};
use crate::message::Reply;
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::RemoteRef;
use crate::store::{Inspection, Step, Store};

/// What a service says about a request that it did not carry out.
pub(crate) struct Refusal {
    /// The code that programs decide by, such as `NOT_FOUND` or `SecretNotFound`.
    pub(crate) code: String,
    /// The service's own words.
    pub(crate) message: String,
    /// The same for people, and what kind of trouble it is.
    pub(crate) error: StoreError,
}

/// How the answers of one vendor's services are read.
pub(crate) trait Dialect: Send + Sync {
    /// Whether an answer may be a list; else it is an object.
    fn lists(&self) -> bool {
        false
    }

    /// The header that carries a token: that of a bearer, unless the service has another one.
    fn header(&self, token: &AccessToken) -> Result<(HeaderName, HeaderValue), StoreError> {
        Ok((AUTHORIZATION, token.header()?))
    }

    /// Reads an answer that is no success. Nothing comes out if the service itself cannot have written it.
    fn refusal(&self, status: u16, body: Json<'_>, call: &Call<'_>) -> Option<Refusal>;
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<&'a SecretBytes>,
    /// What is done, such as "read x".
    pub(crate) what: &'a str,
    /// The permission that it takes.
    pub(crate) permission: &'a str,
    /// Whether the request carries a secret, so that the answer may repeat it.
    pub(crate) carries_secret: bool,
    /// What kind of text or bytes the body is.
    pub(crate) content_type: &'static str,
    /// What a good answer is.
    pub(crate) expects: Expects,
}

/// What a good answer of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expects {
    /// JSON.
    Json,
    /// A file: any bytes, unless they claim to be a page for people.
    File,
    /// Nothing, or JSON that no one reads.
    Nothing,
}

impl<'a> Call<'a> {
    pub(crate) fn get(url: Url, what: &'a str, permission: &'a str) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
            what,
            permission,
            carries_secret: false,
            content_type: "application/json",
            expects: Expects::Json,
        }
    }

    /// The same call with a body that is no JSON.
    pub(crate) fn of_type(self, content_type: &'static str) -> Self {
        Self {
            content_type,
            ..self
        }
    }

    /// The same call, with a file or nothing for an answer.
    pub(crate) fn expecting(self, expects: Expects) -> Self {
        Self { expects, ..self }
    }

    pub(crate) fn of(method: Method, url: Url, what: &'a str, permission: &'a str) -> Self {
        Self {
            method,
            ..Self::get(url, what, permission)
        }
    }

    /// The same call with a body.
    pub(crate) fn with(self, body: &'a (SecretBytes, bool)) -> Self {
        Self {
            body: Some(&body.0),
            carries_secret: body.1,
            ..self
        }
    }
}

/// Why a call gave nothing.
pub(crate) struct CallError {
    pub(crate) error: StoreError,
    /// The status, the code and the words of the service, when it answered itself.
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

impl CallError {
    fn of(error: StoreError) -> Self {
        Self {
            error,
            status: 0,
            code: None,
            message: String::new(),
        }
    }

    /// Returns true if the service answered with this status and code.
    pub(crate) fn is(&self, status: u16, code: &str) -> bool {
        self.status == status && self.code.as_deref() == Some(code)
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        error.error
    }
}

/// A service that takes tokens.
pub(crate) struct Rest {
    http: Arc<HttpClient>,
    /// Nothing for a service that asks for no token, such as an emulator.
    tokens: Option<Arc<Tokens>>,
    dialect: &'static dyn Dialect,
    describe: String,
    backoff: Backoff,
}

impl Rest {
    pub(crate) fn new(
        http: Arc<HttpClient>,
        tokens: Arc<Tokens>,
        dialect: &'static dyn Dialect,
        describe: String,
    ) -> Self {
        Self {
            http,
            tokens: Some(tokens),
            dialect,
            describe,
            backoff: Backoff {
                retries: 4,
                first: Duration::from_millis(200),
                ..Backoff::default()
            },
        }
    }

    /// The same service, which takes calls without a token.
    #[cfg(feature = "gcp")]
    pub(crate) fn without_tokens(self) -> Self {
        Self {
            tokens: None,
            ..self
        }
    }

    /// Says which service it is, for errors.
    pub(crate) fn describe(&self) -> &str {
        &self.describe
    }

    /// Returns a token that is still good, if the service asks for one.
    async fn token(&self) -> Result<Option<Arc<AccessToken>>, StoreError> {
        match &self.tokens {
            Some(tokens) => tokens.current().await.map(Some),
            None => Ok(None),
        }
    }

    /// As whom the service is asked.
    fn principal(&self) -> String {
        let tokens = self.tokens.as_ref();
        tokens.map_or_else(|| "no one".to_owned(), |tokens| tokens.principal())
    }

    /// Signs in, to see whether that works.
    pub(crate) async fn sign_in(&self) -> Result<(), StoreError> {
        let signed_in = self.token().await;
        signed_in
            .map(drop)
            .map_err(|error| error.at_store(&self.describe))
    }

    /// Signs in, and reads one value of the store if there is a reference.
    pub(crate) async fn inspect(&self, store: &dyn Store, at: Option<&RemoteRef>) -> Inspection {
        let mut inspection = Inspection::default();
        let signed_in = self.sign_in().await;
        let principal = self.principal();
        let failed = signed_in.is_err();
        inspection.steps.push(Step {
            what: "sign in".to_owned(),
            result: signed_in.map(|()| principal.clone()),
        });
        if failed {
            return inspection;
        }
        inspection.principal = Some(principal);
        if let Some(at) = at {
            inspection
                .steps
                .push(Step::of_read(at, store.get(at).await));
        }
        inspection
    }

    /// Does a write. Its error says what the write was about, and which service it was sent to.
    pub(crate) fn writing<'a, T: 'a>(
        &'a self,
        verb: &'static str,
        key: &'a str,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            write.await.map_err(|error| {
                error
                    .while_trying(format!("{verb} {}", shown(key)))
                    .at_store(&self.describe)
            })
        })
    }

    /// Makes a call.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Reply, CallError> {
        let (mut attempts, mut renewed) = (Attempts::new(self.backoff), false);
        loop {
            let token = self.token().await;
            let token = token.map_err(|error| CallError::of(self.placed(error, &call)))?;
            let error = match self.attempt(&call, token.as_deref()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if error.error.trouble() == Trouble::Unauthenticated
                && !renewed
                && let (Some(tokens), Some(token)) = (&self.tokens, &token)
            {
                renewed = true;
                tokens.discard(token).await;
                continue;
            }
            if !attempts.again_after(&error.error).await {
                return Err(error);
            }
        }
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        token: Option<&AccessToken>,
    ) -> Result<Reply, CallError> {
        let placed = |error| CallError::of(self.placed(error, call));
        let mut request = Request::new(call.method.clone(), call.url.clone());
        if let Some(token) = token {
            for (name, value) in &token.headers {
                request.headers.insert(name.clone(), value.clone());
            }
            let (name, value) = self.dialect.header(token).map_err(placed)?;
            request.headers.insert(name, value);
        }
        if let Some(body) = call.body {
            let kind = HeaderValue::from_static(call.content_type);
            request.headers.insert(CONTENT_TYPE, kind);
            request.body = Some(SecretBytes::copy_of(body.expose()));
        }
        let answer = self.http.call(request).await;
        let answer = answer.map_err(|error| placed(error.into()))?;
        self.judge(call, answer)
    }

    fn judge(&self, call: &Call<'_>, answer: Response) -> Result<Reply, CallError> {
        let status = answer.status.as_u16();
        let json = Json::parse(answer.body.expose()).ok();
        let object = json.filter(|json| json.kind() == Kind::Object);
        let good = (200..300).contains(&status);
        let page = answer
            .header("content-type")
            .is_some_and(|kind| kind.trim_start().starts_with("text/html"));
        let bare = match call.expects {
            Expects::Json => false,
            Expects::File => status == 200 && !page,
            Expects::Nothing => status == 204 && answer.body.is_empty(),
        };
        if bare {
            return Ok(Reply::checked(answer.body));
        }
        if good && call.expects != Expects::File {
            let list = json.filter(|json| json.kind() == Kind::Array && self.dialect.lists());
            return match object.or(list) {
                Some(_) => Ok(Reply::checked(answer.body)),
                None => Err(CallError::of(self.foreign(call, status))),
            };
        }
        let refusal = object.and_then(|object| self.dialect.refusal(status, object, call));
        let Some(refusal) = refusal else {
            let Some(error) = answer.failure() else {
                return Err(CallError::of(self.foreign(call, status)));
            };
            return Err(CallError::of(self.placed(error, call)));
        };
        let error = match refusal.error.trouble() {
            Trouble::Throttled { .. } => {
                let retry_after = answer.retry_after();
                let reason = refusal.error.reason().to_owned();
                StoreError::new(Trouble::Throttled { retry_after }, reason)
            }
            Trouble::Forbidden | Trouble::Unauthenticated => {
                refusal.error.as_principal(self.principal())
            }
            _ => refusal.error,
        };
        Err(CallError {
            error: self.placed(error, call),
            status,
            code: Some(refusal.code),
            message: refusal.message,
        })
    }

    fn foreign(&self, call: &Call<'_>, status: u16) -> StoreError {
        let reason = format!(
            "the answer (HTTP status {status}) is none of the service: a proxy may have made it"
        );
        self.placed(StoreError::new(Trouble::Malformed, reason), call)
    }

    fn placed(&self, error: StoreError, call: &Call<'_>) -> StoreError {
        error.while_trying(call.what).at_store(&self.describe)
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rest({})", self.describe)
    }
}

/// Makes the error of a master key of one of its service.
pub(crate) fn key_error(error: StoreError) -> KeyError {
    let mut made = KeyError::new(error.to_string());
    if let Some(permission) = error.permission() {
        made.tried.push(format!("what is missing: {permission}"));
    }
    made.tried.extend(error.hint().map(str::to_owned));
    made
}

/// Makes the header of a bearer token.
fn bearer(token: &SecretText) -> Result<HeaderValue, StoreError> {
    let mut text = SecretWriter::with_capacity(token.expose().len() + 7);
    text.push(b"Bearer ");
    text.push(token.expose().as_bytes());
    secret_header(text.finish())
}

//! One server, and the token it is asked with.
//!
//! Those that need a token while one is being fetched wait for it: a store signs in once, however many ask. A token that
//! was signed in for is renewed or replaced before it ends, and when the server refuses it in the middle of a run it is
//! found out whether the token or the right is missing: in the first case the store signs in once more and the call is
//! repeated, in the second it fails as forbidden.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use sealwright_crypto::secret::SecretBytes;

use super::answer::{Verdict, judge};
use super::auth::Login;
use super::call::{Call, Reply};
use super::token::{Token, TokenFacts, read_token, token_facts};
use crate::backoff::{Attempts, Backoff};
use crate::credential::{Credentials, Scope};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpError, Request, Response, secret_header};
use crate::json::{Json, Kind};
use crate::outcome::{StoreError, Trouble, shown};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Servers refuse requests that a careless proxy could be tricked into without it.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const INDEX: HeaderName = HeaderName::from_static("x-vault-index");
const INCONSISTENT: HeaderName = HeaderName::from_static("x-vault-inconsistent");

/// A server of Vault or OpenBao.
pub(crate) struct VaultClient {
    pub(super) http: HttpClient,
    server: Url,
    name: String,
    namespace: Option<HeaderValue>,
    login_namespace: Option<HeaderValue>,
    headers: HeaderMap,
    login: Login,
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    backoff: Backoff,
    consistency: Option<Consistency>,
    token: tokio::sync::Mutex<Current>,
    logins: AtomicU64,
    failed_logins: AtomicU64,
}

/// The token in use, and how the last attempt to get one failed.
#[derive(Default)]
struct Current {
    token: Option<Arc<Token>>,
    failed: Option<(Instant, StoreError)>,
}

/// What a client is made of.
pub(crate) struct ClientParts {
    pub(crate) http: HttpClient,
    pub(crate) server: Url,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) login_namespace: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) login: Login,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) scope: Scope,
    pub(crate) backoff: Backoff,
    pub(crate) read_your_writes: bool,
    pub(crate) forward_inconsistent: bool,
}

/// The states of the server that this client has seen, so that later reads are no older.
struct Consistency {
    seen: Mutex<Option<HeaderValue>>,
    forward: bool,
}

impl VaultClient {
    pub(crate) fn new(parts: ClientParts) -> Result<Self, StoreError> {
        let header = |field: &str, text: Option<String>| match text.filter(|text| !text.is_empty())
        {
            None => Ok(None),
            Some(text) => HeaderValue::from_str(&text)
                .map(Some)
                .map_err(|_| StoreError::invalid(format!("`{field}` is no name of a namespace"))),
        };
        let namespace = header("namespace", parts.namespace)?;
        let login_namespace = header("auth.namespace", parts.login_namespace)?;
        Ok(Self {
            http: parts.http,
            server: parts.server,
            name: parts.name,
            login_namespace: login_namespace.or_else(|| namespace.clone()),
            namespace,
            headers: parts.headers,
            login: parts.login,
            credentials: parts.credentials,
            scope: parts.scope,
            backoff: parts.backoff,
            consistency: (parts.read_your_writes || parts.forward_inconsistent).then(|| {
                Consistency {
                    seen: Mutex::new(None),
                    // Without `readYourWrites` the header is not sent (upstream, T15).
                    forward: parts.forward_inconsistent && parts.read_your_writes,
                }
            }),
            token: tokio::sync::Mutex::default(),
            logins: AtomicU64::new(0),
            failed_logins: AtomicU64::new(0),
        })
    }

    /// Kind and address of the server.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How often it was signed in.
    pub(crate) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// How often that failed.
    pub(crate) fn failed_logins(&self) -> u64 {
        self.failed_logins.load(Ordering::Relaxed)
    }

    /// Makes a call with the current token.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Reply, StoreError> {
        let token = self.token().await?;
        let body = call.body.as_ref().map(copy);
        match self.call_with(token.as_deref(), &call, body).await? {
            Some(reply) => Ok(reply),
            None => self.after_refusal(token, call).await,
        }
    }

    /// Finds out what a refusal means, and repeats the call if that can help.
    async fn after_refusal(
        &self,
        token: Option<Arc<Token>>,
        call: Call<'_>,
    ) -> Result<Reply, StoreError> {
        let Some(token) = token else {
            return Err(StoreError::new(
                Trouble::Unauthenticated,
                "the server wants a token, and the store has no `auth`",
            )
            .public());
        };
        if !token.is_known_good() {
            match self.look_up(&token).await {
                Ok(_) => token.mark_good(),
                Err(error) if error.trouble() == Trouble::Unauthenticated => {
                    if !token.own {
                        return Err(error);
                    }
                    // The token has ended before its time. The first call that notices signs in again for all.
                    let fresh = self.replace(&token).await?;
                    let body = call.body.as_ref().map(copy);
                    if let Some(reply) = self.call_with(Some(&fresh), &call, body).await? {
                        return Ok(reply);
                    }
                    return Err(self.forbidden(&fresh, &call));
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.forbidden(&token, &call))
    }

    fn forbidden(&self, token: &Token, call: &Call<'_>) -> StoreError {
        let right = match call.method {
            "LIST" => "list",
            "PUT" => "create and update",
            "DELETE" => "delete",
            _ => "read",
        };
        let mut error = StoreError::new(Trouble::Forbidden, "permission denied")
            .public()
            .lacking(format!("{right} on {}", shown(call.path)))
            .with_hint(format!(
                "give the policy `{right}` on `{}`, or look for a typo in the path",
                shown(call.path)
            ));
        if let Some(principal) = &token.principal {
            error = error.as_principal(principal.clone());
        }
        error
    }

    /// Makes a call and repeats it as the store's settings allow. Nothing comes of it when the server refuses.
    async fn call_with(
        &self,
        token: Option<&Token>,
        call: &Call<'_>,
        mut body: Option<SecretBytes>,
    ) -> Result<Option<Reply>, StoreError> {
        let reveals = call.body.is_none();
        let mut attempts = Attempts::new(self.backoff);
        loop {
            let sent = body.take().or_else(|| call.body.as_ref().map(copy));
            let answer = self
                .send(
                    call,
                    token.map(|token| &token.header),
                    sent,
                    self.namespace.as_ref(),
                )
                .await;
            let (error, asked) = match answer {
                Ok(response) => {
                    let status = response.status;
                    self.remember(&response);
                    let failed = match judge(&response, reveals) {
                        Verdict::Data(_) => return Ok(Some(Reply::Data(response.body))),
                        Verdict::Gone => return Ok(Some(Reply::Gone(response.body))),
                        Verdict::Done => return Ok(Some(Reply::Done)),
                        Verdict::Nothing => return Ok(Some(Reply::Nothing)),
                        Verdict::Refused => return Ok(None),
                        Verdict::Behind => StoreError::new(
                            Trouble::Unavailable,
                            "the node that was asked has not seen the last write yet",
                        ),
                        Verdict::Failed(error) => error,
                    };
                    let again = matches!(status.as_u16(), 412 | 429 | 500 | 502..=599);
                    if !again {
                        return Err(failed);
                    }
                    (failed, response.retry_after())
                }
                Err(error) => {
                    let again = matches!(
                        error,
                        HttpError::Connect { .. }
                            | HttpError::Broken { .. }
                            | HttpError::TimedOut { .. }
                    );
                    let error = StoreError::from(error);
                    if !again || error.trouble() == Trouble::Invalid {
                        return Err(error);
                    }
                    (error, None)
                }
            };
            if !attempts.again(asked).await {
                return Err(error);
            }
        }
    }

    async fn send(
        &self,
        call: &Call<'_>,
        token: Option<&HeaderValue>,
        body: Option<SecretBytes>,
        namespace: Option<&HeaderValue>,
    ) -> Result<Response, HttpError> {
        let segments = std::iter::once("v1").chain(call.path.split('/'));
        let url = self
            .server
            .with_segments(segments)
            .with_query(call.query.iter().copied());
        let method = match call.method {
            "LIST" => Method::from_bytes(b"LIST").unwrap_or(Method::GET),
            "PUT" => Method::PUT,
            "DELETE" => Method::DELETE,
            _ => Method::GET,
        };
        let mut request = Request::new(method, url);
        request.headers = self.headers.clone();
        request
            .headers
            .insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(token) = token {
            request.headers.insert(TOKEN, token.clone());
        }
        if let Some(namespace) = namespace {
            request.headers.insert(NAMESPACE, namespace.clone());
        }
        if let Some(consistency) = &self.consistency {
            let seen = consistency
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = &*seen {
                request.headers.insert(INDEX, index.clone());
            }
            if consistency.forward {
                let forward = HeaderValue::from_static("forward-active-node");
                request.headers.insert(INCONSISTENT, forward);
            }
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.http.call(request).await
    }

    /// Keeps the state that the server has reached.
    fn remember(&self, response: &Response) {
        let (Some(consistency), Some(index)) = (&self.consistency, response.headers.get(INDEX))
        else {
            return;
        };
        let mut seen = consistency
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *seen = Some(index.clone());
    }

    /// The token to be used now; none when the store has no way to sign in.
    async fn token(&self) -> Result<Option<Arc<Token>>, StoreError> {
        if matches!(self.login, Login::None) {
            return Ok(None);
        }
        let asked = Instant::now();
        let mut current = self.token.lock().await;
        let old = current.token.clone();
        if let Some(token) = old.as_ref().filter(|token| token.is_usable()) {
            return Ok(Some(Arc::clone(token)));
        }
        if let Some(old) = old.filter(|old| old.own && old.renewable)
            && let Ok(renewed) = self.renew(&old).await
            && renewed.is_usable()
        {
            let renewed = Arc::new(renewed);
            current.token = Some(Arc::clone(&renewed));
            return Ok(Some(renewed));
        }
        self.sign_in_for_all(&mut current, asked).await.map(Some)
    }

    /// Signs in for all that wait. When it has failed for someone who asked earlier, it has failed for those who waited
    /// meanwhile, too: a wrong password is not tried once for each of them.
    async fn sign_in_for_all(
        &self,
        current: &mut Current,
        asked: Instant,
    ) -> Result<Arc<Token>, StoreError> {
        if let Some((at, error)) = &current.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        current.token = None;
        match self.sign_in().await {
            Ok(token) => {
                let token = Arc::new(token);
                current.token = Some(Arc::clone(&token));
                current.failed = None;
                Ok(token)
            }
            Err(error) => {
                current.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Signs in again, unless another has done so since `old` was refused.
    async fn replace(&self, old: &Arc<Token>) -> Result<Arc<Token>, StoreError> {
        let asked = Instant::now();
        let mut current = self.token.lock().await;
        let newer = current.token.as_ref();
        if let Some(token) = newer.filter(|token| !Arc::ptr_eq(token, old)) {
            return Ok(Arc::clone(token));
        }
        self.sign_in_for_all(&mut current, asked).await
    }

    async fn sign_in(&self) -> Result<Token, StoreError> {
        let trying = format!("sign in with {}", self.login.method());
        let attempt = self
            .login
            .prepare(self.credentials.as_ref(), &self.scope)
            .await
            .map_err(|error| error.while_trying(trying.clone()).at_store(&self.name))?;
        let (path, body) = match attempt {
            super::auth::Attempt::Token(secret) => {
                let token = Token {
                    header: secret_header(secret)?,
                    ends: None,
                    lease: Duration::ZERO,
                    renewable: false,
                    own: false,
                    batch: false,
                    principal: None,
                    known_good: Mutex::new(None),
                };
                return Ok(token);
            }
            super::auth::Attempt::Login { path, body } => (path, body),
        };
        self.logins.fetch_add(1, Ordering::Relaxed);
        let token = self.ask_for_token(&path, body).await;
        token.map_err(|error| {
            self.failed_logins.fetch_add(1, Ordering::Relaxed);
            error.while_trying(trying).at_store(&self.name)
        })
    }

    /// Sends a login, again when the server cannot answer now.
    async fn ask_for_token(&self, path: &str, body: SecretBytes) -> Result<Token, StoreError> {
        let call = Call::put(path, body);
        let mut attempts = Attempts::new(self.backoff);
        loop {
            let sent = call.body.as_ref().map(copy);
            let answer = self
                .send(&call, None, sent, self.login_namespace.as_ref())
                .await;
            let error = match answer {
                Ok(response) => match judge(&response, false) {
                    Verdict::Data(body) => return read_token(body),
                    Verdict::Refused => {
                        return Err(StoreError::new(
                            Trouble::Unauthenticated,
                            "the server refuses to sign this store in",
                        )
                        .public()
                        .with_hint(format!(
                            "look at the role and the credentials for `{}`, and whether the method is mounted there",
                            shown(path)
                        )));
                    }
                    Verdict::Failed(error) if error.trouble().is_passing() => error,
                    Verdict::Failed(error) => {
                        // What is wrong with a login is wrong with who asks, if the server does not say otherwise.
                        return Err(match error.trouble() {
                            Trouble::Invalid if response.status == StatusCode::BAD_REQUEST => {
                                StoreError::new(Trouble::Unauthenticated, error.reason())
                                    .with_hint("look at the role and the credentials")
                            }
                            _ => error,
                        });
                    }
                    _ => {
                        return Err(StoreError::new(
                            Trouble::Malformed,
                            "the answer to the login holds no token",
                        ));
                    }
                },
                Err(error) => {
                    let error = StoreError::from(error);
                    if error.trouble() != Trouble::Unavailable {
                        return Err(error);
                    }
                    error
                }
            };
            if !attempts.again_after(&error).await {
                return Err(error);
            }
        }
    }

    async fn renew(&self, token: &Token) -> Result<Token, StoreError> {
        let call = Call::put("auth/token/renew-self", SecretBytes::copy_of(b"{}"));
        let sent = call.body.as_ref().map(copy);
        let namespace = self.login_namespace.as_ref();
        let response = self
            .send(&call, Some(&token.header), sent, namespace)
            .await?;
        match judge(&response, false) {
            Verdict::Data(body) => read_token(body),
            Verdict::Failed(error) => Err(error),
            _ => Err(StoreError::new(
                Trouble::Unauthenticated,
                "the token cannot be renewed",
            )),
        }
    }

    /// Asks the server about a token.
    async fn look_up(&self, token: &Token) -> Result<TokenFacts, StoreError> {
        self.look_up_header(Some(&token.header), token.own).await
    }

    async fn look_up_header(
        &self,
        header: Option<&HeaderValue>,
        own: bool,
    ) -> Result<TokenFacts, StoreError> {
        let call = Call::get("auth/token/lookup-self");
        // A token that was signed in for lives in the namespace it was signed in at.
        let namespace = if own {
            self.login_namespace.as_ref()
        } else {
            self.namespace.as_ref()
        };
        let response = self.send(&call, header, None, namespace).await?;
        match judge(&response, true) {
            Verdict::Data(body) => {
                let data = body.member("data");
                data.filter(|data| data.kind() == Kind::Object)
                    .map(token_facts)
                    .ok_or_else(|| {
                        StoreError::new(
                            Trouble::Malformed,
                            "the answer about the token has no data",
                        )
                    })
            }
            Verdict::Refused => Err(StoreError::new(
                Trouble::Unauthenticated,
                "the token is not valid, or has ended",
            )
            .public()
            .with_hint("put a valid token in its place")),
            Verdict::Failed(error) => Err(error),
            _ => Err(StoreError::new(
                Trouble::Malformed,
                "the answer about the token has no data",
            )),
        }
    }

    /// Signs in if need be, and asks the server as whom.
    pub(crate) async fn who_am_i(&self) -> Result<TokenFacts, StoreError> {
        let token = self.token().await?;
        let Some(token) = token else {
            return self.look_up_header(None, false).await;
        };
        match self.look_up(&token).await {
            Ok(facts) => {
                token.mark_good();
                Ok(facts)
            }
            Err(error) if error.trouble() == Trouble::Unauthenticated && token.own => {
                let fresh = self.replace(&token).await?;
                self.look_up(&fresh).await
            }
            Err(error) => Err(error),
        }
    }

    /// Says what the token may do at a path.
    pub(crate) async fn rights(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let mut body = sealwright_crypto::secret::SecretWriter::default();
        body.push(b"{\"paths\":[");
        crate::json::write_text(path.as_bytes(), crate::json::Html::Plain, &mut body);
        body.push(b"]}");
        let reply = self
            .call(Call::put("sys/capabilities-self", body.finish()))
            .await?;
        let Reply::Data(body) = reply else {
            return Ok(Vec::new());
        };
        let rights = Json::parse(body.expose()).ok().and_then(|body| {
            body.member("capabilities").map(|rights| {
                rights
                    .elements()
                    .filter_map(Json::string)
                    .map(|right| shown(right.expose()))
                    .collect()
            })
        });
        Ok(rights.unwrap_or_default())
    }

    /// Revokes the token that was signed in for. One that is gone already is no error.
    pub(crate) async fn give_up_token(&self) -> Result<(), StoreError> {
        let token = self.token.lock().await.token.take();
        let Some(token) = token.filter(|token| token.own && !token.batch) else {
            return Ok(());
        };
        let call = Call::put("auth/token/revoke-self", SecretBytes::copy_of(b"{}"));
        let sent = call.body.as_ref().map(copy);
        let namespace = self.login_namespace.as_ref();
        let response = self
            .send(&call, Some(&token.header), sent, namespace)
            .await?;
        match judge(&response, false) {
            Verdict::Failed(error) if error.trouble().is_passing() => {
                Err(error.while_trying("revoke the token").at_store(&self.name))
            }
            _ => Ok(()),
        }
    }
}

fn copy(bytes: &SecretBytes) -> SecretBytes {
    SecretBytes::copy_of(bytes.expose())
}

//! The connection to an API server, and who asks.

mod kubeconfig;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use http::header::{AUTHORIZATION, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use self::kubeconfig::read_kubeconfig;
use crate::credential::{Credentials, Scope, TokenRequest};
use crate::http::tls::{ClientIdentity, TlsSettings};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Request, Response, secret_header};
use crate::json::{Json, Kind};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::kubernetes::KubernetesSettings;
use crate::settings::{SecretKeySelector, ServiceAccountSelector};
use crate::store::Connection;
use crate::vault::authorities;

/// How long tokens of service accounts live; they are replaced a good while before.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
const TOKEN_USED: Duration = Duration::from_secs(3000);

/// An API server, asked as someone.
pub(super) struct ApiServer {
    http: HttpClient,
    server: Url,
    name: String,
    auth: Auth,
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    token: tokio::sync::Mutex<Option<(HeaderValue, Instant)>>,
    principal: Mutex<Option<String>>,
}

enum Auth {
    /// The client certificate of the connection, or no one.
    Connection,
    Secret(SecretKeySelector),
    ServiceAccount(ServiceAccountSelector),
    /// Of a kubeconfig.
    Token(HeaderValue),
}

/// What an API server answers.
pub(super) enum Reply {
    /// An object, as JSON.
    Object(SecretBytes),
    /// There is no such object; the server says of which kind and name.
    NotFound { kind: String, name: String },
}

impl ApiServer {
    pub(super) async fn new(
        settings: &KubernetesSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let mut parts = match &settings.auth_ref {
            Some(selector) => {
                let text = connection
                    .credentials
                    .secret(&connection.scope, selector)
                    .await
                    .map_err(|error| error.at_field("authRef"))?;
                read_kubeconfig(&text)?
            }
            None => from_settings(settings, connection).await?,
        };
        let http = HttpClient::new(HttpSettings {
            tls: std::mem::take(&mut parts.tls),
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?;
        Ok(Self {
            http,
            name: format!("Kubernetes {}", parts.server),
            server: parts.server,
            auth: parts.auth,
            credentials: Arc::clone(&connection.credentials),
            scope: connection.scope.clone(),
            token: tokio::sync::Mutex::new(None),
            principal: Mutex::new(None),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Reply, StoreError> {
        self.call(Method::GET, path, query, None).await
    }

    pub(super) async fn post(&self, path: &[&str], body: SecretBytes) -> Result<Reply, StoreError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(super) async fn put(&self, path: &[&str], body: SecretBytes) -> Result<Reply, StoreError> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    /// Deletes an object as `options` say.
    pub(super) async fn delete(
        &self,
        path: &[&str],
        options: SecretBytes,
    ) -> Result<Reply, StoreError> {
        self.call(Method::DELETE, path, &[], Some(options)).await
    }

    /// As whom the server was asked, if it has ever said so.
    pub(super) async fn who_am_i(&self) -> Option<String> {
        let path = ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"];
        let body = SecretBytes::copy_of(
            br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#,
        );
        if let Ok(Reply::Object(answer)) = self.post(&path, body).await {
            let user = Json::parse(answer.expose())
                .ok()
                .and_then(|answer| {
                    answer
                        .member("status")?
                        .member("userInfo")?
                        .member("username")
                })
                .and_then(Json::string)
                .map(|name| shown(name.expose()));
            if user.is_some() {
                return user;
            }
        }
        self.principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<SecretBytes>,
    ) -> Result<Reply, StoreError> {
        let url = self
            .server
            .with_segments(path.iter().copied())
            .with_query(query.iter().copied());
        let mut repeated = false;
        loop {
            let mut request = Request::new(method.clone(), url.clone());
            if let Some(token) = self.token().await? {
                request = request.header(AUTHORIZATION, token);
            }
            if let Some(body) = &body {
                request = request.json(SecretBytes::copy_of(body.expose()));
            }
            let response = self.http.call(request).await?;
            let may_renew = matches!(self.auth, Auth::ServiceAccount(_) | Auth::Secret(_));
            if response.status.as_u16() == 401 && may_renew && !repeated {
                // The token has ended before its time, or was replaced.
                repeated = true;
                *self.token.lock().await = None;
                continue;
            }
            return self.judge(response, body.is_none());
        }
    }

    /// The header with the current token. A token of a service account is asked for once for all that wait.
    async fn token(&self) -> Result<Option<HeaderValue>, StoreError> {
        match &self.auth {
            Auth::Connection => return Ok(None),
            Auth::Token(header) => return Ok(Some(header.clone())),
            Auth::Secret(_) | Auth::ServiceAccount(_) => {}
        }
        let mut current = self.token.lock().await;
        if let Some((header, until)) = current.as_ref()
            && *until > Instant::now()
        {
            return Ok(Some(header.clone()));
        }
        let token = match &self.auth {
            Auth::ServiceAccount(account) => {
                let request = TokenRequest {
                    service_account: account.clone(),
                    audiences: account.audiences.clone(),
                    lifetime: Some(TOKEN_LIFETIME),
                };
                let token = self.credentials.token(&self.scope, &request).await;
                token.map_err(|error| error.at_field("auth.serviceAccount"))?
            }
            Auth::Secret(selector) => {
                let token = self.credentials.secret(&self.scope, selector).await;
                token.map_err(|error| error.at_field("auth.token.bearerToken"))?
            }
            Auth::Connection | Auth::Token(_) => return Ok(None),
        };
        let header = bearer(&token)?;
        *current = Some((header.clone(), Instant::now() + TOKEN_USED));
        Ok(Some(header))
    }

    fn judge(&self, response: Response, reveals: bool) -> Result<Reply, StoreError> {
        let code = response.status.as_u16();
        let malformed = |what: &str| {
            StoreError::new(
                Trouble::Malformed,
                format!("the answer ({code}) is not one of an API server: {what}"),
            )
            .with_hint("look at `server.url`: a proxy or another service may answer there")
        };
        let body = Json::parse(response.body.expose()).ok();
        let body = body.filter(|body| body.kind() == Kind::Object);
        let text = |value: Option<Json<'_>>| {
            value
                .and_then(Json::string)
                .map(|text| text.expose().to_owned())
                .unwrap_or_default()
        };
        if response.status.is_success() {
            return match body {
                Some(body) if body.member("kind").is_some() => Ok(Reply::Object(response.body)),
                _ => Err(malformed("it is no object")),
            };
        }
        let status = body.filter(|body| text(body.member("kind")) == "Status");
        let Some(status) = status else {
            return Err(match code {
                429 => StoreError::new(
                    Trouble::Throttled {
                        retry_after: response.retry_after(),
                    },
                    "the server asks for fewer requests",
                ),
                401 => unauthenticated(),
                500.. => StoreError::new(
                    Trouble::Unavailable,
                    format!("the server answers {code} without a reason of its own"),
                ),
                _ => malformed("it is no status"),
            });
        };
        let reason = text(status.member("reason"));
        let message = text(status.member("message"));
        let details = status.member("details");
        let said = |trouble: Trouble, fixed: &str| {
            let shown_message = if reveals && !message.is_empty() {
                format!("{fixed}: {}", shown(&message))
            } else {
                fixed.to_owned()
            };
            StoreError::new(trouble, shown_message)
        };
        match (code, reason.as_str()) {
            (404, "NotFound") => Ok(Reply::NotFound {
                kind: text(details.and_then(|details| details.member("kind"))),
                name: text(details.and_then(|details| details.member("name"))),
            }),
            (401, _) => Err(unauthenticated()),
            (403, _) => {
                let mut error = StoreError::new(Trouble::Forbidden, "permission denied").public();
                // secrets "x" is forbidden: User "system:serviceaccount:a:b" cannot get resource "secrets" in API group ""
                let user = message
                    .split_once("User \"")
                    .and_then(|(_, rest)| rest.split('"').next());
                if let Some(user) = user {
                    *self
                        .principal
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Some(shown(user));
                    error = error.as_principal(shown(user));
                    if let Some((_, right)) = message.split_once("\" cannot ") {
                        error = error.lacking(shown(right));
                    }
                }
                Err(error.with_hint(
                    "give it a Role with that right in the namespace, and a RoleBinding",
                ))
            }
            (409, _) => Err(StoreError::new(
                Trouble::Conflict,
                "another writer was faster, or it is there already",
            )),
            (422, _) => Err(StoreError::invalid(
                "the server does not accept the object; the type of a Secret cannot be changed",
            )),
            (429, _) => Err(StoreError::new(
                Trouble::Throttled {
                    retry_after: response.retry_after(),
                },
                "the server asks for fewer requests",
            )),
            (500.., _) => Err(said(Trouble::Unavailable, "the server fails")),
            _ => Err(said(Trouble::Invalid, "the server refuses the request")),
        }
    }
}

fn unauthenticated() -> StoreError {
    StoreError::new(
        Trouble::Unauthenticated,
        "the server does not accept the credentials",
    )
    .public()
    .with_hint("the token may have ended, or be for another cluster or audience")
}

fn bearer(token: &SecretBytes) -> Result<HeaderValue, StoreError> {
    let mut header = SecretWriter::with_capacity(token.len() + 7);
    header.push(b"Bearer ");
    header.push(token.expose());
    secret_header(header.finish())
}

struct Parts {
    server: Url,
    tls: TlsSettings,
    auth: Auth,
}

async fn from_settings(
    settings: &KubernetesSettings,
    connection: &Connection,
) -> Result<Parts, StoreError> {
    let server = settings.server.clone().unwrap_or_default();
    let url = server.url.filter(|url| !url.is_empty());
    let url = url.unwrap_or_else(|| "kubernetes.default".to_owned());
    // Without a scheme upstream sends the token in clear unless a certificate is configured. That is never meant.
    let url = if url.contains("://") {
        url
    } else {
        format!("https://{url}")
    };
    let mut tls = TlsSettings {
        authorities: authorities(
            connection,
            server.ca_bundle.as_deref(),
            server.ca_provider.as_ref(),
        )
        .await
        .map_err(|error| error.while_trying("read `server.caBundle` or `server.caProvider`"))?,
        ..TlsSettings::default()
    };
    let auth = settings.auth.clone().unwrap_or_default();
    let auth = if let Some(account) = auth.service_account {
        Auth::ServiceAccount(account)
    } else if let Some(token) = auth.token.and_then(|token| token.bearer_token) {
        Auth::Secret(token)
    } else if let Some((cert, key)) = auth
        .cert
        .and_then(|cert| cert.client_cert.zip(cert.client_key))
    {
        let (credentials, scope) = (&connection.credentials, &connection.scope);
        let certificates = credentials.secret(scope, &cert).await;
        let certificates = certificates.map_err(|error| error.at_field("auth.cert.clientCert"))?;
        let key = credentials.secret(scope, &key).await;
        tls.identity = Some(ClientIdentity {
            certificates: certificates.expose().to_vec(),
            key: key.map_err(|error| error.at_field("auth.cert.clientKey"))?,
        });
        Auth::Connection
    } else {
        return Err(StoreError::new(
            Trouble::Unauthenticated,
            "neither `auth` nor `authRef` says how to sign in",
        )
        .public()
        .before_any_call());
    };
    Ok(Parts {
        server: Url::parse(&url).map_err(|error| error.at_field("server.url"))?,
        tls,
        auth,
    })
}

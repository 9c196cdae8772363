//! The connection to an API server, and who asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::{AUTHORIZATION, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::Deserialize;

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

    pub(super) async fn delete(&self, path: &[&str]) -> Result<Reply, StoreError> {
        self.call(Method::DELETE, path, &[], None).await
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

/// What of a kubeconfig counts. Programs and files in it would be run and read by this process for the author of the Secret,
/// so they are refused.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    #[serde(default)]
    certificate_authority_data: Option<String>,
    #[serde(default)]
    certificate_authority: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    #[serde(default)]
    tls_server_name: Option<String>,
    #[serde(default)]
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    username: Option<String>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: ContextNames,
}

#[derive(Deserialize)]
struct ContextNames {
    cluster: String,
    #[serde(default)]
    user: String,
}

/// How many bytes the texts of a kubeconfig may have with all that aliases repeat: a Secret holds less than 1 MiB.
const MOST_KUBECONFIG: usize = 2 << 20;

fn read_kubeconfig(text: &SecretBytes) -> Result<Parts, StoreError> {
    let wrong = |reason: &str| {
        StoreError::new(Trouble::Unauthenticated, format!("`authRef`: {reason}")).public()
    };
    let text =
        std::str::from_utf8(text.expose()).map_err(|_| wrong("the kubeconfig is no text"))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_total_scalar_bytes: MOST_KUBECONFIG,
            max_recorded_anchor_bytes: MOST_KUBECONFIG,
        },
    };
    let config: Kubeconfig = serde_saphyr::from_str_with_options(text, options)
        .map_err(|_| wrong("the Secret holds no kubeconfig"))?;
    let current = config.current_context.unwrap_or_default();
    let context = config
        .contexts
        .into_iter()
        .find(|context| context.name == current)
        .ok_or_else(|| wrong("the kubeconfig has no current context"))?
        .context;
    let cluster = config
        .clusters
        .into_iter()
        .find(|cluster| cluster.name == context.cluster)
        .ok_or_else(|| wrong("the current context names a cluster that is not there"))?
        .cluster;
    let user = config
        .users
        .into_iter()
        .find(|user| user.name == context.user)
        .map(|user| user.user)
        .unwrap_or_default();
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(wrong(
            "the kubeconfig names a program for signing in, and this process runs none for it",
        )
        .with_hint("put a token or a certificate into it"));
    }
    let files = [
        &user.token_file,
        &user.client_certificate,
        &user.client_key,
        &cluster.certificate_authority,
    ];
    if files.into_iter().any(Option::is_some) {
        return Err(
            wrong("the kubeconfig names a file, and this process reads none for it")
                .with_hint("put the data into it (`kubectl config view --flatten --raw`)"),
        );
    }
    if cluster.insecure_skip_tls_verify {
        return Err(wrong(
            "the kubeconfig switches the verification of the server off",
        ));
    }
    if cluster.proxy_url.is_some() || user.username.is_some() {
        return Err(wrong(
            "the kubeconfig has a proxy or a password, which are not supported",
        ));
    }
    let decoded = |data: Option<String>| match data {
        None => Ok(None),
        Some(data) => STANDARD
            .decode(data.trim())
            .map(Some)
            .map_err(|_| wrong("the kubeconfig holds data that is not base64")),
    };
    let certificates = decoded(user.client_certificate_data)?;
    let key = decoded(user.client_key_data)?;
    let identity = certificates
        .zip(key)
        .map(|(certificates, key)| ClientIdentity {
            certificates,
            key: SecretBytes::from(key),
        });
    let auth = match user.token {
        Some(token) => Auth::Token(bearer(&SecretBytes::from(token.into_bytes()))?),
        None => Auth::Connection,
    };
    Ok(Parts {
        server: Url::parse(&cluster.server).map_err(|error| error.at_field("authRef"))?,
        tls: TlsSettings {
            authorities: decoded(cluster.certificate_authority_data)?,
            identity,
            server_name: cluster.tls_server_name,
            ..TlsSettings::default()
        },
        auth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(user: &str, cluster: &str) -> Result<Parts, StoreError> {
        let text = format!(
            "current-context: a\ncontexts:\n- name: a\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: 'https://k:6443'{cluster}}}\n\
             users:\n- name: u\n  user: {user}\n"
        );
        read_kubeconfig(&SecretBytes::copy_of(text.as_bytes()))
    }

    #[test]
    fn a_kubeconfig_gives_a_server_and_a_user() {
        let parts = parts("{token: t}", ", certificate-authority-data: LS0t").unwrap();
        assert_eq!(parts.server.to_string(), "https://k:6443");
        assert!(matches!(parts.auth, Auth::Token(_)));
        assert_eq!(parts.tls.authorities.unwrap(), b"---");
    }

    #[test]
    fn aliases_of_a_kubeconfig_are_bounded() {
        let read = |times: usize| {
            let users = "- name: *x\n".repeat(times);
            let text = format!(
                "current-context: a\nx: &x {}\ncontexts:\n- name: a\n  context: {{cluster: c, user: u}}\n\
                 clusters:\n- name: c\n  cluster: {{server: 'https://k:6443'}}\n\
                 users:\n{users}- name: u\n  user: {{token: t}}\n",
                "x".repeat(60_000),
            );
            read_kubeconfig(&SecretBytes::copy_of(text.as_bytes()))
        };
        assert!(read(20).is_ok());
        assert!(read(60).is_err());
    }

    #[test]
    fn a_kubeconfig_runs_nothing_and_reads_nothing() {
        for (user, cluster) in [
            ("{exec: {command: id}}", ""),
            ("{auth-provider: {name: gcp}}", ""),
            ("{tokenFile: /etc/passwd}", ""),
            ("{client-certificate: /c, client-key: /k}", ""),
            ("{token: t}", ", certificate-authority: /ca"),
            ("{token: t}", ", insecure-skip-tls-verify: true"),
        ] {
            let error = parts(user, cluster).err().unwrap();
            assert_eq!(
                error.trouble(),
                Trouble::Unauthenticated,
                "{user} {cluster}"
            );
        }
    }
}

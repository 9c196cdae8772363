//! Signing in to Google: which token a request carries.
//!
//! The application default credentials are the first of: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the file
//! that `gcloud auth application-default login` writes, the metadata service of the machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use http::header::AUTHORIZATION;
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_crypto::surroundings::Surroundings;
use serde_json::json;
use tokio::sync::OnceCell;

use super::credential_file::{self, Origin};
use crate::address::Guard;
use crate::bearer::assertion::{Signer, now};
use crate::bearer::form::Form;
use crate::bearer::token::{
    AccessToken, Given, TokenSource, Tokens, ask, ask_with_form, metadata_headers,
};
use crate::credential::{Credentials, Scope};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Proxy, Request};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::SecretKeySelector;
use crate::settings::gcp::{GcpAuth, GcpSettings};
use crate::store::Connection;

/// What tokens are asked for.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How large a file of credentials may be.
const LARGEST_FILE: usize = 1 << 20;
/// The grant for a signed assertion.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A boxed source of tokens.
pub(super) type Source = Box<dyn TokenSource>;

/// What answers the references of a store.
#[derive(Clone)]
pub(super) struct StoreSecrets {
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) scope: Scope,
}

/// Says how a store signs in.
pub(super) fn of_store(
    settings: &GcpSettings,
    connection: &Connection,
    http: &Arc<HttpClient>,
) -> Result<Tokens, StoreError> {
    let secrets = StoreSecrets {
        credentials: Arc::clone(&connection.credentials),
        scope: connection.scope.clone(),
    };
    let source: Source = match settings.auth.clone() {
        Some(GcpAuth {
            secret_ref: Some(secret),
            ..
        }) => Box::new(FileOfStore {
            at: secret.secret_access_key_secret_ref.unwrap_or_default(),
            secrets,
            http: Arc::clone(http),
        }),
        Some(GcpAuth {
            workload_identity: Some(identity),
            ..
        }) => super::workload::cluster::of_cluster(identity, secrets, http)?,
        Some(GcpAuth {
            workload_identity_federation: Some(federation),
            ..
        }) => super::workload::federated(federation, secrets, http),
        _ => Box::new(DefaultCredentials::new(Arc::new(
            sealwright_crypto::surroundings::SystemSurroundings,
        ))),
    };
    Ok(Tokens::new(source))
}

/// Says how the key service is signed in to: `GOOGLE_CREDENTIALS`, then `GOOGLE_OAUTH_ACCESS_TOKEN`, then the application
/// default credentials.
pub(super) fn of_surroundings(surroundings: &Arc<dyn Surroundings>) -> Result<Tokens, StoreError> {
    if let Some(given) = variable(&**surroundings, "GOOGLE_CREDENTIALS") {
        // A path if there is such a file, the text itself otherwise.
        let text = match surroundings.read(Path::new(&given), LARGEST_FILE) {
            Ok(text) => text,
            Err(_) => SecretBytes::from(given.into_bytes()),
        };
        let source = credential_file::read(&text, "GOOGLE_CREDENTIALS", &user(surroundings)?)?;
        return Ok(Tokens::new(source));
    }
    if let Some(token) = variable(&**surroundings, "GOOGLE_OAUTH_ACCESS_TOKEN") {
        let given = Given::new(token.into(), "the token of GOOGLE_OAUTH_ACCESS_TOKEN");
        return Ok(Tokens::new(Box::new(given)));
    }
    let source = DefaultCredentials::new(Arc::clone(surroundings));
    Ok(Tokens::new(Box::new(source)))
}

fn user(surroundings: &Arc<dyn Surroundings>) -> Result<Origin, StoreError> {
    Ok(Origin::User {
        surroundings: Arc::clone(surroundings),
        http: Arc::new(HttpClient::new(HttpSettings {
            guard: Guard::Open,
            ..HttpSettings::default()
        })?),
    })
}

pub(super) fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
}

/// A file of credentials in a Secret, read again at each sign-in.
struct FileOfStore {
    at: SecretKeySelector,
    secrets: StoreSecrets,
    http: Arc<HttpClient>,
}

impl TokenSource for FileOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            const FIELD: &str = "auth.secretRef.secretAccessKeySecretRef";
            let secrets = &self.secrets;
            let text = secrets.credentials.secret(&secrets.scope, &self.at).await;
            let text = text.map_err(|error| error.at_field(FIELD))?;
            let origin = Origin::Store {
                http: Arc::clone(&self.http),
            };
            credential_file::read(&text, FIELD, &origin)?.fetch().await
        })
    }

    fn principal(&self) -> String {
        let name = self.at.name.as_deref().unwrap_or_default();
        format!("the credentials of the Secret {}", shown(name))
    }
}

/// The application default credentials: looked for at the first need.
pub(super) struct DefaultCredentials {
    surroundings: Arc<dyn Surroundings>,
    found: OnceCell<Source>,
}

impl DefaultCredentials {
    pub(super) fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self {
            surroundings,
            found: OnceCell::new(),
        }
    }

    async fn find(&self) -> Result<Source, StoreError> {
        let surroundings = &*self.surroundings;
        if let Some(path) = variable(surroundings, "GOOGLE_APPLICATION_CREDENTIALS") {
            let text = surroundings.read(Path::new(&path), LARGEST_FILE);
            let text = text.map_err(|error| {
                StoreError::new(
                    Trouble::Unauthenticated,
                    format!(
                        "GOOGLE_APPLICATION_CREDENTIALS names {}, which cannot be read: {}",
                        shown(&path),
                        error.kind()
                    ),
                )
            })?;
            return credential_file::read(&text, &shown(&path), &user(&self.surroundings)?);
        }
        let folder = variable(surroundings, "CLOUDSDK_CONFIG")
            .map(Into::into)
            .or_else(|| {
                let config = match cfg!(windows) {
                    true => surroundings.config_dir(),
                    false => surroundings.home().map(|home| home.join(".config")),
                };
                config.map(|config| config.join("gcloud"))
            });
        if let Some(folder) = folder {
            let path = folder.join("application_default_credentials.json");
            match surroundings.read(&path, LARGEST_FILE) {
                Ok(text) => {
                    let name = shown(&path.to_string_lossy());
                    return credential_file::read(&text, &name, &user(&self.surroundings)?);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let path = shown(&path.to_string_lossy());
                    return Err(StoreError::new(
                        Trouble::Unauthenticated,
                        format!("{path} cannot be read: {}", error.kind()),
                    ));
                }
            }
        }
        Ok(Box::new(Metadata::new(surroundings)?))
    }
}

impl TokenSource for DefaultCredentials {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let source = self.found.get_or_try_init(|| self.find()).await?;
            source.fetch().await
        })
    }

    fn principal(&self) -> String {
        match self.found.get() {
            Some(source) => source.principal(),
            None => "the application default credentials".to_owned(),
        }
    }
}

/// The metadata service of a machine of Google.
pub(super) struct Metadata {
    http: HttpClient,
    base: Url,
}

impl Metadata {
    pub(super) fn new(surroundings: &dyn Surroundings) -> Result<Self, StoreError> {
        let host = variable(surroundings, "GCE_METADATA_HOST");
        let base = format!("http://{}", host.as_deref().unwrap_or("169.254.169.254"));
        let base = Url::parse(&base).map_err(|error| error.at_field("GCE_METADATA_HOST"))?;
        let http = HttpClient::new(HttpSettings {
            guard: Guard::Open,
            // It is beside the program, or there is none.
            proxy: Proxy::None,
            limits: Limits {
                connect: Duration::from_secs(2),
                total: Duration::from_secs(10),
                answer: 1 << 20,
            },
            ..HttpSettings::default()
        })?;
        Ok(Self {
            http,
            base: base.with_segments(["computeMetadata", "v1"]),
        })
    }

    fn request<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Request {
        let mut request = Request::new(Method::GET, self.base.with_segments(path));
        request.headers = metadata_headers("metadata-flavor", "Google");
        request
    }

    /// Reads a text, such as the id of the project.
    pub(super) async fn text<'a>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
        what: &str,
    ) -> Result<String, StoreError> {
        let answer = self.http.call(self.request(path)).await;
        let answer = answer.map_err(|error| absent(what, &StoreError::from(error)))?;
        let text = std::str::from_utf8(answer.body.expose()).unwrap_or_default();
        let is_name = |text: &str| {
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            !text.is_empty() && text.len() <= 253 && text.bytes().all(of_name)
        };
        match answer.status.is_success() && is_name(text.trim()) {
            true => Ok(text.trim().to_owned()),
            false => Err(StoreError::new(
                Trouble::Malformed,
                format!("the metadata service of this machine gives no {what}"),
            )),
        }
    }
}

impl Metadata {
    /// Gets a token by which the machine proves to others who it is.
    pub(super) async fn identity(&self, audience: &str) -> Result<SecretText, StoreError> {
        let mut request = self.request(["instance", "service-accounts", "default", "identity"]);
        let query = [("audience", audience), ("format", "full")];
        request.url = request.url.with_query(query);
        let answer = self.http.call(request).await;
        let answer = answer.map_err(|error| absent("key", &StoreError::from(error)))?;
        let text = answer.body.expose();
        let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(byte);
        let is_token = answer.status.is_success() && !text.is_empty() && text.len() < 16_384;
        match is_token && text.iter().all(of_token) {
            true => Ok(SecretText::copy_of(
                std::str::from_utf8(text).unwrap_or_default(),
            )),
            false => Err(StoreError::new(
                Trouble::Malformed,
                "the metadata service of this machine gives no token of its identity",
            )),
        }
    }
}

fn absent(what: &str, error: &StoreError) -> StoreError {
    StoreError::new(
        Trouble::Unauthenticated,
        format!("there is no {what}, and no metadata service of Google to ask: {error}"),
    )
    .with_hint(
        "run `gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name a file of credentials",
    )
}

impl TokenSource for Metadata {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let request = self.request(["instance", "service-accounts", "default", "token"]);
            let token = ask(&self.http, request, "access_token").await;
            token.map_err(|error| match error.trouble() {
                Trouble::Unavailable => absent("file of credentials", &error),
                _ => error,
            })
        })
    }

    fn principal(&self) -> String {
        "the service account of this machine".to_owned()
    }
}

/// The key of a service account.
pub(super) struct ServiceAccount {
    pub(super) email: String,
    pub(super) key_id: Option<String>,
    pub(super) signer: Signer,
    pub(super) token_url: Url,
    pub(super) http: Arc<HttpClient>,
}

impl TokenSource for ServiceAccount {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let issued = now();
            let mut header = json!({"alg": "RS256", "typ": "JWT"});
            if let Some(id) = &self.key_id {
                header["kid"] = id.as_str().into();
            }
            let audience = self.token_url.to_string();
            let claims = json!({"iss": self.email, "scope": SCOPE, "aud": audience,
                "iat": issued, "exp": issued + 3600});
            let assertion = self.signer.sign(&header, &claims)?;
            let form = Form::default()
                .field("grant_type", JWT_BEARER)
                .field("assertion", assertion.expose());
            ask_with_form(&self.http, &self.token_url, form.finish()).await
        })
    }

    fn principal(&self) -> String {
        shown(&self.email)
    }
}

/// A person who has signed in with `gcloud`.
pub(super) struct AuthorizedUser {
    pub(super) client_id: String,
    pub(super) client_secret: SecretText,
    pub(super) refresh_token: SecretText,
    pub(super) quota_project: Option<String>,
    pub(super) token_url: Url,
    pub(super) http: Arc<HttpClient>,
}

impl TokenSource for AuthorizedUser {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let form = Form::default()
                .field("grant_type", "refresh_token")
                .field("client_id", &self.client_id)
                .field("client_secret", self.client_secret.expose())
                .field("refresh_token", self.refresh_token.expose());
            let token = ask_with_form(&self.http, &self.token_url, form.finish()).await;
            let mut token = token.map_err(|error| match error.trouble() {
                Trouble::Unauthenticated => {
                    error.with_hint("sign in again with `gcloud auth application-default login`")
                }
                _ => error,
            })?;
            if let Some(project) = &self.quota_project {
                let value = http::HeaderValue::from_str(project).map_err(|_| {
                    StoreError::invalid("`quota_project_id` of the credentials is not valid")
                })?;
                let name = http::HeaderName::from_static("x-goog-user-project");
                token.headers.push((name, value));
            }
            Ok(token)
        })
    }

    fn principal(&self) -> String {
        "the user who has signed in with gcloud".to_owned()
    }
}

/// A service account that another identity acts as.
pub(super) struct Impersonated {
    pub(super) base: Source,
    pub(super) url: Url,
    pub(super) delegates: Vec<String>,
    pub(super) lifetime: u64,
    pub(super) http: Arc<HttpClient>,
}

impl TokenSource for Impersonated {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let base = self.base.fetch().await?;
            impersonate(self, &base).await
        })
    }

    fn principal(&self) -> String {
        let account = self.url.path().rsplit('/').next().unwrap_or_default();
        shown(account.split(':').next().unwrap_or_default())
    }
}

async fn impersonate(to: &Impersonated, base: &AccessToken) -> Result<AccessToken, StoreError> {
    let mut body = json!({"scope": [SCOPE], "lifetime": format!("{}s", to.lifetime)});
    if !to.delegates.is_empty() {
        body["delegates"] = json!(to.delegates);
    }
    let body = SecretBytes::from(body.to_string().into_bytes());
    let request = Request::new(Method::POST, to.url.clone())
        .header(AUTHORIZATION, base.header()?)
        .json(body);
    let token = ask(&to.http, request, "accessToken").await;
    token.map_err(|error| match error.trouble() {
        Trouble::Unauthenticated => error
            .lacking("iam.serviceAccounts.getAccessToken")
            .with_hint(format!(
                "{} needs the role Service Account Token Creator on {}",
                to.base.principal(),
                to.principal()
            )),
        _ => error,
    })
}

/// Where a service account is impersonated.
pub(super) fn impersonation_url(email: &str) -> Result<Url, StoreError> {
    let base = Url::parse("https://iamcredentials.googleapis.com").expect("it is an address");
    if email.is_empty() || email.contains('/') {
        return Err(
            StoreError::invalid("the name of a service account of Google is not valid").public(),
        );
    }
    let account = format!("{email}:generateAccessToken");
    Ok(base.with_segments(["v1", "projects", "-", "serviceAccounts", &account]))
}

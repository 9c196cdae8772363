//! Identities of workloads: service accounts of a GKE cluster, and identities of somewhere else that a pool accepts.

pub(super) mod cluster;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_crypto::surroundings::Surroundings;

use super::credential_file::{self, Instead, Origin, https};
use super::sign_in::{Impersonated, SCOPE, Source, StoreSecrets, impersonation_url};
use crate::bearer::assertion::trimmed;
use crate::bearer::form::Form;
use crate::bearer::token::{AccessToken, TokenSource, ask_with_form};
use crate::credential::TokenRequest;
use crate::http::url::Url;
use crate::http::{HttpClient, Request};
use crate::json::{Json, Kind};
use crate::message::name_in;
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::ServiceAccountSelector;
use crate::settings::gcp::{GcpAwsCredentials, GcpFederation};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The annotation of a Kubernetes service account that names one of Google's.
const ANNOTATION: &str = "iam.gke.io/gcp-service-account";
const LARGEST_TOKEN: usize = 64 * 1024;

/// Checks the address of the token service of pools: one of Google's, and no other path.
pub(super) fn token_service_of(text: &str) -> Result<Url, StoreError> {
    let url = https(text, "token_url")?;
    let host = url.host().strip_suffix(".googleapis.com");
    let is_service = host.is_some_and(|host| {
        host.split('.')
            .any(|label| label == "sts" || label.starts_with("sts-") || label.ends_with("-sts"))
    });
    let usual = url.port() == 443 && url.query().is_none();
    match is_service && usual && matches!(url.path(), "/v1/token" | "/v1beta/token") {
        true => Ok(url),
        false => Err(foreign("token_url")),
    }
}

/// Checks the address where a service account is impersonated: one of Google's.
pub(super) fn impersonation_of(text: &str, field: &str) -> Result<Url, StoreError> {
    let url = https(text, field)?;
    let host = url.host().strip_suffix(".googleapis.com");
    let is_service = host.is_some_and(|host| {
        host.split('.').any(|label| {
            label == "iamcredentials"
                || label.starts_with("iamcredentials-")
                || label.ends_with("-iamcredentials")
        })
    });
    let path = url.path();
    let is_path = path.starts_with("/v1/projects/-/serviceAccounts/")
        && path.ends_with(":generateAccessToken");
    match is_service && is_path && url.port() == 443 {
        true => Ok(url),
        false => Err(foreign(field)),
    }
}

fn foreign(field: &str) -> StoreError {
    StoreError::invalid(format!(
        "`{field}` is no address of Google's, and tokens are sent to no other"
    ))
    .public()
}

/// What proves an identity of somewhere else.
pub(super) enum Subject {
    /// A file that holds a token.
    File {
        path: PathBuf,
        format: Format,
        surroundings: Arc<dyn Surroundings>,
    },
    /// An address that gives a token.
    Url {
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        format: Format,
        http: Arc<HttpClient>,
    },
    /// A token of a Kubernetes service account.
    ServiceAccount {
        account: ServiceAccountSelector,
        audience: String,
        secrets: StoreSecrets,
    },
    /// A request that is signed with keys of AWS.
    Aws(AwsSubject),
}

/// How a token stands in what is read.
#[derive(Debug)]
pub(super) enum Format {
    /// As text.
    Text,
    /// As a member of a JSON object.
    Json(String),
}

/// Where the keys of AWS come from.
#[cfg_attr(
    not(feature = "aws"),
    expect(dead_code, reason = "without AWS, its keys are refused")
)]
pub(super) enum AwsSubject {
    /// The program's surroundings.
    Surroundings { region: String },
    /// A Secret.
    Secret {
        at: GcpAwsCredentials,
        secrets: StoreSecrets,
    },
}

impl Format {
    fn of(source: Json<'_>) -> Result<Self, StoreError> {
        let Some(format) = source.member("format") else {
            return Ok(Self::Text);
        };
        match name_in(format, "type").as_deref() {
            None | Some("text") => Ok(Self::Text),
            Some("json") => name_in(format, "subject_token_field_name")
                .map(Self::Json)
                .ok_or_else(|| {
                    StoreError::invalid(
                        "`credential_source.format` names no subject_token_field_name",
                    )
                    .public()
                }),
            Some(other) => Err(StoreError::invalid(format!(
                "`credential_source.format` is {}, and not text or json",
                shown(other)
            ))
            .public()),
        }
    }

    fn token_of(&self, bytes: &SecretBytes) -> Result<SecretText, StoreError> {
        let token = match self {
            Self::Text => trimmed(bytes),
            Self::Json(field) => Json::parse(bytes.expose())
                .ok()
                .and_then(|json| json.member(field)?.string()),
        };
        let none = || {
            StoreError::new(
                Trouble::Unauthenticated,
                "`credential_source` gives no token",
            )
        };
        token
            .filter(|token| !token.expose().is_empty())
            .ok_or_else(none)
    }
}

/// Reads a `credential_source`.
pub(super) fn subject_of(source: Json<'_>, origin: &Origin) -> Result<Subject, StoreError> {
    let invalid = |text: &str| Err(StoreError::invalid(text).public());
    if source.kind() != Kind::Object {
        return invalid("`credential_source` is no object");
    }
    if source.member("executable").is_some() {
        return invalid(
            "`credential_source.executable` is not supported: no program is run for a token",
        );
    }
    if name_in(source, "environment_id").is_some_and(|id| id.starts_with("aws")) {
        let Origin::User { surroundings, .. } = origin else {
            return invalid(
                "`credential_source` means the AWS credentials of this program, which a store may not use; set awsSecurityCredentials",
            );
        };
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| super::sign_in::variable(&**surroundings, name));
        return match region {
            Some(region) => Ok(Subject::Aws(AwsSubject::Surroundings { region })),
            None => invalid("`credential_source` means AWS, and AWS_REGION is not set"),
        };
    }
    if let Some(path) = name_in(source, "file") {
        return match origin {
            Origin::User { surroundings, .. } => Ok(Subject::File {
                path: PathBuf::from(path),
                format: Format::of(source)?,
                surroundings: Arc::clone(surroundings),
            }),
            Origin::Store { .. } => invalid(
                "`credential_source.file`: a store may not read files of this program; set serviceAccountRef",
            ),
        };
    }
    let Some(url) = name_in(source, "url") else {
        return invalid("`credential_source` has neither file nor url");
    };
    let url = Url::parse(&url).map_err(|error| error.at_field("credential_source.url"))?;
    let mut headers = Vec::new();
    if let Some(members) = source.member("headers") {
        for (name, value) in members.members() {
            let name = HeaderName::try_from(name.expose());
            let value = value.string().unwrap_or_default();
            let value = crate::http::secret_header(value.into());
            let (Ok(name), Ok(value)) = (name, value) else {
                return invalid("`credential_source.headers` holds what is no header");
            };
            headers.push((name, value));
        }
    }
    Ok(Subject::Url {
        url,
        headers,
        format: Format::of(source)?,
        http: origin.http(),
    })
}

impl Subject {
    async fn token(&self, audience: &str) -> Result<SecretText, StoreError> {
        match self {
            Self::File {
                path,
                format,
                surroundings,
            } => format.token_of(&read_file(&**surroundings, path)?),
            Self::Url {
                url,
                headers,
                format,
                http,
            } => {
                let mut request = Request::new(Method::GET, url.clone());
                request.headers.extend(headers.iter().cloned());
                let attempt = format!("get a token from {url}");
                let answer = http.call(request).await;
                let answer =
                    answer.map_err(|error| StoreError::from(error).while_trying(&*attempt))?;
                if !answer.status.is_success() {
                    let status = answer.status.as_u16();
                    let reason = format!("it answers with HTTP status {status}");
                    let trouble = match status {
                        500.. => Trouble::Unavailable,
                        _ => Trouble::Unauthenticated,
                    };
                    return Err(StoreError::new(trouble, reason).while_trying(attempt));
                }
                format.token_of(&answer.body)
            }
            Self::ServiceAccount {
                account,
                audience,
                secrets,
            } => {
                let audiences = std::iter::once(audience.clone())
                    .chain(account.audiences.iter().cloned())
                    .collect();
                let field = "auth.workloadIdentityFederation.serviceAccountRef";
                token_of_account(account, audiences, secrets, field).await
            }
            Self::Aws(aws) => signed_request(aws, audience).await,
        }
    }
}

fn read_file(surroundings: &dyn Surroundings, path: &Path) -> Result<SecretBytes, StoreError> {
    surroundings.read(path, LARGEST_TOKEN).map_err(|error| {
        StoreError::new(
            Trouble::Unauthenticated,
            format!(
                "`credential_source.file` {} cannot be read: {}",
                shown(&path.to_string_lossy()),
                error.kind()
            ),
        )
    })
}

async fn token_of_account(
    account: &ServiceAccountSelector,
    audiences: Vec<String>,
    secrets: &StoreSecrets,
    field: &str,
) -> Result<SecretText, StoreError> {
    let request = TokenRequest {
        service_account: account.clone(),
        audiences,
        lifetime: Some(std::time::Duration::from_secs(900)),
    };
    let token = secrets.credentials.token(&secrets.scope, &request).await;
    let token = token.map_err(|error| error.at_field(field))?;
    trimmed(&token).ok_or_else(|| {
        StoreError::new(
            Trouble::Malformed,
            "the token of the service account is no text",
        )
    })
}

/// An identity of somewhere else that a pool accepts.
pub(super) struct Federated {
    pub(super) audience: String,
    pub(super) subject_type: String,
    pub(super) subject: Subject,
    pub(super) token_url: Url,
    pub(super) http: Arc<HttpClient>,
}

impl TokenSource for Federated {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let subject = self.subject.token(&self.audience).await?;
            let form = Form::default()
                .field("grant_type", EXCHANGE)
                .field("audience", &self.audience)
                .field("scope", SCOPE)
                .field("requested_token_type", ACCESS_TOKEN)
                .field("subject_token_type", &self.subject_type)
                .field("subject_token", subject.expose());
            ask_with_form(&self.http, &self.token_url, form.finish()).await
        })
    }

    fn principal(&self) -> String {
        format!("an identity of {}", shown(&self.audience))
    }
}

/// Makes the source of a store with `workloadIdentityFederation`.
pub(super) fn federated(
    settings: GcpFederation,
    secrets: StoreSecrets,
    http: &Arc<HttpClient>,
) -> Source {
    Box::new(FederationOfStore {
        settings,
        secrets,
        http: Arc::clone(http),
    })
}

/// What a store with federation refers to is read again at each sign-in.
struct FederationOfStore {
    settings: GcpFederation,
    secrets: StoreSecrets,
    http: Arc<HttpClient>,
}

impl FederationOfStore {
    async fn source(&self) -> Result<Source, StoreError> {
        let settings = &self.settings;
        let audience = settings.audience.clone().unwrap_or_default();
        let mut email = settings.gcp_service_account_email.clone();
        let base: Source = if let Some(at) = &settings.cred_config {
            // The file itself has a place for the account that is impersonated.
            return self
                .of_config(&at.name, &at.key, at.namespace.as_deref())
                .await;
        } else if let Some(account) = &settings.service_account_ref {
            let annotations = self
                .secrets
                .credentials
                .annotations(&self.secrets.scope, account);
            let annotations = annotations.await.map_err(|error| {
                error.at_field("auth.workloadIdentityFederation.serviceAccountRef")
            })?;
            email = email.or_else(|| annotations.get(ANNOTATION).cloned());
            let subject = Subject::ServiceAccount {
                account: account.clone(),
                audience: audience.clone(),
                secrets: self.secrets.clone(),
            };
            self.exchange(audience, JWT, subject)?
        } else if let Some(aws) = &settings.aws_security_credentials {
            let subject = Subject::Aws(AwsSubject::Secret {
                at: aws.clone(),
                secrets: self.secrets.clone(),
            });
            let kind = "urn:ietf:params:aws:token-type:aws4_request";
            self.exchange(audience, kind, subject)?
        } else {
            return Err(StoreError::invalid(
                "`auth.workloadIdentityFederation` names no source of an identity",
            )
            .public());
        };
        Ok(match email.filter(|email| !email.is_empty()) {
            None => base,
            Some(email) => Box::new(Impersonated {
                base,
                url: impersonation_url(&email)?,
                delegates: Vec::new(),
                lifetime: 3600,
                http: Arc::clone(&self.http),
            }),
        })
    }

    async fn of_config(
        &self,
        name: &str,
        key: &str,
        namespace: Option<&str>,
    ) -> Result<Source, StoreError> {
        const FIELD: &str = "auth.workloadIdentityFederation.credConfig";
        let StoreSecrets { credentials, scope } = &self.secrets;
        let text = credentials.config_map(scope, name, key, namespace).await;
        let text = text.map_err(|error| error.at_field(FIELD))?;
        let json = Json::parse(&text).ok();
        let json =
            json.filter(|json| name_in(*json, "type").as_deref() == Some("external_account"));
        let json = json.ok_or_else(|| {
            StoreError::invalid(format!("`{FIELD}` is no file of external credentials")).public()
        })?;
        let settings = &self.settings;
        let source = json.member("credential_source");
        // What means AWS is refused in its own words.
        let means_aws = |source: &Json<'_>| {
            name_in(*source, "environment_id").is_some_and(|id| id.starts_with("aws"))
        };
        let source = source.filter(|source| !means_aws(source));
        let url = source.and_then(|source| name_in(source, "url"));
        if url.is_some() && url != settings.external_token_endpoint {
            return Err(StoreError::invalid(
                "`externalTokenEndpoint` is not the address that credConfig takes its token from",
            )
            .public());
        }
        let origin = Origin::Store {
            http: Arc::clone(&self.http),
        };
        let instead = Instead {
            audience: settings.audience.as_deref(),
            subject_type: Some(JWT),
            email: settings.gcp_service_account_email.as_deref(),
        };
        credential_file::external_account(json, &origin, &instead)
    }

    fn exchange(
        &self,
        audience: String,
        subject_type: &str,
        subject: Subject,
    ) -> Result<Source, StoreError> {
        Ok(Box::new(Federated {
            audience,
            subject_type: subject_type.to_owned(),
            subject,
            token_url: token_service_of("https://sts.googleapis.com/v1/token")?,
            http: Arc::clone(&self.http),
        }))
    }
}

impl TokenSource for FederationOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async { self.source().await?.fetch().await })
    }

    fn principal(&self) -> String {
        match self.settings.gcp_service_account_email.as_deref() {
            Some(email) if !email.is_empty() => shown(email),
            _ => match self.settings.audience.as_deref() {
                Some(audience) => format!("an identity of {}", shown(audience)),
                None => "an external identity".to_owned(),
            },
        }
    }
}

/// A request to AWS's token service, signed and not sent: the recipient sends it and learns whose the keys are.
#[cfg(feature = "aws")]
async fn signed_request(aws: &AwsSubject, audience: &str) -> Result<SecretText, StoreError> {
    use sealwright_crypto::secret::SecretWriter;

    use crate::aws::federation::Federation;
    use crate::bearer::form::escape;
    use crate::json::{Html, write_text};

    let keys = match aws {
        AwsSubject::Surroundings { region } => Federation::Surroundings { region },
        AwsSubject::Secret { at, secrets } => Federation::Secret {
            region: &at.region,
            name: &at.aws_credentials_secret_ref.name,
            namespace: at.aws_credentials_secret_ref.namespace.as_deref(),
            credentials: &*secrets.credentials,
            scope: &secrets.scope,
        },
    };
    let url = Url::parse(&format!("https://sts.{}.amazonaws.com/", keys.region()?))
        .map_err(|error| error.at_field("the region of AWS"))?
        .with_query([("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]);
    let host = url.host().to_owned();
    let mut request = Request::new(Method::POST, url);
    let header = |text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| StoreError::invalid("`audience` is no text that a header can carry"))
    };
    request.headers.insert(http::header::HOST, header(&host)?);
    let target = HeaderName::from_static("x-goog-cloud-target-resource");
    request.headers.insert(target, header(audience)?);
    keys.sign(&mut request).await?;
    let mut text = SecretWriter::with_capacity(4096);
    let query = request.url.query().unwrap_or_default();
    text.push(b"{\"url\":");
    write_text(
        format!("https://{host}/?{query}").as_bytes(),
        Html::Plain,
        &mut text,
    );
    text.push(b",\"method\":\"POST\",\"headers\":[");
    for (count, (name, value)) in request.headers.iter().enumerate() {
        if count > 0 {
            text.push_byte(b',');
        }
        text.push(b"{\"key\":");
        write_text(name.as_str().as_bytes(), Html::Plain, &mut text);
        text.push(b",\"value\":");
        write_text(value.as_bytes(), Html::Plain, &mut text);
        text.push_byte(b'}');
    }
    text.push(b"]}");
    let text = SecretText::from_bytes(text.finish()).expect("JSON is text");
    let mut escaped = SecretWriter::with_capacity(text.expose().len() * 2);
    escape(text.expose(), &mut escaped);
    Ok(SecretText::from_bytes(escaped.finish()).expect("what is escaped is text"))
}

#[cfg(not(feature = "aws"))]
async fn signed_request(_: &AwsSubject, _: &str) -> Result<SecretText, StoreError> {
    Err(StoreError::new(
        Trouble::Unsupported,
        "this build has no provider aws, which signs for `awsSecurityCredentials`",
    )
    .public())
}

//! Identities of workloads: service accounts of a GKE cluster, and identities of somewhere else that a pool accepts.

pub(super) mod cluster;
pub(super) mod federation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_crypto::surroundings::Surroundings;

use super::SCOPE;
use super::origin::{Origin, StoreSecrets, variable};
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
use crate::settings::gcp::GcpAwsCredentials;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The annotation of a Kubernetes service account that names one of Google's.
const ANNOTATION: &str = "iam.gke.io/gcp-service-account";
const LARGEST_TOKEN: usize = 64 * 1024;

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
            .filter(|token| (1..=LARGEST_TOKEN).contains(&token.expose().len()))
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
            .find_map(|name| variable(&**surroundings, name));
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

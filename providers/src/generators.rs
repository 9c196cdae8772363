//! Generators that ask a server: each makes a new value when it is asked.
//!
//! Two of them, for Grafana and GitLab, leave something behind on the server. They return a state, by which `clean_up` of
//! theirs finds it again. The states are upstream's, field for field: what its tokens were made with can be revoked here.

pub mod github;
pub mod gitlab;
pub mod grafana;
pub mod quay;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde_json::Value;

use crate::http::{HttpClient, HttpSettings, Limits, Request, Response, secret_header};
use crate::json::{Json, Kind};
use crate::outcome::{Outcome, StoreError, Trouble};
use crate::remote::SecretMap;
use crate::settings::generators::VaultDynamicSecretSettings;
use crate::settings::webhook::WebhookSettings;
use crate::store::Connection;

/// What a generator made.
#[derive(Debug)]
pub struct Made {
    /// The values.
    pub values: SecretMap,
    /// What it needs to take them back, if that is its job.
    pub state: Option<Value>,
}

impl From<SecretMap> for Made {
    fn from(values: SecretMap) -> Self {
        Self {
            values,
            state: None,
        }
    }
}

/// Asks an endpoint for values, without any reference: templates see only the Secrets.
///
/// # Errors
///
/// When the settings are wrong, or the endpoint does not answer as they say.
pub async fn webhook(settings: &WebhookSettings, connection: &Connection) -> Outcome<SecretMap> {
    crate::webhook::WebhookStore::new(settings, connection)
        .await?
        .generate()
        .await
}

/// Has Vault or OpenBao make a secret.
///
/// # Errors
///
/// When signing in or the call fails, or the answer has not the part that is wanted.
pub async fn vault_dynamic_secret(
    settings: &VaultDynamicSecretSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    crate::vault::dynamic_secret(settings, connection).await
}

/// Gets a password for the Elastic Container Registry.
///
/// # Errors
///
/// When signing in or the call fails.
#[cfg(feature = "aws")]
pub async fn ecr_authorization_token(
    settings: &crate::settings::generators::EcrAuthorizationTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    crate::aws::generators::ecr_authorization_token(settings, connection).await
}

/// Gets temporary credentials of AWS.
///
/// # Errors
///
/// When signing in or the call fails.
#[cfg(feature = "aws")]
pub async fn sts_session_token(
    settings: &crate::settings::generators::StsSessionTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    crate::aws::generators::sts_session_token(settings, connection).await
}

/// Gets a token for the container registries of Google.
///
/// # Errors
///
/// When signing in fails.
#[cfg(feature = "gcp")]
pub async fn gcr_access_token(
    settings: &crate::settings::generators::GcrAccessTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    crate::gcp::gcr_access_token(settings, connection).await
}

/// Gets a token for a container registry of Azure.
///
/// # Errors
///
/// When signing in fails, or the registry refuses.
#[cfg(feature = "azure")]
pub async fn acr_access_token(
    settings: &crate::settings::generators::AcrAccessTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    crate::azure::acr_access_token(settings, connection).await
}

fn client(connection: &Connection) -> Result<HttpClient, StoreError> {
    let limits = Limits::within(Some(std::time::Duration::from_secs(30)));
    Ok(HttpClient::new(HttpSettings {
        guard: connection.guard,
        limits: Limits {
            answer: 1 << 20,
            ..limits
        },
        ..HttpSettings::default()
    })?)
}

/// Adds a header with a token behind a word.
fn bearer(request: Request, token: &SecretBytes) -> Result<Request, StoreError> {
    let mut value = SecretWriter::with_capacity(token.len() + 7);
    value.push(b"Bearer ");
    value.push(token.expose());
    Ok(request.header(AUTHORIZATION, secret_header(value.finish())?))
}

/// Adds a header with a user and a password.
fn basic(request: Request, user: &str, password: &SecretBytes) -> Result<Request, StoreError> {
    let mut pair = SecretWriter::with_capacity(user.len() + 1 + password.len());
    pair.push(user.as_bytes());
    pair.push(b":");
    pair.push(password.expose());
    let mut value = SecretWriter::default();
    value.push(b"Basic ");
    push_base64(&mut value, pair.finish().expose());
    Ok(request.header(AUTHORIZATION, secret_header(value.finish())?))
}

fn push_base64(out: &mut SecretWriter, bytes: &[u8]) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let length = base64::encoded_len(bytes.len(), true).unwrap_or_default();
    // The place is as long as the text.
    let _ = STANDARD.encode_slice(bytes, out.extend_zeroed(length));
}

/// Makes a call and expects a JSON object with a status of success. Words of the server are left out: the answer to such a
/// call may hold a token.
async fn ask(
    http: &HttpClient,
    server: &str,
    attempt: &str,
    request: Request,
) -> Result<Response, StoreError> {
    let placed = |error: StoreError| error.while_trying(attempt).at_store(server);
    let response = http.call(request).await;
    let response = response.map_err(|error| placed(error.into()))?;
    if let Some(error) = refusal(&response) {
        return Err(placed(error));
    }
    let body = Json::parse(response.body.expose()).ok();
    if body.is_none_or(|body| body.kind() != Kind::Object) {
        return Err(placed(
            StoreError::new(Trouble::Malformed, "the answer is no JSON object").public(),
        ));
    }
    Ok(response)
}

fn refusal(response: &Response) -> Option<StoreError> {
    let status = response.status;
    let trouble = match status {
        status if status.is_success() => return None,
        StatusCode::UNAUTHORIZED => Trouble::Unauthenticated,
        StatusCode::FORBIDDEN => Trouble::Forbidden,
        StatusCode::TOO_MANY_REQUESTS => Trouble::Throttled {
            retry_after: response.retry_after(),
        },
        status if status.is_server_error() => Trouble::Unavailable,
        _ => Trouble::Invalid,
    };
    let text = format!("the server answers {}", status.as_u16());
    Some(StoreError::new(trouble, text).public())
}

/// Waits until what a server made is deleted, because its answer is of no use, and gives the reason. No state would say later
/// that it is there.
async fn undone(
    reason: StoreError,
    deletion: impl Future<Output = Result<(), StoreError>>,
) -> StoreError {
    match deletion.await {
        Ok(()) => reason,
        Err(_) => reason.with_hint("a token was made and could not be deleted: delete it there"),
    }
}

/// A text of an answer; an empty one counts as none.
fn text_of(response: &Response, name: &str) -> Result<SecretBytes, StoreError> {
    let body = Json::parse(response.body.expose()).ok();
    let found = body.and_then(|body| body.member(name)?.string());
    let found = found.filter(|text| !text.expose().is_empty());
    let found = found.ok_or_else(|| missing(name))?;
    Ok(SecretBytes::copy_of(found.expose().as_bytes()))
}

/// A number of an answer.
fn number_of(response: &Response, name: &str) -> Result<i64, StoreError> {
    let body = Json::parse(response.body.expose()).ok();
    let found = body.and_then(|body| body.member(name)?.integer());
    found.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> StoreError {
    StoreError::new(
        Trouble::Malformed,
        format!("the answer has no `{name}` of the right kind"),
    )
    .public()
}

/// A value for `Accept`.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

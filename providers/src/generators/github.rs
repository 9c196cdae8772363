//! Tokens of an installation of a GitHub App.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use http::header::{ACCEPT, HeaderValue};
use sealwright_crypto::sealing::PrivateKey;
use sealwright_crypto::secret::{SecretBytes, SecretText};

use super::{ask, bearer, client, text_of};
use crate::http::Request;
use crate::http::url::Url;
use crate::outcome::StoreError;
use crate::remote::SecretMap;
use crate::settings::SecretKeySelector;
use crate::settings::generators::GithubAccessTokenSettings;
use crate::store::Connection;

const API: &str = "https://api.github.com";
/// How far back the proof is dated, for clocks that differ, and how long it holds.
const BACK: i64 = 10;
const HOLDS: i64 = 300;

/// Gets a token, under the key `token`.
///
/// # Errors
///
/// When the settings are wrong, the key is none, or GitHub refuses.
pub async fn generate(
    settings: &GithubAccessTokenSettings,
    connection: &Connection,
    now: i64,
) -> Result<SecretMap, StoreError> {
    let app = id(
        "appID",
        settings.app_id.as_deref(),
        settings.app_id_ref.as_ref(),
        connection,
    )
    .await?;
    let installation = id(
        "installID",
        settings.install_id.as_deref(),
        settings.install_id_ref.as_ref(),
        connection,
    )
    .await?;
    const KEY: &str = "auth.privateKey.secretRef";
    let pem = connection
        .credentials
        .secret(&connection.scope, &settings.auth.private_key.secret_ref)
        .await
        .map_err(|error| error.at_field(KEY))?;
    let key = PrivateKey::from_pem(pem.expose())
        .map_err(|error| StoreError::invalid(format!("`{KEY}`: {error}")).public())?;
    let proof = proof(&key, &app, now)?;
    let url = settings.url.as_deref().filter(|url| !url.is_empty());
    let url = Url::parse(url.unwrap_or(API)).map_err(|error| error.at_field("url"))?;
    let url = url.with_segments(["app", "installations", &installation, "access_tokens"]);
    let mut wanted = serde_json::Map::new();
    if let Some(permissions) = &settings.permissions {
        wanted.insert("permissions".to_owned(), serde_json::json!(permissions));
    }
    if !settings.repositories.is_empty() {
        let repositories = serde_json::json!(settings.repositories);
        wanted.insert("repositories".to_owned(), repositories);
    }
    let mut request = Request::new(Method::POST, url);
    if !wanted.is_empty() {
        let body = serde_json::Value::Object(wanted).to_string();
        request = request.json(SecretBytes::from(body.into_bytes()));
    }
    let request = bearer(request, &proof)?.header(
        ACCEPT,
        HeaderValue::from_static("application/vnd.github.v3+json"),
    );
    let http = client(connection)?;
    let answer = ask(&http, "GitHub", "get a token of the installation", request).await?;
    let token = text_of(&answer, "token")?;
    Ok(SecretMap::from([("token".to_owned(), token)]))
}

/// An id that stands in the settings or lies in a Secret.
async fn id(
    field: &str,
    value: Option<&str>,
    reference: Option<&SecretKeySelector>,
    connection: &Connection,
) -> Result<String, StoreError> {
    let wrong = |what: &str| StoreError::invalid(format!("`{field}` {what}")).public();
    match (value.filter(|value| !value.is_empty()), reference) {
        (Some(_), Some(_)) => Err(wrong("is given twice, as a value and as a reference")),
        (None, None) => Err(wrong("is missing")),
        (Some(value), None) => Ok(value.to_owned()),
        (None, Some(reference)) => {
            let read = connection.credentials.secret(&connection.scope, reference);
            let bytes = read.await.map_err(|error| error.at_field(field))?;
            let text = SecretText::from_bytes(bytes).map_err(|_| wrong("is no text"))?;
            Ok(text.expose().trim().to_owned())
        }
    }
}

/// The App's proof of who it is: a JSON Web Token that it signs itself (RS256).
fn proof(key: &PrivateKey, app: &str, now: i64) -> Result<SecretBytes, StoreError> {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = serde_json::json!({"iss": app, "exp": now + HOLDS, "iat": now - BACK});
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = key.sign_sha256(signed.as_bytes());
    let signature = signature.map_err(|error| StoreError::invalid(error.to_string()).public())?;
    let whole = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    Ok(SecretBytes::from(whole.into_bytes()))
}

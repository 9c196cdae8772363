//! Tokens of a robot account of Quay, for the token of a service account.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use http::header::ACCEPT;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::{JSON, ask, basic, client, missing, push_base64, text_of};
use crate::credential::TokenRequest;
use crate::http::Request;
use crate::http::url::Url;
use crate::json::Json;
use crate::outcome::StoreError;
use crate::remote::SecretMap;
use crate::settings::generators::QuayAccessTokenSettings;
use crate::store::Connection;

const HOST: &str = "quay.io";

/// Gets a token: the host of the registry under `registry`, user and token in base64 under `auth`, and the second in which it
/// ends under `expiry`.
///
/// # Errors
///
/// When the settings are wrong, there is no token of the service account, or Quay refuses.
pub async fn generate(
    settings: &QuayAccessTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    let account = &settings.service_account_ref;
    let request = TokenRequest {
        service_account: account.clone(),
        audiences: account.audiences.clone(),
        lifetime: None,
    };
    let token = connection
        .credentials
        .token(&connection.scope, &request)
        .await
        .map_err(|error| error.at_field("serviceAccountRef"))?;
    let host = settings.url.as_deref().filter(|url| !url.is_empty());
    let host = host.unwrap_or(HOST);
    let host = host.strip_prefix("https://").unwrap_or(host);
    let url = Url::parse(&format!("https://{host}")).map_err(|error| error.at_field("url"))?;
    let url = url.with_segments(["oauth2", "federation", "robot", "token"]);
    let request = Request::new(Method::GET, url).header(ACCEPT, JSON);
    let request = basic(request, &settings.robot_account, &token)?;
    let http = client(connection)?;
    let answer = ask(
        &http,
        "Quay",
        "exchange the token of the service account",
        request,
    )
    .await?;
    let token = text_of(&answer, "token")?;
    let expiry = expiry(&token)?;
    let mut pair = SecretWriter::default();
    pair.push(settings.robot_account.as_bytes());
    pair.push(b":");
    pair.push(token.expose());
    let mut auth = SecretWriter::default();
    push_base64(&mut auth, pair.finish().expose());
    Ok(SecretMap::from([
        ("registry".to_owned(), SecretBytes::copy_of(host.as_bytes())),
        ("auth".to_owned(), auth.finish()),
        (
            "expiry".to_owned(),
            SecretBytes::from(expiry.to_string().into_bytes()),
        ),
    ]))
}

/// The second in which a JSON Web Token ends; nothing else of it is looked at.
fn expiry(token: &SecretBytes) -> Result<i64, StoreError> {
    let mut parts = token.expose().split(|byte| *byte == b'.');
    let claims = parts.nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| missing("exp"))?;
    let claims = SecretBytes::from(claims);
    let claims = Json::parse(claims.expose()).map_err(|_| missing("exp"))?;
    let end = claims.member("exp").and_then(Json::integer);
    end.ok_or_else(|| missing("exp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_token_is_read_from_its_claims() {
        let token = |claims: &str| {
            let text = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            SecretBytes::from(text.into_bytes())
        };
        assert_eq!(
            expiry(&token(r#"{"exp":1800000000}"#)).unwrap(),
            1_800_000_000
        );
        for bad in [r#"{"exp":"soon"}"#, "{}", "[]", "x"] {
            assert!(expiry(&token(bad)).is_err(), "{bad}");
        }
        assert!(expiry(&SecretBytes::copy_of(b"no token")).is_err());
    }
}

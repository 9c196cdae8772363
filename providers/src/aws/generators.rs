//! Generators of AWS: passwords for the container registries, and temporary credentials.

use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use super::api::{Api, Bounds};
use super::service;
use super::sign_in::SignIn;
use crate::json::{Json, Kind};
use crate::message::{Body, bytes_in};
use crate::outcome::{StoreError, Trouble};
use crate::remote::SecretMap;
use crate::settings::aws::{AwsAuth, AwsSettings};
use crate::settings::generators::{
    AwsGeneratorAuth, EcrAuthorizationTokenSettings, StsSessionTokenSettings,
};
use crate::store::Connection;

/// The region in which the public registry gives passwords, whatever region is asked for.
const PUBLIC_REGION: &str = "us-east-1";

/// Gets a password: user and password under `username` and `password`, the second in which they end under `expires_at`, and
/// for a private registry its address under `proxy_endpoint`.
///
/// # Errors
///
/// When signing in or the call fails.
pub(crate) async fn ecr_authorization_token(
    settings: &EcrAuthorizationTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    let is_public = match settings.scope.as_deref() {
        None | Some("" | "private") => false,
        Some("public") => true,
        Some(_) => return Err(StoreError::invalid("`scope` is private or public").public()),
    };
    let (service, region) = match is_public {
        true => (service::PUBLIC_REGISTRY, PUBLIC_REGION),
        false => (service::REGISTRY, settings.region.as_str()),
    };
    let sign_in = sign_in(
        &settings.region,
        settings.role.as_deref(),
        &settings.auth,
        connection,
    )?;
    let bounds = Bounds {
        retry: connection.retry.as_ref(),
        timeout: connection.timeout,
    };
    let api = Api::new(service, region, sign_in, bounds)?;
    let reply = api.call("GetAuthorizationToken", Body::new()).await?;
    let malformed = |what: &str| {
        StoreError::new(Trouble::Malformed, what)
            .public()
            .at_store(api.describe())
    };
    let given = reply.json().member("authorizationData");
    let given = given.ok_or_else(|| malformed("the answer holds no password"))?;
    let given = match given.kind() {
        Kind::Array => {
            let mut all = given.elements();
            match (all.next(), all.next()) {
                (Some(only), None) => only,
                _ => return Err(malformed("the answer does not hold exactly one password")),
            }
        }
        _ => given,
    };
    let pair = bytes_in(given, "authorizationToken", &STANDARD)?;
    let mut parts = pair.expose().split(|byte| *byte == b':');
    let (Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed(
            "the password in the answer is not a user and a password",
        ));
    };
    let end = given.member("expiresAt").map(Json::text);
    let end = end.and_then(|end| whole_seconds(&end));
    let end = end.ok_or_else(|| malformed("the answer does not say when the password ends"))?;
    let mut values = SecretMap::from([
        ("username".to_owned(), SecretBytes::copy_of(user)),
        ("password".to_owned(), SecretBytes::copy_of(password)),
        ("expires_at".to_owned(), end),
    ]);
    if !is_public {
        let endpoint = given.member("proxyEndpoint").and_then(Json::string);
        let endpoint = endpoint.as_ref().map_or("", SecretText::expose);
        let endpoint = SecretBytes::copy_of(endpoint.as_bytes());
        values.insert("proxy_endpoint".to_owned(), endpoint);
    }
    Ok(values)
}

/// The part of a number of seconds before the dot; AWS writes times as numbers, some with an exponent.
fn whole_seconds(number: &SecretBytes) -> Option<SecretBytes> {
    let text = std::str::from_utf8(number.expose()).ok()?;
    let seconds: f64 = text.parse().ok()?;
    if !seconds.is_finite() {
        return None;
    }
    Some(SecretBytes::from(
        format!("{:.0}", seconds.trunc()).into_bytes(),
    ))
}

/// Gets temporary credentials: `access_key_id`, `secret_access_key`, `session_token`, and the second in which they end under
/// `expiration`.
///
/// # Errors
///
/// When signing in or the call fails.
pub(crate) async fn sts_session_token(
    settings: &StsSessionTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    if settings.auth.jwt.is_some() {
        return Err(StoreError::invalid(
            "`auth.jwt` cannot be used here: AWS gives no session token for temporary credentials",
        )
        .public());
    }
    let sign_in = sign_in(
        &settings.region,
        settings.role.as_deref(),
        &settings.auth,
        connection,
    )?;
    let wanted = settings.request_parameters.clone().unwrap_or_default();
    let credentials = sign_in.session_token(&wanted).await?;
    let mut expiration = SecretWriter::default();
    let end = credentials.expiry().and_then(|end| {
        let since = end.duration_since(std::time::SystemTime::UNIX_EPOCH);
        since.ok()
    });
    expiration.push(end.unwrap_or_default().as_secs().to_string().as_bytes());
    let text = |text: &str| SecretBytes::copy_of(text.as_bytes());
    Ok(SecretMap::from([
        (
            "access_key_id".to_owned(),
            text(credentials.access_key_id()),
        ),
        (
            "secret_access_key".to_owned(),
            text(credentials.secret_access_key()),
        ),
        (
            "session_token".to_owned(),
            text(credentials.session_token().unwrap_or_default()),
        ),
        ("expiration".to_owned(), expiration.finish()),
    ]))
}

fn sign_in(
    region: &str,
    role: Option<&str>,
    auth: &AwsGeneratorAuth,
    connection: &Connection,
) -> Result<SignIn, StoreError> {
    let role = role.map(str::to_owned);
    let settings = AwsSettings::to_sign_in(auth_of(auth), role, region.to_owned());
    SignIn::of_store(&settings, connection)
}

/// The way to sign in that counts. Static keys come first, as upstream; for stores the service account does.
fn auth_of(auth: &AwsGeneratorAuth) -> AwsAuth {
    AwsAuth {
        secret_ref: auth.secret_ref.clone(),
        jwt: auth.jwt.clone().filter(|_| auth.secret_ref.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_keys_come_before_a_service_account() {
        let used = |auth: serde_json::Value| {
            let auth = auth_of(&serde_json::from_value(auth).unwrap());
            (auth.secret_ref.is_some(), auth.jwt.is_some())
        };
        let (keys, jwt) = (serde_json::json!({}), serde_json::json!({}));
        assert_eq!(
            used(serde_json::json!({"secretRef": keys, "jwt": jwt})),
            (true, false)
        );
        assert_eq!(
            used(serde_json::json!({ "secretRef": keys })),
            (true, false)
        );
        assert_eq!(used(serde_json::json!({ "jwt": jwt })), (false, true));
        assert_eq!(used(serde_json::json!({})), (false, false));
    }

    #[test]
    fn times_are_whole_seconds() {
        for (text, seconds) in [
            ("1800000000.5", Some("1800000000")),
            ("1.8E9", Some("1800000000")),
            ("1800000000", Some("1800000000")),
            ("soon", None),
            ("1e999", None),
        ] {
            let whole = whole_seconds(&SecretBytes::copy_of(text.as_bytes()));
            let whole = whole.map(|whole| String::from_utf8(whole.expose().to_vec()).unwrap());
            assert_eq!(whole.as_deref(), seconds);
        }
    }
}

//! Addresses of Google's, which alone are given tokens.

use crate::http::url::Url;
use crate::outcome::StoreError;

/// Reads an address that must be one of HTTPS.
pub(super) fn https(text: &str, field: &str) -> Result<Url, StoreError> {
    let url = Url::parse(text).map_err(|error| error.at_field(field))?;
    match url.is_https() {
        true => Ok(url),
        false => Err(StoreError::invalid(format!("`{field}` must begin with https://")).public()),
    }
}

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

/// Where a service account is impersonated.
pub(super) fn impersonation_url(email: &str) -> Result<Url, StoreError> {
    account_url(email, "generateAccessToken")
}

/// Where something is asked of a service account.
pub(super) fn account_url(email: &str, verb: &str) -> Result<Url, StoreError> {
    let base = Url::parse("https://iamcredentials.googleapis.com").expect("it is an address");
    if email.is_empty() || email.contains('/') {
        return Err(
            StoreError::invalid("the name of a service account of Google is not valid").public(),
        );
    }
    let account = format!("{email}:{verb}");
    Ok(base.with_segments(["v1", "projects", "-", "serviceAccounts", &account]))
}

fn foreign(field: &str) -> StoreError {
    StoreError::invalid(format!(
        "`{field}` is no address of Google's, and tokens are sent to no other"
    ))
    .public()
}

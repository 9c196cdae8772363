//! Tokens for container registries of Azure.

use std::sync::Arc;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use sealwright_crypto::secret::SecretBytes;

use super::api::Cloud;
use super::sign_in;
use crate::bearer::form::Form;
use crate::bearer::token::{AccessToken, ask};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Request};
use crate::outcome::{StoreError, shown};
use crate::remote::SecretMap;
use crate::settings::azure::{AzureAuthSecretRef, AzureAuthType, AzureEnvironment, AzureSettings};
use crate::settings::generators::AcrAccessTokenSettings;
use crate::store::Connection;

/// The user that stands for a token.
const USER: &str = "00000000-0000-0000-0000-000000000000";

/// Gets a token of a registry: a refresh token, or with a scope an access token for just that.
///
/// # Errors
///
/// When the settings are wrong, signing in fails, or the registry refuses.
pub(crate) async fn acr_access_token(
    settings: &AcrAccessTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    let (own, identity) = identity_of(settings)?;
    let cloud = Cloud::of_store(&own).for_registries(settings.environment_type);
    let registry = Url::parse(&format!("https://{}", settings.registry))
        .ok()
        .filter(|url| url.path() == "/" && url.query().is_none())
        .ok_or_else(|| {
            let text = format!("`registry`: {:?} is no host", shown(&settings.registry));
            StoreError::invalid(text).public()
        })?;
    // The identity of the program itself is not shown to a host that anyone can name.
    if identity == Identity::OfProgram && !cloud.has(&registry) {
        let text = "`registry` is none of Azure's, and only those get the identity of the machine or of this program";
        return Err(StoreError::invalid(text).public());
    }
    let http = Arc::new(HttpClient::new(HttpSettings {
        guard: connection.guard,
        limits: Limits::within(connection.timeout),
        ..HttpSettings::default()
    })?);
    let source = sign_in::of_generator(&own, cloud, connection, &http)?;
    let token = source.fetch().await?;
    let form = Form::default()
        .field("grant_type", "access_token")
        .field("service", &settings.registry)
        .field("tenant", settings.tenant_id.as_deref().unwrap_or_default())
        .field("access_token", token.expose());
    let mut token = exchanged(&http, &registry, "exchange", form, "refresh_token").await?;
    let scope = settings.scope.as_deref().filter(|scope| !scope.is_empty());
    if let Some(scope) = scope {
        let form = Form::default()
            .field("grant_type", "refresh_token")
            .field("service", &settings.registry)
            .field("scope", scope)
            .field("refresh_token", token.expose());
        token = exchanged(&http, &registry, "token", form, "access_token").await?;
    }
    let text = |text: &str| SecretBytes::copy_of(text.as_bytes());
    Ok(SecretMap::from([
        ("username".to_owned(), text(USER)),
        ("password".to_owned(), text(token.expose())),
    ]))
}

/// Whose identity a registry gets to see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// That of the author of the generator.
    OfAuthor,
    /// That of the machine or the program.
    OfProgram,
}

fn identity_of(settings: &AcrAccessTokenSettings) -> Result<(AzureSettings, Identity), StoreError> {
    let invalid = |text: &str| Err(StoreError::invalid(text).public());
    if settings.environment_type == AzureEnvironment::AzureStackCloud {
        return invalid("`environmentType`: registries of AzureStackCloud are not supported");
    }
    let of = |kind| AzureSettings::of_sign_in(kind, settings.environment_type);
    let auth = &settings.auth;
    if let Some(principal) = &auth.service_principal {
        let of_secret = AzureAuthSecretRef {
            client_id: principal.secret_ref.client_id.clone(),
            client_secret: principal.secret_ref.client_secret.clone(),
            ..AzureAuthSecretRef::default()
        };
        let own = AzureSettings {
            tenant_id: settings.tenant_id.clone(),
            auth_secret_ref: Some(of_secret),
            ..of(AzureAuthType::ServicePrincipal)
        };
        return Ok((own, Identity::OfAuthor));
    }
    if let Some(identity) = &auth.managed_identity {
        let own = AzureSettings {
            identity_id: identity.identity_id.clone(),
            ..of(AzureAuthType::ManagedIdentity)
        };
        return Ok((own, Identity::OfProgram));
    }
    let Some(workload) = &auth.workload_identity else {
        return invalid("`auth` names no way to sign in");
    };
    let own = AzureSettings {
        service_account_ref: workload.service_account_ref.clone(),
        ..of(AzureAuthType::WorkloadIdentity)
    };
    let identity = match workload.service_account_ref {
        Some(_) => Identity::OfAuthor,
        None => Identity::OfProgram,
    };
    Ok((own, identity))
}

async fn exchanged(
    http: &HttpClient,
    registry: &Url,
    path: &str,
    form: Form,
    member: &str,
) -> Result<AccessToken, StoreError> {
    let url = registry.with_segments(["oauth2", path]);
    let mut request = Request::new(Method::POST, url).header(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    request.body = Some(form.finish());
    ask(http, request, member).await
}

//! Signing in to Doppler: with a token from a Secret, or with the token of a service account.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use sealwright_crypto::secret::SecretText;

use crate::bearer::token::{AccessToken, OfSecret, TokenSource, Tokens, ask};
use crate::credential::{Credentials, Scope, StoreKind, TokenRequest};
use crate::http::url::Url;
use crate::http::{HttpClient, Request};
use crate::message::Body;
use crate::outcome::{StoreError, shown};
use crate::settings::doppler::{ACCOUNT_FIELD, DopplerOidc, DopplerSettings, TOKEN_FIELD};
use crate::store::Connection;

/// Says how a store signs in.
pub(super) fn of_store(
    settings: &DopplerSettings,
    connection: &Connection,
    http: &Arc<HttpClient>,
    base: &Url,
) -> Tokens {
    let (credentials, scope) = (
        Arc::clone(&connection.credentials),
        connection.scope.clone(),
    );
    if let Some(oidc) = &settings.auth.oidc_config {
        return Tokens::new(Box::new(OfServiceAccount {
            oidc: oidc.clone(),
            credentials,
            scope,
            http: Arc::clone(http),
            base: base.clone(),
        }));
    }
    let token = settings.auth.secret_ref.as_ref();
    Tokens::new(Box::new(OfSecret {
        credentials,
        scope,
        at: token.map(|token| token.token()).unwrap_or_default(),
        field: TOKEN_FIELD,
    }))
}

/// Exchanges tokens of a service account for those of an identity in Doppler.
struct OfServiceAccount {
    oidc: DopplerOidc,
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    http: Arc<HttpClient>,
    base: Url,
}

impl OfServiceAccount {
    /// Whom the token is for: Doppler, and this very store, so that no other store can use it.
    fn audiences(&self) -> Vec<String> {
        let mut audiences = self.oidc.service_account_ref.audiences.clone();
        if audiences.is_empty() {
            audiences.push(self.base.to_string());
        }
        let name = &self.scope.name;
        audiences.push(match self.scope.kind {
            StoreKind::Cluster => format!("clusterSecretStore:{name}"),
            StoreKind::Namespaced => {
                format!("secretStore:{}:{name}", self.scope.store_namespace)
            }
        });
        audiences
    }
}

impl TokenSource for OfServiceAccount {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let wanted = self.oidc.expiration_seconds;
            let seconds = wanted.and_then(|seconds| u64::try_from(seconds).ok());
            let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(600);
            let request = TokenRequest {
                service_account: self.oidc.service_account_ref.clone(),
                audiences: self.audiences(),
                lifetime: Some(Duration::from_secs(seconds)),
            };
            let token = self.credentials.token(&self.scope, &request).await;
            let token = token.map_err(|error| error.at_field(ACCOUNT_FIELD))?;
            let token = SecretText::from_bytes(token).map_err(|_| {
                StoreError::invalid("the token of the service account is no text").public()
            })?;
            let (body, _) = Body::new()
                .text("identity", &self.oidc.identity)
                .secret_text("token", token.expose().as_bytes())
                .finish();
            let url = self.base.with_segments(["v3", "auth", "oidc"]);
            let request = Request::new(Method::POST, url).json(body);
            ask(&self.http, request, "token").await
        })
    }

    fn principal(&self) -> String {
        format!("the identity {}", shown(&self.oidc.identity))
    }
}

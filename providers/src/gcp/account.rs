//! Accounts of Google's that credentials sign in as.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::Method;
use http::header::AUTHORIZATION;
use sealwright_crypto::secret::{SecretBytes, SecretText};
use serde_json::{Value, json};

use super::address::account_url;
use super::{SCOPE, Source};
use crate::bearer::assertion::{Signer, now};
use crate::bearer::form::Form;
use crate::bearer::token::{AccessToken, TokenSource, ask, ask_with_form};
use crate::http::url::Url;
use crate::http::{HttpClient, Request};
use crate::outcome::{StoreError, Trouble, shown};

/// The grant for a signed assertion.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

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

/// Has a service account sign claims with a key that only Google holds, and returns the token.
pub(super) async fn sign_as(
    email: &str,
    token: &AccessToken,
    claims: &Value,
    http: &HttpClient,
) -> Result<SecretText, StoreError> {
    let body = json!({"payload": claims.to_string()});
    let body = SecretBytes::from(body.to_string().into_bytes());
    let request = Request::new(Method::POST, account_url(email, "signJwt")?)
        .header(AUTHORIZATION, token.header()?)
        .json(body);
    let signed = ask(http, request, "signedJwt").await;
    let signed = signed.map_err(|error| match error.trouble() {
        Trouble::Unauthenticated => {
            error
                .lacking("iam.serviceAccounts.signJwt")
                .with_hint(format!(
                    "{} needs the role Service Account Token Creator on itself",
                    shown(email)
                ))
        }
        _ => error,
    })?;
    Ok(SecretText::copy_of(signed.expose()))
}

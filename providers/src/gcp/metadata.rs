//! The metadata service of a machine of Google.

use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use sealwright_crypto::secret::SecretText;
use sealwright_crypto::surroundings::Surroundings;

use super::origin::variable;
use crate::bearer::token::{AccessToken, TokenSource, ask, metadata_client, metadata_headers};
use crate::http::url::Url;
use crate::http::{HttpClient, Request};
use crate::outcome::{StoreError, Trouble};

/// The metadata service of a machine of Google.
pub(super) struct Metadata {
    http: HttpClient,
    base: Url,
}

impl Metadata {
    pub(super) fn new(
        surroundings: &dyn Surroundings,
        timeout: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let host = variable(surroundings, "GCE_METADATA_HOST");
        let base = format!("http://{}", host.as_deref().unwrap_or("169.254.169.254"));
        let base = Url::parse(&base).map_err(|error| error.at_field("GCE_METADATA_HOST"))?;
        Ok(Self {
            http: metadata_client(Duration::from_secs(10), timeout)?,
            base: base.with_segments(["computeMetadata", "v1"]),
        })
    }

    fn request<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Request {
        let mut request = Request::new(Method::GET, self.base.with_segments(path));
        request.headers = metadata_headers("metadata-flavor", "Google");
        request
    }

    /// Reads a text, such as the id of the project.
    pub(super) async fn text<'a>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
        what: &str,
    ) -> Result<String, StoreError> {
        let answer = self.http.call(self.request(path)).await;
        let answer = answer.map_err(|error| absent(what, &StoreError::from(error)))?;
        let text = std::str::from_utf8(answer.body.expose()).unwrap_or_default();
        let is_name = |text: &str| {
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            !text.is_empty() && text.len() <= 253 && text.bytes().all(of_name)
        };
        match answer.status.is_success() && is_name(text.trim()) {
            true => Ok(text.trim().to_owned()),
            false => Err(StoreError::new(
                Trouble::Malformed,
                format!("the metadata service of this machine gives no {what}"),
            )),
        }
    }
}

impl Metadata {
    /// Gets a token by which the machine proves to others who it is.
    pub(super) async fn identity(&self, audience: &str) -> Result<SecretText, StoreError> {
        let mut request = self.request(["instance", "service-accounts", "default", "identity"]);
        let query = [("audience", audience), ("format", "full")];
        request.url = request.url.with_query(query);
        let answer = self.http.call(request).await;
        let answer = answer.map_err(|error| absent("key", &StoreError::from(error)))?;
        let text = answer.body.expose();
        let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(byte);
        let is_token = answer.status.is_success() && !text.is_empty() && text.len() < 16_384;
        match is_token && text.iter().all(of_token) {
            true => Ok(SecretText::copy_of(
                std::str::from_utf8(text).unwrap_or_default(),
            )),
            false => Err(StoreError::new(
                Trouble::Malformed,
                "the metadata service of this machine gives no token of its identity",
            )),
        }
    }
}

fn absent(what: &str, error: &StoreError) -> StoreError {
    StoreError::new(
        Trouble::Unauthenticated,
        format!("there is no {what}, and no metadata service of Google to ask: {error}"),
    )
    .with_hint(
        "run `gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name a file of credentials",
    )
}

impl TokenSource for Metadata {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let request = self.request(["instance", "service-accounts", "default", "token"]);
            let token = ask(&self.http, request, "access_token").await;
            token.map_err(|error| match error.trouble() {
                Trouble::Unavailable => absent("file of credentials", &error),
                _ => error,
            })
        })
    }

    fn principal(&self) -> String {
        "the service account of this machine".to_owned()
    }
}

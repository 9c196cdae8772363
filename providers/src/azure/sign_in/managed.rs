//! The identity of the machine or of an App Service, which a service beside the program gives tokens of.

use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderName, Method};
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_crypto::surroundings::Surroundings;

use super::workload::variable;
use crate::azure::api::Cloud;
use crate::bearer::token::{AccessToken, TokenSource, ask, metadata_client, metadata_headers};
use crate::http::url::Url;
use crate::http::{HttpClient, Request, secret_header};
use crate::outcome::{StoreError, shown};

/// The identity of the machine or of an App Service.
pub(super) struct ManagedIdentity {
    http: HttpClient,
    url: Url,
    /// The header that App Service wants.
    header: Option<SecretText>,
    client: Option<String>,
}

impl ManagedIdentity {
    pub(super) fn new(
        surroundings: &dyn Surroundings,
        cloud: &Cloud,
        client: Option<String>,
        timeout: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let client = client.filter(|id| !id.is_empty());
        let service = variable(surroundings, "IDENTITY_ENDPOINT")
            .zip(variable(surroundings, "IDENTITY_HEADER"));
        let (base, version, header) = match service {
            Some((endpoint, header)) => {
                let url = Url::parse(&endpoint);
                let url = url.map_err(|error| error.at_field("IDENTITY_ENDPOINT"))?;
                (url, "2019-08-01", Some(SecretText::from(header)))
            }
            None => {
                let host = variable(surroundings, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.as_deref().unwrap_or("http://169.254.169.254");
                let url = Url::parse(host);
                let url =
                    url.map_err(|error| error.at_field("AZURE_POD_IDENTITY_AUTHORITY_HOST"))?;
                let path = ["metadata", "identity", "oauth2", "token"];
                (url.with_segments(path), "2018-02-01", None)
            }
        };
        let mut query = vec![("api-version", version), ("resource", &*cloud.resource)];
        // Where the path of a resource stands, an identity is meant by that.
        let by = |id: &str| match (id.contains('/'), header.is_some()) {
            (false, _) => "client_id",
            (true, true) => "mi_res_id",
            (true, false) => "msi_res_id",
        };
        query.extend(client.as_deref().map(|id| (by(id), id)));
        let url = base.with_query(query);
        Ok(Self {
            http: metadata_client(Duration::from_secs(20), timeout)?,
            url,
            header,
            client,
        })
    }
}

impl TokenSource for ManagedIdentity {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let mut request = Request::new(Method::GET, self.url.clone());
            match &self.header {
                Some(secret) => {
                    let name = HeaderName::from_static("x-identity-header");
                    let value = SecretBytes::copy_of(secret.expose().as_bytes());
                    request.headers.insert(name, secret_header(value)?);
                }
                None => request.headers = metadata_headers("metadata", "true"),
            }
            ask(&self.http, request, "access_token").await
        })
    }

    fn principal(&self) -> String {
        match &self.client {
            Some(client) => format!("the managed identity {}", shown(client)),
            None => "the managed identity of this machine".to_owned(),
        }
    }
}

//! The vendor's libraries sign in over our HTTP layer: one TLS stack, one proxy, one set of certificates and limits.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use sealwright_crypto::secret::SecretBytes;

use crate::address::Guard;
use crate::http::url::Url;
use crate::http::{HttpClient as Ours, HttpSettings, Request};
use crate::outcome::{StoreError, Trouble};

/// Returns our HTTP layer as the vendor's libraries see one. The addresses of metadata services are open to it: that is
/// where a machine's own credentials come from.
pub(super) fn new() -> Result<SharedHttpClient, StoreError> {
    let settings = HttpSettings {
        guard: Guard::Open,
        ..HttpSettings::default()
    };
    Ok(SharedHttpClient::new(Client(Arc::new(Ours::new(
        settings,
    )?))))
}

#[derive(Clone)]
struct Client(Arc<Ours>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let ours = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { send(&ours, request).await })
    }
}

async fn send(http: &Ours, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let user = |text: &str| ConnectorError::user(Box::new(StoreError::invalid(text)));
    let body = request
        .body()
        .bytes()
        .ok_or_else(|| user("the request to sign in is a stream"))?;
    let method =
        Method::try_from(request.method()).map_err(|_| user("the method is none of HTTP"))?;
    let url = Url::parse(request.uri()).map_err(|_| user("the address to sign in at is none"))?;
    let mut ours = Request::new(method, url);
    ours.body = (!body.is_empty()).then(|| SecretBytes::copy_of(body));
    for (name, value) in request.headers() {
        let name = HeaderName::try_from(name).map_err(|_| user("a header has no valid name"))?;
        let mut value =
            HeaderValue::try_from(value).map_err(|_| user("a header has no valid value"))?;
        value.set_sensitive(true);
        ours.headers.append(name, value);
    }
    let answer = http.call(ours).await.map_err(|error| {
        let error = StoreError::from(error);
        match error.trouble() {
            Trouble::Unavailable => ConnectorError::io(Box::new(error)),
            _ => ConnectorError::user(Box::new(error)),
        }
    })?;
    let status = answer.status.as_u16().try_into();
    let status = status.map_err(|_| user("the answer has no status of HTTP"))?;
    // The library keeps and parses the answer in buffers of its own.
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body.expose().to_vec()));
    for (name, value) in &answer.headers {
        if let Ok(value) = value.to_str() {
            response
                .headers_mut()
                .append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}

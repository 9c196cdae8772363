//! The vendor's libraries sign in over our HTTP layer: one TLS stack, one proxy, one set of certificates and limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
use crate::http::{HttpClient as Ours, HttpSettings, Limits, Request};
use crate::outcome::{StoreError, Trouble};

/// How long one call to sign in may take at most.
const LONGEST: Duration = Duration::from_secs(30);
/// How many bytes an answer to a sign-in may have: credentials have a few thousand.
const LARGEST: usize = 1 << 20;

/// For how many seconds a token of the instance metadata is good.
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// How long that is at most, by AWS's own rules. The library adds whatever a service names to the time, and panics when
/// that is no time any more.
const LONGEST_TTL: u64 = 21_600;
/// Where the instance metadata name the role of the machine.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Returns our HTTP layer as the vendor's libraries see one; one call takes no longer than `timeout`. The addresses of
/// metadata services are open to it: that is where a machine's own credentials come from.
pub(super) fn new(timeout: Option<Duration>) -> Result<SharedHttpClient, StoreError> {
    let limits = Limits::within(timeout);
    let settings = HttpSettings {
        guard: Guard::Open,
        limits: Limits {
            total: limits.total.min(LONGEST),
            answer: LARGEST,
            ..limits
        },
        ..HttpSettings::default()
    };
    Ok(SharedHttpClient::new(Client {
        http: Arc::new(Ours::new(settings)?),
        patience: None,
    }))
}

#[derive(Clone)]
struct Client {
    http: Arc<Ours>,
    /// How long the library itself wants to wait for an answer: a second or two where a machine may have no such service.
    patience: Option<Duration>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connect = settings.connect_timeout().unwrap_or_default();
        let patience = settings.read_timeout().map(|read| connect + read);
        SharedHttpConnector::new(Self {
            patience,
            ..self.clone()
        })
    }
}

impl HttpConnector for Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move { client.send(request).await })
    }
}

impl Client {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let ours = translated(&request)?;
        let limits = self.http.limits();
        let total = self
            .patience
            .map_or(limits.total, |patience| patience.min(limits.total));
        let answer = self
            .http
            .call_within(ours, Limits { total, ..limits })
            .await;
        let answer = answer.map_err(|error| {
            let error = StoreError::from(error);
            match error.trouble() {
                Trouble::Unavailable => ConnectorError::io(Box::new(error)),
                _ => ConnectorError::user(Box::new(error)),
            }
        })?;
        let status = answer.status.as_u16().try_into();
        let status = status.map_err(|_| unusable("the answer has no status of HTTP"))?;
        let body = answer.body.expose();
        if repeats(&request, body) {
            return Err(unusable(
                "the answer repeats what was sent to prove who asks",
            ));
        }
        // The library makes a path of what it reads there.
        let names_role = answer.status.is_success() && request.uri().ends_with(ROLES);
        let body = match names_role {
            true => role_of(body).ok_or_else(|| unusable("the instance metadata name no role"))?,
            false => body,
        };
        // The library keeps and parses the answer in buffers of its own.
        let mut response = HttpResponse::new(status, SdkBody::from(body.to_vec()));
        for (name, value) in &answer.headers {
            let Ok(value) = value.to_str() else {
                continue;
            };
            let value = match name.as_str() {
                TTL => bounded(value),
                _ => value.to_owned(),
            };
            response
                .headers_mut()
                .append(name.as_str().to_owned(), value);
        }
        Ok(response)
    }
}

fn unusable(text: &str) -> ConnectorError {
    ConnectorError::user(Box::new(StoreError::invalid(text)))
}

/// The request as our HTTP layer takes it.
fn translated(request: &HttpRequest) -> Result<Request, ConnectorError> {
    let body = request
        .body()
        .bytes()
        .ok_or_else(|| unusable("the request to sign in is a stream"))?;
    let method =
        Method::try_from(request.method()).map_err(|_| unusable("the method is none of HTTP"))?;
    let url =
        Url::parse(request.uri()).map_err(|_| unusable("the address to sign in at is none"))?;
    let mut ours = Request::new(method, url);
    ours.body = (!body.is_empty()).then(|| SecretBytes::copy_of(body));
    for (name, value) in request.headers() {
        let name =
            HeaderName::try_from(name).map_err(|_| unusable("a header has no valid name"))?;
        let mut value =
            HeaderValue::try_from(value).map_err(|_| unusable("a header has no valid value"))?;
        value.set_sensitive(true);
        ours.headers.append(name, value);
    }
    Ok(ours)
}

/// Returns true if an answer repeats what its request proves itself with: the words of such an answer would end in errors.
fn repeats(request: &HttpRequest, answer: &[u8]) -> bool {
    const SHORTEST: usize = 8;
    const HEADERS: [&str; 3] = [
        "authorization",
        "x-aws-ec2-metadata-token",
        "x-amz-sso_bearer_token",
    ];
    let of_headers = HEADERS
        .iter()
        .filter_map(|name| request.headers().get(*name))
        // A signature is good for its own request only, and services show what they have compared it with.
        .filter(|value| !value.starts_with("AWS4-"));
    let form = request
        .body()
        .bytes()
        .and_then(|body| std::str::from_utf8(body).ok());
    let of_form = form
        .unwrap_or_default()
        .split('&')
        .filter_map(|field| field.strip_prefix("WebIdentityToken="));
    of_headers
        .chain(of_form)
        .map(str::as_bytes)
        .filter(|secret| secret.len() >= SHORTEST)
        .any(|secret| answer.windows(secret.len()).any(|part| part == secret))
}

/// The role of the machine: the first line of the answer, as the vendor's other libraries read it.
fn role_of(answer: &[u8]) -> Option<&[u8]> {
    const LONGEST: usize = 512;
    let text = std::str::from_utf8(answer).ok()?;
    let name = text.lines().next()?.trim();
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@-_:/".contains(&byte);
    let is_name = (1..=LONGEST).contains(&name.len()) && name.bytes().all(of_name);
    is_name.then_some(name.as_bytes())
}

fn bounded(seconds: &str) -> String {
    match seconds.parse::<u64>() {
        Ok(number) if number > LONGEST_TTL => LONGEST_TTL.to_string(),
        _ => seconds.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_first_line_and_a_name() {
        for (answer, role) in [
            ("web", Some("web")),
            ("web\n", Some("web")),
            ("web\r\nother\n", Some("web")),
            (
                "arn:aws:iam::1:role/team/web",
                Some("arn:aws:iam::1:role/team/web"),
            ),
            ("", None),
            ("\nweb", None),
            ("<html>", None),
            ("web?x", None),
            ("we b", None),
            ("w\0b", None),
        ] {
            let found = role_of(answer.as_bytes());
            assert_eq!(found, role.map(str::as_bytes), "{answer:?}");
        }
        assert_eq!(role_of(&[b'a'; 600]), None);
        assert_eq!(role_of(b"\xff"), None);
    }

    #[test]
    fn a_token_lives_no_longer_than_it_can() {
        for (named, used) in [
            ("60", "60"),
            ("21600", "21600"),
            ("18446744073709551615", "21600"),
            ("-1", "-1"),
            ("soon", "soon"),
        ] {
            assert_eq!(bounded(named), used);
        }
    }

    #[test]
    fn an_answer_that_repeats_a_credential_is_found() {
        let request = |name: &'static str, value: &'static str, body: &'static str| {
            let mut request = HttpRequest::new(SdkBody::from(body));
            request.headers_mut().insert(name, value);
            request
        };
        let imds = request("x-aws-ec2-metadata-token", "instance-token", "");
        assert!(repeats(&imds, b"{\"Message\": \"instance-token\"}"));
        assert!(!repeats(&imds, b"{\"Message\": \"no\"}"));
        let signed = request("authorization", "AWS4-HMAC-SHA256 Credential=A", "");
        assert!(!repeats(&signed, b"AWS4-HMAC-SHA256 Credential=A"));
        let form = "Action=AssumeRoleWithWebIdentity&WebIdentityToken=eyJ.canary.x&Version=1";
        let identity = request("accept", "x", form);
        assert!(repeats(&identity, b"<Message>eyJ.canary.x</Message>"));
        assert!(!repeats(&identity, b"<Message>Action</Message>"));
    }
}

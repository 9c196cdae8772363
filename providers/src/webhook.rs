//! Any endpoint that answers over HTTP.
//!
//! Address, headers, body and the path into the answer are templates over the reference and the store's Secrets. In the
//! address the parts of the reference are escaped; the Secrets are not, as upstream. The address may lead anywhere but to
//! a machine's own services ([`crate::address`]), also when a template or a name leads there, and redirects stay on the
//! host.

mod json_path;
mod rendering;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use sealwright_crypto::secret::{SecretBytes, SecretText};

use self::rendering::{Escaping, Seen};
use crate::credential::WholeSecret;
use crate::http::tls::TlsSettings;
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Request, Response, basic_auth, secret_header};
use crate::json::{self, Json, Kind, Numbers, converted};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::webhook::WebhookSettings;
use crate::store::{
    Capabilities, Connection, Deleted, Match, Payload, Pushed, ReadKey, Store, Validation,
    WriteMode,
};
use crate::vault::authorities;

/// No answer is waited for longer: the author of a store chooses who answers, and waiting costs everyone.
const LONGEST: Duration = Duration::from_secs(120);
/// The label that a Secret must have before a template may see it.
const LABEL: (&str, &str) = ("external-secrets.io/type", "webhook");

/// Any endpoint that answers over HTTP.
pub struct WebhookStore {
    http: HttpClient,
    name: String,
    settings: WebhookSettings,
    connection: Held,
}

/// What the store keeps to look its Secrets up with.
struct Held {
    credentials: std::sync::Arc<dyn crate::credential::Credentials>,
    scope: crate::credential::Scope,
}

impl WebhookStore {
    /// Makes the store.
    ///
    /// # Errors
    ///
    /// When settings or certificates are wrong.
    pub async fn new(
        settings: &WebhookSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        if settings
            .auth
            .as_ref()
            .is_some_and(|auth| auth.ntlm.is_some())
        {
            return Err(StoreError::new(
                Trouble::Unsupported,
                "this build cannot sign in with NTLM",
            )
            .public()
            .with_hint("send the credentials in a header, over HTTPS"));
        }
        let timeout = match settings.timeout.as_deref() {
            Some(text) => Some(crate::settings::duration("timeout", text)?.min(LONGEST)),
            None => connection.timeout,
        };
        let authorities = authorities(
            connection,
            settings.ca_bundle.as_deref(),
            settings.ca_provider.as_ref(),
        )
        .await?;
        Ok(Self {
            http: HttpClient::new(HttpSettings {
                tls: TlsSettings {
                    authorities,
                    ..TlsSettings::default()
                },
                guard: connection.guard,
                limits: Limits::within(timeout.filter(|timeout| !timeout.is_zero())),
                ..HttpSettings::default()
            })?,
            // Without what a template would put in.
            name: format!(
                "webhook {}",
                shown(settings.url.split(['{', '?']).next().unwrap_or_default())
            ),
            settings: settings.clone(),
            connection: Held {
                credentials: std::sync::Arc::clone(&connection.credentials),
                scope: connection.scope.clone(),
            },
        })
    }

    async fn secrets(&self) -> Result<Vec<(String, WholeSecret)>, StoreError> {
        let mut secrets = Vec::new();
        for entry in &self.settings.secrets {
            let name = entry.secret_ref.name.as_deref().unwrap_or_default();
            let secret = self
                .connection
                .credentials
                .whole_secret(
                    &self.connection.scope,
                    name,
                    entry.secret_ref.namespace.as_deref(),
                )
                .await
                .map_err(|error| error.at_field("secrets[].secretRef"))?;
            if secret.labels.get(LABEL.0).map(String::as_str) != Some(LABEL.1) {
                return Err(StoreError::new(
                    Trouble::Unauthenticated,
                    format!(
                        "the Secret {} does not have the label {}: {}",
                        shown(name),
                        LABEL.0,
                        LABEL.1
                    ),
                )
                .public()
                .with_hint("give it the label, so that it may be sent to an endpoint"));
            }
            secrets.push((entry.name.clone(), secret));
        }
        Ok(secrets)
    }

    /// Makes a call, with templates filled in.
    async fn call(
        &self,
        method: Method,
        seen: &Seen,
        body: Option<SecretBytes>,
    ) -> Result<Response, StoreError> {
        let text = seen.render("url", &self.settings.url, Escaping::Reference)?;
        let text = SecretText::from_bytes(text)
            .map_err(|_| StoreError::invalid("`url` renders to what is no text").public())?;
        let (url, user) =
            Url::parse_with_user(text.expose()).map_err(|error| error.at_field("url"))?;
        let mut request = Request::new(method, url);
        if let Some(user) = user {
            request = request.header(AUTHORIZATION, basic_auth(&user)?);
        }
        for (name, value) in self.settings.headers.iter().flatten() {
            let value = seen.render("headers", value, Escaping::None)?;
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| StoreError::invalid("`headers` holds what is no header").public())?;
            request = request.header(name, secret_header(value)?);
        }
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            let kind = http::header::CONTENT_TYPE;
            request
                .headers
                .entry(kind)
                .or_insert(HeaderValue::from_static("application/json"));
            request.body = Some(body);
        }
        Ok(self.http.call(request).await?)
    }

    fn method(&self, default: Method) -> Result<Method, StoreError> {
        match self
            .settings
            .method
            .as_deref()
            .filter(|method| !method.is_empty())
        {
            None => Ok(default),
            Some(method) => Method::from_bytes(method.to_ascii_uppercase().as_bytes())
                .map_err(|_| StoreError::invalid("`method` is no method of HTTP").public()),
        }
    }

    /// Asks the endpoint without any reference, and returns the members of the object that it answers.
    ///
    /// # Errors
    ///
    /// When the endpoint does not answer as the settings say.
    pub async fn generate(&self) -> Outcome<SecretMap> {
        let asked = async {
            let seen = Seen::new(BTreeMap::new(), self.secrets().await?);
            self.ask(&seen).await
        };
        match self.placed(asked.await, "ask for", "values")? {
            Answer::Found(payload) => self.map(&RemoteRef::new("values"), &payload),
            Answer::Absent(absent) => Ok(Answer::Absent(absent)),
        }
    }

    /// Calls the endpoint for values.
    async fn ask(&self, seen: &Seen) -> Outcome<Payload> {
        let body = match &self.settings.body {
            Some(body) => Some(seen.render("body", body, Escaping::None)?),
            None => None,
        };
        let path = self
            .settings
            .result
            .json_path
            .as_deref()
            .unwrap_or_default();
        let path = seen.render("result.jsonPath", path, Escaping::None)?;
        let response = self.call(self.method(Method::GET)?, seen, body).await?;
        if response.status == StatusCode::NOT_FOUND {
            // A page is what proxies and web servers answer by themselves; it proves nothing about the key.
            let page = response.header("content-type");
            if page.is_some_and(|kind| kind.trim_start().starts_with("text/html")) {
                return Err(StoreError::new(
                    Trouble::Malformed,
                    "the endpoint answers 404 with a page, which proves nothing about the key",
                )
                .public()
                .with_hint("have it answer 404 with JSON or without a body"));
            }
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)));
        }
        if let Some(error) = self.judge(&response) {
            return Err(error);
        }
        let mut parts = SecretMap::new();
        if let Some(found) = self.result(&path, response.body.expose())? {
            parts.insert("found".to_owned(), found);
        }
        parts.insert(String::new(), response.body);
        Ok(Answer::Found(Payload::of_parts(parts)))
    }

    async fn seen_for_read(&self, key: &ReadKey) -> Result<Seen, StoreError> {
        let reference = json::object_values(key.key.as_bytes())?;
        Ok(Seen::new(reference, self.secrets().await?))
    }

    /// Finds what of an answer is the value.
    fn result(&self, path: &SecretBytes, body: &[u8]) -> Result<Option<SecretBytes>, StoreError> {
        let path = std::str::from_utf8(path.expose())
            .map_err(|_| StoreError::invalid("`result.jsonPath` renders to what is no text"))?;
        if path.is_empty() {
            return Ok(None);
        }
        let document = Json::parse(body).map_err(|_| {
            StoreError::new(
                Trouble::Malformed,
                "the answer is no JSON, and `result.jsonPath` wants some",
            )
        })?;
        let found = json_path::find(document, path)?;
        let found = found.ok_or_else(|| {
            StoreError::new(
                Trouble::Missing,
                "`result.jsonPath` finds nothing in the answer",
            )
            .public()
        })?;
        Ok(Some(found))
    }

    fn placed<T>(
        &self,
        result: Result<T, StoreError>,
        verb: &str,
        key: &str,
    ) -> Result<T, StoreError> {
        result.map_err(|error| {
            error
                .while_trying(format!("{verb} `{}`", shown(key)))
                .at_store(&self.name)
        })
    }

    fn judge(&self, response: &Response) -> Option<StoreError> {
        let status = response.status;
        let trouble = match status.as_u16() {
            200..=299 => return None,
            304 => Trouble::NotModified,
            401 => Trouble::Unauthenticated,
            403 => Trouble::Forbidden,
            429 => Trouble::Throttled {
                retry_after: response.retry_after(),
            },
            500.. => Trouble::Unavailable,
            _ => Trouble::Invalid,
        };
        let text = format!("endpoint gave error {}", status.as_u16());
        Some(StoreError::new(trouble, text).public())
    }

    /// A single value as bytes; of arrays the first element counts. Upstream rounds numbers, here they keep their fraction.
    fn as_value(found: Json<'_>) -> Result<SecretBytes, StoreError> {
        match found.kind() {
            Kind::Array => match found.elements().next() {
                Some(first) => Self::as_value(first),
                None => Err(StoreError::new(
                    Trouble::Missing,
                    "`result.jsonPath` finds an empty list",
                )
                .public()),
            },
            _ => Ok(converted(found, Numbers::Float)),
        }
    }
}

/// The members of an object, or of the object that a string holds as text, as Go writes them after having decoded them.
fn members_of(text: &[u8]) -> Result<SecretMap, StoreError> {
    let wrong = || StoreError::new(Trouble::Missing, "the value is no JSON object").public();
    let members = |text: &[u8]| -> Result<SecretMap, StoreError> {
        let value = Json::parse(text).map_err(|_| wrong())?;
        // Null is no empty object: that would take every key from the target.
        if value.kind() != Kind::Object {
            return Err(wrong());
        }
        json::values_of(value, |value| converted(value, Numbers::Float))
    };
    match Json::parse(text).ok().and_then(Json::string) {
        Some(inner) => members(inner.expose().as_bytes()),
        None => members(text),
    }
}

impl Store for WebhookStore {
    fn describe(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        if at.metadata == MetadataPolicy::Fetch {
            let error = StoreError::new(Trouble::Unsupported, "webhooks have no metadata");
            return self.placed(Err(error.public()), "read", &at.key);
        }
        // Templates see all of the reference, so reads are one only when all of it is the same.
        let text = |value: &Option<String>| {
            SecretBytes::copy_of(value.as_deref().unwrap_or_default().as_bytes())
        };
        let parts = SecretMap::from([
            ("key".to_owned(), SecretBytes::copy_of(at.key.as_bytes())),
            ("version".to_owned(), text(&at.version)),
            ("property".to_owned(), text(&at.property)),
            ("namespace".to_owned(), text(&at.namespace)),
        ]);
        let key = json::object_of_texts(&parts)?;
        Ok(ReadKey::value(
            String::from_utf8_lossy(key.expose()).into_owned(),
            None,
        ))
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            let read = async { self.ask(&self.seen_for_read(key).await?).await };
            self.placed(read.await, "read", "the reference")
        })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let Some(found) = payload.part("found") else {
            return Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())));
        };
        let value = Json::parse(found.expose())
            .map_err(|_| StoreError::new(Trouble::Malformed, "the result is no JSON"))
            .and_then(Self::as_value);
        self.placed(value, "read", &at.key).map(Answer::Found)
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let text = payload.part("found").map(SecretBytes::expose);
        let members = members_of(text.unwrap_or(payload.bytes()));
        self.placed(members, "read", &at.key).map(Answer::Found)
    }

    fn list<'a>(&'a self, _: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        let error = StoreError::new(Trouble::Unsupported, "find is not supported by webhooks");
        let error = error.public().at_store(&self.name);
        Box::pin(async move { Err(error) })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(async move {
            let push = async {
                let value = source.value(item)?;
                let text = |value: &str| SecretBytes::copy_of(value.as_bytes());
                let mut reference = BTreeMap::from([
                    ("remoteKey".to_owned(), text(&item.remote_key)),
                    (
                        "secretKey".to_owned(),
                        text(item.secret_key.as_deref().unwrap_or_default()),
                    ),
                ]);
                reference.insert(
                    item.remote_key.clone(),
                    SecretBytes::copy_of(value.expose()),
                );
                let seen = Seen::new(reference, self.secrets().await?);
                // Without a template the value itself is sent, whatever the key is called.
                let body = match self
                    .settings
                    .body
                    .as_deref()
                    .filter(|body| !body.is_empty())
                {
                    Some(body) => seen.render("body", body, Escaping::None)?,
                    None => value,
                };
                if mode == WriteMode::DryRun {
                    return Ok(Pushed::Updated);
                }
                let response = self
                    .call(self.method(Method::POST)?, &seen, Some(body))
                    .await?;
                match self.judge(&response) {
                    Some(error) => Err(error),
                    None => Ok(Pushed::Updated),
                }
            };
            self.placed(push.await, "push", &item.remote_key)
        })
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(async move {
            let delete = async {
                if mode == WriteMode::DryRun {
                    return Ok(Deleted::Key);
                }
                let reference = BTreeMap::from([(
                    "remoteKey".to_owned(),
                    SecretBytes::copy_of(item.remote_key.as_bytes()),
                )]);
                let seen = Seen::new(reference, Vec::new());
                let response = self.call(Method::DELETE, &seen, None).await?;
                if response.status == StatusCode::NOT_FOUND {
                    return Ok(Deleted::Nothing);
                }
                match self.judge(&response) {
                    Some(error) => Err(error),
                    None => Ok(Deleted::Key),
                }
            };
            self.placed(delete.await, "delete", &item.remote_key)
        })
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let at = RemoteRef::new(item.remote_key.as_str());
            let key = self.locate(&at)?;
            Ok(matches!(self.read(&key).await?, Answer::Found(_)))
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            // An address with templates in its host is known at the first read only.
            let host = self.settings.url.split("://").nth(1).unwrap_or_default();
            if host
                .split(['/', '?'])
                .next()
                .unwrap_or_default()
                .contains("{{")
            {
                return Ok(Validation::Unknown);
            }
            let plain = self.settings.url.split("{{").next().unwrap_or_default();
            let url = Url::parse_with_user(plain)
                .map_err(|error| error.at_field("url"))?
                .0;
            let origin = Url::parse(&url.origin()).map_err(|error| error.at_field("url"))?;
            let limits = Limits {
                total: Duration::from_secs(15),
                answer: 1 << 20,
                ..self.http.limits()
            };
            // Any answer will do: the endpoint is there.
            match self
                .http
                .call_within(Request::new(Method::HEAD, origin), limits)
                .await
            {
                Ok(_) => Ok(Validation::Ready),
                Err(error) if error.is_before_request() => {
                    Err(StoreError::from(error).at_store(&self.name))
                }
                Err(_) => Ok(Validation::Ready),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_written_as_go_writes_decoded_values() {
        let text = |value: &SecretBytes| String::from_utf8(value.expose().to_vec()).unwrap();
        let lines = |answer: &str| -> Vec<String> {
            let members = members_of(answer.as_bytes()).unwrap();
            let lines = members.iter();
            lines
                .map(|(name, value)| format!("{name}={}", text(value)))
                .collect()
        };
        let answer = r#"{"n": 1e3, "m": 1.50, "o": {"b": 1, "a": "<"}, "l": [ 1.0, "x" ], "t": true, "z": null}"#;
        let expected = [
            r#"l=[1,"x"]"#,
            "m=1.5",
            "n=1000",
            r#"o={"a":"\u003c","b":1}"#,
            "t=true",
            "z=",
        ];
        assert_eq!(lines(answer), expected);
        assert_eq!(lines(r#""{\"a\": \"b\"}""#), ["a=b"]);
        assert!(members_of(b"[1]").is_err());
        assert!(members_of(br#""text""#).is_err());
        assert!(members_of(b"null").is_err());
        assert!(members_of(br#""null""#).is_err());
        assert!(members_of(b"{}").is_ok_and(|members| members.is_empty()));
        let value = |answer: &str| {
            let found = Json::parse(answer.as_bytes()).unwrap();
            text(&WebhookStore::as_value(found).unwrap())
        };
        assert_eq!(value(r#"{"b": 1, "a": "<"}"#), r#"{"a":"\u003c","b":1}"#);
        assert_eq!(value(r#"["<", "second"]"#), "<");
        // A fraction is kept, where upstream rounds it.
        assert_eq!(value("1.50"), "1.5");
        assert_eq!(value("1e3"), "1000");
    }
}

//! The refresh endpoint: callers announce that values have changed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use sealwright_crypto::secret::SecretBytes;
use serde_json::json;
use tokio::sync::watch;

use super::ServerSettings;
use super::answer::{Answer, empty, not_found, plain, show, text};
use super::rate_limit::RateLimit;
use super::request_body::{Unread, read};
use crate::announcement::{Announced, Announcement, Gate, Passage};

const PATH: &str = "/v1/refresh";
/// A thousand keys fit, and no more is needed.
const LARGEST_ANNOUNCEMENT: usize = 256 << 10;
/// Announcements a second of one client, and how many more at once.
const RATE: u32 = 10;
const BURST: u32 = 50;

/// What answers announcements.
pub(crate) struct RefreshHandler {
    gate: Gate,
    announced: Arc<dyn Announced>,
    /// Only the replica that leads knows the objects.
    leading: watch::Receiver<bool>,
    limit: RateLimit,
}

impl RefreshHandler {
    pub(crate) fn new(
        gate: Gate,
        announced: Arc<dyn Announced>,
        leading: watch::Receiver<bool>,
    ) -> Self {
        Self {
            gate,
            announced,
            leading,
            limit: RateLimit::new(RATE, BURST),
        }
    }

    pub(super) async fn answer(
        &self,
        settings: &ServerSettings,
        peer: IpAddr,
        head: &Parts,
        body: &mut Incoming,
    ) -> Answer {
        if head.uri.path() != PATH {
            return not_found();
        }
        if head.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "announcements are posted\n");
        }
        // Before anything is believed, so that guessing tokens is slowed down as well.
        let verdict = self.limit.check(PATH, &peer.to_string(), Instant::now());
        let mut answer = match verdict.retry_after {
            Some(_) => plain(StatusCode::TOO_MANY_REQUESTS, "limit exceeded\n"),
            None => {
                let work = self.announce(settings, head, body);
                let patience = settings.write_timeout.min(Duration::from_secs(30));
                let answer = tokio::time::timeout(patience, work).await;
                answer.unwrap_or_else(|_| empty(StatusCode::SERVICE_UNAVAILABLE))
            }
        };
        show(&mut answer.response, &verdict);
        answer
    }

    async fn announce(
        &self,
        settings: &ServerSettings,
        head: &Parts,
        body: &mut Incoming,
    ) -> Answer {
        let Some(token) = token_of(head) else {
            return unknown();
        };
        let body = read(body, LARGEST_ANNOUNCEMENT);
        let body = match tokio::time::timeout(settings.body_timeout(), body).await {
            Ok(Ok(body)) => body,
            Ok(Err(Unread::TooLarge)) => return empty(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(Unread::Broken)) | Err(_) => return empty(StatusCode::BAD_REQUEST),
        };
        let announcement = Announcement::read(&body);
        // Those who are not known learn nothing, not even what is wrong with their announcement.
        let asked = match &announcement {
            Ok(announcement) => announcement.clone(),
            Err(_) => Announcement::Object {
                namespace: String::new(),
                name: String::new(),
            },
        };
        match self.gate.passes(&token, &asked).await {
            Ok(Passage::Granted) => {}
            Ok(Passage::Unknown) => return unknown(),
            Ok(Passage::Denied) => {
                return plain(
                    StatusCode::FORBIDDEN,
                    "you may not update these ExternalSecrets\n",
                );
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot find out who announces a value");
                return plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the API server does not say who you are\n",
                );
            }
        }
        let announcement = match announcement {
            Ok(announcement) => announcement,
            Err(error) => {
                let error = format!("{error}\n");
                return text(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", error);
            }
        };
        if !*self.leading.borrow() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "another replica leads\n");
        }
        let refreshed = self.announced.announce(&announcement);
        tracing::info!(refreshed, "values were announced as changed");
        let answer = json!({ "refreshed": refreshed });
        text(StatusCode::ACCEPTED, "application/json", answer.to_string())
    }
}

/// The bearer token of a request.
pub(super) fn token_of(head: &Parts) -> Option<SecretBytes> {
    let header = head.headers.get(AUTHORIZATION)?.as_bytes();
    let token = header.strip_prefix(b"Bearer ")?.trim_ascii();
    (!token.is_empty()).then(|| SecretBytes::copy_of(token))
}

/// The answer for one without a token that anyone has.
pub(super) fn unknown() -> Answer {
    let mut answer = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
    let headers = answer.response.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

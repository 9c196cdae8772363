//! Who may read the metrics, where `--metrics-auth` asks for that: users of the cluster whose token the API server knows, and
//! who may `get` the path `/metrics`, as upstream's library asks it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::http::request::Parts;
use sealwright_crypto::secret::SecretBytes;
use serde_json::json;

use super::answer::{Answer, plain, show};
use super::rate_limit::RateLimit;
use super::refresh::{token_of, unknown};
use crate::action;
use crate::api::{Api, ApiError};

/// Scrapes a second of one client, and how many more at once: each may ask the API server twice.
const RATE: u32 = 5;
const BURST: u32 = 20;
/// How long a scraper that was let in is believed, as upstream does.
const BELIEVED: Duration = Duration::from_secs(60);

/// Lets scrapers in.
pub(crate) struct MetricsGate {
    api: Arc<Api>,
    limit: RateLimit,
    /// The token that was let in last, and when.
    known: Mutex<Option<(SecretBytes, Instant)>>,
}

impl MetricsGate {
    pub(crate) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            limit: RateLimit::new(RATE, BURST),
            known: Mutex::default(),
        }
    }

    /// Returns the answer for one who may not read the metrics.
    pub(super) async fn refuses(&self, peer: IpAddr, head: &Parts) -> Option<Answer> {
        let Some(token) = token_of(head) else {
            return Some(unknown());
        };
        if self.knows(&token) {
            return None;
        }
        let verdict = self
            .limit
            .check("/metrics", &peer.to_string(), Instant::now());
        if verdict.retry_after.is_some() {
            let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "limit exceeded\n");
            show(&mut answer.response, &verdict);
            return Some(answer);
        }
        match self.review(&token).await {
            Ok(Some(true)) => {
                *self.known.lock().expect("no holder panics") = Some((token, Instant::now()));
                None
            }
            Ok(Some(false)) => Some(plain(StatusCode::FORBIDDEN, "you may not get /metrics\n")),
            Ok(None) => Some(unknown()),
            Err(error) => {
                tracing::warn!(error = %error, "cannot find out who asks for the metrics");
                Some(plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the API server does not say who you are\n",
                ))
            }
        }
    }

    fn knows(&self, token: &SecretBytes) -> bool {
        let known = self.known.lock().expect("no holder panics");
        known
            .as_ref()
            .is_some_and(|(known, since)| since.elapsed() < BELIEVED && known == token)
    }

    /// Returns whether the user of a token may read the metrics, or nothing if no user has it.
    async fn review(&self, token: &SecretBytes) -> Result<Option<bool>, ApiError> {
        let Ok(token) = std::str::from_utf8(token.expose()) else {
            return Ok(None);
        };
        let Some(user) = action::review_token(&self.api, token, None).await? else {
            return Ok(None);
        };
        let asked = json!({"nonResourceAttributes": {"path": "/metrics", "verb": "get"}});
        action::review_access(&self.api, &user, asked)
            .await
            .map(Some)
    }
}

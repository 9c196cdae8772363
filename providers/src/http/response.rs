//! Answers.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use sealwright_crypto::secret::SecretBytes;
use tokio::sync::SemaphorePermit;

#[cfg(any(feature = "aws", feature = "bearer"))]
use crate::outcome::{StoreError, Trouble};

/// An answer.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// What was sent.
    pub body: SecretBytes,
    /// The turn of a large answer, for as long as it lies in memory.
    pub(super) _turn: Option<SemaphorePermit<'static>>,
}

impl Response {
    /// An answer that was read before.
    #[cfg(test)]
    pub(crate) fn new(status: StatusCode, body: SecretBytes) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
            _turn: None,
        }
    }

    /// Returns true if the answer is one of the few that may be large at a time.
    #[cfg(test)]
    pub(super) fn has_turn(&self) -> bool {
        self._turn.is_some()
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns true if the body claims to be JSON.
    pub fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == "application/json" || kind.starts_with("application/") && kind.ends_with("json")
        })
    }

    /// The error that a status stands for by itself, whatever the body says: too many requests, or a server that fails.
    #[cfg(any(feature = "aws", feature = "bearer"))]
    pub(crate) fn failure(&self) -> Option<StoreError> {
        match self.status.as_u16() {
            429 => {
                let retry_after = self.retry_after();
                let trouble = Trouble::Throttled { retry_after };
                Some(StoreError::new(trouble, "too many requests"))
            }
            status @ 500.. => Some(StoreError::new(
                Trouble::Unavailable,
                format!("the service failed with HTTP status {status}"),
            )),
            _ => None,
        }
    }

    /// When the server wants to be asked again, if it said so in seconds; at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.header(RETRY_AFTER.as_str())?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(3600)))
    }
}

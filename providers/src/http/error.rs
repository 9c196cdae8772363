//! Why there is no answer.

use std::time::Duration;

use super::connect::ConnectError;
use crate::outcome::{StoreError, Trouble};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection came about.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// The time is up.
    #[error("{host} did not answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// The host.
        host: String,
        /// After how long.
        after: Duration,
    },
    /// The answer has more bytes than allowed.
    #[error("the answer of {host} has more than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// How many are allowed.
        limit: usize,
    },
    /// The server points to another host.
    #[error("{host} redirects to {target}, and credentials are not sent to another host")]
    Redirected {
        /// The host.
        host: String,
        /// Where it points.
        target: String,
    },
    /// The server points somewhere again and again.
    #[error("{host} redirects too often")]
    RedirectLoop {
        /// The host.
        host: String,
    },
    /// What came is not HTTP, or stopped in the middle.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: &'static str,
    },
    /// The request cannot be made.
    #[error("the request to {host} cannot be made: {reason}")]
    Request {
        /// The host.
        host: String,
        /// Why.
        reason: &'static str,
    },
}

impl HttpError {
    /// Returns true if the server cannot have seen the request.
    pub fn is_before_request(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Request { .. })
    }
}

impl From<HttpError> for StoreError {
    fn from(error: HttpError) -> Self {
        let text = match &error {
            HttpError::Connect { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let trouble = match &error {
            HttpError::TooLarge { .. } => Trouble::TooLarge,
            HttpError::Redirected { .. } | HttpError::Request { .. } => Trouble::Invalid,
            HttpError::Connect { source, .. } if source.is_refused_address() => Trouble::Invalid,
            _ => Trouble::Unavailable,
        };
        let made = StoreError::new(trouble, text);
        match &error {
            HttpError::Connect { source, .. } => match source.hint() {
                Some(hint) => made.with_hint(hint),
                None => made,
            },
            HttpError::Redirected { .. } => {
                made.with_hint("set the address that it redirects to as the server")
            }
            _ => made,
        }
    }
}

/// Says why hyper gave up.
pub(super) fn broken(host: &str, error: hyper_util::client::legacy::Error) -> HttpError {
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return HttpError::Connect {
                host: host.to_owned(),
                source: connect.clone(),
            };
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            let reason = if hyper.is_parse() || hyper.is_parse_too_large() {
                "the answer is not HTTP"
            } else if hyper.is_incomplete_message() || hyper.is_closed() {
                "it was closed before an answer came"
            } else if hyper.is_timeout() {
                "it took too long"
            } else {
                "it failed"
            };
            return HttpError::Broken {
                host: host.to_owned(),
                reason,
            };
        }
        source = cause.source();
    }
    HttpError::Broken {
        host: host.to_owned(),
        reason: "it failed",
    }
}

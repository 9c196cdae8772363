//! What is answered.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::admission::Slot;
use super::body::Content;
use super::rate_limit::Verdict;

/// An answer, with the slot that pays for its memory until it is written.
pub(super) struct Answer {
    pub(super) response: Response<Content>,
    pub(super) slot: Option<Slot>,
}

impl Answer {
    pub(super) fn into_parts(self) -> (Response<Content>, Option<Slot>) {
        (self.response, self.slot)
    }

    pub(super) fn holding(mut self, slot: Slot) -> Self {
        self.slot = Some(slot);
        self
    }
}

pub(super) fn busy() -> Answer {
    let mut answer = plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many requests at once\n",
    );
    let headers = answer.response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

pub(super) fn not_found() -> Answer {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) fn plain(status: StatusCode, body: &'static str) -> Answer {
    text(status, "text/plain; charset=utf-8", body)
}

pub(super) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Content::default());
    *response.status_mut() = status;
    Answer {
        response,
        slot: None,
    }
}

pub(super) fn text(status: StatusCode, kind: &'static str, body: impl Into<Content>) -> Answer {
    let mut answer = empty(status);
    *answer.response.body_mut() = body.into();
    answer
        .response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// Puts what is left of the rate limit into the headers.
pub(super) fn show(response: &mut Response<Content>, verdict: &Verdict) {
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: u64| headers.insert(name, HeaderValue::from(value));
    put(
        HeaderName::from_static("x-ratelimit-limit"),
        verdict.limit.into(),
    );
    put(
        HeaderName::from_static("x-ratelimit-remaining"),
        verdict.remaining.into(),
    );
    put(HeaderName::from_static("x-ratelimit-reset"), verdict.reset);
    if let Some(seconds) = verdict.retry_after {
        put(RETRY_AFTER, seconds);
    }
}

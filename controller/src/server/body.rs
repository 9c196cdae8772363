//! The bodies of answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::admission::Slot;
use super::connections::Connection;
use crate::metrics::{Metrics, Text};

/// What an answer says.
#[derive(Default)]
pub(super) struct Content {
    bytes: Bytes,
    /// What is written while it is sent: with many objects, metrics are megabytes.
    rest: Option<Text>,
}

impl Content {
    /// All metrics.
    pub(super) fn of_metrics(metrics: &Metrics) -> Self {
        Self {
            bytes: Bytes::new(),
            rest: Some(metrics.text()),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self {
            bytes: bytes.into(),
            rest: None,
        }
    }
}

/// The body of an answer. Hyper drops it when all of it is in the connection's buffer, or when the connection ends.
pub(super) struct AnswerBody {
    content: Content,
    connection: Arc<Connection>,
    slot: Option<Slot>,
}

impl AnswerBody {
    pub(super) fn new(content: Content, connection: Arc<Connection>, slot: Option<Slot>) -> Self {
        Self {
            content,
            connection,
            slot,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Content { bytes, rest } = &mut self.content;
        let next = match bytes.is_empty() {
            false => Some(std::mem::take(bytes)),
            true => rest.as_mut().and_then(Iterator::next).map(Bytes::from),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.bytes.is_empty() && self.content.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.content.rest {
            None => SizeHint::with_exact(self.content.bytes.len() as u64),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.connection.buffered(self.slot.take());
    }
}

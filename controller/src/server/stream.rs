//! A stream on which an answer has only so much time to be taken, which reports when it has been, and which ends without
//! a reset.
//!
//! Without a deadline, a client that asks and does not read keeps a connection and its answer for as long as it likes.
//! Closing a socket that holds unread bytes makes the system send a reset, which destroys an answer that is still on its
//! way; so what comes after the answer is discarded for a moment, until the client has seen the end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, sleep_until};

use super::connections::Connection;

/// How long a client that is still sending gets to see that the connection ends.
const LINGER: Duration = Duration::from_secs(5);
/// What is discarded of it meanwhile: twice the largest body.
const MOST_DISCARDED: usize = 4 << 20;

/// A stream that fails when a write is still waiting at the connection's deadline.
pub(super) struct Timed<S> {
    stream: S,
    connection: Arc<Connection>,
    alarm: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
}

/// The time after the last byte was sent.
struct Lingering {
    end: Pin<Box<Sleep>>,
    discarded: usize,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            alarm: None,
            lingering: None,
        }
    }

    /// Returns the outcome of a write, or an error for one that is still waiting at the deadline.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let (Poll::Pending, Some(deadline)) = (&outcome, self.connection.deadline()) else {
            self.alarm = None;
            return outcome;
        };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Timed<S> {
    /// Discards what the client still sends, until it ends too or has had its chance.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            end: Box::pin(sleep(LINGER)),
            discarded: 0,
        });
        let mut space = [0; 4096];
        while lingering.discarded <= MOST_DISCARDED {
            let mut space = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut space) {
                Poll::Ready(Ok(())) if !space.filled().is_empty() => {
                    lingering.discarded += space.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingering.end.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        if outcome.is_ready() {
            // Hyper flushes the stream only when its own buffer is empty.
            self.connection.flushed();
        }
        self.judge(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        self.poll_linger(context).map(Ok)
    }
}

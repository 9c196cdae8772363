//! Bodies of requests, read within bounds.

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};

use super::connections::{Connection, Stage};

/// What is taken off the line of a body that no one wants, as in Go; a longer one ends its connection.
const MOST_DISCARDED: usize = 256 << 10;

/// How long a body says that it is; one without a length may be as long as any.
pub(super) fn length_of(body: &Incoming, most: usize) -> usize {
    let length = body.size_hint().upper();
    length.map_or(most, |length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// Why there is no body.
pub(super) enum Unread {
    TooLarge,
    Broken,
}

pub(super) async fn read(body: &mut Incoming, most: usize) -> Result<Bytes, Unread> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > most {
                return Err(Unread::TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.into())
}

/// Takes what is left of a body off the line and keeps none of it, unless it is too long for that.
pub(super) async fn discard(connection: &Connection, body: &mut Incoming) {
    let most = u64::try_from(MOST_DISCARDED).expect("a small number");
    if body.is_end_stream() || body.size_hint().lower() > most {
        return;
    }
    connection.enter(Stage::Reading);
    let mut taken = 0;
    while taken <= MOST_DISCARDED
        && let Some(Ok(frame)) = body.frame().await
    {
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
}

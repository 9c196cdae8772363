//! Lines of a certain length.

use crate::function::{Environment, out_of_bounds};
use crate::sink::Sink;
use crate::value::Value;

/// Breaks one line at blanks so that no part is longer than `width` bytes.
pub(super) fn wrap(
    e: &Environment,
    all: &[u8],
    width: i64,
    line_break: &[u8],
    breaks_words: bool,
) -> Result<Value, String> {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut out = Sink::new(&e.budget);
    let mut rest = all;
    while rest.len() > width && !out.is_full() {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let blank = memchr::memrchr(b' ', &rest[..=width]);
        e.budget.tick(width - blank.unwrap_or(0))?;
        let (end, next) = match blank {
            Some(at) => (at, at + 1),
            None if breaks_words => (width, width),
            None => match memchr::memchr(b' ', &rest[width..]) {
                Some(at) => (width + at, width + at + 1),
                None => break,
            },
        };
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(line_break);
        rest = &rest[next..];
    }
    out.extend_from_slice(rest);
    Ok(Value::Text(out.finish()?))
}

/// Shortens a text to `width` bytes around `offset`, with `...` where something is missing.
pub(super) fn abbreviate(all: &[u8], offset: i64, width: i64) -> Result<Value, String> {
    let Some(room) = usize::try_from(width)
        .ok()
        .and_then(|width| width.checked_sub(3))
    else {
        return Ok(Value::text(all));
    };
    if room == 0 || all.len() <= room + 3 {
        return Ok(Value::text(all));
    }
    let length = all.len();
    let offset = usize::try_from(offset).unwrap_or(0).min(length);
    let offset = if length - offset < room {
        length - room
    } else {
        offset
    };
    if offset <= 4 {
        return Ok(Value::text([&all[..room], b"..."].concat()));
    }
    if room < 4 {
        return Ok(Value::text(""));
    }
    if offset + room < length {
        let inner = match abbreviate(&all[offset..], 0, i64::try_from(room).unwrap_or(0))? {
            Value::Text(text) => text,
            _ => return Err(out_of_bounds()),
        };
        return Ok(Value::text([b"...", inner.bytes()].concat()));
    }
    Ok(Value::text([b"...", &all[length - room..]].concat()))
}

//! Where the values of a JSON text end, and what its strings stand for.

use sealwright_crypto::secret::SecretWriter;

/// How deep values may be nested.
pub(super) const DEPTH: usize = 200;

/// The text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}")]
pub struct NotJson {
    /// Where that was seen.
    pub at: usize,
}

pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the next value behind `at` begins, past the comma or colon before it; nothing at the end of the object or array.
pub(super) fn next_start(text: &[u8], at: usize) -> Option<usize> {
    let mut start = skip_space(text, at);
    if matches!(text.get(start), Some(b',' | b':')) {
        start = skip_space(text, start + 1);
    }
    match text.get(start) {
        None | Some(b'}' | b']') => None,
        Some(_) => Some(start),
    }
}

/// Returns where the value that begins at `at` ends.
pub(super) fn skip_value(text: &[u8], at: usize, depth: usize) -> Result<usize, NotJson> {
    let wrong = NotJson { at };
    match text.get(at).ok_or(wrong)? {
        b'{' => skip_items(text, at, depth, b'}', true),
        b'[' => skip_items(text, at, depth, b']', false),
        b'"' => skip_text(text, at),
        b't' => skip_word(text, at, b"true"),
        b'f' => skip_word(text, at, b"false"),
        b'n' => skip_word(text, at, b"null"),
        b'-' | b'0'..=b'9' => skip_number(text, at),
        _ => Err(wrong),
    }
}

fn skip_items(
    text: &[u8],
    open: usize,
    depth: usize,
    close: u8,
    named: bool,
) -> Result<usize, NotJson> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(NotJson { at: open });
    };
    let mut at = skip_space(text, open + 1);
    if text.get(at) == Some(&close) {
        return Ok(at + 1);
    }
    loop {
        if named {
            if text.get(at) != Some(&b'"') {
                return Err(NotJson { at });
            }
            at = skip_space(text, skip_text(text, at)?);
            if text.get(at) != Some(&b':') {
                return Err(NotJson { at });
            }
            at = skip_space(text, at + 1);
        }
        at = skip_space(text, skip_value(text, at, depth)?);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(byte) if *byte == close => return Ok(at + 1),
            _ => return Err(NotJson { at }),
        }
    }
}

fn skip_text(text: &[u8], open: usize) -> Result<usize, NotJson> {
    let mut at = open + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u')
                    if text
                        .get(at + 2..at + 6)
                        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) =>
                {
                    at += 6;
                }
                _ => return Err(NotJson { at }),
            },
            Some(0..=0x1f) | None => return Err(NotJson { at }),
            Some(_) => at += 1,
        }
    }
}

fn skip_word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, NotJson> {
    if text[at..].starts_with(word) {
        Ok(at + word.len())
    } else {
        Err(NotJson { at })
    }
}

fn skip_number(text: &[u8], start: usize) -> Result<usize, NotJson> {
    let digits = |mut at: usize| {
        let first = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at == first {
            Err(NotJson { at })
        } else {
            Ok(at)
        }
    };
    let mut at = start + usize::from(text[start] == b'-');
    if text.get(at) == Some(&b'0') {
        at += 1;
    } else {
        at = digits(at)?;
    }
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
    }
    Ok(at)
}

/// Returns true if the text of a number is digits only.
pub(super) fn is_whole(raw: &[u8]) -> bool {
    raw.strip_prefix(b"-")
        .unwrap_or(raw)
        .iter()
        .all(u8::is_ascii_digit)
}

/// Writes what a checked string literal stands for; half a surrogate pair becomes the replacement character.
pub(super) fn unescape(literal: &[u8], out: &mut SecretWriter) {
    let inner = &literal[1..literal.len() - 1];
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            let run = inner[at..]
                .iter()
                .position(|byte| *byte == b'\\')
                .unwrap_or(inner.len() - at);
            out.push(&inner[at..at + run]);
            at += run;
            continue;
        }
        at += 2;
        match inner[at - 1] {
            b'n' => out.push_byte(b'\n'),
            b'r' => out.push_byte(b'\r'),
            b't' => out.push_byte(b'\t'),
            b'b' => out.push_byte(8),
            b'f' => out.push_byte(12),
            b'u' => {
                let unit = hex_unit(inner, at);
                at += 4;
                let mut character = char::from_u32(unit);
                if (0xd800..0xdc00).contains(&unit) && inner[at..].starts_with(b"\\u") {
                    let low = hex_unit(inner, at + 2);
                    if (0xdc00..0xe000).contains(&low) {
                        at += 6;
                        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        character = char::from_u32(code);
                    }
                }
                let mut buffer = [0; 4];
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.push(character.encode_utf8(&mut buffer).as_bytes());
            }
            other => out.push_byte(other),
        }
    }
}

fn hex_unit(text: &[u8], at: usize) -> u32 {
    let digits = text.get(at..at + 4).unwrap_or_default();
    digits.iter().fold(0, |unit, digit| {
        unit * 16 + char::from(*digit).to_digit(16).unwrap_or_default()
    })
}

//! Where the values of a JSON text end, and what its strings stand for.

use std::cmp::Ordering;

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
        let (character, behind) = escaped(inner, at + 1);
        let mut buffer = [0; 4];
        out.push(character.encode_utf8(&mut buffer).as_bytes());
        at = behind;
    }
}

/// Compares what two checked string literals of a text stand for, by where they begin. Nothing is copied, and no more is
/// looked at than they have in common.
pub(super) fn compare(text: &[u8], one: usize, other: usize) -> Ordering {
    let (mut one, mut other) = (one + 1, other + 1);
    loop {
        match (text.get(one), text.get(other)) {
            (Some(here), Some(there))
                if here == there && here.is_ascii() && !matches!(here, b'"' | b'\\') =>
            {
                one += 1;
                other += 1;
            }
            _ => {
                let (here, behind_here) = character(text, one);
                let (there, behind_there) = character(text, other);
                // The order of characters is that of their bytes in UTF-8.
                match here.cmp(&there) {
                    Ordering::Equal if here.is_some() => {
                        (one, other) = (behind_here, behind_there);
                    }
                    order => return order,
                }
            }
        }
    }
}

/// The character of a checked string literal that begins there, and where it ends; nothing at the end of the literal.
fn character(text: &[u8], at: usize) -> (Option<char>, usize) {
    match text.get(at) {
        None | Some(b'"') => (None, at),
        Some(b'\\') => {
            let (character, behind) = escaped(text, at + 1);
            (Some(character), behind)
        }
        Some(_) => {
            let few = &text[at..text.len().min(at + 4)];
            let valid = few.utf8_chunks().next().map(|chunk| chunk.valid());
            let character = valid.and_then(|valid| valid.chars().next());
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            (Some(character), at + character.len_utf8())
        }
    }
}

/// What stands behind a backslash at `at`, and where it ends.
fn escaped(text: &[u8], at: usize) -> (char, usize) {
    let character = match text[at] {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let unit = hex_unit(text, at + 1);
            let mut behind = at + 5;
            let mut character = char::from_u32(unit);
            if (0xd800..0xdc00).contains(&unit) && text[behind..].starts_with(b"\\u") {
                let low = hex_unit(text, behind + 2);
                if (0xdc00..0xe000).contains(&low) {
                    behind += 6;
                    let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    character = char::from_u32(code);
                }
            }
            return (character.unwrap_or(char::REPLACEMENT_CHARACTER), behind);
        }
        other => char::from(other),
    };
    (character, at + 1)
}

fn hex_unit(text: &[u8], at: usize) -> u32 {
    let digits = text.get(at..at + 4).unwrap_or_default();
    digits.iter().fold(0, |unit, digit| {
        unit * 16 + char::from(*digit).to_digit(16).unwrap_or_default()
    })
}

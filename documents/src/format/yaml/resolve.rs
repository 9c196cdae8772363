//! What a scalar means: text, number, truth, time or nothing, as yaml.v3 reads it (YAML 1.2 with leftovers of 1.1).

mod timestamp;

use super::tag::Tag;

pub(super) use timestamp::Timestamp;

/// The meaning of a scalar.
#[derive(Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer above `i64`, which the envelope cannot take.
    Unsigned,
    Float(f64),
    Time(Timestamp),
    /// The text as it is.
    Str,
    /// The bytes of `!!binary`.
    Binary(zeroize::Zeroizing<Vec<u8>>),
}

/// Resolves a scalar; `quoted` covers blocks too. The error says what its tag cannot be.
pub(super) fn resolve(tag: Tag, quoted: bool, text: &[u8]) -> Result<Resolved, String> {
    match tag {
        Tag::Str | Tag::Merge | Tag::Other => return Ok(Resolved::Str),
        Tag::None if quoted => return Ok(Resolved::Str),
        Tag::None => return Ok(untagged(text, true)),
        Tag::Binary => {
            return decode_base64(text)
                .map(|bytes| Resolved::Binary(bytes.into()))
                .ok_or_else(|| "`!!binary` is not valid base64".to_owned());
        }
        _ => {}
    }
    let resolved = untagged(text, tag == Tag::Timestamp);
    match (tag, resolved) {
        (Tag::Float, Resolved::Int(value)) => Ok(Resolved::Float(value as f64)),
        (Tag::Null, Resolved::Null)
        | (Tag::Bool, Resolved::Bool(_))
        | (Tag::Int, Resolved::Int(_) | Resolved::Unsigned)
        | (Tag::Float, Resolved::Float(_))
        | (Tag::Timestamp, Resolved::Time(_)) => Ok(untagged(text, tag == Tag::Timestamp)),
        _ => Err(format!("this value is no {tag:?}, as its tag says").to_lowercase()),
    }
}

/// Whether plain text would be read as text.
pub(super) fn is_text(text: &[u8]) -> bool {
    matches!(untagged(text, true), Resolved::Str)
}

fn untagged(text: &[u8], times: bool) -> Resolved {
    let Some(first) = text.first() else {
        return Resolved::Null;
    };
    match first {
        b'0'..=b'9' | b'+' | b'-' => {
            if let Some(special) = special(text) {
                return special;
            }
            number(text, times)
        }
        b'.' => special(text).unwrap_or_else(|| {
            let is_float = text.len() > 1 && text[1].is_ascii_digit() && is_decimal_float(text);
            match is_float.then(|| float(text)).flatten() {
                Some(value) => Resolved::Float(value),
                None => Resolved::Str,
            }
        }),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            special(text).unwrap_or(Resolved::Str)
        }
        _ => Resolved::Str,
    }
}

/// Words with a meaning.
fn special(text: &[u8]) -> Option<Resolved> {
    Some(match text {
        b"true" | b"True" | b"TRUE" => Resolved::Bool(true),
        b"false" | b"False" | b"FALSE" => Resolved::Bool(false),
        b"~" | b"null" | b"Null" | b"NULL" => Resolved::Null,
        b".nan" | b".NaN" | b".NAN" => Resolved::Float(f64::NAN),
        b".inf" | b".Inf" | b".INF" | b"+.inf" | b"+.Inf" | b"+.INF" => {
            Resolved::Float(f64::INFINITY)
        }
        b"-.inf" | b"-.Inf" | b"-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &[u8], times: bool) -> Resolved {
    if times && let Some(time) = Timestamp::parse(text) {
        return Resolved::Time(time);
    }
    let mut buffer = [0; 64];
    let Some(plain) = without_underscores(text, &mut buffer) else {
        return long_number(text);
    };
    short_number(plain)
}

/// Numbers of more than 64 characters are rare enough to be copied.
fn long_number(text: &[u8]) -> Resolved {
    let plain: zeroize::Zeroizing<Vec<u8>> = text
        .iter()
        .copied()
        .filter(|byte| *byte != b'_')
        .collect::<Vec<u8>>()
        .into();
    short_number(&plain)
}

fn short_number(plain: &[u8]) -> Resolved {
    match integer(plain, 0) {
        Integer::Signed(value) => return Resolved::Int(value),
        Integer::Unsigned => return Resolved::Unsigned,
        Integer::No => {}
    }
    if is_decimal_float(plain)
        && let Some(value) = float(plain)
    {
        return Resolved::Float(value);
    }
    // yaml.v3 reads on behind the prefix with another routine, which takes one more sign.
    let (minus, unsigned) = match plain.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, plain),
    };
    for (prefix, base) in [(b"0b", 2), (b"0o", 8)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            if minus && !digits.first().is_some_and(u8::is_ascii_digit) {
                break;
            }
            return match integer(digits, base) {
                Integer::Signed(value) if minus => Resolved::Int(-value),
                Integer::Signed(value) => Resolved::Int(value),
                Integer::Unsigned if !minus => Resolved::Unsigned,
                _ => Resolved::Str,
            };
        }
    }
    Resolved::Str
}

fn without_underscores<'a>(text: &'a [u8], buffer: &'a mut [u8; 64]) -> Option<&'a [u8]> {
    if memchr::memchr(b'_', text).is_none() {
        return Some(text);
    }
    let mut len = 0;
    for byte in text.iter().filter(|byte| **byte != b'_') {
        *buffer.get_mut(len)? = *byte;
        len += 1;
    }
    Some(&buffer[..len])
}

enum Integer {
    Signed(i64),
    /// Above `i64`, without a sign.
    Unsigned,
    No,
}

/// Reads an integer by the rules of Go's `ParseInt` and `ParseUint`; base 0 looks at the prefix.
fn integer(text: &[u8], base: u32) -> Integer {
    let (sign, digits) = match text {
        [sign @ (b'+' | b'-'), rest @ ..] => (Some(*sign), rest),
        _ => (None, text),
    };
    let (base, digits) = match digits {
        _ if base != 0 => (base, digits),
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return Integer::No;
    }
    let mut value: u64 = 0;
    for digit in digits {
        let Some(digit) = (*digit as char).to_digit(base) else {
            return Integer::No;
        };
        let next = value
            .checked_mul(u64::from(base))
            .and_then(|value| value.checked_add(u64::from(digit)));
        match next {
            Some(next) => value = next,
            None => return Integer::No,
        }
    }
    match (sign, i64::try_from(value)) {
        (Some(b'-'), Ok(value)) => Integer::Signed(-value),
        (Some(b'-'), Err(_)) if value == 1 << 63 => Integer::Signed(i64::MIN),
        (_, Ok(value)) => Integer::Signed(value),
        (None, Err(_)) => Integer::Unsigned,
        _ => Integer::No,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal_float(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let whole = digits(rest);
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        if whole == 0 && len == 0 {
            return false;
        }
        rest = &fraction[len..];
    } else if whole == 0 {
        return false;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            _ => exponent,
        };
        let len = digits(exponent);
        return len > 0 && len == exponent.len();
    }
    rest.is_empty()
}

/// Reads a decimal float; what overflows is none.
fn float(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Standard base64 with padding; line breaks are passed over, as Go does.
pub(super) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits: zeroize::Zeroizing<Vec<u8>> = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect::<Vec<u8>>()
        .into();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3);
    let groups = digits.len() / 4;
    for (index, group) in digits.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && index + 1 != groups) {
            return None;
        }
        let mut bits = 0u32;
        for byte in &group[..4 - padding] {
            bits = bits << 6 | u32::from(base64_digit(*byte)?);
        }
        bits <<= 6 * padding;
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(out)
}

fn base64_digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

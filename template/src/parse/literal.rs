//! Literals of Go (`strconv`): texts are bytes, numbers take prefixes and underscores.

use crate::number::parse_float;
use crate::tree::Number;

/// Reads `"…"`; escapes may make any bytes.
pub(super) fn unquote(written: &str) -> Option<Vec<u8>> {
    let mut rest = written.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some(plain) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain + 1..];
        escape(&mut rest, b'"', &mut out)?;
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// Reads `` `…` ``, which has no escapes and loses its carriage returns.
pub(super) fn unquote_raw(written: &str) -> Vec<u8> {
    let inner = written.trim_start_matches('`').trim_end_matches('`');
    inner.bytes().filter(|&byte| byte != b'\r').collect()
}

/// Reads `'x'` into the number of the character.
pub(super) fn character(written: &str) -> Result<Number, &'static str> {
    const MALFORMED: &str = "malformed character constant";
    let inner = written
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .ok_or(MALFORMED)?;
    let code = match inner.as_bytes() {
        [b'\\', kind, rest @ ..] => {
            let mut rest = rest;
            let code = match kind {
                b'x' => number_of(&mut rest, 2, 16),
                b'u' => number_of(&mut rest, 4, 16),
                b'U' => number_of(&mut rest, 8, 16),
                b'0'..=b'7' => {
                    rest = &inner.as_bytes()[1..];
                    number_of(&mut rest, 3, 8).filter(|&code| code < 256)
                }
                _ => {
                    let mut out = Vec::new();
                    rest = &inner.as_bytes()[1..];
                    escape(&mut rest, b'\'', &mut out)
                        .and_then(|()| out.first().map(|&byte| u32::from(byte)))
                }
            };
            code.filter(|_| rest.is_empty())
        }
        _ => {
            let mut runes = inner.chars();
            let first = runes.next().filter(|&rune| rune != '\'');
            first.filter(|_| runes.next().is_none()).map(u32::from)
        }
    };
    code.map(|code| Number::Int(i64::from(code)))
        .ok_or(MALFORMED)
}

/// Reads one escape behind its backslash.
fn escape(rest: &mut &[u8], quote: u8, out: &mut Vec<u8>) -> Option<()> {
    let (&kind, after) = rest.split_first()?;
    *rest = after;
    let byte = match kind {
        b'a' => 7,
        b'b' => 8,
        b'f' => 0xc,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0xb,
        b'\\' => b'\\',
        same if same == quote => same,
        b'x' => u8::try_from(number_of(rest, 2, 16)?).ok()?,
        high @ b'0'..=b'7' => {
            let low = number_of(rest, 2, 8)?;
            u8::try_from(u32::from(high - b'0') << 6 | low).ok()?
        }
        b'u' | b'U' => {
            let code = number_of(rest, if kind == b'u' { 4 } else { 8 }, 16)?;
            let rune = char::from_u32(code)?;
            out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    out.push(byte);
    Some(())
}

fn number_of(rest: &mut &[u8], digits: usize, radix: u32) -> Option<u32> {
    let (taken, after) = rest.split_at_checked(digits)?;
    *rest = after;
    taken.iter().try_fold(0u32, |number, &digit| {
        let digit = char::from(digit).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}

/// Reads a number as Go's constants become values: what looks like an integer is one.
pub(super) fn number(written: &str) -> Result<Number, &'static str> {
    const ILLEGAL: &str = "illegal number syntax";
    if written.ends_with('i') {
        return Err("complex numbers are not supported");
    }
    if let Some(number) = integer(written) {
        return number;
    }
    let float = parse_float(written).filter(|number| number.is_finite());
    let float = float.ok_or(ILLEGAL)?;
    // A huge integer is no float.
    if !written.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err("integer overflow");
    }
    Ok(Number::Float(float))
}

/// `None` for what is no integer literal.
fn integer(written: &str) -> Option<Result<Number, &'static str>> {
    let (negative, unsigned) = match written.as_bytes().first()? {
        b'-' => (true, &written[1..]),
        b'+' => (false, &written[1..]),
        _ => (false, written),
    };
    let (radix, digits, has_prefix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..], true),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..], true),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..], true),
        [b'0', _, ..] => (8, &unsigned[1..], true),
        _ => (10, unsigned, false),
    };
    // An underscore stands between digits, or between a prefix and a digit.
    let misplaced =
        digits.ends_with('_') || digits.contains("__") || digits.starts_with('_') && !has_prefix;
    let plain = digits.replace('_', "");
    let is_number = !plain.is_empty() && plain.chars().all(|digit| digit.is_digit(radix));
    if misplaced || !is_number {
        return None;
    }
    let Ok(size) = u64::from_str_radix(&plain, radix) else {
        return Some(Err("integer overflow"));
    };
    Some(match negative {
        true => 0i64
            .checked_sub_unsigned(size)
            .map(Number::Int)
            .ok_or("integer overflow"),
        // With a sign it is read as a number that has one.
        false => match i64::try_from(size) {
            Ok(number) => Ok(Number::Int(number)),
            Err(_) if written.starts_with('+') => Err("integer overflow"),
            Err(_) => Ok(Number::TooLarge),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_in_go() {
        for (written, wanted) in [
            ("0", Ok(Number::Int(0))),
            ("+5", Ok(Number::Int(5))),
            ("+9223372036854775808", Err("integer overflow")),
            ("-0", Ok(Number::Int(0))),
            ("0x1F", Ok(Number::Int(31))),
            ("0_7", Ok(Number::Int(7))),
            ("0b11", Ok(Number::Int(3))),
            ("1_000", Ok(Number::Int(1000))),
            ("1__0", Err("illegal number syntax")),
            ("08", Err("integer overflow")),
            ("1e3", Ok(Number::Float(1000.0))),
            ("1_0.5", Ok(Number::Float(10.5))),
            ("0x1p4", Ok(Number::Float(16.0))),
            ("9223372036854775808", Ok(Number::TooLarge)),
            ("18446744073709551616", Err("integer overflow")),
            ("-9223372036854775808", Ok(Number::Int(i64::MIN))),
        ] {
            assert_eq!(number(written), wanted, "{written}");
        }
        assert_eq!(character("'a'"), Ok(Number::Int(97)));
        assert_eq!(character(r"'\n'"), Ok(Number::Int(10)));
        assert_eq!(character(r"'\377'"), Ok(Number::Int(255)));
        assert_eq!(character(r"'\u00e9'"), Ok(Number::Int(233)));
        assert!(character("'ab'").is_err());
        assert_eq!(unquote(r#""\xff\001""#).unwrap(), b"\xff\x01");
        assert_eq!(unquote(r#""\'""#), None);
        assert_eq!(unquote_raw("`a\\n\r`"), b"a\\n");
    }
}

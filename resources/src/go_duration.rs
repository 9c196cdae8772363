//! Durations as Go writes them: `720h0m0s`, `1.5h`, `-300ms`; there are no days.

use jiff::SignedDuration;

/// Reads a duration; `None` if it is none or does not fit into Go's 64 bits of nanoseconds.
#[must_use]
pub fn parse(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|rune: char| !rune.is_ascii_digit() && rune != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|rune: char| rune.is_ascii_digit() || rune == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total = total.checked_add(scaled(number, nanoseconds(unit)?)?)?;
        rest = tail;
    }
    let total = i64::try_from(if negative { -total } else { total }).ok()?;
    Some(SignedDuration::from_nanos(total))
}

fn nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 64 {
        return None;
    }
    let mut sum = match whole {
        "" => 0,
        whole => whole.parse::<i128>().ok()?.checked_mul(unit)?,
    };
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        sum = sum.checked_add(i128::from(digit - b'0') * place)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("1h0m0s", 3_600_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("-300ms", -300),
            ("+2s", 2_000),
            ("0", 0),
            ("1m1m", 120_000),
        ] {
            let read = parse(text).unwrap();
            assert_eq!(read, SignedDuration::from_millis(milliseconds), "{text}");
        }
        for text in [
            "",
            "-",
            "1",
            "1d",
            "h",
            "1.2.3s",
            "1 h",
            "9999999h999999999h",
            ".",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

//! Durations as Go writes them: `720h0m0s`, `1.5h`, `300ms`; there are no days.

use std::time::Duration;

/// Reads a duration in Go's syntax; negative ones are refused, since no flag has a use for them.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanoseconds: u128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at(number);
        let unit_len = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        nanoseconds = nanoseconds.checked_add(scaled(digits, nanoseconds_per(unit)?)?)?;
        rest = tail;
    }
    // Go counts in a signed 64-bit number of nanoseconds: what does not fit there is refused.
    let nanoseconds = u64::try_from(nanoseconds).ok()?;
    i64::try_from(nanoseconds).ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn nanoseconds_per(unit: &str) -> Option<u128> {
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

fn scaled(digits: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut sum = match whole {
        "" => 0,
        whole => whole.parse::<u128>().ok()?.checked_mul(unit)?,
    };
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        sum = sum.checked_add(u128::from(digit - b'0') * place)?;
    }
    Some(sum)
}

/// Writes a duration of whole seconds as Go does, for the usage text.
pub(crate) fn write(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t43_go_duration_syntax() {
        for (text, seconds) in [
            ("720h0m0s", 720.0 * 3600.0),
            ("87600h", 87600.0 * 3600.0),
            ("0", 0.0),
            ("0s", 0.0),
            ("1.5h", 5400.0),
            ("1m30s", 90.0),
            ("250ms", 0.25),
            (".5s", 0.5),
            ("+2s", 2.0),
        ] {
            assert_eq!(
                parse(text),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "1",
            "1d",
            "h",
            "1h2",
            "-1h",
            "1.2.3s",
            ".s",
            "9999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        assert_eq!(write(Duration::from_secs(720 * 3600)), "720h0m0s");
        assert_eq!(write(Duration::from_secs(120)), "2m0s");
        assert_eq!(write(Duration::from_secs(5)), "5s");
    }
}

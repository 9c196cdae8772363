//! Durations as Go writes and reads them: `720h0m0s`, `1.5h`, `-300ms`; there are no days.

use jiff::SignedDuration;

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;

/// Writes a duration as Go does.
#[must_use]
pub fn to_text(duration: SignedDuration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.abs();
    if size < SECOND {
        let (unit, name) = match size {
            ..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", fraction(size, unit));
    }
    let (hours, minutes) = (size / HOUR, size % HOUR / MINUTE);
    let seconds = fraction(size % MINUTE, SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `size / unit` without zeros at the end; the unit is a power of ten.
fn fraction(size: i128, unit: i128) -> String {
    let rest = size % unit;
    if rest == 0 {
        return (size / unit).to_string();
    }
    let digits = unit.to_string().len() - 1;
    let decimals = format!("{rest:0digits$}");
    format!("{}.{}", size / unit, decimals.trim_end_matches('0'))
}

/// Reads a duration; `None` if it is none or does not fit into Go's 64 bits of nanoseconds.
#[must_use]
pub fn parse(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => return None,
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + decimals.len() == 0 || decimals.contains('.') || whole.len() > 19 {
            return None;
        }
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        let decimals = &decimals[..decimals.len().min(18)];
        if !decimals.is_empty() {
            let scale = 10i128.pow(u32::try_from(decimals.len()).ok()?);
            total += decimals.parse::<i128>().ok()? * unit / scale;
        }
        if total > i128::from(i64::MAX) + i128::from(sign < 0) {
            return None;
        }
        rest = after;
    }
    let total = i64::try_from(sign * total).ok()?;
    Some(SignedDuration::from_nanos(total))
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

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (seconds, text) in [
            (720 * 3600, "720h0m0s"),
            (120, "2m0s"),
            (5, "5s"),
            (0, "0s"),
        ] {
            assert_eq!(to_text(SignedDuration::from_secs(seconds)), text);
        }
        assert_eq!(to_text(SignedDuration::from_millis(-1500)), "-1.5s");
    }
}

//! Durations as Go writes and reads them.

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// `1h2m3.5s`
pub(crate) fn to_text(nanoseconds: i128) -> String {
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

/// Reads `1h2m3.5s`; `None` if it is none or does not fit into 64 bits.
pub(crate) fn parse(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(0);
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
    Some(sign * total)
}

/// Halves go away from zero.
pub(crate) fn round_to_seconds(nanoseconds: i128) -> i128 {
    let rest = nanoseconds % SECOND;
    let whole = nanoseconds - rest;
    if rest.abs() * 2 < SECOND {
        whole
    } else {
        whole + SECOND * rest.signum()
    }
}

/// One unit only: `3h`, `2mo`, `1y`.
pub(crate) fn rounded(nanoseconds: i128) -> String {
    let size = nanoseconds.abs();
    let units = [
        (365 * DAY, "y"),
        (30 * DAY, "mo"),
        (DAY, "d"),
        (HOUR, "h"),
        (MINUTE, "m"),
        (SECOND, "s"),
    ];
    units.iter().find(|(unit, _)| size > *unit).map_or_else(
        || "0s".to_owned(),
        |(unit, name)| format!("{}{name}", size / unit),
    )
}

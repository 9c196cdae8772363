//! Durations rounded as sprig rounds them.

use jiff::SignedDuration;

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// Halves go away from zero.
pub(crate) fn round_to_seconds(duration: SignedDuration) -> SignedDuration {
    let rest = i64::from(duration.subsec_nanos());
    let up = if rest.abs() * 2 < 1_000_000_000 {
        0
    } else {
        rest.signum()
    };
    SignedDuration::from_secs(duration.as_secs().saturating_add(up))
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

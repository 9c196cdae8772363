//! Times and durations, in the layouts of Go.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::function::Parameter::{Any, Text as TextParameter, Time as TimeParameter};
use crate::function::{Entry, Function, bytes, fixed};
use crate::go_duration;
use crate::time::{Time, Zone, duration};
use crate::value::Value;

const DATE_IN_ZONE: Function = fixed(&[TextParameter, Any, TextParameter], |e, a| {
    Ok(formatted(&in_zone(&a[1], bytes(a, 2), e.now), bytes(a, 0)))
});
const DATE_MODIFY: Function = fixed(&[TextParameter, TimeParameter], |_, a| {
    Ok(modified(a).unwrap_or_else(|_| a[1].clone()))
});
const MUST_DATE_MODIFY: Function = fixed(&[TextParameter, TimeParameter], |_, a| modified(a));

pub(super) const FUNCTIONS: &[Entry] = &[
    ("now", fixed(&[], |e, _| Ok(Value::Time(Time::utc(e.now))))),
    (
        "date",
        fixed(&[TextParameter, Any], |e, a| {
            Ok(formatted(&in_zone(&a[1], b"UTC", e.now), bytes(a, 0)))
        }),
    ),
    ("date_in_zone", DATE_IN_ZONE),
    ("dateInZone", DATE_IN_ZONE),
    (
        "htmlDate",
        fixed(&[Any], |e, a| {
            Ok(formatted(&in_zone(&a[0], b"UTC", e.now), b"2006-01-02"))
        }),
    ),
    (
        "htmlDateInZone",
        fixed(&[Any, TextParameter], |e, a| {
            Ok(formatted(
                &in_zone(&a[0], bytes(a, 1), e.now),
                b"2006-01-02",
            ))
        }),
    ),
    ("date_modify", DATE_MODIFY),
    ("dateModify", DATE_MODIFY),
    ("must_date_modify", MUST_DATE_MODIFY),
    ("mustDateModify", MUST_DATE_MODIFY),
    (
        "ago",
        fixed(&[Any], |e, a| {
            let passed = e.now.duration_since(instant(&a[0], e.now));
            Ok(Value::text(go_duration::to_text(
                duration::round_to_seconds(passed),
            )))
        }),
    ),
    (
        "duration",
        fixed(&[Any], |_, a| {
            let seconds = match &a[0] {
                Value::Text(text) => {
                    let text = String::from_utf8_lossy(text.bytes());
                    text.parse().unwrap_or(0)
                }
                Value::Int64(seconds) => *seconds,
                _ => 0i64,
            };
            let nanoseconds = seconds.wrapping_mul(1_000_000_000);
            Ok(Value::text(go_duration::to_text(
                SignedDuration::from_nanos(nanoseconds),
            )))
        }),
    ),
    (
        "durationRound",
        fixed(&[Any], |e, a| {
            let nanoseconds = match &a[0] {
                Value::Text(text) => parsed(text.bytes()).map_or(0, |duration| duration.as_nanos()),
                Value::Int64(nanoseconds) => i128::from(*nanoseconds),
                Value::Time(time) => e.now.duration_since(time.at).as_nanos(),
                _ => 0,
            };
            Ok(Value::text(duration::rounded(nanoseconds)))
        }),
    ),
    (
        "toDate",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let parsed = Time::parse(bytes(a, 0), bytes(a, 1));
            Ok(Value::Time(parsed.unwrap_or_else(Time::zero)))
        }),
    ),
    (
        "mustToDate",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let parsed = Time::parse(bytes(a, 0), bytes(a, 1));
            parsed
                .map(Value::Time)
                .ok_or_else(|| "parsing time: the text does not fit the layout".to_owned())
        }),
    ),
    (
        "unixEpoch",
        fixed(&[TimeParameter], |_, a| match &a[0] {
            Value::Time(time) => Ok(Value::text(time.at.as_second().to_string())),
            _ => unreachable!("checked against the signature"),
        }),
    ),
];

fn formatted(time: &Time, layout: &[u8]) -> Value {
    Value::text(time.format(layout))
}

/// Calls a method of `time.Time`; `None` if there is no such method here.
pub(crate) fn method(
    time: &Time,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    let civil = time.civil();
    let int = |value: i64| Some(Ok(Value::Int(value)));
    let wrong = || Some(Err(format!("wrong number or type of args for {name}")));
    match (name, arguments) {
        ("Format", [Value::Text(layout)]) => Some(Ok(formatted(time, layout.bytes()))),
        ("Before", [Value::Time(other)]) => Some(Ok(Value::Bool(time.at < other.at))),
        ("After", [Value::Time(other)]) => Some(Ok(Value::Bool(time.at > other.at))),
        ("Equal", [Value::Time(other)]) => Some(Ok(Value::Bool(time.at == other.at))),
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            Some(time.add_date(*years, *months, *days).map(Value::Time))
        }
        ("Sub", [Value::Time(other)]) => {
            // What does not fit is the longest duration there is.
            let passed = time.at.duration_since(other.at).as_nanos();
            let longest = if passed < 0 { i64::MIN } else { i64::MAX };
            Some(Ok(Value::Duration(
                i64::try_from(passed).unwrap_or(longest),
            )))
        }
        ("Format" | "Sub" | "Before" | "After" | "Equal" | "AddDate", _) => wrong(),
        ("Unix", []) => Some(Ok(Value::Int64(time.at.as_second()))),
        ("UnixMilli", []) => Some(Ok(Value::Int64(time.at.as_millisecond()))),
        ("UnixMicro", []) => Some(Ok(Value::Int64(time.at.as_microsecond()))),
        ("UnixNano", []) => {
            let nanoseconds = i64::try_from(time.at.as_nanosecond()).unwrap_or(0);
            Some(Ok(Value::Int64(nanoseconds)))
        }
        ("Year", []) => int(i64::from(civil.year())),
        ("Day", []) => int(i64::from(civil.day())),
        ("Hour", []) => int(i64::from(civil.hour())),
        ("Minute", []) => int(i64::from(civil.minute())),
        ("Second", []) => int(i64::from(civil.second())),
        ("Nanosecond", []) => int(i64::from(civil.subsec_nanosecond())),
        ("YearDay", []) => int(i64::from(civil.date().day_of_year())),
        ("Month", []) => Some(Ok(formatted(time, b"January"))),
        ("Weekday", []) => Some(Ok(formatted(time, b"Monday"))),
        ("String", []) => Some(Ok(Value::text(time.to_string()))),
        ("IsZero", []) => Some(Ok(Value::Bool(*time == Time::zero()))),
        ("UTC" | "Local", []) => Some(Ok(Value::Time(Time::utc(time.at)))),
        _ => None,
    }
}

/// What counts as a time: times, and integers as seconds since 1970; anything else is now.
fn instant(value: &Value, now: Timestamp) -> Timestamp {
    match value {
        Value::Time(time) => time.at,
        Value::Int(second) | Value::Int64(second) => Timestamp::from_second(*second).unwrap_or(now),
        _ => now,
    }
}

/// A time in a zone; zones that do not exist are UTC.
fn in_zone(value: &Value, zone: &[u8], now: Timestamp) -> Time {
    let name = std::str::from_utf8(zone).unwrap_or_default();
    let zone = match name {
        "" | "UTC" | "Local" => TimeZone::UTC,
        _ => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    Time {
        at: instant(value, now),
        zone: Zone::Named(zone),
    }
}

/// A duration given as text.
fn parsed(text: &[u8]) -> Option<SignedDuration> {
    go_duration::parse(std::str::from_utf8(text).ok()?)
}

fn modified(arguments: &[Value]) -> Result<Value, String> {
    let Value::Time(time) = &arguments[1] else {
        unreachable!("checked against the signature");
    };
    let invalid = || "time: invalid duration".to_owned();
    let by = parsed(bytes(arguments, 0)).ok_or_else(invalid)?;
    let at = time.at.checked_add(by).map_err(|_| invalid())?;
    Ok(Value::Time(Time {
        at,
        zone: time.zone.clone(),
    }))
}

/// Calls a method of `time.Duration`; `None` if there is no such method here.
pub(crate) fn duration_method(
    nanoseconds: i64,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    #[allow(clippy::cast_precision_loss)] // as Go divides
    let parts = |unit: i64| {
        let whole = (nanoseconds / unit) as f64;
        let rest = (nanoseconds % unit) as f64;
        Some(Ok(Value::Float(whole + rest / unit as f64)))
    };
    const SECOND: i64 = 1_000_000_000;
    match (name, arguments) {
        ("Hours", []) => parts(3600 * SECOND),
        ("Minutes", []) => parts(60 * SECOND),
        ("Seconds", []) => parts(SECOND),
        ("Milliseconds", []) => Some(Ok(Value::Int64(nanoseconds / 1_000_000))),
        ("Microseconds", []) => Some(Ok(Value::Int64(nanoseconds / 1000))),
        ("Nanoseconds", []) => Some(Ok(Value::Int64(nanoseconds))),
        ("Abs", []) => Some(Ok(Value::Duration(nanoseconds.saturating_abs()))),
        ("String", []) => {
            let duration = SignedDuration::from_nanos(nanoseconds);
            Some(Ok(Value::text(go_duration::to_text(duration))))
        }
        _ => None,
    }
}

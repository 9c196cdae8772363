//! Times and durations, in the layouts of Go.

mod duration;
mod layout;

use std::fmt;
use std::sync::Arc;

use k8s_openapi::jiff::civil;
use k8s_openapi::jiff::tz::{Offset, TimeZone};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::super::value::Value;
use super::Parameter::{Any, Text as TextParameter, Time as TimeParameter};
use super::{Entry, Function, bytes, fixed};

const DATE_IN_ZONE: Function = fixed(&[TextParameter, Any, TextParameter], |e, a| {
    Ok(in_zone(&a[1], bytes(a, 2), e.now).format(bytes(a, 0)))
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
            Ok(in_zone(&a[1], b"UTC", e.now).format(bytes(a, 0)))
        }),
    ),
    ("date_in_zone", DATE_IN_ZONE),
    ("dateInZone", DATE_IN_ZONE),
    (
        "htmlDate",
        fixed(&[Any], |e, a| {
            Ok(in_zone(&a[0], b"UTC", e.now).format(b"2006-01-02"))
        }),
    ),
    (
        "htmlDateInZone",
        fixed(&[Any, TextParameter], |e, a| {
            Ok(in_zone(&a[0], bytes(a, 1), e.now).format(b"2006-01-02"))
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
            Ok(Value::text(duration::to_text(duration::round_to_seconds(
                passed.as_nanos(),
            ))))
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
            Ok(Value::text(duration::to_text(i128::from(nanoseconds))))
        }),
    ),
    (
        "durationRound",
        fixed(&[Any], |e, a| {
            let nanoseconds = match &a[0] {
                Value::Text(text) => duration::parse(text.bytes()).unwrap_or(0),
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
            let parsed = layout::parse(bytes(a, 0), bytes(a, 1));
            Ok(Value::Time(parsed.unwrap_or_else(Time::zero)))
        }),
    ),
    (
        "mustToDate",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let parsed = layout::parse(bytes(a, 0), bytes(a, 1));
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

/// An instant and the zone it is shown in.
#[derive(Clone)]
pub(in super::super) struct Time {
    at: Timestamp,
    zone: Zone,
}

#[derive(Clone)]
enum Zone {
    /// A zone of the database, or UTC.
    Named(TimeZone),
    /// An offset as it stood in a text, with its abbreviation if it had one.
    Fixed(Offset, Option<Arc<str>>),
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Time {
    fn utc(at: Timestamp) -> Self {
        Self {
            at,
            zone: Zone::Named(TimeZone::UTC),
        }
    }

    /// The first moment of the year 1, which Go takes for no time at all.
    fn zero() -> Self {
        Self::utc(Timestamp::from_second(-62_135_596_800).expect("the year 1"))
    }

    fn offset(&self) -> Offset {
        match &self.zone {
            Zone::Named(zone) => zone.to_offset(self.at),
            Zone::Fixed(offset, _) => *offset,
        }
    }

    /// What clock and calendar show.
    fn civil(&self) -> civil::DateTime {
        self.offset().to_datetime(self.at)
    }

    fn abbreviation(&self) -> String {
        match &self.zone {
            Zone::Named(zone) => zone.to_offset_info(self.at).abbreviation().to_owned(),
            Zone::Fixed(_, Some(name)) => name.as_ref().to_owned(),
            Zone::Fixed(offset, None) => layout::offset_text(*offset, false),
        }
    }

    fn format(&self, layout: &[u8]) -> Value {
        Value::text(layout::format(layout, self))
    }

    pub(in super::super) fn to_rfc3339(&self) -> String {
        let text = layout::format(b"2006-01-02T15:04:05.999999999Z07:00", self);
        String::from_utf8(text).expect("digits")
    }

    /// Calls a method of `time.Time`; `None` if there is no such method here.
    pub(in super::super) fn method(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Option<Result<Value, String>> {
        let civil = self.civil();
        let int = |value: i64| Some(Ok(Value::Int(value)));
        let wrong = || Some(Err(format!("wrong number or type of args for {name}")));
        match (name, arguments) {
            ("Format", [Value::Text(layout)]) => Some(Ok(self.format(layout.bytes()))),
            ("Before", [Value::Time(other)]) => Some(Ok(Value::Bool(self.at < other.at))),
            ("After", [Value::Time(other)]) => Some(Ok(Value::Bool(self.at > other.at))),
            ("Equal", [Value::Time(other)]) => Some(Ok(Value::Bool(self.at == other.at))),
            ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
                Some(self.add_date(*years, *months, *days))
            }
            ("Format" | "Before" | "After" | "Equal" | "AddDate", _) => wrong(),
            ("Unix", []) => Some(Ok(Value::Int64(self.at.as_second()))),
            ("UnixMilli", []) => Some(Ok(Value::Int64(self.at.as_millisecond()))),
            ("UnixMicro", []) => Some(Ok(Value::Int64(self.at.as_microsecond()))),
            ("UnixNano", []) => {
                let nanoseconds = i64::try_from(self.at.as_nanosecond()).unwrap_or(0);
                Some(Ok(Value::Int64(nanoseconds)))
            }
            ("Year", []) => int(i64::from(civil.year())),
            ("Day", []) => int(i64::from(civil.day())),
            ("Hour", []) => int(i64::from(civil.hour())),
            ("Minute", []) => int(i64::from(civil.minute())),
            ("Second", []) => int(i64::from(civil.second())),
            ("Nanosecond", []) => int(i64::from(civil.subsec_nanosecond())),
            ("YearDay", []) => int(i64::from(civil.date().day_of_year())),
            ("Month", []) => Some(Ok(self.format(b"January"))),
            ("Weekday", []) => Some(Ok(self.format(b"Monday"))),
            ("String", []) => Some(Ok(Value::text(self.to_string()))),
            ("IsZero", []) => Some(Ok(Value::Bool(*self == Self::zero()))),
            ("UTC" | "Local", []) => Some(Ok(Value::Time(Self::utc(self.at)))),
            _ => None,
        }
    }

    /// Adds to the fields of the date and lets them overflow into one another, as Go does.
    fn add_date(&self, years: i64, months: i64, days: i64) -> Result<Value, String> {
        let too_far = || "the date is out of range".to_owned();
        let civil = self.civil();
        let month = i64::from(civil.month()) - 1 + months;
        let year = i64::from(civil.year()) + years + month.div_euclid(12);
        let first = civil::Date::new(
            i16::try_from(year).map_err(|_| too_far())?,
            i8::try_from(month.rem_euclid(12) + 1).map_err(|_| too_far())?,
            1,
        )
        .map_err(|_| too_far())?;
        let days = i64::from(civil.day()) - 1 + days;
        let shifted = first
            .to_datetime(civil.time())
            .checked_add(SignedDuration::from_hours(days.saturating_mul(24)))
            .map_err(|_| too_far())?;
        let at = match &self.zone {
            Zone::Named(zone) => zone
                .to_ambiguous_timestamp(shifted)
                .compatible()
                .map_err(|_| too_far())?,
            Zone::Fixed(offset, _) => offset.to_timestamp(shifted).map_err(|_| too_far())?,
        };
        Ok(Value::Time(Self {
            at,
            zone: self.zone.clone(),
        }))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = layout::format(b"2006-01-02 15:04:05.999999999 -0700 MST", self);
        f.write_str(&String::from_utf8_lossy(&text))
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

fn modified(arguments: &[Value]) -> Result<Value, String> {
    let Value::Time(time) = &arguments[1] else {
        unreachable!("checked against the signature");
    };
    let invalid = || "time: invalid duration".to_owned();
    let nanoseconds = duration::parse(bytes(arguments, 0)).ok_or_else(invalid)?;
    let nanoseconds = i64::try_from(nanoseconds).map_err(|_| invalid())?;
    let at = time
        .at
        .checked_add(SignedDuration::from_nanos(nanoseconds))
        .map_err(|_| invalid())?;
    Ok(Value::Time(Time {
        at,
        zone: time.zone.clone(),
    }))
}

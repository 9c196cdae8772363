//! Schedules of five fields, as cron has them.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{RoundMode, SignedDuration, Timestamp, Unit, Zoned, ZonedRound};

use sealwright_template::go_duration;

/// A schedule: points in time that come again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Fields(Fields),
    Every(SignedDuration),
    /// Days that none of the months has, such as the 31st of April.
    Never,
}

/// Each field is a set of bits, one for each value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of the month, or the day of the week, is left open. If neither is, either one is enough.
    any_day: bool,
    any_weekday: bool,
}

/// How many years ahead the next point is looked for: the 29th of February comes within eight.
const YEARS: i16 = 5;

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads minute, hour, day of the month, month and day of the week, or a word with an `@`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        if let Some(every) = text.strip_prefix("@every ") {
            let every = go_duration::parse(every)?;
            // Whole seconds, at least one.
            let seconds = every.as_secs().max(1);
            return Some(Self(Kind::Every(SignedDuration::from_secs(seconds))));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return None;
        };
        let fields = Fields {
            minutes: set(minutes, 0, 59, &[])?,
            hours: set(hours, 0, 23, &[])?,
            days: set(days, 1, 31, &[])?,
            months: set(months, 1, 12, MONTHS)?,
            weekdays: set(weekdays, 0, 6, WEEKDAYS)?,
            any_day: is_open(days),
            any_weekday: is_open(weekdays),
        };
        Some(Self(match fields.has_days() {
            true => Kind::Fields(fields),
            false => Kind::Never,
        }))
    }

    /// The first point after `after`, to the second.
    ///
    /// A point that a change of the clocks leaves out does not come; one that comes twice counts twice.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        let fields = match &self.0 {
            Kind::Every(every) => return whole.checked_add(*every).ok(),
            Kind::Never => return None,
            Kind::Fields(fields) => fields,
        };
        let first = whole.checked_add(SignedDuration::from_secs(1)).ok()?;
        let mut at = first.to_zoned(zone.clone());
        let last_year = at.year().checked_add(YEARS)?;
        while at.year() <= last_year {
            let later = if !fields.has_date(at.date()) {
                // Days of a calendar are counted in no time; those of a zone have to be looked up.
                midnight(fields.next_date(at.date(), last_year)?, zone)?
            } else if !has(fields.hours, at.hour()) {
                let hour = down(&at, Unit::Hour)?;
                hour.checked_add(SignedDuration::from_hours(1)).ok()?
            } else if !has(fields.minutes, at.minute()) || at.second() != 0 {
                let minute = down(&at, Unit::Minute)?;
                minute.checked_add(SignedDuration::from_mins(1)).ok()?
            } else {
                return Some(at.timestamp());
            };
            // Clocks that are set back must not set the search back.
            if later <= at {
                return None;
            }
            at = later;
        }
        None
    }
}

impl Fields {
    /// Returns false if no month of the schedule has a day of it. A day of the week comes in every month.
    fn has_days(&self) -> bool {
        const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let first = self.days.trailing_zeros();
        let mut months = (1i8..).zip(LENGTHS);
        !self.any_weekday
            || months.any(|(month, length)| has(self.months, month) && first <= length)
    }

    /// The first date of the schedule from `date` on, unless it is after `last_year`.
    fn next_date(&self, mut date: Date, last_year: i16) -> Option<Date> {
        while date.year() <= last_year {
            if self.has_date(date) {
                return Some(date);
            }
            if !has(self.months, date.month()) {
                date = date.last_of_month();
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has_date(&self, date: Date) -> bool {
        if !has(self.months, date.month()) {
            return false;
        }
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        }
    }
}

fn midnight(date: Date, zone: &TimeZone) -> Option<Zoned> {
    date.to_datetime(Time::midnight())
        .to_zoned(zone.clone())
        .ok()
}

fn down(at: &Zoned, unit: Unit) -> Option<Zoned> {
    at.round(ZonedRound::new().smallest(unit).mode(RoundMode::Trunc))
        .ok()
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set >> value & 1 == 1)
}

/// A step makes a field a choice, even after a star.
fn is_open(field: &str) -> bool {
    field
        .split(',')
        .any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"))
}

/// Reads a field: parts with commas between them, each a value, a range or everything, and perhaps a step.
fn set(field: &str, least: u32, most: u32, names: &[&str]) -> Option<u64> {
    let mut bits = 0;
    for part in field.split(',').filter(|part| !part.is_empty()) {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (part, None),
        };
        let value = |text: &str| {
            let by_name = names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(text));
            match by_name {
                Some(at) => Some(u32::try_from(at).ok()? + least),
                None => number(text),
            }
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, most),
            Some((first, last)) => (value(first)?, value(last)?),
            None if step.is_some() => (value(range)?, most),
            None => (value(range)?, value(range)?),
        };
        let step = step.unwrap_or(1);
        if first < least || last > most || first > last || step == 0 {
            return None;
        }
        if step == 1 {
            bits |= (u64::MAX >> (63 - last)) & (u64::MAX << first);
            continue;
        }
        let step = usize::try_from(step).ok()?;
        for value in (first..=last).step_by(step) {
            bits |= 1 << value;
        }
    }
    (bits != 0).then_some(bits)
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> Option<String> {
        let zone = TimeZone::get(zone).unwrap();
        let next = Schedule::parse(schedule)?.next(after.parse().unwrap(), &zone)?;
        Some(next.to_string())
    }

    #[test]
    fn the_next_point_is_found() {
        for (schedule, after, point) in [
            ("0 2 * * *", "2026-11-29T02:00:00Z", "2026-11-30T02:00:00Z"),
            (
                "0 2 * * *",
                "2026-11-29T01:59:59.5Z",
                "2026-11-29T02:00:00Z",
            ),
            (
                "*/15 9-17 * * mon-fri",
                "2026-11-27T17:45:00Z",
                "2026-11-30T09:00:00Z",
            ),
            (
                "5/20 * * * *",
                "2026-11-29T12:25:00Z",
                "2026-11-29T12:45:00Z",
            ),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            // Either day is enough if neither is left open.
            ("0 0 13 * 5", "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z"),
            (
                "0 0 */2 * 5",
                "2026-11-29T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            ("@yearly", "2026-11-29T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@weekly", "2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"),
            (
                "@every 90s",
                "2026-11-29T00:00:00.9Z",
                "2026-11-29T00:01:30Z",
            ),
            (
                "0 0 ? DEC ?",
                "2026-11-29T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
        ] {
            assert_eq!(
                next(schedule, after, "UTC").as_deref(),
                Some(point),
                "{schedule}"
            );
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for schedule in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "* * * *",
            "* * * * * *",
            "a * * * *",
            "-1 * * * *",
            "@sometimes",
            "@every x",
            ", * * * *",
        ] {
            assert_eq!(Schedule::parse(schedule), None, "{schedule}");
        }
        assert_eq!(next("0 0 30 2 *", "2026-11-29T00:00:00Z", "UTC"), None);
    }

    #[test]
    fn a_day_that_never_comes_is_not_looked_for() {
        let begun = std::time::Instant::now();
        let now = "2026-11-29T00:00:00Z".parse().unwrap();
        for days in ["31 2,4,6,9,11 *", "30,31 2 *", "30 feb ?"] {
            let schedule = Schedule::parse(&format!("0 0 {days}")).unwrap();
            for _ in 0..100_000 {
                assert_eq!(schedule.next(now, &TimeZone::UTC), None, "{days}");
            }
        }
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        for (schedule, point) in [
            ("0 0 31 2,4,5 *", "2027-05-31T00:00:00Z"),
            // The day of the week is enough.
            ("0 0 31 4 1", "2027-04-05T00:00:00Z"),
            ("0 0 29,30 2 *", "2028-02-29T00:00:00Z"),
        ] {
            let next = next(schedule, "2026-11-29T00:00:00Z", "UTC");
            assert_eq!(next.as_deref(), Some(point), "{schedule}");
        }
    }

    #[test]
    fn clocks_that_change_do_not_stop_it() {
        // 02:30 does not exist on the 29th of March, and comes twice on the 25th of October.
        let berlin = "Europe/Berlin";
        assert_eq!(
            next("30 2 * * *", "2026-03-28T12:00:00Z", berlin).as_deref(),
            Some("2026-03-30T00:30:00Z")
        );
        assert_eq!(
            next("30 2 * * *", "2026-10-24T12:00:00Z", berlin).as_deref(),
            Some("2026-10-25T00:30:00Z")
        );
        assert_eq!(
            next("30 2 * * *", "2026-10-25T00:30:00Z", berlin).as_deref(),
            Some("2026-10-25T01:30:00Z")
        );
    }
}

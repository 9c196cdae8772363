//! Instants in the layouts and with the calendar of Go.

pub(crate) mod duration;
mod layout;
mod parse;

use std::fmt;
use std::sync::Arc;

use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// An instant and the zone it is shown in.
#[derive(Clone)]
pub(crate) struct Time {
    pub(crate) at: Timestamp,
    pub(crate) zone: Zone,
}

#[derive(Clone)]
pub(crate) enum Zone {
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
    pub(crate) fn utc(at: Timestamp) -> Self {
        Self {
            at,
            zone: Zone::Named(TimeZone::UTC),
        }
    }

    /// The first moment of the year 1, which Go takes for no time at all.
    pub(crate) fn zero() -> Self {
        Self::utc(Timestamp::from_second(-62_135_596_800).expect("the year 1"))
    }

    /// Reads a text written in a layout of Go.
    pub(crate) fn parse(layout: &[u8], text: &[u8]) -> Option<Self> {
        parse::parse(layout, text)
    }

    fn offset(&self) -> Offset {
        match &self.zone {
            Zone::Named(zone) => zone.to_offset(self.at),
            Zone::Fixed(offset, _) => *offset,
        }
    }

    /// What clock and calendar show.
    pub(crate) fn civil(&self) -> civil::DateTime {
        self.offset().to_datetime(self.at)
    }

    fn abbreviation(&self) -> String {
        match &self.zone {
            Zone::Named(zone) => zone.to_offset_info(self.at).abbreviation().to_owned(),
            Zone::Fixed(_, Some(name)) => name.as_ref().to_owned(),
            Zone::Fixed(offset, None) => layout::offset_text(*offset, false),
        }
    }

    /// Shows the time in a layout of Go.
    pub(crate) fn format(&self, layout: &[u8]) -> Vec<u8> {
        layout::format(layout, self)
    }

    pub(crate) fn to_rfc3339(&self) -> String {
        let text = layout::format(b"2006-01-02T15:04:05.999999999Z07:00", self);
        String::from_utf8(text).expect("digits")
    }

    /// Adds to the fields of the date and lets them overflow into one another, as Go does.
    pub(crate) fn add_date(&self, years: i64, months: i64, days: i64) -> Result<Self, String> {
        let too_far = || "the date is out of range".to_owned();
        let civil = self.civil();
        let month = (i64::from(civil.month()) - 1)
            .checked_add(months)
            .ok_or_else(too_far)?;
        let year = (i64::from(civil.year()) + month.div_euclid(12))
            .checked_add(years)
            .ok_or_else(too_far)?;
        let first = civil::Date::new(
            i16::try_from(year).map_err(|_| too_far())?,
            i8::try_from(month.rem_euclid(12) + 1).map_err(|_| too_far())?,
            1,
        )
        .map_err(|_| too_far())?;
        let days = days.checked_add(i64::from(civil.day()) - 1);
        let hours = days.and_then(|days| days.checked_mul(24));
        let hours = hours.and_then(SignedDuration::try_from_hours);
        let shifted = first
            .to_datetime(civil.time())
            .checked_add(hours.ok_or_else(too_far)?)
            .map_err(|_| too_far())?;
        let at = match &self.zone {
            Zone::Named(zone) => zone
                .to_ambiguous_timestamp(shifted)
                .compatible()
                .map_err(|_| too_far())?,
            Zone::Fixed(offset, _) => offset.to_timestamp(shifted).map_err(|_| too_far())?,
        };
        Ok(Self {
            at,
            zone: self.zone.clone(),
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = layout::format(b"2006-01-02 15:04:05.999999999 -0700 MST", self);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

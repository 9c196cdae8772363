//! Times of the block: RFC 3339, seconds.

use std::fmt;
use std::str::FromStr;

use crate::scalar::check_rfc3339;

/// A time as the MAC is bound to it: RFC 3339 at seconds precision, an offset of zero written `Z` (T4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp(String);

/// A text is no RFC 3339 time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct NotATime;

impl Timestamp {
    /// The text as it is written and authenticated.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        check_rfc3339(text).ok_or(NotATime)?;
        let (seconds, rest) = text.split_at(19);
        let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let zone = match zone {
            "+00:00" | "-00:00" => "Z",
            other => other,
        };
        Ok(Self(format!("{seconds}{zone}")))
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        let whole = jiff::Timestamp::from_second(time.as_second()).unwrap_or(time);
        Self(whole.to_string())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_times_are_read_and_written_again() {
        let cases = [
            ("2020-01-01T00:00:00Z", Some("2020-01-01T00:00:00Z")),
            ("2020-01-01T00:00:00.123456Z", Some("2020-01-01T00:00:00Z")),
            ("2020-01-01T00:00:00+00:00", Some("2020-01-01T00:00:00Z")),
            (
                "2020-01-01T00:00:00.5+02:00",
                Some("2020-01-01T00:00:00+02:00"),
            ),
            ("2020-01-01", None),
            ("", None),
        ];
        for (text, written) in cases {
            let read: Result<Timestamp, _> = text.parse();
            assert_eq!(read.ok().as_ref().map(Timestamp::as_str), written, "{text}");
        }
        let time: jiff::Timestamp = "2024-05-06T07:08:09.987Z".parse().unwrap();
        assert_eq!(Timestamp::from(time).as_str(), "2024-05-06T07:08:09Z");
    }
}

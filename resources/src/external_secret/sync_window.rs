//! Windows of time in which periodic refreshes are allowed or denied.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::cron::Schedule;
use sealwright_template::go_duration;

/// How many windows an object may have. All of them are looked at whenever the object is.
const MOST: usize = 100;

/// Windows of time in which periodic refreshes are allowed or denied. First syncs, changes of the object and repairs of the
/// Secret do not wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncWindows {
    /// Whether refreshes happen only within the windows (allow) or only outside of them (deny).
    pub kind: WindowKind,
    /// The windows.
    #[serde(deserialize_with = "not_too_many")]
    #[schemars(length(min = 1, max = 100))]
    pub windows: Vec<SyncWindow>,
}

/// An object that was stored before the schema had a limit cannot be read: a window that is left out would change when its
/// values are refreshed.
fn not_too_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SyncWindow>, D::Error> {
    let windows: Vec<SyncWindow> = Vec::deserialize(deserializer)?;
    match windows.len() {
        ..=MOST => Ok(windows),
        count => Err(D::Error::invalid_length(count, &"at most 100 windows")),
    }
}

/// Whether refreshes happen only within the windows or only outside of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WindowKind {
    /// Only within.
    Allow,
    /// Only outside.
    Deny,
}

/// A window that opens again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncWindow {
    /// When it opens: minute, hour, day of the month, month and day of the week, or one of @yearly, @annually, @monthly,
    /// @weekly, @daily, @midnight, @hourly and @every with a duration. The time zone is the controller's own.
    #[schemars(
        length(min = 1),
        regex(
            pattern = r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|@every [^\s]+.*|[^\s]+( [^\s]+){4})$"
        )
    )]
    pub schedule: String,
    /// How long it stays open, for example 1h30m.
    pub duration: String,
}

impl SyncWindows {
    /// Returns true if no periodic refresh may happen now.
    #[must_use]
    pub fn block(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let any = self.windows.iter().any(|window| window.is_open(now, zone));
        match self.kind {
            WindowKind::Deny => any,
            WindowKind::Allow => !any,
        }
    }

    /// The next moment at which it is worth looking again, for windows that block now.
    #[must_use]
    pub fn next_chance(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.windows
            .iter()
            .filter_map(|window| match self.kind {
                WindowKind::Allow => window.parsed()?.0.next(now, zone),
                WindowKind::Deny => window.closes(now, zone),
            })
            .min()
    }
}

impl SyncWindow {
    /// A window whose schedule or duration cannot be read is never open.
    fn parsed(&self) -> Option<(Schedule, SignedDuration)> {
        let duration = go_duration::parse(&self.duration)?;
        Some((Schedule::parse(&self.schedule)?, duration))
    }

    /// Both ends belong to the window.
    fn is_open(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let opened = self.opened(now, zone);
        opened.is_some_and(|(opened, closes)| opened <= now && now <= closes)
    }

    fn closes(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (opened, closes) = self.opened(now, zone)?;
        let just_after = closes.checked_add(SignedDuration::from_secs(1)).ok()?;
        (opened <= now && now <= closes).then_some(just_after)
    }

    /// The first opening that may still be open, and its end.
    fn opened(&self, now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let (schedule, duration) = self.parsed()?;
        let since = now.checked_sub(duration).ok()?;
        let since = since.checked_sub(SignedDuration::from_secs(1)).ok()?;
        let opened = schedule.next(since, zone)?;
        Some((opened, opened.checked_add(duration).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(kind: WindowKind, list: &[(&str, &str)]) -> SyncWindows {
        SyncWindows {
            kind,
            windows: list
                .iter()
                .map(|(schedule, duration)| SyncWindow {
                    schedule: (*schedule).to_owned(),
                    duration: (*duration).to_owned(),
                })
                .collect(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn t15_both_ends_belong_to_a_window() {
        let deny = windows(WindowKind::Deny, &[("0 2 * * *", "1h")]);
        for (time, blocked) in [
            ("2026-11-29T01:59:59Z", false),
            ("2026-11-29T02:00:00Z", true),
            ("2026-11-29T02:30:00Z", true),
            ("2026-11-29T03:00:00Z", true),
            ("2026-11-29T03:00:01Z", false),
        ] {
            assert_eq!(deny.block(at(time), &TimeZone::UTC), blocked, "{time}");
        }
        assert_eq!(
            deny.next_chance(at("2026-11-29T02:30:00Z"), &TimeZone::UTC),
            Some(at("2026-11-29T03:00:01Z"))
        );
    }

    #[test]
    fn only_open_windows_allow() {
        let allow = windows(
            WindowKind::Allow,
            &[("0 22 * * 5", "2h"), ("0 1 * * *", "10m")],
        );
        let friday = at("2026-11-27T23:59:00Z");
        assert!(!allow.block(friday, &TimeZone::UTC));
        let saturday = at("2026-11-28T00:30:00Z");
        assert!(allow.block(saturday, &TimeZone::UTC));
        assert_eq!(
            allow.next_chance(saturday, &TimeZone::UTC),
            Some(at("2026-11-28T01:00:00Z"))
        );
    }

    #[test]
    fn t15_every_is_open_always_or_never() {
        let now = at("2026-11-29T12:34:56.789Z");
        for (schedule, duration, open) in [
            ("@every 1m", "1m", true),
            ("@every 61s", "1m", true),
            ("@every 1m5s", "1m", false),
        ] {
            let deny = windows(WindowKind::Deny, &[(schedule, duration)]);
            assert_eq!(deny.block(now, &TimeZone::UTC), open, "{schedule}");
        }
    }

    #[test]
    fn an_object_with_too_many_windows_cannot_be_read() {
        let read = |count: usize| {
            let window = serde_json::json!({"schedule": "0 0 31 2,4,6,9,11 *", "duration": "1h"});
            let windows = serde_json::json!({"kind": "deny", "windows": vec![window; count]});
            serde_json::from_value::<SyncWindows>(windows).map_err(|error| error.to_string())
        };
        let windows = read(MOST).unwrap();
        assert!(!windows.block(at("2026-11-29T00:00:00Z"), &TimeZone::UTC));
        assert_eq!(
            read(MOST + 1),
            Err("invalid length 101, expected at most 100 windows".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_read_is_never_open() {
        for (schedule, duration) in [("61 * * * *", "1h"), ("* * * * *", "1x"), ("", "1h")] {
            let one = [(schedule, duration)];
            assert!(
                !windows(WindowKind::Deny, &one).block(at("2026-11-29T00:00:00Z"), &TimeZone::UTC)
            );
            assert!(
                windows(WindowKind::Allow, &one).block(at("2026-11-29T00:00:00Z"), &TimeZone::UTC)
            );
        }
    }
}

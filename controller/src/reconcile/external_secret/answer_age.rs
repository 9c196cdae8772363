//! How old an answer of a store may be for an object.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealwright_resources::external_secret::{ExternalSecret, hash, refresh};

use super::Extra;
use crate::frame::tracked::Tracked;

/// An answer that is older is good for nothing: that long, the last of ten thousand objects may wait on a slow machine.
const OLDEST: Duration = Duration::from_secs(300);

/// How old an answer may be that was read before a refresh was due.
const OLDEST_BEFORE_DUE: Duration = Duration::from_secs(60);

/// How old an answer may be for an object that may have failed before: an answer from before the failure is not used again.
pub(super) fn oldest_answer(
    known: &Tracked<Extra>,
    object: &ExternalSecret,
    has_target: bool,
    news: Option<Instant>,
) -> Duration {
    let allowed = max_age(object, has_target, news);
    let allowed = match news {
        Some(_) => allowed,
        None => allowed.max(waited(known, object, has_target)),
    };
    match known.extra.failed {
        Some(failed) => allowed.min(failed.elapsed()),
        None => allowed,
    }
}

/// How long an object that could not be read for has waited. What was read meanwhile is newer than its question, so objects that
/// wait for the same store share what one of them reads when it is back.
fn waited(known: &Tracked<Extra>, object: &ExternalSecret, has_target: bool) -> Duration {
    let status = object.status.as_ref();
    let is_new = status.is_none_or(|status| status.synced_resource_version.is_none());
    let version = object.metadata.resource_version.as_deref();
    match known.extra.asked {
        Some(asked) if (has_target || is_new) && known.is_last_seen(version) => {
            asked.elapsed().min(OLDEST)
        }
        _ => Duration::ZERO,
    }
}

/// How old an answer of a store may be. Objects that are refreshed together share answers, and so do new ones with everything
/// that was read since they were made, and late ones with everything that was read since they were due; one that has changed, or
/// whose Secret has, gets a new one; what was announced as changed gets one that is newer than the announcement.
fn max_age(object: &ExternalSecret, has_target: bool, news: Option<Instant>) -> Duration {
    const SHORTEST: Duration = Duration::from_secs(1);
    if let Some(announced) = news {
        return announced.elapsed();
    }
    let status = object.status.as_ref();
    let synced = status.and_then(|status| status.synced_resource_version.as_deref());
    let is_new = synced.is_none();
    let unchanged = synced == Some(hash::synced_version(&object.metadata).as_str());
    if is_new {
        let made = object.metadata.creation_timestamp.as_ref();
        let age = made.map(|made| Timestamp::now().duration_since(made.0));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        // The API server keeps whole seconds.
        let age = age.unwrap_or_default().saturating_sub(SHORTEST);
        // What was read a moment before it was made is shared by objects that are made together, and replaced by their next
        // refresh. One that is read only once would keep it.
        let least = match refresh::is_periodic(object) {
            true => SHORTEST,
            false => Duration::ZERO,
        };
        return age.clamp(least, OLDEST);
    }
    if !unchanged || !has_target {
        return Duration::ZERO;
    }
    let interval = refresh::interval(object);
    let due = refresh::last_refresh(object).and_then(|last| last.checked_add(interval).ok());
    let late = due.map(|due| Timestamp::now().duration_since(due));
    let late = late.and_then(|late| Duration::try_from(late).ok());
    // The status keeps whole seconds.
    let late = late.unwrap_or_default().saturating_sub(SHORTEST);
    let interval = Duration::try_from(interval).unwrap_or_default();
    (interval / 20).min(OLDEST_BEFORE_DUE).max(late.min(OLDEST))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use sealwright_resources::external_secret::status::Status;
    use serde_json::json;

    use super::*;
    use crate::frame::tracked::{Digest, Seen, Target};

    /// An object that was made so many seconds ago.
    fn object(spec: serde_json::Value, age: i64) -> ExternalSecret {
        let mut object = ExternalSecret::new("es", serde_json::from_value(spec).unwrap());
        object.metadata.resource_version = Some("7".to_owned());
        let made = Timestamp::now() - SignedDuration::from_secs(age);
        object.metadata.creation_timestamp = Some(Time(made));
        object
    }

    /// What is known of it if it asked in vain and failed so many seconds ago.
    fn known(asked: Option<u64>, failed: Option<u64>) -> Tracked<Extra> {
        let seen = Seen {
            resource_version: "7".into(),
            digest: Digest([0; 32]),
            generation: None,
            status: 0,
            surroundings: 0,
        };
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        let extra = Extra {
            asked: asked.and_then(ago),
            failed: failed.and_then(ago),
            ..Extra::default()
        };
        Tracked::new("uid".to_owned(), seen, Target::Unknown, extra)
    }

    #[test]
    fn nothing_that_an_object_was_told_when_it_failed_is_told_to_it_again() {
        let new = object(json!({"refreshInterval": "1h"}), 40);
        let mut synced = new.clone();
        synced.status = Some(Status {
            synced_resource_version: Some(hash::synced_version(&synced.metadata)),
            ..Status::default()
        });
        for (name, object, at_first) in [("new", &new, 39), ("synced", &synced, 60)] {
            let oldest = |asked, failed| {
                let known = known(asked, failed);
                oldest_answer(&known, object, true, None).as_secs()
            };
            for failed in [None, Some(300)] {
                let found = oldest(None, failed);
                assert!((at_first - 1..=at_first).contains(&found), "{name}");
            }
            for asked in [None, Some(20)] {
                assert_eq!(oldest(asked, Some(5)), 5, "{name}");
            }
        }
        // An announcement is no excuse for an older one.
        let news = Instant::now().checked_sub(Duration::from_secs(30));
        for (failed, oldest) in [(None, 30), (Some(5), 5)] {
            let answer = oldest_answer(&known(None, failed), &synced, true, news);
            assert_eq!(answer.as_secs(), oldest);
        }
        // A Secret that is gone is made of what its store has now.
        let answer = oldest_answer(&known(Some(20), Some(5)), &synced, false, None);
        assert_eq!(answer, Duration::ZERO);
    }

    #[test]
    fn an_object_that_is_late_takes_what_was_read_since_it_was_due() {
        for (interval, refreshed, oldest) in [
            ("1h", 600, 60),
            ("10m", 590, 30),
            ("10m", 600 + 201, 200),
            ("10m", 100_000, 300),
            ("1s", 1, 0),
        ] {
            let mut object = object(json!({"refreshInterval": interval}), 200_000);
            object.status = Some(Status {
                synced_resource_version: Some(hash::synced_version(&object.metadata)),
                refresh_time: Some(Time(
                    Timestamp::now() - SignedDuration::from_secs(refreshed),
                )),
                ..Status::default()
            });
            let answer = oldest_answer(&known(None, None), &object, true, None).as_secs();
            let expected = oldest..=oldest + 1;
            assert!(
                expected.contains(&answer),
                "{interval}, {refreshed}: {answer}"
            );
        }
    }

    #[test]
    fn what_is_read_once_is_not_read_from_before_the_object_was_made() {
        for (spec, least) in [
            (json!({"refreshInterval": "1h"}), 1),
            (json!({"refreshInterval": "0"}), 0),
            (json!({"refreshPolicy": "CreatedOnce"}), 0),
            (json!({"refreshPolicy": "OnChange"}), 0),
        ] {
            let new = object(spec.clone(), 0);
            let answer = oldest_answer(&known(None, None), &new, false, None);
            assert_eq!(answer, Duration::from_secs(least), "{spec}");
        }
    }
}

//! When a PushSecret is due, and what its status says.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::PushSecret;
use crate::external_secret::hash;
use crate::external_secret::refresh::no_duration;
use crate::external_secret::status::{self, READY};
use sealwright_template::go_duration;

/// Condition reason: everything was pushed.
pub const SYNCED: &str = "Synced";
/// Condition reason: something was not.
pub const ERRORED: &str = "Errored";
/// Condition reason: the Secret has gone, and what was pushed with it.
pub const SOURCE_DELETED: &str = "SourceDeleted";

/// Message: everything was pushed.
pub const SYNCED_MESSAGE: &str = "PushSecret synced successfully";
/// Message: everything was pushed, or was there already.
pub const KEPT_MESSAGE: &str =
    "PushSecret synced successfully. Existing secrets in providers unchanged.";
/// Message: the Secret has gone, and what was pushed with it.
pub const SOURCE_DELETED_MESSAGE: &str = "source secret deleted; provider secrets cleaned up";
/// Message: there is nothing to push from.
pub const NO_SOURCE: &str = "could not get source secret";
/// Message: a store did not take a value.
pub const NOT_PUSHED: &str = "set secret failed";

/// Message: what was pushed cannot be deleted.
pub const NOT_DELETED: &str = "Failed to Delete Secrets from Provider";
/// Message: what was pushed from a Secret that has gone cannot be deleted.
pub const NOT_CLEANED_UP: &str = "failed to cleanup provider secrets";

/// The message about what was pushed and cannot be deleted.
#[must_use]
pub fn not_deleted() -> String {
    let detail = "it stays in the record of what was pushed and is tried again";
    status::message(NOT_DELETED, Some(detail))
}

/// Says that the interval cannot be read, if that is so: any other would push far more often than its author wants.
#[must_use]
pub fn unreadable_interval(object: &PushSecret) -> Option<String> {
    no_duration("spec.refreshInterval", &object.spec.refresh_interval)
}

/// The interval of the spec; one that cannot be read counts as one hour.
#[must_use]
pub fn interval(object: &PushSecret) -> SignedDuration {
    go_duration::parse(&object.spec.refresh_interval).unwrap_or(SignedDuration::from_hours(1))
}

/// Returns true if values are to be pushed now. Unlike ExternalSecrets, a change counts even with the interval 0 (T7).
#[must_use]
pub fn should_push(object: &PushSecret, now: Timestamp) -> bool {
    let status = object.status.as_ref();
    let version = status.and_then(|status| status.synced_resource_version.as_deref());
    if version != Some(hash::synced_version(&object.metadata).as_str()) {
        return true;
    }
    let interval = interval(object);
    if interval <= SignedDuration::ZERO {
        return false;
    }
    let last = status.and_then(|status| status.refresh_time.as_ref());
    last.is_none_or(|last| now.duration_since(last.0) > interval)
}

/// When a PushSecret that was pushed is due again.
#[must_use]
pub fn next(object: &PushSecret, now: Timestamp) -> Option<Timestamp> {
    let interval = interval(object);
    if interval <= SignedDuration::ZERO {
        return None;
    }
    let last = object.status.as_ref()?.refresh_time.as_ref()?.0;
    let due = last.checked_add(interval).ok()?;
    Some(due.max(now))
}

/// Sets the Ready condition.
pub fn set_ready(
    status_now: &mut super::PushSecretStatus,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let holds = if holds { "True" } else { "False" };
    status::set_condition(
        &mut status_now.conditions,
        READY,
        holds,
        reason,
        message,
        &now,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t7_a_change_counts_even_without_an_interval() {
        let mut push = PushSecret::new("ps", Default::default());
        push.spec.refresh_interval = "0".to_owned();
        push.metadata.generation = Some(1);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert!(should_push(&push, now));
        push.status = Some(super::super::PushSecretStatus {
            synced_resource_version: Some(hash::synced_version(&push.metadata)),
            refresh_time: Some(Time(now)),
            ..Default::default()
        });
        assert!(!should_push(&push, now));
        assert_eq!(next(&push, now), None);
        push.metadata.generation = Some(2);
        assert!(should_push(&push, now));
    }

    #[test]
    fn an_interval_that_cannot_be_read_is_named() {
        let mut push = PushSecret::new("ps", Default::default());
        for (interval, is_readable) in [("1h", true), ("0", true), ("1d", false), ("", false)] {
            push.spec.refresh_interval = interval.to_owned();
            let fault = unreadable_interval(&push);
            assert_eq!(fault.is_none(), is_readable, "{interval}: {fault:?}");
        }
    }
}

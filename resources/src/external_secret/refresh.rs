//! When an ExternalSecret is due: refresh policies, the interval, sync windows and the state of its target.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    CreationPolicy, DATA_HASH_ANNOTATION, ExternalSecret, ExternalSecretSpec, MANAGED_LABEL,
    RefreshPolicy, hash,
};
use sealwright_template::go_duration;

/// Whether there is something to do now, and when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The values are to be read now.
    Now,
    /// Not before this moment.
    At(Timestamp),
    /// Not before something changes.
    Never,
}

/// Returns true if the policy asks for a refresh now, whatever the target looks like.
///
/// With the interval 0 nothing but the state of the target refreshes an object that was synced once, not even a change of
/// its spec (T7).
#[must_use]
pub fn should_refresh(object: &ExternalSecret, now: Timestamp, zone: &TimeZone) -> bool {
    let status = object.status.as_ref();
    let version = status.and_then(|status| status.synced_resource_version.as_deref());
    let version = version.filter(|version| !version.is_empty());
    let last = last_refresh(object);
    let changed = || version != Some(hash::synced_version(&object.metadata).as_str());
    match object.spec.refresh_policy.unwrap_or_default() {
        RefreshPolicy::CreatedOnce => version.is_none() || last.is_none(),
        RefreshPolicy::OnChange => version.is_none() || last.is_none() || changed(),
        RefreshPolicy::Periodic => {
            let interval = interval(object);
            if interval <= SignedDuration::ZERO && version.is_some() {
                return false;
            }
            let Some(last) = last.filter(|last| *last <= now) else {
                return true;
            };
            if changed() {
                return true;
            }
            let elapsed = now.duration_since(last);
            let windows = object.spec.sync_windows.as_ref();
            elapsed > interval && !windows.is_some_and(|windows| windows.block(now, zone))
        }
    }
}

/// When the object is to be looked at next, if nothing changes before.
///
/// Upstream wakes objects up that have nothing to do, and polls closed windows; we compute the moment.
#[must_use]
pub fn next(object: &ExternalSecret, now: Timestamp, zone: &TimeZone) -> Due {
    if !is_periodic(object) {
        return Due::Never;
    }
    let interval = interval(object);
    let last = last_refresh(object).filter(|last| *last <= now);
    let due = last.unwrap_or(now).checked_add(interval);
    let Ok(due) = due else { return Due::Never };
    let blocked = object
        .spec
        .sync_windows
        .as_ref()
        .filter(|windows| windows.block(due.max(now), zone));
    match blocked {
        None if due <= now && last.is_some() => Due::Now,
        None => Due::At(due),
        Some(windows) => match windows.next_chance(due.max(now), zone) {
            Some(at) => Due::At(at.max(due)),
            None => Due::Never,
        },
    }
}

/// Returns true if time alone refreshes the object. Any other keeps what it was made of once.
#[must_use]
pub fn is_periodic(object: &ExternalSecret) -> bool {
    object.spec.refresh_policy.unwrap_or_default() == RefreshPolicy::Periodic
        && interval(object) > SignedDuration::ZERO
}

/// Returns true if a change of the ConfigMaps and Secrets that the templates come from refreshes the object. It brings the next
/// refresh forward, so it changes nothing where there is none, where a window blocks it, and where it would make other
/// values: a generator makes new ones each time, and the old ones would be lost because someone edited a ConfigMap.
#[must_use]
pub fn follows_sources(object: &ExternalSecret, now: Timestamp, zone: &TimeZone) -> bool {
    let windows = object.spec.sync_windows.as_ref();
    is_periodic(object)
        && object.generators().next().is_none()
        && !windows.is_some_and(|windows| windows.block(now, zone))
}

/// Returns true if the target is as it was written: managed, and with data that its own hash vouches for.
///
/// A target that was left behind on purpose is never looked at (T9); labels, annotations and the type do not count (T10).
#[must_use]
pub fn is_target_valid(
    object: &ExternalSecret,
    metadata: Option<&ObjectMeta>,
    data_hash: impl FnOnce() -> Option<String>,
) -> bool {
    if object.spec.target.creation_policy == CreationPolicy::Orphan {
        return true;
    }
    let Some(metadata) = metadata else {
        return false;
    };
    if !is_managed(metadata) {
        return false;
    }
    let known = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(DATA_HASH_ANNOTATION));
    known.is_some_and(|known| data_hash().is_some_and(|actual| actual == *known))
}

/// Returns true if a controller of ExternalSecrets has put its label on the object.
#[must_use]
pub fn is_managed(metadata: &ObjectMeta) -> bool {
    let label = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(MANAGED_LABEL));
    label.is_some_and(|value| value == "true")
}

/// Names the first duration that cannot be read, `1d` for one. Whatever stood in its place would refresh the object far more often
/// than its author wants, or freeze it for ever.
#[must_use]
pub fn unreadable_duration(spec: &ExternalSecretSpec) -> Option<String> {
    let interval = no_duration("spec.refreshInterval", &spec.refresh_interval);
    interval.or_else(|| {
        let windows = spec.sync_windows.iter().flat_map(|all| &all.windows);
        windows.enumerate().find_map(|(index, window)| {
            let field = format!("spec.syncWindows.windows[{index}].duration");
            no_duration(&field, &window.duration)
        })
    })
}

/// What is said of a field whose text is no duration.
#[must_use]
pub fn no_duration(field: &str, text: &str) -> Option<String> {
    match go_duration::parse(text) {
        Some(_) => None,
        None => Some(format!(
            "{field} cannot be read: expected a duration such as 1h30m; there is no unit for days"
        )),
    }
}

/// The interval of the spec; one that cannot be read counts as one hour.
#[must_use]
pub fn interval(object: &ExternalSecret) -> SignedDuration {
    go_duration::parse(&object.spec.refresh_interval).unwrap_or(SignedDuration::from_hours(1))
}

/// The time of the last refresh, unless it is Go's zero.
#[must_use]
pub fn last_refresh(object: &ExternalSecret) -> Option<Timestamp> {
    let time = object.status.as_ref()?.refresh_time.as_ref()?.0;
    // Year 1 is what Go calls no time.
    (time.as_second() > -62_135_596_800).then_some(time)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::super::status::Status;
    use super::super::sync_window::{SyncWindow, SyncWindows, WindowKind};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(policy: RefreshPolicy, interval: &str, age: Option<i64>) -> ExternalSecret {
        let mut object = ExternalSecret::new("es", Default::default());
        object.metadata.generation = Some(1);
        object.spec.refresh_policy = Some(policy);
        object.spec.refresh_interval = interval.to_owned();
        if let Some(age) = age {
            object.status = Some(Status {
                refresh_time: Some(Time(at(NOW - age))),
                synced_resource_version: Some(hash::synced_version(&object.metadata)),
                ..Status::default()
            });
        }
        object
    }

    fn refreshes(object: &ExternalSecret) -> bool {
        should_refresh(object, at(NOW), &TimeZone::UTC)
    }

    #[test]
    fn created_once_and_on_change_do_not_age() {
        for policy in [RefreshPolicy::CreatedOnce, RefreshPolicy::OnChange] {
            assert!(refreshes(&object(policy, "1s", None)));
            let mut synced = object(policy, "1s", Some(1000));
            assert!(!refreshes(&synced));
            assert_eq!(next(&synced, at(NOW), &TimeZone::UTC), Due::Never);
            synced.metadata.labels = Some([("a".into(), "b".into())].into());
            assert_eq!(refreshes(&synced), policy == RefreshPolicy::OnChange);
        }
    }

    #[test]
    fn periodic_objects_age() {
        let periodic = |interval, age| object(RefreshPolicy::Periodic, interval, age);
        assert!(refreshes(&periodic("1h", None)));
        assert!(!refreshes(&periodic("1h", Some(3600))));
        assert!(refreshes(&periodic("1h", Some(3601))));
        // A refresh that lies in the future is none.
        assert!(refreshes(&periodic("1h", Some(-10))));
        let mut changed = periodic("1h", Some(1));
        changed.metadata.generation = Some(2);
        assert!(refreshes(&changed));
        assert_eq!(
            next(&periodic("1h", Some(600)), at(NOW), &TimeZone::UTC),
            Due::At(at(NOW + 3000))
        );
        assert_eq!(
            next(&periodic("1h", Some(3601)), at(NOW), &TimeZone::UTC),
            Due::Now
        );
    }

    #[test]
    fn t7_interval_zero_ignores_changes_after_the_first_sync() {
        for interval in ["0", "0s", "-1s"] {
            let mut synced = object(RefreshPolicy::Periodic, interval, Some(10));
            synced.metadata.generation = Some(2);
            assert!(!refreshes(&synced));
            assert_eq!(next(&synced, at(NOW), &TimeZone::UTC), Due::Never);
            assert!(refreshes(&object(RefreshPolicy::Periodic, interval, None)));
        }
    }

    #[test]
    fn t14_a_closed_window_is_waited_for_without_polling() {
        let mut old = object(RefreshPolicy::Periodic, "1s", Some(100));
        let window = |kind, schedule: &str| {
            Some(SyncWindows {
                kind,
                windows: vec![SyncWindow {
                    schedule: schedule.to_owned(),
                    duration: "30m".to_owned(),
                }],
            })
        };
        // 2027-01-15T08:00:00Z.
        old.spec.sync_windows = window(WindowKind::Deny, "0 8 * * *");
        assert!(!refreshes(&old));
        assert_eq!(next(&old, at(NOW), &TimeZone::UTC), Due::At(at(NOW + 1801)));
        old.spec.sync_windows = window(WindowKind::Allow, "0 9 * * *");
        assert!(!refreshes(&old));
        assert_eq!(next(&old, at(NOW), &TimeZone::UTC), Due::At(at(NOW + 3600)));
        // A change of the object does not wait.
        old.metadata.generation = Some(2);
        assert!(refreshes(&old));
    }

    #[test]
    fn durations_that_cannot_be_read_are_named() {
        let spec = |interval: &str, durations: &[&str]| {
            let windows = durations
                .iter()
                .map(|duration| serde_json::json!({"schedule": "@daily", "duration": duration}));
            let windows: Vec<_> = windows.collect();
            let spec = serde_json::json!({"refreshInterval": interval,
                "syncWindows": {"kind": "deny", "windows": windows}});
            unreadable_duration(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(spec("1h", &["2h", "0"]), None);
        let left_out = serde_json::from_value(serde_json::json!({}));
        assert_eq!(unreadable_duration(&left_out.unwrap()), None);
        for (interval, durations, field) in [
            ("1d", &["2h"][..], "spec.refreshInterval"),
            ("", &[][..], "spec.refreshInterval"),
            ("9999999999h", &[][..], "spec.refreshInterval"),
            (
                "1h",
                &["2h", "2d"][..],
                "spec.syncWindows.windows[1].duration",
            ),
        ] {
            let fault = spec(interval, durations).unwrap();
            let rest = fault.strip_prefix(field).unwrap();
            assert!(
                rest.starts_with(" cannot be read: expected a duration"),
                "{fault}"
            );
        }
    }

    #[test]
    fn sources_refresh_only_what_time_refreshes_and_nothing_that_is_generated() {
        let follows = |object: &ExternalSecret| follows_sources(object, at(NOW), &TimeZone::UTC);
        let mut hourly = object(RefreshPolicy::Periodic, "1h", Some(1));
        assert!(follows(&hourly));
        for (policy, interval) in [
            (RefreshPolicy::CreatedOnce, "1h"),
            (RefreshPolicy::OnChange, "1h"),
            (RefreshPolicy::Periodic, "0"),
        ] {
            assert!(!follows(&object(policy, interval, Some(1))), "{policy:?}");
        }
        // 2027-01-15T08:00:00Z.
        let windows = |schedule: &str| {
            Some(SyncWindows {
                kind: WindowKind::Deny,
                windows: vec![SyncWindow {
                    schedule: schedule.to_owned(),
                    duration: "30m".to_owned(),
                }],
            })
        };
        hourly.spec.sync_windows = windows("0 8 * * *");
        assert!(!follows(&hourly));
        hourly.spec.sync_windows = windows("0 9 * * *");
        assert!(follows(&hourly));
        let generator =
            serde_json::json!([{"sourceRef": {"generatorRef": {"kind": "Password", "name": "g"}}}]);
        hourly.spec.data_from = serde_json::from_value(generator).unwrap();
        assert!(!follows(&hourly));
    }

    #[test]
    fn t8_t9_t10_only_managed_data_makes_a_target_valid() {
        let mut es = object(RefreshPolicy::Periodic, "1h", Some(1));
        let hash_of = |text: &str| Some(text.to_owned());
        let metadata = ObjectMeta {
            labels: Some([(MANAGED_LABEL.to_owned(), "true".to_owned())].into()),
            annotations: Some([(DATA_HASH_ANNOTATION.to_owned(), "h".to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert!(is_target_valid(&es, Some(&metadata), || hash_of("h")));
        assert!(!is_target_valid(&es, Some(&metadata), || hash_of("i")));
        assert!(!is_target_valid(&es, None, || hash_of("h")));
        let unmanaged = ObjectMeta {
            labels: None,
            ..metadata.clone()
        };
        assert!(!is_target_valid(&es, Some(&unmanaged), || hash_of("h")));
        es.spec.target.creation_policy = CreationPolicy::Orphan;
        assert!(is_target_valid(&es, None, || None));
    }
}

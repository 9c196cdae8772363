//! When an object is refreshed: in turn with the others that read from the same stores.
//!
//! Objects that were made one after the other would be refreshed one after the other, and each would read its keys for itself. So
//! each refresh comes up to a twentieth of the interval early, and with every refresh the objects of a store come closer together,
//! until they are refreshed in one wave and share what is read. Other stores have their waves at other times.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use sealwright_resources::external_secret::plan::Again;
use sealwright_resources::external_secret::{ExternalSecret, refresh};

use super::silence::stores_of;

/// The part of the interval by which a refresh may be early.
const EARLY: i64 = 20;

/// The turn of an object that is to be refreshed at this time.
pub(super) fn of(object: &ExternalSecret, again: Again, zone: &TimeZone) -> Again {
    let (Again::At(due), Some(phase)) = (again, phase(object)) else {
        return again;
    };
    let interval = refresh::interval(object).as_secs();
    let early = (due.as_second() - phase).rem_euclid(interval);
    let early = early.min(interval / EARLY);
    let Ok(turn) = due.checked_sub(SignedDuration::from_secs(early)) else {
        return again;
    };
    let windows = object.spec.sync_windows.as_ref();
    match windows.is_some_and(|windows| windows.block(turn, zone)) {
        true => again,
        false => Again::At(turn),
    }
}

/// When the stores of an object have their wave, in seconds of the interval.
fn phase(object: &ExternalSecret) -> Option<i64> {
    let interval = refresh::interval(object).as_secs();
    let stores = stores_of(object);
    if stores.is_empty() || interval < EARLY {
        return None;
    }
    let mut hash = DefaultHasher::new();
    stores.hash(&mut hash);
    let hash = i64::try_from(hash.finish() >> 1).unwrap_or_default();
    Some(hash % interval)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const START: i64 = 1_800_000_000;

    fn object(store: &str, interval: &str) -> ExternalSecret {
        let spec = serde_json::json!({
            "refreshInterval": interval, "secretStoreRef": {"name": store},
            "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}],
        });
        let mut object = ExternalSecret::new("es", serde_json::from_value(spec).unwrap());
        object.metadata.namespace = Some("ns".to_owned());
        object
    }

    /// The time of the next refresh of an object that was refreshed at this second.
    fn next(object: &ExternalSecret, refreshed: i64) -> i64 {
        let interval = refresh::interval(object).as_secs();
        let due = Timestamp::from_second(refreshed + interval).unwrap();
        match of(object, Again::At(due), &TimeZone::UTC) {
            Again::At(turn) => turn.as_second(),
            again => panic!("{again:?}"),
        }
    }

    #[test]
    fn objects_of_a_store_come_together_and_are_never_late() {
        let hourly = object("vault", "1h");
        let mut times: Vec<i64> = (0..60).map(|minute| START + 60 * minute).collect();
        for _ in 0..21 {
            for time in &mut times {
                let turn = next(&hourly, *time);
                assert!((3600 - 180..=3600).contains(&(turn - *time)));
                *time = turn;
            }
        }
        let mut seconds: Vec<i64> = times.iter().map(|time| time % 3600).collect();
        seconds.dedup();
        assert_eq!(seconds.len(), 1);
        // What is a little late in a wave is in the next one all the same.
        assert_eq!(next(&hourly, times[0] + 30) - next(&hourly, times[0]), 0);
        // Another store has another time.
        assert_ne!(phase(&object("other", "1h")), phase(&hourly));
    }

    #[test]
    fn short_intervals_and_objects_without_a_store_are_left_alone() {
        assert_eq!(next(&object("vault", "10s"), START), START + 10);
        let mut none = object("vault", "1h");
        none.spec.secret_store_ref = None;
        none.spec.data.clear();
        assert_eq!(next(&none, START), START + 3600);
        assert_eq!(of(&none, Again::Never, &TimeZone::UTC), Again::Never);
    }

    #[test]
    fn no_refresh_comes_early_into_a_closed_window() {
        let mut hourly = object("vault", "1h");
        let phase = phase(&hourly).unwrap();
        let wave = START - START % 3600 + phase;
        let due = Timestamp::from_second(wave + 100).unwrap();
        let turn = Timestamp::from_second(wave).unwrap();
        let zone = TimeZone::UTC;
        assert_eq!(of(&hourly, Again::At(due), &zone), Again::At(turn));
        // Closed until some seconds after the wave.
        let starts = turn.to_zoned(zone.clone()) - SignedDuration::from_mins(10);
        let open_in = 600 + 50 + i64::from(starts.second());
        let windows = serde_json::json!({"kind": "deny", "windows": [{
            "schedule": format!("{} {} * * *", starts.minute(), starts.hour()), "duration": format!("{open_in}s")}]});
        hourly.spec.sync_windows = Some(serde_json::from_value(windows).unwrap());
        assert_eq!(of(&hourly, Again::At(due), &zone), Again::At(due));
    }
}

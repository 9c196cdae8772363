//! When an object is due: from a moment to a delay, and back.

use std::time::Duration;

use jiff::Timestamp;

/// How long it is until `at`; zero if that moment has passed.
pub(super) fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
}

/// The moment at which `delay` will have passed; `None` if that is beyond the calendar.
pub(super) fn after(delay: Duration) -> Option<Timestamp> {
    Timestamp::now().checked_add(delay).ok()
}

//! Conditions: what an object's status says about it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a sealed secret at a certain point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of condition. `Synced` tells of the last attempt to unseal; `Ready`, `Reconciling`
    /// and `Stalled` say the same to tools that read kstatus.
    #[serde(rename = "type")]
    pub kind: String,
    /// Status of the condition: "True", "False", or "Unknown".
    pub status: String,
    /// The last time this condition was updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// Last time the condition transitioned from one status to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// The reason for the condition's last transition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A human readable message indicating details about the transition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Upstream's condition: the Secret was written as the object asks.
pub const SYNCED: &str = "Synced";
/// The object is fully taken care of (kstatus).
pub const READY: &str = "Ready";
/// Work is going on or will be tried again (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// Nothing more will happen until somebody changes the object or its surroundings (kstatus).
pub const STALLED: &str = "Stalled";

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    True,
    /// It does not.
    False,
    /// It is not known.
    Unknown,
}

impl Holds {
    /// The text in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Sets one condition in a list and tells whether anything but its times changed.
///
/// `lastTransitionTime` moves only when the status flips, `lastUpdateTime` with every change;
/// a condition that stays as it is keeps its times, so that nothing has to be written. The place
/// in the list stays too, because the printed columns of the CRD read the first condition.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    holds: Holds,
    reason: &str,
    message: &str,
    now: &Time,
) -> bool {
    let fresh = || Condition {
        kind: kind.to_owned(),
        status: holds.as_str().to_owned(),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    let Some(old) = get_mut(conditions, kind) else {
        if kind == SYNCED {
            conditions.insert(0, fresh());
        } else {
            conditions.push(fresh());
        }
        return true;
    };
    if old.status == holds.as_str() && old.reason == reason && old.message == message {
        return false;
    }
    let flipped = old.status != holds.as_str();
    let before = old.last_transition_time.take();
    *old = fresh();
    if !flipped && before.is_some() {
        old.last_transition_time = before;
    }
    true
}

/// Finds a condition by its type.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

fn get_mut<'a>(conditions: &'a mut [Condition], kind: &str) -> Option<&'a mut Condition> {
    conditions
        .iter_mut()
        .find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn times_move_as_upstream_does() {
        let mut list = Vec::new();
        assert!(set(&mut list, SYNCED, Holds::False, "", "no key", &at(1)));
        assert!(!set(&mut list, SYNCED, Holds::False, "", "no key", &at(2)));
        assert_eq!(list[0].last_update_time, Some(at(1)));

        assert!(set(&mut list, SYNCED, Holds::False, "", "other", &at(3)));
        assert_eq!(list[0].last_update_time, Some(at(3)));
        assert_eq!(list[0].last_transition_time, Some(at(1)));

        assert!(set(&mut list, SYNCED, Holds::True, "", "", &at(4)));
        assert_eq!(list[0].last_transition_time, Some(at(4)));
    }

    #[test]
    fn synced_comes_first_for_the_printed_columns() {
        let mut list = Vec::new();
        set(&mut list, READY, Holds::True, "Unsealed", "", &at(1));
        set(&mut list, SYNCED, Holds::True, "", "", &at(1));
        assert_eq!(list[0].kind, SYNCED);
        assert_eq!(get(&list, READY).unwrap().reason, "Unsealed");
    }

    #[test]
    fn empty_texts_are_left_out() {
        let mut list = Vec::new();
        set(&mut list, SYNCED, Holds::True, "", "", &at(0));
        assert_eq!(
            serde_json::to_string(&list[0]).unwrap(),
            r#"{"type":"Synced","status":"True","lastUpdateTime":"1970-01-01T00:00:00Z","lastTransitionTime":"1970-01-01T00:00:00Z"}"#
        );
    }
}

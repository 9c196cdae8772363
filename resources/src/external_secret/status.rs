//! What the status of an ExternalSecret says: conditions, their reasons and fixed texts.
//!
//! A message is the fixed text of the operation that failed, and behind a colon a detail only where its producer declared
//! it public: texts of stores, API servers and templates may quote secrets and never get here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The most recently observed state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// When the values were last read and written.
    #[serde(default)]
    #[schemars(extend("x-nullable" = true))]
    pub refresh_time: Option<Time>,
    /// The generation, labels and annotations that were synced last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_resource_version: Option<String>,
    /// Conditions.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub conditions: Vec<Condition>,
    /// The Secret, for the Service Binding specification.
    #[serde(default)]
    pub binding: Binding,
}

/// Names the Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Binding {
    /// Its name.
    #[serde(default)]
    #[schemars(extend("x-default" = ""))]
    pub name: String,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds: True, False or Unknown.
    pub status: String,
    /// Why, in a word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it last began or ceased to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The type of the condition that everything is reported with.
pub const READY: &str = "Ready";

/// Reason: the Secret is what the object asks for.
pub const SECRET_SYNCED: &str = "SecretSynced";
/// Reason: it is not, or nothing is known about it.
pub const SECRET_SYNCED_ERROR: &str = "SecretSyncedError";
/// Reason: the values have gone, and so has the Secret.
pub const SECRET_DELETED: &str = "SecretDeleted";
/// Reason: there is no Secret to add values to.
pub const SECRET_MISSING: &str = "SecretMissing";
/// Reason: the object of another kind is what the ExternalSecret asks for.
pub const RESOURCE_SYNCED: &str = "ResourceSynced";
/// Reason: it is not.
pub const RESOURCE_SYNCED_ERROR: &str = "ResourceSyncedError";
/// Reason: the values have gone, and so has the object.
pub const RESOURCE_DELETED: &str = "ResourceDeleted";
/// Reason: there is no object to add values to.
pub const RESOURCE_MISSING: &str = "ResourceMissing";

/// Message: all is well.
pub const SYNCED: &str = "secret synced";
/// Message: the values have gone, the Secret stays.
pub const RETAINED: &str = "secret retained due to DeletionPolicy=Retain";
/// Message: the values have gone, and so has the Secret.
pub const DELETED: &str = "secret deleted due to DeletionPolicy=Delete";
/// Message: there is no Secret to add values to.
pub const MISSING: &str = "secret will not be created due to CreationPolicy=Merge";
/// Message: there is no object to add values to.
pub const RESOURCE_IS_MISSING: &str = "resource will not be created due to CreationPolicy=Merge";
/// Message: the values could not be read.
pub const NO_DATA: &str = "could not get secret data from provider";
/// Message: the Secret could not be made or written.
pub const NOT_UPDATED: &str = "could not update secret";
/// Message: the Secret could not be deleted.
pub const NOT_DELETED: &str = "could not delete secret";
/// Message: Secrets of earlier names could not be deleted.
pub const ORPHANS_LEFT: &str = "could not delete orphaned secrets";
/// Message: something else controls the Secret.
pub const NOT_OWNED: &str = "failed to take ownership of target secret";
/// Message: another ExternalSecret controls the Secret.
pub const OWNED_BY_OTHER: &str = "target is owned by another ExternalSecret";
/// Message: the Secret cannot change.
pub const IMMUTABLE: &str = "could not update secret, target is immutable";
/// Message: a target of another kind is not allowed or not possible.
pub const INVALID_GENERIC: &str = "invalid generic target";

/// Message: the object of another kind cannot be read.
pub const NO_RESOURCE: &str = "could not get target resource";
/// Message: the object of another kind could not be made.
pub const NOT_APPLIED: &str = "could not apply template to manifest";
/// Message: the object of another kind could not be deleted.
pub const RESOURCE_NOT_DELETED: &str = "could not delete resource";

/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 256;

/// Joins the fixed text of an operation and a public detail.
#[must_use]
pub fn message(fixed: &str, detail: Option<&str>) -> String {
    let Some(detail) = detail.filter(|detail| !detail.is_empty()) else {
        return fixed.to_owned();
    };
    let whole: String = format!("{fixed}: {detail}")
        .chars()
        .map(|rune| if rune.is_control() { '\u{fffd}' } else { rune })
        .collect();
    if whole.chars().count() <= LONGEST_MESSAGE {
        return whole;
    }
    let mut cut: String = whole.chars().take(LONGEST_MESSAGE - 3).collect();
    cut.push_str("...");
    cut
}

/// Sets a condition; the time moves only when its status flips. Returns true if anything changed.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &Time,
) -> bool {
    let old = conditions.iter().find(|condition| condition.kind == kind);
    let mut since = now.clone();
    if let Some(old) = old
        && old.status == status
    {
        if old.reason.as_deref() == Some(reason) && old.message.as_deref() == Some(message) {
            return false;
        }
        since = old.last_transition_time.clone().unwrap_or(since);
    }
    conditions.retain(|condition| condition.kind != kind);
    conditions.push(Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since),
    });
    true
}

/// Looks a condition up by its type.
#[must_use]
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// The types of the conditions, and whether each is True.
#[must_use]
pub fn truths(conditions: &[Condition]) -> Vec<(&str, bool)> {
    let truths = conditions.iter();
    truths
        .map(|condition| (condition.kind.as_str(), condition.status == "True"))
        .collect()
}

/// Returns true if the list says that the object is ready.
#[must_use]
pub fn is_ready(conditions: &[Condition]) -> bool {
    condition(conditions, READY).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_time_moves_when_the_status_flips() {
        let mut list = Vec::new();
        assert!(set_condition(&mut list, READY, "False", "a", "m", &at(1)));
        assert!(!set_condition(&mut list, READY, "False", "a", "m", &at(2)));
        assert!(set_condition(&mut list, READY, "False", "a", "n", &at(3)));
        assert_eq!(list[0].last_transition_time, Some(at(1)));
        assert!(set_condition(&mut list, READY, "True", "b", "", &at(4)));
        assert_eq!(list[0].last_transition_time, Some(at(4)));
        assert_eq!(list.len(), 1);
        assert!(is_ready(&list));
    }

    #[test]
    fn a_status_is_written_as_upstream_writes_it() {
        let text = serde_json::to_string(&Status::default()).unwrap();
        assert_eq!(text, r#"{"refreshTime":null,"binding":{"name":""}}"#);
        let read: Status = serde_json::from_str(r#"{"conditions":null}"#).unwrap();
        assert_eq!(read, Status::default());
    }

    #[test]
    fn messages_are_cut_at_characters_and_have_no_control_characters() {
        assert_eq!(message(NO_DATA, None), NO_DATA);
        assert_eq!(message("a", Some("b\u{1b}\nc")), "a: b\u{fffd}\u{fffd}c");
        let cut = message("a", Some(&"ж".repeat(400)));
        assert_eq!(cut.chars().count(), 256);
        assert!(cut.ends_with("ж..."));
    }
}

//! GeneratorStates: what a generator made on a server and has to take back one day.
//!
//! An object that is refreshed keeps the newest state; older ones get a deadline, and the value that they stand for is
//! revoked when it has passed.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::external_secret::hash;
use crate::external_secret::status::Condition;

/// The kind, as objects carry it.
pub const KIND: &str = "GeneratorState";
/// On a state: whose it is.
pub const OWNER_LABEL: &str = "generators.external-secrets.io/owner-key";
/// Keeps a state until what it stands for has been revoked.
pub const FINALIZER: &str = "generatorstate.externalsecrets.io/finalizer";
/// The key of the states of a PushSecret.
pub const PUSH_KEY: &str = "__pushsecret";

/// GeneratorStateSpec says what was made, and until when it is kept.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "GeneratorState",
    plural = "generatorstates",
    shortname = "gs",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    status = "GeneratorStateStatus",
    derive = "PartialEq",
    doc = "GeneratorState is what a generator made on a server. With its deletion it is revoked there.",
    printcolumn = r#"{"jsonPath": ".spec.garbageCollectionDeadline", "name": "GC Deadline", "type": "string"}"#,
    printcolumn = r#"{"jsonPath": ".metadata.creationTimestamp", "name": "Age", "type": "date"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorStateSpec {
    /// When it is deleted. Without one it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub garbage_collection_deadline: Option<Time>,
    /// The generator as it was.
    #[schemars(schema_with = "free_form")]
    pub resource: Value,
    /// What the generator needs to find what it made.
    #[schemars(schema_with = "free_form")]
    pub state: Value,
}

fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// Nothing writes it; upstream's objects may have one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorStateStatus {
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The value of the owner label: of an object, and of the entry in it that asks for the generator.
#[must_use]
pub fn owner_key(kind: &str, namespace: &str, name: &str, entry: &str) -> String {
    hash::of_text(&format!("{kind}-{namespace}-{name}-{entry}"))
}

/// The states that get a deadline when a new one is about to be made: all without one, except the newest.
///
/// Two values are good between two refreshes, so that what still uses the older one has a whole interval to notice (T39).
#[must_use]
pub fn outdated(states: &[GeneratorState]) -> Vec<&GeneratorState> {
    let mut kept: Vec<&GeneratorState> = states
        .iter()
        .filter(|state| state.spec.garbage_collection_deadline.is_none())
        .filter(|state| state.metadata.deletion_timestamp.is_none())
        .collect();
    // Of those of the same second the greater name counts as newer, for want of anything better.
    kept.sort_by_key(|state| {
        let created = state.metadata.creation_timestamp.as_ref();
        (
            created.map(|created| created.0),
            state.metadata.name.clone(),
        )
    });
    kept.pop();
    kept
}

/// The deadline of a state that is outdated now.
#[must_use]
pub fn deadline(now: Timestamp, grace: SignedDuration) -> Timestamp {
    let deadline = now.checked_add(grace).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(deadline.as_second()).unwrap_or(deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, created: i64, deadline: Option<i64>) -> GeneratorState {
        let at = |second| Time(Timestamp::from_second(second).unwrap());
        let mut state = GeneratorState::new(
            name,
            GeneratorStateSpec {
                garbage_collection_deadline: deadline.map(at),
                ..GeneratorStateSpec::default()
            },
        );
        state.metadata.creation_timestamp = Some(at(created));
        state
    }

    #[test]
    fn t39_the_newest_state_and_those_with_a_deadline_are_left_alone() {
        let states = [
            state("b", 20, None),
            state("a", 10, None),
            state("d", 40, Some(50)),
            state("c", 30, None),
        ];
        let names: Vec<_> = outdated(&states)
            .into_iter()
            .map(|state| state.metadata.name.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(outdated(&states[3..]).is_empty());
        assert!(outdated(&[]).is_empty());
    }

    #[test]
    fn the_owner_key_is_upstreams() {
        assert_eq!(
            owner_key("ExternalSecret", "default", "example", "0"),
            "68acf9d5252a84c1f971baf160e2470900799587dc9f655c73d21eab"
        );
    }
}

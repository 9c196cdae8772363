//! Settings of the store that holds its values in its manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A store for tests and examples: its values stand in the manifest (`provider.fake`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FakeSettings {
    /// The values.
    pub data: Vec<FakeValue>,
    /// What validation answers: 0 is ready, 1 unknown, 2 an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<i32>,
}

/// One value of the fake store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FakeValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

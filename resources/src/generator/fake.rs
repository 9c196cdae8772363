//! Values that stand in the generator itself.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_crypto::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use super::Values;

/// FakeSpec holds the values.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "Fake",
    plural = "fakes",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    doc = "Fake gives the values that stand in it, for tests."
)]
pub struct FakeSpec {
    /// The controller that uses this generator; any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

impl FakeSpec {
    /// Gives the values.
    #[must_use]
    pub fn generate(&self) -> Values {
        let data = self.data.iter();
        data.map(|(key, value)| (key.clone(), SecretBytes::copy_of(value.as_bytes())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_the_object() {
        let spec: FakeSpec = serde_json::from_str(r#"{"data": {"foo": "bar"}}"#).unwrap();
        assert_eq!(spec.generate()["foo"].expose(), b"bar");
    }
}

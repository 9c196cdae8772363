//! The CustomResourceDefinitions of stores.

use serde_json::{Value, json};

use super::{ClusterSecretStore, SecretStore};
use crate::definition::{Definition, Older};

/// Builds the CustomResourceDefinition of SecretStores.
#[must_use]
pub fn secret_store_definition(serve_v1beta1: bool) -> Value {
    finished(Definition::of::<SecretStore>(), serve_v1beta1)
}

/// Builds the CustomResourceDefinition of ClusterSecretStores.
#[must_use]
pub fn cluster_secret_store_definition(serve_v1beta1: bool) -> Value {
    finished(Definition::of::<ClusterSecretStore>(), serve_v1beta1)
}

fn finished(definition: Definition, serve_v1beta1: bool) -> Value {
    definition
        .required_spec(false)
        .put(
            "/properties/spec/properties/refreshInterval",
            json!({
                "description": "The time between two validations of the store: seconds, or a number with a unit. Empty or 0 is the controller's own.",
                "x-kubernetes-int-or-string": true,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
            }),
        )
        .older(Older::Store, serve_v1beta1)
        .finish()
}

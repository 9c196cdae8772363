//! The CustomResourceDefinition of the ExternalSecret.

use serde_json::Value;

use super::ExternalSecret;
use crate::definition::{Definition, Older};

/// Builds the CustomResourceDefinition; v1beta1 is served on demand only.
#[must_use]
pub fn custom_resource_definition(serve_v1beta1: bool) -> Value {
    Definition::of::<ExternalSecret>()
        .required_spec(false)
        .put(
            "/properties/status/properties/conditions/items/properties/type/enum",
            serde_json::json!(["Ready", "Deleted"]),
        )
        .older(Older::ExternalSecret, serve_v1beta1)
        .finish()
}

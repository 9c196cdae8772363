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
        .complete_providers()
        .older(Older::Store, serve_v1beta1)
        .finish()
}

impl Definition {
    /// Adds what upstream's schemas of providers say besides the types: rules between fields, formats, and defaults that
    /// the API server writes.
    fn complete_providers(mut self) -> Self {
        for (place, value) in RULES {
            let value = serde_json::from_str(value).expect("the rules are JSON");
            let place = format!("/properties/spec/properties/provider/properties/{place}");
            self = self.put(&place, value);
        }
        self
    }
}

/// By their places: parts of schemas.
const RULES: &[(&str, &str)] = &[
    (
        "aws/properties/customSessionTags/x-kubernetes-validations",
        r#"[{"message": "customSessionTags cannot contain automatically injected reserved keys: esoNamespace, esoStoreName, esoStoreKind",
            "rule": "!('esoNamespace' in self) && !('esoStoreName' in self) && !('esoStoreKind' in self)"}]"#,
    ),
    ("aws/properties/sessionTagsPolicy/default", r#""None""#),
    ("kubernetes/properties/auth/maxProperties", "1"),
    ("kubernetes/properties/auth/minProperties", "1"),
    (
        "kubernetes/properties/auth/properties/cert/required",
        r#"["clientCert", "clientKey"]"#,
    ),
    (
        "kubernetes/properties/auth/properties/token/required",
        r#"["bearerToken"]"#,
    ),
    (
        "kubernetes/properties/remoteNamespace/default",
        r#""default""#,
    ),
    (
        "kubernetes/properties/server/properties/caBundle/format",
        r#""byte""#,
    ),
    (
        "kubernetes/properties/server/properties/url/default",
        r#""kubernetes.default""#,
    ),
    (
        "openBao/properties/auth/properties/appRole/properties/roleId/minLength",
        "1",
    ),
    (
        "openBao/properties/auth/properties/appRole/x-kubernetes-validations",
        r#"[{"message": "exactly one of the fields in [roleId roleRef] must be set",
            "rule": "[has(self.roleId),has(self.roleRef)].filter(x,x==true).size() == 1"}]"#,
    ),
    (
        "openBao/properties/auth/x-kubernetes-validations",
        r#"[{"message": "exactly one of the fields in [appRole tokenSecretRef userPass kubernetes] must be set",
            "rule": "[has(self.appRole),has(self.tokenSecretRef),has(self.userPass),has(self.kubernetes)].filter(x,x==true).size() == 1"}]"#,
    ),
    ("openBao/properties/caBundle/format", r#""byte""#),
    (
        "openBao/x-kubernetes-validations",
        r#"[{"message": "at most one of the fields in [caBundle caProvider] may be set",
            "rule": "[has(self.caBundle),has(self.caProvider)].filter(x,x==true).size() <= 1"}]"#,
    ),
    (
        "vault/properties/auth/properties/cert/properties/path/default",
        r#""cert""#,
    ),
    ("vault/properties/caBundle/format", r#""byte""#),
    ("webhook/properties/auth/maxProperties", "1"),
    ("webhook/properties/auth/minProperties", "1"),
    ("webhook/properties/caBundle/format", r#""byte""#),
];

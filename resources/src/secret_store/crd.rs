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
    ("azurekv/properties/useAzureSDK/default", "false"),
    (
        "doppler/properties/auth/x-kubernetes-validations",
        r#"[{"message": "Exactly one of 'secretRef' or 'oidcConfig' must be specified",
            "rule": "(has(self.secretRef) && !has(self.oidcConfig)) || (!has(self.secretRef) && has(self.oidcConfig))"}]"#,
    ),
    (
        "gcpsm/properties/auth/properties/workloadIdentity/required",
        r#"["serviceAccountRef"]"#,
    ),
    (
        "gcpsm/properties/secretVersionSelectionPolicy",
        r#"{"description": "What to do when the newest version of a secret is disabled or destroyed.",
            "type": "string", "default": "LatestOrFail"}"#,
    ),
    ("gitlab/properties/auth/required", r#"["SecretRef"]"#),
    ("gitlab/required", r#"["auth"]"#),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_ask_for_what_upstreams_ask_for() {
        for definition in [
            secret_store_definition(false),
            cluster_secret_store_definition(false),
        ] {
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let providers = &schema["properties"]["spec"]["properties"]["provider"]["properties"];
            let at = |place: &str| {
                let found = providers.pointer(place);
                found.unwrap_or_else(|| panic!("no {place}"))
            };
            assert_eq!(at("/gitlab/required"), &json!(["auth"]));
            let token = at("/gitlab/properties/auth/required");
            assert_eq!(token, &json!(["SecretRef"]));
            let rule = at("/doppler/properties/auth/x-kubernetes-validations/0/rule");
            assert!(rule.as_str().unwrap().contains("oidcConfig"));
            let sdk = at("/azurekv/properties/useAzureSDK/default");
            assert_eq!(sdk, &json!(false));
            let google = at("/gcpsm/properties/auth/properties");
            let identity = &google["workloadIdentity"]["required"];
            assert_eq!(*identity, json!(["serviceAccountRef"]));
            let federation = &google["workloadIdentityFederation"]["properties"];
            assert_eq!(federation["gcpServiceAccountEmail"]["minLength"], 1);
            let policy = at("/gcpsm/properties/secretVersionSelectionPolicy");
            assert_eq!(policy["default"], "LatestOrFail");
            assert!(policy.get("enum").is_none(), "{policy}");
        }
    }
}

//! Random UUIDs of version 4.

use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_crypto::secret::SecretBytes;
use sealwright_template::uuid::version_4;
use serde::{Deserialize, Serialize};

use super::random::fill;
use super::{GeneratorError, Values};

/// UUIDSpec has nothing to be set.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "UUID",
    root = "Uuid",
    plural = "uuids",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    doc = "UUID makes a random UUID."
)]
pub struct UuidSpec {}

impl UuidSpec {
    /// Makes a UUID, under the key `uuid`.
    ///
    /// # Errors
    ///
    /// Fails if the system has no randomness.
    pub fn generate(&self) -> Result<Values, GeneratorError> {
        let mut id = [0u8; 16];
        fill(&mut id)?;
        let text = SecretBytes::from(version_4(id).into_bytes());
        Ok(Values::from([("uuid".to_owned(), text)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_version_4() {
        let values = UuidSpec {}.generate().unwrap();
        let text = String::from_utf8(values["uuid"].expose().to_vec()).unwrap();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&text.as_bytes()[19]));
        assert!(values["uuid"] != UuidSpec {}.generate().unwrap()["uuid"]);
    }
}

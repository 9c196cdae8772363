//! AWS KMS: data keys of files are wrapped by a key that never leaves the service.

use std::collections::BTreeMap;

use sealwright_crypto::secret::SecretBytes;

use super::api::{Api, Body, KEY_SERVICE, bytes_in};
use super::sign_in::{Role, SignIn};
use crate::outcome::{StoreError, Trouble, shown};

/// A key of AWS KMS, and as whom it is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KmsKey {
    /// The ARN of the key or of an alias.
    pub arn: String,
    /// The role that is assumed.
    pub role: Option<String>,
    /// What the ciphertext is bound to; it is stored in clear.
    pub context: BTreeMap<String, String>,
    /// The profile of the shared configuration.
    pub profile: Option<String>,
}

impl KmsKey {
    /// Returns the region that the ARN names.
    ///
    /// # Errors
    ///
    /// When it is no ARN of a key.
    pub fn region(&self) -> Result<&str, StoreError> {
        region_of(&self.arn).ok_or_else(|| {
            StoreError::invalid(format!(
                "{} is no ARN of a key of AWS KMS",
                shown(&self.arn)
            ))
            .with_hint("an ARN reads arn:aws:kms:REGION:ACCOUNT:key/ID or …:alias/NAME")
        })
    }
}

/// The region in `arn:aws…:kms:<region>:<account>:key|alias/<name>`.
fn region_of(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:aws")?;
    let (partition, rest) = rest.split_once(":kms:")?;
    let of_partition = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let (key, name) = rest
        .split_once(":key/")
        .or_else(|| rest.split_once(":alias/"))?;
    let (region, account) = key.rsplit_once(':')?;
    let of_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (partition.bytes().all(of_partition)
        && !region.is_empty()
        && region.bytes().all(of_region)
        && !account.is_empty()
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !name.is_empty())
    .then_some(region)
}

/// The key service in one region, under one identity. Signs in once for all keys that it is asked for.
#[derive(Debug)]
pub struct KeyService(Api);

impl KeyService {
    /// Connects for `key`; other keys of the same region, role and profile can be used with it, too. `host` is the name of
    /// this machine, which the session of a role carries.
    ///
    /// # Errors
    ///
    /// When the key is none of AWS KMS.
    pub fn connect(key: &KmsKey, host: &str) -> Result<Self, StoreError> {
        let region = key.region()?;
        let role = key
            .role
            .as_deref()
            .filter(|arn| !arn.is_empty())
            .map(|arn| Role {
                arn: arn.to_owned(),
                session_name: Some(session_name(host)),
                ..Role::default()
            });
        let sign_in = SignIn::of_surroundings(region, key.profile.as_deref(), role)?;
        Ok(Self(Api::new(KEY_SERVICE, region, sign_in, None)?))
    }

    /// Wraps `plain`, and returns what AWS calls the ciphertext blob.
    ///
    /// # Errors
    ///
    /// Says what was refused and what permission it takes.
    pub async fn encrypt(&self, key: &KmsKey, plain: &SecretBytes) -> Result<Vec<u8>, StoreError> {
        let body = with_context(Body::new().text("KeyId", &key.arn), key)
            .secret_bytes("Plaintext", plain.expose());
        let reply = self.0.call("Encrypt", body).await?;
        match bytes_in(reply.json(), "CiphertextBlob")? {
            Some(blob) if !blob.is_empty() => Ok(blob.expose().to_vec()),
            _ => Err(self.malformed("CiphertextBlob")),
        }
    }

    /// Unwraps a ciphertext blob.
    ///
    /// # Errors
    ///
    /// Says what was refused and what permission it takes.
    pub async fn decrypt(&self, key: &KmsKey, blob: &[u8]) -> Result<SecretBytes, StoreError> {
        // The blob is no secret; the same writer spells it.
        let body = with_context(Body::new().text("KeyId", &key.arn), key)
            .secret_bytes("CiphertextBlob", blob);
        let reply = self.0.call("Decrypt", body).await?;
        match bytes_in(reply.json(), "Plaintext")? {
            Some(plain) if !plain.is_empty() => Ok(plain),
            _ => Err(self.malformed("Plaintext")),
        }
    }

    fn malformed(&self, field: &str) -> StoreError {
        StoreError::new(Trouble::Malformed, format!("the answer has no `{field}`"))
            .at_store(self.0.describe())
    }
}

fn with_context(body: Body, key: &KmsKey) -> Body {
    match key.context.is_empty() {
        true => body,
        false => body.value("EncryptionContext", &serde_json::json!(key.context)),
    }
}

/// The name of a session: `sops@` and the machine's name, without what upstream's pattern leaves out.
fn session_name(host: &str) -> String {
    // The class has a range from `@` to `_`, so hyphens go and `[ \ ] ^` would stay; AWS refuses those, so they go here.
    let kept = |character: &char| {
        character.is_ascii_alphanumeric() || matches!(character, '=' | ',' | '.' | '@' | '_')
    };
    format!("sops@{host}")
        .chars()
        .filter(kept)
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_from_arns() {
        assert_eq!(
            region_of("arn:aws:kms:eu-west-1:123456789012:key/x"),
            Some("eu-west-1")
        );
        assert_eq!(
            region_of("arn:aws-us-gov:kms:us-gov-west-1:1:alias/a/b"),
            Some("us-gov-west-1")
        );
        for wrong in [
            "arn:aws:kms:eu-west-1:x:key/y",
            "arn:aws:s3:eu-west-1:1:key/y",
            "arn:aws:kms:eu-west-1:1:key/",
            "arn:aws:kms:evil.example/:1:key/y",
            "",
        ] {
            assert_eq!(region_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sessions_are_named_for_the_machine() {
        assert_eq!(session_name("build-7.example"), "sops@build7.example");
        assert_eq!(session_name(&"h".repeat(100)).len(), 64);
    }
}

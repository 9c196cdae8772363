//! AWS KMS: data keys of files are wrapped by a key that never leaves the service.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{AWS_KMS, KeyFields, KeyKind};
use sealwright_crypto::master_key::{KeyError, MasterKey, Opener, Pending, Wrapped};
use sealwright_crypto::secret::SecretBytes;

use super::api::{Api, Bounds};
use super::service::KEY_SERVICE;
use super::sign_in::{Role, SignIn};
use crate::message::{Body, Reply, bytes_in};
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
        Ok(Self(Api::new(
            KEY_SERVICE,
            region,
            sign_in,
            Bounds::default(),
        )?))
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
        let blob = self.bytes(&reply, "CiphertextBlob")?;
        Ok(blob.expose().to_vec())
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
        self.bytes(&reply, "Plaintext")
    }

    fn bytes(&self, reply: &Reply, field: &str) -> Result<SecretBytes, StoreError> {
        let bytes = bytes_in(reply.json(), field, &STANDARD);
        let bytes = bytes.and_then(|bytes| match bytes.is_empty() {
            false => Ok(bytes),
            true => Err(StoreError::new(
                Trouble::Malformed,
                format!("the `{field}` of the answer is empty"),
            )),
        });
        bytes.map_err(|error| error.at_store(self.0.describe()))
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

/// Opens keys of AWS KMS. Keys of one region, role and profile share one sign-in and its connections.
#[derive(Default)]
pub struct AwsKms(Arc<Services>);

#[derive(Default)]
struct Services(Mutex<HashMap<Reached, Arc<KeyService>>>);

/// By which way keys are reached: region, role and profile.
type Reached = (String, Option<String>, Option<String>);

impl Services {
    fn of(&self, key: &KmsKey) -> Result<Arc<KeyService>, StoreError> {
        let reached = (
            key.region()?.to_owned(),
            key.role.clone(),
            key.profile.clone(),
        );
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = services.get(&reached) {
            return Ok(Arc::clone(service));
        }
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let service = Arc::new(KeyService::connect(key, &host)?);
        services.insert(reached, Arc::clone(&service));
        Ok(service)
    }
}

impl Opener for AwsKms {
    fn kind(&self) -> &'static KeyKind {
        &AWS_KMS
    }

    fn is_far(&self) -> bool {
        true
    }

    fn open(&self, fields: &KeyFields) -> Arc<dyn MasterKey> {
        let text = |name| Some(fields.text(name).to_owned()).filter(|text| !text.is_empty());
        Arc::new(AwsKmsKey {
            key: KmsKey {
                arn: fields.text("arn").to_owned(),
                role: text("role"),
                context: fields.map("context").clone(),
                profile: text("aws_profile"),
            },
            identity: fields.identity(),
            services: Arc::clone(&self.0),
        })
    }
}

struct AwsKmsKey {
    key: KmsKey,
    identity: String,
    services: Arc<Services>,
}

impl MasterKey for AwsKmsKey {
    fn kind(&self) -> &'static KeyKind {
        &AWS_KMS
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn is_far(&self) -> bool {
        true
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let service = self.services.of(&self.key).map_err(key_error)?;
            let plain = SecretBytes::copy_of(part.expose());
            let blob = service
                .encrypt(&self.key, &plain)
                .await
                .map_err(key_error)?;
            Ok(Wrapped(STANDARD.encode(blob)))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let blob = STANDARD.decode(wrapped.0.trim()).map_err(|_| {
                KeyError::new("the wrapped key of the file is no base64, as AWS KMS keys have it")
            })?;
            let service = self.services.of(&self.key).map_err(key_error)?;
            let plain = service.decrypt(&self.key, &blob).await.map_err(key_error)?;
            Ok(Some(KeyPart::copy_of(plain.expose())))
        })
    }
}

fn key_error(error: StoreError) -> KeyError {
    let hint = error.hint().map(str::to_owned);
    KeyError {
        reason: error.to_string(),
        tried: hint.into_iter().collect(),
    }
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

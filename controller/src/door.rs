//! What strangers may ask: the certificate, whether a SealedSecret opens, and the same
//! SealedSecret under the newest key.
//!
//! Templates are never run here (a template that strangers choose would tell them about values,
//! bit by bit), and nothing of a value is in any answer or log line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Bytes;
use sealwright_resources::sealed_secret::{
    API_VERSION, KIND, Refresh, SealError, SealedSecret, UnsealError, UnsealOptions, reseal, verify,
};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::keys::SealingKeys;
use crate::pool::{Panicked, Pool};

/// Answers strangers.
pub(crate) struct Door {
    keys: Arc<SealingKeys>,
    pool: Arc<Pool>,
    /// Strangers get a part of the pool, so that they cannot hold up the cluster's own work.
    share: Semaphore,
    accept_deprecated_data: bool,
    ready: AtomicBool,
}

/// A SealedSecret under the newest key, as compact JSON without `apiVersion` and `kind`.
pub(crate) struct Rotated(pub(crate) String);

/// Why a stranger gets no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DoorError {
    /// More than one YAML document.
    #[error("Multistream YAML not supported yet")]
    SeveralDocuments,
    /// Not an object at all.
    #[error("the body is neither JSON nor YAML of a SealedSecret")]
    Unreadable,
    /// No `kind` or `apiVersion`, or others.
    #[error("unexpected resource type: {api_version}, Kind={kind}")]
    OtherKind {
        /// The group and version in the body.
        api_version: String,
        /// The kind in the body.
        kind: String,
    },
    /// There is no key to seal with.
    #[error("error getting latest private key. key registry has no keys")]
    NoKeys,
    /// The values do not open.
    #[error("error decrypting secret. {0}")]
    Unseal(String),
    /// The values do not seal.
    #[error("error creating new sealed secret. {0}")]
    Seal(String),
    /// A fault of this program.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Door {
    pub(crate) fn new(
        keys: Arc<SealingKeys>,
        pool: Arc<Pool>,
        accept_deprecated_data: bool,
    ) -> Self {
        let share = Semaphore::new((pool.threads() / 2).max(1));
        Self {
            keys,
            pool,
            share,
            accept_deprecated_data,
            ready: AtomicBool::new(false),
        }
    }

    /// From now on the readiness probe succeeds.
    pub(crate) fn open(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// C81.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The certificate to seal with.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.keys.certificate()
    }

    /// Tells whether every value opens in this place.
    pub(crate) async fn verify(&self, body: Bytes) -> Result<bool, DoorError> {
        self.with_keys(body, |sealed, keys, options| {
            Ok(keys.with(|ring| verify(&sealed, ring, &options)).is_ok())
        })
        .await
    }

    /// Seals every value anew, without a look at the template.
    pub(crate) async fn rotate(&self, body: Bytes) -> Result<Rotated, DoorError> {
        self.with_keys(body, |sealed, keys, options| {
            keys.with(|ring| {
                // C84: undecryptable comes before keyless.
                verify_first(ring.is_empty(), &sealed)?;
                let to = ring.newest().ok_or(DoorError::NoKeys)?;
                let to = to.certificate().ok_or(DoorError::NoKeys)?;
                let renewed = reseal(&sealed, ring, to, Refresh::All, &options).map_err(refused)?;
                if renewed.realigned {
                    tracing::warn!(
                        namespace = sealed.metadata.namespace.as_deref().unwrap_or_default(),
                        name = sealed.metadata.name.as_deref().unwrap_or_default(),
                        "Sealed Secret metadata doesn't match. Please align your Sealed Secret metadata"
                    );
                }
                let mut json = serde_json::to_value(&renewed.sealed)
                    .map_err(|error| DoorError::Seal(error.to_string()))?;
                if let Some(fields) = json.as_object_mut() {
                    fields.remove("apiVersion");
                    fields.remove("kind");
                }
                Ok(Rotated(json.to_string()))
            })
        })
        .await
    }

    async fn with_keys<T: Send + 'static>(
        &self,
        body: Bytes,
        work: impl FnOnce(
            SealedSecret,
            Arc<SealingKeys>,
            UnsealOptions<'static>,
        ) -> Result<T, DoorError>
        + Send
        + 'static,
    ) -> Result<T, DoorError> {
        let _share = self.share.acquire().await.expect("never closed");
        let keys = Arc::clone(&self.keys);
        let options = UnsealOptions {
            accept_deprecated_data: self.accept_deprecated_data,
            remembered: None,
        };
        self.pool
            .run(move || work(decode(&body)?, keys, options))
            .await?
    }
}

fn verify_first(empty: bool, sealed: &SealedSecret) -> Result<(), DoorError> {
    match empty && sealed.spec.encrypted_data.is_empty() && sealed.spec.data.is_none() {
        true => Err(DoorError::NoKeys),
        false if empty => Err(DoorError::Unseal("no key could decrypt secret".to_owned())),
        false => Ok(()),
    }
}

fn refused(error: SealError) -> DoorError {
    match error {
        SealError::Unseal(UnsealError::Items(items)) => DoorError::Unseal(items.to_string()),
        SealError::Unseal(error) => DoorError::Unseal(error.to_string()),
        error => DoorError::Seal(error.to_string()),
    }
}

/// Reads one SealedSecret in JSON or YAML; unlike in a watch, kind and version must be there.
fn decode(body: &[u8]) -> Result<SealedSecret, DoorError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Type {
        api_version: String,
        kind: String,
    }
    let text = std::str::from_utf8(body).map_err(|_| DoorError::Unreadable)?;
    let json: serde_json::Value = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|_| DoorError::Unreadable)?,
        false => yaml(text)?,
    };
    let Type { api_version, kind } =
        serde_json::from_value(json.clone()).map_err(|_| DoorError::Unreadable)?;
    if api_version != API_VERSION || kind != KIND {
        return Err(DoorError::OtherKind { api_version, kind });
    }
    serde_json::from_value(json).map_err(|_| DoorError::Unreadable)
}

fn yaml(text: &str) -> Result<serde_json::Value, DoorError> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|_| DoorError::Unreadable)?;
    let mut documents = documents.into_iter().filter(|document| !document.is_null());
    let first = documents.next().ok_or(DoorError::Unreadable)?;
    match documents.next() {
        Some(_) => Err(DoorError::SeveralDocuments),
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::sealing::{Certificate, PrivateKey};
    use sealwright_crypto::secret::SecretBytes;
    use sealwright_resources::keyring::SealingKey;
    use sealwright_resources::plain_secret::PlainSecret;
    use sealwright_resources::scope::Scope;
    use sealwright_resources::sealed_secret::seal;

    use super::*;

    fn door(with_key: bool) -> (Door, Certificate) {
        let key = PrivateKey::generate(2048).unwrap();
        let certificate = Certificate::self_signed(&key, "", 1_700_000_000, 60).unwrap();
        let copy = Certificate::from_der(certificate.der()).unwrap();
        let keys = Arc::new(SealingKeys::new());
        if with_key {
            keys.insert(SealingKey::new("k", key, certificate, 1));
        }
        (Door::new(keys, Arc::new(Pool::start()), true), copy)
    }

    fn sealed(to: &Certificate) -> serde_json::Value {
        let mut secret = PlainSecret::named("ns", "a");
        secret.insert("foo", SecretBytes::copy_of(b"bar"));
        serde_json::to_value(seal(&secret, to, Scope::Strict).unwrap()).unwrap()
    }

    fn body(json: &serde_json::Value) -> Bytes {
        Bytes::from(json.to_string())
    }

    #[tokio::test]
    async fn i41_t23_verify_only_decrypts() {
        let (door, certificate) = door(true);
        let mut json = sealed(&certificate);
        json["spec"]["template"]["data"] = serde_json::json!({"x": "{{ fail \"no\" }}"});
        assert!(door.verify(body(&json)).await.unwrap());
        json["metadata"]["name"] = "b".into();
        assert!(!door.verify(body(&json)).await.unwrap());
    }

    #[tokio::test]
    async fn i42_t47_rotate_keeps_template_data_and_runs_nothing() {
        let (door, certificate) = door(true);
        let mut json = sealed(&certificate);
        let data = serde_json::json!({"x": "{{ fail .foo }}"});
        json["spec"]["template"]["data"] = data.clone();
        let Rotated(text) = door.rotate(body(&json)).await.unwrap();
        let rotated: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(rotated.get("kind").is_none() && rotated.get("apiVersion").is_none());
        assert_eq!(rotated["spec"]["template"]["data"], data);
        assert_eq!(
            rotated["spec"]["encryptedData"].as_object().unwrap().len(),
            1
        );
        assert_ne!(
            rotated["spec"]["encryptedData"]["foo"],
            json["spec"]["encryptedData"]["foo"]
        );
    }

    #[tokio::test]
    async fn t1_a_template_cannot_widen_the_scope_in_rotate() {
        let (door, certificate) = door(true);
        let mut json = sealed(&certificate);
        json["spec"]["template"]["metadata"]["annotations"] =
            serde_json::json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        let Rotated(text) = door.rotate(body(&json)).await.unwrap();
        assert!(!text.contains("cluster-wide"));
    }

    #[tokio::test]
    async fn c84_i46_without_keys_there_are_errors_and_no_crash() {
        let (door, certificate) = door(false);
        let json = sealed(&certificate);
        assert!(door.certificate().is_none());
        assert!(!door.verify(body(&json)).await.unwrap());
        assert!(door.rotate(body(&json)).await.is_err());
        let mut none = json;
        none["spec"]["encryptedData"] = serde_json::json!({});
        assert!(door.verify(body(&none)).await.unwrap());
        let error = door.rotate(body(&none)).await.err().unwrap();
        assert!(error.to_string().ends_with("key registry has no keys"));
    }

    #[test]
    fn c65_kind_is_required_and_streams_are_refused() {
        let yaml = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a, namespace: b}\nspec: {encryptedData: {}}\n";
        assert!(decode(yaml.as_bytes()).is_ok());
        assert!(decode(format!("---\n{yaml}---\n").as_bytes()).is_ok());
        let twice = format!("{yaml}---\n{yaml}");
        assert!(matches!(
            decode(twice.as_bytes()),
            Err(DoorError::SeveralDocuments)
        ));
        assert!(matches!(decode(b"{}"), Err(DoorError::OtherKind { .. })));
        assert!(matches!(
            decode(br#"{"apiVersion":"v1","kind":"Secret"}"#),
            Err(DoorError::OtherKind { .. })
        ));
        assert!(matches!(decode(b"\xff"), Err(DoorError::Unreadable)));
    }
}

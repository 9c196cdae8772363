//! What unauthenticated clients may ask: the certificate, whether a SealedSecret opens, and the same SealedSecret sealed
//! for the newest key.
//!
//! Templates are never rendered here (a template of the client's choice would reveal the values bit by bit), and nothing
//! of a value is in any answer or log line.

use std::sync::Arc;

use hyper::body::Bytes;
use sealwright_resources::manifest;
use sealwright_resources::sealed_secret::{
    API_VERSION, KIND, Refresh, SealError, SealedSecret, UnsealError, UnsealOptions, reseal, verify,
};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::keys::SealingKeys;
use crate::pool::{Panicked, Pool};
use crate::readiness::Readiness;

/// No body is larger: the API server stores no object of more than 1.5 MiB.
pub(crate) const LARGEST_BODY: usize = 2 << 20;
/// Bodies larger than this are worked on one at a time and with low priority, because they take a multiple of their
/// size in memory, and their values a lot of time.
const HEAVY: usize = 128 << 10;
/// Fields, items and lines of a body; a SealedSecret of the largest size has some thousand. Each costs far more memory
/// than the byte that begins it.
const MOST_FIELDS: usize = 100_000;
/// After as many values that do not open, the answer names those.
const MOST_FAILURES: usize = 8;

/// Answers unauthenticated clients.
pub(crate) struct HttpApi {
    keys: Arc<SealingKeys>,
    pool: Arc<Pool>,
    /// The thread of heavy bodies, whose thousands of values may take many seconds.
    heavy_pool: Pool,
    readiness: Arc<Readiness>,
    /// Clients get a part of the pool, so that they cannot hold up the cluster's own work.
    share: Semaphore,
    heavy: Semaphore,
    accept_deprecated_data: bool,
}

/// A SealedSecret under the newest key, as compact JSON without `apiVersion` and `kind`.
pub(crate) struct Rotated(pub(crate) String);

/// Why a client gets no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum HttpApiError {
    /// More than one YAML document.
    #[error("Multistream YAML not supported yet")]
    SeveralDocuments,
    /// Far more fields than any SealedSecret has.
    #[error("the body has more than {} fields and lines", MOST_FIELDS)]
    TooManyFields,
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

impl HttpApi {
    pub(crate) fn new(
        keys: Arc<SealingKeys>,
        pool: Arc<Pool>,
        readiness: Arc<Readiness>,
        accept_deprecated_data: bool,
    ) -> Self {
        // More threads would need more memory than such requests may take.
        let share = Semaphore::new((pool.threads() / 2).clamp(1, 4));
        Self {
            keys,
            pool,
            heavy_pool: Pool::slow(),
            readiness,
            share,
            heavy: Semaphore::new(1),
            accept_deprecated_data,
        }
    }

    /// Whether this process is ready.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The certificate to seal with.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.keys.certificate()
    }

    /// Returns true if every value opens under this name and namespace.
    pub(crate) async fn verify(&self, body: Bytes) -> Result<bool, HttpApiError> {
        self.with_keys(body, |sealed, keys, options| {
            Ok(keys.with(|ring| verify(&sealed, ring, &options)).is_ok())
        })
        .await
    }

    /// Seals every value again for the newest key; the template is not looked at.
    pub(crate) async fn rotate(&self, body: Bytes) -> Result<Rotated, HttpApiError> {
        self.with_keys(body, |sealed, keys, options| {
            keys.with(|ring| {
                // A value that cannot be decrypted is reported before a missing key (C84).
                verify_first(ring.is_empty(), &sealed)?;
                let to = ring.newest().ok_or(HttpApiError::NoKeys)?;
                let to = to.certificate().ok_or(HttpApiError::NoKeys)?;
                let renewed = reseal(&sealed, ring, to, Refresh::All, &options).map_err(refused)?;
                if renewed.realigned {
                    tracing::warn!(
                        namespace = sealed.metadata.namespace.as_deref().unwrap_or_default(),
                        name = sealed.metadata.name.as_deref().unwrap_or_default(),
                        "Sealed Secret metadata doesn't match. Please align your Sealed Secret metadata"
                    );
                }
                let mut json = serde_json::to_value(&renewed.sealed)
                    .map_err(|error| HttpApiError::Seal(error.to_string()))?;
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
        ) -> Result<T, HttpApiError>
        + Send
        + 'static,
    ) -> Result<T, HttpApiError> {
        let (pool, permits) = match body.len() > HEAVY {
            true => (&self.heavy_pool, &self.heavy),
            false => (&*self.pool, &self.share),
        };
        let _permit = permits.acquire().await.expect("never closed");
        let keys = Arc::clone(&self.keys);
        let options = UnsealOptions {
            accept_deprecated_data: self.accept_deprecated_data,
            // Asking costs the caller nothing, and what does not open is tried with every key.
            failures: Some(MOST_FAILURES),
            ..UnsealOptions::default()
        };
        pool.run(move || work(decode(&body)?, keys, options))
            .await?
    }
}

fn verify_first(empty: bool, sealed: &SealedSecret) -> Result<(), HttpApiError> {
    match empty && sealed.spec.encrypted_data.is_empty() && sealed.spec.data.is_none() {
        true => Err(HttpApiError::NoKeys),
        false if empty => Err(HttpApiError::Unseal(
            "no key could decrypt secret".to_owned(),
        )),
        false => Ok(()),
    }
}

fn refused(error: SealError) -> HttpApiError {
    match error {
        SealError::Unseal(UnsealError::Items(items)) => HttpApiError::Unseal(items.to_string()),
        SealError::Unseal(error) => HttpApiError::Unseal(error.to_string()),
        error => HttpApiError::Seal(error.to_string()),
    }
}

/// Reads one SealedSecret in JSON or YAML; unlike in a watch, kind and version must be there.
fn decode(body: &[u8]) -> Result<SealedSecret, HttpApiError> {
    let fields = body.iter().filter(|byte| b",:[\n".contains(byte));
    if fields.count() > MOST_FIELDS {
        return Err(HttpApiError::TooManyFields);
    }
    let text = std::str::from_utf8(body).map_err(|_| HttpApiError::Unreadable)?;
    let unreadable = |_| HttpApiError::Unreadable;
    if text.trim_start().starts_with('{') {
        serde_json::from_str::<Type>(text)
            .map_err(unreadable)?
            .check()?;
        return serde_json::from_str(text).map_err(unreadable);
    }
    let json = yaml(text)?;
    Type::deserialize(&json).map_err(unreadable)?.check()?;
    serde_json::from_value(json).map_err(unreadable)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Type {
    api_version: String,
    kind: String,
}

impl Type {
    fn check(self) -> Result<(), HttpApiError> {
        let Self { api_version, kind } = self;
        match api_version == API_VERSION && kind == KIND {
            true => Ok(()),
            false => Err(HttpApiError::OtherKind { api_version, kind }),
        }
    }
}

fn yaml(text: &str) -> Result<serde_json::Value, HttpApiError> {
    let documents = manifest::read_values(text.as_bytes()).map_err(|_| HttpApiError::Unreadable)?;
    let mut documents = documents.into_iter().filter(|document| !document.is_null());
    let first = documents.next().ok_or(HttpApiError::Unreadable)?;
    match documents.next() {
        Some(_) => Err(HttpApiError::SeveralDocuments),
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

    fn http_api(with_key: bool) -> (HttpApi, Certificate) {
        let key = PrivateKey::generate(2048).unwrap();
        let certificate = Certificate::self_signed(&key, "", 1_700_000_000, 60).unwrap();
        let copy = Certificate::from_der(certificate.der()).unwrap();
        let keys = Arc::new(SealingKeys::new());
        if with_key {
            keys.insert(SealingKey::new("k", key, certificate, 1));
        }
        let pool = Arc::new(Pool::start());
        let readiness = Arc::new(Readiness::new(Arc::default()));
        (HttpApi::new(keys, pool, readiness, true), copy)
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
        let (api, certificate) = http_api(true);
        let mut json = sealed(&certificate);
        json["spec"]["template"]["data"] = serde_json::json!({"x": "{{ fail \"no\" }}"});
        assert!(api.verify(body(&json)).await.unwrap());
        json["metadata"]["name"] = "b".into();
        assert!(!api.verify(body(&json)).await.unwrap());
    }

    #[tokio::test]
    async fn i42_t47_rotate_keeps_template_data_and_runs_nothing() {
        let (api, certificate) = http_api(true);
        let mut json = sealed(&certificate);
        let data = serde_json::json!({"x": "{{ fail .foo }}"});
        json["spec"]["template"]["data"] = data.clone();
        let Rotated(text) = api.rotate(body(&json)).await.unwrap();
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
        let (api, certificate) = http_api(true);
        let mut json = sealed(&certificate);
        json["spec"]["template"]["metadata"]["annotations"] =
            serde_json::json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        let Rotated(text) = api.rotate(body(&json)).await.unwrap();
        assert!(!text.contains("cluster-wide"));
    }

    #[tokio::test]
    async fn c84_i46_without_keys_there_are_errors_and_no_crash() {
        let (api, certificate) = http_api(false);
        let json = sealed(&certificate);
        assert!(api.certificate().is_none());
        assert!(!api.verify(body(&json)).await.unwrap());
        assert!(api.rotate(body(&json)).await.is_err());
        let mut none = json;
        none["spec"]["encryptedData"] = serde_json::json!({});
        assert!(api.verify(body(&none)).await.unwrap());
        let error = api.rotate(body(&none)).await.err().unwrap();
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
            Err(HttpApiError::SeveralDocuments)
        ));
        assert!(matches!(decode(b"{}"), Err(HttpApiError::OtherKind { .. })));
        assert!(matches!(
            decode(br#"{"apiVersion":"v1","kind":"Secret"}"#),
            Err(HttpApiError::OtherKind { .. })
        ));
        assert!(matches!(decode(b"\xff"), Err(HttpApiError::Unreadable)));
    }

    #[test]
    fn a_body_of_nothing_but_fields_is_refused_before_it_is_read() {
        for unit in ["[", "0,", "a: 0\n"] {
            let body = unit.repeat(LARGEST_BODY / unit.len());
            let refused = decode(body.as_bytes());
            assert!(
                matches!(refused, Err(HttpApiError::TooManyFields)),
                "{unit}"
            );
        }
    }
}

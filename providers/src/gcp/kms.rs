//! Google Cloud KMS: data keys of files are wrapped by a key that never leaves the service.
//!
//! Upstream speaks gRPC unless `SOPS_GCP_KMS_CLIENT_TYPE` says `rest`. Both reach the same service, so this program has the
//! one that needs no second protocol.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{GCP_KMS, KeyFields, KeyKind};
use sealwright_crypto::master_key::{KeyError, MasterKey, Opener, Pending, Wrapped};
use sealwright_crypto::surroundings::Surroundings;

use super::api::GoogleErrors;
use super::origin::variable;
use super::sign_in::of_surroundings;
use crate::address::Guard;
use crate::bearer::{Call, Rest, key_error};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings};
use crate::message::{Body, bytes_in};
use crate::outcome::{StoreError, Trouble, shown};

/// Opens keys of Google Cloud KMS. All of them share one sign-in and its connections.
pub struct GcpKms(Arc<Service>);

impl GcpKms {
    /// Makes an opener that looks for variables and files there.
    pub fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self(Arc::new(Service {
            surroundings,
            connected: Mutex::new(None),
        }))
    }
}

impl Opener for GcpKms {
    fn kind(&self) -> &'static KeyKind {
        &GCP_KMS
    }

    fn is_far(&self) -> bool {
        true
    }

    fn open(&self, fields: &KeyFields) -> Arc<dyn MasterKey> {
        Arc::new(GcpKmsKey {
            resource: fields.text("resource_id").to_owned(),
            service: Arc::clone(&self.0),
        })
    }
}

struct Service {
    surroundings: Arc<dyn Surroundings>,
    connected: Mutex<Option<Arc<Connected>>>,
}

struct Connected {
    rest: Rest,
    base: Url,
}

impl Service {
    fn connect(&self) -> Result<Arc<Connected>, StoreError> {
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = &*connected {
            return Ok(Arc::clone(connected));
        }
        let http = Arc::new(HttpClient::new(HttpSettings {
            // The endpoint is the user's own choice.
            guard: Guard::Open,
            ..HttpSettings::default()
        })?);
        let tokens = of_surroundings(&self.surroundings)?;
        let made = Arc::new(Connected {
            rest: Rest::new(
                http,
                Arc::new(tokens),
                &GoogleErrors,
                "Google Cloud KMS".to_owned(),
            ),
            base: endpoint(&*self.surroundings)?,
        });
        *connected = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Calls `encrypt` or `decrypt` of a key, and gives bytes of the answer.
    async fn ask(
        &self,
        resource: &str,
        verb: &str,
        field: &str,
        bytes: &[u8],
        wanted: &str,
    ) -> Result<KeyPart, StoreError> {
        let segments = segments_of(resource).ok_or_else(|| {
            StoreError::invalid(format!("{} is no key of Google Cloud KMS", shown(resource)))
                .with_hint(
                    "a key reads projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
                )
        })?;
        let connected = self.connect()?;
        let (key, above) = segments.split_last().expect("there are eight");
        let call = format!("{key}:{verb}");
        let path = std::iter::once("v1").chain(above.iter().copied());
        let url = connected.base.with_segments(path.chain([call.as_str()]));
        let body = Body::new().secret_bytes(field, bytes).finish();
        let what = format!("{verb} with {}", shown(resource));
        let permission = match verb {
            "encrypt" => "cloudkms.cryptoKeyVersions.useToEncrypt",
            _ => "cloudkms.cryptoKeyVersions.useToDecrypt",
        };
        let mut call = Call::of(Method::POST, url, &what, permission).with(&body);
        // What the service says about a ciphertext helps, and a ciphertext is no secret.
        call.carries_secret = verb == "encrypt";
        let reply = connected.rest.call(call).await?;
        let answer = bytes_in(reply.json(), wanted, &STANDARD).map_err(|error| {
            error
                .while_trying(&*what)
                .at_store(connected.rest.describe())
        })?;
        match answer.is_empty() {
            false => Ok(KeyPart::copy_of(answer.expose())),
            true => Err(StoreError::new(
                Trouble::Malformed,
                format!("the `{wanted}` of the answer is empty"),
            )
            .while_trying(what)
            .at_store(connected.rest.describe())),
        }
    }
}

/// Where the service is: `SOPS_GCP_KMS_ENDPOINT`, the universe of `SOPS_GCP_KMS_UNIVERSE_DOMAIN`, or Google's own.
fn endpoint(surroundings: &dyn Surroundings) -> Result<Url, StoreError> {
    let named = variable(surroundings, "SOPS_GCP_KMS_ENDPOINT");
    let universe = variable(surroundings, "SOPS_GCP_KMS_UNIVERSE_DOMAIN");
    let (text, field) = match (named, universe) {
        (Some(text), _) => {
            // Endpoints of gRPC are written without a scheme.
            let text = match text.contains("://") {
                true => text,
                false => format!("https://{text}"),
            };
            (text, "SOPS_GCP_KMS_ENDPOINT")
        }
        (None, Some(domain)) => (
            format!("https://cloudkms.{domain}"),
            "SOPS_GCP_KMS_UNIVERSE_DOMAIN",
        ),
        (None, None) => ("https://cloudkms.googleapis.com".to_owned(), "endpoint"),
    };
    Url::parse(&text).map_err(|error| error.at_field(field))
}

/// The parts of `projects/…/locations/…/keyRings/…/cryptoKeys/…`.
fn segments_of(resource: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = resource.split('/').collect();
    let names = ["projects", "locations", "keyRings", "cryptoKeys"];
    let valid = parts.len() == 8
        && parts.iter().step_by(2).eq(names.iter())
        && parts
            .iter()
            .all(|part| !part.is_empty() && *part != "." && *part != "..");
    valid.then_some(parts)
}

struct GcpKmsKey {
    resource: String,
    service: Arc<Service>,
}

impl MasterKey for GcpKmsKey {
    fn kind(&self) -> &'static KeyKind {
        &GCP_KMS
    }

    fn identity(&self) -> String {
        self.resource.clone()
    }

    fn is_far(&self) -> bool {
        true
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let blob = self
                .service
                .ask(
                    &self.resource,
                    "encrypt",
                    "plaintext",
                    part.expose(),
                    "ciphertext",
                )
                .await
                .map_err(key_error)?;
            Ok(Wrapped(STANDARD.encode(blob.expose())))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let blob = STANDARD.decode(wrapped.0.trim()).map_err(|_| {
                KeyError::new(
                    "the wrapped key of the file is no base64, as keys of Google Cloud KMS have it",
                )
            })?;
            let part = self
                .service
                .ask(&self.resource, "decrypt", "ciphertext", &blob, "plaintext")
                .await
                .map_err(key_error)?;
            Ok(Some(part))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_without_a_version_are_keys() {
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        assert_eq!(segments_of(key).unwrap().len(), 8);
        for wrong in [
            "",
            "projects/p/locations/l/keyRings/r/cryptoKeys/",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/p/locations/l/keyRings/../cryptoKeys/k",
            "project/p/locations/l/keyRings/r/cryptoKeys/k",
        ] {
            assert!(segments_of(wrong).is_none(), "{wrong}");
        }
    }
}

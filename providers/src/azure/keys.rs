//! Keys of Azure Key Vault: data keys of files are wrapped by a key that never leaves the vault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{AZURE_KEY_VAULT, KeyFields, KeyKind};
use sealwright_crypto::master_key::{KeyError, MasterKey, Opener, Pending, Wrapped};
use sealwright_crypto::secret::SecretWriter;
use sealwright_crypto::surroundings::Surroundings;
use serde_json::json;

use super::api::{AzureErrors, Cloud, VERSION};
use super::sign_in::of_surroundings;
use crate::address::Guard;
use crate::bearer::{Call, Rest, key_error};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings};
use crate::message::{Body, bytes_in, name_in};
use crate::outcome::{StoreError, Trouble, shown};

/// How upstream wraps; the key never leaves the vault, so the vault does it.
const ALGORITHM: &str = "RSA-OAEP-256";

/// Opens keys of Azure Key Vault. Keys of one vault share one sign-in and its connections.
pub struct AzureKeys(Arc<Vaults>);

impl AzureKeys {
    /// Makes an opener that looks for variables and files there.
    pub fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self(Arc::new(Vaults {
            surroundings,
            connected: Mutex::default(),
        }))
    }
}

impl Opener for AzureKeys {
    fn kind(&self) -> &'static KeyKind {
        &AZURE_KEY_VAULT
    }

    fn is_far(&self) -> bool {
        true
    }

    fn open(&self, fields: &KeyFields) -> Arc<dyn MasterKey> {
        Arc::new(AzureKey {
            fields: fields.clone(),
            vaults: Arc::clone(&self.0),
        })
    }

    fn complete<'a>(&'a self, mut key: KeyFields) -> Pending<'a, Result<KeyFields, KeyError>> {
        Box::pin(async move {
            if key.is_open() {
                let version = self.0.newest(&key).await.map_err(key_error)?;
                key.set_text("version", version);
            }
            Ok(key)
        })
    }
}

struct Vaults {
    surroundings: Arc<dyn Surroundings>,
    connected: Mutex<BTreeMap<String, Arc<Connected>>>,
}

struct Connected {
    rest: Rest,
    base: Url,
}

impl Vaults {
    fn connect(&self, vault: &str) -> Result<Arc<Connected>, StoreError> {
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = connected.get(vault) {
            return Ok(Arc::clone(connected));
        }
        let base = Url::parse(vault).map_err(|error| error.at_field("vault_url"))?;
        // A file names the vault, so a hostile one could have the token sent to a server of its own.
        let cloud = Cloud::of_vault(&base).ok_or_else(|| {
            StoreError::invalid(format!(
                "{} is no vault of Azure, and tokens are sent to no other host",
                shown(vault)
            ))
        })?;
        let http = Arc::new(HttpClient::new(HttpSettings {
            guard: Guard::Open,
            ..HttpSettings::default()
        })?);
        let tokens = of_surroundings(&self.surroundings, &cloud)?;
        let describe = format!("Azure Key Vault {}", shown(base.host()));
        let made = Arc::new(Connected {
            rest: Rest::new(http, Arc::new(tokens), &AzureErrors, describe),
            base,
        });
        connected.insert(vault.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// The newest version of a key.
    async fn newest(&self, key: &KeyFields) -> Result<String, StoreError> {
        let connected = self.connect(key.text("vault_url"))?;
        let name = key.text("name");
        let url = connected.base.with_segments(["keys", name, ""]);
        let what = format!("look up the newest version of {}", shown(name));
        let call = Call::get(url.with_query([VERSION]), &what, "keys/get");
        let reply = connected.rest.call(call).await?;
        let id = reply.json().member("key");
        let id = id.and_then(|key| name_in(key, "kid")).unwrap_or_default();
        let version = id.rsplit('/').next().unwrap_or_default();
        let is_version = |text: &str| {
            text != name
                && !text.is_empty()
                && text.len() <= 64
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        match is_version(version) {
            true => Ok(version.to_owned()),
            false => Err(StoreError::new(
                Trouble::Malformed,
                "the answer names no version of the key",
            )
            .while_trying(what)
            .at_store(connected.rest.describe())),
        }
    }

    /// Calls `encrypt` or `decrypt` of a key.
    async fn ask(&self, key: &KeyFields, verb: &str, bytes: &[u8]) -> Result<KeyPart, StoreError> {
        let (name, version) = (key.text("name"), key.text("version"));
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().chain(version.bytes()).all(valid) {
            return Err(StoreError::invalid(format!(
                "{} is no key of Azure Key Vault",
                shown(&key.identity())
            )));
        }
        let connected = self.connect(key.text("vault_url"))?;
        let url = connected.base.with_segments(["keys", name, version, verb]);
        let mut text = SecretWriter::default();
        let length = base64::encoded_len(bytes.len(), false).unwrap_or_default();
        // The place is as long as the text.
        let _ = URL_SAFE_NO_PAD.encode_slice(bytes, text.extend_zeroed(length));
        let body = Body::new()
            .value("alg", &json!(ALGORITHM))
            .secret_text("value", text.expose())
            .finish();
        let what = format!("{verb} with {}", shown(name));
        let permission = format!("keys/{verb}");
        let mut call =
            Call::of(Method::POST, url.with_query([VERSION]), &what, &permission).with(&body);
        // What the service says about a ciphertext helps, and a ciphertext is no secret.
        call.carries_secret = verb == "encrypt";
        let reply = connected.rest.call(call).await?;
        let answer = bytes_in(reply.json(), "value", &URL_SAFE_NO_PAD).map_err(|error| {
            error
                .while_trying(&*what)
                .at_store(connected.rest.describe())
        })?;
        match answer.is_empty() {
            false => Ok(KeyPart::copy_of(answer.expose())),
            true => Err(
                StoreError::new(Trouble::Malformed, "the `value` of the answer is empty")
                    .while_trying(what)
                    .at_store(connected.rest.describe()),
            ),
        }
    }
}

struct AzureKey {
    fields: KeyFields,
    vaults: Arc<Vaults>,
}

impl MasterKey for AzureKey {
    fn kind(&self) -> &'static KeyKind {
        &AZURE_KEY_VAULT
    }

    fn identity(&self) -> String {
        self.fields.identity()
    }

    fn is_far(&self) -> bool {
        true
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let blob = self.vaults.ask(&self.fields, "encrypt", part.expose());
            let blob = blob.await.map_err(key_error)?;
            Ok(Wrapped(URL_SAFE_NO_PAD.encode(blob.expose())))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let blob = URL_SAFE_NO_PAD.decode(wrapped.0.trim()).map_err(|_| {
                KeyError::new(
                    "the wrapped key of the file is no base64url, as keys of Azure Key Vault have it",
                )
            })?;
            let part = self.vaults.ask(&self.fields, "decrypt", &blob);
            Ok(Some(part.await.map_err(key_error)?))
        })
    }
}

//! Vault's transit engine as a master key of files, with upstream's variables and its own rules for them.
//!
//! The address of the server stands in the file. So that a hostile file cannot have the token sent to a server of its own,
//! `SOPS_HC_VAULT_ALLOWLIST` names the addresses that may be asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{KeyFields, KeyKind, VAULT_TRANSIT};
use sealwright_crypto::master_key::{KeyError, MasterKey, Opener, Pending, Wrapped};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_crypto::surroundings::Surroundings;

use super::call::{Call, Reply};
use super::client::VaultClient;
use super::user::{connect, variable};
use crate::json::{Html, Json, write_text};
use crate::outcome::{StoreError, shown};

/// Opens keys of transit engines. Keys on one server share their connections.
pub struct VaultTransit {
    surroundings: Arc<dyn Surroundings>,
    clients: Arc<Mutex<BTreeMap<String, Arc<VaultClient>>>>,
}

impl VaultTransit {
    /// Makes an opener that looks for variables and files there.
    pub fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self {
            surroundings,
            clients: Arc::default(),
        }
    }
}

impl Opener for VaultTransit {
    fn kind(&self) -> &'static KeyKind {
        &VAULT_TRANSIT
    }

    fn is_far(&self) -> bool {
        true
    }

    fn open(&self, key: &KeyFields) -> Arc<dyn MasterKey> {
        Arc::new(TransitKey {
            fields: key.clone(),
            surroundings: Arc::clone(&self.surroundings),
            clients: Arc::clone(&self.clients),
        })
    }
}

struct TransitKey {
    fields: KeyFields,
    surroundings: Arc<dyn Surroundings>,
    clients: Arc<Mutex<BTreeMap<String, Arc<VaultClient>>>>,
}

impl TransitKey {
    fn client(&self) -> Result<Arc<VaultClient>, KeyError> {
        let address = self.fields.text("vault_address");
        if !is_allowed(self.var("SOPS_HC_VAULT_ALLOWLIST").as_deref(), address) {
            return Err(KeyError::new(format!(
                "SOPS_HC_VAULT_ALLOWLIST does not allow the Vault at {}",
                shown(address)
            )));
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(address) {
            return Ok(Arc::clone(client));
        }
        let agent = self.var("VAULT_AGENT_ADDR");
        let server = agent.as_deref().unwrap_or(address);
        let client = Arc::new(connect(&*self.surroundings, server).map_err(failed)?);
        clients.insert(address.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    fn var(&self, name: &str) -> Option<String> {
        variable(&*self.surroundings, name)
    }

    /// Calls the engine with one text, and gives one text of the answer.
    async fn ask(
        &self,
        verb: &str,
        field: &str,
        text: &[u8],
        wanted: &str,
    ) -> Result<SecretBytes, KeyError> {
        let client = self.client()?;
        let path = format!(
            "{}/{verb}/{}",
            self.fields.text("engine_path").trim_matches('/'),
            self.fields.text("key_name")
        );
        if path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
        {
            return Err(KeyError::new("the path of the key in Vault is not valid"));
        }
        let mut body = SecretWriter::with_capacity(text.len() + field.len() + 16);
        body.push(b"{");
        write_text(field.as_bytes(), Html::Plain, &mut body);
        body.push(b":");
        write_text(text, Html::Plain, &mut body);
        body.push(b"}");
        let reply = client.call(Call::put(&path, body.finish())).await;
        let reply = reply
            .map_err(|error| failed(error.at_store(client.name()).while_trying(verb.to_owned())))?;
        let Reply::Data(answer) = reply else {
            return Err(KeyError::new(format!(
                "there is no transit engine {} at {}, or no such key in it",
                shown(self.fields.text("engine_path")),
                client.name()
            )));
        };
        let found = Json::parse(answer.expose())
            .ok()
            .and_then(|answer| answer.member("data")?.member(wanted))
            .and_then(Json::string);
        found.map(SecretBytes::from).ok_or_else(|| {
            KeyError::new(format!("the answer of {} holds no {wanted}", client.name()))
        })
    }
}

impl MasterKey for TransitKey {
    fn kind(&self) -> &'static KeyKind {
        &VAULT_TRANSIT
    }

    fn identity(&self) -> String {
        self.fields.identity()
    }

    fn is_far(&self) -> bool {
        true
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let length = base64::encoded_len(part.expose().len(), true).unwrap_or_default();
            let mut text = SecretWriter::with_capacity(length);
            // The place is as long as the text.
            let _ = STANDARD.encode_slice(part.expose(), text.extend_zeroed(length));
            let wrapped = self
                .ask("encrypt", "plaintext", text.finish().expose(), "ciphertext")
                .await?;
            String::from_utf8(wrapped.expose().to_vec())
                .map(Wrapped)
                .map_err(|_| KeyError::new("the ciphertext of Vault is no text"))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let text = self
                .ask("decrypt", "ciphertext", wrapped.0.as_bytes(), "plaintext")
                .await?;
            let mut part = vec![0; base64::decoded_len_estimate(text.len())];
            let length = STANDARD
                .decode_slice(text.expose(), &mut part)
                .map_err(|_| KeyError::new("the plaintext of Vault is not base64"))?;
            part.truncate(length);
            Ok(Some(KeyPart::from(part)))
        })
    }
}

fn failed(error: StoreError) -> KeyError {
    let mut key_error = KeyError::new(error.to_string());
    if let Some(permission) = error.permission() {
        key_error
            .tried
            .push(format!("what is missing: {permission}"));
    }
    if let Some(hint) = error.hint() {
        key_error.tried.push(hint.to_owned());
    }
    key_error
}

/// Whether an address may be asked: all by default, none, or those that begin with one of the prefixes. A slash is added
/// to both, so that a prefix ends where a part of the address ends.
fn is_allowed(list: Option<&str>, address: &str) -> bool {
    let with_slash = |text: &str| format!("{}/", text.trim_end_matches('/'));
    match list.map(str::trim) {
        None | Some("" | "all") => true,
        Some("none") => false,
        Some(list) => list
            .split(',')
            .map(str::trim)
            .filter(|prefix| !prefix.is_empty())
            .any(|prefix| with_slash(address).starts_with(&with_slash(prefix))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allow_list_names_whole_parts_of_addresses() {
        let address = "https://vault.example:8200";
        for (list, allowed) in [
            (None, true),
            (Some(""), true),
            (Some("all"), true),
            (Some("none"), false),
            (Some("https://vault.example:8200"), true),
            (Some("https://vault.example:8200/"), true),
            (Some("https://other, https://vault.example:8200"), true),
            (Some("https://vault.example:82"), false),
            (Some("https://vault.example"), false),
        ] {
            assert_eq!(is_allowed(list, address), allowed, "{list:?}");
        }
        assert!(!is_allowed(
            Some("https://vault.example:8200"),
            "https://vault.example:8200.evil"
        ));
    }
}

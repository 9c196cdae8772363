//! Vault's transit engine as a master key of files, with upstream's variables and its own rules for them.
//!
//! The address of the server stands in the file. So that a hostile file cannot have the token sent to a server of its own,
//! `SOPS_HC_VAULT_ALLOWLIST` names the addresses that may be asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{KeyFields, KeyKind, VAULT_TRANSIT};
use sealwright_crypto::master_key::{KeyError, MasterKey, Opener, Pending, Wrapped};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_crypto::surroundings::Surroundings;

use super::auth::Login;
use super::client::{Call, ClientParts, Reply, VaultClient};
use crate::address::Guard;
use crate::backoff::Backoff;
use crate::credential::Scope;
use crate::credential::held::Held;
use crate::http::tls::{ClientIdentity, TlsSettings, Verification};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::json::{Html, Json, write_text};
use crate::outcome::{StoreError, shown};
use crate::settings::SecretKeySelector;

/// How large a file of certificates or a token may be.
const LARGEST_FILE: usize = 1 << 20;

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
        let client = Arc::new(connect(&*self.surroundings, address).map_err(failed)?);
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

fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
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

/// Makes a client from the variables that Vault's own programs have.
fn connect(surroundings: &dyn Surroundings, address: &str) -> Result<VaultClient, StoreError> {
    let var = |name: &str| variable(surroundings, name);
    let read = |path: &str| {
        surroundings
            .read(Path::new(path), LARGEST_FILE)
            .map_err(|_| StoreError::invalid(format!("cannot read the file {}", shown(path))))
    };
    let truth = |name: &str| {
        var(name).is_some_and(|value| {
            matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
        })
    };
    let server = var("VAULT_AGENT_ADDR").unwrap_or_else(|| address.to_owned());
    let server = Url::parse(&server).map_err(|error| error.at_field("vault_address"))?;
    let token = match var("VAULT_TOKEN") {
        Some(token) => Some(SecretBytes::from(token.into_bytes())),
        None => surroundings
            .home()
            .and_then(|home| {
                surroundings
                    .read(&home.join(".vault-token"), LARGEST_FILE)
                    .ok()
            })
            .map(|text| SecretBytes::copy_of(text.expose().trim_ascii())),
    };
    let held = Held::default();
    let login = match token.filter(|token| !token.is_empty()) {
        Some(token) => {
            held.put("token", "token", token.expose());
            Login::Token(SecretKeySelector {
                name: Some("token".to_owned()),
                namespace: None,
                key: Some("token".to_owned()),
            })
        }
        None => Login::None,
    };
    let authorities = match var("VAULT_CACERT") {
        Some(path) => Some(read(&path)?.expose().to_vec()),
        None => None,
    };
    let identity = match (var("VAULT_CLIENT_CERT"), var("VAULT_CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some(ClientIdentity {
            certificates: read(&certificate)?.expose().to_vec(),
            key: read(&key)?,
        }),
        _ => None,
    };
    let seconds = |text: String| {
        let seconds: Option<u64> = text.parse().ok();
        match seconds {
            Some(seconds) => Ok(Duration::from_secs(seconds)),
            None => crate::settings::duration("VAULT_CLIENT_TIMEOUT", &text),
        }
    };
    let timeout = var("VAULT_CLIENT_TIMEOUT").map(seconds).transpose()?;
    let retries = var("VAULT_MAX_RETRIES").and_then(|text| text.parse().ok());
    let http = HttpClient::new(HttpSettings {
        tls: TlsSettings {
            authorities,
            identity,
            server_name: var("VAULT_TLS_SERVER_NAME"),
            verification: if truth("VAULT_SKIP_VERIFY") {
                Verification::Skipped
            } else {
                Verification::Full
            },
        },
        // Files of the user name the address, and the allow list judges it.
        guard: Guard::Open,
        limits: Limits::within(timeout),
        ..HttpSettings::default()
    })?;
    VaultClient::new(ClientParts {
        http,
        name: format!("Vault {server}"),
        server,
        namespace: var("VAULT_NAMESPACE"),
        login_namespace: None,
        headers: http::HeaderMap::new(),
        login,
        credentials: Arc::new(held),
        scope: Scope::default(),
        backoff: Backoff {
            retries: retries.unwrap_or(2),
            ..Backoff::default()
        },
        read_your_writes: false,
        forward_inconsistent: false,
    })
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

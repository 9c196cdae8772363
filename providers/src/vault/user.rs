//! Vault as its user's own programs reach it: by the variables `VAULT_…`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::go_bool::read_bool;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::Surroundings;

use super::auth::Login;
use super::client::{ClientParts, VaultClient};
use crate::address::Guard;
use crate::backoff::Backoff;
use crate::credential::Scope;
use crate::credential::held::Held;
use crate::http::tls::{ClientIdentity, TlsSettings, Verification};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::outcome::{StoreError, shown};
use crate::settings::SecretKeySelector;

/// How large a file of certificates or a token may be.
const LARGEST_FILE: usize = 1 << 20;

pub(super) fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
}

/// Makes a client for an address from the variables that Vault's own programs have.
pub(super) fn connect(
    surroundings: &dyn Surroundings,
    address: &str,
) -> Result<VaultClient, StoreError> {
    let var = |name: &str| variable(surroundings, name);
    let read = |path: &str| {
        surroundings
            .read(Path::new(path), LARGEST_FILE)
            .map_err(|_| StoreError::invalid(format!("cannot read the file {}", shown(path))))
    };
    let truth = |name: &str| var(name).and_then(read_bool) == Some(true);
    let server = Url::parse(address).map_err(|error| error.at_field("vault_address"))?;
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

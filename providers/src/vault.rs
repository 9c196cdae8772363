//! HashiCorp Vault and OpenBao: their KV engines, versions 1 and 2.
//!
//! # A client of our own
//!
//! `vaultrs` 0.8 would be the library. It is not used, because the token would not be safe in it: its client's settings and
//! its endpoint middleware hold the token as a `String` that is never wiped, are `Debug` and `Clone`, and are shown with
//! it; errors of the API are logged with their text; and it brings `reqwest`, a second HTTP stack beside the one that has
//! our bounds (a program that reads one secret with it: 117 crates, 6.3 MB, 65 s to build on two cores). It has no LDAP,
//! and bodies of answers are decoded into types that are not wiped. What Vault's API needs is a few hundred lines on
//! [`crate::http`].
//!
//! # Two providers
//!
//! OpenBao speaks the same protocol, and upstream has a provider of its own for it that differs: it is read only, takes keys
//! as they are, and checks the engine at validation. Where upstream's is wrong ours is not: a missing secret is a proved
//! absence, a deleted version is one too and not the text `null`, properties may be nested, `find` reads what it lists,
//! and tokens are revoked.

mod answer;
mod auth;
mod call;
mod client;
mod dynamic;
pub(crate) mod identity;
mod kv;
mod path;
pub mod publication;
mod token;
mod transit;
mod user;

pub(crate) use self::client::VaultClient;
pub(crate) use self::dynamic::dynamic_secret;
pub use self::transit::VaultTransit;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};

use self::auth::Login;
use self::client::ClientParts;
use self::path::Engine;
use crate::backoff::Backoff;
use crate::http::tls::{ClientIdentity, TlsSettings};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::outcome::StoreError;
use crate::settings::openbao::OpenBaoSettings;
use crate::settings::vault::VaultSettings;
use crate::settings::{CaProvider, CaProviderKind, SecretKeySelector, authority_bundle};
use crate::store::Connection;

/// Which of the two servers it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Vault,
    OpenBao,
}

/// A KV engine of Vault or OpenBao.
pub struct VaultStore {
    client: VaultClient,
    engine: Engine,
    dialect: Dialect,
    guards_writes: bool,
    /// A cluster-wide store without a consumer cannot sign in.
    referent: bool,
    /// When an engine of the right version was last seen at the mount path.
    engine_seen: Mutex<Option<std::time::Instant>>,
}

impl VaultStore {
    /// Makes a store of Vault. It signs in at the first call.
    ///
    /// # Errors
    ///
    /// When settings or certificates are wrong.
    pub async fn vault(
        settings: &VaultSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let server = Url::parse(&settings.server).map_err(|error| error.at_field("server"))?;
        let name = format!("Vault {server}");
        let cert_auth = settings.auth.as_ref().and_then(|auth| auth.cert.as_ref());
        let identity = match (
            &settings.tls.cert_secret_ref,
            &settings.tls.key_secret_ref,
            cert_auth.and_then(|auth| auth.client_cert.as_ref().zip(auth.secret_ref.as_ref())),
        ) {
            (Some(cert), Some(key), _) => Some((
                ("tls.certSecretRef", cert.or_key("tls.crt")),
                ("tls.keySecretRef", key.or_key("tls.key")),
            )),
            (_, _, Some((cert, key))) => Some((
                ("auth.cert.clientCert", cert.or_key("tls.crt")),
                ("auth.cert.secretRef", key.or_key("tls.key")),
            )),
            _ => None,
        };
        let identity = match identity {
            Some((cert, key)) => Some(client_identity(connection, cert, key).await?),
            None => None,
        };
        let tls = TlsSettings {
            authorities: authorities(
                connection,
                settings.ca_bundle.as_deref(),
                settings.ca_provider.as_ref(),
            )
            .await?,
            identity,
            ..TlsSettings::default()
        };
        let mut headers = HeaderMap::new();
        for (header, value) in settings.headers.iter().flatten() {
            let name = HeaderName::try_from(header.as_str());
            let value = HeaderValue::try_from(value.as_str());
            let (Ok(name), Ok(mut value)) = (name, value) else {
                return Err(StoreError::invalid("`headers` holds what is no header").public());
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let auth = settings.auth.as_ref();
        Self::new(
            Dialect::Vault,
            connection,
            tls,
            Engine {
                mount: mount(settings.path.as_deref()),
                version: settings.version,
                strips: true,
            },
            settings
                .check_and_set
                .as_ref()
                .is_some_and(|check| check.required),
            |http| {
                Ok(ClientParts {
                    http,
                    server,
                    name,
                    namespace: settings.namespace.clone(),
                    login_namespace: auth.and_then(|auth| auth.namespace.clone()),
                    headers,
                    login: Login::of_vault(auth, &settings.server, connection)?,
                    credentials: Arc::clone(&connection.credentials),
                    scope: connection.scope.clone(),
                    backoff: backoff(connection)?,
                    read_your_writes: settings.read_your_writes,
                    forward_inconsistent: settings.forward_inconsistent,
                })
            },
            settings.needs().finish(),
        )
    }

    /// Makes a store of OpenBao. It signs in at the first call.
    ///
    /// # Errors
    ///
    /// When settings or certificates are wrong.
    pub async fn openbao(
        settings: &OpenBaoSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let server = Url::parse(&settings.server).map_err(|error| error.at_field("server"))?;
        let name = format!("OpenBao {server}");
        let tls = TlsSettings {
            authorities: authorities(
                connection,
                settings.ca_bundle.as_deref(),
                settings.ca_provider.as_ref(),
            )
            .await?,
            ..TlsSettings::default()
        };
        let auth = settings.auth.as_ref();
        Self::new(
            Dialect::OpenBao,
            connection,
            tls,
            Engine {
                mount: mount(settings.path.as_deref()).or_else(|| Some("kv".to_owned())),
                version: settings.version,
                strips: false,
            },
            false,
            |http| {
                Ok(ClientParts {
                    http,
                    server,
                    name,
                    namespace: settings.namespace.clone(),
                    login_namespace: auth.and_then(|auth| auth.namespace.clone()),
                    headers: HeaderMap::new(),
                    login: Login::of_openbao(auth),
                    credentials: Arc::clone(&connection.credentials),
                    scope: connection.scope.clone(),
                    backoff: Backoff::default(),
                    read_your_writes: false,
                    forward_inconsistent: false,
                })
            },
            settings.needs().finish(),
        )
    }

    fn new(
        dialect: Dialect,
        connection: &Connection,
        tls: TlsSettings,
        engine: Engine,
        guards_writes: bool,
        parts: impl FnOnce(HttpClient) -> Result<ClientParts, StoreError>,
        needs: Vec<crate::credential::Need>,
    ) -> Result<Self, StoreError> {
        let http = HttpClient::new(HttpSettings {
            tls,
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?;
        Ok(Self {
            client: VaultClient::new(parts(http)?)?,
            engine,
            dialect,
            guards_writes,
            referent: connection.scope.is_unbound()
                && needs
                    .iter()
                    .any(crate::credential::Need::depends_on_consumer),
            engine_seen: Mutex::new(None),
        })
    }

    /// How often the store has signed in.
    pub fn logins(&self) -> u64 {
        self.client.logins()
    }

    /// How many requests it has sent.
    pub fn calls(&self) -> u64 {
        self.client.http.calls()
    }
}

/// A mount path without what stands around it.
fn mount(path: Option<&str>) -> Option<String> {
    path.map(|path| path.trim_matches('/'))
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
}

/// What `retrySettings` comes to: retries after the first attempt, with the interval as least and longest pause.
fn backoff(connection: &Connection) -> Result<Backoff, StoreError> {
    let Some(retry) = &connection.retry else {
        return Ok(Backoff {
            retries: 2,
            first: Duration::from_secs(1),
            longest: Duration::from_millis(1500),
            ..Backoff::default()
        });
    };
    let interval = match retry.retry_interval.as_deref() {
        Some(text) => crate::settings::duration("retrySettings.retryInterval", text)?,
        None => Duration::from_secs(1),
    };
    let retries = retry.max_retries.unwrap_or_default();
    Ok(Backoff {
        retries: u32::try_from(retries).unwrap_or_default().min(100),
        first: interval,
        longest: interval,
        budget: Duration::from_secs(60),
    })
}

/// Reads the certificates of the authorities that a store names.
pub(crate) async fn authorities(
    connection: &Connection,
    bundle: Option<&str>,
    provider: Option<&CaProvider>,
) -> Result<Option<Vec<u8>>, StoreError> {
    if let Some(bundle) = bundle.filter(|bundle| !bundle.is_empty()) {
        return authority_bundle(bundle).map(Some);
    }
    let Some(provider) = provider else {
        return Ok(None);
    };
    let key = provider.key.clone().unwrap_or_default();
    let namespace = provider.namespace.as_deref();
    let (credentials, scope) = (&connection.credentials, &connection.scope);
    let bytes = match provider.kind {
        CaProviderKind::Secret => {
            let selector = SecretKeySelector {
                name: Some(provider.name.clone()),
                namespace: provider.namespace.clone(),
                key: Some(key),
            };
            let secret = credentials.secret(scope, &selector).await;
            secret.map(|secret| secret.expose().to_vec())
        }
        CaProviderKind::ConfigMap => {
            credentials
                .config_map(scope, &provider.name, &key, namespace)
                .await
        }
    };
    bytes
        .map(Some)
        .map_err(|error| error.at_field("caProvider"))
}

async fn client_identity(
    connection: &Connection,
    (cert_field, cert): (&str, SecretKeySelector),
    (key_field, key): (&str, SecretKeySelector),
) -> Result<ClientIdentity, StoreError> {
    let (credentials, scope) = (&connection.credentials, &connection.scope);
    let certificate = credentials.secret(scope, &cert).await;
    let certificate = certificate.map_err(|error| error.at_field(cert_field))?;
    let key = credentials.secret(scope, &key).await;
    Ok(ClientIdentity {
        certificates: certificate.expose().to_vec(),
        key: key.map_err(|error| error.at_field(key_field))?,
    })
}

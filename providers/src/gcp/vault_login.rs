//! Signing in to Vault with an identity of Google: a token that says who asks, and for which role.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_crypto::surroundings::SystemSurroundings;
use serde_json::{Value, json};

use super::account::sign_as;
use super::metadata::Metadata;
use super::origin::StoreSecrets;
use super::workload::cluster::OfCluster;
use crate::bearer::assertion::{Signer, now};
use crate::credential::{Credentials, Scope};
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::json::{Json, Kind};
use crate::message::{Body, name_in};
use crate::outcome::StoreError;
use crate::settings::SecretKeySelector;
use crate::settings::gcp::GcpWorkloadIdentity;
use crate::settings::vault::VaultGcpAuth;
use crate::store::Connection;
use crate::vault::identity::Identity;

/// For how long a token is good that is only used to sign in.
const LIFETIME: u64 = 600;

/// An identity of Google.
pub(crate) struct VaultLogin {
    role: String,
    server: String,
    source: Source,
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    timeout: Option<Duration>,
}

enum Source {
    /// The key of a service account, which signs the token itself.
    Key(SecretKeySelector),
    /// The service account of Google that a Kubernetes service account names. Google signs the token.
    Workload(Box<OfCluster>, Arc<HttpClient>),
    /// The machine or pod that the program runs in.
    Machine,
}

impl VaultLogin {
    /// Signs in at a Vault with what the settings name: the key of a service account, a Kubernetes service account, or the
    /// machine.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub(crate) fn new(
        auth: &VaultGcpAuth,
        server: &str,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let key = auth.secret_ref.as_ref();
        let source = match (key, &auth.workload_identity) {
            (Some(key), _) => {
                Source::Key(key.secret_access_key_secret_ref.clone().unwrap_or_default())
            }
            (None, Some(identity)) => {
                let identity = GcpWorkloadIdentity {
                    service_account_ref: identity.service_account_ref.clone(),
                    cluster_location: identity.cluster_location.clone(),
                    cluster_name: identity.cluster_name.clone(),
                    cluster_project_id: identity.cluster_project_id.clone(),
                };
                let secrets = StoreSecrets {
                    credentials: Arc::clone(&connection.credentials),
                    scope: connection.scope.clone(),
                };
                let http = Arc::new(HttpClient::new(HttpSettings {
                    guard: connection.guard,
                    limits: Limits::within(connection.timeout),
                    ..HttpSettings::default()
                })?);
                let field = "auth.gcp.workloadIdentity.serviceAccountRef";
                let timeout = connection.timeout;
                let cluster = OfCluster::new(identity, secrets, &http, timeout, field)?;
                Source::Workload(Box::new(cluster), http)
            }
            (None, None) => Source::Machine,
        };
        Ok(Self {
            role: auth.role.clone(),
            server: server.trim_end_matches('/').to_owned(),
            source,
            credentials: Arc::clone(&connection.credentials),
            scope: connection.scope.clone(),
            timeout: connection.timeout,
        })
    }

    /// What the token says: for which role it is, and as whom.
    fn claims(&self, email: &str) -> Value {
        json!({"aud": format!("vault/{}", self.role), "sub": email, "exp": now() + LIFETIME})
    }

    async fn by_key(&self, at: &SecretKeySelector) -> Result<SecretText, StoreError> {
        const FIELD: &str = "auth.gcp.secretRef.secretAccessKeySecretRef";
        let text = self.credentials.secret(&self.scope, at).await;
        let text = text.map_err(|error| error.at_field(FIELD))?;
        let wrong = || {
            let text = format!("`{FIELD}` refers to something that is no key of a service account");
            StoreError::invalid(text).public()
        };
        let file = Json::parse(text.expose()).map_err(|_| wrong())?;
        if file.kind() != Kind::Object {
            return Err(wrong());
        }
        let email = name_in(file, "client_email").ok_or_else(wrong)?;
        let key = file.member("private_key").and_then(Json::string);
        let key = key.ok_or_else(wrong)?;
        let signer = Signer::from_pem(key.expose().as_bytes()).ok_or_else(wrong)?;
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = name_in(file, "private_key_id") {
            header["kid"] = id.into();
        }
        signer.sign(&header, &self.claims(&email))
    }
}

impl Identity for VaultLogin {
    fn body(&self) -> BoxFuture<'_, Result<SecretBytes, StoreError>> {
        Box::pin(async {
            let token = match &self.source {
                Source::Key(at) => self.by_key(at).await?,
                Source::Machine => {
                    let audience = format!("{}/vault/{}", self.server, self.role);
                    Metadata::new(&SystemSurroundings, self.timeout)?
                        .identity(&audience)
                        .await?
                }
                Source::Workload(cluster, http) => {
                    let (token, email) = cluster.as_account().await?;
                    sign_as(&email, &token, &self.claims(&email), http).await?
                }
            };
            let (body, _) = Body::new()
                .text("role", &self.role)
                .secret_text("jwt", token.expose().as_bytes())
                .finish();
            Ok(body)
        })
    }
}

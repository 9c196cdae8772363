//! Signing in to Azure: which token a request carries.

mod chain;
mod endpoint;
mod managed;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretText;
use sealwright_crypto::surroundings::SystemSurroundings;

pub(super) use self::chain::of_surroundings;
use self::endpoint::{Certificate, Proof, TokenEndpoint};
use self::managed::ManagedIdentity;
use self::workload::{Workload, variable};
use super::api::Cloud;
use crate::bearer::assertion::trimmed;
use crate::bearer::token::{AccessToken, TokenSource, Tokens};
use crate::credential::{Credentials, Scope, TokenRequest};
use crate::http::HttpClient;
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::azure::{AzureAuthType, AzureSettings};
use crate::settings::{SecretKeySelector, ServiceAccountSelector};
use crate::store::Connection;

/// A token of whom is exchanged for one of Azure.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// Annotations of a Kubernetes service account.
const CLIENT_ID: &str = "azure.workload.identity/client-id";
const TENANT_ID: &str = "azure.workload.identity/tenant-id";
const LARGEST_FILE: usize = 1 << 20;

/// Says how a store signs in.
pub(super) fn of_store(
    settings: &AzureSettings,
    cloud: Cloud,
    connection: &Connection,
    http: &Arc<HttpClient>,
) -> Result<Tokens, StoreError> {
    let secrets = StoreSecrets {
        credentials: Arc::clone(&connection.credentials),
        scope: connection.scope.clone(),
        trims: false,
    };
    source_of(settings, secrets, cloud, http, connection.timeout).map(Tokens::new)
}

/// Says how a generator signs in, for a service other than vaults. Spaces around its credentials do not count.
pub(super) fn of_generator(
    settings: &AzureSettings,
    cloud: Cloud,
    connection: &Connection,
    http: &Arc<HttpClient>,
) -> Result<Box<dyn TokenSource>, StoreError> {
    let secrets = StoreSecrets {
        credentials: Arc::clone(&connection.credentials),
        scope: connection.scope.clone(),
        trims: true,
    };
    source_of(settings, secrets, cloud, http, connection.timeout)
}

fn source_of(
    settings: &AzureSettings,
    secrets: StoreSecrets,
    cloud: Cloud,
    http: &Arc<HttpClient>,
    timeout: Option<Duration>,
) -> Result<Box<dyn TokenSource>, StoreError> {
    let endpoint = TokenEndpoint {
        cloud: cloud.clone(),
        http: Arc::clone(http),
    };
    Ok(match settings.auth_type {
        AzureAuthType::ServicePrincipal => Box::new(PrincipalOfStore {
            settings: settings.clone(),
            secrets,
            endpoint,
        }),
        AzureAuthType::ManagedIdentity => Box::new(ManagedIdentity::new(
            &SystemSurroundings,
            &cloud,
            settings.identity_id.clone(),
            timeout,
        )?),
        AzureAuthType::WorkloadIdentity => Box::new(WorkloadOfStore {
            settings: settings.clone(),
            secrets,
            endpoint,
        }),
    })
}

struct StoreSecrets {
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    /// Whether spaces and line breaks around a text are left out.
    trims: bool,
}

impl StoreSecrets {
    async fn text(
        &self,
        field: &'static str,
        at: Option<&SecretKeySelector>,
    ) -> Result<Option<SecretText>, StoreError> {
        let Some(at) = at else { return Ok(None) };
        let bytes = self.credentials.secret(&self.scope, at).await;
        let bytes = bytes.map_err(|error| error.at_field(field))?;
        let text = SecretText::from_bytes(bytes).map_err(|_| {
            StoreError::invalid(format!("`{field}` refers to something that is no text")).public()
        })?;
        Ok(Some(match self.trims {
            true => SecretText::copy_of(text.expose().trim()),
            false => text,
        }))
    }
}

/// A service principal, whose secret or certificate is read again at each sign-in.
struct PrincipalOfStore {
    settings: AzureSettings,
    secrets: StoreSecrets,
    endpoint: TokenEndpoint,
}

impl PrincipalOfStore {
    async fn sign_in(&self) -> Result<AccessToken, StoreError> {
        let missing = |what: &str| StoreError::invalid(format!("`{what}` is missing")).public();
        let tenant = self.settings.tenant_id.as_deref().unwrap_or_default();
        let auth = self.settings.auth_secret_ref.as_ref();
        let auth = auth.ok_or_else(|| missing("authSecretRef"))?;
        let client = self
            .secrets
            .text("authSecretRef.clientId", auth.client_id.as_ref())
            .await?
            .ok_or_else(|| missing("authSecretRef.clientId"))?;
        if let Some(at) = &auth.client_certificate {
            const FIELD: &str = "authSecretRef.clientCertificate";
            let bytes = self
                .secrets
                .credentials
                .secret(&self.secrets.scope, at)
                .await;
            let bytes = bytes.map_err(|error| error.at_field(FIELD))?;
            let certificate = Certificate::read(&bytes, "", FIELD)?;
            let proof = Proof::Certificate(&certificate);
            return self.endpoint.token(tenant, client.expose(), proof).await;
        }
        let secret = self
            .secrets
            .text("authSecretRef.clientSecret", auth.client_secret.as_ref())
            .await?
            .ok_or_else(|| missing("authSecretRef.clientSecret"))?;
        let proof = Proof::Secret(&secret);
        self.endpoint.token(tenant, client.expose(), proof).await
    }
}

impl TokenSource for PrincipalOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(self.sign_in())
    }

    fn principal(&self) -> String {
        let tenant = self.settings.tenant_id.as_deref().unwrap_or_default();
        format!("a service principal of the tenant {}", shown(tenant))
    }
}

/// A Kubernetes service account that Azure trusts: a named one, or the pod's own.
struct WorkloadOfStore {
    settings: AzureSettings,
    secrets: StoreSecrets,
    endpoint: TokenEndpoint,
}

impl WorkloadOfStore {
    async fn sign_in(&self) -> Result<AccessToken, StoreError> {
        let Some(account) = &self.settings.service_account_ref else {
            let mut endpoint = self.endpoint.clone();
            if self.settings.is_new_dialect()
                && let Some(login) = variable(&SystemSurroundings, "AZURE_AUTHORITY_HOST")
            {
                endpoint.cloud.login = login.trim_end_matches('/').to_owned();
            } else if !endpoint.cloud.has_known_login() {
                // The token of the pod is the program's own.
                return Err(StoreError::invalid(
                    "`customCloudConfig.activeDirectoryEndpoint` is none of Azure's, and no other gets the token of this program",
                )
                .public()
                .with_hint("set AZURE_AUTHORITY_HOST of this program, or serviceAccountRef"));
            }
            let workload = Workload::of_surroundings(&SystemSurroundings, endpoint);
            let workload = workload.ok_or_else(|| {
                StoreError::invalid(
                    "`WorkloadIdentity` without serviceAccountRef needs AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE",
                )
                .public()
            })?;
            return workload.sign_in(&SystemSurroundings).await;
        };
        let (tenant, client) = self.whom(account).await?;
        let request = TokenRequest {
            service_account: account.clone(),
            audiences: std::iter::once(AUDIENCE.to_owned())
                .chain(account.audiences.iter().cloned())
                .collect(),
            lifetime: None,
        };
        let StoreSecrets {
            credentials, scope, ..
        } = &self.secrets;
        let token = credentials.token(scope, &request).await;
        let token = token.map_err(|error| error.at_field("serviceAccountRef"))?;
        let token = trimmed(&token).ok_or_else(|| {
            StoreError::new(
                Trouble::Malformed,
                "the token of the service account is no text",
            )
        })?;
        let proof = Proof::Assertion(token);
        self.endpoint.token(&tenant, &client, proof).await
    }

    /// Tenant and client of a service account: from its annotations, and, before the newer library, from a Secret.
    async fn whom(&self, account: &ServiceAccountSelector) -> Result<(String, String), StoreError> {
        let invalid = |text: &str| StoreError::invalid(text).public();
        let StoreSecrets {
            credentials, scope, ..
        } = &self.secrets;
        let annotations = credentials.annotations(scope, account).await;
        let annotations = annotations.map_err(|error| error.at_field("serviceAccountRef"))?;
        let annotated = |name: &str| annotations.get(name).filter(|text| !text.is_empty());
        let given = self.settings.tenant_id.clone().filter(|id| !id.is_empty());
        if self.settings.is_new_dialect() {
            let client = annotated(CLIENT_ID).ok_or_else(|| {
                invalid("the service account has no annotation azure.workload.identity/client-id")
            })?;
            let tenant = given.or_else(|| annotated(TENANT_ID).cloned());
            let tenant = tenant.ok_or_else(|| invalid("`tenantId` is missing"))?;
            return Ok((tenant, client.clone()));
        }
        let auth = self.settings.auth_secret_ref.as_ref();
        let client = auth.and_then(|auth| auth.client_id.as_ref());
        let client = self.secrets.text("authSecretRef.clientId", client).await?;
        let client = match (client, annotated(CLIENT_ID)) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "`authSecretRef.clientId` and the annotation azure.workload.identity/client-id are both set",
                ));
            }
            (Some(client), None) => client.expose().to_owned(),
            (None, Some(client)) => client.clone(),
            (None, None) => {
                return Err(invalid(
                    "neither `authSecretRef.clientId` nor the annotation azure.workload.identity/client-id is set",
                ));
            }
        };
        let tenant = auth.and_then(|auth| auth.tenant_id.as_ref());
        let tenant = self.secrets.text("authSecretRef.tenantId", tenant).await?;
        let tenant = tenant.map(|text| text.expose().to_owned()).or(given);
        let tenant = match (tenant, annotated(TENANT_ID)) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "the tenant is set, and the annotation azure.workload.identity/tenant-id as well",
                ));
            }
            (Some(tenant), None) => Some(tenant),
            (None, Some(tenant)) => Some(tenant.clone()),
            (None, None) => variable(&SystemSurroundings, "AZURE_TENANT_ID"),
        };
        let tenant = tenant.ok_or_else(|| invalid("`tenantId` is missing"))?;
        Ok((tenant, client))
    }
}

impl TokenSource for WorkloadOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(self.sign_in())
    }

    fn principal(&self) -> String {
        match &self.settings.service_account_ref {
            Some(account) => format!("the service account {}", shown(&account.name)),
            None => "the workload identity of this pod".to_owned(),
        }
    }
}

//! Signing in as a workload of a cluster.
//!
//! The token of a Kubernetes service account is exchanged for one of Google, and where its annotation names a service account of
//! Google, that one is impersonated.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use sealwright_crypto::secret::SecretText;
use sealwright_crypto::surroundings::SystemSurroundings;
use serde_json::json;

use crate::bearer::token::{AccessToken, TokenSource, ask};
use crate::http::{HttpClient, Request};
use crate::outcome::{StoreError, shown};
use crate::settings::gcp::GcpWorkloadIdentity;

use super::super::SCOPE;
use super::super::account::Impersonated;
use super::super::address::{https, impersonation_url};
use super::super::metadata::Metadata;
use super::super::origin::StoreSecrets;
use super::{ACCESS_TOKEN, ANNOTATION, EXCHANGE, JWT, token_of_account};

/// A Kubernetes service account of a GKE cluster.
pub(in crate::gcp) struct OfCluster {
    identity: GcpWorkloadIdentity,
    metadata: Metadata,
    secrets: StoreSecrets,
    http: Arc<HttpClient>,
    /// The field that names the service account, for errors.
    field: &'static str,
}

impl OfCluster {
    pub(in crate::gcp) fn new(
        identity: GcpWorkloadIdentity,
        secrets: StoreSecrets,
        http: &Arc<HttpClient>,
        timeout: Option<Duration>,
        field: &'static str,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            identity,
            metadata: Metadata::new(&SystemSurroundings, timeout)?,
            secrets,
            http: Arc::clone(http),
            field,
        })
    }

    async fn or_metadata(
        &self,
        given: Option<&String>,
        path: &[&str],
        what: &str,
    ) -> Result<String, StoreError> {
        if let Some(text) = given.filter(|text| !text.is_empty()) {
            return Ok(text.clone());
        }
        let text = self.metadata.text(path.iter().copied(), what).await;
        text.map_err(|error| {
            error.with_hint(
                "set clusterProjectID, clusterLocation and clusterName of the workload identity",
            )
        })
    }

    /// A token of the Kubernetes service account, and the service account of Google that it names.
    async fn exchanged(&self) -> Result<(AccessToken, Option<String>), StoreError> {
        let identity = &self.identity;
        let account = &identity.service_account_ref;
        // The project of the secrets says nothing here: it is often another one than that of the cluster.
        let named = identity.cluster_project_id.as_ref();
        let project = ["project", "project-id"];
        let project = self
            .or_metadata(named, &project, "project of the cluster")
            .await?;
        let named = identity.cluster_location.as_ref();
        let path = ["instance", "attributes", "cluster-location"];
        let location = self
            .or_metadata(named, &path, "location of the cluster")
            .await?;
        let named = identity.cluster_name.as_ref();
        let path = ["instance", "attributes", "cluster-name"];
        let cluster = self
            .or_metadata(named, &path, "name of the cluster")
            .await?;
        let StoreSecrets { credentials, scope } = &self.secrets;
        let annotations = credentials.annotations(scope, account).await;
        let annotations = annotations.map_err(|error| error.at_field(self.field))?;
        let pool = format!("{project}.svc.id.goog");
        let audiences = std::iter::once(pool.clone())
            .chain(account.audiences.iter().cloned())
            .collect();
        let token = token_of_account(account, audiences, &self.secrets, self.field).await?;
        let provider = format!(
            "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"
        );
        let mut body = crate::message::Body::new();
        for (name, value) in [
            ("grant_type", EXCHANGE),
            ("subject_token_type", JWT),
            ("requested_token_type", ACCESS_TOKEN),
            ("scope", SCOPE),
            ("audience", &format!("identitynamespace:{pool}:{provider}")),
        ] {
            body = body.value(name, &json!(value));
        }
        let (body, _) = body
            .secret_text("subject_token", token.expose().as_bytes())
            .finish();
        let url = https(
            "https://securetoken.googleapis.com/v1/identitybindingtoken",
            "token_url",
        )?;
        let request = Request::new(Method::POST, url).json(body);
        let token = ask(&self.http, request, "access_token").await?;
        let email = annotations.get(ANNOTATION).filter(|text| !text.is_empty());
        Ok((token, email.cloned()))
    }

    async fn sign_in(&self) -> Result<AccessToken, StoreError> {
        match self.exchanged().await? {
            (token, None) => Ok(token),
            (token, Some(email)) => self.impersonate(&token, &email).await,
        }
    }

    /// A token of the service account of Google that the Kubernetes service account names, and its email.
    pub(in crate::gcp) async fn as_account(&self) -> Result<(AccessToken, String), StoreError> {
        let (token, email) = self.exchanged().await?;
        let email = email.ok_or_else(|| {
            let name = shown(&self.identity.service_account_ref.name);
            let text = format!("the service account {name} has no annotation {ANNOTATION}");
            StoreError::invalid(text).public()
        })?;
        let token = self.impersonate(&token, &email).await?;
        Ok((token, email))
    }

    async fn impersonate(
        &self,
        token: &AccessToken,
        email: &str,
    ) -> Result<AccessToken, StoreError> {
        let federated = Exchanged {
            token: SecretText::copy_of(token.expose()),
            principal: self.principal(),
        };
        let impersonated = Impersonated {
            base: Box::new(federated),
            url: impersonation_url(email)?,
            delegates: Vec::new(),
            lifetime: 3600,
            http: Arc::clone(&self.http),
        };
        impersonated.fetch().await
    }
}

impl TokenSource for OfCluster {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(self.sign_in())
    }

    fn principal(&self) -> String {
        let name = shown(&self.identity.service_account_ref.name);
        format!("the Kubernetes service account {name}")
    }
}

/// A token that was exchanged just now.
struct Exchanged {
    token: SecretText,
    principal: String,
}

impl TokenSource for Exchanged {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        let token = SecretText::copy_of(self.token.expose());
        Box::pin(async move { Ok(AccessToken::new(token, None)) })
    }

    fn principal(&self) -> String {
        self.principal.clone()
    }
}

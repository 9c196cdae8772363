//! Signing in as an identity of somewhere else, as a store describes it.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::super::Source;
use super::super::account::Impersonated;
use super::super::address::{impersonation_url, token_service_of};
use super::super::credential_file::{self, Instead};
use super::super::origin::{Origin, StoreSecrets};
use super::{ANNOTATION, AwsSubject, Federated, JWT, Subject};
use crate::bearer::token::{AccessToken, TokenSource};
use crate::http::HttpClient;
use crate::json::Json;
use crate::message::name_in;
use crate::outcome::{StoreError, shown};
use crate::settings::gcp::GcpFederation;

/// Makes the source of a store with `workloadIdentityFederation`.
pub(in crate::gcp) fn federated(
    settings: GcpFederation,
    secrets: StoreSecrets,
    http: &Arc<HttpClient>,
) -> Source {
    Box::new(FederationOfStore {
        settings,
        secrets,
        http: Arc::clone(http),
    })
}

/// What a store with federation refers to is read again at each sign-in.
struct FederationOfStore {
    settings: GcpFederation,
    secrets: StoreSecrets,
    http: Arc<HttpClient>,
}

impl FederationOfStore {
    async fn source(&self) -> Result<Source, StoreError> {
        let settings = &self.settings;
        let audience = settings.audience.clone().unwrap_or_default();
        let mut email = settings.gcp_service_account_email.clone();
        let base: Source = if let Some(at) = &settings.cred_config {
            // The file itself has a place for the account that is impersonated.
            return self
                .of_config(&at.name, &at.key, at.namespace.as_deref())
                .await;
        } else if let Some(account) = &settings.service_account_ref {
            let annotations = self
                .secrets
                .credentials
                .annotations(&self.secrets.scope, account);
            let annotations = annotations.await.map_err(|error| {
                error.at_field("auth.workloadIdentityFederation.serviceAccountRef")
            })?;
            email = email.or_else(|| annotations.get(ANNOTATION).cloned());
            let subject = Subject::ServiceAccount {
                account: account.clone(),
                audience: audience.clone(),
                secrets: self.secrets.clone(),
            };
            self.exchange(audience, JWT, subject)?
        } else if let Some(aws) = &settings.aws_security_credentials {
            let subject = Subject::Aws(AwsSubject::Secret {
                at: aws.clone(),
                secrets: self.secrets.clone(),
            });
            let kind = "urn:ietf:params:aws:token-type:aws4_request";
            self.exchange(audience, kind, subject)?
        } else {
            return Err(StoreError::invalid(
                "`auth.workloadIdentityFederation` names no source of an identity",
            )
            .public());
        };
        Ok(match email.filter(|email| !email.is_empty()) {
            None => base,
            Some(email) => Box::new(Impersonated {
                base,
                url: impersonation_url(&email)?,
                delegates: Vec::new(),
                lifetime: 3600,
                http: Arc::clone(&self.http),
            }),
        })
    }

    async fn of_config(
        &self,
        name: &str,
        key: &str,
        namespace: Option<&str>,
    ) -> Result<Source, StoreError> {
        const FIELD: &str = "auth.workloadIdentityFederation.credConfig";
        let StoreSecrets { credentials, scope } = &self.secrets;
        let text = credentials.config_map(scope, name, key, namespace).await;
        let text = text.map_err(|error| error.at_field(FIELD))?;
        let json = Json::parse(&text).ok();
        let json =
            json.filter(|json| name_in(*json, "type").as_deref() == Some("external_account"));
        let json = json.ok_or_else(|| {
            StoreError::invalid(format!("`{FIELD}` is no file of external credentials")).public()
        })?;
        let settings = &self.settings;
        let source = json.member("credential_source");
        // What means AWS is refused in its own words.
        let means_aws = |source: &Json<'_>| {
            name_in(*source, "environment_id").is_some_and(|id| id.starts_with("aws"))
        };
        let source = source.filter(|source| !means_aws(source));
        let url = source.and_then(|source| name_in(source, "url"));
        if url.is_some() && url != settings.external_token_endpoint {
            return Err(StoreError::invalid(
                "`externalTokenEndpoint` is not the address that credConfig takes its token from",
            )
            .public());
        }
        let origin = Origin::Store {
            http: Arc::clone(&self.http),
        };
        let instead = Instead {
            audience: settings.audience.as_deref(),
            subject_type: Some(JWT),
            email: settings.gcp_service_account_email.as_deref(),
        };
        credential_file::external_account(json, &origin, &instead)
    }

    fn exchange(
        &self,
        audience: String,
        subject_type: &str,
        subject: Subject,
    ) -> Result<Source, StoreError> {
        Ok(Box::new(Federated {
            audience,
            subject_type: subject_type.to_owned(),
            subject,
            token_url: token_service_of("https://sts.googleapis.com/v1/token")?,
            http: Arc::clone(&self.http),
        }))
    }
}

impl TokenSource for FederationOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async { self.source().await?.fetch().await })
    }

    fn principal(&self) -> String {
        match self.settings.gcp_service_account_email.as_deref() {
            Some(email) if !email.is_empty() => shown(email),
            _ => match self.settings.audience.as_deref() {
                Some(audience) => format!("an identity of {}", shown(audience)),
                None => "an external identity".to_owned(),
            },
        }
    }
}

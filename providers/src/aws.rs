//! AWS: Secrets Manager, Parameter Store, Certificate Manager and the key service, over one signed layer.
//!
//! # What is used of the vendor's libraries, and why
//!
//! Signing in is theirs: `aws-config` knows the environment, profiles, SSO, processes, containers and instance
//! metadata, `aws-sdk-sts` the roles, `aws-sigv4` the signature. They run over our HTTP layer, so there is one TLS
//! stack, one proxy and one set of certificates. The operations are ours, as JSON over the same layer: the service
//! crates hold values in plain `String`s that nothing wipes, `aws-sdk-ssm` alone takes as long to compile as everything
//! else of AWS together, and each of them makes the program larger and so slower to start.

mod api;
mod certificate_manager;
#[cfg(feature = "gcp")]
pub(crate) mod federation;
pub(crate) mod generators;
mod http_client;
mod parameter_store;
mod refusal;
mod secrets_manager;
mod service;
mod sign_in;
mod signature;
mod sts;
mod tags;
pub(crate) mod vault_login;

pub mod bucket;
pub mod kms;

use std::sync::Arc;

use crate::aws::api::{Api, Bounds};
use crate::aws::certificate_manager::CertificateManager;
use crate::aws::parameter_store::ParameterStore;
use crate::aws::secrets_manager::SecretsManager;
use crate::aws::sign_in::SignIn;
use crate::outcome::{StoreError, shown};
use crate::remote::RemoteRef;
use crate::settings::aws::{AwsService, AwsSettings};
use crate::store::{Connection, Inspection, Step, Store};

/// Connects to the service that the settings name. Nothing is asked yet: the first call signs in.
///
/// # Errors
///
/// When TLS cannot be set up.
pub(crate) fn connect(
    settings: &AwsSettings,
    connection: &Connection,
) -> Result<Arc<dyn Store>, StoreError> {
    let sign_in = SignIn::of_store(settings, connection)?;
    let bounds = Bounds {
        retry: connection.retry.as_ref(),
        timeout: connection.timeout,
    };
    let api = |service| Api::new(service, &settings.region, sign_in.clone(), bounds);
    Ok(match settings.service {
        AwsService::SecretsManager => Arc::new(SecretsManager::new(
            api(service::SECRETS_MANAGER)?,
            settings,
            connection,
        )),
        AwsService::ParameterStore => Arc::new(ParameterStore::new(
            api(service::SYSTEMS_MANAGER)?,
            settings,
            connection,
        )),
        AwsService::CertificateManager => Arc::new(CertificateManager::new(
            api(service::CERTIFICATE_MANAGER)?,
            api(service::TAGGING)?,
            settings,
            connection,
        )),
    })
}

/// Tries one step after another for a person: credentials, whose they are, and a key.
async fn inspect(store: &dyn Store, api: &Api, at: Option<&RemoteRef>) -> Inspection {
    let mut inspection = Inspection::default();
    let key = api.access_key_id().await;
    let failed = key.is_err();
    inspection.steps.push(Step {
        what: "find credentials".to_owned(),
        result: key.map(|id| format!("access key {}", shown(&id))),
    });
    if failed {
        return inspection;
    }
    let caller = api.caller().await;
    inspection.principal = caller.as_ref().ok().cloned();
    let failed = caller.is_err();
    inspection.steps.push(Step {
        what: "ask AWS STS who this is".to_owned(),
        result: caller,
    });
    if let (Some(at), false) = (at, failed) {
        inspection
            .steps
            .push(Step::of_read(at, store.get(at).await));
    }
    inspection
}

//! Google: Secret Manager and the key service, over REST.
//!
//! # Why not the vendor's libraries
//!
//! Measured against `google-cloud-secretmanager-v1`, `google-cloud-kms-v1` and `google-cloud-auth`: see
//! `docs/src/parity/cloud-libraries.md`. They make the program larger than all the rest of it, keep values in buffers
//! that nothing wipes, and bring a second HTTP stack with its own idea of proxies and certificates. Signing in is one
//! request with a form or a signed assertion, and the operations are JSON.

mod account;
mod address;
mod api;
mod checksum;
mod credential_file;
mod metadata;
mod origin;
mod registry;
mod secret_manager;
mod sign_in;
pub(crate) mod vault_login;
mod workload;

pub mod bucket;
pub mod kms;

pub(crate) use registry::gcr_access_token;

use std::sync::Arc;

use crate::bearer::token::TokenSource;
use crate::outcome::StoreError;
use crate::settings::gcp::GcpSettings;
use crate::store::{Connection, Store};

/// Connects to Secret Manager. Nothing is asked yet: the first call signs in.
///
/// # Errors
///
/// When TLS cannot be set up.
pub(crate) fn connect(
    settings: &GcpSettings,
    connection: &Connection,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(secret_manager::SecretManager::new(
        settings, connection,
    )?))
}

/// What tokens are asked for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A boxed source of tokens.
type Source = Box<dyn TokenSource>;

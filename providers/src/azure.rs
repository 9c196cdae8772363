//! Azure: Key Vault as a store of secrets, keys and certificates, and as a key service for files.
//!
//! # Why not the vendor's libraries
//!
//! Measured against `azure_identity` and `azure_security_keyvault_*`: see `docs/src/parity/cloud-libraries.md`. Their
//! values are texts that nothing wipes, certificates ask for OpenSSL, there is no chain of default credentials, and
//! what remains of signing in is one form.

mod api;
mod key_vault;
mod registry;
mod sign_in;

pub mod keys;

pub(crate) use registry::acr_access_token;

use std::sync::Arc;

use crate::outcome::StoreError;
use crate::settings::azure::AzureSettings;
use crate::store::{Connection, Store};

/// Connects to a vault. Nothing is asked yet: the first call signs in.
///
/// # Errors
///
/// When TLS cannot be set up, or the address is none of a vault.
pub(crate) fn connect(
    settings: &AzureSettings,
    connection: &Connection,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(key_vault::KeyVault::new(settings, connection)?))
}

/// Connects to a vault with the credentials that the vendor's programs find: the environment, workload and managed
/// identity, and `az login`.
///
/// # Errors
///
/// When the address is none of a vault of Azure.
pub fn connect_as_user(vault_url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(key_vault::KeyVault::of_user(vault_url)?))
}

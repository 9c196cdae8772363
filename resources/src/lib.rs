//! The custom resources of sealwright and sealing: values in, values out, without a cluster.
//!
//! This crate owns the types of the custom resources, the scopes and labels that tie a sealed
//! value to its place, sealing and unsealing of whole objects, and the conditions that tell how it
//! went. It leaves watching and writing to the controller, files and flags to the CLI, the template
//! language to `sealwright-template`, and the ciphers to `sealwright-crypto`.
//!
//! ```
//! use sealwright_crypto::sealing::{Certificate, PrivateKey};
//! use sealwright_crypto::secret::SecretBytes;
//! use sealwright_resources::keyring::{Keyring, SealingKey};
//! use sealwright_resources::plain_secret::PlainSecret;
//! use sealwright_resources::scope::Scope;
//! use sealwright_resources::sealed_secret::{UnsealOptions, seal, unseal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PrivateKey::generate(2048)?;
//! let certificate = Certificate::self_signed(&key, "", 1_700_000_000, 3600)?;
//!
//! let mut secret = PlainSecret::named("ns", "db");
//! secret.insert("password", SecretBytes::copy_of(b"s3cr3t"));
//! let sealed = seal(&secret, &certificate, Scope::Strict)?;
//!
//! let mut keys = Keyring::default();
//! keys.insert(SealingKey::new("key-1", key, certificate, 1_700_000_000));
//! let opened = unseal(&sealed, &keys, &UnsealOptions::default())?;
//! assert_eq!(opened.secret.get("password").map(SecretBytes::expose), Some(&b"s3cr3t"[..]));
//! # Ok(())
//! # }
//! ```

pub mod cluster_external_secret;
pub mod condition;
pub mod cron;
mod definition;
pub mod drift;
pub mod external_secret;
pub mod generator;
pub mod json_value;
pub mod keyring;
pub mod label_selector;
pub mod manifest;
pub mod plain_secret;
pub mod push_secret;
pub mod scope;
pub mod sealed_secret;
pub mod secret_store;

/// The CustomResourceDefinitions of External Secrets, in the order of their names: first its own, then the generators.
///
/// The version v1beta1 is served on demand only, as upstream's chart does.
#[must_use]
pub fn external_secrets_definitions(serve_v1beta1: bool) -> Vec<serde_json::Value> {
    let mut definitions = vec![
        cluster_external_secret::custom_resource_definition(serve_v1beta1),
        push_secret::cluster_push_secret_definition(),
        secret_store::cluster_secret_store_definition(serve_v1beta1),
        external_secret::custom_resource_definition(serve_v1beta1),
        push_secret::push_secret_definition(),
        secret_store::secret_store_definition(serve_v1beta1),
    ];
    definitions.extend(generator::custom_resource_definitions());
    definitions
}

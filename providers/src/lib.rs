//! Vaults and key services: one client for each, the settings it takes, and reads that are joined and budgeted.
//!
//! This crate owns the provider part of a SecretStore ([`store::StoreConfig`], field for field as upstream has it), the
//! typed answers of a store ([`outcome`]), the clients behind the trait [`store::Store`], and the layer that joins reads.
//! It leaves Kubernetes objects (which stores a namespace may use, what becomes of the values) to `resources` and the
//! controller, and documents to `documents`. It never reads a credential by itself: it asks the program through
//! [`credential::Credentials`].
//!
//! # The way of a value
//!
//! 1. The program parses the manifest; its `spec.provider` is a [`StoreConfig`](store::StoreConfig). `check` finds what
//!    is wrong with it without any network, `needs` lists the Secrets and service accounts it refers to.
//! 2. `connect` makes a [`Store`](store::Store) of it. The store keeps the [`Credentials`](credential::Credentials) it
//!    was given, because it signs in again when a token ends.
//! 3. [`Store::locate`](store::Store::locate) turns a [`RemoteRef`](remote::RemoteRef) into a
//!    [`ReadKey`](store::ReadKey): what has to be asked of the server. References with equal read keys, such as ten
//!    properties of one secret, cost one call.
//! 4. [`Store::read`](store::Store::read) asks the server, and gives a [`Payload`](store::Payload), a proved absence,
//!    or an error.
//! 5. [`Store::value`](store::Store::value) and [`Store::map`](store::Store::map) pick what the reference means out of
//!    the payload, without any network.
//!
//! Programs with many references send them through a `fetch::Fetcher`, which does steps 3 to 5 for all of
//! them: it joins equal reads, batches, and bounds what one store may cost.
//!
//! ```
//! use sealwright_providers::outcome::Answer;
//! use sealwright_providers::remote::RemoteRef;
//! use sealwright_providers::store::{Connection, StoreConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config: StoreConfig = serde_json::from_str(
//!     r#"{"fake": {"data": [{"key": "db", "value": "{\"user\": \"admin\"}"}]}}"#,
//! )?;
//! let store = futures::executor::block_on(config.connect(&Connection::default()))?;
//! let at = RemoteRef::new("db").property("user");
//! let Answer::Found(user) = futures::executor::block_on(store.get(&at))? else {
//!     panic!("it is there");
//! };
//! assert_eq!(user.expose(), b"admin");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod address;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
#[cfg(feature = "clients")]
pub mod backoff;
#[cfg(feature = "bearer")]
#[cfg_attr(
    not(all(
        feature = "aws",
        feature = "azure",
        feature = "doppler",
        feature = "gcp",
        feature = "gitlab",
        feature = "onepassword"
    )),
    allow(dead_code, reason = "a build with few vendors needs only some of it")
)]
mod bearer;
pub mod credential;
#[cfg(feature = "doppler")]
mod doppler;
pub mod fake;
#[cfg(feature = "clients")]
pub mod fetch;
pub mod file;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(feature = "clients")]
pub mod generators;
#[cfg(feature = "gitlab")]
mod gitlab;
#[cfg(feature = "clients")]
pub mod http;
pub mod json;
#[cfg(feature = "clients")]
pub mod kubernetes;
#[cfg(feature = "clients")]
#[cfg_attr(
    not(all(feature = "aws", feature = "gitlab", feature = "onepassword")),
    allow(dead_code, reason = "a build with few vendors needs only some of it")
)]
mod listing;
#[cfg(any(feature = "aws", feature = "bearer"))]
#[cfg_attr(
    not(all(
        feature = "aws",
        feature = "azure",
        feature = "doppler",
        feature = "gcp",
        feature = "gitlab",
        feature = "onepassword"
    )),
    allow(dead_code, reason = "a build with few vendors needs only some of it")
)]
mod message;
#[cfg(feature = "onepassword")]
mod onepassword;
pub mod outcome;
#[cfg(feature = "clients")]
pub mod proxy;
pub mod remote;
pub mod settings;
pub mod store;
#[cfg(feature = "clients")]
pub mod vault;
#[cfg(feature = "clients")]
pub mod webhook;

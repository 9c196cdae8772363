//! The harness: programs that are built once, servers that run as long as a test binary does.

pub mod cache;
#[cfg(feature = "vaults")]
pub mod clouds;
#[cfg(feature = "kubernetes")]
pub mod cluster;
#[cfg(feature = "vaults")]
pub mod double;
pub mod fault_proxy;
pub mod generated;
#[cfg(feature = "kubernetes")]
pub mod load;
#[cfg(feature = "measure")]
pub mod measure;
#[cfg(feature = "vaults")]
pub mod moto;
#[cfg(feature = "kubernetes")]
pub mod openbao;
#[cfg(feature = "kubernetes")]
pub mod oracle;
#[cfg(feature = "vaults")]
pub mod peer;
pub mod pins;
pub mod postgres;
pub mod programs;
pub mod sandbox;
#[cfg(feature = "kubernetes")]
pub mod sealed_secrets;
pub mod server;
mod toolchain;
pub mod upstream;

#[cfg(feature = "kubernetes")]
pub use cluster::cluster;

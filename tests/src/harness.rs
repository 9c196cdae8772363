//! The harness: programs that are built once, servers that run as long as a test binary does.

pub mod cache;
#[cfg(feature = "kubernetes")]
pub mod cluster;
pub mod fault_proxy;
pub mod generated;
pub mod incumbents;
<<<<<<< HEAD
#[cfg(feature = "vaults")]
pub mod openbao;
=======
#[cfg(feature = "kubernetes")]
pub mod moto;
>>>>>>> e57e92a (providers: AWS Secrets Manager, Parameter Store, Certificate Manager and KMS)
pub mod pins;
pub mod postgres;
pub mod programs;
pub mod sandbox;
#[cfg(feature = "kubernetes")]
pub mod sealed_secrets;
pub mod server;
mod toolchain;

#[cfg(feature = "kubernetes")]
pub use cluster::cluster;

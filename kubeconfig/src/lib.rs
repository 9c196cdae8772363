//! Kubeconfigs as upstream's clients read them, for both programs.
//!
//! The library's own reading of a kubeconfig chooses proxies by other rules, and takes an empty name of a context for one.
#![forbid(unsafe_code)]

use std::path::Path;

use http::Uri;
use kube::config::{AuthInfo, Cluster, Config, ExecAuthCluster, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sealwright_providers::proxy::Proxies;
use thiserror::Error;

/// Why a kubeconfig cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// It cannot be read, or contradicts itself.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The authority is none.
    #[error("the certificate authority is not in PEM")]
    Authority,
}

/// Reads a file. A name of a context that is empty is none, so that a later file may have one.
///
/// # Errors
///
/// When the file cannot be read, or is no kubeconfig.
pub fn read(path: impl AsRef<Path>) -> Result<Kubeconfig, KubeconfigError> {
    Kubeconfig::read_from(path).map(without_empty_context)
}

/// Takes away the name of the current context if it is empty.
#[must_use]
pub fn without_empty_context(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    kubeconfig.current_context = kubeconfig.current_context.filter(|name| !name.is_empty());
    kubeconfig
}

/// What the library needs to know to connect to a cluster as a user.
///
/// # Errors
///
/// When an address or the authority cannot be read.
pub fn configuration(
    cluster: &Cluster,
    mut user: AuthInfo,
    namespace: Option<String>,
    proxies: &Proxies,
) -> Result<Config, Unusable> {
    let url = cluster
        .server
        .as_deref()
        .ok_or(KubeconfigError::MissingClusterUrl)?
        .parse::<Uri>()
        .map_err(KubeconfigError::ParseClusterUrl)?;
    let proxy = match cluster.proxy_url.as_deref() {
        // It was named for this server: what the environment says is for all others.
        Some(proxy) if !proxy.is_empty() => {
            let proxy = proxy.parse::<Uri>();
            Some(proxy.map_err(KubeconfigError::ParseProxyUrl)?)
        }
        _ => proxies.proxy_for(&url).cloned(),
    };
    // With the authority that a file may hold.
    let described = ExecAuthCluster::try_from(cluster)?;
    let mut config = Config::new(url);
    if let Some(pem) = &described.certificate_authority_data {
        let read: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(pem)
            .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
            .collect();
        config.root_cert = Some(read.map_err(|_| Unusable::Authority)?);
    }
    if let Some(namespace) = namespace {
        config.default_namespace = namespace;
    }
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.proxy_url = proxy;
    if let Some(exec) = &mut user.exec
        && exec.provide_cluster_info
    {
        exec.cluster = Some(described);
    }
    config.auth_info = user;
    Ok(config)
}

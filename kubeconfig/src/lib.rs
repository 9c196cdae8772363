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
    /// The proxy cannot be asked. Its address may have a password, and is not shown.
    #[error("the address of the proxy does not begin with http://, https:// or socks5://")]
    Proxy,
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
            Some(usable(&proxy.map_err(KubeconfigError::ParseProxyUrl)?)?)
        }
        _ => proxies.proxy_for(&url).map(usable).transpose()?,
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

/// Lets the environment say which proxy leads to the server, as it does for upstream's clients in a pod, too.
///
/// # Errors
///
/// When the proxy cannot be asked.
pub fn through(mut config: Config, proxies: &Proxies) -> Result<Config, Unusable> {
    let proxy = proxies.proxy_for(&config.cluster_url);
    config.proxy_url = proxy.map(usable).transpose()?;
    Ok(config)
}

/// The address of a proxy as the library takes it.
fn usable(proxy: &Uri) -> Result<Uri, Unusable> {
    match proxy.scheme_str() {
        Some("http" | "https" | "socks5") => Ok(proxy.clone()),
        // For the library, as for Go, the proxy finds out the address of the server in any case.
        Some("socks5h") => {
            let mut parts = proxy.clone().into_parts();
            parts.scheme = "socks5".parse().ok();
            Uri::from_parts(parts).map_err(|_| Unusable::Proxy)
        }
        _ => Err(Unusable::Proxy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_pod_the_environment_names_proxies_too() {
        let way = |proxy: &str, exceptions: &str| {
            let proxies = Proxies::of(|name| match name {
                "HTTPS_PROXY" => Some(proxy.to_owned()),
                "NO_PROXY" => Some(exceptions.to_owned()),
                _ => None,
            });
            let config = Config::new(Uri::from_static("https://10.96.0.1/"));
            let config = through(config, &proxies);
            config.map(|config| config.proxy_url.map(|proxy| proxy.to_string()))
        };
        let through = |proxy: &str| Some(proxy.to_owned());
        assert_eq!(way("", "").unwrap(), None);
        assert_eq!(way("proxy:1", "").unwrap(), through("http://proxy:1/"));
        assert_eq!(
            way("socks5h://proxy:1", "").unwrap(),
            through("socks5://proxy:1/")
        );
        for exceptions in ["10.96.0.0/12", "10.96.0.1:443", "*"] {
            assert_eq!(way("proxy:1", exceptions).unwrap(), None, "{exceptions}");
        }
        let error = way("ftp://me:secret@proxy:1", "").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

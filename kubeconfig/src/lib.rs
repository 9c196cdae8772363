//! Reads kubeconfig files the way upstream's clients do, for both programs.
//!
//! `kube` by itself chooses proxies by different rules, and treats an empty context name as the name of a context.
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
    /// The file cannot be read or is inconsistent.
    #[error("{0}")]
    Kubeconfig(String),
    /// The certificate authority is not valid PEM.
    #[error("the certificate authority is not in PEM")]
    Authority,
    /// The proxy uses an unsupported scheme. Its URL is not shown, because it may contain a password.
    #[error("the proxy URL must begin with http://, https:// or socks5://")]
    Proxy,
}

impl From<KubeconfigError> for Unusable {
    fn from(error: KubeconfigError) -> Self {
        Self::Kubeconfig(reason(&error))
    }
}

/// Says why a kubeconfig cannot be used, without the lines around a fault: they may hold tokens and keys.
#[must_use]
pub fn reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            format!(
                "failed to parse kubeconfig YAML: {}",
                error.without_snippet()
            )
        }
        other => other.to_string(),
    }
}

/// Reads a kubeconfig file. An empty `current-context` counts as unset, so that a later file can set it.
///
/// # Errors
///
/// Fails if the file cannot be read or is not a kubeconfig.
pub fn read(path: impl AsRef<Path>) -> Result<Kubeconfig, KubeconfigError> {
    Kubeconfig::read_from(path).map(without_empty_context)
}

/// Unsets `current-context` if it is empty.
#[must_use]
pub fn without_empty_context(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    kubeconfig.current_context = kubeconfig.current_context.filter(|name| !name.is_empty());
    kubeconfig
}

/// Builds the client configuration for connecting to `cluster` as `user`.
///
/// # Errors
///
/// Fails if a URL or the certificate authority cannot be parsed.
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
        // The kubeconfig names a proxy for this server, which takes precedence over the environment.
        Some(proxy) if !proxy.is_empty() => {
            let proxy = proxy.parse::<Uri>();
            Some(usable(&proxy.map_err(KubeconfigError::ParseProxyUrl)?)?)
        }
        _ => proxies.proxy_for(&url).map(usable).transpose()?,
    };
    // This also loads a certificate authority that the kubeconfig keeps in a file.
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

/// Sets the proxy from the environment, which upstream's clients honour inside a pod as well.
///
/// # Errors
///
/// Fails if the proxy uses an unsupported scheme.
pub fn through(mut config: Config, proxies: &Proxies) -> Result<Config, Unusable> {
    let proxy = proxies.proxy_for(&config.cluster_url);
    config.proxy_url = proxy.map(usable).transpose()?;
    Ok(config)
}

/// Converts a proxy URL to a scheme that `kube` accepts.
fn usable(proxy: &Uri) -> Result<Uri, Unusable> {
    match proxy.scheme_str() {
        Some("http" | "https" | "socks5") => Ok(proxy.clone()),
        // With `socks5`, `kube` and Go both leave name resolution to the proxy, which is what `socks5h` asks for.
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

    /// The reader's own text has the lines around a fault.
    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_not_quoted() {
        let text = "users: [{name: u, user: {token: s3cr3t}}]\n\
                    clusters: [{name: c, cluster: {insecure-skip-tls-verify: perhaps}}]\n";
        let error = Kubeconfig::from_yaml(text).unwrap_err();
        let told = [reason(&error), Unusable::from(error).to_string()];
        for told in told {
            assert!(
                told.contains("line 2") && !told.contains("s3cr3t"),
                "{told}"
            );
        }
    }

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

//! A kubeconfig in place of the pod's own account, read as upstream's clients read it.

use std::path::Path;

use kube::config::{Config, Kubeconfig, KubeconfigError};
use sealwright_kubeconfig::without_empty_context;
use sealwright_providers::proxy::Proxies;
use thiserror::Error;

/// Why a kubeconfig cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Unusable {
    /// It cannot be read, or contradicts itself.
    #[error(transparent)]
    Kubeconfig(#[from] sealwright_kubeconfig::Unusable),
    /// It is not there, or says nothing.
    #[error("it names no cluster, and this is no pod")]
    Nothing,
}

/// Reads files of which the first counts most.
pub(super) fn read<P: AsRef<Path>>(
    files: impl IntoIterator<Item = P>,
) -> Result<Kubeconfig, KubeconfigError> {
    files
        .into_iter()
        .try_fold(Kubeconfig::default(), |merged, file| {
            merge(merged, Kubeconfig::read_from(file)?)
        })
}

fn merge(merged: Kubeconfig, next: Kubeconfig) -> Result<Kubeconfig, KubeconfigError> {
    merged.merge(without_empty_context(next))
}

/// What the current context leads to; nothing where there is none.
pub(super) fn configuration(
    kubeconfig: &Kubeconfig,
    proxies: &Proxies,
) -> Result<Option<Config>, sealwright_kubeconfig::Unusable> {
    let Some(name) = &kubeconfig.current_context else {
        return Ok(None);
    };
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == *name)
        .and_then(|named| named.context.as_ref())
        .ok_or_else(|| KubeconfigError::LoadContext(name.clone()))?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|named| named.name == context.cluster)
        .and_then(|named| named.cluster.as_ref())
        .ok_or_else(|| KubeconfigError::LoadClusterOfContext(context.cluster.clone()))?;
    let user = kubeconfig
        .auth_infos
        .iter()
        .find(|named| Some(&named.name) == context.user.as_ref())
        .and_then(|named| named.auth_info.clone())
        .unwrap_or_default();
    let namespace = context.namespace.clone();
    Ok(Some(sealwright_kubeconfig::configuration(
        cluster, user, namespace, proxies,
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(
        current: &str,
        cluster: &str,
        variables: &[(&str, &str)],
    ) -> Result<Option<Config>, sealwright_kubeconfig::Unusable> {
        let text = format!(
            "current-context: {current}\n\
             contexts: [{{name: a, context: {{cluster: c, user: u, namespace: team}}}}]\n\
             clusters: [{{name: c, cluster: {cluster}}}]\n\
             users: [{{name: u, user: {{username: me}}}}]\n"
        );
        let file = merge(Kubeconfig::default(), Kubeconfig::from_yaml(&text).unwrap());
        let proxies = Proxies::of(|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        configuration(&file?, &proxies)
    }

    #[test]
    fn a_kubeconfig_says_where_the_api_server_is_and_who_asks() {
        let cluster =
            "{server: 'https://api:6443', tls-server-name: name, insecure-skip-tls-verify: true}";
        let config = configured("a", cluster, &[]).unwrap().unwrap();
        assert_eq!(config.cluster_url, "https://api:6443/");
        assert_eq!(config.default_namespace, "team");
        assert_eq!(config.tls_server_name.as_deref(), Some("name"));
        assert_eq!(config.auth_info.username.as_deref(), Some("me"));
        assert!(config.accept_invalid_certs);
        assert!(configured("''", cluster, &[]).unwrap().is_none());
        let error = configured("b", cluster, &[]).unwrap_err();
        assert_eq!(error.to_string(), "failed to load current context: b");
    }

    #[test]
    fn the_environment_names_proxies_as_for_go() {
        let proxy = |cluster: &str, exceptions: &str| {
            let variables = [("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", exceptions)];
            let config = configured("a", cluster, &variables).unwrap().unwrap();
            config.proxy_url.map(|proxy| proxy.to_string())
        };
        let through = Some("http://proxy:1/".to_owned());
        assert_eq!(proxy("{server: 'https://api:6443'}", "localhost,"), through);
        assert_eq!(proxy("{server: 'https://api:6443'}", "api"), None);
        assert_eq!(proxy("{server: 'https://127.0.0.1:6443'}", ""), None);
        let own = "{server: 'https://api:6443', proxy-url: 'http://127.0.0.1:2'}";
        let named = Some("http://127.0.0.1:2/".to_owned());
        assert_eq!(proxy(own, "127.0.0.1,api"), named);
    }

    #[test]
    fn a_client_can_be_made_whatever_leads_to_the_server() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        for proxy in ["http://p:1", "https://p:1", "socks5://p:1"] {
            let cluster = format!(
                "{{server: 'https://api:6443', insecure-skip-tls-verify: true, proxy-url: '{proxy}'}}"
            );
            let config = configured("a", &cluster, &[]).unwrap().unwrap();
            assert!(kube::Client::try_from(config).is_ok(), "{proxy}");
        }
    }

    #[test]
    fn the_first_file_with_a_current_context_names_it() {
        let file = |text: &str| Kubeconfig::from_yaml(text).unwrap();
        let merged = [
            "current-context: ''",
            "current-context: b",
            "current-context: c",
        ]
        .into_iter()
        .try_fold(Kubeconfig::default(), |merged, text| {
            merge(merged, file(text))
        });
        assert_eq!(merged.unwrap().current_context.as_deref(), Some("b"));
    }
}

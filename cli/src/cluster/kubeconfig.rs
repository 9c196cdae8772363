//! The kubeconfig as kubectl reads it, with the command line's wishes over it.

use kube::config::{
    AuthInfo, Cluster as ClusterEntry, ExecAuthCluster, Kubeconfig, KubeconfigError,
};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sealwright_crypto::master_key::Callbacks as _;
use sealwright_providers::proxy::Proxies;

use super::{ClusterError, ClusterOptions, told};
use crate::terminal::{Terminal, Voice};

/// Reads the kubeconfig: the flag, else `KUBECONFIG`, else the file in the home folder; `None` when there is none.
pub(super) fn kubeconfig(options: &ClusterOptions) -> Result<Option<Kubeconfig>, ClusterError> {
    let failed = |error: KubeconfigError| ClusterError::Kubeconfig(error.to_string());
    if let Some(path) = options
        .kubeconfig
        .as_deref()
        .filter(|path| !path.is_empty())
    {
        if let Err(error) = std::fs::metadata(path) {
            let reason = error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or(&reason);
            return Err(ClusterError::Kubeconfig(format!(
                "{path}: {}",
                reason.to_ascii_lowercase()
            )));
        }
        return Kubeconfig::read_from(path).map(Some).map_err(failed);
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        // As for kubectl, files of the list that are not there are as good as empty.
        return std::env::split_paths(&list)
            .filter(|path| path.exists())
            .try_fold(None, |merged: Option<Kubeconfig>, path| {
                let next = Kubeconfig::read_from(path)?;
                Ok(Some(match merged {
                    Some(merged) => merged.merge(next)?,
                    None => next,
                }))
            })
            .map_err(failed);
    }
    let Some(home) = std::env::home_dir() else {
        return Ok(None);
    };
    let path = home.join(".kube/config");
    if path.exists() {
        Kubeconfig::read_from(path).map(Some).map_err(failed)
    } else {
        Ok(None)
    }
}

/// Puts the command line's wishes over the kubeconfig and connects.
pub(super) async fn connect(options: &ClusterOptions) -> Result<Client, ClusterError> {
    // A program that links one backend must still say so before the first connection.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = match (kubeconfig(options)?, &options.server) {
        (Some(kubeconfig), _) => from_kubeconfig(&kubeconfig, options)?,
        (None, Some(_)) => from_kubeconfig(&Kubeconfig::default(), options)?,
        (None, None) => Config::incluster().map_err(|_| ClusterError::NoConfiguration)?,
    };
    config.default_retry = true;
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    Client::try_from(config).map_err(|error| ClusterError::Client(told(&error)))
}

fn from_kubeconfig(
    kubeconfig: &Kubeconfig,
    options: &ClusterOptions,
) -> Result<Config, ClusterError> {
    let context_name = options
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone())
        .unwrap_or_default();
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context_name);
    if context.is_none() && options.context.is_some() {
        return Err(ClusterError::Kubeconfig(format!(
            "context {context_name:?} does not exist"
        )));
    }
    let context = context
        .and_then(|named| named.context.clone())
        .unwrap_or_default();
    let cluster_name = options
        .cluster
        .clone()
        .unwrap_or_else(|| context.cluster.clone());
    let user_name = options
        .user
        .clone()
        .or_else(|| context.user.clone())
        .unwrap_or_default();

    let found = kubeconfig
        .clusters
        .iter()
        .find(|named| named.name == cluster_name);
    if found.is_none() && options.cluster.is_some() {
        return Err(ClusterError::Kubeconfig(format!(
            "cluster {cluster_name:?} does not exist"
        )));
    }
    let mut cluster = found
        .and_then(|named| named.cluster.clone())
        .unwrap_or_default();
    let found = kubeconfig
        .auth_infos
        .iter()
        .find(|named| named.name == user_name);
    if found.is_none() && options.user.is_some() {
        return Err(ClusterError::Kubeconfig(format!(
            "user {user_name:?} does not exist"
        )));
    }
    let mut user = found
        .and_then(|named| named.auth_info.clone())
        .unwrap_or_default();
    if let Some(path) = user.token_file.take() {
        // Of both, kubectl takes the file; it ends in a newline as often as not.
        let token = std::fs::read_to_string(&path).map_err(|error| {
            ClusterError::Kubeconfig(format!("cannot read the token file {path}: {error}"))
        })?;
        user.token = Some(token.trim().to_owned().into());
    }
    override_cluster(&mut cluster, options);
    override_user(&mut user, options);
    if cluster.server.is_none() {
        return Err(ClusterError::NoConfiguration);
    }
    refuse_contradictions(&cluster)?;
    if cluster
        .server
        .as_deref()
        .is_some_and(|server| server.starts_with("http://"))
    {
        // As with kubectl, no credential goes over a connection that is not encrypted; impersonation is not a credential.
        user = AuthInfo {
            impersonate: user.impersonate,
            impersonate_groups: user.impersonate_groups,
            ..AuthInfo::default()
        };
    } else if !says_who_asks(&user) && somebody_is_there() {
        sign_in(&mut user)?;
    }

    configuration(
        &cluster,
        user,
        context.namespace,
        &Proxies::of_environment(),
    )
}

/// What the library needs to know. Its own reading of a kubeconfig chooses proxies by rules that are not those of kubectl.
fn configuration(
    cluster: &ClusterEntry,
    mut user: AuthInfo,
    namespace: Option<String>,
    proxies: &Proxies,
) -> Result<Config, ClusterError> {
    let unusable = |error: KubeconfigError| ClusterError::Kubeconfig(error.to_string());
    let url = cluster
        .server
        .as_deref()
        .unwrap_or_default()
        .parse::<http::Uri>()
        .map_err(|error| unusable(KubeconfigError::ParseClusterUrl(error)))?;
    let proxy = match cluster.proxy_url.as_deref() {
        // It was named for this server: what the environment says is for all others.
        Some(proxy) if !proxy.is_empty() => {
            let proxy = proxy.parse::<http::Uri>();
            Some(proxy.map_err(|error| unusable(KubeconfigError::ParseProxyUrl(error)))?)
        }
        _ => proxies.proxy_for(&url).cloned(),
    };
    // With the authority that a file may hold.
    let described = ExecAuthCluster::try_from(cluster).map_err(unusable)?;
    let mut config = Config::new(url);
    if let Some(pem) = &described.certificate_authority_data {
        let read: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(pem)
            .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
            .collect();
        config.root_cert = Some(read.map_err(|_| {
            ClusterError::Kubeconfig("the certificate authority is not in PEM".to_owned())
        })?);
    }
    config.default_namespace = namespace.unwrap_or_else(|| "default".to_owned());
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

fn override_cluster(cluster: &mut ClusterEntry, options: &ClusterOptions) {
    let replace = |field: &mut Option<String>, wish: &Option<String>| {
        if wish.is_some() {
            field.clone_from(wish);
        }
    };
    replace(&mut cluster.server, &options.server);
    replace(&mut cluster.proxy_url, &options.proxy_url);
    if options.server.is_some() || options.tls_server_name.is_some() {
        // The kubeconfig's name belongs to the kubeconfig's server.
        cluster.tls_server_name.clone_from(&options.tls_server_name);
    }
    if options.insecure_skip_tls_verify.is_some() {
        cluster.insecure_skip_tls_verify = options.insecure_skip_tls_verify;
    }
    let skips = options.insecure_skip_tls_verify == Some(true);
    if skips || options.certificate_authority.is_some() {
        // Who names an authority wants it asked, whatever the kubeconfig switches off.
        cluster.insecure_skip_tls_verify = Some(skips);
        cluster
            .certificate_authority
            .clone_from(&options.certificate_authority);
        cluster.certificate_authority_data = None;
    }
    if options.disable_compression.is_some() {
        cluster.disable_compression = options.disable_compression;
    }
}

/// An authority that is never asked is a mistake, as for kubectl; without TLS neither matters.
fn refuse_contradictions(cluster: &ClusterEntry) -> Result<(), ClusterError> {
    let given = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
    let plain = cluster
        .server
        .as_deref()
        .is_some_and(|server| server.starts_with("http://"));
    let skips = cluster.insecure_skip_tls_verify == Some(true);
    let has_authority =
        given(&cluster.certificate_authority) || given(&cluster.certificate_authority_data);
    if skips && has_authority && !plain {
        return Err(ClusterError::Kubeconfig(
            "specifying a root certificates file with the insecure flag is not allowed".to_owned(),
        ));
    }
    Ok(())
}

fn override_user(user: &mut AuthInfo, options: &ClusterOptions) {
    if let Some(token) = &options.token {
        *user = AuthInfo {
            token: Some(token.clone().into()),
            ..AuthInfo::default()
        };
    }
    if let Some(path) = &options.client_certificate {
        user.client_certificate = Some(path.clone());
        user.client_certificate_data = None;
    }
    if let Some(path) = &options.client_key {
        user.client_key = Some(path.clone());
        user.client_key_data = None;
    }
    if options.username.is_some() {
        user.username.clone_from(&options.username);
    }
    if let Some(password) = &options.password {
        user.password = Some(password.clone().into());
    }
    if options.impersonate.is_some() {
        user.impersonate.clone_from(&options.impersonate);
    }
    if options.impersonate_uid.is_some() {
        user.impersonate_uid.clone_from(&options.impersonate_uid);
    }
    if !options.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(options.impersonate_groups.clone());
    }
}

fn says_who_asks(user: &AuthInfo) -> bool {
    let given = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
    given(&user.username)
        || given(&user.client_certificate)
        || user.client_certificate_data.is_some()
        || user.token.is_some()
        || user.auth_provider.is_some()
        || user.exec.is_some()
}

/// Whether a person sits before the program. One of the two may be a file: what is asked goes to the terminal itself.
fn somebody_is_there() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
        || rustix::termios::isatty(rustix::stdio::stdout())
}

/// Asks for a name and a password, in the words that the Kubernetes client asks in.
fn sign_in(user: &mut AuthInfo) -> Result<(), ClusterError> {
    let terminal = Terminal::new(Voice::Upstream);
    let name = terminal
        .ask("Please enter Username")
        .filter(|name| !name.is_empty())
        .ok_or(ClusterError::SignIn("name"))?;
    let password = terminal
        .passphrase("Please enter Password")
        .ok_or(ClusterError::SignIn("password"))?;
    user.username = Some(name);
    user.password = Some(password.expose().to_owned().into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use kube::config::ExecConfig;
    use sealwright_crypto::sealing::base64;

    use super::*;

    #[test]
    fn k26_k36_who_names_an_authority_wants_it_asked() {
        let insecure = ClusterEntry {
            server: Some("https://api".to_owned()),
            insecure_skip_tls_verify: Some(true),
            ..ClusterEntry::default()
        };
        let named = ClusterOptions {
            certificate_authority: Some("ca.pem".to_owned()),
            ..ClusterOptions::default()
        };
        let mut cluster = insecure.clone();
        override_cluster(&mut cluster, &named);
        assert_eq!(cluster.insecure_skip_tls_verify, Some(false));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("ca.pem"));
        assert!(refuse_contradictions(&cluster).is_ok());

        // Without such a wish, what the kubeconfig says holds.
        let mut cluster = insecure.clone();
        override_cluster(&mut cluster, &ClusterOptions::default());
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));

        let both = ClusterOptions {
            insecure_skip_tls_verify: Some(true),
            ..named
        };
        let mut cluster = insecure;
        override_cluster(&mut cluster, &both);
        assert!(refuse_contradictions(&cluster).is_err());
        cluster.server = Some("http://api".to_owned());
        assert!(refuse_contradictions(&cluster).is_ok(), "there is no TLS");
    }

    #[test]
    fn k36_to_skip_the_verification_drops_the_authority_of_the_kubeconfig() {
        let mut cluster = ClusterEntry {
            server: Some("https://api".to_owned()),
            certificate_authority_data: Some("LS0t".to_owned()),
            ..ClusterEntry::default()
        };
        let options = ClusterOptions {
            insecure_skip_tls_verify: Some(true),
            ..ClusterOptions::default()
        };
        override_cluster(&mut cluster, &options);
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
        assert_eq!(cluster.certificate_authority_data, None);
        assert!(refuse_contradictions(&cluster).is_ok());
    }

    #[test]
    fn k35_the_environment_names_proxies_for_the_server() {
        let proxy = |server: &str, own: Option<&str>, exceptions: &str| {
            let proxies = Proxies::of(|name| match name {
                "HTTPS_PROXY" => Some("proxy:1".to_owned()),
                "NO_PROXY" => Some(exceptions.to_owned()),
                _ => None,
            });
            let cluster = ClusterEntry {
                server: Some(server.to_owned()),
                proxy_url: own.map(str::to_owned),
                ..ClusterEntry::default()
            };
            let config = configuration(&cluster, AuthInfo::default(), None, &proxies).unwrap();
            config.proxy_url.map(|proxy| proxy.to_string())
        };
        let through = Some("http://proxy:1/".to_owned());
        assert_eq!(proxy("https://api:6443", None, ""), through);
        assert_eq!(proxy("https://api:6443", None, "localhost,"), through);
        assert_eq!(proxy("https://api:6443", None, "proxy"), through);
        assert_eq!(proxy("https://api:6443", None, "api"), None);
        assert_eq!(proxy("https://10.1.2.3", None, "10.0.0.0/8,"), None);
        for local in ["https://127.0.0.1:6443", "https://localhost:6443"] {
            assert_eq!(proxy(local, None, ""), None, "{local}");
        }
        // What the kubeconfig names counts for its server, whatever the environment says.
        let own = Some("http://127.0.0.1:2/".to_owned());
        for exceptions in ["127.0.0.1", "*", "api", ","] {
            let found = proxy("https://api:6443", own.as_deref(), exceptions);
            assert_eq!(found, own, "{exceptions}");
        }
        assert_eq!(proxy("https://api:6443", Some(""), ""), through);
    }

    #[test]
    fn k81_all_that_a_kubeconfig_says_of_a_cluster_counts() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        let cluster = ClusterEntry {
            server: Some("https://api:6443/path".to_owned()),
            certificate_authority_data: Some(base64::encode(format!("{pem}{pem}").as_bytes())),
            tls_server_name: Some("name".to_owned()),
            disable_compression: Some(true),
            ..ClusterEntry::default()
        };
        let user = AuthInfo {
            exec: Some(ExecConfig {
                provide_cluster_info: true,
                ..ExecConfig::default()
            }),
            ..AuthInfo::default()
        };
        let proxies = Proxies::of(|_| None);
        let config = configuration(&cluster, user, Some("team".to_owned()), &proxies).unwrap();
        assert_eq!(config.cluster_url, "https://api:6443/path");
        assert_eq!(config.default_namespace, "team");
        assert_eq!(config.root_cert, Some(vec![vec![0, 1, 2]; 2]));
        assert_eq!(config.tls_server_name.as_deref(), Some("name"));
        assert!(config.disable_compression && !config.accept_invalid_certs);
        let described = config.auth_info.exec.unwrap().cluster.unwrap();
        assert_eq!(described.server.as_deref(), Some("https://api:6443/path"));
    }

    #[test]
    fn k33_k34_another_server_has_another_name() {
        let of_file = ClusterEntry {
            server: Some("https://api".to_owned()),
            tls_server_name: Some("of-file".to_owned()),
            ..ClusterEntry::default()
        };
        let name = |server: Option<&str>, name: Option<&str>| {
            let mut cluster = of_file.clone();
            let options = ClusterOptions {
                server: server.map(str::to_owned),
                tls_server_name: name.map(str::to_owned),
                ..ClusterOptions::default()
            };
            override_cluster(&mut cluster, &options);
            cluster.tls_server_name
        };
        assert_eq!(name(None, None).as_deref(), Some("of-file"));
        assert_eq!(name(Some("https://other"), None), None);
        let both = name(Some("https://other"), Some("of-flag"));
        assert_eq!(both.as_deref(), Some("of-flag"));
        assert_eq!(name(None, Some("of-flag")).as_deref(), Some("of-flag"));
    }
}

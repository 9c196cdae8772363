//! The kubeconfig as kubectl reads it, with the command line's wishes over it.

use std::path::Path;

use kube::config::{AuthInfo, Cluster as ClusterEntry, Context, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use sealwright_crypto::master_key::Callbacks as _;
use sealwright_kubeconfig::{configuration, read, reason, through};
use sealwright_providers::proxy::Proxies;

use super::{ClusterError, ClusterOptions, told};
use crate::terminal::{Terminal, Voice};

/// Reads the kubeconfig: the flag, else `KUBECONFIG`, else the file in the home folder; `None` when there is none.
pub(super) fn kubeconfig(options: &ClusterOptions) -> Result<Option<Kubeconfig>, ClusterError> {
    let failed = |error: KubeconfigError| ClusterError::Kubeconfig(reason(&error));
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
        return read(path).map(Some).map_err(failed);
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        // As for kubectl, files of the list that are not there are as good as empty.
        return std::env::split_paths(&list)
            .filter(|path| path.exists())
            .try_fold(None, |merged: Option<Kubeconfig>, path| {
                let next = read(path)?;
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
        read(path).map(Some).map_err(failed)
    } else {
        Ok(None)
    }
}

/// What a kubeconfig and the command line lead to together.
pub(super) struct Chosen {
    pub(super) context: Context,
    cluster: ClusterEntry,
}

/// Finds the context and the cluster; nothing when neither names a server, which leaves the pod's own cluster.
pub(super) fn chosen(
    kubeconfig: &Kubeconfig,
    options: &ClusterOptions,
) -> Result<Option<Chosen>, ClusterError> {
    let mut faults = Vec::new();
    let name = options
        .context
        .as_deref()
        .or(kubeconfig.current_context.as_deref())
        .unwrap_or_default();
    let context = kubeconfig.contexts.iter().find(|named| named.name == name);
    if context.is_none() && !name.is_empty() {
        faults.push(format!(
            "context was not found for specified context: {name}"
        ));
    }
    let context = context
        .and_then(|named| named.context.clone())
        .unwrap_or_default();
    let name = options.cluster.as_deref().unwrap_or(&context.cluster);
    let entry = kubeconfig.clusters.iter().find(|named| named.name == name);
    let mut cluster = entry
        .and_then(|named| named.cluster.clone())
        .unwrap_or_default();
    override_cluster(&mut cluster, options);
    let is_unknown = entry.is_none() && options.cluster.is_some();
    if is_unknown || cluster.server.as_deref().is_none_or(str::is_empty) {
        let says_nothing = entry.is_none() && !is_unknown && !says_how(options);
        if says_nothing && faults.is_empty() {
            return Ok(None);
        }
        faults.push(match name {
            _ if says_nothing => "cluster has no server defined".to_owned(),
            "" => "default cluster has no server defined".to_owned(),
            name => format!("no server found for cluster {name:?}"),
        });
    }
    match &faults[..] {
        [] => Ok(Some(Chosen { context, cluster })),
        [fault] => Err(ClusterError::Invalid(fault.clone())),
        faults => Err(ClusterError::Invalid(format!("[{}]", faults.join(", ")))),
    }
}

/// Whether the command line says how a server is reached, apart from where it is.
fn says_how(options: &ClusterOptions) -> bool {
    options.certificate_authority.is_some()
        || options.tls_server_name.is_some()
        || options.proxy_url.is_some()
        || options.insecure_skip_tls_verify == Some(true)
        || options.disable_compression == Some(true)
}

/// Whether this is a pod that may ask its cluster.
pub(super) fn in_pod() -> bool {
    let given = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    given("KUBERNETES_SERVICE_HOST")
        && given("KUBERNETES_SERVICE_PORT")
        && Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").is_file()
}

/// Puts the command line's wishes over the kubeconfig and connects.
pub(super) async fn connect(options: &ClusterOptions) -> Result<Client, ClusterError> {
    // A program that links one backend must still say so before the first connection.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = kubeconfig(options)?.unwrap_or_default();
    refuse_unknown_names(&kubeconfig, options)?;
    let mut config = match chosen(&kubeconfig, options)? {
        Some(chosen) => from_kubeconfig(&kubeconfig, chosen, options)?,
        None if in_pod() => {
            let config = Config::incluster().map_err(|_| ClusterError::NoConfiguration)?;
            let config = through(config, &Proxies::of_environment());
            let config = config.map_err(|error| ClusterError::Client(error.to_string()))?;
            as_the_caller(config, options)
        }
        None => return Err(ClusterError::NoConfiguration),
    };
    config.default_retry = true;
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    Client::try_from(config).map_err(|error| ClusterError::Client(told(&error)))
}

/// Rejects names on the command line that the kubeconfig does not have; this comes before any other fault.
fn refuse_unknown_names(
    kubeconfig: &Kubeconfig,
    options: &ClusterOptions,
) -> Result<(), ClusterError> {
    let Kubeconfig {
        contexts,
        clusters,
        auth_infos,
        ..
    } = kubeconfig;
    let unknown = |kind: &str, wish: &Option<String>, is_known: &dyn Fn(&str) -> bool| match wish {
        Some(name) if !is_known(name.as_str()) => Err(ClusterError::Kubeconfig(format!(
            "{kind} {name:?} does not exist"
        ))),
        _ => Ok(()),
    };
    unknown("user", &options.user, &|name| {
        auth_infos.iter().any(|named| named.name == name)
    })?;
    unknown("context", &options.context, &|name| {
        contexts.iter().any(|named| named.name == name)
    })?;
    unknown("cluster", &options.cluster, &|name| {
        clusters.iter().any(|named| named.name == name)
    })
}

/// In a pod, a token of the command line stands in the place of the pod's.
fn as_the_caller(mut config: Config, options: &ClusterOptions) -> Config {
    if let Some(token) = &options.token {
        config.auth_info = AuthInfo {
            token: Some(token.clone().into()),
            ..AuthInfo::default()
        };
    }
    config
}

fn from_kubeconfig(
    kubeconfig: &Kubeconfig,
    chosen: Chosen,
    options: &ClusterOptions,
) -> Result<Config, ClusterError> {
    let Chosen { context, cluster } = chosen;
    let name = options.user.as_ref().or(context.user.as_ref());
    let mut user = kubeconfig
        .auth_infos
        .iter()
        .find(|named| Some(&named.name) == name)
        .and_then(|named| named.auth_info.clone())
        .unwrap_or_default();
    if let Some(path) = user.token_file.take() {
        // Of both, kubectl takes the file; it ends in a newline as often as not.
        let token = std::fs::read_to_string(&path).map_err(|error| {
            ClusterError::Kubeconfig(format!("cannot read the token file {path}: {error}"))
        })?;
        user.token = Some(token.trim().to_owned().into());
    }
    override_user(&mut user, options);
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
    let proxies = Proxies::of_environment();
    configuration(&cluster, user, context.namespace, &proxies)
        .map_err(|error| ClusterError::Kubeconfig(error.to_string()))
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

    fn kubeconfig_of(current: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(&format!(
            "current-context: {current}\n\
             contexts:\n\
             - {{name: main, context: {{cluster: c, user: u, namespace: team}}}}\n\
             - {{name: lost, context: {{cluster: gone, user: u}}}}\n\
             - {{name: mute, context: {{cluster: mute, user: u}}}}\n\
             clusters:\n\
             - {{name: c, cluster: {{server: 'https://api:6443'}}}}\n\
             - {{name: mute, cluster: {{}}}}\n"
        ))
        .unwrap()
    }

    #[test]
    fn k58_k81_a_kubeconfig_leads_to_a_cluster_or_says_why_not() {
        let found =
            |kubeconfig: &Kubeconfig, options: ClusterOptions| match chosen(kubeconfig, &options) {
                Ok(Some(chosen)) => format!(
                    "{} {}",
                    chosen.cluster.server.unwrap(),
                    chosen.context.namespace.unwrap_or_default()
                ),
                Ok(None) => "nothing".to_owned(),
                Err(error) => error.to_string(),
            };
        let with = |set: fn(&mut ClusterOptions)| {
            let mut options = ClusterOptions::default();
            set(&mut options);
            options
        };
        let none = ClusterOptions::default;
        let invalid = |reason: &str| format!("invalid configuration: {reason}");
        let main = kubeconfig_of("main");
        assert_eq!(found(&main, none()), "https://api:6443 team");
        assert_eq!(found(&kubeconfig_of("lost"), none()), "nothing");
        assert_eq!(found(&Kubeconfig::default(), none()), "nothing");
        assert_eq!(
            found(&kubeconfig_of("mute"), none()),
            invalid("no server found for cluster \"mute\"")
        );
        let typo = with(|options| options.context = Some("stagin".to_owned()));
        let no_context = "context was not found for specified context: stagin";
        let no_server = "cluster has no server defined";
        assert_eq!(
            found(&main, typo.clone()),
            invalid(&format!("[{no_context}, {no_server}]"))
        );
        assert_eq!(
            found(&kubeconfig_of("stagin"), none()),
            invalid(&format!("[{no_context}, {no_server}]"))
        );
        let server = Some("https://other".to_owned());
        let elsewhere = ClusterOptions { server, ..typo };
        assert_eq!(found(&main, elsewhere.clone()), invalid(no_context));
        let elsewhere = ClusterOptions {
            context: None,
            ..elsewhere
        };
        assert_eq!(found(&main, elsewhere.clone()), "https://other team");
        assert_eq!(found(&Kubeconfig::default(), elsewhere), "https://other ");
        let absent = with(|options| options.cluster = Some("absent".to_owned()));
        assert_eq!(
            found(&main, absent),
            invalid("no server found for cluster \"absent\"")
        );
        let authority = with(|options| options.certificate_authority = Some("ca".to_owned()));
        assert_eq!(
            found(&Kubeconfig::default(), authority),
            invalid("default cluster has no server defined")
        );
    }

    #[test]
    fn k25_a_token_of_the_command_line_stands_in_the_place_of_the_pods() {
        let pod = || {
            let mut config = Config::new("https://10.0.0.1".parse().unwrap());
            config.auth_info.token_file = Some("/token".to_owned());
            config
        };
        let options = ClusterOptions {
            token: Some("of-flag".to_owned()),
            ..ClusterOptions::default()
        };
        let config = as_the_caller(pod(), &options);
        assert!(config.auth_info.token.is_some() && config.auth_info.token_file.is_none());
        let config = as_the_caller(pod(), &ClusterOptions::default());
        assert!(config.auth_info.token.is_none() && config.auth_info.token_file.is_some());
    }

    #[test]
    fn k81_an_empty_name_of_a_context_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "current-context: ''\n").unwrap();
        assert_eq!(read(file.path()).unwrap().current_context, None);
        std::fs::write(file.path(), "current-context: a\n").unwrap();
        let named = read(file.path()).unwrap().current_context;
        assert_eq!(named.as_deref(), Some("a"));
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

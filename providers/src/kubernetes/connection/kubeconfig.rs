//! The kubeconfig of a Secret: `authRef`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::SecretBytes;
use serde::Deserialize;

use super::{Auth, Parts, bearer};
use crate::http::tls::{ClientIdentity, TlsSettings};
use crate::http::url::Url;
use crate::outcome::{StoreError, Trouble};

/// How many bytes the texts of a kubeconfig may have with all that aliases repeat: a Secret holds less than 1 MiB.
const MOST_KUBECONFIG: usize = 2 << 20;

pub(super) fn read_kubeconfig(text: &SecretBytes) -> Result<Parts, StoreError> {
    let wrong = |reason: &str| {
        StoreError::new(Trouble::Unauthenticated, format!("`authRef`: {reason}")).public()
    };
    let text =
        std::str::from_utf8(text.expose()).map_err(|_| wrong("the kubeconfig is no text"))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_total_scalar_bytes: MOST_KUBECONFIG,
            max_recorded_anchor_bytes: MOST_KUBECONFIG,
        },
    };
    let config: Kubeconfig = serde_saphyr::from_str_with_options(text, options)
        .map_err(|_| wrong("the Secret holds no kubeconfig"))?;
    let current = config.current_context.unwrap_or_default();
    let context = config
        .contexts
        .into_iter()
        .find(|context| context.name == current)
        .ok_or_else(|| wrong("the kubeconfig has no current context"))?
        .context;
    let cluster = config
        .clusters
        .into_iter()
        .find(|cluster| cluster.name == context.cluster)
        .ok_or_else(|| wrong("the current context names a cluster that is not there"))?
        .cluster;
    let user = config
        .users
        .into_iter()
        .find(|user| user.name == context.user)
        .map(|user| user.user)
        .unwrap_or_default();
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(wrong(
            "the kubeconfig names a program for signing in, and this process runs none for it",
        )
        .with_hint("put a token or a certificate into it"));
    }
    let files = [
        &user.token_file,
        &user.client_certificate,
        &user.client_key,
        &cluster.certificate_authority,
    ];
    if files.into_iter().any(Option::is_some) {
        return Err(
            wrong("the kubeconfig names a file, and this process reads none for it")
                .with_hint("put the data into it (`kubectl config view --flatten --raw`)"),
        );
    }
    if cluster.insecure_skip_tls_verify {
        return Err(wrong(
            "the kubeconfig switches the verification of the server off",
        ));
    }
    if cluster.proxy_url.is_some() || user.username.is_some() {
        return Err(wrong(
            "the kubeconfig has a proxy or a password, which are not supported",
        ));
    }
    let decoded = |data: Option<String>| match data {
        None => Ok(None),
        Some(data) => STANDARD
            .decode(data.trim())
            .map(Some)
            .map_err(|_| wrong("the kubeconfig holds data that is not base64")),
    };
    let certificates = decoded(user.client_certificate_data)?;
    let key = decoded(user.client_key_data)?;
    let identity = certificates
        .zip(key)
        .map(|(certificates, key)| ClientIdentity {
            certificates,
            key: SecretBytes::from(key),
        });
    let auth = match user.token {
        Some(token) => Auth::Token(bearer(&SecretBytes::from(token.into_bytes()))?),
        None => Auth::Connection,
    };
    Ok(Parts {
        server: Url::parse(&cluster.server).map_err(|error| error.at_field("authRef"))?,
        tls: TlsSettings {
            authorities: decoded(cluster.certificate_authority_data)?,
            identity,
            server_name: cluster.tls_server_name,
            ..TlsSettings::default()
        },
        auth,
    })
}

/// What of a kubeconfig counts. Programs and files in it would be run and read by this process for the author of the Secret,
/// so they are refused.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    #[serde(default)]
    certificate_authority_data: Option<String>,
    #[serde(default)]
    certificate_authority: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    #[serde(default)]
    tls_server_name: Option<String>,
    #[serde(default)]
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    username: Option<String>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: ContextNames,
}

#[derive(Deserialize)]
struct ContextNames {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(user: &str, cluster: &str) -> Result<Parts, StoreError> {
        let text = format!(
            "current-context: a\ncontexts:\n- name: a\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: 'https://k:6443'{cluster}}}\n\
             users:\n- name: u\n  user: {user}\n"
        );
        read_kubeconfig(&SecretBytes::copy_of(text.as_bytes()))
    }

    #[test]
    fn a_kubeconfig_gives_a_server_and_a_user() {
        let parts = parts("{token: t}", ", certificate-authority-data: LS0t").unwrap();
        assert_eq!(parts.server.to_string(), "https://k:6443");
        assert!(matches!(parts.auth, Auth::Token(_)));
        assert_eq!(parts.tls.authorities.unwrap(), b"---");
    }

    #[test]
    fn aliases_of_a_kubeconfig_are_bounded() {
        let read = |times: usize| {
            let users = "- name: *x\n".repeat(times);
            let text = format!(
                "current-context: a\nx: &x {}\ncontexts:\n- name: a\n  context: {{cluster: c, user: u}}\n\
                 clusters:\n- name: c\n  cluster: {{server: 'https://k:6443'}}\n\
                 users:\n{users}- name: u\n  user: {{token: t}}\n",
                "x".repeat(60_000),
            );
            read_kubeconfig(&SecretBytes::copy_of(text.as_bytes()))
        };
        assert!(read(20).is_ok());
        assert!(read(60).is_err());
    }

    #[test]
    fn a_kubeconfig_runs_nothing_and_reads_nothing() {
        for (user, cluster) in [
            ("{exec: {command: id}}", ""),
            ("{auth-provider: {name: gcp}}", ""),
            ("{tokenFile: /etc/passwd}", ""),
            ("{client-certificate: /c, client-key: /k}", ""),
            ("{token: t}", ", certificate-authority: /ca"),
            ("{token: t}", ", insecure-skip-tls-verify: true"),
        ] {
            let error = parts(user, cluster).err().unwrap();
            assert_eq!(
                error.trouble(),
                Trouble::Unauthenticated,
                "{user} {cluster}"
            );
        }
    }
}

//! The cluster behind `kubeseal` and `sealwright seal`: kubeconfig as kubectl reads it, and the controller's HTTP door
//! reached through the API server's service proxy.

mod kubeconfig;
mod objects;
mod request_timeout;
mod secrets;

use std::time::Duration;

use kube::Client;
use kube::client::Body;
use sealwright_crypto::secret::SecretText;
use sealwright_providers::address::Guard;
use sealwright_providers::http::tls::{TlsSettings, Verification, in_words};
use sealwright_providers::http::url::Url;
use sealwright_providers::http::{HttpClient, HttpSettings, Request, Response, basic_auth};

use kubeconfig::kubeconfig;
pub(crate) use objects::{Lister, Listing};
use request_timeout::RequestTimeout;
pub(crate) use secrets::KeySecrets;

/// What the command line says about the cluster, beside what the kubeconfig says.
#[derive(Clone, Default)]
pub(crate) struct ClusterOptions {
    /// An explicit kubeconfig file.
    pub(crate) kubeconfig: Option<String>,
    /// Names in the kubeconfig.
    pub(crate) context: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) user: Option<String>,
    /// `--namespace`.
    pub(crate) namespace: Option<String>,
    /// Where the API server is and how it is trusted.
    pub(crate) server: Option<String>,
    pub(crate) certificate_authority: Option<String>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) proxy_url: Option<String>,
    pub(crate) insecure_skip_tls_verify: Option<bool>,
    pub(crate) disable_compression: Option<bool>,
    /// Who asks.
    pub(crate) token: Option<String>,
    pub(crate) client_certificate: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) impersonate: Option<String>,
    pub(crate) impersonate_uid: Option<String>,
    pub(crate) impersonate_groups: Vec<String>,
    /// The time limit of one request, as it was written; it only has to make sense where a cluster is asked.
    pub(crate) request_timeout: Option<String>,
}

/// The controller's Service.
#[derive(Clone, Debug)]
pub(crate) struct ControllerService {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The cluster could not be asked. The text of [`ClusterError::Service`] and its neighbours is what scripts know from
/// upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClusterError {
    /// There is no kubeconfig and no cluster around.
    #[error(
        "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
    )]
    NoConfiguration,
    /// The kubeconfig does not have what was chosen. The text is what kubectl's users know.
    #[error("invalid configuration: {0}")]
    Invalid(String),
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig: {0}")]
    Kubeconfig(String),
    /// The client could not be built from it.
    #[error("cannot build a client for the cluster: {0}")]
    Client(String),
    /// The time limit of a request is none.
    #[error(
        "invalid --request-timeout {0:?}: give a number of seconds, or a number with a unit such as 1s, 2m or 3h"
    )]
    Timeout(String),
    /// No credentials are configured.
    #[error("the kubeconfig names no user, and no {0} was given at the terminal")]
    SignIn(&'static str),
    /// The Service was not found or may not be read.
    #[error("cannot get sealed secret service: {0}.")]
    Service(String),
    /// The Service has no port, so it cannot be reached through the API server.
    #[error(
        "the service {namespace}/{name} has no ports; check --controller-name and --controller-namespace"
    )]
    NoPort {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The certificate could not be fetched.
    #[error("cannot fetch certificate: {0}")]
    Certificate(String),
    /// The controller could not be asked.
    #[error("{0}")]
    Controller(String),
}

/// What the controller says of a SealedSecret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can be unsealed.
    Opens,
    /// No key opens it.
    DoesNotOpen,
}

/// The namespace that applies when an object names none: the flag, the kubeconfig's context, the pod's own, `default`.
pub(crate) fn default_namespace(options: &ClusterOptions) -> Result<String, ClusterError> {
    if let Some(namespace) = options
        .namespace
        .as_deref()
        .filter(|namespace| !namespace.is_empty())
    {
        return Ok(namespace.to_owned());
    }
    let file = kubeconfig(options)?.unwrap_or_default();
    let chosen = kubeconfig::chosen(&file, options)?;
    let named = chosen.map(|chosen| chosen.context.namespace.unwrap_or_default());
    namespace_of(named, kubeconfig::in_pod().then(namespace_of_pod))
}

/// The namespace by what a kubeconfig says, if one leads to a cluster, and by that of the pod, if this is one.
fn namespace_of(named: Option<String>, of_pod: Option<String>) -> Result<String, ClusterError> {
    match (named, of_pod) {
        (Some(named), _) if !named.is_empty() => Ok(named),
        (_, Some(of_pod)) => Ok(of_pod),
        (Some(_), None) => Ok("default".to_owned()),
        (None, None) => Err(ClusterError::NoConfiguration),
    }
}

fn namespace_of_pod() -> String {
    let named = std::env::var("POD_NAMESPACE").ok();
    let mounted =
        || std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok();
    named
        .filter(|namespace| !namespace.is_empty())
        .or_else(|| Some(mounted()?.trim().to_owned()))
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}

/// A connection to the controller through the API server.
pub(crate) struct Controller {
    client: Client,
    proxy_path: String,
    timeout: RequestTimeout,
}

impl Controller {
    /// Finds the controller's Service and the path of the API server's proxy to it.
    pub(crate) async fn find(
        options: &ClusterOptions,
        service: &ControllerService,
    ) -> Result<Self, ClusterError> {
        let timeout = RequestTimeout::parse(options.request_timeout.as_deref())?;
        let client = kubeconfig::connect(options).await?;
        let ControllerService { namespace, name } = service;
        let path = format!(
            "/api/v1/namespaces/{}/services/{}{}",
            path_part(namespace),
            path_part(name),
            timeout.query()
        );
        let found: k8s_openapi::api::core::v1::Service = timeout
            .limit(client.request(get(&path, "application/json")))
            .await
            .map_err(ClusterError::Service)?;
        let ports = found.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let port = ports.first().ok_or_else(|| ClusterError::NoPort {
            namespace: namespace.clone(),
            name: name.clone(),
        })?;
        // The colon stays when the port has no name: RBAC rules list exactly this spelling.
        let port = port.name.as_deref().unwrap_or_default();
        let proxy_path = format!(
            "/api/v1/namespaces/{}/services/http:{}:{}/proxy",
            path_part(namespace),
            path_part(name),
            path_part(port)
        );
        Ok(Self {
            client,
            proxy_path,
            timeout,
        })
    }

    /// The sealing certificates, as the controller sends them.
    pub(crate) async fn certificate(&self) -> Result<Vec<u8>, ClusterError> {
        let request = get(
            &format!("{}/v1/cert.pem{}", self.proxy_path, self.timeout.query()),
            "application/x-pem-file, */*",
        );
        let text = self
            .timeout
            .limit(self.client.request_text(request))
            .await
            .map_err(ClusterError::Certificate)?;
        Ok(text.into_bytes())
    }

    /// Asks whether a SealedSecret (as JSON) can be unsealed.
    pub(crate) async fn verify(&self, sealed_secret: &[u8]) -> Result<Verdict, ClusterError> {
        let (status, body) = self.post("/v1/verify", sealed_secret).await?;
        match status {
            200..=299 => Ok(Verdict::Opens),
            409 => Ok(Verdict::DoesNotOpen),
            _ => Err(ClusterError::Controller(format!(
                "cannot validate sealed secret: the controller answered {status}{}",
                reason(&body)
            ))),
        }
    }

    /// Lets the controller reseal a SealedSecret (as JSON) with its newest key.
    pub(crate) async fn rotate(&self, sealed_secret: &[u8]) -> Result<Vec<u8>, ClusterError> {
        let (status, body) = self.post("/v1/rotate", sealed_secret).await?;
        match status {
            200..=299 => Ok(body),
            _ => Err(ClusterError::Controller(format!(
                "cannot re-encrypt secret: the controller answered {status}{}",
                reason(&body)
            ))),
        }
    }

    /// Posts, waiting out the controller's rate limit as `Retry-After` tells.
    async fn post(&self, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), ClusterError> {
        const TRIES: u32 = 30;
        for _ in 0..TRIES {
            let to = format!("{}{path}{}", self.proxy_path, self.timeout.query());
            let request = http::Request::post(to)
                .body(Body::from(body.to_vec()))
                .expect("the path was made of checked parts");
            let attempt = async {
                let response = self.client.send(request).await?;
                let status = response.status().as_u16();
                let wait = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                let body = response.into_body().collect_bytes().await?;
                Ok((status, wait, body))
            };
            let (status, wait, body) = self.timeout.limit(attempt).await.map_err(|reason| {
                ClusterError::Controller(format!("cannot reach the controller: {reason}"))
            })?;
            match wait {
                Some(seconds) if status == 429 || status == 503 => {
                    tokio::time::sleep(Duration::from_secs(seconds.clamp(1, 30))).await;
                }
                _ => return Ok((status, body.to_vec())),
            }
        }
        Err(ClusterError::Controller(format!(
            "the controller refused {TRIES} times to be asked so often; try again later"
        )))
    }
}

/// Fetches an `http` or `https` URL, with the user that it names and to wherever it leads, as Go's programs do.
pub(crate) async fn fetch_url(url: &str) -> Result<Vec<u8>, ClusterError> {
    const MOST_REQUESTS: usize = 10;
    let shown = without_password(url);
    let failed =
        |reason: String| ClusterError::Controller(format!("cannot fetch {shown:?}: {reason}"));
    let (mut at, mut user) =
        Url::parse_with_user(url).map_err(|error| failed(error.to_string()))?;
    // The caller chose the first address, and servers choose those that follow.
    let mut guard = Guard::Open;
    for _ in 0..MOST_REQUESTS {
        let answer = ask(&at, user.as_ref(), guard).await.map_err(failed)?;
        let moved = matches!(answer.status.as_u16(), 301..=303 | 307 | 308);
        let target = answer.header("location").filter(|_| moved);
        let Some(target) = target.filter(|target| !target.is_empty()) else {
            return match answer.status {
                http::StatusCode::OK => Ok(answer.body.expose().to_vec()),
                status => Err(failed(status.to_string())),
            };
        };
        let (next, named) = at
            .join_with_user(target)
            .map_err(|error| failed(format!("it redirects to where none can follow: {error}")))?;
        // What is for one server is for no other, and not for those who listen in.
        let is_same = next.origin() == at.origin();
        user = named.or(user.filter(|_| is_same));
        (at, guard) = (next, Guard::Machine);
    }
    Err(failed(format!("stopped after {MOST_REQUESTS} redirects")))
}

async fn ask(url: &Url, user: Option<&SecretText>, guard: Guard) -> Result<Response, String> {
    let verification = match url.is_https() {
        true => Verification::Full,
        // Without TLS there is nothing to verify, and no need of authorities, which small images do not have.
        false => Verification::Skipped,
    };
    let settings = HttpSettings {
        tls: TlsSettings {
            verification,
            ..TlsSettings::default()
        },
        guard,
        ..HttpSettings::default()
    };
    let client = HttpClient::new(settings).map_err(|error| error.to_string())?;
    let mut request = Request::new(http::Method::GET, url.clone());
    if let Some(user) = user {
        let header = basic_auth(user).map_err(|error| error.to_string())?;
        request = request.header(http::header::AUTHORIZATION, header);
    }
    let answer = client.call_once(request).await;
    answer.map_err(|error| crate::error::with_causes(&error))
}

/// A URL for messages; a path stays as it is.
pub(crate) fn without_password(url: &str) -> String {
    let Some(start) = url.find("://").map(|at| at + 3) else {
        return url.to_owned();
    };
    let rest = &url[start..];
    // In one that cannot be read, the password may hold what ends the host elsewhere.
    let end = match Url::parse_with_user(url) {
        Ok(_) => rest.find(['/', '?', '#']).unwrap_or(rest.len()),
        Err(_) => rest.len(),
    };
    let user = rest[..end].rsplit_once('@').map(|(user, _)| user);
    match user.and_then(|user| Some((user, user.split_once(':')?.0))) {
        Some((user, name)) => format!("{}{name}:***{}", &url[..start], &rest[user.len()..]),
        None => url.to_owned(),
    }
}

fn get(path: &str, accept: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path)
        .header("Accept", accept)
        .body(Vec::new())
        .expect("the path was made of checked parts")
}

/// Escapes what may not stand in one part of a path.
fn path_part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The API server's own words where it has some.
fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let text = other.to_string();
            // The library's own name for it says nothing to users.
            let mut text = text
                .strip_prefix("ServiceError: ")
                .unwrap_or(&text)
                .to_owned();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                let more = error.to_string();
                if !text.ends_with(&more) {
                    text = format!("{text}: {more}");
                }
                cause = error.source();
            }
            in_words(text)
        }
    }
}

/// The reason in an answer, when it is a short text or an API status.
fn reason(body: &[u8]) -> String {
    if let Ok(status) = serde_json::from_slice::<serde_json::Value>(body)
        && let Some(message) = status.get("message").and_then(|message| message.as_str())
    {
        return format!(": {message}");
    }
    match std::str::from_utf8(body).map(str::trim) {
        Ok(text) if !text.is_empty() && text.len() <= 300 && !text.contains('\n') => {
            format!(": {text}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_are_escaped() {
        assert_eq!(path_part("sealed-secrets"), "sealed-secrets");
        assert_eq!(path_part("a/../b?c"), "a%2F..%2Fb%3Fc");
    }

    #[test]
    fn a_server_with_the_certificate_of_an_authority_is_told_in_words() {
        let words = "client error (Connect): invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        let text = told(&kube::Error::Service(words.into()));
        assert!(
            text.starts_with("client error (Connect): the certificate of the server is marked"),
            "{text}"
        );
        assert!(!text.contains("OtherError"), "{text}");
        let other = "client error (Connect): invalid peer certificate: UnknownIssuer";
        assert_eq!(told(&kube::Error::Service(other.into())), other);
    }

    #[test]
    fn k70_messages_have_no_password() {
        for (url, shown) in [
            ("folder:a@b", "folder:a@b"),
            ("https://host/cert.pem", "https://host/cert.pem"),
            ("http://host:80/a@b:c", "http://host:80/a@b:c"),
            ("https://me@host/x", "https://me@host/x"),
            (
                "https://me:p%40s@host:1/x?a@b",
                "https://me:***@host:1/x?a@b",
            ),
            ("https://me:p@s@host/x", "https://me:***@host/x"),
            ("https://me:p/s@host/x", "https://me:***@host/x"),
            ("https://me:p s@host/x", "https://me:***@host/x"),
            ("ftp://me:p@host/x", "ftp://me:***@host/x"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn k58_the_namespace_comes_from_the_context_then_from_the_pod() {
        let named = |named: Option<&str>, of_pod: Option<&str>| {
            namespace_of(named.map(str::to_owned), of_pod.map(str::to_owned)).ok()
        };
        assert_eq!(named(Some("team"), Some("pod")).as_deref(), Some("team"));
        assert_eq!(named(Some(""), Some("pod")).as_deref(), Some("pod"));
        assert_eq!(named(Some(""), None).as_deref(), Some("default"));
        assert_eq!(named(None, Some("pod")).as_deref(), Some("pod"));
        assert_eq!(named(None, None), None, "nothing leads to a cluster");
    }

    #[test]
    fn the_flag_names_the_namespace() {
        let options = ClusterOptions {
            namespace: Some("team".to_owned()),
            ..ClusterOptions::default()
        };
        assert_eq!(default_namespace(&options).unwrap(), "team");
    }
}

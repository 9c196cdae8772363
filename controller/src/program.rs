//! Puts the pieces together and takes them apart again when the process is told to stop.

mod connection;
mod sealed_side;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::config::Config;
use sealwright_providers::proxy::Proxies;
use sealwright_resources::sealed_secret::custom_resource_definition;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::connection::Unusable;
use self::sealed_side::SealedSide;
use crate::announcement::Gate;
use crate::api::Api;
use crate::external_secrets;
use crate::flags::Flags;
use crate::frame::dependents::Dependents;
use crate::frame::event::Recorder;
use crate::frame::kind::Shared;
use crate::frame::{self, AnyKind};
use crate::leader::Candidate;
use crate::leftover;
use crate::metrics::{Metrics, QueueMetrics};
use crate::pool::Pool;
use crate::readiness::Readiness;
use crate::server::{self, Handler, MetricsGate, RefreshHandler, ServerSettings};
use crate::tls::TlsServer;

/// How often left-over webhooks are looked for.
const LEFTOVER_INTERVAL: Duration = Duration::from_secs(600);
/// Where a pod finds its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Why the controller cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum StartError {
    /// The runtime or a signal handler.
    #[error("the system refuses what the process needs")]
    System(#[from] std::io::Error),
    /// There is no service account, so this is no pod.
    #[error(
        "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"
    )]
    Cluster(#[source] kube::config::InClusterError),
    /// The kubeconfig cannot be used.
    #[error("cannot read the kubeconfig {path}")]
    Kubeconfig {
        /// Its path.
        path: String,
        #[source]
        source: Unusable,
    },
    /// The proxy that the environment names cannot be asked.
    #[error("cannot connect to the API server by HTTPS_PROXY")]
    Proxy(#[source] sealwright_kubeconfig::Unusable),
    /// The client cannot be made of the configuration.
    #[error("cannot make a client of the configuration")]
    Client(#[source] kube::Error),
    /// A port is taken.
    #[error(transparent)]
    Listen(#[from] server::ListenError),
}

/// Is the controller until the process is told to stop.
pub(crate) async fn run(flags: Flags) -> Result<(), StartError> {
    match flags.sealed_secrets {
        true => tracing::info!(
            version = crate::VERSION,
            "Starting sealed-secrets controller"
        ),
        false => tracing::info!(
            version = crate::VERSION,
            "starting external-secrets controller"
        ),
    }
    for notice in &flags.notices {
        tracing::warn!("{notice}");
    }
    let stop = stop_signal()?;
    let client = client(&flags.kubeconfig).await?;
    let api = Arc::new(Api::new(
        client,
        flags.kubeclient_qps,
        flags.kubeclient_burst,
    ));
    let namespace = own_namespace();
    let external = flags.external_secrets.as_ref();
    let metrics = Arc::new(Metrics::new(
        flags.metrics_omit_secret_labels,
        external.is_some_and(|flags| flags.extended_metric_labels),
    ));
    let shared = Shared {
        api: Arc::clone(&api),
        recorder: Arc::new(Recorder::default()),
        dependents: Arc::new(Dependents::default()),
        watches: Arc::clone(metrics.watches()),
        limits: flags.template_limits,
        rendering: Shared::rendering(),
        metrics: Arc::clone(&metrics),
        pool: Arc::new(Pool::start()),
        slow_pool: Arc::new(Pool::slow()),
        ahead: Arc::default(),
    };
    let readiness = Arc::new(Readiness::new(Arc::clone(metrics.watches())));
    let sealed = match flags.sealed_secrets {
        true => Some(SealedSide::new(&flags, &namespace, &readiness, &shared)?),
        false => None,
    };

    let candidate = Arc::new(Candidate::new(
        &api,
        Arc::clone(&metrics),
        &namespace,
        &identity(),
    ));
    let leading = candidate.watch();
    let parts = external.map(|flags| external_secrets::parts(&flags.settings(), &shared));

    // The probes are answered before anything that takes time (T41).
    let refresh = refresh_server(&flags, parts.as_ref(), &api, &leading);
    let servers = start_servers(
        &flags,
        sealed.as_ref(),
        refresh,
        &readiness,
        &metrics,
        &api,
        &stop,
    )
    .await?;

    // The Lease is kept until the last write is done.
    let (work_done, is_work_done) = watch::channel(false);
    let election = tokio::spawn({
        // It lives as long as this function: those who watch it would take its end for a loss of the lead.
        let (candidate, election) = (Arc::clone(&candidate), flags.election.clone());
        async move {
            match election {
                Some(settings) => candidate.run(settings, is_work_done).await,
                None => candidate.lead_alone(),
            }
        }
    });

    let mut kinds: Vec<Arc<dyn AnyKind>> = Vec::new();
    let mut tasks = Vec::new();
    if let Some(sealed) = sealed {
        tasks.extend(sealed.start(&shared, &leading));
        kinds.push(sealed.kind(&flags, &namespace, shared.clone()));
    }
    if let Some(parts) = parts {
        kinds.extend(parts.kinds);
        tasks.push(tokio::spawn(leftover::watch(
            api,
            Arc::clone(&metrics),
            LEFTOVER_INTERVAL,
        )));
    }
    metrics.show_queues({
        let kinds = kinds.clone();
        move || {
            kinds
                .iter()
                .map(|kind| QueueMetrics {
                    kind: kind.name(),
                    workers: kind.workers(),
                    depth: kind.depth(),
                })
                .collect()
        }
    });
    frame::run(kinds, shared, leading, stop).await;

    tracing::info!("Shutting down controller");
    for task in tasks {
        task.abort();
    }
    work_done.send_replace(true);
    let _ = election.await;
    for server in servers {
        let _ = server.await;
    }
    Ok(())
}

/// The custom resource definitions as YAML.
pub(crate) fn custom_resource_definitions() -> String {
    let all = [custom_resource_definition()];
    all.iter()
        .map(|crd| {
            let yaml = serde_saphyr::to_string(crd).expect("a CRD is YAML");
            format!("---\n{}\n", yaml.trim_end())
        })
        .collect()
}

/// A client by the flag's kubeconfig, else by KUBECONFIG, else by the pod's own account.
pub(crate) async fn client(kubeconfig: &str) -> Result<Client, StartError> {
    let path = match kubeconfig {
        "" => std::env::var("KUBECONFIG").unwrap_or_default(),
        path => path.to_owned(),
    };
    let proxies = Proxies::of_environment();
    let in_pod = |config: Config| {
        sealwright_kubeconfig::through(config, &proxies).map_err(StartError::Proxy)
    };
    let mut config = match path.as_str() {
        "" => in_pod(Config::incluster().map_err(StartError::Cluster)?)?,
        path => {
            let failed = |source: Unusable| StartError::Kubeconfig {
                path: path.to_owned(),
                source,
            };
            let files: Vec<PathBuf> = match kubeconfig.is_empty() {
                // The variable may name several files; those that are not there are as good as empty.
                true => std::env::split_paths(path)
                    .filter(|file| file.exists())
                    .collect(),
                false => vec![PathBuf::from(path)],
            };
            let read = connection::read(files)
                .map_err(|error| failed(sealwright_kubeconfig::Unusable::from(error).into()))?;
            let configured = connection::configuration(&read, &proxies);
            match configured.map_err(|error| failed(error.into()))? {
                Some(config) => config,
                None => in_pod(Config::incluster().map_err(|_| failed(Unusable::Nothing))?)?,
            }
        }
    };
    config.headers.push((
        hyper::header::USER_AGENT,
        hyper::header::HeaderValue::from_static(crate::USER_AGENT),
    ));
    // Requests are repeated where we decide it, with Retry-After respected.
    config.default_retry = false;
    Client::try_from(config).map_err(StartError::Client)
}

/// The namespace the process runs in: POD_NAMESPACE, then the service account's file, then `default` (C36).
fn own_namespace() -> String {
    let named = std::env::var("POD_NAMESPACE").ok();
    let mounted = || std::fs::read_to_string(NAMESPACE_FILE).ok();
    [named, mounted()]
        .into_iter()
        .flatten()
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}

/// A name no other process has. A container that is restarted in its pod keeps it, and with it
/// the Lease; elsewhere every process has its own.
fn identity() -> String {
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    match (variable("POD_NAME"), variable("POD_UID")) {
        (Some(name), Some(uid)) => format!("{name}_{uid}"),
        _ => {
            let now = jiff::Timestamp::now().as_nanosecond();
            format!("{host}_{}_{now:x}", std::process::id())
        }
    }
}

/// As in Go, no time is all the time: ten years, which clocks can still add up.
fn patience(flag: Duration) -> Duration {
    const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    match flag.is_zero() {
        true => FOR_EVER,
        false => flag.min(FOR_EVER),
    }
}

/// A port, what answers there, and its certificate.
type Port = (String, Handler, Option<Arc<TlsServer>>);

/// The refresh endpoint, if it is asked for.
fn refresh_server(
    flags: &Flags,
    parts: Option<&external_secrets::Parts>,
    api: &Arc<Api>,
    leading: &watch::Receiver<bool>,
) -> Option<Port> {
    let settings = flags.external_secrets.as_ref()?.refresh.as_ref()?;
    let gate = match &settings.token_file {
        Some(path) => Gate::Token(path.clone()),
        None => Gate::Cluster(Arc::clone(api)),
    };
    let announced = Arc::clone(&parts?.announced);
    let handler = RefreshHandler::new(gate, announced, leading.clone());
    let tls = settings.tls.clone().map(TlsServer::new).map(Arc::new);
    Some((
        settings.listen.clone(),
        Handler::Refresh(Box::new(handler)),
        tls,
    ))
}

async fn start_servers(
    flags: &Flags,
    sealed: Option<&SealedSide>,
    refresh: Option<Port>,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
    api: &Arc<Api>,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let settings = |listen: &str| ServerSettings {
        listen: listen.to_owned(),
        read_timeout: patience(flags.read_timeout),
        write_timeout: patience(flags.write_timeout),
    };
    let tls = flags.metrics_tls.clone().map(TlsServer::new).map(Arc::new);
    let gate = flags
        .metrics_auth
        .then(|| MetricsGate::new(Arc::clone(api)));
    let shown = Handler::metrics(Arc::clone(metrics), gate);
    let mut ports = Vec::new();
    if let Some(sealed) = sealed {
        let handler = Handler::api(
            Arc::clone(&sealed.http_api),
            Arc::clone(metrics),
            (flags.rate_limit, flags.rate_limit_burst),
            flags.trusted_proxies.clone(),
        );
        ports.push((&flags.listen_addr, handler, None, "HTTP server serving"));
    }
    ports.push((
        &flags.listen_metrics_addr,
        shown,
        tls,
        "HTTP metrics server serving",
    ));
    if let Some(listen) = &flags.live_addr {
        let handler = Handler::Probes(Arc::clone(readiness));
        ports.push((listen, handler, None, "HTTP probe server serving"));
    }
    let refresh_listen;
    if let Some((listen, handler, tls)) = refresh {
        refresh_listen = listen;
        ports.push((&refresh_listen, handler, tls, "HTTP refresh server serving"));
    }
    let mut servers = Vec::new();
    for (listen, handler, tls, message) in ports {
        let settings = settings(listen);
        let listener = server::listen(&settings).await?;
        let address = server::address(&listener).map(|address| address.to_string());
        tracing::info!(addr = address.unwrap_or_default(), "{message}");
        let serving = server::serve(listener, settings, handler, tls, stop.clone());
        servers.push(tokio::spawn(serving));
    }
    Ok(servers)
}

/// Reports SIGTERM (C44), and SIGINT for those who start the program by hand.
pub(crate) fn stop_signal() -> Result<watch::Receiver<bool>, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Subscribers must see it for as long as the process lives.
        sender.closed().await;
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_crd_is_the_one_the_program_prints() {
        let shipped = include_str!("../../deploy/base/crd.yaml");
        assert!(
            shipped == custom_resource_definitions(),
            "rewrite it with: sealwright-controller crd > deploy/base/crd.yaml"
        );
    }
}

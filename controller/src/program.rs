//! Puts the pieces together and takes them apart again when the process is told to stop.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use sealwright_resources::sealed_secret::custom_resource_definition;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::Api;
use crate::external_secrets;
use crate::flags::Flags;
use crate::frame::dependents::Dependents;
use crate::frame::event::Recorder;
use crate::frame::kind::Shared;
use crate::frame::{self, AnyKind};
use crate::http_api::HttpApi;
use crate::keys::SealingKeys;
use crate::leader::{Candidate, ElectionSettings};
use crate::metrics::{KeyMetrics, Metrics};
use crate::pool::Pool;
use crate::reconcile::sealed_secret::{self, SealedSecrets};
use crate::reconcile::sealing_key;
use crate::server;

/// Objects worked on at a time; most of that time is waiting for the API server.
const WORKERS: usize = 12;
/// How long the Lease holds without being renewed.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without having renewed.
const LEASE_DEADLINE: Duration = Duration::from_secs(8);
/// How often the Lease is looked at.
const LEASE_PERIOD: Duration = Duration::from_secs(2);
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
        source: kube::config::KubeconfigError,
    },
    /// The client cannot be made of the configuration.
    #[error("cannot make a client of the configuration")]
    Client(#[source] kube::Error),
    /// A port is taken.
    #[error(transparent)]
    Listen(#[from] server::ListenError),
}

/// Is the controller until the process is told to stop.
pub(crate) async fn run(flags: Flags) -> Result<(), StartError> {
    tracing::info!(
        version = crate::VERSION,
        "Starting sealed-secrets controller"
    );
    for notice in &flags.notices {
        tracing::warn!("{notice}");
    }
    let stop = stop_signal()?;
    let orders = key_orders()?;
    let client = client(&flags.kubeconfig).await?;
    let api = Arc::new(Api::new(
        client,
        flags.kubeclient_qps,
        flags.kubeclient_burst,
    ));
    let namespace = own_namespace();
    let metrics = Arc::new(Metrics::new(flags.metrics_omit_secret_labels));
    let keys = Arc::new(SealingKeys::new());
    let pool = Arc::new(Pool::start());
    let shared = Shared {
        api: Arc::clone(&api),
        recorder: Arc::new(Recorder::default()),
        dependents: Arc::new(Dependents::default()),
        watches: Arc::clone(metrics.watches()),
    };
    let http_api = Arc::new(HttpApi::new(
        Arc::clone(&keys),
        Arc::clone(&pool),
        Arc::clone(metrics.watches()),
        flags.accept_deprecated_v1_data,
    ));
    metrics.show_keys({
        let (keys, renew_period) = (Arc::clone(&keys), flags.key_renew_period.as_secs_f64());
        move || key_metrics(&keys, renew_period)
    });

    // The probes are answered before anything that takes time (T41).
    let servers = start_servers(&flags, &http_api, &metrics, &stop).await?;

    let settings = Arc::new(key_settings(&flags, &namespace));
    tracing::info!("Searching for existing private keys");
    let key_watch = tokio::spawn(sealing_key::watch(
        Arc::clone(&settings),
        Arc::clone(&api),
        Arc::clone(&shared.recorder),
        Arc::clone(&keys),
        Arc::clone(metrics.watches()),
    ));

    let candidate = Arc::new(Candidate::new(
        Arc::clone(&api),
        Arc::clone(&metrics),
        &namespace,
        &identity(),
        ElectionSettings {
            lease: flags.leader_elect_lease.clone(),
            duration: LEASE_DURATION,
            deadline: LEASE_DEADLINE,
            period: LEASE_PERIOD,
        },
    ));
    let leading = candidate.watch();
    // The Lease is kept until the last write is done.
    let (work_done, is_work_done) = watch::channel(false);
    let election = tokio::spawn({
        let (candidate, elect) = (Arc::clone(&candidate), flags.leader_elect);
        async move {
            if elect {
                candidate.run(is_work_done).await;
            } else {
                candidate.lead_alone();
            }
        }
    });
    let renewal = tokio::spawn(renew_while_leading(
        settings,
        Arc::clone(&api),
        Arc::clone(&keys),
        Arc::clone(&pool),
        orders,
        leading.clone(),
    ));
    let readiness = tokio::spawn(open_when_ready(
        Arc::clone(&http_api),
        Arc::clone(&keys),
        Arc::clone(&api),
        flags.additional_namespaces.clone(),
    ));

    let mut kinds: Vec<Arc<dyn AnyKind>> = vec![Arc::new(SealedSecrets::new(
        sealed_secret::Settings {
            namespaces: namespaces(&flags, &namespace),
            label_selector: flags.label_selector.clone(),
            accept_deprecated_data: flags.accept_deprecated_v1_data,
            update_status: flags.update_status,
            skip_recreate: flags.skip_recreate,
            delete_ourselves: flags.old_gc_behavior,
            quick_retries: flags.max_unseal_retries,
            workers: WORKERS,
        },
        shared.clone(),
        keys,
        pool,
        Arc::clone(&metrics),
    ))];
    kinds.extend(external_secrets::kinds(
        &external_secrets::Settings::default(),
        &shared,
    ));
    metrics.show_queues({
        let kinds = kinds.clone();
        move || {
            kinds
                .iter()
                .map(|kind| (kind.name(), kind.depth()))
                .collect()
        }
    });
    frame::run(kinds, shared, leading, stop).await;

    tracing::info!("Shutting down controller");
    for task in [key_watch, renewal, readiness] {
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

/// A client of the cluster that the flag names, else the variable `KUBECONFIG`, else the pod's own account.
pub(crate) async fn client(kubeconfig: &str) -> Result<Client, StartError> {
    let path = match kubeconfig {
        "" => std::env::var("KUBECONFIG").unwrap_or_default(),
        path => path.to_owned(),
    };
    let mut config = match path.as_str() {
        "" => Config::incluster().map_err(StartError::Cluster)?,
        path => {
            let failed = |source| StartError::Kubeconfig {
                path: path.to_owned(),
                source,
            };
            let file = match kubeconfig.is_empty() {
                // The variable may name several files.
                true => Kubeconfig::from_env().map_err(failed)?.unwrap_or_default(),
                false => Kubeconfig::read_from(path).map_err(failed)?,
            };
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(failed)?
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

/// C36.
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

/// C10: additional namespaces switch the watch of all namespaces off (T29).
fn namespaces(flags: &Flags, own: &str) -> Option<Vec<String>> {
    if flags.all_namespaces && flags.additional_namespaces.is_empty() {
        return None;
    }
    let mut names = vec![own.to_owned()];
    names.extend(
        flags
            .additional_namespaces
            .iter()
            .filter(|name| *name != own)
            .cloned(),
    );
    Some(names)
}

fn key_settings(flags: &Flags, namespace: &str) -> sealing_key::Settings {
    sealing_key::Settings {
        namespace: namespace.to_owned(),
        prefix: flags.key_prefix.clone(),
        order: flags.key_order_priority,
        size: flags.key_size,
        valid: flags.key_ttl,
        common_name: flags.my_cn.clone(),
        renew_period: flags.key_renew_period,
        cutoff: flags.key_cutoff_time,
        labels: flags.privatekey_labels.clone(),
        annotations: flags.privatekey_annotations.clone(),
        log_base64: flags.log.json,
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

async fn start_servers(
    flags: &Flags,
    http_api: &Arc<HttpApi>,
    metrics: &Arc<Metrics>,
    stop: &watch::Receiver<bool>,
) -> Result<[tokio::task::JoinHandle<()>; 2], StartError> {
    let settings = |listen: &str| server::ServerSettings {
        listen: listen.to_owned(),
        read_timeout: patience(flags.read_timeout),
        write_timeout: patience(flags.write_timeout),
    };
    let (api, shown) = (
        settings(&flags.listen_addr),
        settings(&flags.listen_metrics_addr),
    );
    let api_listener = server::listen(&api).await?;
    let metrics_listener = server::listen(&shown).await?;
    for (listener, message) in [
        (&api_listener, "HTTP server serving"),
        (&metrics_listener, "HTTP metrics server serving"),
    ] {
        let address = server::address(listener).map(|address| address.to_string());
        tracing::info!(addr = address.unwrap_or_default(), "{message}");
    }
    let handler = server::Handler::api(
        Arc::clone(http_api),
        Arc::clone(metrics),
        (flags.rate_limit, flags.rate_limit_burst),
        flags.trusted_proxies.clone(),
    );
    let metrics = server::Handler::metrics(Arc::clone(metrics));
    Ok([
        tokio::spawn(server::serve(api_listener, api, handler, stop.clone())),
        tokio::spawn(server::serve(
            metrics_listener,
            shown,
            metrics,
            stop.clone(),
        )),
    ])
}

/// Readiness (C81, and what it leaves out): there is a key to seal with, and every namespace that
/// is to be watched has been looked up.
async fn open_when_ready(
    http_api: Arc<HttpApi>,
    keys: Arc<SealingKeys>,
    api: Arc<Api>,
    additional: Vec<String>,
) {
    use futures::StreamExt;
    futures::stream::iter(additional)
        .for_each_concurrent(16, |namespace| {
            let api = Arc::clone(&api);
            async move {
                match api.get(&format!("/api/v1/namespaces/{namespace}")).await {
                    Ok(_) => {}
                    // It is watched all the same, and may come.
                    Err(error) if error.is_not_found() => {
                        tracing::error!(namespace = namespace, "namespace doesn't exist");
                    }
                    Err(error) => {
                        tracing::warn!(namespace = namespace, error = %error, "cannot look the namespace up");
                    }
                }
            }
        })
        .await;
    let mut changes = keys.watch();
    while keys.certificate().is_none() {
        if changes.changed().await.is_err() {
            return;
        }
    }
    http_api.open();
}

async fn renew_while_leading(
    settings: Arc<sealing_key::Settings>,
    api: Arc<Api>,
    keys: Arc<SealingKeys>,
    pool: Arc<Pool>,
    orders: watch::Receiver<u64>,
    mut leading: watch::Receiver<bool>,
) {
    while leading.wait_for(|leading| *leading).await.is_ok() {
        let renewal = sealing_key::renew(
            Arc::clone(&settings),
            Arc::clone(&api),
            Arc::clone(&keys),
            Arc::clone(&pool),
            orders.clone(),
        );
        tokio::select! {
            () = renewal => return,
            lost = leading.wait_for(|leading| !*leading) => if lost.is_err() { return },
        }
    }
}

fn key_metrics(keys: &SealingKeys, renew_period: f64) -> KeyMetrics {
    keys.with(|ring| {
        let newest = ring.newest();
        KeyMetrics {
            keys: ring.len(),
            created: newest.map(|key| key.ordering_time()),
            expires: newest.and_then(|key| Some(key.certificate()?.not_after())),
            renew_period,
        }
    })
}

/// C44: SIGTERM, and SIGINT for those who start it by hand.
fn stop_signal() -> Result<watch::Receiver<bool>, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Whoever subscribes must see it for as long as the process lives.
        sender.closed().await;
    });
    Ok(receiver)
}

/// C41: SIGUSR1 asks for a new key.
fn key_orders() -> Result<watch::Receiver<u64>, std::io::Error> {
    let mut orders = signal(SignalKind::user_defined1())?;
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while orders.recv().await.is_some() {
            sender.send_modify(|count| *count += 1);
        }
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
            "write it anew: sealwright-controller crd > deploy/base/crd.yaml"
        );
    }
}

//! What SealedSecrets need beside their reconciler: sealing keys, the threads that unseal, the HTTP API.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::action;
use crate::api::Api;
use crate::flags::Flags;
use crate::frame::AnyKind;
use crate::frame::kind::Shared;
use crate::http_api::HttpApi;
use crate::keys::SealingKeys;
use crate::log::Form;
use crate::metrics::KeyMetrics;
use crate::pool::Pool;
use crate::readiness::Readiness;
use crate::reconcile::sealed_secret::{self, SealedSecrets};
use crate::reconcile::sealing_key;

/// Objects worked on at a time; most of that time is waiting for the API server.
const WORKERS: usize = 16;
/// What readiness waits for.
const KEY: &str = "a sealing key";

/// The side of SealedSecrets.
pub(super) struct SealedSide {
    pub(super) http_api: Arc<HttpApi>,
    keys: Arc<SealingKeys>,
    pool: Arc<Pool>,
    key_settings: Arc<sealing_key::Settings>,
    additional_namespaces: Vec<String>,
    readiness: Arc<Readiness>,
    orders: watch::Receiver<u64>,
}

impl SealedSide {
    /// Starts nothing that waits for the API server.
    pub(super) fn new(
        flags: &Flags,
        namespace: &str,
        readiness: &Arc<Readiness>,
        shared: &Shared,
    ) -> Result<Self, std::io::Error> {
        let keys = Arc::new(SealingKeys::new());
        let pool = Arc::clone(&shared.pool);
        let http_api = Arc::new(HttpApi::new(
            Arc::clone(&keys),
            Arc::clone(&pool),
            Arc::clone(readiness),
            flags.accept_deprecated_v1_data,
        ));
        shared.metrics.show_keys({
            let (keys, renew_period) = (Arc::clone(&keys), flags.key_renew_period.as_secs_f64());
            move || key_metrics(&keys, renew_period)
        });
        readiness.wait_for(KEY);
        Ok(Self {
            http_api,
            keys,
            pool,
            key_settings: Arc::new(key_settings(flags, namespace)),
            additional_namespaces: flags.additional_namespaces.clone(),
            readiness: Arc::clone(readiness),
            orders: key_orders()?,
        })
    }

    /// Starts to watch the keys, and to renew them whenever this replica leads.
    pub(super) fn start(
        &self,
        shared: &Shared,
        leading: &watch::Receiver<bool>,
    ) -> [JoinHandle<()>; 3] {
        tracing::info!("Searching for existing private keys");
        [
            tokio::spawn(sealing_key::watch(
                Arc::clone(&self.key_settings),
                Arc::clone(&shared.api),
                Arc::clone(&shared.recorder),
                Arc::clone(&self.keys),
                Arc::clone(&shared.watches),
            )),
            tokio::spawn(renew_while_leading(
                Arc::clone(&self.key_settings),
                Arc::clone(&shared.api),
                Arc::clone(&self.keys),
                Arc::clone(&self.pool),
                self.orders.clone(),
                leading.clone(),
            )),
            tokio::spawn(become_ready(
                Arc::clone(&self.readiness),
                Arc::clone(&self.keys),
                Arc::clone(&shared.api),
                self.additional_namespaces.clone(),
            )),
        ]
    }

    /// The reconciler.
    pub(super) fn kind(self, flags: &Flags, namespace: &str, shared: Shared) -> Arc<dyn AnyKind> {
        Arc::new(SealedSecrets::new(
            sealed_secret::Settings {
                namespaces: namespaces(flags, namespace),
                label_selector: flags.label_selector.clone(),
                accept_deprecated_data: flags.accept_deprecated_v1_data,
                update_status: flags.update_status,
                skip_recreate: flags.skip_recreate,
                delete_ourselves: flags.old_gc_behavior,
                quick_retries: flags.max_unseal_retries,
                workers: WORKERS,
            },
            shared,
            self.keys,
        ))
    }
}

/// The namespaces to watch, or nothing for all: additional namespaces switch the watch of all off (C10, T29).
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
        log_base64: flags.log.form == Form::Json,
    }
}

/// Makes the process ready when there is a key to seal with and every namespace that is to be watched has been looked up (C81,
/// and what it leaves out).
async fn become_ready(
    readiness: Arc<Readiness>,
    keys: Arc<SealingKeys>,
    api: Arc<Api>,
    additional: Vec<String>,
) {
    use futures::StreamExt;
    futures::stream::iter(additional)
        .for_each_concurrent(16, |namespace| {
            let api = Arc::clone(&api);
            async move {
                match api.get(&action::namespace(&namespace)).await {
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
    readiness.reached(KEY);
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

/// Counts the signals SIGUSR1, each of which asks for a new key (C41).
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

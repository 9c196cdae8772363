//! The watches behind the index: SealedSecrets, then the metadata of Secrets.

use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use sealwright_resources::sealed_secret::SealedSecret;
use tokio::sync::{mpsc, watch};

use super::subject::{key_of, key_of_read};
use super::{SealedSecrets, backlog, plan};
use crate::action::Version;
use crate::frame::index::Key;
use crate::frame::read::Read;
use crate::queue::Urgency;
use crate::watch_log::WatchLog;

/// Small pages keep the memory of a listing small.
pub(super) const PAGE: u32 = 100;
const METADATA_PAGE: u32 = 500;

/// Watches every scope until it is dropped.
///
/// The Secrets are listed after the SealedSecrets, so that only those need remembering that are
/// the target of one; work starts when both are known, so that what is as it should be is not
/// worked on at all.
pub(super) async fn watch(this: Arc<SealedSecrets>) {
    // Without keys every object would fail, and then be tried again.
    let mut changes = this.keys.watch();
    if changes.wait_for(|changes| changes.loaded).await.is_err() {
        return;
    }
    let scopes: Vec<Option<String>> = match &this.settings.namespaces {
        None => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let mut all: FuturesUnordered<_> = scopes
        .iter()
        .map(|scope| watch_scope(&this, scope.as_deref()))
        .collect();
    tokio::select! {
        () = async { while all.next().await.is_some() {} } => {}
        () = retry_with_new_keys(&this, changes) => {}
    }
}

/// P11: a key that was added, restored or relabelled may open what failed.
async fn retry_with_new_keys(
    this: &SealedSecrets,
    mut changes: watch::Receiver<crate::keys::Changes>,
) {
    while changes.changed().await.is_ok() {
        for key in this.index.failing() {
            this.queue.add(key, Urgency::Backlog);
        }
    }
}

async fn watch_scope(this: &SealedSecrets, namespace: Option<&str>) {
    tracing::info!(
        namespace = namespace.unwrap_or_default(),
        "Starting informer"
    );
    let (listed, mut is_listed) = watch::channel(false);
    let (start, mut started) = mpsc::unbounded_channel();
    let sealed = watch_sealed(this, namespace, &listed);
    // Beside the watches: what they show is seen while a backlog is worked on.
    let feed = async {
        while let Some(work) = started.recv().await {
            backlog::feed(this, namespace, work).await;
        }
    };
    if this.settings.skip_recreate {
        let begin = async {
            if is_listed.wait_for(|listed| *listed).await.is_ok() {
                let _ = start.send(this.work_to_start(namespace));
            }
            std::future::pending::<()>().await;
        };
        tokio::join!(sealed, begin, feed);
    } else {
        tokio::join!(
            sealed,
            watch_targets(this, namespace, is_listed, &start),
            feed
        );
    }
}

async fn watch_sealed(this: &SealedSecrets, namespace: Option<&str>, listed: &watch::Sender<bool>) {
    let config = watcher::Config {
        label_selector: Some(this.settings.label_selector.clone()).filter(|text| !text.is_empty()),
        ..watcher::Config::default().page_size(PAGE)
    };
    let mut events = stream::<Read<SealedSecret>>(this, namespace, config);
    let mut log = WatchLog::new("SealedSecrets", this.metrics.watches());
    let mut began = 0;
    while let Some(event) = events.next().await {
        if let Ok(event) = &event {
            log.sees(event);
        }
        match event {
            Err(error) => {
                log.fails(&error);
                continue;
            }
            Ok(watcher::Event::Init) => began = this.index.begin_listing(),
            Ok(watcher::Event::InitApply(sealed)) => {
                let key = key_of_read(&sealed);
                // The first listing is judged as a whole when the Secrets are known too.
                if this.see(&key, &sealed) && *listed.borrow() {
                    this.queue.add(key, Urgency::Now);
                }
            }
            Ok(watcher::Event::InitDone) => {
                for key in this.index.end_listing(began, namespace) {
                    this.queue.add(key, Urgency::Now);
                }
                listed.send_replace(true);
            }
            Ok(watcher::Event::Apply(sealed)) => {
                let key = key_of_read(&sealed);
                if this.see(&key, &sealed) {
                    this.bodies.keep_one(&key, sealed);
                    this.queue.add(key, Urgency::Now);
                } else {
                    tracing::debug!(
                        "sealed-secret" = %key,
                        "update suppressed, no changes in spec"
                    );
                }
            }
            Ok(watcher::Event::Delete(sealed)) => {
                let key = key_of_read(&sealed);
                if this.index.remove(&key) {
                    this.queue.add(key, Urgency::Now);
                }
            }
        }
    }
}

async fn watch_targets(
    this: &SealedSecrets,
    namespace: Option<&str>,
    mut sealed_listed: watch::Receiver<bool>,
    start: &mpsc::UnboundedSender<Vec<Key>>,
) {
    if sealed_listed.wait_for(|listed| *listed).await.is_err() {
        return;
    }
    let config = watcher::Config::default().page_size(METADATA_PAGE);
    let mut events = stream::<Read<PartialObjectMeta<Secret>>>(this, namespace, config);
    let mut log = WatchLog::new("Secrets", this.metrics.watches());
    let (mut started, mut began) = (false, 0);
    while let Some(event) = events.next().await {
        if let Ok(event) = &event {
            log.sees(event);
        }
        match event {
            Err(error) => {
                log.fails(&error);
                // Without the permission there is no drift to see, and no reason to do nothing.
                if !started && is_forbidden(&error) {
                    started = true;
                    let _ = start.send(this.work_to_start(namespace));
                }
                continue;
            }
            Ok(watcher::Event::Init) => began = this.index.begin_listing_targets(),
            Ok(watcher::Event::InitApply(secret) | watcher::Event::Apply(secret)) => {
                let metadata = secret.meta();
                let key = key_of(metadata);
                let wakes = this.index.see_target(&key, Version::of(metadata), |uid| {
                    plan::is_reclaimed(metadata, uid)
                });
                if wakes && started {
                    this.queue.add(key, Urgency::Now);
                }
            }
            Ok(watcher::Event::InitDone) => {
                this.index.end_listing_targets(began, namespace);
                started = true;
                let _ = start.send(this.work_to_start(namespace));
            }
            Ok(watcher::Event::Delete(secret)) => {
                let metadata = secret.meta();
                let key = key_of(metadata);
                let wakes = this.index.lose_target(&key, &Version::of(metadata), |uid| {
                    plan::makes_room(metadata, uid)
                });
                if wakes {
                    this.queue.add(key, Urgency::Now);
                }
            }
        }
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403
    )
}

fn stream<K>(
    this: &SealedSecrets,
    namespace: Option<&str>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + Unpin
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    Box::pin(watcher(api_of::<K>(this, namespace), config).default_backoff())
}

pub(super) fn api_of<K>(this: &SealedSecrets, namespace: Option<&str>) -> kube::Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => kube::Api::namespaced(this.api.client(), namespace),
        None => kube::Api::all(this.api.client()),
    }
}

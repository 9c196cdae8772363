//! The watches of metadata that all kinds share: of the Secrets that objects write or read, and of what else they read.
//!
//! One watch of Secrets serves every kind. It begins when the objects of all kinds have been listed, so that only those Secrets
//! need remembering that are the target of one; a kind that cannot be listed, or that joins later, is not waited for and reads
//! its targets itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, select_all};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;

use super::AnyKind;
use super::dependents::Dependents;
use super::kind::Neighbours;
use super::object::key_of;
use super::read::Read;
use super::watch::stream;
use super::watch_log::WatchLog;
use crate::api::Api;
use crate::metrics::watches::Watches;

/// A kind whose objects are not listed by then is late, as one that joins later is.
const LATE: Duration = Duration::from_secs(30);

/// Watches the Secrets of one scope for these kinds, until it is dropped.
pub(super) async fn watch(
    api: Arc<Api>,
    watches: Arc<Watches>,
    dependents: Arc<Dependents>,
    scope: Option<String>,
    kinds: Vec<Arc<dyn AnyKind>>,
) {
    let scope = scope.as_deref();
    // One kind that cannot begin must not hold up the others.
    let all = kinds.iter().map(|kind| kind.listed_or_stalled(scope));
    let _ = tokio::time::timeout(LATE, join_all(all)).await;
    // As long as no kind is installed that uses them, Secrets are nothing to watch, and may not be permitted.
    select_all(kinds.iter().map(|kind| kind.listed(scope))).await;
    let mut log = WatchLog::new("Secrets", &watches);
    let mut events = stream::<Read<PartialObjectMeta<Secret>>>(&api, scope, "", &log);
    let mut listings: Vec<Option<u64>> = vec![None; kinds.len()];
    let (mut listed, mut began, mut smooth) = (false, 0, true);
    while let Some(event) = events.next().await {
        smooth &= event.is_ok();
        if let Ok(event) = &event {
            log.sees(event);
        }
        match event {
            Err(error) => {
                log.fails(&error);
                // Without the permission there is no drift to see, and no reason to do nothing.
                if !listed && is_forbidden(&error) {
                    for kind in &kinds {
                        kind.targets_listed(scope, None);
                    }
                }
            }
            Ok(watcher::Event::Init) => {
                for (kind, listing) in kinds.iter().zip(&mut listings) {
                    *listing = kind.begin_listing_targets(scope);
                }
                began = dependents.begin_listing();
            }
            Ok(watcher::Event::InitApply(secret)) => {
                for kind in &kinds {
                    kind.see_target(scope, secret.meta());
                }
                let metadata = secret.meta();
                dependents.listed("Secret", &key_of(metadata), version(metadata), !listed);
            }
            Ok(watcher::Event::InitDone) => {
                for (kind, listing) in kinds.iter().zip(&mut listings) {
                    kind.targets_listed(scope, listing.take());
                }
                dependents.end_listing("Secret", scope, began, smooth && !listed);
                listed = true;
            }
            Ok(watcher::Event::Apply(secret)) => {
                for kind in &kinds {
                    kind.see_target(scope, secret.meta());
                }
                let metadata = secret.meta();
                dependents.shown("Secret", &key_of(metadata), version(metadata));
            }
            Ok(watcher::Event::Delete(secret)) => {
                for kind in &kinds {
                    kind.lose_target(secret.meta());
                }
                dependents.deleted("Secret", &key_of(secret.meta()));
            }
        }
    }
}

/// A kind whose objects of a scope read others.
pub(super) type Reader = (Arc<dyn AnyKind>, Option<String>);

impl Neighbours {
    /// Watches them in one scope, and wakes what reads them; begins when one of the kinds that do is installed.
    pub(super) async fn watch(
        self,
        api: Arc<Api>,
        watches: Arc<Watches>,
        dependents: Arc<Dependents>,
        scope: Option<String>,
        readers: Vec<Reader>,
    ) {
        let listed = readers
            .iter()
            .map(|(kind, scope)| kind.listed(scope.as_deref()));
        select_all(listed).await;
        let scope = scope.as_deref();
        match self {
            Self::ConfigMaps => {
                watch_neighbours::<ConfigMap>(&api, &watches, &dependents, scope, self.kind())
                    .await;
            }
            Self::Namespaces => {
                watch_neighbours::<Namespace>(&api, &watches, &dependents, None, self.kind()).await;
            }
        }
    }
}

async fn watch_neighbours<T>(
    api: &Api,
    watches: &Arc<Watches>,
    dependents: &Dependents,
    scope: Option<&str>,
    kind: &'static str,
) where
    T: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let mut log = WatchLog::new(kind, watches);
    let mut events = stream::<Read<PartialObjectMeta<T>>>(api, scope, "", &log);
    let (mut listed, mut began, mut smooth) = (false, 0, true);
    while let Some(event) = events.next().await {
        smooth &= event.is_ok();
        if let Ok(event) = &event {
            log.sees(event);
        }
        match event {
            Err(error) => log.fails(&error),
            Ok(watcher::Event::Init) => began = dependents.begin_listing(),
            Ok(watcher::Event::InitApply(object)) => {
                let metadata = object.meta();
                dependents.listed(kind, &key_of(metadata), version(metadata), !listed);
            }
            Ok(watcher::Event::InitDone) => {
                dependents.end_listing(kind, scope, began, smooth && !listed);
                listed = true;
            }
            Ok(watcher::Event::Apply(object)) => {
                let metadata = object.meta();
                dependents.shown(kind, &key_of(metadata), version(metadata));
            }
            Ok(watcher::Event::Delete(object)) => {
                dependents.deleted(kind, &key_of(object.meta()));
            }
        }
    }
}

fn version(metadata: &ObjectMeta) -> &str {
    metadata.resource_version.as_deref().unwrap_or_default()
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::super::dependents::{Need, Wake};
    use super::super::kind::Kind;
    use super::super::object::Key;
    use super::super::plain::Plain;
    use super::super::tracked::{Digest, Ended, Seen};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_listing_wakes_what_was_worked_on_before_and_may_have_missed_something() {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let query = request.uri().query().unwrap_or_default();
            if query.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let object = |name: &str, version: &str| json!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": version}});
            let items = [object("edited", "7"), object("old", "3")];
            let list = json!({"metadata": {"resourceVersion": "9"}, "items": items});
            let body = Body::from(list.to_string().into_bytes());
            Ok::<_, Infallible>(Response::new(body))
        });
        let kind = Arc::new(Plain::new(Client::new(service, "ns")));
        let frame = kind.frame();
        let dependents = &frame.shared.dependents;
        let reader: Arc<dyn Wake> = Arc::clone(&kind) as _;
        let number = dependents.join(Arc::downgrade(&reader));
        let all = [
            ("before the edit", "edited", Some(5)),
            ("after the edit", "edited", Some(8)),
            ("not yet", "edited", None),
            ("unchanged", "old", Some(5)),
            ("before it went", "gone", Some(5)),
        ];
        for (name, reads, looked) in all {
            let key = Key::new("ns", name);
            let seen = Seen {
                resource_version: "2".into(),
                digest: Digest([1; 32]),
                generation: None,
                status: 0,
                surroundings: 0,
            };
            frame.index.see(&key, "u", seen.clone(), None, |(), _| {});
            frame.index.update(&key, "u", |known| {
                if let Some(looked) = looked {
                    known.looks(looked);
                }
                known.finish(seen, Ended::Applied(None));
                known.state_written(0, "2");
            });
            dependents.set(number, &key, vec![Need::one("ConfigMap", "ns", reads)]);
        }
        let watches = &frame.shared.watches;
        let watching =
            watch_neighbours::<ConfigMap>(frame.api(), watches, dependents, None, "ConfigMap");
        let watching = tokio::time::timeout(Duration::from_secs(5), watching);
        assert!(watching.await.is_err());
        let names = all.map(|(name, ..)| name);
        let woken = names.into_iter();
        let woken = woken.filter(|name| frame.is_unsettled(&Key::new("ns", name)));
        let woken: Vec<&str> = woken.collect();
        assert_eq!(woken, ["before the edit", "before it went"]);
    }
}

//! Targets of other kinds than Secret: which kinds the API server has, and watches of those that were written.
//!
//! They are off unless `--unsafe-allow-generic-targets` is given, and the controller can write only what its role permits: rights
//! are given for each kind. A kind is watched from its first use, as metadata, and only objects with our label.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use sealwright_resources::external_secret::{ExternalSecret, MANAGED_LABEL, Manifest};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::backoff::patiently;
use crate::frame::dependents::{Dependents, Need};
use crate::frame::follow::follow;
use crate::frame::object::{Key, key_of};
use crate::frame::pages::Listed;
use crate::frame::read::Read;

/// What an ExternalSecret reads of its target of another kind.
const TARGET: &str = "target of an ExternalSecret";

/// A kind as the API server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    resource: ApiResource,
    pub(crate) namespaced: bool,
}

impl Served {
    /// The path of all objects of a namespace.
    pub(crate) fn folder(&self, namespace: &str) -> String {
        let version = &self.resource.api_version;
        let root = match self.resource.group.is_empty() {
            true => format!("/api/{version}"),
            false => format!("/apis/{version}"),
        };
        format!(
            "{root}/namespaces/{}/{}",
            action::part(namespace),
            self.resource.plural
        )
    }

    /// The path of one object.
    pub(crate) fn path(&self, target: &Key) -> String {
        format!(
            "{}/{}",
            self.folder(&target.namespace),
            action::part(&target.name)
        )
    }
}

/// The kinds that are written, and their watches.
pub(crate) struct GenericTargets {
    api: Arc<Api>,
    kinds: Mutex<HashMap<(String, String), Served>>,
    watched: Mutex<HashSet<(String, String)>>,
    wanted: UnboundedSender<Served>,
    requests: tokio::sync::Mutex<UnboundedReceiver<Served>>,
}

impl GenericTargets {
    pub(crate) fn new(api: Arc<Api>) -> Self {
        let (wanted, requests) = unbounded_channel();
        Self {
            api,
            kinds: Mutex::default(),
            watched: Mutex::default(),
            wanted,
            requests: tokio::sync::Mutex::new(requests),
        }
    }

    /// Looks a kind up; nothing if the API server has none of it. An answer is kept for as long as it is one.
    pub(crate) async fn served(&self, manifest: &Manifest) -> Result<Option<Served>, ApiError> {
        #[derive(Deserialize)]
        struct List {
            resources: Vec<Resource>,
        }
        #[derive(Deserialize)]
        struct Resource {
            name: String,
            kind: String,
            namespaced: bool,
        }
        let name = (manifest.api_version.clone(), manifest.kind.clone());
        let known = self.known(&name);
        if known.is_some() {
            return Ok(known);
        }
        // What a user writes must not lead to another path.
        let is_version = manifest.api_version.split('/').count() <= 2
            && !manifest.api_version.split('/').any(|part| {
                let odd = |rune: char| !rune.is_ascii_alphanumeric() && rune != '.' && rune != '-';
                part.is_empty() || part.starts_with('.') || part.contains(odd)
            });
        if !is_version {
            return Ok(None);
        }
        let (group, version) = match manifest.api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", manifest.api_version.as_str()),
        };
        let path = match group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let list: List = match self.api.get(&path).await {
            Ok(answer) => action::read(&answer)?,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        // Subresources have a slash in their names.
        let found = list
            .resources
            .into_iter()
            .find(|resource| resource.kind == manifest.kind && !resource.name.contains('/'));
        let served = found.map(|found| Served {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: manifest.api_version.clone(),
                kind: found.kind,
                plural: found.name,
            },
            namespaced: found.namespaced,
        });
        if let Some(served) = &served {
            let mut kinds = self.kinds.lock().expect("no holder panics");
            kinds.insert(name, served.clone());
        }
        Ok(served)
    }

    fn known(&self, name: &(String, String)) -> Option<Served> {
        let known = self.kinds.lock().expect("no holder panics");
        known.get(name).cloned()
    }

    /// Reads an object, if it exists.
    pub(crate) async fn read(
        &self,
        served: &Served,
        target: &Key,
    ) -> Result<Option<Value>, ApiError> {
        match self.api.get(&served.path(target)).await {
            Ok(answer) => action::read(&answer).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has a kind watched from now on.
    pub(crate) fn watch(&self, served: &Served) {
        let resource = &served.resource;
        let name = (resource.api_version.clone(), resource.kind.clone());
        let mut watched = self.watched.lock().expect("no holder panics");
        if watched.insert(name) {
            // It fails only when the process ends.
            let _ = self.wanted.send(served.clone());
        }
    }

    /// Watches the kinds that were asked for, in these namespaces or in all, until it is dropped.
    pub(crate) async fn run(&self, dependents: &Dependents, scopes: &[Option<String>]) {
        let mut requests = self.requests.lock().await;
        while requests.try_recv().is_ok() {}
        self.watched.lock().expect("no holder panics").clear();
        let mut watches = FuturesUnordered::new();
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(served) => {
                        for scope in scopes {
                            let scope = scope.as_deref();
                            watches.push(self.follow(served.clone(), dependents, scope).boxed());
                        }
                    }
                    None => return,
                },
                Some(()) = watches.next(), if !watches.is_empty() => {}
            }
        }
    }

    async fn follow(&self, served: Served, dependents: &Dependents, scope: Option<&str>) {
        let client = self.api.client();
        let resource = &served.resource;
        let api: kube::Api<Read<PartialObjectMeta<DynamicObject>>> = match scope {
            Some(namespace) => kube::Api::namespaced_with(client, namespace, resource),
            None => kube::Api::all_with(client, resource),
        };
        let ours = Listed::new(api, &format!("{MANAGED_LABEL}=true"));
        let ours = ours.sharing(self.api.places());
        let mut events = patiently(follow(ours, Box::new(|| {}))).boxed();
        let (mut shown, mut told) = (Shown::default(), false);
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(kind = %resource.kind, error = %error, "targets of this kind cannot be watched: edits of them are put back at the next refresh");
                    }
                    continue;
                }
            };
            told &= !matches!(event, watcher::Event::InitDone);
            for key in shown.take(event) {
                let target = name_of(&resource.api_version, &resource.kind, &key.name);
                dependents.changed(TARGET, &Key::new(&key.namespace, &target));
            }
        }
    }
}

/// The targets of one kind that a watch has shown, so that a listing tells which are gone.
#[derive(Default)]
struct Shown {
    listed: bool,
    here: HashSet<Key>,
    /// Those that a listing has not shown yet.
    before: HashSet<Key>,
}

impl Shown {
    /// Takes note of an event; returns the targets that may have come, changed or gone.
    fn take<T: kube::Resource>(&mut self, event: watcher::Event<T>) -> Vec<Key> {
        match event {
            watcher::Event::Init => {
                self.before.extend(self.here.drain());
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                let key = key_of(object.meta());
                self.before.remove(&key);
                self.here.insert(key.clone());
                // While the watch was broken, anything may have changed.
                Vec::from_iter(self.listed.then_some(key))
            }
            watcher::Event::InitDone => {
                self.listed = true;
                self.before.drain().collect()
            }
            watcher::Event::Apply(object) => {
                let key = key_of(object.meta());
                self.here.insert(key.clone());
                vec![key]
            }
            watcher::Event::Delete(object) => {
                let key = key_of(object.meta());
                self.here.remove(&key);
                vec![key]
            }
        }
    }
}

/// What an ExternalSecret with a target of another kind reads.
pub(crate) fn need_of(object: &ExternalSecret) -> Option<Need> {
    let manifest = object.spec.target.manifest.as_ref()?;
    let name = name_of(&manifest.api_version, &manifest.kind, object.target_name());
    Some(Need::one(TARGET, object.namespace(), &name))
}

fn name_of(api_version: &str, kind: &str, name: &str) -> String {
    format!("{api_version}/{kind}/{name}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::runtime::watcher::Event;

    use super::*;

    fn target(name: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some("ns".to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    #[test]
    fn a_target_that_went_while_the_watch_was_broken_is_told() {
        let mut shown = Shown::default();
        let mut told = |event: Event<ConfigMap>| {
            let keys = shown.take(event).into_iter();
            keys.map(|key| key.to_string()).collect::<Vec<_>>()
        };
        let none: [String; 0] = [];
        assert_eq!(told(Event::Init), none);
        for name in ["a", "b"] {
            assert_eq!(told(Event::InitApply(target(name))), none);
        }
        assert_eq!(told(Event::InitDone), none);
        assert_eq!(told(Event::Apply(target("c"))), ["ns/c"]);
        assert_eq!(told(Event::Delete(target("b"))), ["ns/b"]);
        // The first listing breaks off.
        for event in [Event::Init, Event::InitApply(target("a")), Event::Init] {
            told(event);
        }
        assert_eq!(told(Event::InitApply(target("a"))), ["ns/a"]);
        assert_eq!(told(Event::InitDone), ["ns/c"]);
    }
}

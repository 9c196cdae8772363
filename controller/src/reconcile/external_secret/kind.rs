//! ExternalSecrets as a kind of the frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_resources::external_secret::plan::Again;
use sealwright_resources::external_secret::status::Status;
use sealwright_resources::external_secret::{
    CreationPolicy, ExternalSecret, StoreKind, plan, refresh, render, status,
};

use super::super::due::until;
use super::retry::{retry, retry_seldom};
use super::{COMPONENT, ExternalSecrets, Extra, Outcome, actions, keys};
use crate::announcement::Reads;
use crate::api::{ApiError, jitter};
use crate::frame::dependents::Need;
use crate::frame::event::Event;
use crate::frame::kind::Neighbours;
use crate::frame::kind::{Attempt, Frame, Kind, Trouble};
use crate::frame::object::Key;
use crate::frame::read::Read;
use crate::frame::tracked::{Digest, Tracked};
use crate::known_keys::Claim;
use crate::metrics::SyncedKind;
use crate::stores::StoreId;
use crate::{action, generic_targets};

impl Kind for ExternalSecrets {
    const NAME: &'static str = "ExternalSecret";
    const PLURAL: &'static str = "ExternalSecrets";
    const METRICS: Option<SyncedKind> = Some(SyncedKind::ExternalSecret);
    const NEIGHBOURS: &'static [Neighbours] = &[Neighbours::ConfigMaps, Neighbours::Namespaces];

    type Object = ExternalSecret;
    type Status = Status;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &ExternalSecret) -> Digest {
        Digest::of_json(&[
            &serde_json::to_value(&object.spec).unwrap_or_default(),
            &object.metadata.labels,
            &object.metadata.annotations,
            &plan::has_finalizer(object),
        ])
    }

    fn status(object: &ExternalSecret) -> Option<&Status> {
        object.status.as_ref()
    }

    fn conditions(status: &Status) -> Vec<(&str, bool)> {
        status::truths(&status.conditions)
    }

    fn target<'a>(&self, object: &'a ExternalSecret) -> Option<&'a str> {
        let writes = object.spec.target.manifest.is_none()
            && object.spec.target.creation_policy != CreationPolicy::None;
        writes.then(|| object.target_name())
    }

    fn neighbours(&self) -> &'static [Neighbours] {
        match self.rules.cluster_stores {
            true => Self::NEIGHBOURS,
            // Only conditions of ClusterSecretStores look at namespaces.
            false => &[Neighbours::ConfigMaps],
        }
    }

    fn needs(&self, object: &ExternalSecret) -> Vec<Need> {
        let namespace = object.namespace();
        let mut needs = Vec::new();
        let mut cluster = false;
        for store in object.stores() {
            let id = StoreId::of(&store, namespace);
            cluster |= id.kind == StoreKind::ClusterSecretStore;
            needs.push(Need::one(id.kind.as_str(), &id.namespace, &id.name));
        }
        if cluster {
            // The conditions of the store look at its labels.
            needs.push(Need::one("Namespace", "", namespace));
        }
        needs.extend(generic_targets::need_of(object));
        if let Some(template) = &object.spec.target.template {
            let (config_maps, secrets) = render::sources_of(template);
            let config_maps = config_maps.into_iter();
            needs.extend(config_maps.map(|name| Need::one("ConfigMap", namespace, name)));
            let secrets = secrets.into_iter();
            needs.extend(secrets.map(|name| Need::one("Secret", namespace, name)));
        }
        needs
    }

    fn reclaims(&self, secret: &ObjectMeta, _uid: &str) -> bool {
        refresh::is_managed(secret)
    }

    fn is_watched(&self, secret: &ObjectMeta) -> bool {
        // Removing the label is respected until the next refresh, as upstream does.
        refresh::is_managed(secret)
    }

    fn sees_secret(&self, secret: &ObjectMeta) {
        self.note_made(secret, true);
    }

    fn loses_secret(&self, secret: &ObjectMeta) {
        self.note_made(secret, false);
    }

    fn note(&self, read: &Read<ExternalSecret>, extra: &mut Extra, changed: bool) {
        if changed {
            extra.next = None;
            // What it was told before the change is no answer to what it asks for now.
            let failed = extra.failed.or(extra.asked.take());
            extra.failed = failed.map(|_| Instant::now());
            extra.reads = read.0.as_ref().map(Reads::of).unwrap_or_default();
        }
        let keys = match &read.0 {
            Ok(object) => keys::keys_of(object),
            Err(_) => Some(Vec::new()),
        };
        // An object that was edited is made of what it was made of until it is made again.
        let Some(keys) = keys else {
            return;
        };
        let before = extra.claim.as_deref().map_or(&[][..], Claim::keys);
        let before = before.iter().map(|(store, key)| (&**store, &**key));
        if before.ne(keys.iter().map(|(store, key)| (store, key.as_str()))) {
            extra.claim = (!keys.is_empty()).then(|| {
                let namespace = read.meta().namespace.as_deref().unwrap_or_default();
                self.known_keys.claim(namespace, keys)
            });
        }
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        known.extra.next.map(until)
    }

    async fn deferred(&self, object: &ExternalSecret) -> Option<Duration> {
        self.wait_in_crowd(object).await
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &Arc<ExternalSecret>,
    ) -> Attempt<Outcome> {
        self.work(key, known, object).await
    }

    fn unreadable(&self, fault: String) -> Outcome {
        Outcome {
            status: None,
            events: Vec::new(),
            again: Again::Never,
            interval: SignedDuration::from_hours(1),
            fault: Some(fault),
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&Status>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<Status> {
        let next = match (&outcome.status, &outcome.fault) {
            (Some(next), _) => next.clone(),
            (None, Some(fault)) => {
                plan::unreadable(status.cloned().unwrap_or_default(), fault, now).0
            }
            (None, None) => return None,
        };
        (status != Some(&next)).then_some(next)
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let fault = outcome.fault.as_ref();
        let fault =
            fault.map(|fault| plan::unreadable(Status::default(), fault, Timestamp::now()).1);
        let events = outcome.events.iter().chain(&fault);
        events
            .map(|event| {
                let message = event.message.clone();
                Event::about::<ExternalSecret>(
                    COMPONENT,
                    metadata,
                    event.warning,
                    event.reason,
                    message,
                )
            })
            .collect()
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        let wait = match outcome.again {
            Again::Never => return None,
            Again::Now => Duration::ZERO,
            Again::At(at) => return Some(until(at)),
            Again::Retry => retry(failures),
            Again::RetrySeldom => retry_seldom(failures, outcome.interval),
        };
        Some(wait + jitter(wait))
    }

    async fn beside(&self) {
        tokio::join!(
            self.ask_silent_stores(),
            self.watch_targets(),
            self.sweep_stores()
        );
    }

    async fn finalize(&self, key: &Key, object: &ExternalSecret) -> Option<Duration> {
        let ended = async {
            let events = match (&self.targets, &object.spec.target.manifest) {
                (Some(targets), Some(manifest)) if plan::has_finalizer(object) => {
                    self.finalize_generic(targets, object, manifest).await?
                }
                _ => Vec::new(),
            };
            let zone = &self.rules.zone;
            actions::finalize(self.api(), key, object, zone).await?;
            Ok::<_, ApiError>(events)
        };
        match ended.await {
            Ok(events) => {
                for event in self.events(
                    &object.metadata,
                    &Outcome {
                        events,
                        ..Outcome::quiet(object, Again::Never)
                    },
                ) {
                    action::emit(self.api(), &self.frame.shared.recorder, &event).await;
                }
                None
            }
            Err(error) => {
                self.trouble(key, Trouble::Fetch, &error);
                Some(retry(3))
            }
        }
    }
}

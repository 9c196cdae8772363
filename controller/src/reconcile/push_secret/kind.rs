//! PushSecrets as a kind of the frame.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_resources::external_secret::{StoreKind, status};
use sealwright_resources::push_secret::{
    FINALIZER, KIND, PushDeletionPolicy, PushSecret, PushSecretStatus, refresh,
};

use super::super::due::{after, until};
use super::super::finalizer;
use super::{COMPONENT, Extra, Outcome, PushSecrets};
use crate::frame::dependents::Need;
use crate::frame::event::Event;
use crate::frame::kind::{Attempt, Frame, Kind};
use crate::frame::object::{Key, key_of};
use crate::frame::read::Read;
use crate::frame::tracked::{Digest, Tracked};
use crate::frame::verdict::Verdict;
use crate::frame::{AnyKind, verdict};
use crate::metrics::SyncedKind;
use crate::stores::Hold;

impl Kind for PushSecrets {
    const NAME: &'static str = KIND;
    const PLURAL: &'static str = "PushSecrets";
    const METRICS: Option<SyncedKind> = Some(SyncedKind::PushSecret);

    type Object = PushSecret;
    type Status = PushSecretStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &PushSecret) -> Digest {
        Digest::of_json(&[
            &serde_json::to_value(&object.spec).unwrap_or_default(),
            &object.metadata.labels,
            &object.metadata.annotations,
            &finalizer::is_set(&object.metadata, FINALIZER),
        ])
    }

    fn status(object: &PushSecret) -> Option<&PushSecretStatus> {
        object.status.as_ref()
    }

    fn conditions(status: &PushSecretStatus) -> Vec<(&str, bool)> {
        status::truths(&status.conditions)
    }

    fn needs(&self, object: &PushSecret) -> Vec<Need> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let stores = object.spec.secret_store_refs.iter().map(|reference| {
            let place = match reference.kind {
                StoreKind::SecretStore => namespace,
                StoreKind::ClusterSecretStore => "",
            };
            match reference.name.as_deref().filter(|name| !name.is_empty()) {
                Some(name) => Need::one(reference.kind.as_str(), place, name),
                None => Need::any(reference.kind.as_str(), place),
            }
        });
        stores.collect()
    }

    fn note(&self, read: &Read<PushSecret>, _extra: &mut Extra, _changed: bool) {
        let key = key_of(read.meta());
        let synced = |status: Option<&PushSecretStatus>| {
            let synced = status.map(|status| status.synced_push_secrets.keys());
            synced.into_iter().flatten().cloned().collect()
        };
        let hold = match &read.0 {
            Ok(object) if object.spec.deletion_policy == PushDeletionPolicy::Delete => Some(Hold {
                references: object.spec.secret_store_refs.clone(),
                synced: synced(object.status.as_ref()),
            }),
            Ok(_) => None,
            // What cannot be read now may have pushed before: as far as is known, or else as its status says.
            Err(_) if self.stores.pushers.has(&key) => return,
            Err(fault) => finalizer::is_set(&fault.metadata, FINALIZER).then(|| Hold {
                references: Vec::new(),
                synced: synced(fault.status().as_ref()),
            }),
        };
        self.hold(&key, hold);
    }

    async fn beside(&self) {
        let pushers = &self.stores.pushers;
        let scopes = AnyKind::scopes(self);
        pushers.expect(&scopes);
        let seen = scopes.iter().map(|scope| async move {
            AnyKind::listed_or_left_out(self, scope.as_deref()).await;
            self.wake(&pushers.have_seen(scope.as_deref()));
        });
        join_all(seen).await;
        std::future::pending().await
    }

    fn forgets(&self) {
        self.stores.pushers.clear();
    }

    async fn gone(&self, key: &Key) -> Option<Duration> {
        self.hold(key, None);
        None
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        known.extra.next.map(until)
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &Arc<PushSecret>,
    ) -> Attempt<Outcome> {
        let attempt = self.work(key, object).await;
        let again = attempt.outcome.again;
        let next = again.and_then(after);
        self.frame
            .index
            .update(key, known.uid(), |known| known.extra.next = next);
        attempt
    }

    fn unreadable(&self, fault: String) -> Outcome {
        let message = status::message(refresh::NOT_PUSHED, Some(&fault));
        Outcome {
            event: Some((true, refresh::ERRORED, message)),
            ..Outcome::quiet(None)
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&PushSecretStatus>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<PushSecretStatus> {
        let next = match (&outcome.status, &outcome.event) {
            (Some(next), _) => next.clone(),
            // What cannot be read keeps the record of what was pushed.
            (None, Some((_, reason, message))) => {
                let mut next = status.cloned().unwrap_or_default();
                refresh::set_ready(&mut next, false, reason, message, now);
                next
            }
            (None, None) => return None,
        };
        (status != Some(&next)).then_some(next)
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let event = outcome.event.as_ref();
        let event = event.map(|(warning, reason, message)| {
            Event::about::<PushSecret>(COMPONENT, metadata, *warning, reason, message.clone())
        });
        event.into_iter().collect()
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        match outcome.retry {
            true => Some(verdict::pause(Verdict::TryAgain, failures, 5)),
            false => outcome.again,
        }
    }

    async fn finalize(&self, key: &Key, object: &PushSecret) -> Option<Duration> {
        if !finalizer::is_set(&object.metadata, FINALIZER) {
            return None;
        }
        let synced = object
            .status
            .as_ref()
            .map(|status| status.synced_push_secrets.clone());
        let deletes = object.spec.deletion_policy == PushDeletionPolicy::Delete;
        if let Some(synced) = synced.filter(|_| deletes) {
            let left = self.delete_all(object, &synced).await;
            if !left.is_empty() {
                tracing::warn!(key = %key, "a PushSecret waits until what it pushed can be deleted");
                self.report_left(object, left).await;
                // A change of a store wakes it before.
                return Some(finalizer::again(&object.metadata, Timestamp::now()));
            }
        }
        finalizer::release(self, key, &object.metadata, FINALIZER).await
    }
}

#[cfg(test)]
mod tests {
    use kube::Client;
    use sealwright_resources::external_secret::render::Options;
    use serde_json::json;

    use super::*;
    use crate::api::Api;
    use crate::frame::plain;
    use crate::generators::{GeneratorRules, Generators};
    use crate::metrics::Metrics;
    use crate::stores::{StoreId, Stores};

    #[tokio::test]
    async fn a_push_secret_that_cannot_be_read_holds_the_stores_of_its_record() {
        let service = tower::service_fn(|_: hyper::Request<kube::client::Body>| async {
            let body = kube::client::Body::from(Vec::new());
            Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
        });
        let client = Client::new(service, "ns");
        let api = Arc::new(Api::new(client.clone(), None, 1));
        let stores = Arc::new(Stores::new(
            Arc::clone(&api),
            Arc::new(Metrics::new(false, false)),
        ));
        let shared = plain::shared(client);
        let rules = GeneratorRules {
            class: "default".to_owned(),
            keeps_state: false,
            grace: jiff::SignedDuration::ZERO,
        };
        let (pool, slow_pool) = (Arc::clone(&shared.pool), Arc::clone(&shared.slow_pool));
        let generators = Arc::new(Generators::new(api, pool, slow_pool, rules));
        let kind = PushSecrets::new(
            shared,
            plain::watching(),
            "default".to_owned(),
            Options::default(),
            Arc::clone(&stores),
            generators,
        );
        // Restarted, and the controller has never seen it otherwise.
        let object = json!({
            "metadata": {"name": "ps", "namespace": "ns", "uid": "u", "finalizers": [FINALIZER]},
            "spec": {"deletionPolicy": "Delete", "secretStoreRefs": "none"},
            "status": {"syncedPushSecrets": {"SecretStore/held": {}}},
        });
        let read = Read::<PushSecret>::from_json(&object.to_string()).unwrap();
        assert!(read.0.is_err());
        kind.note(&read, &mut Extra::default(), true);
        let holds = |name: &str| {
            let id = StoreId {
                kind: StoreKind::SecretStore,
                namespace: "ns".to_owned(),
                name: name.to_owned(),
            };
            stores.pushers.hold(&id, &Default::default())
        };
        assert!(holds("held") && !holds("free"));
    }
}

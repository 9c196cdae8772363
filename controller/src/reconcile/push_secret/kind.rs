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
        let hold = match &read.0 {
            Ok(object) if object.spec.deletion_policy == PushDeletionPolicy::Delete => {
                let synced = object.status.as_ref();
                let synced = synced.map(|status| status.synced_push_secrets.keys());
                Some(Hold {
                    references: object.spec.secret_store_refs.clone(),
                    synced: synced.into_iter().flatten().cloned().collect(),
                })
            }
            Ok(_) => None,
            // What cannot be read now may have pushed before.
            Err(_) => return,
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
                return Some(Duration::from_secs(15));
            }
        }
        finalizer::release(self, key, &object.metadata, FINALIZER).await
    }
}

//! PushSecrets: values of Secrets written to stores.
//!
//! The status is the record of what was pushed, by store and place: with the deletion policy Delete, what is in it and is pushed
//! no longer is deleted from its store. What could not be deleted stays in the record and is tried again.

mod kind;
mod push;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sealwright_resources::external_secret::render::Options;
use sealwright_resources::external_secret::{hash, status};
use sealwright_resources::push_secret::entries::PushStore;
use sealwright_resources::push_secret::{
    FINALIZER, PushDeletionPolicy, PushSecret, PushSecretStatus, SyncedPushSecrets, UpdatePolicy,
    entries, refresh,
};
use sealwright_template::Budget;

use self::push::{Failed, difference, recorded, seen};
use self::sources::Source;
use super::finalizer;
use crate::action;
use crate::api::Api;
use crate::frame::event::Event;
use crate::frame::kind::{Attempt, Frame, Kind, LookedAt, Shared, Trouble, Watching};
use crate::frame::object::{Key, key_of};
use crate::frame::secret_target;
use crate::generators::Generators;
use crate::stores::{Hold, StoreId, Stores, pushes_to};

/// The component of the events.
const COMPONENT: &str = "pushsecret";

/// The reconciler of PushSecrets.
pub(crate) struct PushSecrets {
    frame: Frame<Self>,
    class: String,
    options: Options,
    stores: Arc<Stores>,
    generators: Arc<Generators>,
}

/// What is remembered of a PushSecret.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    next: Option<Timestamp>,
}

/// What came of an attempt.
pub(crate) struct Outcome {
    status: Option<PushSecretStatus>,
    event: Option<(bool, &'static str, String)>,
    again: Option<Duration>,
    retry: bool,
}

impl Outcome {
    fn quiet(again: Option<Duration>) -> Self {
        Self {
            status: None,
            event: None,
            again,
            retry: false,
        }
    }
}

impl PushSecrets {
    pub(crate) fn new(
        shared: Shared,
        watching: Watching,
        class: String,
        options: Options,
        stores: Arc<Stores>,
        generators: Arc<Generators>,
    ) -> Self {
        Self {
            frame: Frame::new(shared, watching),
            class,
            options,
            stores,
            generators,
        }
    }

    fn api(&self) -> &Api {
        self.frame.api()
    }

    async fn work(&self, key: &Key, object: &Arc<PushSecret>) -> Attempt<Outcome> {
        let now = Timestamp::now();
        let deletes = object.spec.deletion_policy == PushDeletionPolicy::Delete;
        if deletes != finalizer::is_set(&object.metadata, FINALIZER) {
            // The watch shows the object again, and then it is worked on.
            let again = match finalizer::set::<PushSecret>(
                self.api(),
                key,
                &object.metadata,
                FINALIZER,
                deletes,
            )
            .await
            {
                Err(error) if !error.is_conflict() && !error.is_not_found() => {
                    self.trouble(key, Trouble::Fetch, &error);
                    Some(Duration::from_secs(5))
                }
                _ => None,
            };
            return done(Outcome::quiet(again));
        }
        if let Some(fault) = refresh::unreadable_interval(object) {
            return Attempt {
                ended: Err(LookedAt::default()),
                outcome: self.unreadable(fault),
            };
        }
        if !refresh::should_push(object, now) {
            let next = refresh::next(object, now);
            let again = next.map(|next| {
                Duration::try_from(next.duration_since(now)).unwrap_or_default()
                    + Duration::from_secs(1)
            });
            return done(Outcome::quiet(again));
        }
        let before = object.status.clone().unwrap_or_default();
        if let Err(error) = entries::check_stores(&object.spec) {
            return self.failed(before, error.to_string(), now);
        }
        let sources = match self.sources(object).await {
            Ok(sources) => sources,
            Err(gone) => {
                // A push that failed is in the record, too, with nothing in it.
                let is_recorded = !before.synced_push_secrets.is_empty();
                if gone && deletes && is_recorded {
                    return self.source_deleted(object, before, now).await;
                }
                return self.failed(before, refresh::NO_SOURCE.to_owned(), now);
            }
        };
        let stores = match self.resolve(object).await {
            Ok(stores) => stores,
            Err(text) => return self.failed(before, text, now),
        };
        if stores.is_empty() {
            return done(Outcome::quiet(None));
        }
        let seen: Vec<PushStore<'_>> = stores.iter().map(|(id, store)| seen(id, store)).collect();
        if let Err(error) = entries::check_selectors(&object.spec, &seen) {
            return self.failed(before, error.to_string(), now);
        }
        let mut synced = SyncedPushSecrets::new();
        let allowance = self.frame.allowance(key);
        let budget = Budget::new(allowance.limits);
        // Labels that select nothing any more delete nothing: upstream
        // deletes what a Secret no longer has, and there is none.
        let deletes = deletes && !sources.is_empty();
        for source in sources {
            let source = match source {
                Source::Here(secret) => *secret,
                Source::Named(name) => {
                    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
                    match secret_target::read(self.api(), &Key::new(namespace, &name)).await {
                        Ok(Some(secret)) => secret,
                        Ok(None) => continue,
                        Err(_) => {
                            let both = recorded(&before, synced);
                            return self.failed(both, refresh::NO_SOURCE.to_owned(), now);
                        }
                    }
                }
            };
            let within = (&allowance, &budget);
            let pushed = self
                .push_all((key, object), source, &stores, &mut synced, within)
                .await;
            if allowance.is_partial && budget.is_exceeded() {
                // What came of it counts for nothing then.
                self.frame.queue.slow_down(key);
            }
            match pushed {
                Ok(()) => {}
                Err(Failed::Silent) => {
                    return Attempt {
                        ended: Err(LookedAt::default()),
                        outcome: Outcome {
                            retry: true,
                            ..Outcome::quiet(None)
                        },
                    };
                }
                Err(Failed::Condition(text)) => {
                    let both = recorded(&before, synced);
                    let text = status::message(refresh::NOT_PUSHED, Some(&text));
                    return self.failed(both, text, now);
                }
            }
        }
        if deletes {
            let stale = difference(&before.synced_push_secrets, &synced);
            let left = self.delete_all(object, &stale).await;
            if !left.is_empty() {
                let mut both = before.clone();
                both.synced_push_secrets = synced;
                for (store, all) in left {
                    both.synced_push_secrets
                        .entry(store)
                        .or_default()
                        .extend(all);
                }
                return self.failed(both, refresh::not_deleted(), now);
            }
        }
        let message = match object.spec.update_policy {
            UpdatePolicy::Replace => refresh::SYNCED_MESSAGE,
            UpdatePolicy::IfNotExists => refresh::KEPT_MESSAGE,
        };
        let mut next = before;
        next.synced_push_secrets = synced;
        next.synced_resource_version = Some(hash::synced_version(&object.metadata));
        next.refresh_time = Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now)));
        refresh::set_ready(&mut next, true, refresh::SYNCED, message, now);
        let again = Duration::try_from(refresh::interval(object)).unwrap_or_default();
        done(Outcome {
            status: Some(next),
            event: Some((false, refresh::SYNCED, message.to_owned())),
            again: Some(again).filter(|again| !again.is_zero()),
            retry: false,
        })
    }

    fn failed(
        &self,
        mut next: PushSecretStatus,
        message: String,
        now: Timestamp,
    ) -> Attempt<Outcome> {
        refresh::set_ready(&mut next, false, refresh::ERRORED, &message, now);
        Attempt {
            ended: Err(LookedAt::default()),
            outcome: Outcome {
                status: Some(next),
                event: Some((true, refresh::ERRORED, message)),
                again: None,
                retry: true,
            },
        }
    }

    async fn source_deleted(
        &self,
        object: &PushSecret,
        before: PushSecretStatus,
        now: Timestamp,
    ) -> Attempt<Outcome> {
        let left = self.delete_all(object, &before.synced_push_secrets).await;
        let mut next = before;
        let all_gone = left.is_empty();
        next.synced_push_secrets = left;
        if !all_gone {
            let text = "the stores did not delete what was pushed";
            let text = status::message(refresh::NOT_CLEANED_UP, Some(text));
            return self.failed(next, text, now);
        }
        let message = refresh::SOURCE_DELETED_MESSAGE;
        refresh::set_ready(&mut next, false, refresh::SOURCE_DELETED, message, now);
        done(Outcome {
            status: Some(next),
            event: Some((false, refresh::SOURCE_DELETED, message.to_owned())),
            again: None,
            retry: false,
        })
    }

    /// Says in the status of a PushSecret that is being deleted what it waits for.
    async fn report_left(&self, object: &PushSecret, left: SyncedPushSecrets) {
        let mut next = object.status.clone().unwrap_or_default();
        next.synced_push_secrets = left;
        let message = refresh::not_deleted();
        let now = Timestamp::now();
        refresh::set_ready(&mut next, false, refresh::ERRORED, &message, now);
        if object.status.as_ref() == Some(&next) {
            return;
        }
        let written =
            action::set_status::<PushSecret, _>(self.api(), &object.metadata, &next).await;
        if let Err(error) = written {
            self.trouble(&key_of(&object.metadata), Trouble::Status, &error);
        }
        let event = Event::about::<PushSecret>(
            COMPONENT,
            &object.metadata,
            true,
            refresh::ERRORED,
            message,
        );
        action::emit(self.api(), &self.frame.shared.recorder, &event).await;
    }

    /// Takes note of the stores that must not go before this object, and has the stores look at that.
    fn hold(&self, key: &Key, hold: Option<Hold>) {
        let Some(changed) = self.stores.pushers.set(key, hold) else {
            return;
        };
        let mut stores: Vec<StoreId> = changed
            .iter()
            .flatten()
            .flat_map(|hold| self.stores.held(key, hold))
            .collect();
        stores.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        stores.dedup();
        self.wake(&stores);
    }

    fn wake(&self, stores: &[StoreId]) {
        for id in stores {
            let key = Key::new(&id.namespace, &id.name);
            self.frame
                .shared
                .dependents
                .changed(pushes_to(id.kind), &key);
        }
    }
}

fn done(outcome: Outcome) -> Attempt<Outcome> {
    Attempt {
        ended: Ok(None),
        outcome,
    }
}

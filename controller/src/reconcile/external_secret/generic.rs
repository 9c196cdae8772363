//! ExternalSecrets whose target is of another kind than Secret.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::external_secret::generic::{self, State, Write};
use sealwright_resources::external_secret::plan::{self, Action, Again, Plan};
use sealwright_resources::external_secret::render::Inputs;
use sealwright_resources::external_secret::{
    CreationPolicy, DeletionPolicy, ExternalSecret, Manifest, refresh, status,
};
use sealwright_template::Budget;
use serde_json::Value;

use super::super::template_sources::SourcesError;
use super::attempt::at;
use super::{ExternalSecrets, Outcome};
use crate::action;
use crate::api::ApiError;
use crate::frame::kind::{Attempt, LookedAt};
use crate::frame::object::Key;
use crate::frame::tracked::Tracked;
use crate::generic_targets::{GenericTargets, Served};

impl ExternalSecrets {
    /// Makes the object of another kind what the ExternalSecret asks for.
    pub(super) async fn work_generic(
        &self,
        key: &Key,
        known: &Tracked<super::Extra>,
        object: &ExternalSecret,
        manifest: &Manifest,
        started: Timestamp,
    ) -> Attempt<Outcome> {
        let news = self.news(known, object, started);
        let plan = match self
            .plan_generic(key, known, object, manifest, started)
            .await
        {
            Ok(plan) => plan,
            // Another writer was faster: everything is looked at again, and nothing is reported.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                return Attempt {
                    ended: Err(LookedAt::default()),
                    outcome: Outcome::quiet(object, Again::Retry),
                };
            }
            Err(error) => {
                tracing::warn!(namespace = object.namespace(), name = object.name(), kind = %manifest.kind, error = %error.about_values(), "the API server refuses to write the target");
                let fixed = status::NOT_UPDATED;
                refused(object, fixed, error.category(), Again::Retry, started)
            }
        };
        let wrong = plan
            .actions
            .iter()
            .any(|action| matches!(action, Action::Emit(event) if event.warning));
        let next = at(plan.again).filter(|_| !wrong);
        self.frame.index.update(key, known.uid(), |known| {
            known.extra.next = next;
            known.extra.heard = news.or(known.extra.heard);
            if wrong {
                known.extra.has_failed();
            }
        });
        Attempt {
            ended: match wrong {
                true => Err(LookedAt::default()),
                false => Ok(None),
            },
            outcome: Self::told(object, plan),
        }
    }

    async fn plan_generic(
        &self,
        key: &Key,
        known: &Tracked<super::Extra>,
        object: &ExternalSecret,
        manifest: &Manifest,
        started: Timestamp,
    ) -> Result<Plan, ApiError> {
        let news = self.news(known, object, started);
        let Some(targets) = &self.targets else {
            let why =
                "targets of other kinds are disabled; --unsafe-allow-generic-targets enables them";
            let fixed = status::INVALID_GENERIC;
            return Ok(refused(object, fixed, why, Again::Never, started));
        };
        let target = Key::new(object.namespace(), object.target_name());
        let served = match targets.served(manifest).await {
            Ok(Some(served)) if served.namespaced => served,
            Ok(Some(_)) => {
                let why = "objects of this kind have no namespace";
                let fixed = status::NOT_UPDATED;
                return Ok(refused(object, fixed, why, Again::Retry, started));
            }
            Ok(None) => {
                let why = "the API server has no such kind";
                let fixed = status::NO_RESOURCE;
                return Ok(refused(object, fixed, why, Again::Retry, started));
            }
            Err(error) => return Ok(unread(object, &error, started)),
        };
        let reads = object.spec.target.creation_policy != CreationPolicy::None;
        let existing = match reads {
            true => match targets.read(&served, &target).await {
                Ok(existing) => existing,
                Err(error) => return Ok(unread(object, &error, started)),
            },
            false => None,
        };
        let zone = &self.rules.zone;
        match generic::state(object, existing.as_ref()) {
            State::Unknowable => {
                tracing::warn!(namespace = object.namespace(), name = object.name(), kind = %manifest.kind, "the target has neither a spec nor data, so it cannot be looked after");
                return Ok(Plan {
                    actions: Vec::new(),
                    again: Again::Never,
                });
            }
            State::Valid if news.is_none() && !refresh::should_refresh(object, started, zone) => {
                targets.watch(&served);
                return Ok(Plan {
                    actions: Vec::new(),
                    again: plan::next_look(object, started, zone),
                });
            }
            _ => {}
        }
        if self.is_early(object) {
            let again = started.checked_add(SignedDuration::from_secs(1));
            return Ok(Plan {
                actions: Vec::new(),
                again: again.map_or(Again::Retry, Again::At),
            });
        }
        let allowance = self.frame.allowance(key);
        let budget = Budget::new(allowance.limits);
        let continued = || {
            let slow = allowance.is_partial && budget.is_exceeded();
            slow.then(|| {
                self.frame.queue.slow_down(key);
                Plan {
                    actions: Vec::new(),
                    again: Again::Now,
                }
            })
        };
        let data = self
            .read(key, known, object, existing.is_some(), news, &budget)
            .await;
        if let Some(plan) = continued() {
            return Ok(plan);
        }
        let mut actions: Vec<Action> = data.missing.into_iter().map(plan::missing).collect();
        let values = match data.values {
            Ok(values) => values,
            Err(error) => {
                actions.extend(plan::unread(object, &error, started));
                let again = match error.problem.is_definite() {
                    true => Again::RetrySeldom,
                    false => Again::Retry,
                };
                return Ok(Plan { actions, again });
            }
        };
        let finished = |actions, reason, message| {
            plan::finished(object, actions, (reason, message), None, started, zone)
        };
        match (values.is_empty(), object.spec.target.deletion_policy) {
            (true, DeletionPolicy::Retain) => {
                return Ok(finished(actions, status::RESOURCE_SYNCED, status::RETAINED));
            }
            (true, DeletionPolicy::Delete) => {
                if object.spec.target.creation_policy != CreationPolicy::Owner {
                    let why = "deletionPolicy Delete needs creationPolicy Owner";
                    let fixed = status::RESOURCE_NOT_DELETED;
                    actions.extend(plan::failure(object, fixed, Some(why), started));
                    let again = Again::Never;
                    return Ok(Plan { actions, again });
                }
                if let Some(existing) = &existing {
                    match self.delete_generic(object, &served, existing).await {
                        Ok(true) => actions.push(told("Deleted", manifest, object)),
                        Ok(false) => {}
                        Err(error) => {
                            let fixed = status::RESOURCE_NOT_DELETED;
                            let why = Some(error.category());
                            actions.extend(plan::failure(object, fixed, why, started));
                            let again = Again::Retry;
                            return Ok(Plan { actions, again });
                        }
                    }
                }
                return Ok(finished(actions, status::RESOURCE_DELETED, status::DELETED));
            }
            _ => {}
        }
        let sources = match self.read_sources(object).await {
            Ok(sources) => sources,
            Err(SourcesError::Api(error)) => return Err(error),
            Err(error @ SourcesError::TooLarge) => {
                let detail = error.to_string();
                let fixed = status::NOT_APPLIED;
                actions.extend(plan::failure(object, fixed, Some(&detail), started));
                let again = Again::RetrySeldom;
                return Ok(Plan { actions, again });
            }
        };
        if generic::renders_twice(object) {
            tracing::warn!(
                namespace = object.namespace(),
                name = object.name(),
                "what templates of ConfigMaps and Secrets make is rendered once more for this kind of target: a value with an action in it is executed"
            );
        }
        let inputs = Inputs {
            sources: &sources,
            options: &self.rules.options,
            budget: &budget,
        };
        let build = || generic::build(object, manifest, existing.as_ref(), &values, inputs);
        let plain = object.spec.target.template.is_none();
        let written = self.frame.shared.render(plain, build).await;
        if let Some(plan) = continued() {
            return Ok(plan);
        }
        match written {
            Ok(Write::Nothing) => {}
            Ok(Write::Missing) => {
                let message = status::RESOURCE_IS_MISSING;
                return Ok(finished(actions, status::RESOURCE_MISSING, message));
            }
            Ok(Write::Create(made)) => {
                let folder = served.folder(object.namespace());
                action::create_object(self.api(), &folder, &made).await?;
                actions.push(told("Created", manifest, object));
            }
            Ok(Write::Update(made)) => {
                action::replace_object(self.api(), &served.path(&target), &made).await?;
                actions.push(told("Updated", manifest, object));
            }
            Err(error) => {
                let detail = error.to_string();
                let fixed = status::NOT_APPLIED;
                actions.extend(plan::failure(object, fixed, Some(&detail), started));
                let again = match error.is_retried() {
                    true => Again::Retry,
                    false => Again::Never,
                };
                return Ok(Plan { actions, again });
            }
        }
        targets.watch(&served);
        Ok(finished(actions, status::RESOURCE_SYNCED, status::SYNCED))
    }

    /// Deletes the target, if it carries our label; returns true if it did.
    async fn delete_generic(
        &self,
        object: &ExternalSecret,
        served: &Served,
        existing: &Value,
    ) -> Result<bool, ApiError> {
        let metadata = serde_json::from_value::<ObjectMeta>(existing["metadata"].clone());
        let metadata = metadata.map_err(|_| ApiError::Unreadable)?;
        if !generic::may_delete(object, &metadata) {
            tracing::warn!(
                namespace = object.namespace(),
                name = object.name(),
                "the target is not deleted, because it does not carry the label of this ExternalSecret"
            );
            return Ok(false);
        }
        let target = Key::new(object.namespace(), object.target_name());
        let uid = metadata.uid.unwrap_or_default();
        action::delete_object(self.api(), &served.path(&target), &uid).await?;
        Ok(true)
    }

    /// Ends what a deleted object with such a target stands for; returns what its users are to know.
    pub(super) async fn finalize_generic(
        &self,
        targets: &GenericTargets,
        object: &ExternalSecret,
        manifest: &Manifest,
    ) -> Result<Vec<plan::Event>, ApiError> {
        if object.spec.target.deletion_policy != DeletionPolicy::Delete {
            return Ok(Vec::new());
        }
        let Some(served) = targets.served(manifest).await? else {
            return Ok(Vec::new());
        };
        let target = Key::new(object.namespace(), object.target_name());
        let Some(existing) = targets.read(&served, &target).await? else {
            return Ok(Vec::new());
        };
        if !self.delete_generic(object, &served, &existing).await? {
            return Ok(Vec::new());
        }
        match told("Deleted", manifest, object) {
            Action::Emit(event) => Ok(vec![event]),
            _ => Ok(Vec::new()),
        }
    }
}

/// The event about a target that was written or deleted.
fn told(verb: &'static str, manifest: &Manifest, object: &ExternalSecret) -> Action {
    Action::Emit(plan::Event {
        warning: false,
        reason: verb,
        message: format!("{verb} {} {}", manifest.kind, object.target_name()),
    })
}

fn refused(object: &ExternalSecret, fixed: &str, why: &str, again: Again, now: Timestamp) -> Plan {
    Plan {
        actions: plan::failure(object, fixed, Some(why), now),
        again,
    }
}

fn unread(object: &ExternalSecret, error: &ApiError, now: Timestamp) -> Plan {
    refused(
        object,
        status::NO_RESOURCE,
        error.category(),
        Again::Retry,
        now,
    )
}
